/* cuda_lists.c - batches of queries against lists of rows: by distances, and by RaBitQ codes first.
 *
 * A row is equal to its code, and each list's centroid is zero, so estimates are exact. Their
 * bounds are as wide as those of ordinary rows, because they decide how many rows the device
 * measures: with 1 bit some 800 per query, with 4 bits some 20. */
#include <math.h>
#include <string.h>

#include "src/bench/cuda_internal.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { DISTINCT_ROWS = 65536, DISTINCT_ROWS_EMULATED = 1024 };

struct lists_load {
    struct device_rows *rows;
    struct device_lists *lists;
    size_t n, dim, distinct, queries;
    uint32_t *numbers; /* n: 0, 1, .. */
    uint64_t *starts;
    uint32_t *probes; /* queries x nprobe */
    float *vectors;   /* distinct x dim */
    uint32_t *words;  /* their codes, of 4 bits at most */
    struct device_rabitq_row *row_terms;
    float *targets; /* queries x dim, 256 high + low times a unit */
    int8_t *high, *low;
    struct device_rabitq_query *query_terms;
    float *distances;        /* queries x nprobe: to the centroids */
    struct mem_group arrays; /* those above */
};

static void load_free(struct bench_cuda *b, struct lists_load *l)
{
    if (l->lists)
        b->ops->lists->destroy(l->lists);
    if (l->rows)
        b->ops->rows->destroy(l->rows);
    mem_group_free(&l->arrays);
}

static int load_allocate(struct bench_cuda *b, struct lists_load *l)
{
    const size_t nprobe = b->sizes->nprobe;
    l->numbers = mem_group_array(&l->arrays, l->n, sizeof *l->numbers);
    l->starts = mem_group_array(&l->arrays, b->sizes->lists + 1, sizeof *l->starts);
    l->probes = mem_group_array(&l->arrays, l->queries * nprobe, sizeof *l->probes);
    l->vectors = mem_group_array(&l->arrays, l->distinct * l->dim, sizeof *l->vectors);
    l->words = mem_group_array(&l->arrays, l->distinct * l->dim / 8, sizeof *l->words);
    l->row_terms = mem_group_array(&l->arrays, l->distinct, sizeof *l->row_terms);
    l->targets = mem_group_array(&l->arrays, l->queries * l->dim, sizeof *l->targets);
    l->high = mem_group_array(&l->arrays, l->queries * l->dim, sizeof *l->high);
    l->low = mem_group_array(&l->arrays, l->queries * l->dim, sizeof *l->low);
    l->query_terms = mem_group_array(&l->arrays, l->queries, sizeof *l->query_terms);
    l->distances = mem_group_array(&l->arrays, l->queries * nprobe, sizeof *l->distances);
    return l->arrays.failed ? bench_cuda_no_memory(b) : OK;
}

/* Lists of the same length. Each query probes `nprobe` of them, and each list is probed equally
   often. */
static int load_make(struct bench_cuda *b, struct lists_load *l)
{
    const struct bench_cuda_sizes *s = b->sizes;
    *l = (struct lists_load){ .n = s->listed,
                              .dim = s->listed_dim,
                              .distinct =
                                  b->device.emulated ? DISTINCT_ROWS_EMULATED : DISTINCT_ROWS,
                              .queries = s->queries };
    const int rc = load_allocate(b, l);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < l->n; i++)
        l->numbers[i] = (uint32_t)i;
    for (size_t i = 0; i <= s->lists; i++)
        l->starts[i] = l->n * i / s->lists;
    for (size_t q = 0; q < l->queries; q++)
        for (size_t p = 0; p < s->nprobe; p++)
            l->probes[q * s->nprobe + p] = (uint32_t)((q + p * s->lists / s->nprobe) % s->lists);
    return OK;
}

static double n_pairs(const struct bench_cuda *b, const struct lists_load *l)
{
    double pairs = 0;
    for (size_t i = 0; i < l->queries * b->sizes->nprobe; i++)
        pairs += (double)(l->starts[l->probes[i] + 1] - l->starts[l->probes[i]]);
    return pairs;
}

