// wherry-server: one node on the real loop and network.
#include "base/mem.h"
#include "command/table.h"
#include "conn/layer_tls.h"
#include "conn/net_uv.h"
#include "loop/loop_uv.h"
#include "node/config_table.h"
#include "node/parts.h"
#include "server/logger.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef WHERRY_VERSION
#define WHERRY_VERSION "0.1.0"
#endif

static void on_signal(void *owner, int signum)
{
    struct node *n = owner;
    log_warning(&n->log, "Received %s scheduling shutdown...",
                signum == SIGINT ? "SIGINT" : "SIGTERM");
    node_shutdown(n, 0);
}

static int usage(FILE *out, int status)
{
    fprintf(out, "Usage: wherry-server [/path/to/redis.conf] [--directive value ...]\n"
                 "       wherry-server --version | --help\n"
                 "Example: wherry-server --port 7000 --replicaof 127.0.0.1 6379\n");
    return status;
}

// What aborts (no memory, a broken invariant) ends as a failure, without a core dump.
static void on_abort(int signum)
{
    (void)signum;
    _exit(EXIT_FAILURE);
}

// Before any thread is there: a plain daemon, by forking at once.
static bool daemonize(void)
{
    return daemon(1, 0) == 0;
}

// Descriptors for all clients and some for files and links.
static void raise_descriptor_limit(struct log *log, int maxclients)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)maxclients + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
        log_warning(log, "maxclients %d needs %llu descriptors, the system gives %llu", maxclients,
                    (unsigned long long)want, (unsigned long long)limit.rlim_cur);
}

static void write_pidfile(struct log *log, const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        log_warning(log, "Can't write pidfile %s: %s", path, strerror(errno));
        return;
    }
    fprintf(f, "%d\n", (int)getpid());
    fclose(f);
}

static void show_title(struct bytes title)
{
    setproctitle("-%.*s", (int)title.len, title.data);
}

static int fatal_config(const struct error *error)
{
    fprintf(stderr, "*** FATAL CONFIG FILE ERROR (wherry " WHERRY_VERSION ") ***\n%s\n",
            error->text);
    return EXIT_FAILURE;
}

static int run(struct config *config, const char *program)
{
    struct error error = ERROR_OK;
    struct logger *logger = logger_new(config, &error);
    if (logger == NULL) return fatal_config(&error);
    struct log *log = logger_log(logger);
    if (!config_enter_dir(config, &error)) return fatal_config(&error);
    if (config->daemonize && !daemonize()) return EXIT_FAILURE;
    char *pidfile = config->pidfile[0] || config->daemonize
                        ? strdup(config->pidfile[0] ? config->pidfile : "/var/run/wherry.pid")
                        : NULL;
    if (!logger_open(logger, &error)) return fatal_config(&error);
    logger_greet(logger, config, WHERRY_VERSION);
    raise_descriptor_limit(log, config->maxclients);
    if (pidfile != NULL) write_pidfile(log, pidfile);

    if (config->disable_thp && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        log_warning(log, "disable-thp: the system refuses: %s", strerror(errno));
    if (!mem_set_background_purge(config->jemalloc_bg_thread))
        log_warning(log, "jemalloc-bg-thread: the allocator has no background thread");
    mem_warm_up();
    signal(SIGPIPE, SIG_IGN);
    if (config->use_exit_on_panic) signal(SIGABRT, on_abort);
    // libuv looks at it when its first piece of work comes.
    char workers[16];
    snprintf(workers, sizeof(workers), "%d", LOOP_WORKERS);
    setenv("UV_THREADPOOL_SIZE", workers, 0);
    uint64_t seed;
    if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1) return EXIT_FAILURE;
    struct loop *loop = loop_uv_new(log, &error);
    if (loop == NULL) return fatal_config(&error);
    struct network *net = net_uv_new(loop, log);
    net_uv_set_options(net, &(struct net_uv_options){.keepalive_s = config->tcp_keepalive_s});
    struct node *n = node_new(loop, net, config, command_families, seed);
    n->log = *log;
    n->set_tls = net_set_tls;
    n->program = program;
    n->show_title = show_title;
    logger_role(logger, n);
    int status = EXIT_FAILURE;
    if (config_apply_all(n, &error) && node_start(n, &error)) {
        loop_uv_signal(loop, SIGTERM, on_signal, n);
        loop_uv_signal(loop, SIGINT, on_signal, n);
        log_notice(&n->log, "Server initialized");
        loop_run(loop);
        status = n->exit_status;
    } else {
        log_warning(log, "%s", error.text);
        fprintf(stderr, "wherry-server: %s\n", error.text);
    }
    struct tls_context *tls = n->tls;
    node_free(n);
    net_uv_free(net);
    loop_free(loop);
    tls_context_unref(tls);
    if (pidfile != NULL) unlink(pidfile);
    free(pidfile);
    logger_free(logger);
    return status;
}

int main(int argc, char **argv, char **environment)
{
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        printf("wherry server v=" WHERRY_VERSION " protocol=redis-7.0.15\n");
        return EXIT_SUCCESS;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout, EXIT_SUCCESS);
    struct config config;
    struct error error = ERROR_OK;
    config_init(&config);
    bool has_file = argc > 1 && argv[1][0] != '-';
    if (!config_load(&config, has_file ? argv[1] : NULL, argc - 1 - has_file, argv + 1 + has_file,
                     &error)) {
        config_free(&config);
        return fatal_config(&error);
    }
    char *program = strdup(argv[0]); // the title takes the place of the arguments
    setproctitle_init(argc, argv, environment);
    int status = run(&config, program);
    free(program);
    return status;
}
