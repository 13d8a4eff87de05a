// The TLS layer on sockets against other people's programs: redis-cli and openssl s_client as
// clients, redis-server as a server. Each program starts in the background; the loop runs until the
// conversation is over, at most GUARD_US.
#include "conn/layer_tls.h"
#include "conn/net_uv.h"
#include "loop/loop_uv.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define T "tests/tls/"
enum { PORT = 21150, REDIS_PORT = 21151, GUARD_US = 15000000, RETRY_US = 50000 };

struct scene {
    struct loop *loop;
    struct network *net;
    struct listener *listener;
    struct deadline guard, retry;
    struct conn *server, *client;
    struct buf server_got, client_got;
    char server_is[100]; // protocol and cipher
    struct error server_why, client_why;
    bool guarded;
    int tries;
    const char *verify_name;
    pid_t program;
};

extern char **environ;

static pid_t start(const char *command)
{
    pid_t pid;
    char *args[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    cr_assert_eq(posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ), 0);
    return pid;
}

static void on_guard(struct deadline *d)
{
    struct scene *s = (struct scene *)(void *)((char *)d - offsetof(struct scene, guard));
    s->guarded = true;
    loop_stop(s->loop);
}

// ---- we serve -------------------------------------------------------------------------------

static void server_bytes(struct conn *c, void *owner, struct bytes input)
{
    struct scene *s = owner;
    tls_describe(c, s->server_is, sizeof(s->server_is));
    buf_append_bytes(&s->server_got, input);
    // Whatever was asked: enough for PING, and for a person at s_client.
    if (memchr(input.data, '\n', input.len) != NULL) conn_write_bytes(c, BYTES("+PONG\r\n"));
    if (memmem(input.data, input.len, "bye", 3) != NULL) conn_close_flush(c);
}

static void server_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c;
    struct scene *s = owner;
    s->server_why = *why;
    s->server = NULL;
}

static const struct conn_events server_events = {NULL, server_bytes, NULL, server_closed};

static void accepted(void *owner, struct conn *c)
{
    ((struct scene *)owner)->server = c;
    conn_own(c, &server_events, owner);
}

static void begin(struct scene *s)
{
    *s = (struct scene){.loop = loop_uv_new(NULL, NULL)};
    s->net = net_uv_new(s->loop, NULL);
    struct tls_config config = {
        .cert_file = T "server.crt",
        .key_file = T "server.key",
        .client_cert_file = T "client.crt",
        .client_key_file = T "client.key",
        .ca_cert_file = T "ca.crt",
        .auth_clients = TLS_AUTH_YES,
        .session_caching = true,
        .session_cache_size = 100,
        .session_cache_timeout_s = 300,
    };
    struct error error = ERROR_OK;
    struct tls_context *context = tls_context_new(&config, &error);
    cr_assert_not_null(context, "%s", error.text);
    net_set_tls(s->net, context);
    tls_context_unref(context);
    struct listen_options options = {
        .address = "127.0.0.1", .port = PORT, .tls = true, .accepted = accepted, .owner = s};
    s->listener = s->net->listen(s->net, &options, &error);
    cr_assert_not_null(s->listener, "%s", error.text);
    s->guard.fire = on_guard;
    deadline_arm(s->loop, &s->guard, loop_now_us(s->loop) + GUARD_US);
}

static void finish(struct scene *s)
{
    deadline_cancel(s->loop, &s->guard);
    deadline_cancel(s->loop, &s->retry);
    s->net->unlisten(s->net, s->listener);
    net_uv_free(s->net);
    loop_free(s->loop);
    buf_free(&s->server_got);
    buf_free(&s->client_got);
}

static void on_look(struct deadline *d)
{
    struct scene *s = (struct scene *)(void *)((char *)d - offsetof(struct scene, retry));
    if (waitpid(s->program, NULL, WNOHANG) == 0)
        deadline_arm(s->loop, &s->retry, loop_now_us(s->loop) + RETRY_US);
    else
        loop_stop(s->loop);
}

// Runs a client program against our port until it ends; what it printed comes back in `out`.
static void serve(const char *command, char *out, size_t size)
{
    struct scene s;
    begin(&s);
    char path[] = "/tmp/wherry-tls-XXXXXX", line[512];
    close(mkstemp(path));
    snprintf(line, sizeof(line), "%s > %s 2>&1", command, path);
    s.program = start(line);
    s.retry.fire = on_look;
    deadline_arm(s.loop, &s.retry, loop_now_us(s.loop) + RETRY_US);
    loop_run(s.loop);
    cr_expect(!s.guarded, "no end: %s", command);
    if (s.guarded) kill(s.program, SIGKILL);
    FILE *f = fopen(path, "r");
    size_t len = fread(out, 1, size - 1, f);
    out[len] = '\0';
    fclose(f);
    unlink(path);
    finish(&s);
}

