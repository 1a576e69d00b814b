/* scratch.c - a list of idle search scratch, so that a search allocates nothing once warm. */
#include "algorithms/divf/scratch.h"

#include "src/core/mem.h"

static void free_lists(struct mem *mem, struct divf_scratch *s)
{
    mem_free(mem, s->list_distances);
    mem_free(mem, s->probe_distances);
    mem_free(mem, s->probes);
    mem_free(mem, s->positions);
    mem_free(mem, s->probed);
}

static void scratch_destroy(struct mem *mem, struct divf_scratch *s)
{
    free_lists(mem, s);
    mem_free(mem, s->distances);
    mem_free(mem, s->hits);
    mem_free(mem, s->group_probes);
    mem_free(mem, s->group_queries);
    mem_free(mem, s->group_start);
    nearest_destroy(mem, s->nearest);
    mem_free(mem, s);
}

static bool fit_lists(struct mem *mem, struct divf_scratch *s, size_t lists)
{
    if (lists <= s->lists_capacity)
        return true;
    lists += lists / 8;
    struct divf_scratch t = { .lists_capacity = lists };
    t.list_distances = mem_array(mem, lists, sizeof *t.list_distances);
    t.probe_distances = mem_array(mem, lists, sizeof *t.probe_distances);
    t.probes = mem_array(mem, lists, sizeof *t.probes);
    t.positions = mem_array(mem, lists < PIECE_ROWS ? PIECE_ROWS : lists, sizeof *t.positions);
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

static bool fit_array(struct mem *mem, uint32_t **array, size_t n)
{
    uint32_t *more = mem_array(mem, n, sizeof *more);
    if (!more)
        return false;
    mem_free(mem, *array);
    *array = more;
    return true;
}

bool divf_scratch_fit_group(struct divf *d, struct divf_scratch *s, size_t n, size_t nprobe,
                            size_t product)
{
    struct mem *mem = d->base.env.mem;
    size_t pairs = n * nprobe, lists = d->lists.n + 2;
    if (pairs > s->group_capacity) {
        s->group_capacity = 0;
        if (!fit_array(mem, &s->group_probes, pairs) || !fit_array(mem, &s->group_queries, pairs))
            return false;
        s->group_capacity = pairs;
    }
    if (lists > s->group_lists) {
        s->group_lists = 0;
        if (!fit_array(mem, &s->group_start, lists + lists / 8))
            return false;
        s->group_lists = lists + lists / 8;
    }
    if (product > 0 && !s->nearest)
        s->nearest = nearest_create(mem, product);
    return product == 0 || s->nearest;
}

struct divf_scratch *divf_scratch_take(struct divf *d)
{
    struct mem *mem = d->base.env.mem;
    pthread_mutex_lock(&d->scratch_lock);
    struct divf_scratch *s = d->scratch;
    if (s)
        d->scratch = s->next;
    pthread_mutex_unlock(&d->scratch_lock);

    if (!s)
        s = mem_zalloc(mem, sizeof *s);
    if (!s)
        return NULL;
    if (!s->distances)
        s->distances = mem_array(mem, PIECE_ROWS, sizeof *s->distances);
    if (s->distances && fit_lists(mem, s, d->lists.n))
        return s;
    scratch_destroy(mem, s);
    return NULL;
}

void divf_scratch_give(struct divf *d, struct divf_scratch *s)
{
    pthread_mutex_lock(&d->scratch_lock);
    s->next = d->scratch;
    d->scratch = s;
    pthread_mutex_unlock(&d->scratch_lock);
}

void divf_scratch_free(struct divf *d)
{
    while (d->scratch) {
        struct divf_scratch *s = d->scratch;
        d->scratch = s->next;
        scratch_destroy(d->base.env.mem, s);
    }
}

uint64_t divf_scratch_bytes(const struct divf *d)
{
    uint64_t bytes = 0;
    for (const struct divf_scratch *s = d->scratch; s; s = s->next)
        bytes += sizeof *s + PIECE_ROWS * sizeof *s->distances +
                 s->lists_capacity * (2 * sizeof(float) + sizeof *s->probes + sizeof *s->positions +
                                      sizeof *s->probed) +
                 s->hits_capacity * sizeof *s->hits +
                 (2 * s->group_capacity + s->group_lists) * sizeof *s->group_probes +
                 (s->nearest ? nearest_bytes(s->nearest) : 0);
    return bytes;
}
