/* knn.c - the nearest rows of each row, by tiles of distances. */
#include "algorithms/partition/partition.h"
#include "kernels/kernels.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

enum { TILE_QUERIES = 32, TILE_ROWS = 256 };

struct scan {
    const struct partition *p;
    size_t m;
    uint64_t *neighbours;
    float *distances;
};

/* Rows first .. end - 1 as queries, at most TILE_QUERIES. */
static int scan_tile(void *arg, size_t first, size_t end, size_t worker)
{
    const struct scan *s = arg;
    const struct partition *p = s->p;
    const size_t dim = p->base.env.dim, nq = end - first;
    float scores[TILE_QUERIES * TILE_ROWS];
    struct topk nearest[TILE_QUERIES];

    (void)worker;
    for (size_t q = 0; q < nq; q++)
        nearest[q] =
            topk_begin(s->m, s->distances + (first + q) * s->m, s->neighbours + (first + q) * s->m);
    for (size_t at = 0; at < p->store.n; at += TILE_ROWS) {
        const size_t n = p->store.n - at < TILE_ROWS ? p->store.n - at : TILE_ROWS;

        p->base.env.kernels->l2sq_f32_mn(p->store.floats + first * dim, nq,
                                         p->store.floats + at * dim, n, dim, scores, TILE_ROWS);
        for (size_t q = 0; q < nq; q++)
            for (size_t i = 0; i < n; i++)
                if (at + i != first + q && scores[q * TILE_ROWS + i] <= topk_limit(&nearest[q]))
                    topk_push(&nearest[q], scores[q * TILE_ROWS + i], at + i);
    }
    for (size_t q = 0; q < nq; q++)
        topk_sort(&nearest[q]);
    return OK;
}

int partition_nearest(const struct partition *p, size_t threads, size_t m, uint64_t *neighbours,
                      float *distances)
{
    struct scan s = { p, m, neighbours, distances };

    return parallel_for(p->base.env.pool, threads, p->store.n, TILE_QUERIES, scan_tile, &s);
}

void partition_nearest_of(const struct partition *p, struct vectors v, uint64_t *rows)
{
    const size_t dim = p->base.env.dim;
    float scores[TILE_ROWS], distance;

    for (size_t q = 0; q < v.n; q++) {
        struct topk nearest = topk_begin(1, &distance, &rows[q]);

        for (size_t at = 0; at < p->store.n; at += TILE_ROWS) {
            const size_t n = p->store.n - at < TILE_ROWS ? p->store.n - at : TILE_ROWS;

            p->base.env.kernels->l2sq_f32_1n((const float *)v.rows + q * dim,
                                             p->store.floats + at * dim, n, dim, scores);
            for (size_t i = 0; i < n; i++)
                topk_push(&nearest, scores[i], at + i);
        }
        topk_sort(&nearest);
    }
}
