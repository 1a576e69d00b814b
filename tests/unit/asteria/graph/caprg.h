/* caprg.h - a graph over rows in memory, for the tests of CAPRG; this file plays its owner. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_GRAPH_CAPRG_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_GRAPH_CAPRG_H

#include "algorithms/asteria/graph/internal.h"
#include "algorithms/common/durable/store_file.h"
#include "tests/support/testing.h"

struct bed {
    struct test_bench bench;
    struct rng rng;
    struct asteria_caprg *graph;
    struct asteria_caprg_scratch scratch;
    struct asteria_caprg_rows rows;
    size_t n, dim, degree;
    float *x;
    bool *alive;  /* by slot */
    double noise; /* bounds are exact * (1 + [0, noise)) + [0, noise) / 10 */
    size_t exact_calls, exact_fails_at;
    size_t n_gone;
};

static inline const uint32_t *bed_edges(const struct bed *b, uint32_t x, size_t *n)
{
    const uint32_t *links = caprg_links(b->graph, x);

    for (*n = 0; *n < b->degree && links[*n] != CAPRG_NONE;)
        ++*n;
    return links;
}

static inline void bed_queue(struct bed *b, uint32_t x)
{
    b->alive[x] = true;
    asteria_caprg_queue(b->graph, x);
}

static inline void bed_remove(struct bed *b, uint32_t x)
{
    asteria_caprg_remove(b->graph, x);
    b->alive[x] = false;
}

static inline float bed_true(const struct bed *b, const float *a, const float *c)
{
    return b->bench.env.kernels->l2sq_f32(a, c, b->dim);
}

static inline const float *bed_row(const struct bed *b, size_t i)
{
    return b->x + i * b->dim;
}

static inline int bed_exact(void *to, uint32_t x, const uint32_t *others, size_t n, float *d)
{
    struct bed *b = to;

    if (++b->exact_calls == b->exact_fails_at)
        return fail(&b->bench.error, ERR_IO, "a row that cannot be read");
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(others[i] < b->n && others[i] != x && b->alive[others[i]]);
        d[i] = bed_true(b, bed_row(b, x), bed_row(b, others[i]));
    }
    return OK;
}

/* The estimate errs to both sides, by up to half of the noise. */
static inline struct asteria_lrsq_distance bed_between(void *to, uint32_t x, uint32_t y)
{
    const struct bed *b = to;
    const double exact = (double)bed_true(b, bed_row(b, x), bed_row(b, y));
    const double over = (double)(rng_mix(x < y ? x : y, x < y ? y : x) >> 11) * 0x1p-53;
    const double off = (double)(rng_mix(x ^ y, x * UINT64_C(1) * y) >> 11) * 0x1p-53 - .5;

    return (struct asteria_lrsq_distance){ .estimate = (float)(exact * (1 + b->noise * off)),
                                           .upper = (float)(exact * (1 + b->noise * over) +
                                                            b->noise * over / 10) };
}

static inline void bed_gone(void *to, uint32_t slot)
{
    struct bed *b = to;
    size_t n;

    assert_false(b->alive[slot]);
    (void)bed_edges(b, slot, &n);
    assert_int_equal(n, 0);
    for (uint32_t x = 0; x < b->n; x++) {
        const uint32_t *edges = bed_edges(b, x, &n);

        assert_false(caprg_has(edges, n, slot));
    }
    b->n_gone++;
}

/* Rows for n slots; none is a node yet. */
static inline void bed_open(struct bed *b, size_t n, size_t dim, size_t degree, size_t clusters)
{
    memset(b, 0, sizeof *b);
    test_bench_begin(&b->bench, INDEX_F32, INDEX_COS, dim, 1);
    b->rng = rng_at(test_seed(), 11);
    b->n = n;
    b->dim = dim;
    b->degree = degree;
    b->x = calloc(n * dim, sizeof *b->x);
    b->alive = calloc(n, sizeof *b->alive);
    assert_true(b->x && b->alive);
    test_fill_f32(&b->rng, b->x, n, dim, clusters, .5);
    test_normalise_f32(b->x, n, dim);
    b->rows = (struct asteria_caprg_rows){ b, bed_exact, bed_between, bed_gone };
    assert_ok(asteria_caprg_create(&b->graph, &b->bench.env, degree, &b->rows), &b->bench.error);
    assert_ok(asteria_caprg_reserve(b->graph, n), &b->bench.error);
}

