#include "node/acl_user.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

// ---- life ---------------------------------------------------------------------------------------

static struct acl_selector *add_selector(struct acl_user *u)
{
    u->selectors =
        mem_realloc(u->selectors, (size_t)(u->selector_count + 1) * sizeof(*u->selectors));
    return &u->selectors[u->selector_count++];
}

struct acl_user *acl_user_new(struct node *n, struct bytes name)
{
    struct acl_user *u = mem_new(struct acl_user);
    u->name = str_from(name);
    struct acl_selector *root = add_selector(u);
    acl_selector_init(root, n);
    root->all_channels = n->config.acl_pubsub_all;
    return u;
}

static void clear(struct acl_user *u)
{
    for (int i = 0; i < u->selector_count; i++)
        acl_selector_free(&u->selectors[i]);
    mem_free(u->selectors);
    mem_free(u->passwords);
    u->selectors = NULL;
    u->passwords = NULL;
    u->selector_count = u->password_count = 0;
}

void acl_user_free(struct acl_user *u)
{
    if (u == NULL) return;
    clear(u);
    str_free(u->name);
    mem_free(u);
}

void acl_user_assign(struct acl_user *u, const struct node *n, const struct acl_user *from)
{
    clear(u);
    u->enabled = from->enabled;
    u->nopass = from->nopass;
    u->payload = from->payload;
    for (int i = 0; i < from->selector_count; i++)
        acl_selector_copy(add_selector(u), n, &from->selectors[i]);
    if (from->password_count == 0) return;
    u->passwords = mem_array(struct acl_hash, (size_t)from->password_count);
    memcpy(u->passwords, from->passwords, (size_t)from->password_count * sizeof(*u->passwords));
    u->password_count = from->password_count;
}

bool acl_user_name_valid(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '\0' || memchr(" \t\n\v\f\r", name.data[i], 6) != NULL) return false;
    return true;
}

// ---- passwords ----------------------------------------------------------------------------------

