/* scratch.c - the memory that one thread searches with. Idle scratch is pooled, so that searches
 * allocate nothing once it has grown. */
#include "algorithms/divf/search/scratch.h"

#include <string.h>

#include "src/core/mem.h"

static void close_scratch(struct mem *mem, void *scratch)
{
    struct divf_scratch *s = scratch;
    void *const all[] = { s->list_distances, s->probe_distances, s->probes,
                          s->positions,      s->probed,          s->hits.hits,
                          s->work,           s->floats,          s->queries,
                          s->prepared,       s->best_distances,  s->best_slots,
                          s->group_probes,   s->group_queries,   s->group_distances,
                          s->group_start,    s->group_counts };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(mem, all[i]);
    nearest_destroy(mem, s->nearest);
}

static bool fit_lists(struct mem *mem, struct divf_scratch *s, size_t lists)
{
    if (lists <= s->lists_capacity)
        return true;
    lists += lists / 8;
    lists += -lists % QUANTIZER_BLOCK; /* whole blocks of centroids are scanned */
    if (!mem_fit(mem, &s->list_distances, lists, sizeof *s->list_distances) ||
        !mem_fit(mem, &s->probe_distances, lists, sizeof *s->probe_distances) ||
        !mem_fit(mem, &s->probes, lists, sizeof *s->probes) ||
        !mem_fit(mem, &s->positions, lists, sizeof *s->positions) ||
        !mem_fit(mem, &s->probed, lists, sizeof *s->probed))
        return false;
    s->lists_capacity = lists;
    memset(s->probed, 0, lists * sizeof *s->probed);
    return true;
}

bool divf_scratch_fit_work(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                           size_t n)
{
    size_t work_dim = view->quantizer ? view->quantizer->work_dim : 0;
    if (view->sketch && view->sketch->work_dim > work_dim)
        work_dim = view->sketch->work_dim;
    return mem_grow(d->env.mem, &s->work, &s->work_floats, n * work_dim, sizeof *s->work);
}

bool divf_scratch_fit_floats(struct divf *d, struct divf_scratch *s, size_t n)
{
    return mem_grow(d->env.mem, &s->floats, &s->floats_capacity, divf_floats_needed(&d->space, n),
                    sizeof *s->floats);
}

static bool fit_best(struct mem *mem, struct divf_scratch *s, size_t n)
{
    if (n <= s->best_capacity)
        return true;
    if (!mem_fit(mem, &s->best_distances, n, sizeof *s->best_distances) ||
        !mem_fit(mem, &s->best_slots, n, sizeof *s->best_slots))
        return false;
    s->best_capacity = n;
    return true;
}

bool divf_scratch_fit_queries(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                              size_t n, size_t rerank)
{
    struct mem *mem = d->env.mem;
    size_t each = view->quantizer ? view->quantizer->query_bytes : 0;
    size_t prepared = n * each + (view->sketch ? view->sketch->query_bytes : 0);
    if (!fit_lists(mem, s, view->n) ||
        !mem_grow(mem, &s->queries, &s->n_queries, n, sizeof *s->queries) ||
        !mem_grow(mem, &s->prepared, &s->prepared_bytes, prepared, 1) ||
        !fit_best(mem, s, n * rerank))
        return false;
    for (size_t q = 0; q < n; q++) {
        s->queries[q].prepared = each ? s->prepared + q * each : NULL;
        s->queries[q].best =
            rerank ? topk_begin(rerank, s->best_distances + q * rerank, s->best_slots + q * rerank)
                   : topk_begin(0, NULL, NULL);
    }
    return divf_scratch_fit_work(d, view, s, n) && divf_scratch_fit_floats(d, s, n);
}

bool divf_scratch_fit_group(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                            size_t n, size_t nprobe)
{
    struct mem *mem = d->env.mem;
    if (n * nprobe > s->group_capacity) {
        if (!mem_fit(mem, &s->group_probes, n * nprobe, sizeof *s->group_probes) ||
            !mem_fit(mem, &s->group_queries, n * nprobe, sizeof *s->group_queries) ||
            !mem_fit(mem, &s->group_distances, n * nprobe, sizeof *s->group_distances))
            return false;
        s->group_capacity = n * nprobe;
    }
    return mem_grow(mem, &s->group_start, &s->group_lists, view->n + 2, sizeof *s->group_start) &&
           mem_grow(mem, &s->group_counts, &s->group_size, n, sizeof *s->group_counts);
}

bool divf_scratch_fit_nearest(struct divf *d, struct divf_scratch *s)
{
    if (!s->nearest)
        s->nearest = nearest_create(d->env.mem, NEAREST_MOST);
    return s->nearest;
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct divf_scratch *s = scratch;
    (void)owner;
    return s->lists_capacity *
               (2 * sizeof(float) + sizeof *s->probes + sizeof *s->positions + sizeof *s->probed) +
           s->hits.capacity * sizeof *s->hits.hits + s->work_floats * sizeof *s->work +
           s->prepared_bytes + s->floats_capacity * sizeof *s->floats +
           s->n_queries * sizeof *s->queries +
           s->best_capacity * (sizeof *s->best_slots + sizeof *s->best_distances) +
           (3 * s->group_capacity + s->group_lists + s->group_size) * sizeof(uint32_t) +
           (s->nearest ? nearest_bytes(s->nearest) : 0);
}

const struct scratch_kind divf_scratch_kind = { sizeof(struct divf_scratch), NULL, close_scratch,
                                                scratch_bytes };
