// What every conn has in common: the rules of conn.h, kept in one place so that layers need not.
#include "conn/conn.h"

#include <assert.h>

void conn_init(struct conn *c, const struct conn_ops *ops, struct loop *loop,
               const struct conn_events *events, void *owner)
{
    *c = (struct conn){.ops = ops, .loop = loop, .events = events, .owner = owner};
}

// ---- down -----------------------------------------------------------------------------------

void conn_write(struct conn *c, struct chain *data)
{
    if (c->closing)
        chain_free(data);
    else if (data->len > 0)
        c->ops->write(c, data);
}

void conn_write_bytes(struct conn *c, struct bytes data)
{
    if (c->closing) return;
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, data.data, data.len);
    conn_write(c, &chain);
}

size_t conn_queued(const struct conn *c)
{
    return c->ops->queued(c);
}

void conn_pause(struct conn *c)
{
    if (c->paused || c->closing) return;
    c->paused = true;
    c->ops->pause(c);
}

void conn_resume(struct conn *c)
{
    if (!c->paused || c->closing) return;
    c->paused = false;
    c->ops->resume(c);
}

// A flush that goes on is cut short by a plain close; other repetitions mean nothing.
static void close_conn(struct conn *c, bool flush)
{
    assert(!c->over); // from inside `closed`
    if (c->closing && flush) return;
    c->closing = true;
    c->ops->close(c, flush);
}

void conn_close(struct conn *c)
{
    close_conn(c, false);
}

void conn_close_flush(struct conn *c)
{
    close_conn(c, true);
}

const char *conn_type(const struct conn *c)
{
    return c->ops->type;
}

void conn_peer(const struct conn *c, char *out, size_t size)
{
    c->ops->address(c, true, out, size);
}

void conn_local(const struct conn *c, char *out, size_t size)
{
    c->ops->address(c, false, out, size);
}

bool conn_peer_name(const struct conn *c, char *out, size_t size)
{
    return c->ops->peer_name != NULL && c->ops->peer_name(c, out, size);
}

void conn_nodelay(struct conn *c, bool on)
{
    if (c->ops->nodelay != NULL && !c->closing) c->ops->nodelay(c, on);
}

int conn_fd(const struct conn *c)
{
    return c->ops->fd != NULL ? c->ops->fd(c) : -1;
}

// ---- up -------------------------------------------------------------------------------------

void conn_emit_opened(struct conn *c)
{
    if (c->closing) return;
    assert(!c->opened);
    c->opened = true;
    if (c->events != NULL && c->events->opened != NULL) c->events->opened(c, c->owner);
}

void conn_emit_bytes(struct conn *c, struct bytes input)
{
    if (c->closing || input.len == 0) return;
    assert(c->opened);
    if (c->events != NULL && c->events->bytes != NULL) c->events->bytes(c, c->owner, input);
}

void conn_emit_drained(struct conn *c, size_t taken, size_t left)
{
    if (c->closing || taken == 0) return;
    if (c->events != NULL && c->events->drained != NULL)
        c->events->drained(c, c->owner, taken, left);
}

void conn_emit_closed(struct conn *c, const struct error *why)
{
    assert(!c->over);
    c->closing = true; // writes from inside `closed` are dropped
    c->over = true;
    if (c->events != NULL && c->events->closed != NULL) c->events->closed(c, c->owner, why);
}

// ---- layers ---------------------------------------------------------------------------------

void conn_layers_set(struct conn_layers *layers, const struct conn_layer *layer, void *context)
{
    for (int i = 0; i < layers->count; i++) {
        struct conn_layer_entry *e = &layers->at[i];
        if (strcmp(e->layer->name, layer->name) != 0) continue;
        if (e->context != NULL && e->context != context) e->layer->context_free(e->context);
        *e = (struct conn_layer_entry){layer, context};
        return;
    }
    assert(layers->count < CONN_LAYERS_MAX);
    layers->at[layers->count++] = (struct conn_layer_entry){layer, context};
}

const struct conn_layer_entry *conn_layers_find(const struct conn_layers *layers, const char *name)
{
    for (int i = 0; i < layers->count; i++)
        if (strcmp(layers->at[i].layer->name, name) == 0 && layers->at[i].context != NULL)
            return &layers->at[i];
    return NULL;
}

void conn_layers_free(struct conn_layers *layers)
{
    for (int i = 0; i < layers->count; i++)
        if (layers->at[i].context != NULL) layers->at[i].layer->context_free(layers->at[i].context);
    layers->count = 0;
}
