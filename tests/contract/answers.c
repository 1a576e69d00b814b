/* answers.c - the answers of search and range search, compared with the ground truth. */
#include "tests/contract/world.h"

double world_distance(const struct world *w, const void *a, const void *b)
{
    double l2 = 0, ip = 0, aa = 0, bb = 0;
    if (w->space.element == INDEX_B64) {
        double bits = 0;
        for (size_t at = 0; at < w->row_bytes; at += sizeof(uint64_t)) {
            uint64_t x, y;
            memcpy(&x, (const char *)a + at, sizeof x);
            memcpy(&y, (const char *)b + at, sizeof y);
            bits += __builtin_popcountll(x ^ y);
        }
        return bits;
    }
    for (size_t j = 0; j < w->dim; j++) {
        const bool f32 = w->space.element == INDEX_F32;
        const double x = f32 ? (double)((const float *)a)[j] : ((const uint8_t *)a)[j];
        const double y = f32 ? (double)((const float *)b)[j] : ((const uint8_t *)b)[j];
        l2 += (x - y) * (x - y);
        ip += x * y;
        aa += x * x;
        bb += y * y;
    }
    switch (w->space.metric) {
        case INDEX_IP: return -ip;
        case INDEX_COS: return aa > 0 && bb > 0 ? 2 - 2 * ip / sqrt(aa * bb) : 2;
        default: return l2;
    }
}

static double square_length(const struct world *w, const void *a)
{
    double sum = 0;
    for (size_t j = 0; j < w->dim; j++) {
        const double x =
            w->space.element == INDEX_F32 ? (double)((const float *)a)[j] : ((const uint8_t *)a)[j];
        sum += x * x;
    }
    return sum;
}

/* Integers are exact up to their rounding to float. For floats |a|^2 + |b|^2 - 2ab is a fair way to
   compute, so the bound is of that formula: dim roundings of terms as large as squared lengths. */
double world_tolerance(const struct world *w, const void *a, const void *b)
{
    if (w->space.element == INDEX_B64)
        return 0;
    if (w->space.element == INDEX_U8 && w->space.metric != INDEX_COS)
        return fabs(world_distance(w, a, b)) * 0x1p-24;
    /* hnswlib computes 1 - ab, and the shim takes the 1 off again. */
    const double offset = (w->flags & BASELINE) && w->space.metric == INDEX_IP ? 1 : 0;
    const double lengths =
        w->space.metric == INDEX_COS ? 2 : offset + square_length(w, a) + square_length(w, b);
    return lengths * (double)(8 + w->dim) * 0x1p-24;
}

static const void *row_of(const struct world *w, uint64_t id)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->ids[i] == id)
            return w->rows + i * w->row_bytes;
    return NULL;
}

/* The true distances of all allowed rows, ascending; returns how many. */
static size_t true_distances(const struct world *w, const void *query,
                             const struct id_filter *filter, double *out)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (index_filter_allows(filter, w->ids[i]))
            out[n++] = world_distance(w, query, w->rows + i * w->row_bytes);
    qsort(out, n, sizeof *out, test_by_double);
    return n;
}

/* An answer is live, allowed, new to the list, at the distance it says, and after the one
   before it. */
static void expect_answer(struct world *w, const void *query, const struct id_filter *filter,
                          const uint64_t *ids, const float *distances, size_t i)
{
    const void *row = row_of(w, ids[i]);
    world_expect(w, row, "answer %zu is id %" PRIu64 ", which is not live", i, ids[i]);
    world_expect(w, index_filter_allows(filter, ids[i]),
                 "answer %zu is id %" PRIu64 ", which the filter forbids", i, ids[i]);
    for (size_t j = 0; j < i; j++)
        world_expect(w, ids[j] != ids[i], "id %" PRIu64 " is answer %zu and %zu", ids[i], j, i);
    const double truth = world_distance(w, query, row);
    world_expect(w, fabs((double)distances[i] - truth) <= world_tolerance(w, query, row),
                 "answer %zu, id %" PRIu64 ": distance %.9g, expected %.9g", i, ids[i],
                 (double)distances[i], truth);
    if (i == 0)
        return;
    world_expect(w, distances[i - 1] <= distances[i],
                 "answers %zu and %zu: distances %.9g, %.9g do not ascend", i - 1, i,
                 (double)distances[i - 1], (double)distances[i]);
    world_expect(w, (w->flags & BASELINE) || distances[i - 1] < distances[i] || ids[i - 1] < ids[i],
                 "answers %zu and %zu: ids %" PRIu64 ", %" PRIu64 " at one distance do not ascend",
                 i - 1, i, ids[i - 1], ids[i]);
}