static bool hash_of(struct bytes password, struct acl_hash *out)
{
    unsigned char digest[ACL_HASH_BYTES / 2];
    unsigned len = 0;
    *out = (struct acl_hash){{0}};
    if (password.len > ACL_PASSWORD_MAX_BYTES ||
        EVP_Digest(password.data, password.len, digest, &len, EVP_sha256(), NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof(digest); i++) {
        out->hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out->hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return true;
}

static int find_password(const struct acl_user *u, const struct acl_hash *hash)
{
    int found = -1;
    for (int i = 0; i < u->password_count; i++)
        if (CRYPTO_memcmp(u->passwords[i].hex, hash->hex, ACL_HASH_BYTES) == 0) found = i;
    return found;
}

bool acl_user_password(const struct acl_user *u, struct bytes password)
{
    struct acl_hash hash;
    return hash_of(password, &hash) && find_password(u, &hash) >= 0;
}

static enum acl_error hash_read(struct bytes text, struct acl_hash *out)
{
    if (text.len != ACL_HASH_BYTES) return ACL_BAD_HASH;
    for (size_t i = 0; i < text.len; i++)
        if (strchr("0123456789abcdef", text.data[i]) == NULL || text.data[i] == '\0')
            return ACL_BAD_HASH;
    memcpy(out->hex, text.data, ACL_HASH_BYTES);
    out->hex[ACL_HASH_BYTES] = '\0';
    return ACL_FINE;
}

static void add_password(struct acl_user *u, const struct acl_hash *hash)
{
    u->nopass = false;
    if (find_password(u, hash) >= 0) return;
    u->passwords = mem_realloc(u->passwords, (size_t)(u->password_count + 1) * sizeof(*hash));
    u->passwords[u->password_count++] = *hash;
}

static enum acl_error remove_password(struct acl_user *u, const struct acl_hash *hash)
{
    int at = find_password(u, hash);
    if (at < 0) return ACL_NO_SUCH_PASSWORD;
    memmove(u->passwords + at, u->passwords + at + 1,
            (size_t)(u->password_count - at - 1) * sizeof(*hash));
    u->password_count--;
    return ACL_FINE;
}

// ">secret", "<secret", "#hash", "!hash".
static enum acl_error apply_password_rule(struct acl_user *u, struct bytes rule)
{
    struct acl_hash hash;
    char mark = rule.data[0];
    struct bytes text = bytes_of(rule.data + 1, rule.len - 1);
    if (mark == '>' || mark == '<') {
        if (!hash_of(text, &hash)) return ACL_LONG_PASSWORD;
    } else {
        enum acl_error error = hash_read(text, &hash);
        if (error != ACL_FINE) return error;
    }
    if (mark == '<' || mark == '!') return remove_password(u, &hash);
    add_password(u, &hash);
    return ACL_FINE;
}

static void reset_passwords(struct acl_user *u)
{
    mem_free(u->passwords);
    u->passwords = NULL;
    u->password_count = 0;
    u->nopass = false;
}

// ---- rules --------------------------------------------------------------------------------------

static void clear_selectors(struct acl_user *u)
{
    while (u->selector_count > 1)
        acl_selector_free(&u->selectors[--u->selector_count]);
}

static void reset(struct acl_user *u, struct node *n)
{
    reset_passwords(u);
    clear_selectors(u);
    acl_selector_free(&u->selectors[0]);
    acl_selector_init(&u->selectors[0], n);
    u->selectors[0].all_channels = n->config.acl_pubsub_all;
    u->enabled = false;
    u->payload = PAYLOAD_SANITIZE;
}

// "(~a* +get)": the words between the parentheses, for a selector of their own.
static enum acl_error apply_selector(struct acl_user *u, struct node *n, struct bytes rule)
{
    struct acl_selector s;
    acl_selector_init(&s, n);
    s.all_channels = n->config.acl_pubsub_all;
    enum acl_error error = ACL_FINE;
    for (size_t at = 1; at + 1 < rule.len && error == ACL_FINE;) {
        size_t end = at;
        while (end + 1 < rule.len && rule.data[end] != ' ')
            end++;
        if (end > at) error = acl_selector_apply(&s, n, bytes_of(rule.data + at, end - at));
        at = end + 1;
    }
    if (error == ACL_FINE)
        *add_selector(u) = s;
    else
        acl_selector_free(&s);
    return error;
}

enum acl_error acl_user_apply(struct acl_user *u, struct node *n, struct bytes rule)
{
    if (rule.len == 0) return ACL_FINE;
    if (bytes_equal_nocase(rule, "on"))
        u->enabled = true;
    else if (bytes_equal_nocase(rule, "off"))
        u->enabled = false;
    else if (bytes_equal_nocase(rule, "sanitize-payload"))
        u->payload = PAYLOAD_SANITIZE;
    else if (bytes_equal_nocase(rule, "skip-sanitize-payload"))
        u->payload = PAYLOAD_SKIP;
    else if (bytes_equal_nocase(rule, "clearselectors"))
        clear_selectors(u);
    else if (bytes_equal_nocase(rule, "reset"))
        reset(u, n);
    else if (bytes_equal_nocase(rule, "resetpass"))
        reset_passwords(u);
    else if (strchr("><#!", rule.data[0]) != NULL)
        return apply_password_rule(u, rule);
    else if (rule.data[0] == '(' && rule.len > 1 && rule.data[rule.len - 1] == ')')
        return apply_selector(u, n, rule);
    else if (!bytes_equal_nocase(rule, "nopass"))
        return acl_selector_apply(&u->selectors[0], n, rule);
    else {
        reset_passwords(u);
        u->nopass = true;
    }
    return ACL_FINE;
}

int acl_rules_join(int count, const struct bytes *words, struct str ***out, int *failed)
{
    struct str **rules = mem_array(struct str *, (size_t)count + 1), *open = NULL;
    int made = 0;
    for (int i = 0; i < count; i++) {
        struct bytes word = words[i];
        bool closes = word.len > 0 && word.data[word.len - 1] == ')';
        if (open != NULL) {
            open = str_append(str_append(open, BYTES(" ")), word);
        } else {
            open = str_from(word);
            bool opens = word.len > 0 && word.data[0] == '(';
            closes |= !opens;
            if (opens) *failed = i;
        }
        if (!closes) continue;
        rules[made++] = open;
        open = NULL;
    }
    *out = rules;
    if (open == NULL) return made;
    str_free(open);
    while (made > 0)
        str_free(rules[--made]);
    mem_free(rules);
    return -1;
}

// ---- showing ------------------------------------------------------------------------------------

void acl_user_describe(const struct acl_user *u, struct buf *out)
{
    static const char *const payloads[] = {"", "sanitize-payload ", "skip-sanitize-payload "};
    buf_append_cstr(out, u->enabled ? "on " : "off ");
    if (u->nopass) buf_append_cstr(out, "nopass ");
    buf_append_cstr(out, payloads[u->payload]);
    for (int i = 0; i < u->password_count; i++)
        buf_printf(out, "#%s ", u->passwords[i].hex);
    acl_selector_describe(&u->selectors[0], out);
    for (int i = 1; i < u->selector_count; i++) {
        buf_append_cstr(out, " (");
        acl_selector_describe(&u->selectors[i], out);
        buf_append_byte(out, ')');
    }
}
