#include "command/hll.h"

#include <math.h>

enum { ENCODING_DENSE = 0, ENCODING_SPARSE = 1, ENCODING_AT = 4, CACHE_AT = 8 };
enum { INDEX_BITS = 14, HASH_BITS = 64 - INDEX_BITS };
static const uint8_t cache_stale = 0x80; // in the last byte of the cache

bool hll_is(struct bytes hll)
{
    if (hll.len < HLL_HEADER_BYTES || memcmp(hll.data, "HYLL", 4) != 0) return false;
    uint8_t encoding = (uint8_t)hll.data[ENCODING_AT];
    return encoding == ENCODING_SPARSE ||
           (encoding == ENCODING_DENSE && hll.len == HLL_DENSE_BYTES);
}

bool hll_is_dense(struct bytes hll)
{
    return hll.data[ENCODING_AT] == ENCODING_DENSE;
}

// ---- elements -----------------------------------------------------------------------------------

// MurmurHash64A, public domain, Austin Appleby.
static uint64_t murmur(struct bytes text, uint64_t seed)
{
    const uint64_t factor = 0xc6a4a7935bd1e995;
    const unsigned char *p = (const unsigned char *)text.data;
    uint64_t hash = seed ^ (text.len * factor);
    size_t left = text.len;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = 0;
        for (int i = 7; i >= 0; i--)
            word = word << 8 | p[i];
        word *= factor;
        word ^= word >> 47;
        hash = (hash ^ word * factor) * factor;
    }
    if (left > 0) {
        uint64_t word = 0;
        while (left-- > 0)
            word = word << 8 | p[left];
        hash = (hash ^ word) * factor;
    }
    hash = (hash ^ hash >> 47) * factor;
    return hash ^ hash >> 47;
}

uint32_t hll_place(struct bytes element, uint8_t *count)
{
    uint64_t hash = murmur(element, 0xadc83b19);
    // A stop bit, so that there is a lowest set one.
    uint64_t rest = hash >> INDEX_BITS | (uint64_t)1 << HASH_BITS;
    *count = (uint8_t)(__builtin_ctzll(rest) + 1);
    return (uint32_t)(hash & (HLL_REGISTERS - 1));
}

// ---- the cache ----------------------------------------------------------------------------------

bool hll_cached(struct bytes hll, uint64_t *cardinality)
{
    const uint8_t *cache = (const uint8_t *)hll.data + CACHE_AT;
    if (cache[7] & cache_stale) return false;
    *cardinality = 0;
    for (int i = 7; i >= 0; i--)
        *cardinality = *cardinality << 8 | cache[i];
    return true;
}

void hll_cache(char *hll, uint64_t cardinality)
{
    for (int i = 0; i < 8; i++)
        hll[CACHE_AT + i] = (char)(cardinality >> (8 * i));
}

void hll_uncache(char *hll)
{
    hll[CACHE_AT + 7] = (char)((uint8_t)hll[CACHE_AT + 7] | cache_stale);
}

// ---- dense --------------------------------------------------------------------------------------

// Register `index` begins at bit `shift` of byte `at`, and may go on in the next.
struct place {
    size_t at;
    unsigned shift;
};

static struct place place_of(uint32_t index)
{
    return (struct place){HLL_HEADER_BYTES + (size_t)index * 6 / 8, index * 6 % 8};
}

static uint8_t dense_get(const char *hll, uint32_t index)
{
    struct place p = place_of(index);
    unsigned bits = (uint8_t)hll[p.at];
    if (p.shift > 2) bits |= (unsigned)(uint8_t)hll[p.at + 1] << 8;
    return bits >> p.shift & 63;
}

static void dense_set(char *hll, uint32_t index, uint8_t count)
{
    struct place p = place_of(index);
    unsigned mask = 63u << p.shift, bits = (unsigned)count << p.shift;
    hll[p.at] = (char)(((uint8_t)hll[p.at] & ~mask) | bits);
    if (p.shift > 2) hll[p.at + 1] = (char)(((uint8_t)hll[p.at + 1] & ~(mask >> 8)) | bits >> 8);
}

bool hll_raise_dense(char *hll, uint32_t index, uint8_t count)
{
    if (dense_get(hll, index) >= count) return false;
    dense_set(hll, index, count);
    hll_uncache(hll);
    return true;
}

// ---- sparse -------------------------------------------------------------------------------------

