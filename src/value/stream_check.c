// Whether bytes from outside are a stream node. One pass, element by element: each state says what
// the element that comes next must be.
//
//     LIVE DELETED FIELD_COUNT [MASTER_FIELDS] MASTER_END
//     then per entry:  FLAGS MS SEQ [ENTRY_FIELDS] [BODY] ENTRY_END
//
// Deleted entries may have any id: XSETID can set a stream back behind them.
#include "value/stream.h"

enum check_state {
    CHECK_LIVE,
    CHECK_DELETED,
    CHECK_FIELD_COUNT,
    CHECK_MASTER_FIELDS,
    CHECK_MASTER_END,
    CHECK_FLAGS, // or the end of the node
    CHECK_MS,
    CHECK_SEQ,
    CHECK_ENTRY_FIELDS,
    CHECK_BODY,
    CHECK_ENTRY_END,
};

void stream_node_check_begin(struct stream_node_check *check, struct bytes bytes,
                             struct stream_id master_id)
{
    *check = (struct stream_node_check){.master_id = master_id, .seen = {.last_id = master_id}};
    check->bad = !listpack_reader_begin(&check->reader, bytes);
}

// `count` elements are to be passed over in `state`, then comes `after`.
static void pass_over(struct stream_node_check *check, uint64_t count, enum check_state state,
                      enum check_state after)
{
    check->left = count;
    check->state = count ? state : after;
}

// An entry is complete. False when its id is out of order.
static bool count_entry(struct stream_node_check *check)
{
    struct stream_node_facts *seen = &check->seen;
    check->state = CHECK_FLAGS;
    if (check->entry_deleted) {
        seen->deleted++;
        return true;
    }
    int order = stream_id_compare(check->id, seen->last_id);
    if (order < 0 || (order == 0 && seen->live > 0)) return false;
    seen->last_id = check->id;
    seen->live++;
    return true;
}

// A count of fields; more than a listpack can hold is refused before it is multiplied.
static bool is_count(int64_t number)
{
    return number >= 0 && number <= UINT32_MAX;
}

static bool take_master(struct stream_node_check *check, int64_t number)
{
    switch ((enum check_state)check->state) {
    case CHECK_LIVE:
        check->told_live = (uint64_t)number;
        check->state = CHECK_DELETED;
        return is_count(number);
    case CHECK_DELETED:
        check->told_deleted = (uint64_t)number;
        check->state = CHECK_FIELD_COUNT;
        return is_count(number);
    case CHECK_FIELD_COUNT:
        check->master_fields = (uint64_t)number;
        pass_over(check, check->master_fields, CHECK_MASTER_FIELDS, CHECK_MASTER_END);
        return is_count(number);
    default:
        check->state = CHECK_FLAGS;
        return number == 0;
    }
}

static bool take_entry(struct stream_node_check *check, int64_t number)
{
    switch ((enum check_state)check->state) {
    case CHECK_FLAGS:
        check->same_fields = number & STREAM_SAME_FIELDS;
        check->entry_deleted = number & STREAM_DELETED;
        check->state = CHECK_MS;
        return (number & ~(int64_t)(STREAM_SAME_FIELDS | STREAM_DELETED)) == 0;
    case CHECK_MS:
        check->id.ms = check->master_id.ms + (uint64_t)number;
        check->state = CHECK_SEQ;
        return true;
    case CHECK_SEQ:
        check->id.seq = check->master_id.seq + (uint64_t)number;
        check->state = CHECK_ENTRY_FIELDS;
        check->elements = 3;
        if (!check->same_fields) return true;
        check->elements += check->master_fields;
        pass_over(check, check->master_fields, CHECK_BODY, CHECK_ENTRY_END);
        return true;
    case CHECK_ENTRY_FIELDS:
        check->elements += 1 + 2 * (uint64_t)number;
        pass_over(check, 2 * (uint64_t)number, CHECK_BODY, CHECK_ENTRY_END);
        return is_count(number);
    default:
        return (uint64_t)number == check->elements && count_entry(check);
    }
}

// One element. False when it is not what must come here.
static bool take(struct stream_node_check *check, const struct listpack_entry *element)
{
    if (check->state == CHECK_MASTER_FIELDS || check->state == CHECK_BODY) {
        if (--check->left == 0)
            check->state = check->state == CHECK_BODY ? CHECK_ENTRY_END : CHECK_MASTER_END;
        return true;
    }
    if (element->text.data != NULL) return false; // a number must come
    if (check->state <= CHECK_MASTER_END) return take_master(check, element->number);
    return take_entry(check, element->number);
}

static bool is_whole(const struct stream_node_check *check)
{
    const struct stream_node_facts *seen = &check->seen;
    return check->state == CHECK_FLAGS && seen->live + seen->deleted > 0 &&
           seen->live == check->told_live && seen->deleted == check->told_deleted;
}

enum stream_check_result stream_node_check_step(struct stream_node_check *check,
                                                struct budget *budget)
{
    while (!check->bad) {
        struct listpack_entry element;
        enum pack_next next = listpack_reader_next(&check->reader, &element);
        if (next == PACK_END && is_whole(check)) return STREAM_CHECK_GOOD;
        check->bad = next != PACK_ENTRY || !take(check, &element);
        if (budget && !budget_left(budget, 1)) return STREAM_CHECK_MORE;
    }
    return STREAM_CHECK_BAD;
}

bool stream_node_validate(const unsigned char *bytes, size_t len, struct stream_id master_id,
                          struct stream_node_facts *facts)
{
    struct stream_node_check check;
    stream_node_check_begin(&check, bytes_of(bytes, len), master_id);
    if (stream_node_check_step(&check, NULL) != STREAM_CHECK_GOOD) return false;
    if (facts) *facts = check.seen;
    return true;
}
