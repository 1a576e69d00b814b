/* caprg.c - the graph's arrays, and adding nodes. */
#include "algorithms/asteria/graph/internal.h"

#include <inttypes.h>

int asteria_caprg_create(struct asteria_caprg **out, const struct index_env *env, size_t degree)
{
    struct asteria_caprg *g = mem_zalloc(env->mem, sizeof *g);

    if (!g)
        return fail(env->error, ERR_NO_MEMORY, "asteria: graph: out of memory");
    g->env = *env;
    g->degree = degree;
    g->free_deferred = CAPRG_NONE;
    g->plan = mem_array(env->mem, degree * degree, sizeof *g->plan);
    if (!g->plan) {
        asteria_caprg_destroy(g);
        return fail(env->error, ERR_NO_MEMORY, "asteria: graph: out of memory");
    }
    *out = g;
    return OK;
}

void asteria_caprg_destroy(struct asteria_caprg *g)
{
    struct mem *mem;

    if (!g)
        return;
    mem = g->env.mem;
    mem_free(mem, g->links);
    mem_free(mem, g->states);
    mem_free(mem, g->first_deferred);
    mem_free(mem, g->deferred);
    mem_free(mem, g->removed);
    mem_free(mem, g->slots);
    mem_free(mem, g->distances);
    mem_free(mem, g->keys);
    mem_free(mem, g->plan);
    mem_free(mem, g);
}

bool asteria_caprg_grow_deferred(struct asteria_caprg *g, size_t n_slots)
{
    if (!mem_grow(g->env.mem, &g->first_deferred, &g->first_deferred_capacity, n_slots,
                  sizeof *g->first_deferred))
        return false;
    for (; g->n_slots < n_slots; g->n_slots++)
        g->first_deferred[g->n_slots] = CAPRG_NONE;
    return true;
}

int asteria_caprg_reserve(struct asteria_caprg *g, size_t n_slots)
{
    struct mem *mem = g->env.mem;
    const size_t had = g->n_slots;

    if (n_slots <= had)
        return OK;
    if (!mem_grow(mem, &g->links, &g->links_capacity, n_slots * g->degree, sizeof *g->links) ||
        !mem_grow(mem, &g->states, &g->states_capacity, n_slots, sizeof *g->states) ||
        !asteria_caprg_grow_deferred(g, n_slots))
        return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph of %zu slots: out of memory",
                    n_slots);
    memset(caprg_links(g, (uint32_t)had), 0xff, (n_slots - had) * g->degree * sizeof *g->links);
    memset(g->states + had, 0, n_slots - had);
    return OK;
}

uint32_t asteria_caprg_next(const struct asteria_caprg *g, size_t *from, uint8_t state)
{
    const uint64_t mask = state * UINT64_C(0x0101010101010101);
    size_t i = *from;

    while (i < g->n_slots && !(g->states[i] & state)) {
        uint64_t word;

        i++;
        for (; i + sizeof word <= g->n_slots; i += sizeof word) {
            memcpy(&word, g->states + i, sizeof word);
            if (word & mask)
                break;
        }
    }
    *from = i;
    return i < g->n_slots ? (uint32_t)i : CAPRG_NONE;
}

int asteria_caprg_fit(struct asteria_caprg *g, size_t n)
{
    const size_t need = n + (CAPRG_DETOURS_MOST + 1) * g->degree + CAPRG_DEFERRED_MOST + 1;

    if (!mem_grow(g->env.mem, &g->slots, &g->slots_capacity, need, sizeof *g->slots) ||
        !mem_grow(g->env.mem, &g->distances, &g->distances_capacity, need, sizeof *g->distances) ||
        !mem_grow(g->env.mem, &g->keys, &g->keys_capacity, need, sizeof *g->keys))
        return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph: out of memory for %zu candidates",
                    need);
    return OK;
}

static size_t count_links(const struct asteria_caprg *g, const uint32_t *links)
{
    size_t n = 0;

    while (n < g->degree && links[n] != CAPRG_NONE)
        n++;
    return n;
}

const uint32_t *asteria_caprg_edges(const struct asteria_caprg *g, uint32_t x, size_t *n)
{
    *n = count_links(g, caprg_links(g, x));
    return caprg_links(g, x);
}

void asteria_caprg_set_edges(struct asteria_caprg *g, uint32_t x, const uint32_t *to, size_t n)
{
    uint32_t *links = caprg_links(g, x);

    g->counts.edges -= count_links(g, links);
    g->counts.edges += n;
    if (n > 0)
        memmove(links, to, n * sizeof *links);
    memset(links + n, 0xff, (g->degree - n) * sizeof *links);
}

void asteria_caprg_defer(struct asteria_caprg *g, uint32_t y, uint32_t x)
{
    uint32_t cell = g->free_deferred;

    if (cell == CAPRG_NONE)
        cell = (uint32_t)g->n_deferred++;
    else
        g->free_deferred = g->deferred[cell].next;
    g->deferred[cell] = (struct asteria_caprg_deferred){ x, g->first_deferred[y] };
    g->first_deferred[y] = cell;
    g->states[y] |= CAPRG_DEFERS;
    g->deferring_from = y < g->deferring_from ? y : g->deferring_from;
    g->counts.deferred++;
}

void asteria_caprg_clear_deferred(struct asteria_caprg *g, uint32_t y)
{
    while (g->first_deferred[y] != CAPRG_NONE) {
        const uint32_t cell = g->first_deferred[y];

        g->first_deferred[y] = g->deferred[cell].next;
        g->deferred[cell].next = g->free_deferred;
        g->free_deferred = cell;
        g->counts.deferred--;
    }
    g->states[y] &= (uint8_t)~CAPRG_DEFERS;
}