enum {
    RUN_ZERO_MAX = 64, // of the short form
    RUN_VALUE_MAX = 4,
    VALUE_MAX = 32,
};

struct run {
    uint32_t length; // registers
    uint8_t value;   // of each; 0 is a run of zeros
    uint8_t bytes;   // that it takes
};

// The run at `at`, which is inside. Length 0: it is cut off.
static struct run run_at(struct bytes hll, size_t at)
{
    uint8_t first = (uint8_t)hll.data[at];
    if (first & 0x80) return (struct run){(first & 3) + 1u, (uint8_t)((first >> 2 & 31) + 1), 1};
    if (!(first & 0x40)) return (struct run){first + 1u, 0, 1};
    if (at + 1 >= hll.len) return (struct run){0, 0, 1};
    return (struct run){((first & 63u) << 8 | (uint8_t)hll.data[at + 1]) + 1, 0, 2};
}

static size_t put_zeros(char *out, uint32_t length)
{
    if (length == 0) return 0;
    if (length <= RUN_ZERO_MAX) {
        out[0] = (char)(length - 1);
        return 1;
    }
    out[0] = (char)(0x40 | (length - 1) >> 8);
    out[1] = (char)(length - 1);
    return 2;
}

static size_t put_values(char *out, uint8_t value, uint32_t length)
{
    if (length == 0) return 0;
    out[0] = (char)(0x80 | (value - 1) << 2 | (length - 1));
    return 1;
}

struct str *hll_new(void)
{
    struct str *hll = str_resize(str_new("HYLL", 4), HLL_HEADER_BYTES + 2);
    hll->data[ENCODING_AT] = ENCODING_SPARSE;
    put_zeros(hll->data + HLL_HEADER_BYTES, HLL_REGISTERS);
    return hll;
}

// Calls for each run that is not of zeros. False: the runs do not cover the registers exactly.
static bool sparse_walk(struct bytes hll, void (*values)(void *arg, uint32_t index, struct run run),
                        void *arg)
{
    uint32_t index = 0;
    for (size_t at = HLL_HEADER_BYTES; at < hll.len;) {
        struct run run = run_at(hll, at);
        if (run.length == 0 || index + run.length > HLL_REGISTERS) return false;
        if (run.value > 0) values(arg, index, run);
        index += run.length;
        at += run.bytes;
    }
    return index == HLL_REGISTERS;
}

static void write_dense(void *arg, uint32_t index, struct run run)
{
    for (uint32_t i = 0; i < run.length; i++)
        dense_set(arg, index + i, run.value);
}

bool hll_make_dense(struct str **hll)
{
    struct bytes old = str_view(*hll);
    if (hll_is_dense(old)) return true;
    struct str *dense = str_resize(str_new(old.data, HLL_HEADER_BYTES), HLL_DENSE_BYTES);
    dense->data[ENCODING_AT] = ENCODING_DENSE;
    if (!sparse_walk(old, write_dense, dense->data)) {
        str_free(dense);
        return false;
    }
    str_free(*hll);
    *hll = dense;
    return true;
}

// Where the run that covers a register is.
struct found {
    size_t at, before; // before: the run ahead of it, or where the runs begin
    uint32_t first;    // register
    struct run run;
};

static bool find_run(struct bytes hll, uint32_t index, struct found *f)
{
    f->at = f->before = HLL_HEADER_BYTES;
    f->first = 0;
    while (f->at < hll.len) {
        f->run = run_at(hll, f->at);
        if (f->run.length == 0) return false;
        if (index < f->first + f->run.length) return true;
        f->before = f->at;
        f->at += f->run.bytes;
        f->first += f->run.length;
    }
    return false;
}

// Neighbouring runs of one value become one where it fits; only around the place of the change.
static void join_runs(struct str *hll, size_t at)
{
    for (int steps = 5; steps > 0 && at < hll->len; steps--) {
        struct run run = run_at(str_view(hll), at);
        bool last = at + 1 >= hll->len;
        struct run next = last ? (struct run){0} : run_at(str_view(hll), at + 1);
        if (run.value == 0 || next.value != run.value || run.length + next.length > RUN_VALUE_MAX) {
            at += run.bytes;
            continue;
        }
        put_values(hll->data + at, run.value, run.length + next.length);
        memmove(hll->data + at + 1, hll->data + at + 2, hll->len - at - 2);
        hll->len--;
        hll->data[hll->len] = '\0';
    }
}

