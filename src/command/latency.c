// LATENCY: what took longer than latency-monitor-threshold, and how long each command takes.
#include "node/latency.h"

#include "command/help.h"
#include "command/table.h"
#include "node/ctx_impl.h"
#include "value/dict.h"

#include <stdio.h>

// ---- events -------------------------------------------------------------------------------------

static void latency_latest(struct ctx *c)
{
    struct reply_deferred all;
    size_t count = 0;
    reply_begin(c->reply, &all);
    list_each(at, latency_events(c->node))
    {
        const struct latency_event *e = list_entry(at, struct latency_event, link);
        const struct latency_sample *last = latency_sample(e, e->count - 1);
        reply_array(c->reply, 4);
        reply_bulk_cstr(c->reply, e->name);
        reply_integer(c->reply, last->unix_s);
        reply_integer(c->reply, (int64_t)last->ms);
        reply_integer(c->reply, (int64_t)e->max_ms);
        count++;
    }
    reply_end_array(c->reply, &all, count);
}

static void latency_history(struct ctx *c)
{
    const struct latency_event *e = latency_find(c->node, ctx_arg(c, 2));
    int count = e != NULL ? e->count : 0;
    reply_array(c->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        const struct latency_sample *s = latency_sample(e, i);
        reply_array(c->reply, 2);
        reply_integer(c->reply, s->unix_s);
        reply_integer(c->reply, (int64_t)s->ms);
    }
}

static void latency_reset_command(struct ctx *c)
{
    int64_t count = 0;
    for (int i = 2; i < c->argc; i++) {
        struct latency_event *e = latency_find(c->node, ctx_arg(c, i));
        if (e == NULL) continue;
        latency_reset(c->node, e);
        count++;
    }
    if (c->argc == 2) {
        list_each_safe(at, latency_events(c->node))
        {
            latency_reset(c->node, list_entry(at, struct latency_event, link));
            count++;
        }
    }
    reply_integer(c->reply, count);
}

// ---- for people ---------------------------------------------------------------------------------

enum { GRAPH_COLUMNS = 80, GRAPH_ROWS = 4 };

// One column a sample, the newest to the right, the highest as high as the graph.
static void latency_graph(struct ctx *c)
{
    const struct latency_event *e = latency_find(c->node, ctx_arg(c, 2));
    if (e == NULL) {
        reply_errorf(c->reply, "No samples available for event '%.128s'", c->argv[2]->data);
        return;
    }
    int columns = e->count < GRAPH_COLUMNS ? e->count : GRAPH_COLUMNS;
    uint64_t high = 0, low = UINT64_MAX;
    for (int i = 0; i < columns; i++) {
        uint64_t ms = latency_sample(e, e->count - columns + i)->ms;
        if (ms > high) high = ms;
        if (ms < low) low = ms;
    }
    struct buf out = BUF_EMPTY;
    buf_printf(&out, "%s - high %llu ms, low %llu ms (all time high %llu ms)\n", e->name,
               (unsigned long long)high, (unsigned long long)low, (unsigned long long)e->max_ms);
    for (int i = 0; i < GRAPH_COLUMNS; i++)
        buf_append_byte(&out, '-');
    for (int row = GRAPH_ROWS; row > 0; row--) {
        buf_append_byte(&out, '\n');
        for (int i = 0; i < columns; i++) {
            uint64_t ms = latency_sample(e, e->count - columns + i)->ms;
            uint64_t height = high > low ? 1 + (ms - low) * (GRAPH_ROWS - 1) / (high - low) : 1;
            buf_append_byte(&out, height >= (uint64_t)row ? '#' : ' ');
        }
    }
    buf_append_byte(&out, '\n');
    reply_verbatim(c->reply, "txt", buf_view(&out));
    buf_free(&out);
}

static void doctor_event(const struct latency_event *e, struct buf *out)
{
    uint64_t sum = 0, low = UINT64_MAX;
    for (int i = 0; i < e->count; i++) {
        uint64_t ms = latency_sample(e, i)->ms;
        sum += ms;
        if (ms < low) low = ms;
    }
    int64_t span_s = latency_sample(e, e->count - 1)->unix_s - latency_sample(e, 0)->unix_s;
    buf_printf(out,
               "%s: %d spikes in %lld seconds, %llu ms on average, from %llu ms up; the worst "
               "ever %llu ms.\n",
               e->name, e->count, (long long)span_s, (unsigned long long)(sum / (uint64_t)e->count),
               (unsigned long long)low, (unsigned long long)e->max_ms);
}

