/* caprg.c - the graph's arrays, and new nodes. */
#include "algorithms/asteria/caprg_parts.h"

#include <inttypes.h>

int caprg_create(struct caprg **out, const struct index_env *env, size_t degree)
{
    struct caprg *g;

    if (degree < 2 || degree > CAPRG_DEGREE_MAX)
        return fail(env->error, ERR_ARGUMENT, "asteria: graph: a degree of %zu is not in 2 .. %d",
                    degree, CAPRG_DEGREE_MAX);
    g = mem_zalloc(env->mem, sizeof *g);
    if (!g)
        return fail(env->error, ERR_NO_MEMORY, "asteria: graph: out of memory");
    g->env = *env;
    g->degree = degree;
    g->free_debt = CAPRG_NONE;
    g->plan = mem_array(env->mem, degree * degree, sizeof *g->plan);
    if (!g->plan) {
        caprg_destroy(g);
        return fail(env->error, ERR_NO_MEMORY, "asteria: graph: out of memory");
    }
    *out = g;
    return OK;
}

void caprg_destroy(struct caprg *g)
{
    struct mem *mem;

    if (!g)
        return;
    mem = g->env.mem;
    mem_free(mem, g->links);
    mem_free(mem, g->states);
    mem_free(mem, g->owed);
    mem_free(mem, g->debts);
    mem_free(mem, g->removed);
    mem_free(mem, g->slots);
    mem_free(mem, g->distances);
    mem_free(mem, g->keys);
    mem_free(mem, g->plan);
    mem_free(mem, g);
}

int caprg_reserve(struct caprg *g, size_t n_slots)
{
    struct mem *mem = g->env.mem;

    if (n_slots <= g->n_slots)
        return OK;
    if (n_slots > INT32_MAX)
        return fail(g->env.error, ERR_ARGUMENT, "asteria: graph: %zu slots are more than %d",
                    n_slots, INT32_MAX);
    if (!mem_grow(mem, &g->links, &g->links_capacity, n_slots * g->degree, sizeof *g->links) ||
        !mem_grow(mem, &g->states, &g->states_capacity, n_slots, sizeof *g->states) ||
        !mem_grow(mem, &g->owed, &g->owed_capacity, n_slots, sizeof *g->owed))
        return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph of %zu slots: out of memory",
                    n_slots);
    memset(caprg_links(g, (uint32_t)g->n_slots), 0xff,
           (n_slots - g->n_slots) * g->degree * sizeof *g->links);
    memset(g->states + g->n_slots, 0, n_slots - g->n_slots);
    memset(g->owed + g->n_slots, 0xff, (n_slots - g->n_slots) * sizeof *g->owed);
    g->n_slots = n_slots;
    return OK;
}

uint32_t caprg_next(const struct caprg *g, size_t *from, uint8_t state)
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

int caprg_fit(struct caprg *g, size_t n)
{
    const size_t need = n + (CAPRG_DETOURS_MOST + 1) * g->degree + CAPRG_DEBTS_MOST + 1;

    if (!mem_grow(g->env.mem, &g->slots, &g->slots_capacity, need, sizeof *g->slots) ||
        !mem_grow(g->env.mem, &g->distances, &g->distances_capacity, need, sizeof *g->distances) ||
        !mem_grow(g->env.mem, &g->keys, &g->keys_capacity, need, sizeof *g->keys))
        return fail(g->env.error, ERR_NO_MEMORY,
                    "asteria: graph: room for %zu candidates: out of memory", need);
    return OK;
}

static size_t count_links(const struct caprg *g, const uint32_t *links)
{
    size_t n = 0;

    while (n < g->degree && links[n] != CAPRG_NONE)
        n++;
    return n;
}

const uint32_t *caprg_edges(const struct caprg *g, uint32_t x, size_t *n)
{
    *n = count_links(g, caprg_links(g, x));
    return caprg_links(g, x);
}

void caprg_set_edges(struct caprg *g, uint32_t x, const uint32_t *to, size_t n)
{
    uint32_t *links = caprg_links(g, x);

    g->counts.edges -= count_links(g, links);
    g->counts.edges += n;
    if (n > 0)
        memmove(links, to, n * sizeof *links);
    memset(links + n, 0xff, (g->degree - n) * sizeof *links);
}

void caprg_owe(struct caprg *g, uint32_t y, uint32_t x)
{
    uint32_t cell = g->free_debt;

    if (cell == CAPRG_NONE)
        cell = (uint32_t)g->n_debts++;
    else
        g->free_debt = g->debts[cell].next;
    g->debts[cell] = (struct caprg_debt){ x, g->owed[y] };
    g->owed[y] = cell;
    g->states[y] |= CAPRG_OWES;
    g->owing_from = y < g->owing_from ? y : g->owing_from;
    g->counts.debts++;
}

void caprg_acquit(struct caprg *g, uint32_t y)
{
    while (g->owed[y] != CAPRG_NONE) {
        const uint32_t cell = g->owed[y];

        g->owed[y] = g->debts[cell].next;
        g->debts[cell].next = g->free_debt;
        g->free_debt = cell;
        g->counts.debts--;
    }
    g->states[y] &= (uint8_t)~CAPRG_OWES;
}

size_t caprg_owed(const struct caprg *g, uint32_t y)
{
    size_t n = 0;

    for (uint32_t cell = g->owed[y]; cell != CAPRG_NONE; cell = g->debts[cell].next)
        n++;
    return n;
}