// What the run becomes when one register of it is set. Returns the bytes, at most 5.
static size_t split_run(char out[5], const struct found *f, uint32_t index, uint8_t count)
{
    uint32_t ahead = index - f->first, behind = f->run.length - ahead - 1;
    size_t n = f->run.value ? put_values(out, f->run.value, ahead) : put_zeros(out, ahead);
    n += put_values(out + n, count, 1);
    n += f->run.value ? put_values(out + n, f->run.value, behind) : put_zeros(out + n, behind);
    return n;
}

static enum hll_change promote(struct str **hll, uint32_t index, uint8_t count)
{
    if (!hll_make_dense(hll)) return HLL_CORRUPT;
    return hll_raise_dense((*hll)->data, index, count) ? HLL_RAISED : HLL_SAME;
}

enum hll_change hll_raise(struct str **hll, uint32_t index, uint8_t count, size_t sparse_max_bytes)
{
    struct found f;
    char runs[5];
    if (hll_is_dense(str_view(*hll)))
        return hll_raise_dense((*hll)->data, index, count) ? HLL_RAISED : HLL_SAME;
    if (count > VALUE_MAX) return promote(hll, index, count);
    if (!find_run(str_view(*hll), index, &f)) return HLL_CORRUPT;
    if (f.run.value >= count) return HLL_SAME;
    size_t bytes = split_run(runs, &f, index, count), old_len = (*hll)->len;
    if (bytes > f.run.bytes && old_len + bytes - f.run.bytes > sparse_max_bytes)
        return promote(hll, index, count);
    size_t behind = f.at + f.run.bytes, new_len = old_len + bytes - f.run.bytes;
    if (new_len > old_len) *hll = str_resize(*hll, new_len);
    memmove((*hll)->data + f.at + bytes, (*hll)->data + behind, old_len - behind);
    memcpy((*hll)->data + f.at, runs, bytes);
    if (new_len < old_len) *hll = str_resize(*hll, new_len);
    join_runs(*hll, f.before);
    hll_uncache((*hll)->data);
    return HLL_RAISED;
}

void hll_describe(struct bytes hll, struct buf *out)
{
    for (size_t at = HLL_HEADER_BYTES; at < hll.len;) {
        struct run run = run_at(hll, at);
        const char *space = at == HLL_HEADER_BYTES ? "" : " ";
        if (run.value > 0)
            buf_printf(out, "%sv:%u,%u", space, run.value, run.length);
        else
            buf_printf(out, "%s%c:%u", space, run.bytes == 2 ? 'Z' : 'z', run.length);
        at += run.bytes;
    }
}

// ---- counting -----------------------------------------------------------------------------------

static void raise_run(void *arg, uint32_t index, struct run run)
{
    uint8_t *registers = arg;
    for (uint32_t i = index; i < index + run.length; i++)
        if (registers[i] < run.value) registers[i] = run.value;
}

bool hll_merge(uint8_t registers[HLL_REGISTERS], struct bytes hll)
{
    if (!hll_is_dense(hll)) return sparse_walk(hll, raise_run, registers);
    for (uint32_t i = 0; i < HLL_REGISTERS; i++) {
        uint8_t count = dense_get(hll.data, i);
        if (count > registers[i]) registers[i] = count;
    }
    return true;
}

// The paper's sigma, for registers that are 0, and tau, for those that are full.
static double sigma(double x)
{
    if (x == 1) return INFINITY;
    double sum = x, before, weight = 1;
    do {
        x *= x;
        before = sum;
        sum += x * weight;
        weight += weight;
    } while (sum != before);
    return sum;
}

static double tau(double x)
{
    if (x == 0 || x == 1) return 0;
    double sum = 1 - x, before, weight = 1;
    do {
        x = sqrt(x);
        before = sum;
        weight *= 0.5;
        sum -= (1 - x) * (1 - x) * weight;
    } while (sum != before);
    return sum / 3;
}

uint64_t hll_estimate(const uint8_t registers[HLL_REGISTERS])
{
    const double m = HLL_REGISTERS, alpha = 0.721347520444481703680; // 1 / (2 ln 2)
    int histogram[64] = {0};
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        histogram[registers[i] & 63]++;
    double z = m * tau((m - histogram[HASH_BITS + 1]) / m);
    for (int count = HASH_BITS; count >= 1; count--)
        z = 0.5 * (z + histogram[count]);
    z += m * sigma(histogram[0] / m);
    return (uint64_t)llroundl(alpha * m * m / z);
}
