/* scratch.c - the memory that one thread searches with. Idle scratch is pooled, so that searches
 * allocate nothing once it has grown. */
#include "algorithms/divf/search/scratch.h"

#include "src/core/mem.h"

static void free_lists(struct mem *mem, struct divf_scratch *s)
{
    mem_free(mem, s->list_distances);
    mem_free(mem, s->probe_distances);
    mem_free(mem, s->probes);
    mem_free(mem, s->positions);
    mem_free(mem, s->probed);
}

static void close_scratch(struct mem *mem, void *scratch)
{
    struct divf_scratch *s = scratch;
    free_lists(mem, s);
    mem_free(mem, s->hits.hits);
    mem_free(mem, s->work);
    mem_free(mem, s->floats);
    mem_free(mem, s->queries);
    mem_free(mem, s->prepared);
    mem_free(mem, s->best_distances);
    mem_free(mem, s->best_slots);
    mem_free(mem, s->group_probes);
    mem_free(mem, s->group_queries);
    mem_free(mem, s->group_distances);
    mem_free(mem, s->group_start);
    mem_free(mem, s->group_counts);
    nearest_destroy(mem, s->nearest);
}

/* Whole blocks of centroids are scanned. */
static size_t whole_blocks(size_t lists)
{
    return (lists + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK * QUANTIZER_BLOCK;
}

static bool fit_lists(struct mem *mem, struct divf_scratch *s, size_t lists)
{
    if (lists <= s->lists_capacity)
        return true;
    lists = whole_blocks(lists + lists / 8);
    struct divf_scratch t = { .lists_capacity = lists };
    t.list_distances = mem_array(mem, lists, sizeof *t.list_distances);
    t.probe_distances = mem_array(mem, lists, sizeof *t.probe_distances);
    t.probes = mem_array(mem, lists, sizeof *t.probes);
    t.positions = mem_array(mem, lists, sizeof *t.positions);
    t.probed = mem_zalloc(mem, lists * sizeof *t.probed);
    if (!t.list_distances || !t.probe_distances || !t.probes || !t.positions || !t.probed) {
        free_lists(mem, &t);
        return false;
    }
    free_lists(mem, s);
    s->list_distances = t.list_distances;
    s->probe_distances = t.probe_distances;
    s->probes = t.probes;
    s->positions = t.positions;
    s->probed = t.probed;
    s->lists_capacity = lists;
    return true;
}

/* Reallocates without keeping the contents. */
static bool fit_array(struct mem *mem, void *array_ptr, size_t n, size_t each)
{
    void **array = array_ptr, *more = mem_array(mem, n, each);
    if (!more)
        return false;
    mem_free(mem, *array);
    *array = more;
    return true;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool divf_scratch_fit_work(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                           size_t n)
{
    size_t work_dim = larger(view->quantizer ? view->quantizer->work_dim : 0,
                             view->sketch ? view->sketch->work_dim : 0);
    size_t bytes = n * work_dim * sizeof *s->work;
    if (bytes <= s->work_bytes)
        return true;
    s->work_bytes = 0;
    if (!fit_array(d->env.mem, &s->work, bytes, 1))
        return false;
    s->work_bytes = bytes;
    return true;
}

bool divf_scratch_fit_floats(struct divf *d, struct divf_scratch *s, size_t n)
{
    size_t floats = divf_floats_needed(&d->space, n);
    if (floats <= s->floats_capacity)
        return true;
    s->floats_capacity = 0;
    if (!fit_array(d->env.mem, &s->floats, floats, sizeof *s->floats))
        return false;
    s->floats_capacity = floats;
    return true;
}

bool divf_scratch_fit_queries(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                              size_t n, size_t rerank)
{
    struct mem *mem = d->env.mem;
    size_t each = view->quantizer ? view->quantizer->query_bytes : 0;
    size_t prepared = n * each + (view->sketch ? view->sketch->query_bytes : 0);
    if (!fit_lists(mem, s, view->n))
        return false;
    if (n > s->n_queries) {
        s->n_queries = 0;
        if (!fit_array(mem, &s->queries, n, sizeof *s->queries))
            return false;
        s->n_queries = n;
    }
    if (prepared > s->prepared_bytes) {
        s->prepared_bytes = 0;
        if (!fit_array(mem, &s->prepared, prepared, 1))
            return false;
        s->prepared_bytes = prepared;
    }
    if (n * rerank > s->best_capacity) {
        s->best_capacity = 0;
        if (!fit_array(mem, &s->best_distances, n * rerank, sizeof *s->best_distances) ||
            !fit_array(mem, &s->best_slots, n * rerank, sizeof *s->best_slots))
            return false;
        s->best_capacity = n * rerank;
    }
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
    size_t pairs = n * nprobe, lists = view->n + 2;
    if (pairs > s->group_capacity) {
        s->group_capacity = 0;
        if (!fit_array(mem, &s->group_probes, pairs, sizeof *s->group_probes) ||
            !fit_array(mem, &s->group_queries, pairs, sizeof *s->group_queries) ||
            !fit_array(mem, &s->group_distances, pairs, sizeof *s->group_distances))
            return false;
        s->group_capacity = pairs;
    }
    if (lists > s->group_lists) {
        s->group_lists = 0;
        if (!fit_array(mem, &s->group_start, lists + lists / 8, sizeof *s->group_start))
            return false;
        s->group_lists = lists + lists / 8;
    }
    if (n > s->group_size) {
        s->group_size = 0;
        if (!fit_array(mem, &s->group_counts, n, sizeof *s->group_counts))
            return false;
        s->group_size = n;
    }
    return true;
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
           s->hits.capacity * sizeof *s->hits.hits + s->work_bytes + s->prepared_bytes +
           s->floats_capacity * sizeof *s->floats + s->n_queries * sizeof *s->queries +
           s->best_capacity * (sizeof *s->best_slots + sizeof *s->best_distances) +
           (3 * s->group_capacity + s->group_lists + s->group_size) * sizeof(uint32_t) +
           (s->nearest ? nearest_bytes(s->nearest) : 0);
}

const struct scratch_kind divf_scratch_kind = { sizeof(struct divf_scratch), NULL, close_scratch,
                                                scratch_bytes };
