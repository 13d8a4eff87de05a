#include "command/client_tracking.h"

#include "base/mem.h"
#include "node/client_list.h"
#include "node/tracking.h"

struct options {
    uint64_t redirect;
    uint32_t flags;
    int count;
    struct bytes *prefixes; // owned; views of the arguments
};

static bool parse_redirect(struct ctx *c, int index, struct options *o)
{
    int64_t id;
    if (o->redirect != 0) {
        reply_error(c->reply, "A client can only redirect to a single other client");
        return false;
    }
    if (!ctx_int(c, index, &id)) return false;
    if (client_by_id(c->node, (uint64_t)id) == NULL) {
        reply_error(c->reply, "The client ID you want redirect to does not exist");
        return false;
    }
    o->redirect = (uint64_t)id;
    return true;
}

static bool parse(struct ctx *c, struct options *o)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } words[] = {{"bcast", TRACKING_BCAST},
                 {"optin", TRACKING_OPTIN},
                 {"optout", TRACKING_OPTOUT},
                 {"noloop", TRACKING_NOLOOP}};
    for (int i = 3; i < c->argc; i++) {
        uint32_t flag = 0;
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
            if (ctx_is(c, i, words[w].word)) flag = words[w].flag;
        o->flags |= flag;
        if (flag != 0) continue;
        bool more = i + 1 < c->argc;
        if (more && ctx_is(c, i, "redirect")) {
            if (!parse_redirect(c, ++i, o)) return false;
        } else if (more && ctx_is(c, i, "prefix")) {
            o->prefixes[o->count++] = ctx_arg(c, ++i);
        } else {
            ctx_syntax_error(c);
            return false;
        }
    }
    return true;
}

static const char *incompatible(const struct tracking_client *now, const struct options *o)
{
    uint32_t flags = o->flags, old = now != NULL ? now->flags : 0;
    if (!(flags & TRACKING_BCAST) && o->count > 0)
        return "PREFIX option requires BCAST mode to be enabled";
    if (now != NULL && ((old ^ flags) & TRACKING_BCAST))
        return "You can't switch BCAST mode on/off before disabling tracking for this client, and "
               "then re-enabling it with a different mode.";
    if ((flags & TRACKING_BCAST) && (flags & (TRACKING_OPTIN | TRACKING_OPTOUT)))
        return "OPTIN and OPTOUT are not compatible with BCAST";
    if ((flags & TRACKING_OPTIN) && (flags & TRACKING_OPTOUT))
        return "You can't specify both OPTIN mode and OPTOUT mode";
    if (((flags & TRACKING_OPTIN) && (old & TRACKING_OPTOUT)) ||
        ((flags & TRACKING_OPTOUT) && (old & TRACKING_OPTIN)))
        return "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and "
               "then re-enabling it with a different mode.";
    return NULL;
}

static bool overlap(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    return len == 0 || memcmp(a.data, b.data, len) == 0;
}

static bool prefixes_overlap(struct ctx *c, const struct tracking_client *now,
                             const struct options *o)
{
    for (int i = 0; i < o->count; i++) {
        for (int j = 0; now != NULL && j < now->prefix_count; j++) {
            if (!overlap(o->prefixes[i], str_view(now->prefixes[j]))) continue;
            reply_errorf(c->reply,
                         "Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a "
                         "single client must not overlap.",
                         o->prefixes[i].data, now->prefixes[j]->data);
            return true;
        }
        for (int j = i + 1; j < o->count; j++) {
            if (!overlap(o->prefixes[i], o->prefixes[j])) continue;
            reply_errorf(c->reply,
                         "Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a "
                         "single client must not overlap.",
                         o->prefixes[i].data, o->prefixes[j].data);
            return true;
        }
    }
    return false;
}

static void turn_on(struct ctx *c, const struct options *o)
{
    const struct tracking_client *now = c->client->tracking;
    const char *why = incompatible(now, o);
    if (why != NULL) {
        reply_error(c->reply, why);
        return;
    }
    if ((o->flags & TRACKING_BCAST) && prefixes_overlap(c, now, o)) return;
    tracking_enable(c->client, o->redirect, o->flags, o->count, o->prefixes);
    reply_ok(c->reply);
}

void client_tracking(struct ctx *c)
{
    struct options o = {.prefixes = mem_array(struct bytes, (size_t)c->argc)};
    if (!parse(c, &o)) {
        // answered
    } else if (ctx_is(c, 2, "on")) {
        turn_on(c, &o);
    } else if (ctx_is(c, 2, "off")) {
        tracking_disable(c->client);
        reply_ok(c->reply);
    } else {
        ctx_syntax_error(c);
    }
    mem_free(o.prefixes);
}

void client_caching(struct ctx *c)
{
    struct tracking_client *t = c->client->tracking;
    if (t == NULL) {
        reply_error(c->reply, "CLIENT CACHING can be called only when the client is in tracking "
                              "mode with OPTIN or OPTOUT mode enabled");
        return;
    }
    bool yes = ctx_is(c, 2, "yes"), no = ctx_is(c, 2, "no");
    if (!yes && !no) {
        ctx_syntax_error(c);
    } else if (yes && !(t->flags & TRACKING_OPTIN)) {
        reply_error(c->reply,
                    "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    } else if (no && !(t->flags & TRACKING_OPTOUT)) {
        reply_error(c->reply,
                    "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    } else {
        t->flags |= TRACKING_CACHING;
        reply_ok(c->reply);
    }
}

static int64_t redirection(const struct ctx *c)
{
    return c->client->tracking != NULL ? (int64_t)c->client->tracking->redirect : -1;
}

void client_getredir(struct ctx *c)
{
    reply_integer(c->reply, redirection(c));
}

static void reply_tracking_flags(struct reply *r, const struct tracking_client *t)
{
    uint32_t flags = t != NULL ? t->flags : 0;
    bool caching = (flags & TRACKING_CACHING) != 0;
    const struct {
        bool is;
        const char *name;
    } rows[] = {{t == NULL, "off"},
                {t != NULL, "on"},
                {flags & TRACKING_BCAST, "bcast"},
                {flags & TRACKING_OPTIN, "optin"},
                {(flags & TRACKING_OPTIN) && caching, "caching-yes"},
                {flags & TRACKING_OPTOUT, "optout"},
                {(flags & TRACKING_OPTOUT) && caching, "caching-no"},
                {flags & TRACKING_NOLOOP, "noloop"},
                {flags & TRACKING_BROKEN_REDIR, "broken_redirect"}};
    struct reply_deferred all;
    size_t count = 0;
    reply_begin(r, &all);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!rows[i].is) continue;
        reply_bulk_cstr(r, rows[i].name);
        count++;
    }
    reply_end_set(r, &all, count);
}

void client_trackinginfo(struct ctx *c)
{
    const struct tracking_client *t = c->client->tracking;
    reply_map(c->reply, 3);
    reply_bulk_cstr(c->reply, "flags");
    reply_tracking_flags(c->reply, t);
    reply_bulk_cstr(c->reply, "redirect");
    reply_integer(c->reply, redirection(c));
    reply_bulk_cstr(c->reply, "prefixes");
    reply_array(c->reply, t != NULL ? (size_t)t->prefix_count : 0);
    for (int i = 0; t != NULL && i < t->prefix_count; i++)
        reply_bulk(c->reply, str_view(t->prefixes[i]));
}
