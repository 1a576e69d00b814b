/* kernel_items.c - the kernels that `bench kernels` measures, and how each is called. */
#include "src/bench/kernel_items.h"

#include <string.h>

/* One call per row, in order. The calls are independent, so the processor may overlap them. */
#define PAIRS(kernel, type, result)                                               \
    static void run_##kernel(const struct kernels *k, const struct bench_load *l) \
    {                                                                             \
        const type *rows = l->rows;                                               \
        result *out = l->out;                                                     \
        for (size_t i = 0; i < l->n; i++)                                         \
            out[i] = k->kernel(l->query, rows + i * l->dim, l->dim);              \
    }
#define TO_MANY(kernel)                                                           \
    static void run_##kernel(const struct kernels *k, const struct bench_load *l) \
    {                                                                             \
        k->kernel(l->query, l->rows, l->n, l->dim, l->out);                       \
    }
/* The first BENCH_MANY_A rows against the next BENCH_MANY_B. */
#define TO_EACH(kernel, type)                                                                     \
    static void run_##kernel(const struct kernels *k, const struct bench_load *l)                 \
    {                                                                                             \
        const type *rows = l->rows;                                                               \
        k->kernel(rows, BENCH_MANY_A, rows + BENCH_MANY_A * l->dim, BENCH_MANY_B, l->dim, l->out, \
                  BENCH_MANY_B);                                                                  \
    }
#define WITHIN(kernel, radius)                                                           \
    static void run_within_##radius(const struct kernels *k, const struct bench_load *l) \
    {                                                                                    \
        uint64_t query;                                                                  \
        memcpy(&query, l->query, sizeof query);                                          \
        k->kernel(query, l->rows, l->n, radius, l->out);                                 \
    }
#define AT_MOST(kernel, limit)                                                    \
    static void run_##kernel(const struct kernels *k, const struct bench_load *l) \
    {                                                                             \
        k->kernel(l->rows, l->n, limit, l->out);                                  \
    }

PAIRS(l2sq_f32, float, float)
PAIRS(ip_f32, float, float)
PAIRS(l2sq_u8, uint8_t, uint32_t)
PAIRS(ip_u8, uint8_t, uint32_t)
PAIRS(cos_u8, uint8_t, float)
TO_MANY(l2sq_f32_1n)
TO_MANY(ip_f32_1n)
TO_MANY(l2sq_u8_1n)
TO_MANY(ip_u8_1n)
TO_MANY(cos_u8_1n)
TO_EACH(l2sq_f32_mn, float)
TO_EACH(ip_f32_mn, float)
TO_EACH(l2sq_u8_mn, uint8_t)
TO_EACH(ip_u8_mn, uint8_t)
TO_EACH(cos_u8_mn, uint8_t)
WITHIN(hamming_b64_within, 8)
WITHIN(hamming_b64_within, 20)
AT_MOST(at_most_f32, 0.01f)
AT_MOST(at_most_u8, 1)

static void run_hamming_b64_1n(const struct kernels *k, const struct bench_load *l)
{
    uint64_t query;
    memcpy(&query, l->query, sizeof query);
    k->hamming_b64_1n(query, l->rows, l->n, l->out);
}

static void run_hamming_b64_mn(const struct kernels *k, const struct bench_load *l)
{
    const uint64_t *codes = l->rows;
    k->hamming_b64_mn(codes, BENCH_MANY_A, codes + BENCH_MANY_A, BENCH_MANY_B, l->out,
                      BENCH_MANY_B);
}

/* 64 codes of 128 bits; of 8 bytes, as the paper's product quantizer has; of 128 numbers. */
enum { FASTSCAN_BYTES = 16, LOOKUP_BYTES = 8, NIBBLES_BYTES = 64 };

/* 64 codes at a time, of so many bytes each; further arguments follow the query. */
#define BLOCKS(kernel, bytes, ...)                                                \
    static void run_##kernel(const struct kernels *k, const struct bench_load *l) \
    {                                                                             \
        const uint8_t *codes = l->rows;                                           \
        for (size_t i = 0; i + 64 <= l->n; i += 64)                               \
            k->kernel(codes + i * (bytes), l->query, __VA_ARGS__, l->out);        \
    }

BLOCKS(fastscan_64, FASTSCAN_BYTES, FASTSCAN_BYTES)
BLOCKS(lookup_64, LOOKUP_BYTES, LOOKUP_BYTES)
BLOCKS(nibbles_64, NIBBLES_BYTES, NIBBLES_BYTES / 4, 0)

