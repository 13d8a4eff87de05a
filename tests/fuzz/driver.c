// A small fuzzer around any LLVMFuzzerTestOneInput, for gcc's sanitizers, which come without
// libFuzzer: takes files of a corpus, damages and mixes them, runs them, for so many seconds. The
// code under test tells where it goes (-fsanitize-coverage=trace-pc); an input that takes a path
// that none took before joins the others, to be damaged further.
//
//   fuzz_x <seconds> <corpus dir> [seed]   prints seed, executions and new paths; a crash ends the
//                                          process
//   fuzz_x replay <file>...                runs files as they are
//
// The input that runs is in the file "<program>.last" (mapped, so that it survives the crash);
// replay takes that file too.
#include "base/bytes.h"
#include "base/mem.h"
#include "base/rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX_BYTES = 1 << 20, FILE_MAX = 4096, CHECK_CLOCK_EVERY = 64 };
enum {
    EDGES = 1 << 16,            // steps from one block of code to the next, by a hash
    KEPT_MAX = 4096,            // inputs that joined the corpus
    KEPT_MAX_BYTES = 16 * 1024, // of each
};

static const char last_magic[8] = "fuzzlast";

struct last {
    char magic[8];
    uint64_t len;
    char data[INPUT_MAX_BYTES];
};

struct fuzzer {
    struct buf *files;
    size_t count;
    struct rng rng;
    struct last *last;
    uint64_t executions, paths;
    size_t given; // files of the corpus; those after them joined
};

// ---- where the code goes --------------------------------------------------------------------

static union {
    uint8_t count[EDGES];
    uint64_t word[EDGES / 8];
} taken;                    // in the run that is under way
static uint8_t seen[EDGES]; // in any run: a bit for each order of magnitude
static uint32_t block_before;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    // By the distance to a place in the program, which is the same wherever it is loaded.
    uintptr_t here = (uintptr_t)__builtin_return_address(0) - (uintptr_t)LLVMFuzzerTestOneInput;
    uint32_t block = (uint32_t)(here * 0x9E3779B97F4A7C15u >> 40);
    uint8_t *count = &taken.count[(block ^ block_before) % EDGES];
    if (*count < UINT8_MAX) ++*count;
    block_before = block >> 1;
}

static uint8_t magnitude(uint8_t count)
{
    static const uint8_t from[] = {1, 2, 3, 4, 8, 16, 32, 128};
    uint8_t bit = 0;
    for (int i = 0; i < 8; i++)
        if (count >= from[i]) bit = (uint8_t)(1 << i);
    return bit;
}

