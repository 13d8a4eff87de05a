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

enum {
    HANG_S = 120, // of the processor, for one seed
    JOBS_MAX = 64,
};

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

static void watch_for_hang(bool on)
{
    struct itimerval limit = {.it_value = {.tv_sec = on ? HANG_S : 0}};
    setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

static bool play(const struct world_program *program, const struct world_options *options)
{
    static struct world w;
    static jmp_buf out;
    run.seed = options->seed;
    rng_seed(&run.rng, options->seed);
    watch_for_hang(true);
    if (setjmp(out) != 0) {
        // The world stays as it is: its nodes may be in the middle of something.
        watch_for_hang(false);
        printf("%s: seed %llu FAILED: %s\n", program->name, (unsigned long long)options->seed,
               w.why);
        if (options->trace && !options->verbose) world_show(&w);
        return false;
    }
    world_begin(&w, options, &out);
    program->play(&w);
    world_end(&w);
    watch_for_hang(false);
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
    uint64_t from, count, seconds; // seconds: no more seeds are begun after so many; 0: all are
    bool cases, verbose, go_on;
    const char *only;
    int tail, jobs;
    uint64_t share, shares; // every `shares`-th from number `share` on
};

static bool parse_number(const char *word, const char *value, struct request_line *r)
{
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(word, "--seed") == 0) {
        r->from = number;
        r->count = 1;
    } else if (strcmp(word, "--seeds") == 0) {
        r->count = number;
    } else if (strcmp(word, "--from") == 0) {
        r->from = number;
    } else if (strcmp(word, "--tail") == 0) {
        r->tail = (int)number;
    } else if (strcmp(word, "--jobs") == 0 && number > 0 && number <= JOBS_MAX) {
        r->jobs = (int)number;
    } else if (strcmp(word, "--seconds") == 0) {
        r->seconds = number;
    } else if (strcmp(word, "--share") == 0) {
        r->share = number;
    } else if (strcmp(word, "--shares") == 0 && number > 0) {
        r->shares = number;
    } else {
        return false;
    }
    return true;
}

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
        } else if (strcmp(word, "--case") == 0) {
            r->cases = true;
            r->only = argv[++i];
        } else if (parse_number(word, value, r)) {
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void say_sums(unsigned passed, unsigned failed, double took)
{
    printf("%s: %.1f seeds per second\n", run.program->name,
           (passed + failed) / (took > 0 ? took : 1));
    printf("%u passed, %u failed\n", passed, failed);
}

// ---- several processes --------------------------------------------------------------------------

// Shows what a process has to say, and adds its sums. One that ended without any has failed.
static bool take_sums(FILE *from, unsigned *passed, unsigned *failed)
{
    char line[1024];
    unsigned ok, bad;
    bool summed = false;
    while (fgets(line, sizeof(line), from) != NULL) {
        if (sscanf(line, "%u passed, %u failed", &ok, &bad) == 2) {
            *passed += ok;
            *failed += bad;
            summed = true;
        } else if (strstr(line, " seeds per second") == NULL) {
            fputs(line, stdout);
        }
    }
    return summed;
}

static unsigned run_jobs(int argc, char **argv, int jobs, unsigned *passed)
{
    FILE *processes[JOBS_MAX];
    unsigned failed = 0;
    for (int j = 0; j < jobs; j++) {
        struct buf line = BUF_EMPTY;
        for (int i = 0; i < argc; i++)
            buf_printf(&line, "'%s' ", argv[i]);
        buf_printf(&line, "--jobs 1 --share %d --shares %d", j, jobs);
        buf_append_byte(&line, '\0');
        processes[j] = popen(buf_view(&line).data, "r");
        buf_free(&line);
    }
    for (int j = 0; j < jobs; j++) {
        bool summed = processes[j] != NULL && take_sums(processes[j], passed, &failed);
        if (!summed) failed++;
        if (processes[j] != NULL) pclose(processes[j]);
    }
    return failed;
}

// ---- one process --------------------------------------------------------------------------------

static void catch_signals(void)
{
    signal(SIGABRT, on_signal);
    signal(SIGVTALRM, on_signal);
#ifdef __SANITIZE_ADDRESS__
    __asan_set_death_callback(say_seed);
#else
    signal(SIGSEGV, on_signal);
#endif
}

static unsigned run_share(const struct request_line *r, unsigned *passed)
{
    struct world_options options = {.verbose = r->verbose, .tail = r->tail};
    unsigned failed = 0;
    uint64_t number = 0;
    double until_s = r->seconds > 0 ? now_s() + (double)r->seconds : 1e18;
    RAND_set_rand_method(&seeded);
    catch_signals();
    for (const struct world_case *c = run.program->cases; r->cases && c->name != NULL; c++) {
        if (r->only != NULL && strcmp(r->only, c->name) != 0) continue;
        if (number++ % r->shares != r->share) continue;
        options.seed = c->seed;
        bool ok = try_seed(run.program, options);
        if (!ok) printf("case %s\n", c->name);
        *(ok ? passed : &failed) += 1;
    }
    uint64_t count = r->only != NULL ? 0 : r->count;
    for (uint64_t i = 0; i < count && (failed == 0 || r->go_on) && now_s() < until_s; i++) {
        if (number++ % r->shares != r->share) continue;
        options.seed = r->from + i;
        *(try_seed(run.program, options) ? passed : &failed) += 1;
    }
    tls_context_unref(run.tls);
    return failed;
}

int runner_main(const struct world_program *program, int argc, char **argv)
{
    struct request_line r = {.from = 1, .count = 20, .tail = 60, .jobs = 1, .shares = 1};
    run.program = program;
    run.path = argv[0];
    if (!parse(argc, argv, &r)) {
        fprintf(stderr,
                "%s [--seeds N] [--seconds N] [--from N] [--jobs N] [--seed N] [-v] [--tail LINES] "
                "[--go-on] [--case NAME | --cases]\n",
                argv[0]);
        return 2;
    }
    unsigned passed = 0, failed;
    double began = now_s();
    if (r.jobs > 1)
        failed = run_jobs(argc, argv, r.jobs, &passed);
    else
        failed = run_share(&r, &passed);
    say_sums(passed, failed, now_s() - began);
    return failed > 0;
}