static void latency_doctor(struct ctx *c)
{
    struct node *n = c->node;
    struct buf out = BUF_EMPTY;
    if (n->config.latency_monitor_threshold_ms == 0) {
        buf_append_cstr(&out, "Latency monitoring is off. Turn it on with CONFIG SET "
                              "latency-monitor-threshold <milliseconds>.\n");
    } else if (list_empty(latency_events(n))) {
        buf_printf(&out, "Nothing has taken longer than %lld ms so far.\n",
                   (long long)n->config.latency_monitor_threshold_ms);
    }
    list_each(at, latency_events(n)) doctor_event(list_entry(at, struct latency_event, link), &out);
    if (latency_find(n, BYTES("command")) != NULL)
        buf_append_cstr(&out, "Commands that were slow are in SLOWLOG GET; those that walk whole "
                              "collections (KEYS, SMEMBERS, SORT ...) have cursors or ranges as "
                              "alternatives.\n");
    reply_verbatim(c->reply, "txt", buf_view(&out));
    buf_free(&out);
}

// ---- histograms ---------------------------------------------------------------------------------

// How many calls took up to each power of two of 1.024 microseconds, where that number grows.
static void reply_histogram(struct reply *r, const struct command_slot *slot)
{
    reply_bulk_cstr(r, slot->name);
    reply_map(r, 2);
    reply_bulk_cstr(r, "calls");
    reply_integer(r, (int64_t)histogram_count(slot->latency));
    reply_bulk_cstr(r, "histogram_usec");
    struct reply_deferred all;
    size_t pairs = 0;
    uint64_t total = histogram_count(slot->latency), before = 0;
    reply_begin(r, &all);
    for (uint64_t ns = 1024; before < total; ns *= 2) {
        uint64_t upto = histogram_count_to(slot->latency, ns);
        if (upto == before) continue;
        reply_integer(r, (int64_t)(ns / 1000));
        reply_integer(r, (int64_t)upto);
        before = upto;
        pairs++;
    }
    reply_end_map(r, &all, pairs);
}

static size_t histogram_of(struct ctx *c, const struct command_slot *slot)
{
    size_t count = 0;
    if (slot->latency != NULL) {
        reply_histogram(c->reply, slot);
        count++;
    }
    const struct command *child = slot->parent == NULL ? slot->command->children : NULL;
    for (; child != NULL && child->name != NULL; child++) {
        char name[64];
        int len = snprintf(name, sizeof(name), "%s|%s", slot->command->name, child->name);
        const struct command_slot *sub = dispatch_find(c->node, bytes_of(name, (size_t)len));
        if (sub != NULL) count += histogram_of(c, sub);
    }
    return count;
}

static void latency_histogram(struct ctx *c)
{
    struct reply_deferred all;
    size_t count = 0;
    reply_begin(c->reply, &all);
    for (int i = 2; i < c->argc; i++) {
        const struct command_slot *slot = dispatch_find(c->node, ctx_arg(c, i));
        if (slot != NULL) count += histogram_of(c, slot);
    }
    if (c->argc == 2) {
        struct dict_iter it;
        dict_iter_begin(&it, c->node->command_index);
        for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
            if (slot->latency == NULL) continue;
            reply_histogram(c->reply, slot);
            count++;
        }
        dict_iter_end(&it);
    }
    reply_end_map(c->reply, &all, count);
}

static void latency_help(struct ctx *c)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What the samples say, in words.",
        "GRAPH <event>",
        "    The samples of an event, drawn.",
        "HISTORY <event>",
        "    The samples of an event: pairs of time and milliseconds.",
        "LATEST",
        "    Of each event: its name, when it was last, how long, and the longest ever.",
        "RESET [<event> ...]",
        "    Forget the samples of these events, or of all.",
        "HISTOGRAM [<command> ...]",
        "    How long commands took.",
        NULL,
    };
    help_reply(c, lines);
}

enum { FLAGS = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE };

static const struct command latency_children[] = {
    {"doctor", latency_doctor, 2, FLAGS, .acl = NULL},
    {"graph", latency_graph, 3, FLAGS, .acl = NULL},
    {"histogram", latency_histogram, -2, FLAGS, .acl = NULL},
    {"history", latency_history, 3, FLAGS, .acl = NULL},
    {"latest", latency_latest, 2, FLAGS, .acl = NULL},
    {"reset", latency_reset_command, -2, FLAGS, .acl = NULL},
    {"help", latency_help, 2, CMD_LOADING | CMD_STALE, .acl = NULL},
    {0},
};

const struct command commands_latency[] = {
    {"latency", NULL, -2, 0, .children = latency_children},
    {0},
};
