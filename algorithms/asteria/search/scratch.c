/* scratch.c - scratch of one search thread. Idle ones are pooled, so that a search allocates
 * nothing once warm.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"
#include "src/core/mem.h"

static void close_scratch(struct mem *mem, void *scratch)
{
    struct asteria_scratch *s = scratch;
    for (size_t v = 0; v < VIEWS; v++)
        mem_free(mem, s->views[v].memory);
    mem_free(mem, s->unit);
    mem_free(mem, s->keys);
    mem_free(mem, s->centre_sq);
    mem_free(mem, s->bound);
    mem_free(mem, s->numbers);
    mem_free(mem, s->estimates);
    mem_free(mem, s->best_distances);
    mem_free(mem, s->best_slots);
    row_reader_give(s->reader);
    asteria_caprg_scratch_free(&s->walk, mem);
    mem_free(mem, s->seeds);
    mem_free(mem, s->seed_scores);
    mem_free(mem, s->seen);
    mem_free(mem, s->hits.hits);
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Divides one allocation into the view's buffers. */
static bool fit_view(struct mem *mem, struct asteria_view *v)
{
    const struct asteria_model *m = v->g->model;
    const size_t sizes[] = { padded(m->quantizer->work_dim * sizeof *v->rotated),
                             padded(m->quantizer->query_bytes),
                             padded(m->rotation->out_dim * sizeof *v->z),
                             padded(m->m * sizeof *v->p),
                             padded(asteria_lrsq_query_bytes(m->lrsq)) };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        bytes += sizes[i];
    if (bytes > v->memory_bytes) {
        v->memory_bytes = 0;
        if (!mem_fit(mem, &v->memory, bytes, 1))
            return false;
        v->memory_bytes = bytes;
    }
    unsigned char *at = v->memory;
    v->rotated = (float *)(void *)at;
    v->prepared = at += sizes[0];
    v->z = (float *)(void *)(at += sizes[1]);
    v->p = (float *)(void *)(at += sizes[2]);
    v->residual_query = at + sizes[3];
    return true;
}

/* Sets up views of the present generations. */
static bool fit_views(struct asteria *a, struct asteria_scratch *s)
{
    s->n_views = s->n_buckets = 0;
    for (unsigned i = 0; i < VIEWS; i++) {
        struct asteria_generation *g = a->generations[a->now ^ i];
        if (!g)
            continue;
        struct asteria_view *v = &s->views[s->n_views++];
        v->g = g;
        v->first = s->n_buckets;
        s->n_buckets += g->n;
        if (!fit_view(a->base.env.mem, v))
            return false;
    }
    return true;
}

static bool fit_buckets(struct mem *mem, struct asteria_scratch *s)
{
    if (s->n_buckets <= s->buckets_capacity && s->keys)
        return true;
    const size_t n = s->n_buckets + s->n_buckets / 8 + 1;
    s->buckets_capacity = 0;
    if (!mem_fit(mem, &s->keys, n, sizeof *s->keys) ||
        !mem_fit(mem, &s->centre_sq, n, sizeof *s->centre_sq) ||
        !mem_fit(mem, &s->bound, n, sizeof *s->bound) ||
        !mem_fit(mem, &s->numbers, n, sizeof *s->numbers) ||
        !mem_fit(mem, &s->estimates, (n + 15) / 16 * 16, sizeof *s->estimates))
        return false;
    s->buckets_capacity = n;
    return true;
}

static bool fit_beam(struct asteria *a, struct asteria_scratch *s)
{
    struct mem *mem = a->base.env.mem;
    if (a->n_slots > s->seen_capacity) {
        const size_t n = a->n_slots + a->n_slots / 8;
        s->seen_capacity = 0;
        if (!mem_fit(mem, &s->seen, n, sizeof *s->seen))
            return false;
        memset(s->seen, 0, n * sizeof *s->seen);
        s->seen_capacity = n;
        s->seen_now = 0;
    }
    return true;
}

int asteria_scratch_prepare(struct asteria *a, struct asteria_scratch *s,
                            const struct asteria_knobs *knobs, size_t best)
{
    struct mem *mem = a->base.env.mem;
    s->failure = OK;
    if (!s->unit)
        s->unit = mem_array(mem, a->base.env.dim, sizeof *s->unit);
    if (best > s->best_capacity) {
        s->best_capacity = 0;
        if (!mem_fit(mem, &s->best_distances, best, sizeof *s->best_distances) ||
            !mem_fit(mem, &s->best_slots, best, sizeof *s->best_slots))
            return search_no_memory(a);
        s->best_capacity = best;
    }
    s->best = topk_begin(best, s->best_distances, s->best_slots);
    if (s->unit && fit_views(a, s) && fit_buckets(mem, s) &&
        (knobs->beam == 0 || !a->graph || fit_beam(a, s)) &&
        (!asteria_rows_are_tiered(a->rows) || s->reader ||
         (s->reader = asteria_rows_reader(a->rows))))
        return OK;
    return search_no_memory(a);
}

void asteria_scratch_give(struct asteria *a, struct asteria_scratch *s)
{
    const double *from = (const double *)&s->counts;
    pthread_mutex_lock(&a->scratch.lock);
    double *to = (double *)&a->counts;
    for (size_t i = 0; i < sizeof s->counts / sizeof *from; i++)
        to[i] += from[i];
    pthread_mutex_unlock(&a->scratch.lock);
    s->counts = (struct asteria_counts){ 0 };
    scratch_pool_give(&a->scratch, s);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct asteria *a = owner;
    const struct asteria_scratch *s = scratch;
    return a->base.env.dim * sizeof *s->unit + s->views[0].memory_bytes + s->views[1].memory_bytes +
           s->buckets_capacity * (sizeof *s->keys + sizeof *s->centre_sq + sizeof *s->bound +
                                  sizeof *s->numbers + sizeof *s->estimates) +
           s->best_capacity * (sizeof *s->best_distances + sizeof *s->best_slots) +
           s->seeds_capacity * (sizeof *s->seeds + sizeof *s->seed_scores) +
           s->seen_capacity * sizeof *s->seen + s->hits.capacity * sizeof *s->hits.hits;
}

const struct scratch_kind asteria_scratch_kind = { sizeof(struct asteria_scratch), NULL,
                                                   close_scratch, scratch_bytes };
