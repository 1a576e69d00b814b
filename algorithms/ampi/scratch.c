/* scratch.c - the memory that one thread searches with. Idle scratch is pooled, so that searches
 * allocate nothing once it has grown. */
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "src/core/mem.h"

static void close_scratch(struct mem *mem, void *scratch)
{
    struct ampi_scratch *s = scratch;
    mem_free(mem, s->stamp);
    mem_free(mem, s->list_distances);
    mem_free(mem, s->probe_distances);
    mem_free(mem, s->probes);
    mem_free(mem, s->positions);
    mem_free(mem, s->projections);
    mem_free(mem, s->views);
    mem_free(mem, s->ranks);
    mem_free(mem, s->hits.hits);
}

static bool fit_stamps(struct mem *mem, struct ampi_scratch *s, size_t slots)
{
    if (slots <= s->stamps_capacity)
        return true;
    if (!mem_fit(mem, &s->stamp, slots, sizeof *s->stamp))
        return false;
    memset(s->stamp + s->stamps_capacity, 0, (slots - s->stamps_capacity) * sizeof *s->stamp);
    s->stamps_capacity = slots;
    return true;
}

static bool fit_clusters(struct mem *mem, struct ampi_scratch *s, size_t n)
{
    if (n <= s->clusters_capacity)
        return true;
    if (!mem_fit(mem, &s->list_distances, n, sizeof *s->list_distances) ||
        !mem_fit(mem, &s->probe_distances, n, sizeof *s->probe_distances) ||
        !mem_fit(mem, &s->probes, n, sizeof *s->probes) ||
        !mem_fit(mem, &s->positions, n, sizeof *s->positions))
        return false;
    s->clusters_capacity = n;
    return true;
}

static bool fit_views(struct mem *mem, struct ampi_scratch *s, size_t fans, size_t probes,
                      size_t views)
{
    if (probes > s->probes_capacity) {
        if (!mem_fit(mem, &s->projections, (probes + 1) * fans, sizeof *s->projections))
            return false;
        s->probes_capacity = probes;
    }
    if (views > s->views_capacity) {
        if (!mem_fit(mem, &s->views, views, sizeof *s->views) ||
            !mem_fit(mem, &s->ranks, views * fans, sizeof *s->ranks))
            return false;
        s->views_capacity = views;
    }
    return true;
}

struct ampi_scratch *ampi_scratch_take(struct ampi *a, size_t probes, size_t views)
{
    struct mem *mem = a->base.env.mem;
    struct ampi_scratch *s = scratch_pool_take(&a->scratch);
    if (!s || (fit_stamps(mem, s, a->slots.capacity) && fit_clusters(mem, s, a->part.n) &&
               fit_views(mem, s, a->fans, probes, views)))
        return s;
    scratch_pool_give(&a->scratch, s);
    return NULL;
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct ampi *a = owner;
    const struct ampi_scratch *s = scratch;
    return s->stamps_capacity * sizeof *s->stamp +
           s->clusters_capacity * (2 * sizeof(float) + sizeof *s->probes + sizeof *s->positions) +
           (s->probes_capacity + 1) * a->fans * sizeof *s->projections +
           s->views_capacity * (sizeof *s->views + a->fans * sizeof *s->ranks) +
           s->hits.capacity * sizeof *s->hits.hits;
}

const struct scratch_kind ampi_scratch_kind = { sizeof(struct ampi_scratch), NULL, close_scratch,
                                                scratch_bytes };