static inline void bed_close(struct bed *b)
{
    asteria_caprg_scratch_free(&b->scratch, &b->bench.mem);
    asteria_caprg_destroy(b->graph);
    free(b->x);
    free(b->alive);
    assert_int_equal(mem_live(&b->bench.mem), 0);
    test_bench_end(&b->bench);
}

/* Nodes are rows that are alive. */
static inline void bed_check(struct bed *b)
{
    const struct asteria_caprg *g = b->graph;
    assert_ok(asteria_caprg_check(g, &b->bench.error), &b->bench.error);
    for (uint32_t x = 0; x < g->n_slots; x++) {
        const enum asteria_caprg_standing standing = asteria_caprg_standing(g, x);
        if (standing != CAPRG_UNKNOWN)
            assert_int_equal(standing == CAPRG_ALIVE, x < b->n && b->alive[x]);
    }
}

/* Puts all live rows but x, or a random part of them, into pool. */
static inline size_t bed_pool(struct bed *b, uint32_t x, double share, uint32_t *pool)
{
    size_t n = 0;

    for (uint32_t i = 0; i < b->n; i++)
        if (i != x && b->alive[i] && (share >= 1 || rng_unit(&b->rng) < share))
            pool[n++] = i;
    return n;
}

/* Makes every row that is not alive a node, with a share of all rows as its pool. */
static inline void bed_build(struct bed *b, double share)
{
    uint32_t *pool = calloc(b->n, sizeof *pool);

    assert_non_null(pool);
    for (uint32_t x = 0; x < b->n; x++)
        if (!b->alive[x])
            bed_queue(b, x);
    for (uint32_t x; (x = asteria_caprg_pending(b->graph)) != CAPRG_NONE;)
        assert_ok(asteria_caprg_add(b->graph, x, pool, bed_pool(b, x, share, pool)),
                  &b->bench.error);
    free(pool);
}

/* Takes removed nodes out, within the budget. Returns whether there is more to do. */
static inline bool bed_forget(struct bed *b, uint64_t budget)
{
    bool more = true;

    assert_ok(asteria_caprg_forget(b->graph, budget, &more), &b->bench.error);
    bed_check(b);
    return more;
}

/* The nearest live rows among those scored for a query. */
struct nearest {
    struct bed *bed;
    const float *query;
    size_t k, n;
    uint64_t best[64]; /* caprg_key(), ascending */
};

static inline void nearest_keep(struct nearest *s, float distance, uint32_t slot)
{
    const uint64_t key = caprg_key(distance, slot);
    size_t at = s->n;

    while (at > 0 && s->best[at - 1] > key)
        at--;
    assert_true(at == 0 || s->best[at - 1] != key); /* met twice */
    if (at == s->k)
        return;
    s->n -= s->n == s->k;
    memmove(s->best + at + 1, s->best + at, (s->n - at) * sizeof *s->best);
    s->best[at] = key;
    s->n++;
}

static inline void nearest_score(void *to, const uint32_t *slots, size_t n, float *scores)
{
    struct nearest *s = to;

    assert_true(n > 0 && n <= s->bed->degree);
    for (size_t i = 0; i < n; i++) {
        scores[i] = bed_true(s->bed, s->query, bed_row(s->bed, slots[i]));
        if (s->bed->alive[slots[i]])
            nearest_keep(s, scores[i], slots[i]);
    }
}

/* Searches from the given seeds, which are scored here. Returns the counts. */
static inline struct asteria_caprg_beam bed_walk(struct bed *b, struct nearest *s,
                                                 const float *query, size_t k, size_t beam,
                                                 const uint32_t *seeds, size_t n)
{
    struct asteria_caprg_beam walk = { nearest_score, s, 0, 0 };
    float scores[64];

    *s = (struct nearest){ .bed = b, .query = query, .k = k };
    for (size_t i = 0; i < n; i++) {
        scores[i] = bed_true(b, query, bed_row(b, seeds[i]));
        if (b->alive[seeds[i]])
            nearest_keep(s, scores[i], seeds[i]);
    }
    assert_ok(asteria_caprg_begin(b->graph, &b->scratch, beam), &b->bench.error);
    asteria_caprg_search(b->graph, &b->scratch, seeds, scores, n, &walk);
    return walk;
}

/* The exact k nearest live rows of a query. */
static inline void bed_scan(struct bed *b, struct nearest *s, const float *query, size_t k)
{
    *s = (struct nearest){ .bed = b, .query = query, .k = k };
    for (uint32_t i = 0; i < b->n; i++)
        if (b->alive[i])
            nearest_keep(s, bed_true(b, query, bed_row(b, i)), i);
}

#endif
