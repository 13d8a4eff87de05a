#include "sim/world/client.h"

#include "base/mem.h"

struct question {
    struct list link;
    client_answer *answer;
    void *owner;
    uint64_t asked_us;
    char words[48]; // for whoever wants to know what was never answered
};

static void watch_oldest(struct client_link *c)
{
    struct loop *loop = sim_loop(c->at);
    if (list_empty(&c->asked))
        deadline_cancel(loop, &c->patience);
    else
        deadline_arm(loop, &c->patience, loop_now_us(loop) + CLIENT_PATIENCE_US);
}

static void on_patience(struct deadline *d)
{
    struct client_link *c = list_entry(d, struct client_link, patience);
    struct question *q = list_entry(c->asked.next, struct question, link);
    world_fail(c->world, "client %s of %s was never answered: %s", sim_host(c->at), c->to->host,
               q->words);
}

static void answer_front(struct client_link *c, const struct reader_value *reply)
{
    struct question *q = list_entry(list_pop_front(&c->asked), struct question, link);
    client_answer *answer = q->answer;
    void *owner = q->owner;
    mem_free(q);
    watch_oldest(c);
    if (reply != NULL)
        c->answers++;
    else
        c->losses++;
    if (answer != NULL) answer(c, owner, reply);
}

// What is asked anew from inside an answer belongs to the next conn.
static void lose_all(struct client_link *c)
{
    struct list lost;
    list_init(&lost);
    list_splice_back(&lost, &c->asked);
    watch_oldest(c);
    while (!list_empty(&lost)) {
        struct question *q = list_entry(list_pop_front(&lost), struct question, link);
        client_answer *answer = q->answer;
        void *owner = q->owner;
        mem_free(q);
        c->losses++;
        if (answer != NULL) answer(c, owner, NULL);
    }
}

static void on_opened(struct conn *conn, void *owner)
{
    (void)conn, (void)owner;
}

static void on_drained(struct conn *conn, void *owner, size_t taken, size_t left)
{
    (void)conn, (void)owner, (void)taken, (void)left;
}

static void on_bytes(struct conn *conn, void *owner, struct bytes input)
{
    struct client_link *c = owner;
    struct error error = ERROR_OK;
    if (!reader_feed(&c->reader, input, &error))
        world_fail(c->world, "%s answers nonsense: %s", c->to->host, error.text);
    while (c->conn == conn) {
        struct reader_value *reply;
        enum reader_state got = reader_next(&c->reader, &reply, &error);
        if (got == READER_NEED_MORE) return;
        if (got == READER_FAILED)
            world_fail(c->world, "%s answers nonsense: %s", c->to->host, error.text);
        if (list_empty(&c->asked))
            world_fail(c->world, "%s answers what %s did not ask", c->to->host, sim_host(c->at));
        answer_front(c, reply);
        reader_value_free(reply);
    }
}

static void on_closed(struct conn *conn, void *owner, const struct error *why)
{
    struct client_link *c = owner;
    (void)conn, (void)why;
    c->conn = NULL;
    reader_free(&c->reader);
    lose_all(c);
}

static void nobody_closed(struct conn *conn, void *owner, const struct error *why)
{
    (void)conn, (void)owner, (void)why;
}

static void nobody_bytes(struct conn *conn, void *owner, struct bytes input)
{
    (void)conn, (void)owner, (void)input;
}

static const struct conn_events events = {on_opened, on_bytes, on_drained, on_closed};
static const struct conn_events nobody = {on_opened, nobody_bytes, on_drained, nobody_closed};

static void on_think(struct deadline *d)
{
    struct client_link *c = list_entry(d, struct client_link, think);
    c->act(c);
}

struct client_link *client_new_at(struct world *w, const char *host, struct member *to)
{
    struct client_link *c = mem_new(struct client_link);
    c->world = w;
    c->at = sim_node_new(w->sim, host);
    c->to = to;
    list_init(&c->asked);
    c->patience.fire = on_patience;
    c->think.fire = on_think;
    list_push_back(&w->clients, &c->link);
    return c;
}

static void drop_conn(struct client_link *c)
{
    if (c->conn == NULL) return;
    conn_own(c->conn, &nobody, NULL);
    conn_close(c->conn);
    c->conn = NULL;
    reader_free(&c->reader);
}

void client_free_link(struct client_link *c)
{
    drop_conn(c);
    for (struct list *at; (at = list_pop_front(&c->asked)) != NULL;)
        mem_free(list_entry(at, struct question, link));
    deadline_cancel(sim_loop(c->at), &c->patience);
    deadline_cancel(sim_loop(c->at), &c->think);
    list_remove(&c->link);
    mem_free(c);
}

void client_turn_to(struct client_link *c, struct member *to)
{
    if (c->to == to) return;
    drop_conn(c);
    c->to = to;
    lose_all(c);
}

void world_drop_clients(struct world *w, const struct member *m)
{
    list_each(at, &w->clients)
    {
        struct client_link *c = list_entry(at, struct client_link, link);
        if (c->to != m || c->conn == NULL) continue;
        drop_conn(c);
        lose_all(c);
    }
}

// For the trace: the words, each cut short.
static void note_words(struct client_link *c, const struct chain *request)
{
    struct bytes views[64];
    char line[200];
    size_t len = 0;
    if (!c->world->options.trace && !c->world->options.verbose) return;
    int count = chain_peek(request, views, 64);
    for (int i = 0, run = 0; i < count; i++)
        for (size_t j = 0; j < views[i].len && len + 1 < sizeof(line); j++) {
            char byte = views[i].data[j];
            bool text = byte > ' ' && byte <= '~';
            run = text ? run + 1 : 0;
            if (text && run < 40) line[len++] = byte;
            if (byte == '\n') line[len++] = ' ';
        }
    line[len] = '\0';
    world_note(c->world, "%s > %s %s", sim_host(c->at), c->to->host, line);
}

static void connect_now(struct client_link *c)
{
    struct conn_target target = {.host = c->to->host, .port = WORLD_PORT};
    reader_init(&c->reader);
    c->conn = net_connect(sim_network(c->at), &target, &events, c);
    if (c->db != 0) client_ask(c, NULL, NULL, "SELECT %d", c->db);
}

void client_ask_chain(struct client_link *c, struct chain *request, client_answer *answer,
                      void *owner)
{
    if (c->conn == NULL) connect_now(c);
    struct question *q = mem_new(struct question);
    q->answer = answer;
    q->owner = owner;
    struct bytes head;
    if (chain_peek(request, &head, 1) > 0) {
        size_t len = head.len < sizeof(q->words) - 1 ? head.len : sizeof(q->words) - 1;
        for (size_t i = 0; i < len; i++)
            q->words[i] = head.data[i] < ' ' || head.data[i] > '~' ? ' ' : head.data[i];
    }
    note_words(c, request);
    list_push_back(&c->asked, &q->link);
    if (c->asked.next == &q->link) watch_oldest(c);
    conn_write(c->conn, request);
}

void client_think(struct client_link *c, uint64_t us)
{
    struct loop *loop = sim_loop(c->at);
    deadline_arm(loop, &c->think, loop_now_us(loop) + us);
}

bool reply_is_error(const struct reader_value *reply, const char *code)
{
    return reply != NULL && reply->type == READER_ERROR &&
           strncmp(reply->text->data, code, strlen(code)) == 0;
}
