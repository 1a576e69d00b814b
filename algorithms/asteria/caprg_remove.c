/* caprg_remove.c - nodes go, and what changes have left to be done. */
#include "algorithms/asteria/caprg_parts.h"

#include <inttypes.h>

/* Nodes looked at by the sweep that count as one distance. */
enum { LOOKS_OF_A_DISTANCE = 8 };

int caprg_reserve_removals(struct caprg *g, size_t n)
{
    if (mem_grow(g->env.mem, &g->removed, &g->removed_capacity, g->n_removed + n,
                 sizeof *g->removed))
        return OK;
    return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph: removing %zu slots: out of memory",
                n);
}

int caprg_remove(struct caprg *g, uint32_t x)
{
    if (x >= g->n_slots || caprg_is_dead(g, x))
        return fail(g->env.error, ERR_ARGUMENT,
                    "asteria: graph: removing slot %" PRIu32 ", which is no node", x);
    if (!mem_grow(g->env.mem, &g->removed, &g->removed_capacity, g->n_removed + 1,
                  sizeof *g->removed))
        return fail(g->env.error, ERR_NO_MEMORY,
                    "asteria: graph: removing slot %" PRIu32 ": out of memory", x);
    g->counts.nodes -= caprg_is_node(g, x);
    g->counts.queued -= (g->states[x] & CAPRG_QUEUED) != 0;
    caprg_acquit(g, x);
    g->states[x] = CAPRG_REMOVED;
    g->removed[g->n_removed++] = x;
    return OK;
}

/* A share-th of the nodes waits for a sweep. */
static bool is_sweep_due(const struct caprg *g, size_t share)
{
    const size_t waiting = g->n_removed - g->n_leaving;

    return waiting > 0 && waiting * share >= g->counts.nodes;
}

static void begin_sweep(struct caprg *g)
{
    for (size_t i = 0; i < g->n_removed; i++)
        g->states[g->removed[i]] = CAPRG_LEAVING;
    g->n_leaving = g->n_removed;
    g->cursor = 0;
}

static bool leads_to_leaving(const struct caprg *g, uint32_t x)
{
    const uint32_t *links = caprg_links(g, x);
    unsigned states = 0;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        states |= g->states[links[i]];
    return states & CAPRG_LEAVING;
}

/* x's removed neighbours are replaced by theirs. */
static void mend(struct caprg *g, const struct caprg_rows *rows, uint32_t x, uint64_t *spent)
{
    const size_t n = caprg_gather(g, x, NULL, 0);
    uint32_t to[CAPRG_DEGREE_MAX];

    caprg_set_edges(g, x, to, caprg_mend(g, rows, x, n, to));
    g->counts.mended++;
    *spent += n;
}

/* x's edges and debts as they shall be. */
static int prune(struct caprg *g, const struct caprg_rows *rows, uint32_t x, uint64_t *spent)
{
    const size_t n = caprg_gather(g, x, NULL, 0);
    uint32_t to[CAPRG_DEGREE_MAX];
    size_t n_to;
    const int rc = caprg_choose(g, rows, x, n, to, &n_to);

    if (rc != OK)
        return rc;
    caprg_set_edges(g, x, to, n_to);
    caprg_acquit(g, x);
    g->counts.pruned++;
    *spent += n;
    return OK;
}

static void drop_leaving(struct caprg *g, uint32_t x)
{
    uint32_t to[CAPRG_DEGREE_MAX];
    const uint32_t *links = caprg_links(g, x);
    size_t n = 0;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        if (!(g->states[links[i]] & CAPRG_LEAVING))
            to[n++] = links[i];
    caprg_set_edges(g, x, to, n);
}

static void sweep(struct caprg *g, const struct caprg_rows *rows, uint64_t budget, uint64_t *spent)
{
    for (; g->cursor < g->n_slots && (budget == 0 || *spent < budget); g->cursor++) {
        const uint32_t x = (uint32_t)g->cursor;

        *spent += g->cursor % LOOKS_OF_A_DISTANCE == 0;
        if (!g->states[x] || g->states[x] & CAPRG_LEAVING || !leads_to_leaving(g, x))
            continue;
        if (caprg_is_node(g, x))
            mend(g, rows, x, spent);
        else
            drop_leaving(g, x);
    }
}

static void let_go(struct caprg *g, void (*gone)(void *to, uint32_t slot), void *to)
{
    const size_t n = g->n_leaving;

    for (size_t i = 0; i < n; i++) {
        caprg_set_edges(g, g->removed[i], NULL, 0);
        g->states[g->removed[i]] = 0;
    }
    for (size_t i = 0; i < n && gone; i++)
        gone(to, g->removed[i]);
    g->n_removed -= n;
    g->n_leaving = 0;
    memmove(g->removed, g->removed + n, g->n_removed * sizeof *g->removed);
}

static int settle(struct caprg *g, const struct caprg_rows *rows, uint64_t budget, uint64_t *spent)
{
    int rc = OK;

    while (g->counts.debts > 0 && rc == OK && (budget == 0 || *spent < budget)) {
        const uint32_t x = caprg_next(g, &g->owing_from, CAPRG_OWES);

        if (x == CAPRG_NONE)
            break;
        rc = prune(g, rows, x, spent);
    }
    return rc;
}

bool caprg_sweep_is_due(const struct caprg *g, size_t share)
{
    return g->n_leaving > 0 || is_sweep_due(g, share);
}

static int sweep_all(struct caprg *g, const struct caprg_rows *rows, size_t share, uint64_t budget,
                     uint64_t *spent, void (*gone)(void *to, uint32_t slot), void *to)
{
    const int rc = caprg_fit(g, 0);

    while (rc == OK && caprg_sweep_is_due(g, share)) {
        if (g->n_leaving == 0)
            begin_sweep(g);
        sweep(g, rows, budget, spent);
        if (g->cursor < g->n_slots)
            break;
        let_go(g, gone, to);
    }
    return rc;
}

int caprg_sweep(struct caprg *g, const struct caprg_rows *rows, size_t share, uint64_t budget,
                bool *more, void (*gone)(void *to, uint32_t slot), void *to)
{
    uint64_t spent = 0;
    const int rc = sweep_all(g, rows, share, budget, &spent, gone, to);

    *more = caprg_sweep_is_due(g, share);
    return rc;
}

int caprg_forget(struct caprg *g, const struct caprg_rows *rows, uint64_t budget, bool *more,
                 void (*gone)(void *to, uint32_t slot), void *to)
{
    uint64_t spent = 0;
    int rc = sweep_all(g, rows, CAPRG_SWEEP_SHARE, budget, &spent, gone, to);

    rc = rc == OK ? settle(g, rows, budget, &spent) : rc;
    *more = caprg_sweep_is_due(g, CAPRG_SWEEP_SHARE) || g->counts.debts > 0;
    return rc;
}
