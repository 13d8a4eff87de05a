// CONFIG GET, SET, REWRITE, RESETSTAT.
#include "base/mem.h"
#include "base/text.h"
#include "command/table.h"
#include "node/acl.h"
#include "node/ctx_impl.h"
#include "node/file_turn.h"
#include "node/whole_file.h"
#include "value/dict.h"

// ---- GET ----------------------------------------------------------------------------------------

struct shown {
    struct reply *reply;
    size_t count;
    struct ctx *c;
    int pattern; // index of the argument that is being matched
};

// A name that an earlier pattern gave already is not repeated.
static bool shown_before(const struct shown *s, const char *name)
{
    for (int i = 2; i < s->pattern; i++)
        if (text_glob(ctx_arg(s->c, i), bytes_from_cstr(name), true)) return true;
    return false;
}

static void show(void *arg, const char *name, struct bytes value)
{
    struct shown *s = arg;
    if (shown_before(s, name)) return;
    reply_bulk_cstr(s->reply, name);
    reply_bulk(s->reply, value);
    s->count++;
}

static void config_get(struct ctx *c)
{
    struct shown s = {.reply = c->reply, .c = c};
    struct reply_deferred all;
    reply_begin(c->reply, &all);
    for (s.pattern = 2; s.pattern < c->argc; s.pattern++)
        config_match(&c->node->config, ctx_arg(c, s.pattern), show, &s);
    reply_end_map(c->reply, &all, s.count);
}

// ---- SET ----------------------------------------------------------------------------------------

static void answer_set(struct reply *reply, const struct config_pairs *p, bool ok, int failed,
                       const struct error *error)
{
    if (ok)
        reply_ok(reply);
    else if (error->text[0] == '-')
        reply_error(reply, error->text);
    else if (failed >= 0 && strcmp(error->text, "unknown") == 0)
        reply_errorf(reply, "Unknown option or number of arguments for CONFIG SET - '%.128s'",
                     p->names[failed].data);
    else
        reply_errorf(reply, "CONFIG SET failed (possibly related to argument '%.128s') - %s",
                     failed >= 0 ? p->names[failed].data : "?", error->text);
}

// Certificates are read and a TLS context is made of them off the loop; then everything is set at
// once, the client answered, or nothing is. Another CONFIG SET may come in between: when the
// context doesn't fit any more it is made again.
struct tls_change {
    struct suspension suspension;
    struct loop *loop;
    struct work work;
    int count;
    struct str **words; // names, then values
    struct tls_config *config;
    struct tls_context *context; // made of it; NULL: error says why not
    struct error error;
    int failed;
};

static void tls_change_gone(struct suspension *s)
{
    (void)s; // nothing was set yet, and nobody knows
}

static void tls_change_free(struct tls_change *t)
{
    for (int i = 0; i < t->count * 2; i++)
        str_free(t->words[i]);
    mem_free(t->words);
    tls_config_free(t->config);
    tls_context_unref(t->context);
    mem_free(t);
}

static void tls_change_work(struct work *w)
{
    struct tls_change *t = list_entry(w, struct tls_change, work);
    t->context = tls_context_new(t->config, &t->error);
}

// Whether the context was made of what is wanted now; otherwise off it goes again.
static bool tls_change_fits(struct tls_change *t, struct tls_config *wanted)
{
    bool fits = wanted == NULL || tls_config_equal(wanted, t->config);
    if (fits) {
        tls_config_free(wanted);
        return true;
    }
    tls_context_unref(t->context);
    t->context = NULL;
    tls_config_free(t->config);
    t->config = wanted;
    t->error = ERROR_OK;
    loop_work(t->loop, &t->work);
    return false;
}

static void tls_change_done(struct work *w)
{
    struct tls_change *t = list_entry(w, struct tls_change, work);
    struct client *client = t->suspension.client;
    if (client == NULL) {
        tls_change_free(t);
        return;
    }
    struct bytes *views = mem_alloc_array((size_t)t->count * 2, sizeof(*views));
    for (int i = 0; i < t->count * 2; i++)
        views[i] = str_view(t->words[i]);
    struct config_pairs pairs = {t->count, views, views + t->count};
    struct tls_config *wanted = NULL;
    struct error error = ERROR_OK;
    int failed;
    bool ok = config_try(client->node, &pairs, &wanted, &failed, &error);
    if (ok && !tls_change_fits(t, wanted)) {
        mem_free(views);
        return;
    }
    if (ok && t->context == NULL) {
        error = t->error;
        ok = error_context(&error, "Unable to update TLS configuration");
    }
    ok = ok && config_set(client->node, &pairs, t->context, &failed, &error);
    answer_set(client_reply(client), &pairs, ok, failed, &error);
    client_resume(&t->suspension);
    mem_free(views);
    tls_change_free(t);
}

static void change_tls(struct ctx *c, const struct config_pairs *p, struct tls_config *config)
{
    struct tls_change *t = mem_new(struct tls_change);
    t->suspension.gone = tls_change_gone;
    if (!ctx_suspend(c, &t->suspension)) {
        tls_config_free(config);
        mem_free(t);
        reply_error(c->reply, "TLS can't be changed inside a transaction: files are to be read");
        return;
    }
    t->loop = c->node->loop;
    t->config = config;
    t->count = p->count;
    t->words = mem_alloc_array((size_t)p->count * 2, sizeof(*t->words));
    for (int i = 0; i < p->count; i++) {
        t->words[i] = str_from(p->names[i]);
        t->words[p->count + i] = str_from(p->values[i]);
    }
    t->work = (struct work){.work = tls_change_work, .done = tls_change_done, .lane = WORK_FILE};
    loop_work(t->loop, &t->work);
}

