#include "node/acl_commands.h"

#include "base/mem.h"
#include "node/category.h"
#include "node/facts.h"
#include "value/dict.h"

#include <ctype.h>

enum { BITS = 64 };

const char *acl_error_text(enum acl_error error)
{
    switch (error) {
    case ACL_FINE:
        return "";
    case ACL_SYNTAX:
        return "Syntax error";
    case ACL_UNKNOWN_COMMAND:
        return "Unknown command or category name in ACL";
    case ACL_FIRST_ARG_OF_SUBCOMMAND:
        return "Allowing first-arg of a subcommand is not supported";
    case ACL_KEYS_AFTER_ALL:
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does "
               "not have any effect. Try 'resetkeys' to start with an empty list of patterns";
    case ACL_CHANNELS_AFTER_ALL:
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and "
               "does not have any effect. Try 'resetchannels' to start with an empty list of "
               "channels";
    case ACL_NO_SUCH_PASSWORD:
        return "The password you are trying to remove from the user does not exist";
    case ACL_BAD_HASH:
        return "The password hash must be exactly 64 characters and contain only lowercase "
               "hexadecimal characters";
    case ACL_LONG_PASSWORD:
        return "The password is too long";
    }
    return "";
}

// ---- sets of commands ---------------------------------------------------------------------------

static size_t words(const struct node *n)
{
    return (dict_count(n->command_index) + BITS - 1) / BITS;
}

static uint64_t *bits_new(const struct node *n)
{
    return mem_zalloc(words(n) * sizeof(uint64_t));
}

static void bits_add(uint64_t *bits, uint32_t id)
{
    bits[id / BITS] |= (uint64_t)1 << (id % BITS);
}

static bool bits_have(const uint64_t *bits, uint32_t id)
{
    return (bits[id / BITS] >> (id % BITS) & 1) != 0;
}

// Every row that `wanted` points out, and with a container its subcommands.
static void bits_collect(struct node *n, uint64_t *bits,
                         bool (*wanted)(const struct command_slot *slot, uintptr_t arg),
                         uintptr_t arg)
{
    struct dict_iter it;
    dict_iter_begin(&it, n->command_index);
    for (struct command_slot *slot; (slot = dict_iter_next(&it)) != NULL;) {
        bool take = wanted(slot, arg);
        if (!take && slot->parent != NULL)
            take = wanted(dispatch_find(n, bytes_from_cstr(slot->parent->name)), arg);
        if (take) bits_add(bits, slot->id);
    }
    dict_iter_end(&it);
}

static bool in_category(const struct command_slot *slot, uintptr_t index)
{
    return (categories_of(slot->command) & (1u << index)) != 0;
}

static bool is_command(const struct command_slot *slot, uintptr_t command)
{
    return (uintptr_t)slot->command == command;
}

static bool any(const struct command_slot *slot, uintptr_t arg)
{
    (void)slot;
    (void)arg;
    return true;
}

// ---- one rule -----------------------------------------------------------------------------------

// A rule, understood: it allows or forbids a set, or allows one first argument.
struct rule {
    bool allow, everything, category;
    uint64_t *bits;
    struct bytes first; // data NULL: none
    uint32_t first_of;
};

// A command of Redis that is not here may be named all the same, as files of users do: it adds
// nothing to the set.
static bool is_known(struct bytes word)
{
    char name[64];
    if (word.len >= sizeof(name)) return false;
    for (size_t i = 0; i < word.len; i++)
        name[i] = (char)tolower((unsigned char)word.data[i]);
    name[word.len] = '\0';
    return strlen(name) == word.len && command_facts(name) != NULL;
}

// "select|0", "config|get": a subcommand or, of a command without such, a first argument.
static enum acl_error read_barred(struct node *n, struct bytes word, struct rule *r)
{
    const char *bar = memrchr(word.data, '|', word.len);
    size_t len = (size_t)(bar - word.data);
    struct command_slot *slot = dispatch_find(n, bytes_of(word.data, len));
    if (slot == NULL) return is_known(word) ? ACL_FINE : ACL_UNKNOWN_COMMAND;
    if (r->allow && slot->parent != NULL) return ACL_FIRST_ARG_OF_SUBCOMMAND;
    struct bytes rest = bytes_of(bar + 1, word.len - len - 1);
    if (r->allow && rest.len == 0) return ACL_SYNTAX;
    if (!r->allow || slot->command->children != NULL) {
        slot = dispatch_find(n, word);
        if (slot == NULL) return is_known(word) ? ACL_FINE : ACL_UNKNOWN_COMMAND;
        bits_add(r->bits, slot->id);
        return ACL_FINE;
    }
    r->first = rest;
    r->first_of = slot->id;
    return ACL_FINE;
}

