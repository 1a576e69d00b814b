/* scratch.c - what a search needs, kept for the next, so that one allocates nothing once warm. */
#include <string.h>

#include "algorithms/asteria/search.h"
#include "src/core/mem.h"

static void scratch_destroy(struct mem *mem, struct scratch *s)
{
    for (size_t v = 0; v < VIEWS; v++)
        mem_free(mem, s->views[v].room);
    mem_free(mem, s->unit);
    mem_free(mem, s->keys);
    mem_free(mem, s->centre_sq);
    mem_free(mem, s->bound);
    mem_free(mem, s->numbers);
    mem_free(mem, s->estimates);
    mem_free(mem, s->best_distances);
    mem_free(mem, s->best_slots);
    tier_fetch_destroy(s->fetch);
    caprg_scratch_destroy(s->walk);
    mem_free(mem, s->seeds);
    mem_free(mem, s->seed_scores);
    mem_free(mem, s->seen);
    mem_free(mem, s->hits);
    mem_free(mem, s->tree);
    mem_free(mem, s->addresses);
    mem_free(mem, s->address_keys);
    mem_free(mem, s);
}

/* Another array, whose contents are of no interest. */
static bool fit_array(struct mem *mem, void *array_ptr, size_t n, size_t each)
{
    void **array = array_ptr, *more = mem_array(mem, n, each);
    if (!more)
        return false;
    mem_free(mem, *array);
    *array = more;
    return true;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* One block of memory, cut up. */
static bool fit_view(struct mem *mem, struct view *v)
{
    const struct model *m = v->g->model;
    const size_t sizes[] = { padded(m->quantizer->work_dim * sizeof *v->turned),
                             padded(m->quantizer->query_bytes),
                             padded(m->turn->out_dim * sizeof *v->z), padded(m->m * sizeof *v->p),
                             padded(lrsq_query_bytes(m->lrsq)) };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        bytes += sizes[i];
    if (bytes > v->room_bytes) {
        v->room_bytes = 0;
        if (!fit_array(mem, &v->room, bytes, 1))
            return false;
        v->room_bytes = bytes;
    }
    unsigned char *at = v->room;
    v->turned = (float *)(void *)at;
    v->prepared = at += sizes[0];
    v->z = (float *)(void *)(at += sizes[1]);
    v->p = (float *)(void *)(at += sizes[2]);
    v->short_query = at + sizes[3];
    return true;
}

/* The generations there are now. */
static bool fit_views(struct asteria *a, struct scratch *s)
{
    s->n_views = s->n_buckets = 0;
    for (unsigned i = 0; i < VIEWS; i++) {
        struct generation *g = a->generations[a->now ^ i];
        if (!g)
            continue;
        struct view *v = &s->views[s->n_views++];
        v->g = g;
        v->first = s->n_buckets;
        s->n_buckets += g->n;
        if (!fit_view(a->base.env.mem, v))
            return false;
    }
    return true;
}

static bool fit_buckets(struct mem *mem, struct scratch *s)
{
    if (s->n_buckets <= s->buckets_capacity && s->keys)
        return true;
    const size_t n = s->n_buckets + s->n_buckets / 8 + 1;
    s->buckets_capacity = 0;
    if (!fit_array(mem, &s->keys, n, sizeof *s->keys) ||
        !fit_array(mem, &s->centre_sq, n, sizeof *s->centre_sq) ||
        !fit_array(mem, &s->bound, n, sizeof *s->bound) ||
        !fit_array(mem, &s->numbers, n, sizeof *s->numbers) ||
        !fit_array(mem, &s->estimates, (n + 15) / 16 * 16, sizeof *s->estimates))
        return false;
    s->buckets_capacity = n;
    return true;
}

static bool fit_best(struct mem *mem, struct scratch *s, size_t best)
{
    if (best > s->best_capacity) {
        s->best_capacity = 0;
        if (!fit_array(mem, &s->best_distances, best, sizeof *s->best_distances) ||
            !fit_array(mem, &s->best_slots, best, sizeof *s->best_slots))
            return false;
        s->best_capacity = best;
    }
    s->best = topk_begin(best, s->best_distances, s->best_slots);
    return true;
}

static bool fit_walk(struct asteria *a, struct scratch *s)
{
    struct mem *mem = a->base.env.mem;
    if (!s->walk && caprg_scratch_create(&s->walk, a->graph) != OK)
        return false;
    if (a->n_slots > s->seen_capacity) {
        const size_t n = a->n_slots + a->n_slots / 8;
        s->seen_capacity = 0;
        if (!fit_array(mem, &s->seen, n, sizeof *s->seen))
            return false;
        memset(s->seen, 0, n * sizeof *s->seen);
        s->seen_capacity = n;
        s->seen_now = 0;
    }
    return true;
}

/* Of the tree and of flips: room for every bucket's address. */
static bool fit_addresses(struct asteria *a, struct scratch *s, const struct asteria_knobs *knobs)
{
    struct mem *mem = a->base.env.mem;
    if (knobs->order != ORDER_TREE && knobs->order != ORDER_FLIPS)
        return true;
    if (s->addresses_capacity < s->buckets_capacity) {
        s->addresses_capacity = 0;
        if (!fit_array(mem, &s->addresses, s->buckets_capacity, sizeof *s->addresses) ||
            !fit_array(mem, &s->address_keys, s->buckets_capacity, sizeof *s->address_keys))
            return false;
        s->addresses_capacity = s->buckets_capacity;
    }
    const size_t tree = knobs->order == ORDER_TREE && a->bec ? bec_scratch_bytes(a->bec) : 0;
    if (tree > s->tree_bytes) {
        s->tree_bytes = 0;
        if (!fit_array(mem, &s->tree, tree, 1))
            return false;
        s->tree_bytes = tree;
    }
    return true;
}

int scratch_prepare(struct asteria *a, struct scratch *s, const struct asteria_knobs *knobs,
                    size_t best)
{
    struct mem *mem = a->base.env.mem;
    s->failure = OK;
    if (!s->unit)
        s->unit = mem_array(mem, a->base.env.dim, sizeof *s->unit);
    if (s->unit && fit_views(a, s) && fit_buckets(mem, s) && fit_best(mem, s, best) &&
        fit_addresses(a, s, knobs) && (knobs->beam == 0 || !a->graph || fit_walk(a, s)) &&
        (!tier_tiered(a->tier) || s->fetch || tier_fetch_create(&s->fetch, a->tier) == OK))
        return OK;
    return search_no_memory(a);
}

struct scratch *scratch_take(struct asteria *a)
{
    pthread_mutex_lock(&a->scratch_lock);
    struct scratch *s = a->scratch;
    if (s)
        a->scratch = s->next;
    pthread_mutex_unlock(&a->scratch_lock);
    return s ? s : mem_zalloc(a->base.env.mem, sizeof *s);
}

void scratch_give(struct asteria *a, struct scratch *s)
{
    const double *from = (const double *)&s->counts;
    pthread_mutex_lock(&a->scratch_lock);
    double *to = (double *)&a->counts;
    for (size_t i = 0; i < sizeof s->counts / sizeof *from; i++)
        to[i] += from[i];
    s->counts = (struct asteria_counts){ 0 };
    s->next = a->scratch;
    a->scratch = s;
    pthread_mutex_unlock(&a->scratch_lock);
}

void asteria_scratch_free(struct asteria *a)
{
    while (a->scratch) {
        struct scratch *s = a->scratch;
        a->scratch = s->next;
        scratch_destroy(a->base.env.mem, s);
    }
    audit_free(a);
}

uint64_t asteria_scratch_bytes(struct asteria *a)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&a->scratch_lock);
    for (const struct scratch *s = a->scratch; s; s = s->next)
        bytes += sizeof *s + a->base.env.dim * sizeof *s->unit + s->views[0].room_bytes +
                 s->views[1].room_bytes + tier_fetch_bytes(s->fetch) +
                 s->buckets_capacity * (sizeof *s->keys + sizeof *s->centre_sq + sizeof *s->bound +
                                        sizeof *s->numbers + sizeof *s->estimates) +
                 s->best_capacity * (sizeof *s->best_distances + sizeof *s->best_slots) +
                 s->seeds_capacity * (sizeof *s->seeds + sizeof *s->seed_scores) +
                 s->seen_capacity * sizeof *s->seen + s->hits_capacity * sizeof *s->hits +
                 s->tree_bytes +
                 s->addresses_capacity * (sizeof *s->addresses + sizeof *s->address_keys);
    pthread_mutex_unlock(&a->scratch_lock);
    return bytes;
}
