// A client's life: accepted, reading requests one by one, waiting, answering, gone.
//
// Input is parsed as it arrives. While the client waits (blocked, parked, suspended) bytes are kept
// in `input`, and beyond CLIENT_INPUT_BYTES the peer is held back. A primary's link keeps them in
// `behind`, where its owner bounds them. Output gathers in `output` during a dispatch and is sent
// before the loop waits.
#include "base/mem.h"
#include "node/acl.h"
#include "node/ctx_impl.h"
#include "node/lookahead.h"
#include "node/tracking.h"

#include <stdio.h>

enum {
    CLIENT_INPUT_BYTES = 64 * 1024,
    CLIENT_OUTPUT_SEND_BYTES = 64 * 1024, // output of one dispatch that is sent without waiting
    CLIENT_WORDS_PER_LOOK = 32,           // at how long this client has had the loop
    CLIENT_WORDS_LEAST = 4,               // that a request counts for
};

static const uint32_t waits =
    CLIENT_BLOCKED | CLIENT_PARKED | CLIENT_SUSPENDED | CLIENT_CLOSE_AFTER_REPLY | CLIENT_CLOSING;

// DEBUG SLEEP holds everybody up.
static bool client_waits(const struct client *c)
{
    return (c->flags & waits) != 0 || deadline_armed(&c->node->thaw);
}

static void on_process(struct task *task);
static enum job_state apply_slice(struct job *job, struct budget *budget);

struct client *client_new(struct node *n)
{
    struct client *c = mem_new(struct client);
    c->node = n;
    c->id = n->next_client_id++;
    c->created_us = c->active_us = loop_now_us(n->loop);
    chain_init(&c->output);
    chain_init(&c->pushes);
    chain_init(&c->behind);
    c->reply = reply_to(&c->output, 2);
    c->reply.on_error = node_count_error;
    c->reply.owner = c;
    list_init(&c->link);
    list_init(&c->flush_link);
    list_init(&c->monitor_link);
    list_init(&c->watches);
    list_init(&c->blocks);
    list_init(&c->waiter.link);
    c->waiter.ready = client_unpark;
    c->pending = REQUEST_EMPTY;
    task_init(&c->process, on_process);
    job_init(&c->slices, "stream", apply_slice);
    request_parser_init(&c->parser);
    c->parser.limits = &n->config.request_limits;
    c->parser.owner = c;
    return c;
}

// ---- events of the conn -------------------------------------------------------------------------

static void on_opened(struct conn *conn, void *owner)
{
    (void)conn;
    (void)owner;
}

static void on_bytes(struct conn *conn, void *owner, struct bytes input)
{
    struct client *c = owner;
    (void)conn;
    if (c->flags & (CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY)) return;
    c->node->stats.net_input_bytes += input.len;
    c->node->stats.io_reads++;
    c->active_us = loop_now_us(c->node->loop);
    if (buf_len(&c->input) == 0 && !client_waits(c)) client_parse(c, &input);
    evict_clients_count(c);
    if (c->flags & CLIENT_REPLICA) repl_client_input(c);
    if (input.len == 0 || (c->flags & (CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY))) return;
    buf_append_bytes(&c->input, input);
    if (buf_len(&c->input) > CLIENT_INPUT_BYTES) conn_pause(c->conn);
    evict_clients_count(c);
}

static void on_drained(struct conn *conn, void *owner, size_t taken, size_t left)
{
    struct client *c = owner;
    (void)conn;
    c->node->stats.net_output_bytes += taken;
    c->node->stats.io_writes++;
    evict_clients_count(c);
    if (c->flags & CLIENT_REPLICA)
        repl_client_drained(c, taken, left);
    else if (left == 0)
        c->output_soft_since_us = 0;
}

static void on_closed(struct conn *conn, void *owner, const struct error *why)
{
    struct client *c = owner;
    char peer[128];
    conn_peer(conn, peer, sizeof(peer));
    if (why->class == ERROR_TLS || why->class == ERROR_TIMEOUT)
        log_verbose(&c->node->log, "Error accepting a client connection from %s: %s", peer,
                    why->text);
    else
        log_verbose(&c->node->log, "Client closed connection %s", peer);
    c->conn = NULL;
    client_free(c);
}

static const struct conn_events client_events = {on_opened, on_bytes, on_drained, on_closed};

static bool is_loopback(const char *peer)
{
    return strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]", 5) == 0 ||
           strncmp(peer, "::1", 3) == 0;
}

static void refuse(struct client *c, const char *text)
{
    c->node->stats.rejected_connections++;
    reply_error(&c->reply, text);
    client_touch_output(c);
    client_close_after_reply(c);
}

