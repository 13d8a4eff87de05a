// The users of a node: found by name, changed, read from and written to files.
#include "node/acl.h"

#include "base/mem.h"
#include "base/text.h"
#include "node/whole_file.h"
#include "proto/config_file.h"

static const char default_name[] = "default";

// ---- finding ------------------------------------------------------------------------------------

// The index of the first user whose name is not before `name`.
static int place_of(const struct acl *acl, struct bytes name)
{
    int low = 0, high = acl->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (bytes_compare(str_view(acl->users[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct acl_user *find(const struct acl *acl, struct bytes name)
{
    int at = place_of(acl, name);
    bool there = at < acl->count && bytes_equal(str_view(acl->users[at]->name), name);
    return there ? acl->users[at] : NULL;
}

struct acl_user *acl_find(const struct node *n, struct bytes name)
{
    return find(n->acl, name);
}

static void insert(struct acl *acl, struct acl_user *u)
{
    int at = place_of(acl, str_view(u->name));
    acl->users = mem_realloc(acl->users, (size_t)(acl->count + 1) * sizeof(*acl->users));
    memmove(acl->users + at + 1, acl->users + at, (size_t)(acl->count - at) * sizeof(*acl->users));
    acl->users[at] = u;
    acl->count++;
}

static void remove_user(struct acl *acl, struct acl_user *u)
{
    int at = place_of(acl, str_view(u->name));
    acl->count--;
    memmove(acl->users + at, acl->users + at + 1, (size_t)(acl->count - at) * sizeof(*acl->users));
}

// ---- life ---------------------------------------------------------------------------------------

static void must_apply(struct node *n, struct acl_user *u, const char *rule)
{
    if (acl_user_apply(u, n, bytes_from_cstr(rule)) != ACL_FINE)
        log_warning(&n->log, "ACL: the rule '%s' failed", rule);
}

static struct acl_user *new_default(struct node *n)
{
    static const char *const rules[] = {"+@all", "~*", "&*", "on", "nopass"};
    struct acl_user *u = acl_user_new(n, bytes_from_cstr(default_name));
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        must_apply(n, u, rules[i]);
    return u;
}

static void set_password(struct node *n, struct acl_user *u)
{
    const struct str *secret = n->config.requirepass;
    must_apply(n, u, "resetpass");
    if (secret == NULL) {
        must_apply(n, u, "nopass");
        return;
    }
    struct buf rule = BUF_EMPTY;
    buf_append_byte(&rule, '>');
    buf_append_bytes(&rule, str_view(secret));
    if (acl_user_apply(u, n, buf_view(&rule)) != ACL_FINE)
        log_warning(&n->log, "ACL: the password of requirepass is too long: nobody has it");
    buf_free(&rule);
}

// Parsers mind whether whoever has not authenticated is a stranger.
static void default_changed(struct node *n)
{
    n->config.request_limits.open = acl_open(n);
}

void acl_set_default_password(struct node *n)
{
    set_password(n, n->acl->standard);
    default_changed(n);
}

void acl_init(struct node *n)
{
    n->acl = mem_new(struct acl);
    list_init(&n->acl->log);
    n->acl->standard = new_default(n);
    insert(n->acl, n->acl->standard);
    acl_set_default_password(n);
}

static void free_users(struct acl *acl)
{
    for (int i = 0; i < acl->count; i++)
        acl_user_free(acl->users[i]);
    mem_free(acl->users);
    acl->users = NULL;
    acl->count = 0;
}

void acl_free(struct node *n)
{
    acl_log_trim(n, 0);
    free_users(n->acl);
    mem_free(n->acl);
    n->acl = NULL;
}

// ---- changing -----------------------------------------------------------------------------------

// Applies joined rules. False: *failed is the one at fault.
static bool apply_all(struct node *n, struct acl_user *u, int count, struct str *const *rules,
                      int *failed, enum acl_error *why)
{
    for (int i = 0; i < count; i++) {
        *why = acl_user_apply(u, n, str_view(rules[i]));
        *failed = i;
        if (*why != ACL_FINE) return false;
    }
    return true;
}

static void free_rules(int count, struct str **rules)
{
    for (int i = 0; i < count; i++)
        str_free(rules[i]);
    mem_free(rules);
}

bool acl_set_user(struct node *n, struct bytes name, int count, const struct bytes *words,
                  int *failed, struct str **rule, enum acl_error *why)
{
    struct str **rules;
    *rule = NULL;
    int joined = acl_rules_join(count, words, &rules, failed);
    if (joined < 0) return false;
    struct acl_user *u = acl_find(n, name), *changed = acl_user_new(n, name);
    if (u != NULL) acl_user_assign(changed, n, u);
    bool ok = apply_all(n, changed, joined, rules, failed, why);
    if (!ok) {
        *rule = str_dup(rules[*failed]);
        acl_user_free(changed);
    } else if (u == NULL) {
        insert(n->acl, changed);
    } else {
        acl_user_assign(u, n, changed);
        acl_user_free(changed);
        default_changed(n);
        acl_drop_subscribers(n, u);
    }
    free_rules(joined, rules);
    return ok;
}

bool acl_delete_user(struct node *n, struct bytes name)
{
    struct acl_user *u = acl_find(n, name);
    if (u == NULL || u == n->acl->standard) return false;
    acl_drop_clients(n, u);
    remove_user(n->acl, u);
    acl_user_free(u);
    return true;
}

// ---- files --------------------------------------------------------------------------------------

void acl_save_text(const struct node *n, struct buf *out)
{
    for (int i = 0; i < n->acl->count; i++) {
        const struct acl_user *u = n->acl->users[i];
        buf_append_cstr(out, "user ");
        buf_append_bytes(out, str_view(u->name));
        buf_append_byte(out, ' ');
        acl_user_describe(u, out);
        buf_append_byte(out, '\n');
    }
}

// The words of a line of an ACL file, which knows no quotes.
static int split(struct bytes line, struct bytes **out)
{
    int count = 0;
    *out = mem_array(struct bytes, line.len + 1);
    for (size_t at = 0; at < line.len;) {
        size_t end = at;
        while (end < line.len && memchr(" \t\r", line.data[end], 3) == NULL)
            end++;
        if (end > at) (*out)[count++] = bytes_of(line.data + at, end - at);
        at = end + 1;
    }
    return count;
}

// "name rule rule ..." makes a user in `acl`. False: *errors says why, after `where`.
static bool load_user(struct node *n, struct acl *acl, const char *where, int count,
                      const struct bytes *words, struct buf *errors)
{
    if (!acl_user_name_valid(words[0])) {
        buf_printf(errors, "%s: username '%.*s' contains invalid characters. ", where,
                   (int)words[0].len, words[0].data);
        return false;
    }
    if (find(acl, words[0]) != NULL) {
        buf_printf(errors, "%s: Duplicate user '%.*s' found. ", where, (int)words[0].len,
                   words[0].data);
        return false;
    }
    struct str **rules;
    int failed;
    int joined = acl_rules_join(count - 1, words + 1, &rules, &failed);
    if (joined < 0) {
        buf_printf(errors, "%s: Unmatched parenthesis in selector definition.", where);
        return false;
    }
    struct acl_user *u = acl_user_new(n, words[0]);
    insert(acl, u);
    enum acl_error why;
    bool ok = apply_all(n, u, joined, rules, &failed, &why);
    // Only a command's name is certain to be no secret.
    if (!ok && why == ACL_UNKNOWN_COMMAND)
        buf_printf(errors, "%s: Error in applying operation '%.128s': %s. ", where,
                   rules[failed]->data, acl_error_text(why));
    else if (!ok)
        buf_printf(errors, "%s: %s. ", where, acl_error_text(why));
    free_rules(joined, rules);
    return ok;
}

static void load_line(struct node *n, struct acl *acl, const char *where, struct bytes line,
                      struct buf *errors)
{
    struct bytes *words;
    int count = split(line, &words);
    if (count >= 2 && bytes_equal(words[0], BYTES("user")))
        load_user(n, acl, where, count - 1, words + 1, errors);
    else if (count > 0)
        buf_printf(errors, "%s: should start with user keyword followed by the username. ", where);
    mem_free(words);
}

// Users other than the default one are new objects: their clients go with the old ones.
static void replace_users(struct node *n, struct acl *fresh)
{
    struct acl *acl = n->acl;
    struct acl_user *standard = acl->standard;
    for (int i = 0; i < acl->count; i++)
        if (acl->users[i] != standard) acl_drop_clients(n, acl->users[i]);
    struct acl_user *loaded = find(fresh, bytes_from_cstr(default_name));
    if (loaded == NULL)
        loaded = new_default(n);
    else
        remove_user(fresh, loaded);
    acl_user_assign(standard, n, loaded);
    acl_user_free(loaded);
    remove_user(acl, standard);
    free_users(acl);
    acl->users = fresh->users;
    acl->count = fresh->count;
    insert(acl, standard);
    default_changed(n);
    acl_drop_subscribers(n, standard);
}

bool acl_load_text(struct node *n, const char *file, struct bytes text, struct buf *errors)
{
    struct acl fresh = {0};
    int number = 0;
    for (size_t at = 0; at < text.len;) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end ? (size_t)(end - text.data) - at : text.len - at;
        struct str *where = str_printf("%s:%d", file, ++number);
        load_line(n, &fresh, where->data, bytes_of(text.data + at, len), errors);
        str_free(where);
        at += len + 1;
    }
    if (buf_len(errors) > 0) {
        free_users(&fresh);
        buf_append_cstr(errors, "WARNING: ACL errors detected, no change to the previously active "
                                "ACL rules was performed");
        return false;
    }
    replace_users(n, &fresh);
    return true;
}

// ---- at start, and CONFIG REWRITE
// -------------------------------------------------------------------

static bool start_from_file(struct node *n, const char *file, struct error *error)
{
    struct buf text = BUF_EMPTY, errors = BUF_EMPTY;
    bool ok = whole_file_read(file, &text, error);
    if (ok && !acl_load_text(n, file, buf_view(&text), &errors)) {
        buf_append_byte(&errors, '\0');
        ok = error_set(error, ERROR_CONFIG, "Aborting startup because of ACL errors: %.180s",
                       buf_view(&errors).data);
    }
    buf_free(&text);
    buf_free(&errors);
    return ok;
}

// The line of the default user begins from nothing, on what requirepass made of it.
static bool start_from_line(struct node *n, struct acl *seen, int count, const struct bytes *words,
                            struct error *error)
{
    struct buf errors = BUF_EMPTY;
    bool ok = load_user(n, seen, "Error in user declaration", count, words, &errors);
    buf_append_byte(&errors, '\0');
    if (!ok) error_set(error, ERROR_CONFIG, "%.200s", buf_view(&errors).data);
    buf_free(&errors);
    return ok;
}

static bool start_from_lines(struct node *n, struct error *error)
{
    struct acl seen = {0};
    bool ok = true;
    struct bytes left = bytes_from_cstr(n->config.users);
    while (left.len > 0 && ok) {
        const char *end = memchr(left.data, '\n', left.len);
        size_t len = end ? (size_t)(end - left.data) : left.len;
        int count = 0;
        struct str **words = text_split_quoted(bytes_of(left.data, len), &count);
        struct bytes *views = mem_array(struct bytes, (size_t)count + 1);
        for (int i = 0; i < count; i++)
            views[i] = str_view(words[i]);
        if (count > 0) ok = start_from_line(n, &seen, count, views, error);
        mem_free(views);
        if (words != NULL) free_rules(count, words);
        size_t gone = len + (end != NULL);
        left = bytes_of(left.data + gone, left.len - gone);
    }
    if (ok && find(&seen, bytes_from_cstr(default_name)) == NULL) {
        struct acl_user *kept = acl_user_new(n, bytes_from_cstr(default_name));
        acl_user_assign(kept, n, n->acl->standard);
        insert(&seen, kept);
    }
    if (ok)
        replace_users(n, &seen);
    else
        free_users(&seen);
    return ok;
}

bool acl_start(struct node *n, struct error *error)
{
    bool lines = n->config.users[0] != '\0', file = n->config.aclfile[0] != '\0';
    if (lines && file)
        return error_set(error, ERROR_CONFIG,
                         "users are defined in the configuration and in an ACL file too: declare "
                         "them in one place, the ACL file or lines of 'user', not both");
    if (file) return start_from_file(n, n->config.aclfile, error);
    return !lines || start_from_lines(n, error);
}

// The default user as requirepass alone makes it needs no line.
static bool says_requirepass_alone(struct node *n)
{
    struct acl_user *plain = new_default(n);
    struct buf a = BUF_EMPTY, b = BUF_EMPTY;
    set_password(n, plain);
    acl_user_describe(plain, &a);
    acl_user_describe(n->acl->standard, &b);
    bool same = bytes_equal(buf_view(&a), buf_view(&b));
    buf_free(&a);
    buf_free(&b);
    acl_user_free(plain);
    return same;
}

void acl_update_config(struct node *n)
{
    struct buf lines = BUF_EMPTY;
    for (int i = 0; i < n->acl->count && n->config.aclfile[0] == '\0'; i++) {
        const struct acl_user *u = n->acl->users[i];
        if (u == n->acl->standard && says_requirepass_alone(n)) continue;
        struct buf text = BUF_EMPTY;
        struct bytes *words;
        acl_user_describe(u, &text);
        int count = split(buf_view(&text), &words);
        config_append_word(&lines, str_view(u->name));
        for (int k = 0; k < count; k++) {
            buf_append_byte(&lines, ' ');
            config_append_word(&lines, words[k]);
        }
        buf_append_byte(&lines, '\n');
        mem_free(words);
        buf_free(&text);
    }
    buf_append_byte(&lines, '\0');
    mem_free(n->config.users);
    n->config.users = mem_alloc(buf_len(&lines));
    memcpy(n->config.users, buf_view(&lines).data, buf_len(&lines));
    buf_free(&lines);
}