static bool is_owed(const struct caprg *g, uint32_t y, uint32_t x)
{
    for (uint32_t cell = g->owed[y]; cell != CAPRG_NONE; cell = g->debts[cell].next)
        if (g->debts[cell].x == x)
            return true;
    return false;
}

/* What becomes of y where x has an edge to it. */
enum answer { KNOWS, HAS_ROOM, OWES, IS_PRUNED };

static enum answer answer_of(const struct caprg *g, uint32_t y, uint32_t x)
{
    const uint32_t *links = caprg_links(g, y);

    if (caprg_has(links, g->degree, x) || is_owed(g, y, x))
        return KNOWS;
    if (links[g->degree - 1] == CAPRG_NONE)
        return HAS_ROOM;
    return caprg_owed(g, y) + 1 < CAPRG_DEBTS_MOST ? OWES : IS_PRUNED;
}

/* All that may fail of linking back: the new edges of those that have to be pruned, into g->plan. */
static int plan_links_back(struct caprg *g, const struct caprg_rows *rows, uint32_t x,
                           const uint32_t *to, size_t n, size_t *n_plan)
{
    int rc = OK;

    if (!mem_grow(g->env.mem, &g->debts, &g->debts_capacity, g->n_debts + n, sizeof *g->debts))
        return fail(g->env.error, ERR_NO_MEMORY,
                    "asteria: graph: linking slot %" PRIu32 ": out of memory", x);
    for (size_t i = 0; i < n && rc == OK; i++) {
        n_plan[i] = 0;
        if (answer_of(g, to[i], x) == IS_PRUNED)
            rc = caprg_choose(g, rows, to[i], caprg_gather(g, to[i], &x, 1),
                              g->plan + i * g->degree, &n_plan[i]);
    }
    return rc;
}

static void link_back(struct caprg *g, uint32_t x, uint32_t y, const uint32_t *plan, size_t n_plan)
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
        case OWES: caprg_owe(g, y, x); break;
        case IS_PRUNED:
            caprg_set_edges(g, y, plan, n_plan);
            caprg_acquit(g, y);
            g->counts.pruned++;
            g->counts.backlinks += caprg_has(plan, n_plan, x);
            break;
    }
}

static int refuse(const struct caprg *g, uint32_t x)
{
    return fail(g->env.error, ERR_ARGUMENT, "asteria: graph: slot %" PRIu32 " is %s", x,
                x >= g->n_slots ? "beyond those reserved" : "of a removed row");
}

/* x is an owner's slot that can be made a node. */
static bool is_open(const struct caprg *g, uint32_t x)
{
    return x < g->n_slots && !caprg_is_dead(g, x);
}

int caprg_add(struct caprg *g, const struct caprg_rows *rows, uint32_t x, const uint32_t *pool,
              size_t n)
{
    uint32_t to[CAPRG_DEGREE_MAX];
    size_t n_to = 0, n_plan[CAPRG_DEGREE_MAX];
    int rc;

    if (!is_open(g, x))
        return refuse(g, x);
    rc = caprg_fit(g, n);
    if (rc == OK)
        rc = caprg_choose(g, rows, x, caprg_gather(g, x, pool, n), to, &n_to);
    if (rc == OK)
        rc = plan_links_back(g, rows, x, to, n_to, n_plan);
    if (rc != OK)
        return rc;
    g->counts.nodes += !caprg_is_node(g, x);
    g->counts.queued -= (g->states[x] & CAPRG_QUEUED) != 0;
    caprg_acquit(g, x);
    g->states[x] = CAPRG_NODE;
    caprg_set_edges(g, x, to, n_to);
    for (size_t i = 0; i < n_to; i++)
        link_back(g, x, to[i], g->plan + i * g->degree, n_plan[i]);
    return OK;
}

int caprg_queue(struct caprg *g, uint32_t x)
{
    if (!is_open(g, x))
        return refuse(g, x);
    if (caprg_is_node(g, x))
        return OK;
    g->states[x] = CAPRG_QUEUED;
    g->queued_from = x < g->queued_from ? x : g->queued_from;
    g->counts.nodes++;
    g->counts.queued++;
    return OK;
}

uint32_t caprg_pending(struct caprg *g)
{
    return caprg_next(g, &g->queued_from, CAPRG_QUEUED);
}

uint64_t caprg_bytes(const struct caprg *g)
{
    return sizeof *g + g->degree * g->degree * sizeof *g->plan +
           g->links_capacity * sizeof *g->links + g->states_capacity +
           g->owed_capacity * sizeof *g->owed + g->debts_capacity * sizeof *g->debts +
           g->removed_capacity * sizeof *g->removed + g->slots_capacity * sizeof *g->slots +
           g->distances_capacity * sizeof *g->distances + g->keys_capacity * sizeof *g->keys;
}

struct caprg_counts caprg_count(const struct caprg *g)
{
    struct caprg_counts counts = g->counts;

    counts.removed_waiting = g->n_removed;
    return counts;
}

enum caprg_standing caprg_standing(const struct caprg *g, uint32_t x)
{
    if (x >= g->n_slots || !g->states[x])
        return CAPRG_UNKNOWN;
    return caprg_is_node(g, x) ? CAPRG_ALIVE : CAPRG_DEAD;
}
