#include "node/acl_selector.h"

#include "base/mem.h"
#include "base/text.h"

void acl_selector_init(struct acl_selector *s, const struct node *n)
{
    *s = (struct acl_selector){0};
    acl_commands_init(&s->commands, n);
}

static void reset_keys(struct acl_selector *s)
{
    for (int i = 0; i < s->key_count; i++)
        str_free(s->keys[i].glob);
    mem_free(s->keys);
    s->keys = NULL;
    s->key_count = 0;
    s->all_keys = false;
}

static void reset_channels(struct acl_selector *s)
{
    for (int i = 0; i < s->channel_count; i++)
        str_free(s->channels[i]);
    mem_free(s->channels);
    s->channels = NULL;
    s->channel_count = 0;
    s->all_channels = false;
}

void acl_selector_free(struct acl_selector *s)
{
    reset_keys(s);
    reset_channels(s);
    acl_commands_free(&s->commands);
}

// A pattern that is there already is widened.
static void add_key(struct acl_selector *s, struct bytes glob, uint8_t access)
{
    for (int i = 0; i < s->key_count; i++) {
        if (!bytes_equal(str_view(s->keys[i].glob), glob)) continue;
        s->keys[i].access |= access;
        return;
    }
    s->keys = mem_realloc(s->keys, (size_t)(s->key_count + 1) * sizeof(*s->keys));
    s->keys[s->key_count++] = (struct acl_pattern){str_from(glob), access};
}

static void add_channel(struct acl_selector *s, struct bytes glob)
{
    for (int i = 0; i < s->channel_count; i++)
        if (bytes_equal(str_view(s->channels[i]), glob)) return;
    s->channels = mem_realloc(s->channels, (size_t)(s->channel_count + 1) * sizeof(*s->channels));
    s->channels[s->channel_count++] = str_from(glob);
}

void acl_selector_copy(struct acl_selector *s, const struct node *n,
                       const struct acl_selector *from)
{
    *s = (struct acl_selector){.all_keys = from->all_keys, .all_channels = from->all_channels};
    acl_commands_copy(&s->commands, n, &from->commands);
    for (int i = 0; i < from->key_count; i++)
        add_key(s, str_view(from->keys[i].glob), from->keys[i].access);
    for (int i = 0; i < from->channel_count; i++)
        add_channel(s, str_view(from->channels[i]));
}

// ---- rules --------------------------------------------------------------------------------------

static bool plain(struct bytes pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.data[i] == '\0' || memchr(" \t\n\v\f\r", pattern.data[i], 6) != NULL)
            return false;
    return true;
}

static struct bytes from(struct bytes text, size_t at)
{
    return bytes_of(text.data + at, text.len - at);
}

static enum acl_error apply_key(struct acl_selector *s, struct bytes glob, uint8_t access)
{
    if (!plain(glob)) return ACL_SYNTAX;
    if (s->all_keys) return ACL_KEYS_AFTER_ALL;
    if (bytes_equal(glob, BYTES("*")) && access == (ACL_READ | ACL_WRITE)) {
        reset_keys(s);
        s->all_keys = true;
    } else {
        add_key(s, glob, access);
    }
    return ACL_FINE;
}

// "%RW~glob".
static enum acl_error apply_permission(struct acl_selector *s, struct bytes rule)
{
    uint8_t access = 0;
    size_t at = 1;
    for (; at < rule.len && rule.data[at] != '~'; at++) {
        char letter = rule.data[at] & ~0x20;
        uint8_t flag = letter == 'R' ? ACL_READ : letter == 'W' ? ACL_WRITE : 0;
        if (flag == 0 || (access & flag)) return ACL_SYNTAX;
        access |= flag;
    }
    if (at >= rule.len || access == 0) return ACL_SYNTAX;
    return apply_key(s, from(rule, at + 1), access);
}

static enum acl_error apply_channel(struct acl_selector *s, struct bytes glob)
{
    if (!plain(glob)) return ACL_SYNTAX;
    if (s->all_channels) return ACL_CHANNELS_AFTER_ALL;
    if (bytes_equal(glob, BYTES("*"))) {
        reset_channels(s);
        s->all_channels = true;
    } else {
        add_channel(s, glob);
    }
    return ACL_FINE;
}

enum acl_error acl_selector_apply(struct acl_selector *s, struct node *n, struct bytes rule)
{
    // Saying "all" twice is no mistake.
    if (bytes_equal_nocase(rule, "allkeys") || bytes_equal(rule, BYTES("~*"))) {
        reset_keys(s);
        s->all_keys = true;
        return ACL_FINE;
    }
    if (bytes_equal_nocase(rule, "allchannels") || bytes_equal(rule, BYTES("&*"))) {
        reset_channels(s);
        s->all_channels = true;
        return ACL_FINE;
    }
    if (bytes_equal_nocase(rule, "resetkeys")) {
        reset_keys(s);
        return ACL_FINE;
    }
    if (bytes_equal_nocase(rule, "resetchannels")) {
        reset_channels(s);
        return ACL_FINE;
    }
    if (rule.len > 0 && rule.data[0] == '~')
        return apply_key(s, from(rule, 1), ACL_READ | ACL_WRITE);
    if (rule.len > 0 && rule.data[0] == '%') return apply_permission(s, rule);
    if (rule.len > 0 && rule.data[0] == '&') return apply_channel(s, from(rule, 1));
    return acl_commands_apply(&s->commands, n, rule);
}

// ---- questions ----------------------------------------------------------------------------------

bool acl_selector_key(const struct acl_selector *s, struct bytes key, uint8_t access)
{
    if (s->all_keys) return true;
    for (int i = 0; i < s->key_count; i++)
        if ((s->keys[i].access & access) == access &&
            text_glob(str_view(s->keys[i].glob), key, false))
            return true;
    return false;
}

bool acl_selector_channel(const struct acl_selector *s, struct bytes channel, bool pattern)
{
    if (s->all_channels) return true;
    for (int i = 0; i < s->channel_count; i++) {
        struct bytes glob = str_view(s->channels[i]);
        if (pattern ? bytes_equal(glob, channel) : text_glob(glob, channel, false)) return true;
    }
    return false;
}

// ---- showing ------------------------------------------------------------------------------------

void acl_selector_keys(const struct acl_selector *s, struct buf *out)
{
    static const char *const marks[] = {"", "%R~", "%W~", "~"};
    if (s->all_keys) buf_append_cstr(out, "~*");
    for (int i = 0; i < s->key_count; i++) {
        if (i > 0) buf_append_byte(out, ' ');
        buf_append_cstr(out, marks[s->keys[i].access]);
        buf_append_bytes(out, str_view(s->keys[i].glob));
    }
}

void acl_selector_channels(const struct acl_selector *s, struct buf *out)
{
    if (s->all_channels) buf_append_cstr(out, "&*");
    for (int i = 0; i < s->channel_count; i++) {
        buf_append_cstr(out, i > 0 ? " &" : "&");
        buf_append_bytes(out, str_view(s->channels[i]));
    }
}

void acl_selector_describe(const struct acl_selector *s, struct buf *out)
{
    acl_selector_keys(s, out);
    if (s->all_keys || s->key_count > 0) buf_append_byte(out, ' ');
    if (!s->all_channels) buf_append_cstr(out, "resetchannels ");
    acl_selector_channels(s, out);
    if (s->all_channels || s->channel_count > 0) buf_append_byte(out, ' ');
    acl_commands_describe(&s->commands, out);
}