void client_accept(struct node *n, struct conn *conn, bool unix_socket, bool tls)
{
    struct client *c = client_new(n);
    c->conn = conn;
    conn_own(conn, &client_events, c);
    c->flags |= (unix_socket ? CLIENT_UNIX : 0) | (tls ? CLIENT_TLS : 0);
    acl_welcome(c);
    c->parser.want_stream = client_wants_stream;
    list_push_back(&n->clients, &c->link);
    n->client_count++;
    n->stats.connections_received++;
    char peer[128];
    conn_peer(conn, peer, sizeof(peer));
    log_verbose(&n->log, "Accepted %s", peer);
    if (n->client_count > n->config.maxclients) {
        refuse(c, "max number of clients reached");
        return;
    }
    if (n->config.protected_mode && n->acl->standard->nopass && !unix_socket && !is_loopback(peer))
        refuse(c, "-DENIED Redis is running in protected mode because protected mode is enabled "
                  "and no password is set for the default user. In this mode connections are only "
                  "accepted from the loopback interface. To accept others: set a password "
                  "(requirepass), or disable protected mode with 'CONFIG SET protected-mode no' "
                  "from a loopback connection, or with protected-mode no in the configuration "
                  "file, or with --protected-mode no.");
}

// ---- requests -----------------------------------------------------------------------------------

bool client_wants_stream(void *owner, const struct request *so_far, int index, uint64_t len)
{
    struct client *c = owner;
    bool known = (c->flags & (CLIENT_AUTHENTICATED | CLIENT_PRIMARY)) || acl_open(c->node);
    bool may = known && !(c->flags & CLIENT_MULTI);
    return may && restore_wants_stream(c, so_far, index, len);
}

static void protocol_error(struct client *c, const struct error *error)
{
    char peer[128];
    client_address(c, peer, sizeof(peer));
    if (error->class == ERROR_LIMIT) {
        log_warning(&c->node->log, "Closing client that reached max query buffer length: %s", peer);
        c->node->stats.query_limit_disconnections++;
        client_close(c);
        return;
    }
    log_verbose(&c->node->log, "Protocol error (%s) from client: %s", error->text, peer);
    if (c->flags & CLIENT_REPLICA) { // an answer would stand in the stream
        client_close(c);
        return;
    }
    reply_error(&c->reply, error->text);
    client_touch_output(c);
    client_close_after_reply(c);
}

// CLIENT REPLY SKIP is about the command after it alone.
static void next_reply_mode(struct client *c)
{
    bool skip = (c->flags & CLIENT_REPLY_SKIP_NEXT) != 0;
    c->flags &= ~(uint32_t)(CLIENT_REPLY_SKIP_NEXT | CLIENT_REPLY_SKIP);
    if (skip) c->flags |= CLIENT_REPLY_SKIP;
    client_set_muted(c);
}

// Charges the request that has run; false: the rest is for the next slice.
static bool may_go_on(const struct client *c)
{
    enum { REQUEST_UNITS = 20 };
    uint64_t units = REQUEST_UNITS + c->wire_bytes / 64;
    return c->budget == NULL || budget_left(c->budget, units < 100000 ? (uint32_t)units : 100000);
}

// A pipeline is run in turns, so that deadlines and other clients come in between. What is left of
// the input waits for the next turn, and its end with it: the conn is not read meanwhile.
static bool turn_over(struct client *c, int *words)
{
    if (*words < CLIENT_WORDS_PER_LOOK || c->conn == NULL) return false;
    *words = 0;
    if (!loop_turn_over(c->node->loop)) return false;
    conn_pause(c->conn);
    client_process_soon(c);
    return true;
}

static bool goes_on_soon(const struct client *c)
{
    return !list_empty(&c->process.link);
}

// Runs requests from the front of `input` until it is used up, the client has to wait, or its turn
// is over or its budget spent.
void client_parse(struct client *c, struct bytes *input)
{
    struct error error;
    struct lookahead ahead = {0};
    int words = 0;
    while (!client_waits(c)) {
        switch (request_parse(&c->parser, input, &error)) {
        case REQUEST_NEED_MORE:
            return;
        case REQUEST_STREAM:
            restore_stream_chunk(c, &c->parser.stream);
            break;
        case REQUEST_READY: {
            struct request r = request_take(&c->parser);
            c->wire_bytes = r.wire_bytes;
            words += r.argc > CLIENT_WORDS_LEAST ? r.argc : CLIENT_WORDS_LEAST;
            if (c->flags & (CLIENT_REPLY_SKIP_NEXT | CLIENT_REPLY_SKIP)) next_reply_mode(c);
            lookahead(&ahead, store_db(&c->node->store, c->db), *input);
            dispatch_request(c, &r);
            client_ran(c);
            if (!may_go_on(c)) return;
            if (input->len > 0 && !client_waits(c) && turn_over(c, &words)) return;
            break;
        }
        case REQUEST_ERROR:
            protocol_error(c, &error);
            return;
        }
    }
}

