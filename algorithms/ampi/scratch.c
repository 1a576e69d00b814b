/* scratch.c - the memory that one thread searches with. Idle scratch is pooled, so that searches
 * allocate nothing once it has grown. */
#include <string.h>

#include "algorithms/ampi/ampi.h"

static void close_scratch(struct mem *mem, void *scratch)
{
    struct ampi_scratch *s = scratch;
    (void)mem;
    mem_group_free(&s->arrays);
}

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Whether there is space for all of it, which is made anew if not. */
static bool fit(const struct ampi *a, struct ampi_scratch *s, size_t probes, size_t views)
{
    const struct ampi_space has = s->space,
                            all = { more(has.slots, a->slots.capacity),
                                    more(has.clusters, a->part.n), more(has.probes, probes),
                                    more(has.views, views) };
    struct mem_group *g = &s->arrays;
    if (memcmp(&has, &all, sizeof all) == 0)
        return true;
    mem_group_free(g);
    g->mem = a->base.env.mem;
    s->stamp = mem_group_zalloc(g, all.slots, sizeof *s->stamp);
    s->epoch = 0;
    s->list_distances = mem_group_array(g, all.clusters, sizeof *s->list_distances);
    s->probe_distances = mem_group_array(g, all.clusters, sizeof *s->probe_distances);
    s->probes = mem_group_array(g, all.clusters, sizeof *s->probes);
    s->positions = mem_group_array(g, all.clusters, sizeof *s->positions);
    s->projections = mem_group_array(g, (all.probes + 1) * a->fans, sizeof *s->projections);
    s->views = mem_group_array(g, all.views, sizeof *s->views);
    s->ranks = mem_group_array(g, all.views * a->fans, sizeof *s->ranks);
    s->space = g->failed ? (struct ampi_space){ 0 } : all;
    return !g->failed;
}

struct ampi_scratch *ampi_scratch_take(struct ampi *a, size_t probes, size_t views)
{
    struct ampi_scratch *s = scratch_pool_take(&a->scratch);
    if (!s || fit(a, s, probes, views))
        return s;
    scratch_pool_give(&a->scratch, s);
    return NULL;
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct ampi *a = owner;
    const struct ampi_scratch *s = scratch;
    return s->space.slots * sizeof *s->stamp +
           s->space.clusters * (2 * sizeof(float) + sizeof *s->probes + sizeof *s->positions) +
           (s->space.probes + 1) * a->fans * sizeof *s->projections +
           s->space.views * (sizeof *s->views + a->fans * sizeof *s->ranks);
}

const struct scratch_kind ampi_scratch_kind = { sizeof(struct ampi_scratch), NULL, close_scratch,
                                                scratch_bytes };
