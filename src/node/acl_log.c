// What was denied, for ACL LOG: the same again within a minute is counted, not noted anew.
#include "node/acl.h"

#include "base/mem.h"
#include "node/client_list.h"

enum { SAME_WITHIN_MS = 60000, SAME_AMONG = 10 };

static void event_free(struct acl *acl, struct acl_event *e)
{
    list_remove(&e->link);
    acl->log_count--;
    str_free(e->object);
    str_free(e->user);
    str_free(e->client);
    mem_free(e);
}

void acl_log_trim(struct node *n, int most)
{
    struct acl *acl = n->acl;
    while (acl->log_count > most)
        event_free(acl, list_entry(acl->log.prev, struct acl_event, link));
}

static bool same(const struct acl_event *a, const struct acl_event *b)
{
    return a->verdict == b->verdict && a->in_multi == b->in_multi &&
           b->at_ms - a->at_ms <= SAME_WITHIN_MS &&
           bytes_equal(str_view(a->object), str_view(b->object)) &&
           bytes_equal(str_view(a->user), str_view(b->user));
}

static struct acl_event *find_same(struct acl *acl, const struct acl_event *e)
{
    int looked = 0;
    list_each(at, &acl->log)
    {
        struct acl_event *other = list_entry(at, struct acl_event, link);
        if (same(other, e)) return other;
        if (++looked == SAME_AMONG) break;
    }
    return NULL;
}

void acl_log_add(struct client *c, enum acl_verdict verdict, bool in_multi, struct bytes object,
                 struct bytes user)
{
    struct node *n = c->node;
    struct acl_event *e = mem_new(struct acl_event);
    struct buf line = BUF_EMPTY;
    client_line(c, &line);
    *e = (struct acl_event){
        .count = 1,
        .verdict = verdict,
        .in_multi = in_multi,
        .object = str_from(object),
        .user = str_from(user),
        .client = str_from(buf_view(&line)),
        .at_ms = loop_unix_ms(n->loop),
    };
    buf_free(&line);
    list_init(&e->link);
    struct acl_event *before = find_same(n->acl, e);
    n->acl->log_count++;
    if (before != NULL) {
        e->count += before->count;
        event_free(n->acl, before);
    }
    list_push_front(&n->acl->log, &e->link);
    acl_log_trim(n, (int)n->config.acllog_max_len);
}