static void make_certs(void)
{
    cr_assert_eq(system("tools/gen-test-certs.sh"), 0);
}

TestSuite(tls_peers, .init = make_certs, .timeout = 60);

#define AUTH "--cacert " T "ca.crt --cert " T "client.crt --key " T "client.key"

Test(tls_peers, redis_cli_gets_its_answer)
{
    char out[2000];
    serve("redis-cli --tls " AUTH " -h 127.0.0.1 -p 21150 PING", out, sizeof(out));
    cr_assert_str_eq(out, "PONG\n");
}

Test(tls_peers, redis_cli_without_a_certificate_is_turned_away)
{
    char out[2000];
    serve("redis-cli --tls --cacert " T "ca.crt -h 127.0.0.1 -p 21150 PING", out, sizeof(out));
    cr_assert_null(strstr(out, "PONG"), "%s", out);
    cr_assert_not_null(strstr(out, "rror"), "%s", out);
}

Test(tls_peers, openssl_s_client_sees_an_orderly_end)
{
    static const char *const versions[] = {"-tls1_2", "-tls1_3"};
    for (int i = 0; i < 2; i++) {
        char out[20000], command[400];
        snprintf(command, sizeof(command),
                 "(echo bye; sleep 1) | openssl s_client %s -connect 127.0.0.1:%d -CAfile " T
                 "ca.crt -cert " T "client.crt -key " T "client.key -verify_return_error "
                 "-verify_ip 127.0.0.1 -brief",
                 versions[i], PORT);
        serve(command, out, sizeof(out));
        cr_assert_not_null(strstr(out, "Verification: OK"), "%s", out);
        cr_assert_not_null(strstr(out, i == 0 ? "TLSv1.2" : "TLSv1.3"), "%s", out);
        cr_assert_not_null(strstr(out, "+PONG"), "%s", out);
        cr_assert_null(strstr(out, "unexpected eof"), "%s", out);
    }
}

// ---- redis-server serves --------------------------------------------------------------------

static void dial(struct scene *s);

static void client_opened(struct conn *c, void *owner)
{
    (void)owner;
    conn_write_bytes(c, BYTES("PING\r\n"));
}

static void client_bytes(struct conn *c, void *owner, struct bytes input)
{
    struct scene *s = owner;
    buf_append_bytes(&s->client_got, input);
    if (memchr(input.data, '\n', input.len) != NULL) conn_close_flush(c);
}

static void on_retry(struct deadline *d)
{
    dial((struct scene *)(void *)((char *)d - offsetof(struct scene, retry)));
}

static void client_closed(struct conn *c, void *owner, const struct error *why)
{
    (void)c;
    struct scene *s = owner;
    s->client_why = *why;
    s->client = NULL;
    if (why->class == ERROR_IO && s->tries++ < 200) // it is still starting
        deadline_arm(s->loop, &s->retry, loop_now_us(s->loop) + RETRY_US);
    else
        loop_stop(s->loop);
}

static const struct conn_events client_events = {client_opened, client_bytes, NULL, client_closed};

static void dial(struct scene *s)
{
    struct conn_target target = {
        .host = "localhost", .port = REDIS_PORT, .tls = true, .verify_name = s->verify_name};
    s->client = net_connect(s->net, &target, &client_events, s);
}

Test(tls_peers, a_real_redis_answers_us_and_its_name_is_checked)
{
    pid_t redis = start("exec redis-server --port 0 --tls-port 21151 --bind 127.0.0.1 --save '' "
                        "--tls-cert-file " T "server.crt --tls-key-file " T "server.key "
                        "--tls-ca-cert-file " T "ca.crt --logfile /dev/null");
    static const char *const names[] = {NULL, "localhost", "127.0.0.1", "elsewhere.example"};
    struct scene scenes[4];
    for (int i = 0; i < 4; i++) {
        struct scene *s = &scenes[i];
        begin(s);
        s->retry.fire = on_retry;
        s->verify_name = names[i];
        dial(s);
        loop_run(s->loop);
        cr_expect(!s->guarded);
        if (i < 3)
            cr_expect(bytes_equal(buf_view(&s->client_got), BYTES("+PONG\r\n")), "%s",
                      s->client_why.text);
        else
            cr_expect_not_null(strstr(s->client_why.text, "elsewhere.example"), "%s",
                               s->client_why.text);
        finish(s);
    }
    kill(redis, SIGTERM);
    waitpid(redis, NULL, 0);
}
