/* choose.c - the lists nearest to a row; a sketch of the centroids excludes most of them, so that
 * few exact distances are needed. */
#include <math.h>

#include "algorithms/divf/search/scan.h"
#include "kernels/kernels.h"
#include "src/core/key_heap.h"
#include "src/core/order.h"

/* A scan of centroid codes is cheaper than exact distances from SKETCHED_LISTS centroids on, if at
   most 1 / SKETCHED_SHARE of them are wanted. */
enum { SKETCHED_LISTS = 128, SKETCHED_SHARE = 8 };
/* Prefetch distance in centroids, and bytes prefetched of each. */
enum { CENTROIDS_AHEAD = 4, CENTROID_BYTES = 1024 };

void divf_count_distances(const struct divf *d, struct work *work, size_t n)
{
    work->distances += (double)n;
    work->bytes_read += (double)n * (double)(d->env.dim * sizeof(float));
}

static void nearest_of_all(const struct divf_job *job, struct divf_scratch *s, const float *row,
                           size_t n, struct work *work)
{
    const struct divf_view *lists = job->view;
    const struct kernels *kernels = job->d->env.kernels;
    kernels->l2sq_f32_1n(row, lists->centroids, lists->n, job->d->env.dim, s->list_distances);
    divf_count_distances(job->d, work, lists->n);
    if (n == 1) {
        s->probes[0] = kernels->argmin_f32(s->list_distances, lists->n);
        s->probe_distances[0] = s->list_distances[s->probes[0]];
        return;
    }
    struct topk nearest = topk_begin(n, s->probe_distances, s->probes);
    topk_offer(&nearest, kernels, s->list_distances, NULL, 0, lists->n, s->positions);
    topk_sort(&nearest);
}

static float centroid_distance(const struct divf_job *job, const float *row, size_t list)
{
    size_t dim = job->d->env.dim;
    return job->d->env.kernels->l2sq_f32(row, job->view->centroids + list * dim, dim);
}

/* The row prepared as a query for the centroids' codes. */
static void *sketch_query(const struct divf_job *job, struct divf_scratch *s, const float *row)
{
    const struct quantizer *sketch = job->view->sketch;
    void *query = s->prepared + s->prepared_bytes - sketch->query_bytes;
    quantizer_transform(sketch, row, 1, s->work);
    quantizer_query(sketch, s->work, query);
    quantizer_query_list(sketch, query, NULL, 0, job->view->centroid_error);
    return query;
}

/* Orders by distance, then by list. An estimate may be negative. */
static uint64_t key_of(float distance, size_t list)
{
    return order_key_f32(fmaxf(distance, 0), (uint32_t)list);
}

/* Writes the lists of the n smallest of the m keys in s->probes to s->positions, in order. */
static void take_smallest(struct divf_scratch *s, size_t m, size_t n)
{
    key_heap_make(s->probes, m);
    for (size_t i = 0; i < n; i++)
        s->positions[i] = (uint32_t)key_heap_pop(s->probes, &m);
}

static void prefetch_centroid(const struct divf_job *job, size_t list)
{
    size_t bytes = job->d->env.dim * sizeof(float);
    const char *at = (const char *)(job->view->centroids + list * job->d->env.dim);
    for (size_t i = 0; i < bytes && i < CENTROID_BYTES; i += 64)
        __builtin_prefetch(at + i);
}

/* Writes every list's estimate to s->list_distances. */
static void estimate_all(const struct divf_job *job, struct divf_scratch *s, const void *query)
{
    const struct divf_view *lists = job->view;
    const struct quantizer *sketch = lists->sketch;
    for (size_t first = 0; first < lists->n; first += QUANTIZER_BLOCK)
        (void)quantizer_scan(sketch, query,
                             lists->centroid_codes + first / QUANTIZER_BLOCK * sketch->block_bytes,
                             INFINITY, s->list_distances + first);
}

/* A limit that at least n estimates are within: the largest of the minima of n parts. */
static float limit_of_parts(const struct divf_job *job, const float *estimates, size_t n)
{
    float limit = 0;
    for (size_t i = 0; i < n; i++) {
        size_t first = i * job->view->n / n, end = (i + 1) * job->view->n / n;
        limit = fmaxf(
            limit,
            estimates[first + job->d->env.kernels->argmin_f32(estimates + first, end - first)]);
    }
    return limit;
}