static void expect_answers(struct world *w, const void *query, size_t k,
                           const struct id_filter *filter, const uint64_t *ids,
                           const float *distances)
{
    double *truth = calloc(w->n + 1, sizeof *truth);
    world_expect(w, truth, "no memory");
    const size_t allowed = true_distances(w, query, filter, truth);
    size_t found = 0;
    while (found < k && ids[found] != INDEX_NO_ID)
        expect_answer(w, query, filter, ids, distances, found++);
    for (size_t i = found; i < k; i++)
        world_expect(w, ids[i] == INDEX_NO_ID && isinf(distances[i]) && distances[i] > 0,
                     "answer %zu after the last is id %" PRIu64 " at %.9g", i, ids[i],
                     (double)distances[i]);
    const size_t expected = allowed < k ? allowed : k;
    world_expect(w, found == expected || (w->flags & (BASELINE | MAY_BE_SHORT)),
                 "%zu answers of %zu, k %zu; settings where fewer may be found are flagged as "
                 "short (docs/methods/skeleton.md)",
                 found, expected, k);
    if (w->flags & EXHAUSTIVE) {
        world_expect(w, found == expected, "%zu answers of %zu, k %zu", found, expected, k);
        for (size_t i = 0; i < found; i++) {
            const void *row = row_of(w, ids[i]);
            world_expect(
                w, world_distance(w, query, row) <= truth[i] + 2 * world_tolerance(w, query, row),
                "answer %zu, id %" PRIu64 ", is at %.9g; the true one at %.9g", i, ids[i],
                world_distance(w, query, row), truth[i]);
        }
    }
    free(truth);
}

static void expect_work(struct world *w, const struct work *work)
{
    const double all[] = { work->distances, work->estimates, work->bytes_read, work->scanned };
    for (size_t i = 0; i < 4; i++)
        world_expect(w, isnan(all[i]) || (all[i] >= 0 && all[i] < 1e15), "work %zu is %g", i,
                     all[i]);
}

void world_expect_answers(struct world *w, const void *queries, size_t nq, size_t k,
                          const struct id_filter *filter, const uint64_t *ids,
                          const float *distances)
{
    for (size_t q = 0; q < nq; q++)
        expect_answers(w, (const char *)queries + q * w->row_bytes, k, filter, ids + q * k,
                       distances + q * k);
}

void world_answers(struct world *w, const void *queries, size_t nq, size_t k,
                   const struct id_filter *filter, size_t threads, uint64_t *ids, float *distances)
{
    /* Answers that the method does not write must be noticed. */
    for (size_t i = 0; i < nq * k; i++) {
        ids[i] = INDEX_NO_ID - 1;
        distances[i] = -1e30F;
    }
    const struct search_request request = { world_vectors(w, queries, nq), k, w->knobs, filter,
                                            threads };
    struct search_result result = { .ids = ids, .distances = distances };
    const int rc = index_search(&w->index, &request, &result);
    if (filter && rc == ERR_UNSUPPORTED) {
        world_refuses(w, ERR_UNSUPPORTED, rc);
        return;
    }
    world_ok(w, rc);
    expect_work(w, &result.work);
    world_expect_answers(w, queries, nq, k, filter, ids, distances);
}

void world_search(struct world *w, size_t nq, size_t k, const struct id_filter *filter,
                  size_t threads)
{
    void *queries = world_rows(w, nq);
    uint64_t *ids = calloc(nq * k + 1, sizeof *ids);
    float *distances = calloc(nq * k + 1, sizeof *distances);
    world_expect(w, ids && distances, "no memory");
    world_answers(w, queries, nq, k, filter, threads, ids, distances);
    free(queries);
    free(ids);
    free(distances);
}

/* -------------------------------------------------------------------------------- radius */

struct found {
    struct world *w;
    const unsigned char *queries;
    double radius;
    const struct id_filter *filter;
    unsigned char *seen; /* [query][row of the truth] */
    size_t n, stop_at;
};