// After a request has run, or was queued by MULTI: replication counts and watches.
void client_ran(struct client *c)
{
    if (c->flags & (CLIENT_PARKED | CLIENT_SUSPENDED)) return;
    if ((c->flags & CLIENT_REPLY_SKIP) && !client_waits(c)) {
        c->flags &= ~(uint32_t)CLIENT_REPLY_SKIP;
        client_set_muted(c);
    }
    evict_clients_count(c);
    if (c->flags & CLIENT_PRIMARY)
        repl_applied(c->node, c, c->wire_bytes);
    else if (c->flags & CLIENT_REPLICA)
        repl_client_ran(c, c->last_name != NULL ? c->last_name : "<unknown>");
}

void client_process(struct client *c)
{
    if (client_waits(c)) return;
    if (c->flags & CLIENT_PRIMARY) {
        job_start(c->node->loop, &c->slices);
        return;
    }
    while (buf_len(&c->input) > 0 && !client_waits(c)) {
        struct bytes input = buf_view(&c->input);
        size_t before = input.len;
        client_parse(c, &input);
        buf_consume(&c->input, before - input.len);
        if (input.len == before || goes_on_soon(c)) break;
    }
    if (c->flags & CLIENT_CLOSING) return;
    if (buf_len(&c->input) == 0) buf_free(&c->input);
    if (c->conn != NULL && buf_len(&c->input) <= CLIENT_INPUT_BYTES && !goes_on_soon(c))
        conn_resume(c->conn);
}

static void on_process(struct task *task)
{
    client_process(list_entry(task, struct client, process));
}

void client_process_soon(struct client *c)
{
    if (c->flags & CLIENT_CLOSING) return;
    loop_defer(c->node->loop, &c->process);
}

void client_unpark(struct waiter *w)
{
    struct client *c = list_entry(w, struct client, waiter);
    if (c->flags & CLIENT_CLOSING) return; // its request goes with it
    c->flags &= ~(uint32_t)CLIENT_PARKED;
    if (c->flags & CLIENT_BLOCKED) {
        // It was to be served when the hold was met; ask its keys again.
        dispatch_retry(c);
        return;
    }
    struct request r = c->pending;
    c->pending = REQUEST_EMPTY;
    dispatch_request(c, &r);
    client_ran(c);
    client_process_soon(c);
}

// ---- a primary's link ---------------------------------------------------------------------------

struct client *client_new_primary(struct node *n)
{
    struct client *c = client_new(n);
    c->flags |= CLIENT_PRIMARY | CLIENT_AUTHENTICATED;
    c->parser.authenticated = true;
    c->parser.primary = true;
    c->parser.want_stream = client_wants_stream;
    c->reply.out = NULL;
    n->primary_link = c;
    return c;
}

static void parse_within(struct client *c, struct bytes *input, struct budget *budget)
{
    c->budget = budget;
    client_parse(c, input);
    c->budget = NULL;
}

void client_feed(struct client *c, struct bytes input, struct budget *budget)
{
    if (c->behind.len == 0 && !client_waits(c)) parse_within(c, &input, budget);
    if (input.len == 0) return;
    chain_append(&c->behind, input.data, input.len);
    client_process(c);
}

static enum job_state apply_slice(struct job *job, struct budget *budget)
{
    struct client *c = list_entry(job, struct client, slices);
    struct bytes input = {0};
    while (input.len == 0 && !client_waits(c) && chain_peek(&c->behind, &input, 1) > 0) {
        size_t before = input.len;
        parse_within(c, &input, budget);
        chain_consume(&c->behind, before - input.len);
    }
    bool over = (c->flags & (CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY)) != 0;
    if (!over && c->behind.len > 0) return client_waits(c) ? JOB_IDLE : JOB_MORE;
    chain_free(&c->behind);
    if (c->fed != NULL) c->fed(c);
    return JOB_DONE;
}

void client_free_primary(struct client *c)
{
    if (c->node->primary_link == c) c->node->primary_link = NULL;
    client_free(c);
}

// ---- output -------------------------------------------------------------------------------------

struct reply *client_reply(struct client *c)
{
    return &c->reply;
}

void client_set_muted(struct client *c)
{
    if (c->flags & CLIENT_PRIMARY) return;
    c->reply.out = c->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP) ? NULL : &c->output;
}

struct reply client_push(struct client *c)
{
    const struct ctx *running = c->node->current;
    struct chain *out = running != NULL && running->client == c ? &c->pushes : &c->output;
    bool gone = c->conn == NULL || (c->flags & CLIENT_CLOSING);
    return reply_to(gone ? NULL : out, c->reply.resp);
}

static void send_output(struct client *c)
{
    list_remove(&c->flush_link);
    if (c->conn == NULL || c->output.len == 0) return;
    conn_write(c->conn, &c->output);
    client_check_output(c);
    evict_clients_count(c);
}

