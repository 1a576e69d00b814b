/* operations.h - bytes as a stream of operations on an index, beside an array of the rows that it
 * should hold: what fuzz_index_ops.c and fuzz_code_ops.c share. */
#ifndef TESTS_FUZZ_OPERATIONS_H
#define TESTS_FUZZ_OPERATIONS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/cli/methods.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/registry.h"
#include "tests/support/checked_calls.h"

#define ROWS_MAX 512
#define DIM_MAX  8
#define IDS      600 /* ids of insertions are below */
#define K_MAX    40

union fuzz_row {
    float components[DIM_MAX];
    uint64_t code;
};

struct fuzz;

struct fuzz_kind {
    size_t bytes_most; /* of an input */
    void (*open)(struct fuzz *, const struct registry *, struct pool *);
    void (*step)(struct fuzz *); /* one operation */
    void (*draw)(struct fuzz *, union fuzz_row *);
    double (*distance)(const struct fuzz *, const union fuzz_row *query, const union fuzz_row *row);
};

struct fuzz {
    const struct fuzz_kind *kind;
    const uint8_t *at, *end;
    struct mem mem;
    struct error error;
    struct checked index;
    void *params, *knobs;
    bool exact; /* all answers are found */
    size_t dim, n;
    union fuzz_row rows[ROWS_MAX];
    uint64_t ids[ROWS_MAX];
};

