/* cost.c - the cost of a rotation: what a query spends until it has .95 of its neighbours.
 *
 * Held-out rows are the queries. The rows that the model is fitted to, encoded, are the index. A
 * query scans buckets by falling correlation with their codewords, as many as every other query. The
 * .95 quantile of the ranks of the nearest rows' buckets is the number of buckets that recall .95
 * takes, and the mean of the rows in so many is what a query scans. Nearest are those of a query's
 * ten nearest rows of the whole index that are in the sample: ten of the sample are farther away.
 *
 * This is what a search spends. The loss that BOR minimises is not: it has no value for axes that
 * are not trained, and a code corrects some of the bits that it counts as wrong.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/rotation/bor.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

enum { QUERIES = 256, NEAR = 10 };
enum { QUERIES_AT_ONCE = 16 };

static const double RECALL = .95;

/* Products of a dense rotation that take as long as scanning one row more. Measured: 35 at 324
   dimensions of one bit, 33 at 100 of four, 72 at 784 of one. */
static const double PRODUCTS_PER_ROW = 48;

/* A bucket, as one query sees it. */
struct ranked {
    float negative; /* of the correlation: the best is the least */
    uint32_t size;
};

struct costing {
    struct mem_group memory;
    const struct asteria_cost_sample *s;
    const struct index_env *env;
    struct asteria_model model; /* rotation and code alone */
    size_t n_queries, near;     /* neighbours per query */
    uint64_t *codewords;        /* n: of the rows */
    uint64_t *buckets;          /* n: the distinct codewords */
    uint32_t *sizes;            /* n: rows of each; at first, the addresses of the rows */
    size_t n_buckets;
    uint32_t *nearest;    /* n_queries x near */
    struct ranked *order; /* a worker's n */
    uint32_t *ranks;      /* n_queries x near: buckets of a neighbour's and better ones */
    uint32_t *rows_until; /* n_queries x n_buckets: rows of a query's first 1, 2, ... buckets */
};

static void count_buckets(struct costing *c)
{
    const size_t n = c->s->n;

    for (size_t i = 0; i < n; i++)
        c->codewords[i] = asteria_ecc_codeword(&c->model.ecc, c->sizes[i]);
    memcpy(c->buckets, c->codewords, n * sizeof *c->buckets);
    qsort(c->buckets, n, sizeof *c->buckets, order_u64);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && c->buckets[end] == c->buckets[i];)
            end++;
        c->buckets[c->n_buckets] = c->buckets[i];
        c->sizes[c->n_buckets++] = (uint32_t)(end - i);
    }
}

static void rank(const struct costing *c, size_t query, struct ranked *order)
{
    _Alignas(64) float z[ASTERIA_ROTATION_DIM_MAX];
    uint32_t rows = 0;

    asteria_rotation_apply(c->model.rotation, c->env->kernels, c->s->queries + query * c->env->dim,
                           z);
    for (size_t b = 0; b < c->n_buckets; b++)
        order[b] = (struct ranked){ -asteria_ecc_correlation(&c->model.ecc, c->buckets[b], z),
                                    c->sizes[b] };
    qsort(order, c->n_buckets, sizeof *order, order_f32);
    for (size_t b = 0; b < c->n_buckets; b++)
        c->rows_until[query * c->n_buckets + b] = rows += order[b].size;
    for (size_t i = 0; i < c->near; i++) {
        const uint32_t row = c->nearest[query * c->near + i];
        const float own = asteria_ecc_correlation(&c->model.ecc, c->codewords[row], z);
        uint32_t better = 0;

        while (better < c->n_buckets && order[better].negative <= -own)
            better++;
        c->ranks[query * c->near + i] = better;
    }
}

static int ask(void *arg, size_t first, size_t end, size_t worker)
{
    const struct costing *c = arg;

    for (size_t q = first; q < end; q++)
        rank(c, q, c->order + worker * c->s->n);
    return OK;
}

static int no_memory(const struct index_env *env)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory to compare rotations");
}

static int run(struct costing *c, double *cost)
{
    struct pool *pool = c->env->pool;
    uint64_t own[QUERIES];
    const struct asteria_bor_queries queries = { c->s->queries, own, c->n_queries };
    int rc = asteria_model_encode(&c->model, c->env, c->s->rows, c->s->n, NULL, c->sizes);

    /* A query that is one of the rows, because there are too few to hold some out, does not find
       itself. */
    for (size_t q = 0; q < c->n_queries; q++)
        own[q] = c->s->queries == c->s->rows ? q : UINT64_MAX;
    if (rc == OK)
        rc = asteria_bor_nearest(c->nearest, c->env, c->s->rows, c->s->n, &queries, c->near);
    if (rc != OK)
        return rc;
    count_buckets(c);
    c->rows_until = mem_group_array(&c->memory, c->n_queries * c->n_buckets, sizeof *c->rows_until);
    if (!c->rows_until)
        return no_memory(c->env);
    rc = parallel_for(pool, pool_threads(pool), c->n_queries, QUERIES_AT_ONCE, ask, c);
    if (rc != OK)
        return rc;
    const size_t n = c->n_queries * c->near;
    const struct asteria_rotation *r = c->model.rotation;
    /* Three operations per butterfly output and stage are 1.5 products. */
    const double each = r->bor      ? 1.5 * (double)r->bor->passes * (double)r->bor->stages
                        : r->matrix ? (double)r->dim
                                    : 0;
    double sum = 0;
    qsort(c->ranks, n, sizeof *c->ranks, order_u32);
    const size_t buckets = c->ranks[(size_t)ceil(RECALL * (double)n) - 1];
    for (size_t q = 0; q < c->n_queries; q++)
        sum += c->rows_until[q * c->n_buckets + buckets - 1];
    *cost = sum / (double)c->n_queries / (double)c->s->n * c->s->expected +
            each * (double)r->out_dim / PRODUCTS_PER_ROW;
    return OK;
}

int asteria_rotation_cost(double *cost, const struct index_env *env,
                          struct asteria_rotation *rotation, const struct asteria_ecc *ecc,
                          const struct asteria_cost_sample *s)
{
    struct costing c = {
        .memory.mem = env->mem,
        .s = s,
        .env = env,
        .model = { .rotation = rotation, .ecc = *ecc, .m = ecc->n },
    };
    struct mem_group *g = &c.memory;
    const size_t threads = pool_threads(env->pool);

    *cost = 0;
    if (s->n < 2 || s->n_queries == 0)
        return OK;
    c.n_queries = s->n_queries < QUERIES ? s->n_queries : QUERIES;
    /* How many of an index's ten nearest rows are in the sample; at least one. */
    const double near = round(NEAR * (double)s->n / s->expected);
    const size_t most = s->n - 1 < NEAR ? s->n - 1 : NEAR;
    c.near = near < 1 ? 1 : near < (double)most ? (size_t)near : most;
    c.codewords = mem_group_array(g, s->n, sizeof *c.codewords);
    c.buckets = mem_group_array(g, s->n, sizeof *c.buckets);
    c.sizes = mem_group_array(g, s->n, sizeof *c.sizes);
    c.nearest = mem_group_array(g, c.n_queries * c.near, sizeof *c.nearest);
    c.order = mem_group_array(g, threads * s->n, sizeof *c.order);
    c.ranks = mem_group_array(g, c.n_queries * c.near, sizeof *c.ranks);
    const int rc = g->failed ? no_memory(env) : run(&c, cost);
    mem_group_free(g);
    return rc;
}