size_t asteria_caprg_count_deferred(const struct asteria_caprg *g, uint32_t y)
{
    size_t n = 0;

    for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE; cell = g->deferred[cell].next)
        n++;
    return n;
}

/* What to do with the back-link when x has an edge to y. */
enum answer { KNOWS, HAS_ROOM, DEFERS, IS_PRUNED };

static enum answer answer_of(const struct asteria_caprg *g, uint32_t y, uint32_t x)
{
    const uint32_t *links = caprg_links(g, y);

    if (caprg_has(links, g->degree, x))
        return KNOWS;
    for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE; cell = g->deferred[cell].next)
        if (g->deferred[cell].x == x)
            return KNOWS;
    if (links[g->degree - 1] == CAPRG_NONE)
        return HAS_ROOM;
    return asteria_caprg_count_deferred(g, y) + 1 < CAPRG_DEFERRED_MOST ? DEFERS : IS_PRUNED;
}

/* Does all of linking back that may fail: the new edges of the nodes that must be pruned,
   into g->plan. */
static int plan_links_back(struct asteria_caprg *g, const struct asteria_caprg_rows *rows,
                           uint32_t x, const uint32_t *to, size_t n, size_t *n_plan)
{
    int rc = OK;

    if (!mem_grow(g->env.mem, &g->deferred, &g->deferred_capacity, g->n_deferred + n,
                  sizeof *g->deferred))
        return fail(g->env.error, ERR_NO_MEMORY,
                    "asteria: graph: linking slot %" PRIu32 ": out of memory", x);
    for (size_t i = 0; i < n && rc == OK; i++) {
        n_plan[i] = 0;
        if (answer_of(g, to[i], x) == IS_PRUNED)
            rc = asteria_caprg_choose(g, rows, to[i], asteria_caprg_gather(g, to[i], &x, 1),
                                      g->plan + i * g->degree, &n_plan[i]);
    }
    return rc;
}

static void link_back(struct asteria_caprg *g, uint32_t x, uint32_t y, const uint32_t *plan,
                      size_t n_plan)
{
    size_t n;

    switch (answer_of(g, y, x)) {
        case KNOWS: return;
        case HAS_ROOM:
            n = count_links(g, caprg_links(g, y));
            caprg_links(g, y)[n] = x;
            g->counts.edges++;
            g->counts.backlinks++;
            break;
        case DEFERS: asteria_caprg_defer(g, y, x); break;
        case IS_PRUNED:
            asteria_caprg_set_edges(g, y, plan, n_plan);
            asteria_caprg_clear_deferred(g, y);
            g->counts.pruned++;
            g->counts.backlinks += caprg_has(plan, n_plan, x);
            break;
    }
}

int asteria_caprg_add(struct asteria_caprg *g, const struct asteria_caprg_rows *rows, uint32_t x,
                      const uint32_t *pool, size_t n)
{
    uint32_t to[CAPRG_DEGREE_MAX];
    size_t n_to = 0, n_plan[CAPRG_DEGREE_MAX];
    int rc = asteria_caprg_fit(g, n);

    if (rc == OK)
        rc = asteria_caprg_choose(g, rows, x, asteria_caprg_gather(g, x, pool, n), to, &n_to);
    if (rc == OK)
        rc = plan_links_back(g, rows, x, to, n_to, n_plan);
    if (rc != OK)
        return rc;
    g->counts.nodes += !caprg_is_node(g, x);
    g->counts.queued -= (g->states[x] & CAPRG_QUEUED) != 0;
    asteria_caprg_clear_deferred(g, x);
    g->states[x] = CAPRG_NODE;
    asteria_caprg_set_edges(g, x, to, n_to);
    for (size_t i = 0; i < n_to; i++)
        link_back(g, x, to[i], g->plan + i * g->degree, n_plan[i]);
    return OK;
}

void asteria_caprg_queue(struct asteria_caprg *g, uint32_t x)
{
    g->states[x] = CAPRG_QUEUED;
    g->queued_from = x < g->queued_from ? x : g->queued_from;
    g->counts.nodes++;
    g->counts.queued++;
}

uint32_t asteria_caprg_pending(struct asteria_caprg *g)
{
    return asteria_caprg_next(g, &g->queued_from, CAPRG_QUEUED);
}

uint64_t asteria_caprg_bytes(const struct asteria_caprg *g)
{
    return sizeof *g + g->degree * g->degree * sizeof *g->plan +
           g->links_capacity * sizeof *g->links + g->states_capacity +
           g->first_deferred_capacity * sizeof *g->first_deferred +
           g->deferred_capacity * sizeof *g->deferred + g->removed_capacity * sizeof *g->removed +
           g->slots_capacity * sizeof *g->slots + g->distances_capacity * sizeof *g->distances +
           g->keys_capacity * sizeof *g->keys;
}

struct asteria_caprg_counts asteria_caprg_count(const struct asteria_caprg *g)
{
    struct asteria_caprg_counts counts = g->counts;

    counts.removed_waiting = g->n_removed;
    return counts;
}

enum asteria_caprg_standing asteria_caprg_standing(const struct asteria_caprg *g, uint32_t x)
{
    if (x >= g->n_slots || !g->states[x])
        return CAPRG_UNKNOWN;
    return caprg_is_node(g, x) ? CAPRG_ALIVE : CAPRG_DEAD;
}