#define EXPECT(f, holds)                                                                       \
    do {                                                                                       \
        if (!(holds)) {                                                                        \
            fprintf(stderr, "%s, dim %zu, %zu rows: %s: %s\n", (f)->index.ops->name, (f)->dim, \
                    (f)->n, #holds, (f)->error.text);                                          \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

static inline uint8_t fuzz_next(struct fuzz *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

static inline size_t fuzz_position(const struct fuzz *f, uint64_t id)
{
    size_t at = 0;
    while (at < f->n && f->ids[at] != id)
        at++;
    return at;
}

static inline struct vectors fuzz_vectors(const struct fuzz *f, const void *packed, size_t n)
{
    return (struct vectors){ packed, n, f->dim, f->index.index->env.element };
}

/* packed: the n rows as the index takes them. */
static inline void fuzz_insert(struct fuzz *f, const void *packed, const union fuzz_row *rows,
                               const uint64_t *ids, size_t n)
{
    size_t done = 99;
    bool fresh = true;
    for (size_t i = 0; i < n; i++)
        fresh = fresh && fuzz_position(f, ids[i]) == f->n;
    const int rc = index_insert(&f->index, fuzz_vectors(f, packed, n), ids, &done);
    EXPECT(f, rc == (fresh ? OK : ERR_DUPLICATE_ID));
    EXPECT(f, done == (fresh ? n : 0));
    error_clear(&f->error);
    for (size_t i = 0; i < done; i++) {
        f->rows[f->n] = rows[i];
        f->ids[f->n++] = ids[i];
    }
}

static inline void fuzz_remove(struct fuzz *f, uint64_t id)
{
    const size_t at = fuzz_position(f, id);
    size_t done = 99;
    const int rc = index_remove(&f->index, &id, 1, &done);
    EXPECT(f, rc == (at < f->n ? OK : ERR_UNKNOWN_ID));
    EXPECT(f, done == (at < f->n));
    error_clear(&f->error);
    if (at < f->n) {
        f->n--;
        f->rows[at] = f->rows[f->n];
        f->ids[at] = f->ids[f->n];
    }
}

/* The row nearest to the query among those not taken, ties to the smaller id. */
static inline size_t fuzz_nearest(const struct fuzz *f, const union fuzz_row *query,
                                  const bool *taken, double *distance)
{
    size_t best = f->n;
    *distance = INFINITY;
    for (size_t r = 0; r < f->n; r++) {
        const double d = f->kind->distance(f, query, &f->rows[r]);
        if (taken[r] || d > *distance ||
            (d == *distance && best < f->n && f->ids[r] > f->ids[best]))
            continue;
        best = r;
        *distance = d;
    }
    return best;
}

static inline void fuzz_search(struct fuzz *f)
{
    union fuzz_row query;
    float distances[K_MAX];
    uint64_t ids[K_MAX];
    bool taken[ROWS_MAX] = { false };
    const size_t k = 1 + fuzz_next(f) % K_MAX;
    f->kind->draw(f, &query);
    const struct search_request request = { fuzz_vectors(f, &query, 1), k, f->knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    EXPECT(f, index_search(&f->index, &request, &result) == OK);
    for (size_t i = 0; f->exact && i < k; i++) {
        double distance;
        const size_t best = fuzz_nearest(f, &query, taken, &distance);
        EXPECT(f, ids[i] == (best < f->n ? f->ids[best] : INDEX_NO_ID));
        EXPECT(f, (double)distances[i] == distance);
        if (best < f->n)
            taken[best] = true;
    }
}

struct fuzz_found {
    struct fuzz *f;
    const union fuzz_row *query;
    double radius;
    bool seen[ROWS_MAX];
};

static inline int fuzz_take(void *to, size_t query, uint64_t id, float distance)
{
    struct fuzz_found *found = to;
    struct fuzz *f = found->f;
    const size_t at = fuzz_position(f, id);
    EXPECT(f, query == 0 && at < f->n && !found->seen[at]);
    EXPECT(f, (double)distance <= found->radius);
    EXPECT(f, (double)distance == f->kind->distance(f, found->query, &f->rows[at]));
    found->seen[at] = true;
    return OK;
}

static inline void fuzz_range(struct fuzz *f, double radius)
{
    union fuzz_row query;
    struct fuzz_found found = { .f = f, .query = &query, .radius = radius };
    f->kind->draw(f, &query);
    const struct range_request request = { fuzz_vectors(f, &query, 1), radius, f->knobs, NULL, 1 };
    struct range_result result = { .found = fuzz_take, .to = &found };
    const int rc = index_range(&f->index, &request, &result);
    const bool refused =
        index_radius_fault(f->index.index->env.metric, f->index.index->env.dim, radius) != NULL;
    EXPECT(f, rc == (!f->index.ops->range ? ERR_UNSUPPORTED : refused ? ERR_ARGUMENT : OK));
    error_clear(&f->error);
    for (size_t i = 0; rc == OK && f->exact && i < f->n; i++)
        EXPECT(f, found.seen[i] == (f->kind->distance(f, &query, &f->rows[i]) <= radius));
}

static inline void fuzz_maintain(struct fuzz *f)
{
    bool more;
    if (f->index.ops->maintain)
        EXPECT(f, index_maintain(&f->index, fuzz_next(f) % 100, &more) == OK);
}

static inline void fuzz_set(const struct param *table, void *out, const char *name, double value)
{
    if (param_find(table, name))
        (void)param_set(table, out, name,
                        (struct param_value){ .kind = VALUE_NUMBER, .number = value }, "fuzz",
                        NULL);
}

static inline void fuzz_choose(const struct param *table, void *out, const char *name,
                               const char *value)
{
    if (param_find(table, name))
        (void)param_set(table, out, name, (struct param_value){ .kind = VALUE_TEXT, .text = value },
                        "fuzz", NULL);
}

/* Finds the method, and gives its options their defaults. */
static inline const struct index_ops *fuzz_method(struct fuzz *f, const struct registry *registry,
                                                  const char *name)
{
    const struct index_ops *ops = registry_find(registry, name, NULL);
    if (!ops)
        abort();
    f->params = calloc(1, ops->params_bytes + 1);
    f->knobs = calloc(1, ops->knobs_bytes + 1);
    if (!f->params || !f->knobs)
        abort();
    param_defaults(ops->params, f->params);
    param_defaults(ops->knobs, f->knobs);
    return ops;
}

static inline void fuzz_open(struct fuzz *f, const struct index_ops *ops, enum element element,
                             enum metric metric, uint64_t seed, struct pool *pool)
{
    const struct index_env env = { .dim = f->dim,
                                   .element = element,
                                   .metric = metric,
                                   .seed = seed,
                                   .k_hint = 10,
                                   .mem = &f->mem,
                                   .pool = pool,
                                   .kernels = kernels_select(ISA_AVX512),
                                   .error = &f->error,
                                   .device = "cpu" };
    EXPECT(f, index_open(&f->index, ops, &env, f->params) == OK);
}

static inline void fuzz_run(const struct fuzz_kind *kind, const uint8_t *data, size_t bytes)
{
    static struct fuzz f; /* too large for the stack; keeps no state */
    struct registry registry;
    struct pool *pool = pool_create(1);
    memset(&f, 0, sizeof f);
    f.kind = kind;
    f.at = data;
    f.end = data + (bytes < kind->bytes_most ? bytes : kind->bytes_most);
    if (!pool || methods_open(&registry, &f.error) != OK)
        abort();
    kind->open(&f, &registry, pool);
    while (f.at < f.end) {
        kind->step(&f);
        EXPECT(&f, index_check(&f.index, NULL) == OK);
        EXPECT(&f, f.index.live.n == f.n);
    }
    index_close(&f.index);
    EXPECT(&f, mem_live(&f.mem) == 0);
    free(f.params);
    free(f.knobs);
    registry_close(&registry);
    pool_destroy(pool);
}

#endif
