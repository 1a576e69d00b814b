/* choose.c - the lists nearest to a row, in few centroid distances where a sketch of the centroids
 * says which can be among them. */
#include <string.h>

#include "algorithms/divf/scan.h"
#include "kernels/kernels.h"

/* From so many centroids on, and up to one in so many of them, a scan of their codes costs less than
   their distances. */
enum { SKETCHED_LISTS = 128, SKETCHED_SHARE = 8 };

void divf_count_distances(const struct divf *d, struct work *work, size_t n)
{
    work->distances += (double)n;
    work->bytes_read += (double)n * (double)(d->base.env.dim * sizeof(float));
}

static void nearest_of_all(const struct divf *d, struct divf_scratch *s, const float *row, size_t n,
                           struct work *work)
{
    const struct divf_lists *lists = &d->lists;
    const struct kernels *kernels = d->base.env.kernels;
    kernels->l2sq_f32_1n(row, lists->centroids, lists->n, d->base.env.dim, s->list_distances);
    divf_count_distances(d, work, lists->n);
    if (n == 1) {
        s->probes[0] = kernels->argmin_f32(s->list_distances, lists->n);
        s->probe_distances[0] = s->list_distances[s->probes[0]];
        return;
    }
    struct topk nearest = topk_begin(n, s->probe_distances, s->probes);
    topk_offer(&nearest, kernels, s->list_distances, NULL, 0, lists->n, s->positions);
    topk_sort(&nearest);
}

static float centroid_distance(const struct divf *d, const float *row, size_t list)
{
    size_t dim = d->base.env.dim;
    return d->base.env.kernels->l2sq_f32(row, d->lists.centroids + list * dim, dim);
}

/* The row prepared as a query on the centroids' codes. */
static void *sketch_query(const struct divf *d, struct divf_scratch *s, const float *row)
{
    const struct quantizer *sketch = d->lists.sketch;
    void *query = s->prepared + s->prepared_bytes - sketch->query_bytes;
    quantizer_transform(sketch, row, 1, s->work);
    quantizer_query(sketch, s->work, query);
    quantizer_query_list(sketch, query, NULL, 0, d->lists.centroid_error);
    return query;
}

/* First the distances of the n best estimates: the largest is a limit that only few others can be
   within. Those marked in s->probed have theirs in s->list_distances. */
static float limit_by_estimate(const struct divf *d, struct divf_scratch *s, const void *query,
                               const float *row, size_t n)
{
    const struct divf_lists *lists = &d->lists;
    const struct quantizer *sketch = lists->sketch;
    float limit = 0;
    for (size_t first = 0; first < lists->n; first += QUANTIZER_BLOCK)
        (void)quantizer_scan(sketch, query,
                             lists->centroid_codes + first / QUANTIZER_BLOCK * sketch->block_bytes,
                             INFINITY, s->list_distances + first);
    struct topk best = topk_begin(n, s->probe_distances, s->probes);
    topk_offer(&best, d->base.env.kernels, s->list_distances, NULL, 0, lists->n, s->positions);
    for (size_t i = 0; i < n; i++) {
        float distance = centroid_distance(d, row, s->probes[i]);
        s->list_distances[s->probes[i]] = distance;
        s->probed[s->probes[i]] = 1;
        limit = fmaxf(limit, distance);
    }
    return limit;
}

static void nearest_by_sketch(const struct divf *d, struct divf_scratch *s, const float *row,
                              size_t n, struct work *work)
{
    const struct divf_lists *lists = &d->lists;
    const struct quantizer *sketch = lists->sketch;
    const void *query = sketch_query(d, s, row);
    float estimates[QUANTIZER_BLOCK], limit = limit_by_estimate(d, s, query, row, n);
    size_t distances = n;
    struct topk nearest = topk_begin(n, s->probe_distances, s->probes);
    for (size_t first = 0; first < lists->n; first += QUANTIZER_BLOCK) {
        uint64_t near = quantizer_scan(
            sketch, query, lists->centroid_codes + first / QUANTIZER_BLOCK * sketch->block_bytes,
            limit, estimates);
        if (lists->n - first < QUANTIZER_BLOCK)
            near &= (UINT64_C(1) << (lists->n - first)) - 1;
        for (; near; near &= near - 1) {
            size_t list = first + (size_t)__builtin_ctzll(near);
            float distance = s->list_distances[list];
            if (!s->probed[list]) {
                distance = centroid_distance(d, row, list);
                distances++;
            }
            s->probed[list] = 0;
            if (distance <= topk_limit(&nearest))
                topk_push(&nearest, distance, list);
        }
    }
    topk_sort(&nearest);
    divf_count_distances(d, work, distances);
    work->estimates += (double)lists->n;
    work->bytes_read += (double)lists->n * sketch->code_bytes;
}

void divf_nearest_lists(const struct divf *d, struct divf_scratch *s, const float *row, size_t n,
                        struct work *work)
{
    const struct divf_lists *lists = &d->lists;
    if (lists->sketch && lists->n >= SKETCHED_LISTS && n <= lists->n / SKETCHED_SHARE)
        nearest_by_sketch(d, s, row, n, work);
    else
        nearest_of_all(d, s, row, n, work);
}

size_t divf_affordable(const struct divf_job *job, const uint64_t *lists, size_t n)
{
    uint64_t rows = 0;
    size_t probes = 0;
    if (job->scan_budget == 0)
        return n;
    while (probes < n && rows < job->scan_budget)
        rows += job->d->lists.list[lists[probes++]].rows;
    return probes;
}

size_t divf_choose_lists(const struct divf_job *job, struct divf_scratch *s, const float *query,
                         struct work *work)
{
    divf_nearest_lists(job->d, s, query, job->nprobe, work);
    return divf_affordable(job, s->probes, job->nprobe);
}