static void run_bound_64(const struct kernels *k, const struct bench_load *l)
{
    const float *add = (const float *)l->query;
    const struct code_terms terms = { .add = add, .scale = add, .error = add, .slope = 1 };
    uint64_t *within = l->out;
    float *estimate = (float *)l->out + 64;
    for (size_t i = 0; i + 64 <= l->n; i += 64)
        *within ^= k->bound_64(&terms, (const uint32_t *)l->rows + i, 1, estimate);
}

/* Codes of 96 bytes, 16 at a time, out of order. The query's bytes serve as weights. */
enum { MIXED_BYTES = 96 };

static void run_ip_mixed_n(const struct kernels *k, const struct bench_load *l)
{
    const int8_t *high = l->query, *low = high + MIXED_BYTES;
    const struct mixed_weights w = { high, low, (const int16_t *)l->query + MIXED_BYTES };
    const uint8_t *codes[16];
    int32_t *out = l->out;
    for (size_t i = 0; i + 16 <= l->n; i += 16) {
        for (size_t j = 0; j < 16; j++)
            codes[j] = (const uint8_t *)l->rows + (i + (j * 5) % 16) * MIXED_BYTES;
        k->ip_mixed_n(&w, codes, 16, MIXED_BYTES, 0, out + i);
    }
}

static void run_argmin_f32(const struct kernels *k, const struct bench_load *l)
{
    *(size_t *)l->out = k->argmin_f32(l->rows, l->n);
}

/* An item is named after its kernel in kernels.def, so an unknown name does not compile. */
#define ITEM(kernel, form, component_bytes, multiply_adds)          \
    {                                                               \
#kernel, form, component_bytes, multiply_adds, run_##kernel \
    }

static const struct bench_item float_items[] = {
    ITEM(l2sq_f32, PAIR, 4, 1),
    ITEM(ip_f32, PAIR, 4, 1),
    ITEM(l2sq_f32_1n, ONE_TO_MANY, 4, 1),
    ITEM(ip_f32_1n, ONE_TO_MANY, 4, 1),
    ITEM(l2sq_f32_mn, MANY_TO_MANY, 4, 1),
    ITEM(ip_f32_mn, MANY_TO_MANY, 4, 1),
};
static const struct bench_item byte_items[] = {
    ITEM(l2sq_u8, PAIR, 1, 0),
    ITEM(ip_u8, PAIR, 1, 0),
    ITEM(cos_u8, PAIR, 1, 0),
    ITEM(l2sq_u8_1n, ONE_TO_MANY, 1, 0),
    ITEM(ip_u8_1n, ONE_TO_MANY, 1, 0),
    ITEM(cos_u8_1n, ONE_TO_MANY, 1, 0),
    ITEM(l2sq_u8_mn, MANY_TO_MANY, 1, 0),
    ITEM(ip_u8_mn, MANY_TO_MANY, 1, 0),
    ITEM(cos_u8_mn, MANY_TO_MANY, 1, 0),
};
static const struct bench_item code_items[] = {
    ITEM(hamming_b64_1n, SCAN, 8, 0),
    { "hamming_b64_within 8", SCAN, 8, 0, run_within_8 },
    { "hamming_b64_within 20", SCAN, 8, 0, run_within_20 },
    ITEM(hamming_b64_mn, MANY_TO_MANY, 8, 0),
    { "fastscan_64, 128 bits", SCAN, FASTSCAN_BYTES, 0, run_fastscan_64 },
    { "lookup_64, 8 bytes", SCAN, LOOKUP_BYTES, 0, run_lookup_64 },
    { "nibbles_64, 64 bytes", SCAN, NIBBLES_BYTES, 0, run_nibbles_64 },
    { "ip_mixed_n, 96 bytes", SCAN, MIXED_BYTES, 0, run_ip_mixed_n },
    ITEM(bound_64, SCAN, 4, 0),
};
static const struct bench_item float_scans[] = {
    ITEM(at_most_f32, SCAN, 4, 0),
    ITEM(argmin_f32, SCAN, 4, 0),
};
static const struct bench_item byte_scans[] = {
    ITEM(at_most_u8, SCAN, 1, 0),
};

#define ITEMS(array) array, sizeof(array) / sizeof *(array)

const struct bench_group bench_float_groups[] = {
    { "float vectors", "pair", ITEMS(float_items), true },
    { "selection among floats", "value", ITEMS(float_scans), false },
    { 0 },
};
const struct bench_group bench_byte_groups[] = {
    { "byte vectors", "pair", ITEMS(byte_items), true },
    { "codes, of 64 bits unless named otherwise (within R: positions at a distance of at most R)",
      "code", ITEMS(code_items), false },
    { "selection among integers", "value", ITEMS(byte_scans), false },
    { 0 },
};
