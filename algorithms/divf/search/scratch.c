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

/* An array, and the bytes of an element. */
struct array {
    void *at;
    size_t each;
};

/* Makes arrays of n elements at least, without their contents. *capacity: of all of them; 0 after a
   failure. */
static bool fit(struct mem *mem, size_t *capacity, size_t n, const struct array *arrays,
                size_t n_arrays)
{
    if (n <= *capacity)
        return true;
    *capacity = 0;
    for (size_t i = 0; i < n_arrays; i++) {
        void **array = arrays[i].at, *more = mem_array(mem, n, arrays[i].each);
        if (!more)
            return false;
        mem_free(mem, *array);
        *array = more;
    }
    *capacity = n;
    return true;
}

/* fit() of arrays given as { &array, bytes of an element }. */
#define FIT(mem, capacity, n, ...)                            \
    fit(mem, &(capacity), n, (struct array[]){ __VA_ARGS__ }, \
        sizeof(struct array[]){ __VA_ARGS__ } / sizeof(struct array))
#define EACH(array)               \
    {                             \
        &(array), sizeof *(array) \
    }

static bool fit_lists(struct mem *mem, struct divf_scratch *s, size_t lists)
{
    if (lists <= s->lists_capacity)
        return true;
    lists += lists / 8;
    lists += -lists % QUANTIZER_BLOCK; /* whole blocks of centroids are scanned */
    if (!FIT(mem, s->lists_capacity, lists, EACH(s->list_distances), EACH(s->probe_distances),
             EACH(s->probes), EACH(s->positions), EACH(s->probed)))
        return false;
    memset(s->probed, 0, lists * sizeof *s->probed);
    return true;
}

bool divf_scratch_fit_work(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                           size_t n)
{
    size_t work_dim = view->quantizer ? view->quantizer->work_dim : 0;
    if (view->sketch && view->sketch->work_dim > work_dim)
        work_dim = view->sketch->work_dim;
    return FIT(d->env.mem, s->work_bytes, n * work_dim * sizeof *s->work, { &s->work, 1 });
}

bool divf_scratch_fit_floats(struct divf *d, struct divf_scratch *s, size_t n)
{
    return FIT(d->env.mem, s->floats_capacity, divf_floats_needed(&d->space, n), EACH(s->floats));
}

bool divf_scratch_fit_queries(struct divf *d, const struct divf_view *view, struct divf_scratch *s,
                              size_t n, size_t rerank)
{
    struct mem *mem = d->env.mem;
    size_t each = view->quantizer ? view->quantizer->query_bytes : 0;
    size_t prepared = n * each + (view->sketch ? view->sketch->query_bytes : 0);
    if (!fit_lists(mem, s, view->n) || !FIT(mem, s->n_queries, n, EACH(s->queries)) ||
        !FIT(mem, s->prepared_bytes, prepared, { &s->prepared, 1 }) ||
        !FIT(mem, s->best_capacity, n * rerank, EACH(s->best_distances), EACH(s->best_slots)))
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
    size_t lists = view->n + 2;
    if (lists > s->group_lists)
        lists += lists / 8;
    return FIT(mem, s->group_capacity, n * nprobe, EACH(s->group_probes), EACH(s->group_queries),
               EACH(s->group_distances)) &&
           FIT(mem, s->group_lists, lists, EACH(s->group_start)) &&
           FIT(mem, s->group_size, n, EACH(s->group_counts));
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
