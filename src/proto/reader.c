#include "proto/reader.h"

#include "base/mem.h"

#include <hiredis/hiredis.h>

void reader_value_free(struct reader_value *v)
{
    if (v == NULL) return;
    for (int i = 0; i < v->count; i++)
        reader_value_free(v->items[i]);
    mem_free(v->items);
    str_free(v->text);
    mem_free(v);
}

bool reader_value_is(const struct reader_value *v, const char *text)
{
    if (v->type != READER_STRING && v->type != READER_STATUS) return false;
    return bytes_equal(str_view(v->text), bytes_from_cstr(text));
}

// ---- what hiredis calls to build values: NULL makes it give up --------------------------------

static struct reader_value *new_value(const redisReadTask *task, enum reader_type type)
{
    struct reader *r = task->privdata;
    if (++r->pending_items > r->max_items) {
        r->over_limit = true;
        return NULL;
    }
    struct reader_value *v = mem_new(struct reader_value);
    v->type = type;
    if (task->parent != NULL) {
        struct reader_value *array = task->parent->obj;
        array->items[task->idx] = v;
    }
    return v;
}

static void *create_string(const redisReadTask *task, char *data, size_t len)
{
    enum reader_type type = task->type == REDIS_REPLY_ERROR    ? READER_ERROR
                            : task->type == REDIS_REPLY_STATUS ? READER_STATUS
                                                               : READER_STRING;
    struct reader_value *v = new_value(task, type);
    if (v != NULL) v->text = str_new(data, len);
    return v;
}

static void *create_array(const redisReadTask *task, int count)
{
    struct reader *r = task->privdata;
    // Slots are set aside for what a peer announces, so the announcement is checked first.
    if (count < 0 || (size_t)count > r->max_items - r->pending_items) {
        r->over_limit = true;
        return NULL;
    }
    struct reader_value *v = new_value(task, READER_ARRAY);
    if (v == NULL || count == 0) return v;
    v->items = mem_zalloc(sizeof(*v->items) * (size_t)count);
    v->count = count;
    return v;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    struct reader_value *v = new_value(task, READER_INTEGER);
    if (v != NULL) v->integer = number;
    return v;
}

static void *create_null(const redisReadTask *task)
{
    return new_value(task, READER_NULL);
}

static void free_object(void *object)
{
    reader_value_free(object);
}

// hiredis wants a pointer to non-const and never writes through it.
static const redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_null,
    .freeObject = free_object,
};

void reader_init(struct reader *r)
{
    *r = (struct reader){.max_bytes = READER_REPLY_BYTES, .max_items = READER_ITEMS};
    union {
        const redisReplyObjectFunctions *constant;
        redisReplyObjectFunctions *plain;
    } table = {.constant = &functions};
    redisReader *hiredis = redisReaderCreateWithFunctions(table.plain);
    if (hiredis == NULL) abort();
    hiredis->privdata = r;
    r->hiredis = hiredis;
}

// The struct may have been moved since the last call, also in the middle of a reply.
static redisReader *attach(struct reader *r)
{
    redisReader *hiredis = r->hiredis;
    hiredis->privdata = r;
    for (size_t i = 0; i < sizeof(hiredis->rstack) / sizeof(hiredis->rstack[0]); i++)
        hiredis->rstack[i].privdata = r;
    return hiredis;
}

void reader_free(struct reader *r)
{
    if (r->hiredis != NULL) redisReaderFree(r->hiredis);
    *r = (struct reader){0};
}

bool reader_feed(struct reader *r, struct bytes input, struct error *error)
{
    redisReader *hiredis = attach(r);
    if (input.len > r->max_bytes || r->pending_bytes > r->max_bytes - input.len)
        return error_set(error, ERROR_LIMIT, "reply is larger than %zu bytes", r->max_bytes);
    r->pending_bytes += input.len;
    if (input.len > 0 && redisReaderFeed(hiredis, input.data, input.len) != REDIS_OK)
        return error_set(error, ERROR_PROTOCOL, "reply: %s", hiredis->errstr);
    return true;
}

enum reader_state reader_next(struct reader *r, struct reader_value **out, struct error *error)
{
    redisReader *hiredis = attach(r);
    void *reply = NULL;
    if (redisReaderGetReply(hiredis, &reply) != REDIS_OK) {
        if (r->over_limit)
            error_set(error, ERROR_LIMIT, "reply has more than %zu values", r->max_items);
        else
            error_set(error, ERROR_PROTOCOL, "reply: %s", hiredis->errstr);
        return READER_FAILED;
    }
    if (reply == NULL) return READER_NEED_MORE;
    // What is left in the buffer is the beginning of the next reply.
    r->pending_bytes = hiredis->len - hiredis->pos;
    r->pending_items = 0;
    *out = reply;
    return READER_REPLY;
}