#define STOP 77

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    struct world *w = f->w;
    if (f->n++ == f->stop_at)
        return STOP;
    size_t at = 0;
    while (at < w->n && w->ids[at] != id)
        at++;
    world_expect(w, at < w->n, "range: id %" PRIu64 " is not live", id);
    world_expect(w, index_filter_allows(f->filter, id), "range: the filter forbids id %" PRIu64,
                 id);
    world_expect(w, !f->seen[query * w->n + at], "range: id %" PRIu64 " comes twice", id);
    f->seen[query * w->n + at] = 1;
    const void *q = f->queries + query * w->row_bytes, *row = w->rows + at * w->row_bytes;
    world_expect(w, (double)distance <= f->radius, "range: id %" PRIu64 " at %.9g, radius %.9g", id,
                 (double)distance, f->radius);
    world_expect(w,
                 fabs((double)distance - world_distance(w, q, row)) <= world_tolerance(w, q, row),
                 "range: id %" PRIu64 " at %.9g, expected %.9g", id, (double)distance,
                 world_distance(w, q, row));
    return OK;
}

static void expect_complete(struct world *w, const struct found *f, size_t nq)
{
    for (size_t q = 0; q < nq; q++) {
        for (size_t i = 0; i < w->n; i++) {
            const void *query = f->queries + q * w->row_bytes, *row = w->rows + i * w->row_bytes;
            const double truth = world_distance(w, query, row);
            if (!f->seen[q * w->n + i] && index_filter_allows(f->filter, w->ids[i]))
                world_expect(w, truth > f->radius - world_tolerance(w, query, row),
                             "range: id %" PRIu64 " at %.9g is missing, radius %.9g", w->ids[i],
                             truth, f->radius);
        }
    }
}

double world_radius(const struct world *w, double radius)
{
    if (!index_radius_fault(w->bench.env.metric, w->dim, radius))
        return radius;
    return w->bench.env.metric == INDEX_HAMMING && radius > (double)w->dim ? (double)w->dim : 0;
}

/* A radius that the metric has no distance at: refused. */
static void expect_refused(struct world *w, const void *queries, size_t nq, double radius)
{
    const struct range_request request = { world_vectors(w, queries, nq), radius, w->knobs, NULL,
                                           1 };
    struct range_result result = { .found = take };
    world_refuses(w, ERR_ARGUMENT, index_range(&w->index, &request, &result));
}

void world_range_at(struct world *w, const void *queries, size_t nq, const struct id_filter *filter,
                    double radius)
{
    if (!w->ops->range)
        return;
    if (index_radius_fault(w->bench.env.metric, w->dim, radius))
        expect_refused(w, queries, nq, radius);
    radius = world_radius(w, radius);
    struct found f = { .w = w, .queries = queries, .filter = filter, .stop_at = SIZE_MAX };
    f.radius = radius;
    f.seen = calloc(nq * w->n + 1, 1);
    world_expect(w, f.seen, "no memory");
    const struct range_request request = { world_vectors(w, f.queries, nq), f.radius, w->knobs,
                                           filter, 2 };
    struct range_result result = { .found = take, .to = &f };
    int rc = index_range(&w->index, &request, &result);
    if (filter && rc == ERR_UNSUPPORTED)
        world_refuses(w, ERR_UNSUPPORTED, rc);
    else
        world_ok(w, rc);
    expect_work(w, &result.work);
    if ((w->flags & EXHAUSTIVE) && rc == OK)
        expect_complete(w, &f, nq);
    if (f.n > 0) {
        const bool all = w->flags & EXHAUSTIVE;

        /* Maintenance in the background may have changed which rows an approximate search finds. */
        f.stop_at = all ? f.n - 1 : 0;
        f.n = 0;
        memset(f.seen, 0, nq * w->n);
        rc = index_range(&w->index, &request, &result);
        world_expect(w, (rc == STOP && f.n == f.stop_at + 1) || (!all && rc == OK && f.n == 0),
                     "range went on after its taker said %d: %d, after %zu rows", STOP, rc, f.n);
    }
    free(f.seen);
}

void world_range(struct world *w, size_t nq, const struct id_filter *filter)
{
    static const double odd[] = { 0, -1, -1e30, 1e30 };
    void *queries = world_rows(w, nq);
    double *truth = calloc(w->n + 1, sizeof *truth);
    world_expect(w, truth, "no memory");
    const size_t allowed = true_distances(w, queries, filter, truth);
    /* At the distance of a row itself, where "at most" shows. */
    world_range_at(w, queries, nq, filter, allowed ? truth[rng_below(&w->rng, allowed)] : 1);
    world_range_at(w, queries, nq, filter, odd[rng_below(&w->rng, 4)]);
    free(queries);
    free(truth);
}