/* Computes the distances of the n best estimates: the largest is a limit that few others are
   within. Lists marked in s->probed have their distance in s->list_distances. */
static float limit_by_estimate(const struct divf_job *job, struct divf_scratch *s,
                               const void *query, const float *row, size_t n)
{
    float *estimates = s->list_distances, limit = 0;
    estimate_all(job, s, query);
    size_t m = job->d->env.kernels->at_most_f32(estimates, job->view->n,
                                                limit_of_parts(job, estimates, n), s->positions);
    for (size_t i = 0; i < m; i++)
        s->probes[i] = key_of(estimates[s->positions[i]], s->positions[i]);
    take_smallest(s, m, n);
    for (size_t i = 0; i < n; i++) {
        size_t list = s->positions[i];
        if (i + CENTROIDS_AHEAD < n)
            prefetch_centroid(job, s->positions[i + CENTROIDS_AHEAD]);
        s->list_distances[list] = centroid_distance(job, row, list);
        s->probed[list] = 1;
        limit = fmaxf(limit, s->list_distances[list]);
    }
    return limit;
}

/* Writes the lists that may be within the limit to s->positions; returns their number. */
static size_t lists_within(const struct divf_job *job, struct divf_scratch *s, const void *query,
                           float limit)
{
    const struct divf_view *lists = job->view;
    const struct quantizer *sketch = lists->sketch;
    float estimates[QUANTIZER_BLOCK];
    size_t n = 0;
    for (size_t first = 0; first < lists->n; first += QUANTIZER_BLOCK) {
        uint64_t near = quantizer_scan(
            sketch, query, lists->centroid_codes + first / QUANTIZER_BLOCK * sketch->block_bytes,
            limit, estimates);
        if (lists->n - first < QUANTIZER_BLOCK)
            near &= (UINT64_C(1) << (lists->n - first)) - 1;
        for (; near; near &= near - 1)
            s->positions[n++] = (uint32_t)(first + (size_t)__builtin_ctzll(near));
    }
    return n;
}

static void nearest_by_sketch(const struct divf_job *job, struct divf_scratch *s, const float *row,
                              size_t n, struct work *work)
{
    const struct divf_view *lists = job->view;
    const void *query = sketch_query(job, s, row);
    float limit = limit_by_estimate(job, s, query, row, n);
    size_t m = lists_within(job, s, query, limit), distances = n;
    for (size_t i = 0; i < m; i++) {
        size_t list = s->positions[i];
        if (i + CENTROIDS_AHEAD < m && !s->probed[s->positions[i + CENTROIDS_AHEAD]])
            prefetch_centroid(job, s->positions[i + CENTROIDS_AHEAD]);
        if (!s->probed[list]) {
            s->list_distances[list] = centroid_distance(job, row, list);
            distances++;
        }
        s->probed[list] = 0;
        s->probes[i] = key_of(s->list_distances[list], list);
    }
    take_smallest(s, m, n);
    for (size_t i = 0; i < n; i++) {
        s->probes[i] = s->positions[i];
        s->probe_distances[i] = s->list_distances[s->probes[i]];
    }
    divf_count_distances(job->d, work, distances);
    work->estimates += (double)lists->n;
    work->bytes_read += (double)lists->n * lists->sketch->code_bytes;
}

void divf_nearest_lists(const struct divf_job *job, struct divf_scratch *s, const float *row,
                        size_t n, struct work *work)
{
    const struct divf_view *lists = job->view;
    if (lists->sketch && lists->n >= SKETCHED_LISTS && n <= lists->n / SKETCHED_SHARE)
        nearest_by_sketch(job, s, row, n, work);
    else
        nearest_of_all(job, s, row, n, work);
}

size_t divf_affordable(const struct divf_job *job, const uint64_t *lists, size_t n)
{
    uint64_t rows = 0;
    size_t probes = 0;
    if (job->scan_budget == 0)
        return n;
    while (probes < n && rows < job->scan_budget)
        rows += job->view->list[lists[probes++]]->rows;
    return probes;
}

size_t divf_choose_lists(const struct divf_job *job, struct divf_scratch *s, const float *query,
                         struct work *work)
{
    divf_nearest_lists(job, s, query, job->nprobe, work);
    return divf_affordable(job, s->probes, job->nprobe);
}