/* ------------------------------------------------------------------------ rows, codes, queries */

/* As kernels/cuda/device.h packs numbers of 1 and 4 bits. */
static void put_number(uint32_t *words, size_t d, unsigned bits, uint32_t number)
{
    if (bits == 1)
        words[d / 32] |= number << d % 32;
    else
        words[d / 8] |= number << (d % 4 * 8 + d % 8 / 4 * 4);
}

/* 1.9 is the processor's eps0. The tangent of the angle between an ordinary row and its code is
   about .75 with 1 bit, and .1 with 4. */
static float bound_of(unsigned bits, double norm, size_t dim)
{
    return (float)(2 * norm * 1.9 * (bits == 1 ? .75 : .1) / sqrt((double)dim - 1));
}

/* Draws the codes, and rows that are equal to them: number - (2^bits - 1) / 2 each. */
static void draw_rows(struct lists_load *l, unsigned bits)
{
    struct rng r = rng_at(1, bits);
    const size_t words = l->dim * bits / 32;
    const float middle = (float)((1u << bits) - 1) / 2;
    memset(l->words, 0, l->distinct * words * sizeof *l->words);
    for (size_t i = 0; i < l->distinct; i++) {
        double norm_sq = 0;
        for (size_t d = 0; d < l->dim; d++) {
            const uint32_t number = (uint32_t)(rng_u64(&r) >> (64 - bits));
            const float value = (float)number - middle;
            put_number(l->words + i * words, d, bits, number);
            l->vectors[i * l->dim + d] = value;
            norm_sq += (double)value * (double)value;
        }
        l->row_terms[i] =
            (struct device_rabitq_row){ (float)norm_sq, -2, bound_of(bits, sqrt(norm_sq), l->dim) };
    }
}

static void draw_queries(struct bench_cuda *b, struct lists_load *l, unsigned bits)
{
    struct rng r = rng_at(2, bits);
    const float middle = (float)((1u << bits) - 1) / 2, unit = middle / 32768;
    for (size_t q = 0; q < l->queries; q++) {
        double total = 0, norm_sq = 0;
        for (size_t i = q * l->dim; i < (q + 1) * l->dim; i++) {
            l->high[i] = (int8_t)((int)rng_below(&r, 255) - 127);
            l->low[i] = (int8_t)((int)rng_below(&r, 256) - 128);
            const int weight = 256 * l->high[i] + l->low[i];
            l->targets[i] = unit * (float)weight;
            total += weight;
            norm_sq += (double)l->targets[i] * (double)l->targets[i];
        }
        l->query_terms[q] = (struct device_rabitq_query){
            .unit = unit, .offset = (float)(-(double)middle * (double)unit * total), .sure = 1
        };
        for (size_t p = 0; p < b->sizes->nprobe; p++)
            l->distances[q * b->sizes->nprobe + p] = (float)norm_sq;
    }
}

/* The same rows again and again, so that the host needs not hold all; and their codes, unless
   `codes` is NULL. */
static int put_rows(struct bench_cuda *b, struct lists_load *l, struct device_rabitq *codes)
{
    int rc = OK;
    for (size_t first = 0; rc == OK && first < l->n; first += l->distinct) {
        const size_t n = l->n - first < l->distinct ? l->n - first : l->distinct;
        rc = bench_cuda_check(b, b->ops->rows->put_f32(l->rows, first, l->vectors, n));
        if (rc == OK && codes)
            rc = bench_cuda_check(b, b->ops->rabitq->put(codes, first, l->words, l->row_terms, n));
    }
    return rc;
}

/* ------------------------------------------------------------------------ by distances */

static int run_lists(struct bench_cuda *b, void *with)
{
    const struct lists_load *l = with;
    const struct bench_cuda_sizes *s = b->sizes;
    return b->ops->lists->candidates(l->lists, l->rows, l->targets, l->queries, l->probes,
                                     s->nprobe, s->code_k, 8 * s->code_k + 64, b->found,
                                     b->answers);
}

