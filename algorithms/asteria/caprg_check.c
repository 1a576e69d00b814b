/* caprg_check.c - what must be true of the graph between changes. */
#include "algorithms/asteria/caprg_parts.h"

#include <inttypes.h>

#include "src/core/rng.h"

static int wrong(struct error *error, uint32_t x, const char *what, uint64_t of)
{
    return fail(error, ERR_INVARIANT, "asteria: graph: slot %" PRIu32 ": %s (%" PRIu64 ")", x, what,
                of);
}

static int check_edges(const struct caprg *g, uint32_t x, struct error *error, uint64_t *edges)
{
    const uint32_t *links = caprg_links(g, x);
    size_t n;

    (void)caprg_edges(g, x, &n);
    for (size_t i = 0; i < g->degree; i++) {
        if (i >= n && links[i] != CAPRG_NONE)
            return wrong(error, x, "an edge after the list's end", links[i]);
        if (i >= n)
            continue;
        if (links[i] >= g->n_slots || !g->states[links[i]])
            return wrong(error, x, "an edge to a slot that is no node", links[i]);
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

static int check_state(const struct caprg *g, const struct caprg_rows *rows, uint32_t x,
                       struct error *error)
{
    const uint8_t state = g->states[x], kind = state & (uint8_t)~CAPRG_OWES;

    if (kind & (kind - 1) || kind > CAPRG_LEAVING || (state & CAPRG_OWES && !caprg_is_node(g, x)))
        return wrong(error, x, "a state there is not", state);
    if (!kind && caprg_links(g, x)[0] != CAPRG_NONE)
        return wrong(error, x, "edges of a slot that is no node", caprg_links(g, x)[0]);
    if ((g->owed[x] != CAPRG_NONE) != ((state & CAPRG_OWES) != 0))
        return wrong(error, x, "owes, or does not, other than its state says", state);
    if (kind == CAPRG_QUEUED && x < g->queued_from)
        return wrong(error, x, "queued before the queue's begin", g->queued_from);
    if (state & CAPRG_OWES && x < g->owing_from)
        return wrong(error, x, "owes before the debts' begin", g->owing_from);
    if (rows && kind && rows->alive(rows->to, x) != caprg_is_node(g, x))
        return wrong(error, x, "alive, or dead, other than its row", state);
    return OK;
}

static int check_debts(const struct caprg *g, uint32_t x, struct error *error, uint64_t *debts)
{
    size_t n = 0;

    for (uint32_t cell = g->owed[x]; cell != CAPRG_NONE; cell = g->debts[cell].next) {
        if (cell >= g->n_debts || g->debts[cell].x >= g->n_slots || g->debts[cell].x == x)
            return wrong(error, x, "a debt out of range", cell);
        if (++n >= CAPRG_DEBTS_MOST)
            return wrong(error, x, "more debts than a node may have", n);
    }
    *debts += n;
    return OK;
}

static uint64_t mixed(uint32_t x)
{
    return rng_mix(x, 0);
}

/* The list has as many as there are dead ones, and the same sum, so hardly one twice for another. */
static int check_removed(const struct caprg *g, uint64_t sum, struct error *error)
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

int caprg_check(const struct caprg *g, const struct caprg_rows *rows, struct error *error)
{
    uint64_t edges = 0, debts = 0, nodes = 0, queued = 0, dead = 0, sum = 0;
    int rc = OK;

    for (uint32_t x = 0; x < g->n_slots && rc == OK; x++) {
        rc = check_state(g, rows, x, error);
        rc = rc == OK ? check_edges(g, x, error, &edges) : rc;
        rc = rc == OK ? check_debts(g, x, error, &debts) : rc;
        nodes += caprg_is_node(g, x);
        queued += (g->states[x] & CAPRG_QUEUED) != 0;
        dead += caprg_is_dead(g, x);
        sum += caprg_is_dead(g, x) ? mixed(x) : 0;
    }
    if (rc != OK)
        return rc;
    if (edges != g->counts.edges || nodes != g->counts.nodes || queued != g->counts.queued)
        return wrong(error, 0, "edges, nodes or queued ones are not as many as counted", edges);
    if (debts != g->counts.debts)
        return wrong(error, 0, "debts are not as many as counted", debts);
    if (dead != g->n_removed)
        return wrong(error, 0, "removed ones are not as many as listed", dead);
    return check_removed(g, sum, error);
}