static void config_set_command(struct ctx *c)
{
    if (c->argc % 2 != 0) {
        reply_error(c->reply, "wrong number of arguments for 'config|set' command");
        return;
    }
    int count = (c->argc - 2) / 2, failed;
    struct bytes *words = mem_alloc_array((size_t)count * 2, sizeof(*words));
    for (int i = 0; i < count; i++) {
        words[i] = ctx_arg(c, 2 + 2 * i);
        words[count + i] = ctx_arg(c, 3 + 2 * i);
    }
    struct config_pairs pairs = {count, words, words + count};
    struct tls_config *tls = NULL;
    struct error error = ERROR_OK;
    bool ok = config_try(c->node, &pairs, &tls, &failed, &error);
    if (ok && tls != NULL) {
        change_tls(c, &pairs, tls);
    } else {
        ok = ok && config_set(c->node, &pairs, NULL, &failed, &error);
        answer_set(c->reply, &pairs, ok, failed, &error);
    }
    mem_free(words);
}

// ---- REWRITE ------------------------------------------------------------------------------------

// The file is read, rewritten into a new one beside it, synced and renamed, all off the loop.
struct rewrite {
    struct suspension suspension;
    struct file_turn turn;
    char *path;
    struct buf old_text, new_text;
    struct error error;
    bool reading;
};

static void rewrite_gone(struct suspension *s)
{
    (void)s; // the file is finished all the same
}

static void rewrite_work(struct work *w)
{
    struct rewrite *r = list_entry(w, struct rewrite, turn.work);
    bool ok = r->reading ? whole_file_read_if_any(r->path, &r->old_text, &r->error)
                         : whole_file_replace(r->path, buf_view(&r->new_text), 0644, &r->error);
    if (!ok) error_context(&r->error, "Rewriting config file");
}

static void rewrite_answer(struct rewrite *r)
{
    struct log *log = &r->turn.node->log;
    if (error_is(&r->error))
        log_warning(log, "CONFIG REWRITE failed: %s", r->error.text);
    else
        log_warning(log, "CONFIG REWRITE executed with success.");
    if (r->suspension.client != NULL) {
        struct reply *reply = client_reply(r->suspension.client);
        if (error_is(&r->error))
            reply_error(reply, r->error.text);
        else
            reply_ok(reply);
        client_resume(&r->suspension);
    }
}

static void rewrite_done(struct work *w)
{
    struct rewrite *r = list_entry(w, struct rewrite, turn.work);
    struct node *n = r->turn.node;
    // What can't be read stays: a new file would be without its lines.
    if (n != NULL && r->reading && !error_is(&r->error)) {
        r->reading = false;
        acl_update_config(n);
        config_rewritten(&n->config, buf_view(&r->old_text), &r->new_text);
        file_turn_again(&r->turn);
        return;
    }
    if (n != NULL) rewrite_answer(r);
    file_turn_end(&r->turn);
    buf_free(&r->old_text);
    buf_free(&r->new_text);
    mem_free(r->path);
    mem_free(r);
}

static void config_rewrite_command(struct ctx *c)
{
    const char *path = c->node->config.config_file;
    if (path == NULL) {
        reply_error(c->reply, "The server is running without a config file");
        return;
    }
    struct rewrite *r = mem_new(struct rewrite);
    r->path = mem_alloc(strlen(path) + 1);
    memcpy(r->path, path, strlen(path) + 1);
    r->suspension.gone = rewrite_gone;
    r->turn.work.work = rewrite_work;
    r->turn.work.done = rewrite_done;
    r->reading = true;
    // Inside a transaction nobody can wait for it: it is on its way, and the log tells.
    if (!ctx_suspend(c, &r->suspension)) reply_ok(c->reply);
    file_turn_begin(c->node, &r->turn);
}

// ---- RESETSTAT ----------------------------------------------------------------------------------

static void config_resetstat(struct ctx *c)
{
    struct node *n = c->node;
    uint64_t peak = n->stats.peak_memory;
    n->stats = (struct node_stats){.peak_memory = peak};
    dispatch_reset_stats(n);
    node_reset_errors(n);
    loop_stats_reset(n->loop);
    reply_ok(c->reply);
}

static void config_help(struct ctx *c)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Print this help.",
    };
    size_t count = sizeof(lines) / sizeof(lines[0]);
    reply_array(c->reply, count);
    for (size_t i = 0; i < count; i++)
        reply_status(c->reply, lines[i]);
}

enum { FLAGS = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE };

static const struct command config_children[] = {
    {"get", config_get, -3, FLAGS, .acl = NULL},
    {"set", config_set_command, -4, FLAGS, .acl = NULL},
    {"rewrite", config_rewrite_command, 2, FLAGS, .acl = NULL},
    {"resetstat", config_resetstat, 2, FLAGS, .acl = NULL},
    {"help", config_help, 2, CMD_LOADING | CMD_STALE, .acl = NULL},
    {0},
};

const struct command commands_config[] = {
    {"config", NULL, -2, 0, .children = config_children},
    {0},
};