static int measure_lists(struct bench_cuda *b, struct lists_load *l)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const double pairs = n_pairs(b, l);
    const struct bench_cuda_item item = { .name = "list scan",
                                          .work = { .pairs = pairs,
                                                    .memory_bytes = (double)l->n * (double)l->dim *
                                                                    sizeof(float),
                                                    .flops = 2 * pairs * (double)l->dim },
                                          .run = run_lists,
                                          .with = l };
    draw_rows(l, 4);
    draw_queries(b, l, 4);
    const int rc = put_rows(b, l, NULL);
    return rc == OK ? bench_cuda_measure(b, &item,
                                         "%zu x %zu rows, %zu queries, %zu of %zu lists, k = %zu",
                                         l->n, l->dim, l->queries, s->nprobe, s->lists, s->code_k)
                    : rc;
}

/* ------------------------------------------------------------------------ by codes */

struct rabitq_run {
    struct lists_load *load;
    struct device_rabitq *codes;
};

static int run_rabitq(struct bench_cuda *b, void *with)
{
    const struct rabitq_run *r = with;
    const struct lists_load *l = r->load;
    const struct bench_cuda_sizes *s = b->sizes;
    const struct device_rabitq_queries queries = { .n = l->queries,
                                                   .rows = l->targets,
                                                   .high = l->high,
                                                   .low = l->low,
                                                   .terms = l->query_terms,
                                                   .probes = l->probes,
                                                   .distances = l->distances,
                                                   .nprobe = s->nprobe };
    return b->ops->rabitq->candidates(r->codes, l->lists, l->rows, &queries, s->code_k,
                                      8 * s->code_k + 64, b->found, b->answers);
}

static int measure_rabitq(struct bench_cuda *b, struct lists_load *l, unsigned bits)
{
    const struct bench_cuda_sizes *s = b->sizes;
    const double pairs = n_pairs(b, l), dim = (double)l->dim;
    struct rabitq_run r = { .load = l };
    const struct bench_cuda_item item = {
        .name = "RaBitQ scan",
        .work = { .pairs = pairs,
                  .memory_bytes =
                      (double)l->n * (dim * bits / 8 + (double)sizeof(struct device_rabitq_row)),
                  .int8_ops = 2 * 2 * pairs * dim }, /* of the high bytes, and of the low */
        .run = run_rabitq,
        .with = &r
    };
    int rc = bench_cuda_check(b, b->ops->rabitq->create(b->cuda.session, l->dim, bits, &r.codes));
    if (rc != OK)
        return rc;
    draw_rows(l, bits);
    draw_queries(b, l, bits);
    rc = put_rows(b, l, r.codes);
    if (rc == OK)
        rc = bench_cuda_measure(
            b, &item, "%zu x %zu of %u bit%s, %zu queries, %zu of %zu lists, k = %zu", l->n, l->dim,
            bits, bits == 1 ? "" : "s", l->queries, s->nprobe, s->lists, s->code_k);
    b->ops->rabitq->destroy(r.codes);
    return rc;
}

int bench_cuda_lists(struct bench_cuda *b)
{
    const struct device_ops *ops = b->ops;
    struct lists_load l;
    int rc = load_make(b, &l);
    if (rc == OK)
        rc = bench_cuda_check(b, ops->rows->create(b->cuda.session, DEVICE_L2SQ, l.dim, &l.rows));
    if (rc == OK)
        rc = bench_cuda_check(b, ops->lists->create(b->cuda.session, &l.lists));
    if (rc == OK)
        rc = bench_cuda_check(
            b, ops->lists->put(l.lists, l.numbers, l.numbers, l.starts, b->sizes->lists));
    if (rc == OK)
        rc = measure_lists(b, &l);
    if (rc == OK)
        rc = measure_rabitq(b, &l, 1);
    if (rc == OK)
        rc = measure_rabitq(b, &l, 4);
    load_free(b, &l);
    return rc;
}
