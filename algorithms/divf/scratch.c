/* scratch.c - a list of idle search scratch, so that a search allocates nothing once warm. */
#include "algorithms/divf/scratch.h"

#include <string.h>

#include "src/core/mem.h"

static void scratch_destroy(struct mem *mem, struct divf_scratch *s)
{
    mem_free(mem, s->list_distances);
    mem_free(mem, s->probe_distances);
    mem_free(mem, s->probes);
    mem_free(mem, s->positions);
    mem_free(mem, s->distances);
    mem_free(mem, s->seen);
    mem_free(mem, s->hits);
    mem_free(mem, s);
}

static bool fit_lists(struct mem *mem, struct divf_scratch *s, size_t lists)
{
    if (lists <= s->lists_capacity)
        return true;
    lists += lists / 8;
    size_t positions = lists < PIECE_ROWS ? PIECE_ROWS : lists;
    float *list_distances = mem_array(mem, lists, sizeof *list_distances);
    float *probe_distances = mem_array(mem, lists, sizeof *probe_distances);
    uint64_t *probes = mem_array(mem, lists, sizeof *probes);
    uint32_t *places = mem_array(mem, positions, sizeof *places);
    if (!list_distances || !probe_distances || !probes || !places) {
        mem_free(mem, list_distances);
        mem_free(mem, probe_distances);
        mem_free(mem, probes);
        mem_free(mem, places);
        return false;
    }
    mem_free(mem, s->list_distances);
    mem_free(mem, s->probe_distances);
    mem_free(mem, s->probes);
    mem_free(mem, s->positions);
    s->list_distances = list_distances;
    s->probe_distances = probe_distances;
    s->probes = probes;
    s->positions = places;
    s->lists_capacity = lists;
    return true;
}

static bool fit_seen(struct mem *mem, struct divf_scratch *s, size_t slots)
{
    if (slots <= s->seen_capacity)
        return true;
    slots += slots / 8;
    uint32_t *seen = mem_zalloc(mem, slots * sizeof *seen);
    if (!seen)
        return false;
    mem_free(mem, s->seen);
    s->seen = seen;
    s->seen_capacity = slots;
    s->epoch = 0;
    return true;
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
    if (s->distances && fit_lists(mem, s, d->lists.n) &&
        (d->params.soft_k == 1 || fit_seen(mem, s, d->slots.n)))
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
        bytes += sizeof *s +
                 s->lists_capacity * (2 * sizeof(float) + sizeof(uint64_t) + sizeof(uint32_t)) +
                 PIECE_ROWS * sizeof(float) + s->seen_capacity * sizeof(uint32_t) +
                 s->hits_capacity * sizeof(struct divf_hit);
    return bytes;
}

void divf_scratch_next_query(struct divf_scratch *s)
{
    s->n_hits = 0;
    if (++s->epoch != 0)
        return;
    /* 2^32 queries on: old epochs would look new. */
    if (s->seen)
        memset(s->seen, 0, s->seen_capacity * sizeof *s->seen);
    s->epoch = 1;
}