static enum acl_error read_word(struct node *n, struct bytes word, struct rule *r)
{
    if (word.len > 0 && word.data[0] == '@') {
        int index = category_find(bytes_of(word.data + 1, word.len - 1));
        if (index < 0) return ACL_UNKNOWN_COMMAND;
        r->category = true;
        bits_collect(n, r->bits, in_category, (uintptr_t)index);
        return ACL_FINE;
    }
    if (memchr(word.data, '|', word.len) != NULL) return read_barred(n, word, r);
    struct command_slot *slot = dispatch_find(n, word);
    if (slot == NULL) return is_known(word) ? ACL_FINE : ACL_UNKNOWN_COMMAND;
    bits_collect(n, r->bits, is_command, (uintptr_t)slot->command);
    return ACL_FINE;
}

// The caller frees r->bits, also after an error.
static enum acl_error rule_read(struct node *n, struct bytes text, struct rule *r)
{
    *r = (struct rule){.bits = bits_new(n)};
    bool all = bytes_equal_nocase(text, "allcommands") || bytes_equal_nocase(text, "+@all");
    bool none = bytes_equal_nocase(text, "nocommands") || bytes_equal_nocase(text, "-@all");
    if (all || none) {
        r->allow = all;
        r->everything = true;
        bits_collect(n, r->bits, any, 0);
        return ACL_FINE;
    }
    if (text.len < 2 || (text.data[0] != '+' && text.data[0] != '-')) return ACL_SYNTAX;
    r->allow = text.data[0] == '+';
    return read_word(n, bytes_of(text.data + 1, text.len - 1), r);
}

static bool rule_empty(const struct node *n, const struct rule *r)
{
    if (r->first.data != NULL) return false;
    for (size_t i = 0; i < words(n); i++)
        if (r->bits[i] != 0) return false;
    return true;
}

// Whether nothing is left of `r` once `later` has been applied.
static bool rule_covers(const struct node *n, const struct rule *later, const struct rule *r)
{
    if (r->first.data != NULL && later->first.data != NULL)
        return r->first_of == later->first_of && bytes_equal(r->first, later->first);
    if (r->first.data != NULL) return bits_have(later->bits, r->first_of);
    if (later->first.data != NULL) return false;
    for (size_t i = 0; i < words(n); i++)
        if (r->bits[i] & ~later->bits[i]) return false;
    return true;
}

// ---- applying -----------------------------------------------------------------------------------

static void drop_first(struct acl_commands *c, int index)
{
    str_free(c->first[index].word);
    c->first[index] = c->first[--c->first_count];
}

static void add_first(struct acl_commands *c, uint32_t id, struct bytes word)
{
    for (int i = 0; i < c->first_count; i++)
        if (c->first[i].id == id && bytes_equal(str_view(c->first[i].word), word)) return;
    c->first = mem_realloc(c->first, (size_t)(c->first_count + 1) * sizeof(*c->first));
    c->first[c->first_count++] = (struct acl_first_arg){id, str_from(word)};
}

static void apply_bits(struct acl_commands *c, const struct node *n, const struct rule *r)
{
    if (r->first.data != NULL) {
        if (!bits_have(c->bits, r->first_of)) add_first(c, r->first_of, r->first);
        return;
    }
    for (size_t i = 0; i < words(n); i++)
        c->bits[i] = r->allow ? c->bits[i] | r->bits[i] : c->bits[i] & ~r->bits[i];
    for (int i = c->first_count - 1; i >= 0; i--)
        if (bits_have(r->bits, c->first[i].id)) drop_first(c, i);
}

static bool same_rights(const struct acl_commands *a, const struct acl_commands *b,
                        const struct node *n)
{
    if (memcmp(a->bits, b->bits, words(n) * sizeof(uint64_t)) != 0) return false;
    if (a->first_count != b->first_count) return false;
    for (int i = 0; i < a->first_count; i++) {
        bool found = false;
        for (int k = 0; k < b->first_count && !found; k++)
            found = a->first[i].id == b->first[k].id &&
                    bytes_equal(str_view(a->first[i].word), str_view(b->first[k].word));
        if (!found) return false;
    }
    return true;
}