// Whether the run that has ended went where none went before. Makes ready for the next.
static bool look_at_path(void)
{
    bool new_path = false;
    for (size_t w = 0; w < EDGES / 8; w++) {
        if (taken.word[w] == 0) continue;
        for (size_t i = w * 8; i < w * 8 + 8; i++) {
            uint8_t bit = magnitude(taken.count[i]);
            new_path |= (bit & ~seen[i]) != 0;
            seen[i] |= bit;
        }
        taken.word[w] = 0;
    }
    block_before = 0;
    return new_path;
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return false;
    size_t got;
    while ((got = fread(buf_reserve(out, 65536), 1, 65536, file)) > 0)
        buf_commit(out, got);
    fclose(file);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// In order of names, so that a seed means the same everywhere.
static void read_corpus(struct fuzzer *f, const char *path)
{
    char **names = mem_array(char *, FILE_MAX);
    size_t count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && count < FILE_MAX && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.') names[count++] = strdup(e->d_name);
    if (dir != NULL) closedir(dir);
    qsort(names, count, sizeof(*names), by_name);
    f->files = mem_zalloc(sizeof(*f->files) * (count + 1));
    for (size_t i = 0; i < count; i++) {
        struct buf full = BUF_EMPTY;
        buf_printf(&full, "%s/%s", path, names[i]);
        buf_append_byte(&full, '\0');
        if (read_file(buf_view(&full).data, &f->files[f->count])) f->count++;
        buf_free(&full);
        free(names[i]);
    }
    mem_free(names);
    if (f->count == 0) f->count = 1; // one empty file
    f->given = f->count;
    f->files = mem_realloc(f->files, sizeof(*f->files) * (f->count + KEPT_MAX));
}

// Runs in memory that ends where the input does, so that one byte too far is noticed. True: it took
// a new path.
static bool run(struct fuzzer *f, struct bytes input)
{
    uint8_t *exact = malloc(input.len ? input.len : 1);
    if (input.len) memcpy(exact, input.data, input.len);
    if (f->last != NULL && input.len <= INPUT_MAX_BYTES) {
        f->last->len = input.len;
        memcpy(f->last->data, exact, input.len);
    }
    LLVMFuzzerTestOneInput(exact, input.len);
    f->executions++;
    free(exact);
    return look_at_path();
}

// ---- damage ---------------------------------------------------------------------------------

static void replace(struct buf *b, size_t at, size_t len, struct bytes with)
{
    struct buf out = BUF_EMPTY;
    struct bytes old = buf_view(b);
    buf_append(&out, old.data, at);
    buf_append_bytes(&out, with);
    buf_append(&out, old.data + at + len, old.len - at - len);
    buf_free(b);
    *b = out;
}

static void damage(struct fuzzer *f, struct buf *b)
{
    static const char *const words[] = {
        "0",       "-1",   "1",    "65536",      "2147483647",
        "\r\n",    "\xff", "\x80", "4294967296", "9223372036854775807",
        "\x7f\xff"};
    struct rng *r = &f->rng;
    size_t len = buf_len(b), at = rng_below(r, len + 1);
    size_t part = rng_below(r, len - at + 1 < 64 ? len - at + 1 : 64);
    char *data = b->data + b->start;
    uint64_t number = rng_next(r);
    struct bytes other = buf_view(&f->files[rng_below(r, f->count)]);
    switch (rng_below(r, 9)) {
    case 0:
        if (at < len) data[at] ^= (char)(1 << (number & 7));
        break;
    case 1:
        if (at < len) data[at] = (char)number;
        break;
    case 2:
        if (at < len) data[at] = (char)(data[at] + (number & 1 ? 1 : -1));
        break;
    case 3:
        replace(b, at, part, BYTES(""));
        break;
    case 4:
        replace(b, at, 0, bytes_of(&number, 1 + rng_below(r, 8)));
        break;
    case 5: {
        const char *word = words[rng_below(r, sizeof(words) / sizeof(words[0]))];
        replace(b, at, part < 4 ? part : 0, bytes_from_cstr(word));
        break;
    }
    case 6: { // a piece of this input once more
        size_t from = rng_below(r, len + 1), size = rng_below(r, len - from + 1);
        struct str *piece = str_from(bytes_of(buf_view(b).data + from, size));
        replace(b, at, 0, str_view(piece));
        str_free(piece);
        break;
    }
    case 7: { // a piece of another
        size_t from = rng_below(r, other.len + 1), size = rng_below(r, other.len - from + 1);
        replace(b, at, part, bytes_of(other.data + from, size));
        break;
    }
    case 8:
        replace(b, at, len - at, BYTES(""));
        break;
    }
    if (buf_len(b) > INPUT_MAX_BYTES) b->end = b->start + INPUT_MAX_BYTES;
}

static void fuzz_once(struct fuzzer *f)
{
    struct buf input = BUF_EMPTY;
    buf_append_bytes(&input, buf_view(&f->files[rng_below(&f->rng, f->count)]));
    for (uint64_t times = rng_below(&f->rng, 8); times > 0; times--)
        damage(f, &input);
    bool keep = run(f, buf_view(&input));
    f->paths += keep;
    if (keep && f->count < f->given + KEPT_MAX && buf_len(&input) <= KEPT_MAX_BYTES)
        f->files[f->count++] = input;
    else
        buf_free(&input);
}

static struct last *map_last(const char *program)
{
    struct buf path = BUF_EMPTY;
    buf_printf(&path, "%s.last", program);
    buf_append_byte(&path, '\0');
    int fd = open(buf_view(&path).data, O_RDWR | O_CREAT | O_TRUNC, 0644);
    buf_free(&path);
    if (fd < 0) return NULL;
    void *at = MAP_FAILED;
    if (ftruncate(fd, sizeof(struct last)) == 0)
        at = mmap(NULL, sizeof(struct last), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return NULL;
    struct last *last = at;
    memcpy(last->magic, last_magic, sizeof(last_magic));
    return last;
}

static int replay(struct fuzzer *f, int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        struct buf file = BUF_EMPTY;
        if (!read_file(paths[i], &file)) {
            fprintf(stderr, "cannot read %s\n", paths[i]);
            return 1;
        }
        struct bytes input = buf_view(&file);
        if (input.len == sizeof(struct last) && memcmp(input.data, last_magic, 8) == 0) {
            const struct last *last = (const void *)input.data;
            input = bytes_of(last->data, (size_t)last->len);
        }
        run(f, input);
        printf("%s: %zu bytes, no failure\n", paths[i], input.len);
        buf_free(&file);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct fuzzer f = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: %s <seconds> <corpus dir> [seed] | replay <file>...\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "replay") == 0) return replay(&f, argc - 2, argv + 2);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)now.tv_nsec;
    time_t end = now.tv_sec + atoi(argv[1]);
    rng_seed(&f.rng, seed);
    f.last = map_last(argv[0]);
    read_corpus(&f, argv[2]);
    printf("%s: %zu files, seed %llu\n", argv[0], f.count, (unsigned long long)seed);
    fflush(stdout);
    for (size_t i = 0; i < f.count; i++)
        run(&f, buf_view(&f.files[i]));
    while (now.tv_sec < end) {
        for (int i = 0; i < CHECK_CLOCK_EVERY; i++)
            fuzz_once(&f);
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    printf("%s: %llu executions, %llu new paths, no failure\n", argv[0],
           (unsigned long long)f.executions, (unsigned long long)f.paths);
    for (size_t i = 0; i < f.count; i++)
        buf_free(&f.files[i]);
    mem_free(f.files);
    if (f.last != NULL) munmap(f.last, sizeof(*f.last));
    return 0;
}
