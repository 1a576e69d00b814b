/* check.c - invariants of the graph between changes. */
#include "algorithms/asteria/graph/internal.h"

#include <inttypes.h>

#include "src/core/rng.h"

static int wrong(struct error *error, uint32_t x, const char *what, uint64_t of)
{
    return fail(error, ERR_INVARIANT, "asteria: graph: slot %" PRIu32 ": %s (%" PRIu64 ")", x, what,
                of);
}

static int check_edges(const struct asteria_caprg *g, uint32_t x, struct error *error,
                       uint64_t *edges)
{
    const uint32_t *links = caprg_links(g, x);
    size_t n;

    (void)asteria_caprg_edges(g, x, &n);
    for (size_t i = 0; i < g->degree; i++) {
        if (i >= n && links[i] != CAPRG_NONE)
            return wrong(error, x, "an edge after the list's end", links[i]);
        if (i >= n)
            continue;
        if (links[i] >= g->n_slots || !g->states[links[i]])
            return wrong(error, x, "an edge to a slot without a node", links[i]);
        if (links[i] == x)
            return wrong(error, x, "an edge to itself", i);
        if (caprg_has(links, i, links[i]))
            return wrong(error, x, "an edge twice", links[i]);
        if ((g->states[links[i]] & CAPRG_LEAVING) && x < g->cursor &&
            !(g->states[x] & CAPRG_LEAVING))
            return wrong(error, x, "an edge that the sweep was to take away", links[i]);
    }
    *edges += n;
    return OK;
}

static int check_state(const struct asteria_caprg *g, uint32_t x, struct error *error)
{
    const uint8_t state = g->states[x], kind = state & (uint8_t)~CAPRG_DEFERS;

    if (kind & (kind - 1) || kind > CAPRG_LEAVING || (state & CAPRG_DEFERS && !caprg_is_node(g, x)))
        return wrong(error, x, "a state there is not", state);
    if (!kind && caprg_links(g, x)[0] != CAPRG_NONE)
        return wrong(error, x, "edges of a slot without a node", caprg_links(g, x)[0]);
    if ((g->first_deferred[x] != CAPRG_NONE) != ((state & CAPRG_DEFERS) != 0))
        return wrong(error, x, "has deferred back-links, or has none, against its state", state);
    if (kind == CAPRG_QUEUED && x < g->queued_from)
        return wrong(error, x, "queued before the queue's begin", g->queued_from);
    if (state & CAPRG_DEFERS && x < g->deferring_from)
        return wrong(error, x, "has deferred back-links below the first that may",
                     g->deferring_from);
    return OK;
}

static int check_deferred(const struct asteria_caprg *g, uint32_t x, struct error *error,
                          uint64_t *deferred)
{
    size_t n = 0;

    for (uint32_t cell = g->first_deferred[x]; cell != CAPRG_NONE; cell = g->deferred[cell].next) {
        if (cell >= g->n_deferred || g->deferred[cell].x >= g->n_slots || g->deferred[cell].x == x)
            return wrong(error, x, "a deferred back-link out of range", cell);
        if (++n >= CAPRG_DEFERRED_MOST)
            return wrong(error, x, "more deferred back-links than a node may have", n);
    }
    *deferred += n;
    return OK;
}

static uint64_t mixed(uint32_t x)
{
    return rng_mix(x, 0);
}

/* The list must have as many entries as there are dead nodes, and the same sum of hashes: a
   duplicate would almost surely change it. */
static int check_removed(const struct asteria_caprg *g, uint64_t sum, struct error *error)
{
    for (size_t i = 0; i < g->n_removed; i++) {
        const uint32_t x = g->removed[i];

        if (x >= g->n_slots || g->states[x] != (i < g->n_leaving ? CAPRG_LEAVING : CAPRG_REMOVED))
            return wrong(error, x, "in the list of removed ones, with another state", i);
    }
    for (size_t i = 0; i < g->n_removed; i++)
        sum -= mixed(g->removed[i]);
    return sum == 0 ? OK
                    : wrong(error, g->n_removed ? g->removed[0] : 0, "removed, and not listed once",
                            sum);
}

int asteria_caprg_check(const struct asteria_caprg *g, struct error *error)
{
    uint64_t edges = 0, deferred = 0, nodes = 0, queued = 0, dead = 0, sum = 0;
    int rc = OK;

    for (uint32_t x = 0; x < g->n_slots && rc == OK; x++) {
        rc = check_state(g, x, error);
        rc = rc == OK ? check_edges(g, x, error, &edges) : rc;
        rc = rc == OK ? check_deferred(g, x, error, &deferred) : rc;
        nodes += caprg_is_node(g, x);
        queued += (g->states[x] & CAPRG_QUEUED) != 0;
        dead += caprg_is_dead(g, x);
        sum += caprg_is_dead(g, x) ? mixed(x) : 0;
    }
    if (rc != OK)
        return rc;
    if (edges != g->counts.edges || nodes != g->counts.nodes || queued != g->counts.queued)
        return wrong(error, 0, "edges, nodes or queued ones are not as many as counted", edges);
    if (deferred != g->counts.deferred)
        return wrong(error, 0, "deferred back-links are not as many as counted", deferred);
    if (dead != g->n_removed)
        return wrong(error, 0, "removed ones are not as many as listed", dead);
    return check_removed(g, sum, error);
}
