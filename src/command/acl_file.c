#include "command/acl_file.h"

#include "base/mem.h"
#include "node/acl.h"
#include "node/file_turn.h"
#include "node/whole_file.h"

// One LOAD or SAVE: the file is read or written on a worker thread while the client waits.
struct acl_file {
    struct suspension suspension;
    struct file_turn turn;
    struct str *path;
    bool save, lost; // lost: so is the client, with its user or its channels
    struct buf text;
    struct error error;
};

// A LOAD in front of it may have replaced the users meanwhile.
static void save_prepare(struct file_turn *t)
{
    acl_save_text(t->node, &list_entry(t, struct acl_file, turn)->text);
}

static void file_work(struct work *w)
{
    struct acl_file *f = list_entry(w, struct acl_file, turn.work);
    bool ok = f->save ? whole_file_replace(f->path->data, buf_view(&f->text), 0600, &f->error)
                      : whole_file_read(f->path->data, &f->text, &f->error);
    if (ok) f->error = ERROR_OK;
}

static void file_gone(struct suspension *s)
{
    (void)s; // what was begun is finished all the same
}

// Whoever asked for it gets the answer before it goes with its user.
static void load(struct acl_file *f, struct buf *errors)
{
    struct acl *acl = f->turn.node->acl;
    acl->spared = f->suspension.client;
    acl_load_text(f->turn.node, f->path->data, buf_view(&f->text), errors);
    acl->spared = NULL;
    f->lost = acl->spared_lost;
    acl->spared_lost = false;
}

static void finish_load(struct acl_file *f, struct reply *reply)
{
    struct buf errors = BUF_EMPTY;
    if (error_is(&f->error))
        buf_printf(&errors, "Error loading ACLs, opening file: %s", f->error.text);
    else
        load(f, &errors);
    if (buf_len(&errors) > 0)
        log_warning(&f->turn.node->log, "ACL LOAD failed: %.*s", (int)buf_len(&errors),
                    buf_view(&errors).data);
    if (reply != NULL && buf_len(&errors) > 0)
        reply_error_bytes(reply, buf_view(&errors));
    else if (reply != NULL)
        reply_ok(reply);
    buf_free(&errors);
}

static void finish_save(struct acl_file *f, struct reply *reply)
{
    if (error_is(&f->error)) log_warning(&f->turn.node->log, "ACL SAVE failed: %s", f->error.text);
    if (reply != NULL && error_is(&f->error))
        reply_error(reply, "There was an error trying to save the ACLs. Please check the server "
                           "logs for more information");
    else if (reply != NULL)
        reply_ok(reply);
}

static void answer(struct acl_file *f)
{
    struct client *client = f->suspension.client;
    struct reply *reply = client != NULL ? client_reply(client) : NULL;
    if (f->save)
        finish_save(f, reply);
    else
        finish_load(f, reply);
    if (client == NULL) return;
    client_resume(&f->suspension);
    if (f->lost) client_close_after_reply(client);
}

static void file_done(struct work *w)
{
    struct acl_file *f = list_entry(w, struct acl_file, turn.work);
    if (f->turn.node != NULL) answer(f);
    file_turn_end(&f->turn);
    buf_free(&f->text);
    str_free(f->path);
    mem_free(f);
}

static void begin(struct ctx *c, bool save)
{
    const char *path = c->node->config.aclfile;
    if (path[0] == '\0') {
        reply_error(c->reply,
                    "This Redis instance is not configured to use an ACL file. You may want to "
                    "specify users via the ACL SETUSER command and then issue a CONFIG REWRITE "
                    "(assuming you have a Redis configuration file set) in order to store users "
                    "in the Redis configuration.");
        return;
    }
    struct acl_file *f = mem_new(struct acl_file);
    f->path = str_from(bytes_from_cstr(path));
    f->save = save;
    f->suspension.gone = file_gone;
    f->turn.work.work = file_work;
    f->turn.work.done = file_done;
    if (save) f->turn.prepare = save_prepare;
    // Inside a transaction nobody can wait for it: it is on its way, and the log tells.
    if (!ctx_suspend(c, &f->suspension)) reply_ok(c->reply);
    file_turn_begin(c->node, &f->turn);
}

void acl_load_command(struct ctx *c)
{
    begin(c, false);
}

void acl_save_command(struct ctx *c)
{
    begin(c, true);
}
