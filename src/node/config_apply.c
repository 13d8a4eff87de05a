// What a change of a directive sets in motion.
#include "base/mem.h"
#include "node/acl.h"
#include "node/config_table.h"
#include "node/ctx_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool apply_listen(struct node *n, struct error *error)
{
    if (n->tls_offered != NULL && n->tls == NULL && !apply_tls(n, error)) return false;
    return node_listen(n, error) && apply_title(n, error);
}

bool config_wants_tls(const struct config *c)
{
    return c->tls_port != 0 || c->tls_replication || c->tls_cluster || c->tls.cert_file != NULL ||
           c->tls.ca_cert_file != NULL;
}

static void install_tls(struct node *n, struct tls_context *fresh)
{
    tls_context_ref(fresh);
    tls_context_unref(n->tls);
    n->tls = fresh;
    if (n->set_tls != NULL) n->set_tls(n->network, fresh);
}

// At run time the context was made elsewhere: see config_try.
bool apply_tls(struct node *n, struct error *error)
{
    (void)error;
    if (n->tls_offered != NULL && n->tls_offered != n->tls) install_tls(n, n->tls_offered);
    return true;
}

// Reads the files here and now: before the loop runs.
static bool start_tls(struct node *n, struct error *error)
{
    if (!config_wants_tls(&n->config)) return true;
    struct tls_context *fresh = tls_context_new(&n->config.tls, error);
    if (fresh == NULL) return error_context(error, "Unable to update TLS configuration");
    install_tls(n, fresh);
    tls_context_unref(fresh);
    return true;
}

bool apply_log(struct node *n, struct error *error)
{
    (void)error;
    n->log.level = n->config.loglevel;
    return true;
}

bool apply_memory(struct node *n, struct error *error)
{
    (void)error;
    enum maxmemory_policy p = n->config.maxmemory_policy;
    n->store.lfu = p == POLICY_ALLKEYS_LFU || p == POLICY_VOLATILE_LFU;
    n->store.lru = p == POLICY_ALLKEYS_LRU || p == POLICY_VOLATILE_LRU;
    n->store.lfu_log_factor = (uint32_t)n->config.lfu_log_factor;
    n->store.lfu_decay_minutes = (uint32_t)n->config.lfu_decay_time_min;
    return true;
}

bool apply_clients_memory(struct node *n, struct error *error)
{
    (void)error;
    evict_clients_recount(n);
    return true;
}

// Clients that are in stay in. Those that are not need no password as long as there is none, and
// need one again when there is.
bool apply_password(struct node *n, struct error *error)
{
    if (n->config.requirepass != NULL && n->config.requirepass->len > ACL_PASSWORD_MAX_BYTES)
        return error_set(error, ERROR_CONFIG, "a password has at most %d bytes",
                         ACL_PASSWORD_MAX_BYTES);
    acl_set_default_password(n);
    return true;
}

bool apply_delays(struct node *n, struct error *error)
{
    (void)error;
    int64_t us = n->config.rdb_key_save_delay_us;
    snapshot_set_key_delay(&n->store, us > 0 ? (uint32_t)us : 0);
    return true;
}

// A rare call of an operator on a local folder: one system call, no data.
bool config_enter_dir(struct config *c, struct error *error)
{
    if (chdir(c->dir) != 0)
        return error_set(error, ERROR_CONFIG, "Can't chdir to '%s': %s", c->dir, strerror(errno));
    // What was relative to where we came from is not relative to here.
    char *here = getcwd(NULL, 0);
    if (here == NULL) return true;
    size_t len = strlen(here) + 1;
    mem_free(c->dir);
    c->dir = memcpy(mem_alloc(len), here, len);
    free(here);
    return true;
}

bool apply_dir(struct node *n, struct error *error)
{
    return config_enter_dir(&n->config, error);
}

bool apply_title(struct node *n, struct error *error)
{
    struct buf title = BUF_EMPTY;
    bool ok = node_title(n, &title, error);
    if (ok && n->config.set_proc_title && n->show_title != NULL) n->show_title(buf_view(&title));
    buf_free(&title);
    return ok;
}

bool apply_background_purge(struct node *n, struct error *error)
{
    if (mem_set_background_purge(n->config.jemalloc_bg_thread)) return true;
    return error_set(error, ERROR_CONFIG, "the allocator has no background thread");
}

bool config_apply_all(struct node *n, struct error *error)
{
    return apply_log(n, error) && start_tls(n, error) && apply_memory(n, error) &&
           apply_delays(n, error) && apply_title(n, error);
}
