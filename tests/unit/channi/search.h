/* search.h - an index and a reference list of its content, for test_search.c and test_filter.c. */
#ifndef TEST_CHANNI_SEARCH_H
#define TEST_CHANNI_SEARCH_H

#include <limits.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/search/search.h"
#include "src/core/param.h"
#include "src/core/topk.h"
#include "tests/support/testing.h"

/* Row i of `rows` is vector i. A stored id i has vector of[i]. */
enum { LEDGER_FIELDS = 2 };

struct ledger {
    struct test_bench bench;
    struct channi_params params;
    struct channi_knobs knobs;
    struct index *index;
    struct rng rng;
    size_t dim, row_bytes, capacity, n_vectors, n_live;
    unsigned char *rows;
    size_t *of; /* by id */
    bool *live;
    int64_t *attributes; /* by id: two fields */
    char dir[PATH_MAX];
};

static inline struct channi_params ledger_params(void)
{
    struct channi_params params;

    memset(&params, 0, sizeof params);
    param_defaults(channi_ops.params, &params);
    params.cluster_index = INSIDE_GRAPH;
    params.target_cluster = 12; /* more clusters than one step of a search */
    params.flat_below = 0;
    params.degree = 6;
    params.in_ef_construction = 40;
    params.wal = CHANNI_NO_WAL;
    return params;
}

static inline void ledger_open(struct ledger *l, struct channi_params params, enum element element,
                               size_t dim, size_t capacity, size_t threads)
{
    memset(l, 0, sizeof *l);
    test_bench_begin(&l->bench, element, INDEX_L2SQ, dim, threads);
    test_dir_make(l->dir);
    l->bench.env.dir = l->dir;
    l->bench.env.expected_n = capacity;
    l->bench.env.n_attributes = LEDGER_FIELDS;
    l->params = params;
    param_defaults(channi_ops.knobs, &l->knobs);
    l->dim = dim;
    l->row_bytes = index_row_bytes(element, dim);
    l->capacity = capacity;
    l->rng = rng_at(test_seed(), 23);
    l->rows = calloc(capacity, l->row_bytes);
    l->of = calloc(capacity, sizeof *l->of);
    l->live = calloc(capacity, sizeof *l->live);
    l->attributes = calloc(capacity, LEDGER_FIELDS * sizeof *l->attributes);
    assert_true(l->rows && l->of && l->live && l->attributes);
    if (element == INDEX_U8)
        test_fill_u8(&l->rng, l->rows, capacity, dim, 12, .5);
    else
        test_fill_f32(&l->rng, (float *)(void *)l->rows, capacity, dim, 12, .5);
    for (size_t i = 0; i < capacity; i++) {
        l->attributes[i * LEDGER_FIELDS] = (int64_t)rng_below(&l->rng, 1000);
        /* Ten classes; every seventh row has none. */
        l->attributes[i * LEDGER_FIELDS + 1] =
            i % 7 == 3 ? INDEX_ATTRIBUTE_NONE : (int64_t)rng_mix(9, i) % 10;
    }
    assert_ok(channi_ops.create(&l->index, &l->bench.env, &l->params), &l->bench.error);
    channi_of(l->index)->share_bytes = 0; /* threads share whatever there is */
}

static inline void ledger_close(struct ledger *l)
{
    channi_ops.destroy(l->index);
    assert_int_equal(mem_live(&l->bench.mem), 0);
    test_bench_end(&l->bench);
    free(l->rows);
    free(l->of);
    free(l->live);
    free(l->attributes);
    test_dir_remove(l->dir);
}

static inline const void *ledger_row(const struct ledger *l, size_t i)
{
    return l->rows + i * l->row_bytes;
}

static inline struct channi *ledger_index(const struct ledger *l)
{
    return channi_of(l->index);
}

/* Inserts n more vectors under new ids. */
static inline void ledger_insert(struct ledger *l, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;

    assert_true(l->n_vectors + n <= l->capacity);
    for (size_t i = 0; i < n; i++) {
        ids[i] = l->n_vectors + i;
        l->of[ids[i]] = l->n_vectors + i;
        l->live[ids[i]] = true;
    }
    const struct vectors v = { ledger_row(l, l->n_vectors), n, l->dim, l->bench.env.element };
    assert_ok(channi_ops.attributes->insert(l->index, v, ids,
                                            l->attributes + l->n_vectors * LEDGER_FIELDS, &done),
              &l->bench.error);
    assert_int_equal(done, n);
    l->n_vectors += n;
    l->n_live += n;
    free(ids);
}

