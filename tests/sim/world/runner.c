#define OPENSSL_SUPPRESS_DEPRECATED // RAND_METHOD: the one way to give OpenSSL a seed
#include "sim/world/runner.h"

#include "conn/tls.h"

#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

enum { HANG_S = 120 }; // of real time, for one seed

// What a signal handler has to know, and OpenSSL's random numbers.
static struct {
    const struct world_program *program;
    const char *path;
    uint64_t seed;
    struct rng rng;
    struct tls_context *tls;
} run;

// ---- random numbers of TLS ----------------------------------------------------------------------

static int random_bytes(unsigned char *out, int len)
{
    for (int i = 0; i < len; i++)
        out[i] = (unsigned char)rng_next(&run.rng);
    return 1;
}

static int random_ready(void)
{
    return 1;
}

static int random_seed(const void *data, int len)
{
    (void)data, (void)len;
    return 1;
}

static int random_add(const void *data, int len, double entropy)
{
    (void)data, (void)len, (void)entropy;
    return 1;
}

static const RAND_METHOD seeded = {random_seed, random_bytes, NULL,
                                   random_add,  random_bytes, random_ready};

struct tls_context *runner_tls(void)
{
    if (run.tls != NULL) return run.tls;
    struct error error = ERROR_OK;
    struct tls_config config = {.cert_file = "tests/tls/wherry.crt",
                                .key_file = "tests/tls/wherry.key",
                                .ca_cert_file = "tests/tls/ca.crt",
                                .auth_clients = TLS_AUTH_YES};
    if (system("tools/gen-test-certs.sh") != 0 ||
        (run.tls = tls_context_new(&config, &error)) == NULL) {
        fprintf(stderr, "no certificates to test with: %s\n", error.text);
        exit(2);
    }
    return run.tls;
}

// ---- one seed -----------------------------------------------------------------------------------

static bool play(const struct world_program *program, const struct world_options *options)
{
    static struct world w;
    static jmp_buf out;
    run.seed = options->seed;
    rng_seed(&run.rng, options->seed);
    alarm(HANG_S);
    if (setjmp(out) != 0) {
        // The world stays as it is: its nodes may be in the middle of something.
        alarm(0);
        printf("%s: seed %llu FAILED: %s\n", program->name, (unsigned long long)options->seed,
               w.why);
        if (options->trace && !options->verbose) world_show(&w);
        return false;
    }
    world_begin(&w, options, &out);
    program->play(&w);
    world_end(&w);
    alarm(0);
    return true;
}

static bool try_seed(const struct world_program *program, struct world_options options)
{
    if (play(program, &options)) return true;
    if (!options.trace) {
        options.trace = true;
        if (play(program, &options))
            printf("%s: seed %llu does not fail again\n", program->name,
                   (unsigned long long)options.seed);
    }
    printf("replay: %s --seed %llu -v\n", run.path, (unsigned long long)options.seed);
    fflush(stdout);
    return false;
}

static void say_seed(void)
{
    char text[200];
    int len = snprintf(text, sizeof(text), "\n%s: seed %llu CRASHED\nreplay: %s --seed %llu -v\n",
                       run.program->name, (unsigned long long)run.seed, run.path,
                       (unsigned long long)run.seed);
    if (write(1, text, (size_t)len) < 0) _exit(3);
}

static void on_signal(int number)
{
    say_seed();
    signal(number, SIG_DFL);
    raise(number);
}

// ---- the program --------------------------------------------------------------------------------

struct request_line {
    uint64_t from, count;
    bool one, cases, verbose, go_on;
    const char *only;
    int tail;
};

static bool parse(int argc, char **argv, struct request_line *r)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "-v") == 0) {
            r->verbose = true;
        } else if (strcmp(word, "--cases") == 0) {
            r->cases = true;
        } else if (strcmp(word, "--go-on") == 0) {
            r->go_on = true;
        } else if (value == NULL) {
            return false;
        } else if (strcmp(word, "--seed") == 0) {
            r->one = true;
            r->from = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(word, "--seeds") == 0) {
            r->count = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(word, "--from") == 0) {
            r->from = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(word, "--tail") == 0) {
            r->tail = atoi(argv[++i]);
        } else if (strcmp(word, "--case") == 0) {
            r->cases = true;
            r->only = argv[++i];
        } else {
            return false;
        }
    }
    if (r->one) r->count = 1;
    return true;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int runner_main(const struct world_program *program, int argc, char **argv)
{
    struct request_line r = {.from = 1, .count = 20, .tail = 60};
    run.program = program;
    run.path = argv[0];
    if (!parse(argc, argv, &r)) {
        fprintf(stderr,
                "%s [--seeds N] [--from N] [--seed N] [-v] [--tail LINES] [--go-on] "
                "[--case NAME | --cases]\n",
                argv[0]);
        return 2;
    }
    RAND_set_rand_method(&seeded);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
#ifdef __SANITIZE_ADDRESS__
    __asan_set_death_callback(say_seed);
#else
    signal(SIGSEGV, on_signal);
#endif
    struct world_options options = {.verbose = r.verbose, .tail = r.tail};
    unsigned passed = 0, failed = 0;
    double began = now_s();
    for (const struct world_case *c = program->cases; r.cases && c->name != NULL; c++) {
        if (r.only != NULL && strcmp(r.only, c->name) != 0) continue;
        options.seed = c->seed;
        bool ok = try_seed(program, options);
        if (!ok) printf("case %s\n", c->name);
        *(ok ? &passed : &failed) += 1;
    }
    if (r.only != NULL) r.count = 0;
    for (uint64_t i = 0; i < r.count && (failed == 0 || r.go_on); i++) {
        options.seed = r.from + i;
        *(try_seed(program, options) ? &passed : &failed) += 1;
    }
    double took = now_s() - began;
    printf("%s: %.1f seeds per second\n", program->name, (passed + failed) / (took > 0 ? took : 1));
    printf("%u passed, %u failed\n", passed, failed);
    tls_context_unref(run.tls);
    return failed > 0;
}
