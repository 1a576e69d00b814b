/* remove.c - removal of nodes, and deferred work. */
#include "algorithms/asteria/graph/internal.h"

/* The sweep's visits of this many nodes count as one distance in the budget. */
enum { VISITS_PER_DISTANCE = 8 };

int asteria_caprg_reserve_removals(struct asteria_caprg *g, size_t n)
{
    if (mem_grow(g->env.mem, &g->removed, &g->removed_capacity, g->n_removed + n,
                 sizeof *g->removed))
        return OK;
    return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph: removing %zu slots: out of memory",
                n);
}

void asteria_caprg_remove(struct asteria_caprg *g, uint32_t x)
{
    g->counts.nodes -= caprg_is_node(g, x);
    g->counts.queued -= (g->states[x] & CAPRG_QUEUED) != 0;
    asteria_caprg_clear_deferred(g, x);
    g->states[x] = CAPRG_REMOVED;
    g->removed[g->n_removed++] = x;
}

bool asteria_caprg_sweep_is_due(const struct asteria_caprg *g, size_t share)
{
    return g->n_leaving > 0 || (g->n_removed > 0 && g->n_removed * share >= g->counts.nodes);
}

static bool leads_to_leaving(const struct asteria_caprg *g, uint32_t x)
{
    const uint32_t *links = caprg_links(g, x);
    unsigned states = 0;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        states |= g->states[links[i]];
    return states & CAPRG_LEAVING;
}

/* Chooses x's edges again, with its deferred back-links among the candidates. */
static int prune(struct asteria_caprg *g, const struct asteria_caprg_rows *rows, uint32_t x,
                 uint64_t *spent)
{
    const size_t n = asteria_caprg_gather(g, x, NULL, 0);
    uint32_t to[CAPRG_DEGREE_MAX];
    size_t n_to;
    const int rc = asteria_caprg_choose(g, rows, x, n, to, &n_to);

    if (rc != OK)
        return rc;
    asteria_caprg_set_edges(g, x, to, n_to);
    asteria_caprg_clear_deferred(g, x);
    g->counts.pruned++;
    *spent += n;
    return OK;
}

/* Takes x's edges to leaving nodes away; a node gets the neighbours of these instead. */
static void replace_leaving(struct asteria_caprg *g, const struct asteria_caprg_rows *rows,
                            uint32_t x, uint64_t *spent)
{
    uint32_t to[CAPRG_DEGREE_MAX];
    const uint32_t *links = caprg_links(g, x);
    size_t n = 0;

    if (caprg_is_node(g, x)) {
        const size_t candidates = asteria_caprg_gather(g, x, NULL, 0);

        n = asteria_caprg_mend(g, rows, x, candidates, to);
        g->counts.mended++;
        *spent += candidates;
    } else {
        for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
            if (!(g->states[links[i]] & CAPRG_LEAVING))
                to[n++] = links[i];
    }
    asteria_caprg_set_edges(g, x, to, n);
}

static void sweep(struct asteria_caprg *g, const struct asteria_caprg_rows *rows, uint64_t budget,
                  uint64_t *spent)
{
    for (; g->cursor < g->n_slots && (budget == 0 || *spent < budget); g->cursor++) {
        const uint32_t x = (uint32_t)g->cursor;

        *spent += g->cursor % VISITS_PER_DISTANCE == 0;
        if (g->states[x] && !(g->states[x] & CAPRG_LEAVING) && leads_to_leaving(g, x))
            replace_leaving(g, rows, x, spent);
    }
}

static void release_leaving(struct asteria_caprg *g, void (*gone)(void *to, uint32_t slot),
                            void *to)
{
    const size_t n = g->n_leaving;

    for (size_t i = 0; i < n; i++) {
        asteria_caprg_set_edges(g, g->removed[i], NULL, 0);
        g->states[g->removed[i]] = 0;
    }
    for (size_t i = 0; i < n && gone; i++)
        gone(to, g->removed[i]);
    g->n_removed -= n;
    g->n_leaving = 0;
    memmove(g->removed, g->removed + n, g->n_removed * sizeof *g->removed);
}

int asteria_caprg_sweep(struct asteria_caprg *g, const struct asteria_caprg_rows *rows,
                        size_t share, uint64_t budget, uint64_t *spent, bool *more,
                        void (*gone)(void *to, uint32_t slot), void *to)
{
    const int rc = asteria_caprg_fit(g, 0);

    while (rc == OK && asteria_caprg_sweep_is_due(g, share)) {
        if (g->n_leaving == 0) {
            for (size_t i = 0; i < g->n_removed; i++)
                g->states[g->removed[i]] = CAPRG_LEAVING;
            g->n_leaving = g->n_removed;
            g->cursor = 0;
        }
        sweep(g, rows, budget, spent);
        if (g->cursor < g->n_slots)
            break;
        release_leaving(g, gone, to);
    }
    *more = asteria_caprg_sweep_is_due(g, share);
    return rc;
}

int asteria_caprg_forget(struct asteria_caprg *g, const struct asteria_caprg_rows *rows,
                         uint64_t budget, bool *more, void (*gone)(void *to, uint32_t slot),
                         void *to)
{
    uint64_t spent = 0;
    int rc = asteria_caprg_sweep(g, rows, CAPRG_SWEEP_SHARE, budget, &spent, more, gone, to);

    while (g->counts.deferred > 0 && rc == OK && (budget == 0 || spent < budget)) {
        const uint32_t x = asteria_caprg_next(g, &g->deferring_from, CAPRG_DEFERS);

        if (x == CAPRG_NONE)
            break;
        rc = prune(g, rows, x, &spent);
    }
    *more |= g->counts.deferred > 0;
    return rc;
}