static inline void ledger_remove(struct ledger *l, uint64_t id)
{
    size_t done = 0;

    assert_ok(channi_ops.remove(l->index, &id, 1, &done), &l->bench.error);
    l->live[id] = false;
    l->n_live--;
}

static inline uint64_t ledger_any(struct ledger *l)
{
    for (;;) {
        const uint64_t id = rng_below(&l->rng, l->n_vectors);
        if (l->live[id])
            return id;
    }
}

/* Gives the id another vector. */
static inline void ledger_update(struct ledger *l, uint64_t id)
{
    const size_t vector = rng_below(&l->rng, l->n_vectors);
    const struct vectors v = { ledger_row(l, vector), 1, l->dim, l->bench.env.element };
    size_t done = 0;

    ledger_remove(l, id);
    assert_ok(
        channi_ops.attributes->insert(l->index, v, &id, &l->attributes[id * LEDGER_FIELDS], &done),
        &l->bench.error);
    l->of[id] = vector;
    l->live[id] = true;
    l->n_live++;
}

/* Applies random changes of every kind. */
static inline void ledger_churn(struct ledger *l, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        const uint64_t what = rng_below(&l->rng, 10);
        const size_t more = 1 + rng_below(&l->rng, 20);

        if (what < 3 && l->n_vectors + more <= l->capacity)
            ledger_insert(l, more);
        else if (what < 7 && l->n_live > 20)
            ledger_remove(l, ledger_any(l));
        else if (l->n_live > 20)
            ledger_update(l, ledger_any(l));
    }
}

/* ----------------------------------------------------------------------------- ground truth */

struct answers {
    size_t n, k;
    uint64_t *ids;
    float *distances;
    struct work work;
};

static inline struct answers answers_make(size_t n, size_t k)
{
    struct answers a = { .n = n, .k = k };

    a.ids = calloc(n * k, sizeof *a.ids);
    a.distances = calloc(n * k, sizeof *a.distances);

    assert_true(a.ids && a.distances);
    return a;
}

static inline void answers_free(struct answers *a)
{
    free(a->ids);
    free(a->distances);
}

static inline float ledger_distance(const struct ledger *l, const void *query, size_t vector)
{
    const struct kernels *k = l->bench.env.kernels;

    return l->bench.env.element == INDEX_U8
               ? (float)k->l2sq_u8(query, ledger_row(l, vector), l->dim)
               : k->l2sq_f32(query, ledger_row(l, vector), l->dim);
}

/* The ids that a query may return; NULL: any. */
struct id_selector {
    const struct id_filter *ids;
    const struct attribute_filter *where;
};

static inline bool choice_allows(const struct ledger *l, const struct id_selector *c, uint64_t id)
{
    return !c || (index_attribute_filter_allows(c->where, l->attributes + id * LEDGER_FIELDS, 1) &&
                  index_filter_allows(c->ids, id));
}

/* Ground truth for the rows in `live`, with vectors by `of`. */
static inline struct answers truth_of(const struct ledger *l, const void *queries, size_t n,
                                      size_t k, const bool *live, const size_t *of,
                                      const struct id_selector *choice)
{
    struct answers a = answers_make(n, k);

    for (size_t q = 0; q < n; q++) {
        const unsigned char *query = (const unsigned char *)queries + q * l->row_bytes;
        struct topk top = topk_begin(k, a.distances + q * k, a.ids + q * k);

        for (uint64_t id = 0; id < l->n_vectors; id++)
            if (live[id] && choice_allows(l, choice, id))
                topk_push(&top, ledger_distance(l, query, of[id]), id);
        topk_sort(&top);
    }
    return a;
}

static inline struct search_request ledger_request(const struct ledger *l, const void *queries,
                                                   size_t n, size_t k, size_t threads)
{
    return (struct search_request){ .queries = { queries, n, l->dim, l->bench.env.element },
                                    .k = k,
                                    .knobs = &l->knobs,
                                    .threads = threads };
}

