#include "server/logger.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct logger {
    struct log log;
    char *path; // NULL: standard output
    int fd;
    const struct node *node;
};

// One write per line into a file or a pipe of the operator's. It is the one place where the loop
// may wait for a disk, as short as a page-cache write is; see ARCHITECTURE.md.
static void write_line(struct log *log, enum log_level level, const char *line)
{
    struct logger *l = log->owner;
    struct timeval now;
    struct tm tm;
    char text[1280], when[64];
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof(when), "%d %b %Y %H:%M:%S", &tm);
    char role = l->node != NULL && node_is_replica(l->node) ? 'S' : 'M';
    int len = snprintf(text, sizeof(text), "%d:%c %s.%03d %c %s\n", (int)getpid(), role, when,
                       (int)(now.tv_usec / 1000), ".-*#"[level], line);
    if (len > (int)sizeof(text) - 1) len = (int)sizeof(text) - 1;
    if (write(l->fd, text, (size_t)len) < 0) return; // nowhere left to complain
}

struct logger *logger_new(const struct config *config, struct error *error)
{
    (void)error;
    struct logger *l = mem_new(struct logger);
    l->fd = STDOUT_FILENO;
    if (config->logfile[0] != '\0') {
        l->path = mem_alloc(strlen(config->logfile) + 1);
        memcpy(l->path, config->logfile, strlen(config->logfile) + 1);
    }
    l->log = (struct log){.level = config->loglevel, .write = write_line, .owner = l};
    return l;
}

struct log *logger_log(struct logger *l)
{
    return &l->log;
}

bool logger_open(struct logger *l, struct error *error)
{
    if (l->path == NULL) return true;
    l->fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (l->fd >= 0) return true;
    l->fd = STDOUT_FILENO;
    return error_set(error, ERROR_CONFIG, "Can't open the log file '%s': %s", l->path,
                     strerror(errno));
}

void logger_greet(struct logger *l, const struct config *config, const char *version)
{
    log_warning(&l->log, "oO0OoO0OoO0Oo wherry is starting oO0OoO0OoO0Oo");
    log_warning(&l->log, "wherry version=%s, bits=64, pid=%d, just started", version,
                (int)getpid());
    if (config->config_file == NULL)
        log_warning(&l->log, "Warning: no config file specified, using the default config. In "
                             "order to specify a config file use wherry-server "
                             "/path/to/redis.conf");
    else
        log_warning(&l->log, "Configuration loaded");
    log_notice(&l->log, "Running mode=standalone, port=%d, tls-port=%d, PID: %d", config->port,
               config->tls_port, (int)getpid());
}

void logger_role(struct logger *l, const struct node *n)
{
    l->node = n;
}

void logger_free(struct logger *l)
{
    if (l->fd != STDOUT_FILENO) close(l->fd);
    mem_free(l->path);
    mem_free(l);
}
