#include "node/slowlog.h"

#include "base/mem.h"
#include "node/client_list.h"
#include "node/ctx_impl.h"
#include "node/secret.h"

struct slowlog {
    struct list entries;
    int count;
    uint64_t next_id;
};

void slowlog_init(struct node *n)
{
    n->slowlog = mem_new(struct slowlog);
    list_init(&n->slowlog->entries);
}

static void drop_last(struct slowlog *log)
{
    struct slowlog_entry *e = list_entry(log->entries.prev, struct slowlog_entry, link);
    list_remove(&e->link);
    log->count--;
    for (int i = 0; i < e->argc; i++)
        str_free(e->argv[i]);
    str_free(e->client_name);
    mem_free(e);
}

void slowlog_reset(struct node *n)
{
    while (n->slowlog->count > 0)
        drop_last(n->slowlog);
}

void slowlog_trim(struct node *n)
{
    while (n->slowlog->count > n->config.slowlog_max_len)
        drop_last(n->slowlog);
}

void slowlog_free(struct node *n)
{
    slowlog_reset(n);
    mem_free(n->slowlog);
    n->slowlog = NULL;
}

static struct str *shortened(struct bytes arg)
{
    if (arg.len <= SLOWLOG_ARG_BYTES) return str_from(arg);
    struct str *more = str_printf("... (%zu more bytes)", arg.len - SLOWLOG_ARG_BYTES);
    struct str *s = str_append(str_new(arg.data, SLOWLOG_ARG_BYTES), str_view(more));
    str_free(more);
    return s;
}

void slowlog_note(struct node *n, struct client *c, const char *name, int argc,
                  const struct bytes *argv, uint64_t us)
{
    int64_t limit_us = n->config.slowlog_log_slower_than_us;
    if (limit_us < 0 || us < (uint64_t)limit_us) return;
    int kept_args = argc < SLOWLOG_ARGS_MAX ? argc : SLOWLOG_ARGS_MAX;
    struct slowlog_entry *e = mem_alloc(sizeof(*e) + (size_t)kept_args * sizeof(struct str *));
    *e = (struct slowlog_entry){
        .id = n->slowlog->next_id++,
        .unix_s = loop_unix_ms(n->loop) / 1000,
        .us = us,
        .client_name = c->name != NULL ? str_dup(c->name) : NULL,
        .argc = kept_args,
    };
    client_peer_name(c, e->peer, sizeof(e->peer));
    for (int i = 0; i < kept_args; i++) {
        if (argc > kept_args && i == kept_args - 1)
            e->argv[i] = str_printf("... (%d more arguments)", argc - kept_args + 1);
        else if (argument_is_secret(name, argc, argv, i))
            e->argv[i] = str_from(BYTES("(redacted)"));
        else
            e->argv[i] = shortened(argv[i]);
    }
    list_push_front(&n->slowlog->entries, &e->link);
    n->slowlog->count++;
    slowlog_trim(n);
}

int slowlog_count(const struct node *n)
{
    return n->slowlog->count;
}

const struct list *slowlog_entries(const struct node *n)
{
    return &n->slowlog->entries;
}
