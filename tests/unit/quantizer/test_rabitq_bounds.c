/* test_rabitq_bounds.c - RaBitQ's bounds fail as rarely as stated, and a scan that relies on them
 * finds the answers of a full scan. */
#include "tests/unit/quantizer/code_lists.h"

static double rms_error(struct world *w, size_t bits)
{
    struct quantizer *q = train(&w->b, bits, 1.9, test_seed(), w->rows, w->n);
    struct list l = list_make(q, w->rows, w->n, NULL);
    double square = 0;
    for (size_t i = 0; i < w->n_queries; i++) {
        const float *query = w->queries + i * w->dim;
        void *prepared = prepare(&l, query, false);
        for (size_t v = 0; v < w->n; v++) {
            bool in;
            const float estimate = look_at(&l, prepared, v, INFINITY, &in);
            square += pow((double)estimate - (double)exact(&l, query, v), 2);
        }
        free(prepared);
    }
    list_free(&l);
    quantizer_destroy(&w->b.env, q);
    return sqrt(square / (double)(w->n * w->n_queries));
}

/* Each further bit halves the error; the first two, from coarse levels, a little less. */
static void test_error_halves(void **state)
{
    struct world w;
    world_make(&w, 192, 128, 10, 0, 1, 2);
    double before = 0;
    for (size_t bits = 1; bits <= 9; bits++) {
        const double error = rms_error(&w, bits);
        if (bits > 1 && !(error < 0.62 * before && error > 0.38 * before))
            fail_msg("%zu bits: error %g, %g with one less", bits, error, before);
        before = error;
    }
    world_free(&w);
}

/* How often vectors at exactly the limit's distance are excluded. */
static double violations(struct world *w, size_t bits, double eps0)
{
    struct quantizer *q = train(&w->b, bits, eps0, test_seed(), w->rows, w->n);
    struct list l = list_make(q, w->rows, w->n, NULL);
    size_t missed = 0, all = 0;
    for (size_t i = 0; i < w->n_queries; i++) {
        const float *query = w->queries + i * w->dim;
        void *prepared = prepare(&l, query, false);
        for (size_t v = 0; v < w->n; v++, all++) {
            bool in;
            if (q->refines)
                look_at(&l, prepared, v, exact(&l, query, v), &in);
            else
                scan_one(&l, prepared, v, exact(&l, query, v), &in);
            missed += !in;
        }
        free(prepared);
    }
    list_free(&l);
    quantizer_destroy(&w->b.env, q);
    return (double)missed / (double)all;
}

/* The bound is eps0 standard deviations of a normal variable if the query is orthogonal to the
   residual, which is the worst case: failures are at most the normal tail, and not far below it. */
static void test_bound_is_as_said(void **state)
{
    static const struct {
        double eps0, tail;
    } cases[] = { { 0.5, 0.3085 }, { 1, 0.1587 }, { 1.9, 0.0287 }, { 3.1, 0.00097 } };
    struct world w;
    world_make(&w, 640, 128, 80, 0, 1, 3);
    for (size_t bits = 1; bits <= 4; bits += 3) {
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            const double rate = violations(&w, bits, cases[c].eps0);
            if (rate > 1.25 * cases[c].tail + 2e-4 || rate < 0.4 * cases[c].tail - 2e-4)
                fail_msg("%zu bits, eps0 %.1f: %.5f beyond the bound, %.5f expected", bits,
                         cases[c].eps0, rate, cases[c].tail);
        }
    }
    world_free(&w);
}

/* The residuals of a near neighbour and the query enclose a small angle, and only the orthogonal
   part of the query's adds error: below 0.1 % at 1.9, one in 3000 here. */
static void test_bound_of_near_ones(void **state)
{
    struct world w;
    world_make(&w, 512, 96, 2000, 0, 0.4, 4);
    struct quantizer *q = train(&w.b, 1, 1.9, test_seed(), w.rows, w.n);
    struct list l = list_make(q, w.rows, w.n, NULL);
    size_t missed = 0, all = 0;
    for (size_t i = 0; i < w.n_queries; i++) {
        const float *query = w.queries + i * w.dim;
        void *prepared = prepare(&l, query, false);
        size_t nearest = 0;
        for (size_t v = 1; v < w.n; v++)
            nearest = exact(&l, query, v) < exact(&l, query, nearest) ? v : nearest;
        bool in;
        scan_one(&l, prepared, nearest, exact(&l, query, nearest), &in);
        missed += !in;
        all++;
        free(prepared);
    }
    if (missed > all / 1000)
        fail_msg("%zu of %zu nearest vectors beyond the bound", missed, all);
    list_free(&l);
    quantizer_destroy(&w.b.env, q);
    world_free(&w);
}

/* --------------------------------------------------------------------------------- searching */

enum { K = 10 };

struct best {
    float distance[K];
    size_t row[K], n;
};

static void keep(struct best *b, float distance, size_t row)
{
    if (b->n == K && distance >= b->distance[K - 1])
        return;
    size_t at = b->n < K ? b->n++ : K - 1;
    for (; at > 0 && b->distance[at - 1] > distance; at--) {
        b->distance[at] = b->distance[at - 1];
        b->row[at] = b->row[at - 1];
    }
    b->distance[at] = distance;
    b->row[at] = row;
}

static float kth(const struct best *b)
{
    return b->n == K ? b->distance[K - 1] : INFINITY;
}

/* Computes exact distances only of vectors that the bound does not
   exclude; `looked` counts them. */
static void search(const struct list *l, const float *query, struct best *best, size_t *looked)
{
    void *prepared = prepare(l, query, false);
    for (size_t block = 0; block < l->blocks; block++) {
        float estimate[64];
        uint64_t mask =
            quantizer_scan(l->q, prepared, block_of(l, 64 * block), kth(best), estimate);
        for (size_t v = 0; v < 64 && 64 * block + v < l->n; v++) {
            const size_t row = 64 * block + v;
            if (!(mask >> v & 1))
                continue;
            if (l->q->refines && !quantizer_refine(l->q, prepared, block_of(l, row), (unsigned)v,
                                                   kth(best), estimate + v))
                continue;
            ++*looked;
            keep(best, exact(l, query, row), row);
        }
    }
    free(prepared);
}

static void test_recall(void **state)
{
    struct world w;
    world_make(&w, 8000, 64, 200, 400, 0.4, 5);
    size_t looked_before = SIZE_MAX;
    for (size_t bits = 1; bits <= 9; bits += 4) {
        struct quantizer *q = train(&w.b, bits, 1.9, test_seed(), w.rows, w.n);
        struct list l = list_make(q, w.rows, w.n, NULL);
        size_t found = 0, looked = 0;
        for (size_t i = 0; i < w.n_queries; i++) {
            struct best got = { .n = 0 }, truth = { .n = 0 };
            search(&l, w.queries + i * w.dim, &got, &looked);
            for (size_t v = 0; v < w.n; v++)
                keep(&truth, exact(&l, w.queries + i * w.dim, v), v);
            for (size_t j = 0; j < K; j++)
                found += got.distance[j] <= truth.distance[K - 1];
        }
        const double recall = (double)found / (double)(K * w.n_queries);
        if (recall < 0.999)
            fail_msg("%zu bits: recall %.4f of a full scan's", bits, recall);
        assert_true(looked < w.n * w.n_queries / 2 && looked < looked_before);
        looked_before = looked;
        list_free(&l);
        quantizer_destroy(&w.b.env, q);
    }
    world_free(&w);
}

int main(void)
{
    return test_run_all("rabitq_bounds", test_error_halves, test_bound_is_as_said,
                        test_bound_of_near_ones, test_recall);
}