static inline struct answers ledger_ask(struct ledger *l, const void *queries, size_t n, size_t k,
                                        size_t threads, const struct id_selector *choice)
{
    struct answers a = answers_make(n, k);
    struct search_request r = ledger_request(l, queries, n, k, threads);
    struct search_result result = { .ids = a.ids, .distances = a.distances };

    if (choice && choice->where) {
        assert_ok(channi_ops.attributes->search(l->index, &r, choice->where, &result),
                  &l->bench.error);
    } else {
        r.filter = choice ? choice->ids : NULL;
        assert_ok(channi_ops.search(l->index, &r, &result), &l->bench.error);
    }
    a.work = result.work;
    return a;
}

static inline void assert_same_answers(const struct answers *a, const struct answers *b)
{
    for (size_t i = 0; i < a->n * a->k; i++) {
        if (a->ids[i] != b->ids[i] || a->distances[i] != b->distances[i])
            fail_msg("query %zu, answer %zu: id %" PRIu64 " at %g, not %" PRIu64 " at %g", i / a->k,
                     i % a->k, a->ids[i], (double)a->distances[i], b->ids[i],
                     (double)b->distances[i]);
    }
}

/* Share of the ground truth that was found; ties count. */
static inline double answers_recall(const struct answers *truth, const struct answers *a)
{
    size_t found = 0, all = 0;

    for (size_t q = 0; q < a->n; q++) {
        const size_t at = q * a->k;
        size_t m = 0;

        while (m < a->k && truth->ids[at + m] != INDEX_NO_ID)
            m++;
        for (size_t i = 0; i < m; i++)
            found += a->ids[at + i] != INDEX_NO_ID &&
                     a->distances[at + i] <= truth->distances[at + m - 1];
        all += m;
    }
    return all ? (double)found / (double)all : 1;
}

/* Scans everything, with bounds that cannot fail. */
static inline void knobs_exhaustive(struct channi_knobs *k)
{
    k->nprobe = k->in_ef = 1 << 22;
    k->rerank = 0;
    k->eps = 0;
}

enum { QUERIES = 20 };

/* Half of the queries are vectors of the data, half are new. */
static inline unsigned char *ledger_queries(struct ledger *l)
{
    unsigned char *q = calloc(QUERIES, l->row_bytes);

    assert_non_null(q);
    for (size_t i = 0; i < QUERIES; i++) {
        memcpy(q + i * l->row_bytes, ledger_row(l, rng_below(&l->rng, l->n_vectors)), l->row_bytes);
        for (size_t d = 0; i % 2 && d < l->dim; d++) {
            if (l->bench.env.element == INDEX_U8)
                q[i * l->row_bytes + d] ^= (unsigned char)rng_below(&l->rng, 32);
            else
                ((float *)(void *)(q + i * l->row_bytes))[d] += (float)(.2 * rng_normal(&l->rng));
        }
    }
    return q;
}

/* All kinds of cluster_index, with rows in memory and cold. */
static inline struct channi_params inside_params(size_t which)
{
    struct channi_params p = ledger_params();

    p.cluster_index = which == 0 ? INSIDE_GRAPH : which == 1 ? INSIDE_SCAN : INSIDE_CODES;
    p.cold_rows = which == 3;
    p.bits = which == 3 ? 1 : 4;
    p.eps0 = 12;
    return p;
}

static const char *const insides[] = { "graph", "scan", "codes", "codes, cold rows" };
enum { INSIDES = 4 };

/* The cost of answers with these knobs: distances in graphs, and recall. */
static inline double asked_of(struct ledger *l, const unsigned char *queries,
                              const struct id_selector *choice, double *recall)
{
    struct channi *c = ledger_index(l);
    const uint64_t before = atomic_load(&c->counters.in_distances);
    struct answers truth = truth_of(l, queries, QUERIES, 10, l->live, l->of, choice),
                   a = ledger_ask(l, queries, QUERIES, 10, 1, choice);

    *recall = answers_recall(&truth, &a);
    answers_free(&truth);
    answers_free(&a);
    return (double)(atomic_load(&c->counters.in_distances) - before);
}

#endif