static void add_rule(struct acl_commands *c, struct bytes text)
{
    c->rules = mem_realloc(c->rules, (size_t)(c->rule_count + 1) * sizeof(*c->rules));
    struct str *rule = str_from(text);
    for (size_t i = 0; i < rule->len; i++)
        if (rule->data[i] >= 'A' && rule->data[i] <= 'Z') rule->data[i] |= 0x20;
    c->rules[c->rule_count++] = rule;
}

static void restart(struct acl_commands *c, struct node *n, bool all)
{
    acl_commands_free(c);
    acl_commands_init(c, n);
    c->all = all;
    if (all) bits_collect(n, c->bits, any, 0);
}

// The text after `last`: what came before it and still counts, and `last` itself where the rest
// does not say the same. Makes `c` what that text means.
static void rewrite(struct acl_commands *c, struct node *n, const struct rule *last,
                    struct bytes text)
{
    struct acl_commands old = *c, wanted;
    acl_commands_copy(&wanted, n, c);
    apply_bits(&wanted, n, last);
    acl_commands_init(c, n);
    restart(c, n, old.all);
    bool empty = rule_empty(n, last);
    for (int i = 0; i < old.rule_count; i++) {
        struct rule r;
        struct bytes rule = str_view(old.rules[i]);
        bool readable = rule_read(n, rule, &r) == ACL_FINE;
        // A category without commands says nothing now, but it was said.
        bool same_word =
            rule.len == text.len && memcmp(rule.data + 1, text.data + 1, text.len - 1) == 0;
        bool gone = empty || rule_empty(n, &r) ? same_word : rule_covers(n, last, &r);
        if (readable && !gone) {
            apply_bits(c, n, &r);
            add_rule(c, rule);
        }
        mem_free(r.bits);
    }
    if (empty || !same_rights(c, &wanted, n)) {
        apply_bits(c, n, last);
        add_rule(c, text);
    }
    acl_commands_free(&wanted);
    acl_commands_free(&old);
}

enum acl_error acl_commands_apply(struct acl_commands *c, struct node *n, struct bytes text)
{
    struct rule r;
    enum acl_error error = rule_read(n, text, &r);
    if (error == ACL_FINE && r.everything)
        restart(c, n, r.allow);
    else if (error == ACL_FINE)
        rewrite(c, n, &r, text);
    mem_free(r.bits);
    return error;
}

// ---- the rest -----------------------------------------------------------------------------------

void acl_commands_init(struct acl_commands *c, const struct node *n)
{
    *c = (struct acl_commands){.bits = bits_new(n)};
}

void acl_commands_free(struct acl_commands *c)
{
    for (int i = 0; i < c->first_count; i++)
        str_free(c->first[i].word);
    for (int i = 0; i < c->rule_count; i++)
        str_free(c->rules[i]);
    mem_free(c->first);
    mem_free(c->rules);
    mem_free(c->bits);
    *c = (struct acl_commands){0};
}

void acl_commands_copy(struct acl_commands *c, const struct node *n,
                       const struct acl_commands *from)
{
    acl_commands_init(c, n);
    c->all = from->all;
    memcpy(c->bits, from->bits, words(n) * sizeof(uint64_t));
    for (int i = 0; i < from->first_count; i++)
        add_first(c, from->first[i].id, str_view(from->first[i].word));
    for (int i = 0; i < from->rule_count; i++)
        add_rule(c, str_view(from->rules[i]));
}

bool acl_commands_allow(const struct acl_commands *c, const struct command_slot *slot, int argc,
                        struct str *const *argv)
{
    if (bits_have(c->bits, slot->id)) return true;
    for (int i = 0; i < c->first_count && argc > 1; i++)
        if (c->first[i].id == slot->id &&
            bytes_equal_nocase(str_view(argv[1]), c->first[i].word->data))
            return true;
    return false;
}

void acl_commands_describe(const struct acl_commands *c, struct buf *out)
{
    buf_append_cstr(out, c->all ? "+@all" : "-@all");
    for (int i = 0; i < c->rule_count; i++) {
        buf_append_byte(out, ' ');
        buf_append_bytes(out, str_view(c->rules[i]));
    }
}
