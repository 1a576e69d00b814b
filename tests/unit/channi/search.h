/* search.h - an index with attributes, and a reference list of its content, for the tests of searches. */
#ifndef TEST_CHANNI_SEARCH_H
#define TEST_CHANNI_SEARCH_H

#include "algorithms/channi/search/search.h"
#include "tests/unit/channi/support.h"

enum { LEDGER_FIELDS = 2 };

struct ledger {
    struct book b;
    struct channi_knobs knobs;
    size_t n_given;      /* ids inserted so far, from 0 on; some may be removed */
    int64_t *attributes; /* by id: two fields */
};

/* More clusters than one step of a search. */
static inline struct channi_params ledger_params(void)
{
    return book_options("cluster_index=graph,target_cluster=12,flat_below=0,degree=6,"
                        "in_ef_construction=40,wal=none");
}

static inline void ledger_open(struct ledger *l, struct channi_params params, enum element element,
                               size_t dim, size_t capacity, size_t threads)
{
    struct book *b = &l->b;

    book_begin_of(b, &channi_ops, params, element, dim, capacity, threads, 23);
    b->bench.env.expected_n = capacity;
    b->bench.env.n_attributes = LEDGER_FIELDS;
    l->knobs = book_knobs();
    l->n_given = 0;
    l->attributes = calloc(capacity, LEDGER_FIELDS * sizeof *l->attributes);
    assert_non_null(l->attributes);
    book_fill(b, 0, capacity, 12, .5);
    for (size_t i = 0; i < capacity; i++) {
        l->attributes[i * LEDGER_FIELDS] = (int64_t)rng_below(&b->rng, 1000);
        /* Ten classes; every seventh row has none. */
        l->attributes[i * LEDGER_FIELDS + 1] =
            i % 7 == 3 ? INDEX_ATTRIBUTE_NONE : (int64_t)rng_mix(9, i) % 10;
    }
    book_create(b);
    book_channi(b)->share_bytes = 0; /* threads share a scan of any size */
}

static inline void ledger_close(struct ledger *l)
{
    free(l->attributes);
    book_close(&l->b);
}

/* Inserts ids first .. first + n - 1 with their attributes. */
static inline void ledger_put(struct ledger *l, uint64_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        l->b.stored[first + i] = true;
    }
    assert_ok(channi_ops.attributes->insert(l->b.index, book_vectors(&l->b, first, n), ids,
                                            l->attributes + first * LEDGER_FIELDS, &done),
              &l->b.bench.error);
    assert_int_equal(done, n);
    l->b.n += n;
    free(ids);
}

/* Inserts n more vectors under new ids. */
static inline void ledger_insert(struct ledger *l, size_t n)
{
    assert_true(l->n_given + n <= l->b.capacity);
    ledger_put(l, l->n_given, n);
    l->n_given += n;
}

/* Opens it with n vectors. */
static inline void ledger_start(struct ledger *l, struct channi_params params, enum element element,
                                size_t dim, size_t capacity, size_t threads, size_t n)
{
    ledger_open(l, params, element, dim, capacity, threads);
    ledger_insert(l, n);
}

static inline void ledger_remove(struct ledger *l, uint64_t id)
{
    assert_ok(book_remove(&l->b, id), &l->b.bench.error);
}

/* Gives the id another's vector. */
static inline void ledger_update(struct ledger *l, uint64_t id)
{
    ledger_remove(l, id);
    memmove(book_row(&l->b, id), book_row(&l->b, rng_below(&l->b.rng, l->n_given)), l->b.row_bytes);
    ledger_put(l, id, 1);
}

/* Applies random changes of every kind. */
static inline void ledger_churn(struct ledger *l, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        const uint64_t what = rng_below(&l->b.rng, 10);
        const size_t more = 1 + rng_below(&l->b.rng, 20);

        if (what < 3 && l->n_given + more <= l->b.capacity)
            ledger_insert(l, more);
        else if (what < 7 && l->b.n > 20)
            ledger_remove(l, book_any(&l->b));
        else if (l->b.n > 20)
            ledger_update(l, book_any(&l->b));
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
    const struct kernels *k = l->b.bench.env.kernels;

    return l->b.bench.env.element == INDEX_U8
               ? (float)k->l2sq_u8(query, book_row(&l->b, vector), l->b.dim)
               : k->l2sq_f32(query, book_row(&l->b, vector), l->b.dim);
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

static inline struct answers ledger_truth(const struct ledger *l, const void *queries, size_t n,
                                          size_t k, const struct id_selector *choice)
{
    struct answers a = answers_make(n, k);

    for (size_t q = 0; q < n; q++) {
        const unsigned char *query = (const unsigned char *)queries + q * l->b.row_bytes;
        struct topk top = topk_begin(k, a.distances + q * k, a.ids + q * k);

        for (uint64_t id = 0; id < l->n_given; id++)
            if (l->b.stored[id] && choice_allows(l, choice, id))
                topk_push(&top, ledger_distance(l, query, id), id);
        topk_sort(&top);
    }
    return a;
}

static inline struct search_request ledger_request(const struct ledger *l, const void *queries,
                                                   size_t n, size_t k, size_t threads)
{
    return (struct search_request){ .queries = { queries, n, l->b.dim, l->b.bench.env.element },
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
        assert_ok(channi_ops.attributes->search(l->b.index, &r, choice->where, &result),
                  &l->b.bench.error);
    } else {
        r.filter = choice ? choice->ids : NULL;
        assert_ok(channi_ops.search(l->b.index, &r, &result), &l->b.bench.error);
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
    k->eps = 0;
}

enum { QUERIES = 20 };

/* Half of the queries are vectors of the data, half are new. */
static inline unsigned char *ledger_queries(struct ledger *l)
{
    unsigned char *q = calloc(QUERIES, l->b.row_bytes);

    assert_non_null(q);
    for (size_t i = 0; i < QUERIES; i++) {
        memcpy(q + i * l->b.row_bytes, book_row(&l->b, rng_below(&l->b.rng, l->n_given)),
               l->b.row_bytes);
        for (size_t d = 0; i % 2 && d < l->b.dim; d++) {
            if (l->b.bench.env.element == INDEX_U8)
                q[i * l->b.row_bytes + d] ^= (unsigned char)rng_below(&l->b.rng, 32);
            else
                ((float *)(void *)(q + i * l->b.row_bytes))[d] +=
                    (float)(.2 * rng_normal(&l->b.rng));
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
    struct channi *c = book_channi(&l->b);
    const uint64_t before = atomic_load(&c->counters.in_distances);
    struct answers truth = ledger_truth(l, queries, QUERIES, 10, choice),
                   a = ledger_ask(l, queries, QUERIES, 10, 1, choice);

    *recall = answers_recall(&truth, &a);
    answers_free(&truth);
    answers_free(&a);
    return (double)(atomic_load(&c->counters.in_distances) - before);
}

#endif