void client_touch_output(struct client *c)
{
    if (c->output.len == 0 || c->conn == NULL || (c->flags & CLIENT_CLOSING)) return;
    if (c->output.len >= CLIENT_OUTPUT_SEND_BYTES)
        send_output(c);
    else if (list_empty(&c->flush_link))
        list_push_back(&c->node->to_flush, &c->flush_link);
}

void client_flush_hook(struct before_wait *hook)
{
    struct node *n = list_entry(hook, struct node, flush_hook);
    tracking_broadcast(n);
    list_each_safe(at, &n->to_flush)
    {
        struct client *c = list_entry(at, struct client, flush_link);
        send_output(c);
        if (c->flags & CLIENT_CLOSE_AFTER_REPLY) client_close_after_reply(c);
    }
    evict_clients(n);
}

void client_check_output(struct client *c)
{
    const struct output_limit *limit = &c->node->config.output_limit[client_class(c)];
    // A replica's output is shared with the backlog: replication bounds it.
    if (c->conn == NULL || client_class(c) >= CLASS_COUNT || c->flags & CLIENT_REPLICA) return;
    int64_t queued = (int64_t)conn_queued(c->conn);
    uint64_t now_us = loop_now_us(c->node->loop);
    bool over = limit->hard_bytes > 0 && queued > limit->hard_bytes;
    if (limit->soft_bytes > 0 && queued > limit->soft_bytes) {
        if (c->output_soft_since_us == 0) c->output_soft_since_us = now_us;
        over |= now_us - c->output_soft_since_us > (uint64_t)limit->soft_seconds * 1000000;
    } else {
        c->output_soft_since_us = 0;
    }
    if (!over || (c->flags & CLIENT_CLOSING)) return;
    char peer[128];
    client_address(c, peer, sizeof(peer));
    log_warning(&c->node->log,
                "Client id=%llu addr=%s closed for overcoming of output buffer limits.",
                (unsigned long long)c->id, peer);
    c->node->stats.output_limit_disconnections++;
    client_close(c);
}

enum client_class client_class(const struct client *c)
{
    if (c->flags & CLIENT_PRIMARY) return CLASS_PRIMARY;
    if ((c->flags & CLIENT_REPLICA) && !(c->flags & CLIENT_MONITOR)) return CLASS_REPLICA;
    return c->flags & CLIENT_PUBSUB ? CLASS_PUBSUB : CLASS_NORMAL;
}

const char *client_class_name(const struct client *c)
{
    static const char *const names[] = {"normal", "replica", "pubsub", "?", "master"};
    return names[client_class(c)];
}

void client_address(const struct client *c, char *out, size_t size)
{
    if (c->conn != NULL)
        conn_peer(c->conn, out, size);
    else
        snprintf(out, size, "?:0");
}

// ---- the end ------------------------------------------------------------------------------------

struct client *client_find(struct node *n, uint64_t id)
{
    list_each(at, &n->clients)
    {
        struct client *c = list_entry(at, struct client, link);
        if (c->id == id) return c;
    }
    return NULL;
}

void client_close(struct client *c)
{
    if (c->flags & CLIENT_CLOSING) return;
    c->flags |= CLIENT_CLOSING;
    if (c->conn != NULL) conn_close(c->conn);
}

void client_close_after_reply(struct client *c)
{
    if (c->flags & CLIENT_CLOSING) return;
    c->flags |= CLIENT_CLOSE_AFTER_REPLY;
    // Inside a dispatch more of the reply may follow: the flush hook comes back here.
    if (!list_empty(&c->flush_link)) return;
    c->flags |= CLIENT_CLOSING;
    if (c->conn != NULL) conn_close_flush(c->conn);
}

void client_free(struct client *c)
{
    struct node *n = c->node;
    c->flags |= CLIENT_CLOSING;
    evict_clients_count(c);
    if (c->suspension != NULL) {
        c->suspension->client = NULL;
        c->suspension->gone(c->suspension);
        c->suspension = NULL;
    }
    if (c->replica != NULL) repl_client_closed(c);
    if (c->restore != NULL) restore_stream_free(c);
    blocking_client_gone(c);
    multi_discard(c);
    pubsub_client_gone(c);
    tracking_disable(c);
    task_cancel(&c->process);
    job_stop(n->loop, &c->slices);
    list_remove(&c->waiter.link);
    list_remove(&c->flush_link);
    list_remove(&c->monitor_link);
    if (!list_empty(&c->link)) n->client_count--;
    list_remove(&c->link);
    request_parser_free(&c->parser);
    request_clear(&c->pending);
    buf_free(&c->input);
    chain_free(&c->output);
    chain_free(&c->pushes);
    chain_free(&c->behind);
    str_free(c->name);
    mem_free(c);
}
