/* file.c - the graph in a snapshot. "caprg.debts" has pairs of a node and a deferred back-link. */
#include "algorithms/asteria/graph/internal.h"

#include "algorithms/common/durable/store_file.h"

struct head {
    uint64_t degree, n_slots, n_removed, n_leaving, cursor, deferred, pruned, backlinks, unused;
};

static bool is_possible(const struct head *h)
{
    return h->n_slots <= INT32_MAX && h->n_removed <= h->n_slots && h->n_leaving <= h->n_removed &&
           h->cursor <= h->n_slots && h->deferred <= h->n_slots * CAPRG_DEFERRED_MOST;
}

/* deferred: set by reading; everything else is read into the graph. */
static int fields(struct store_fields *f, struct asteria_caprg *g, struct head *h,
                  const uint32_t **deferred)
{
    if (store_copy(f, "caprg.head", h, 1, sizeof *h) != OK)
        return f->code;
    if (f->r && (h->degree != g->degree || !is_possible(h)))
        return f->code = store_corrupt(f->r, "a graph of another degree, or its head out of range");
    store_array(f, "caprg.links", &g->links, &g->links_capacity, h->n_slots * g->degree,
                sizeof *g->links);
    store_array(f, "caprg.states", &g->states, &g->states_capacity, h->n_slots, 1);
    store_array(f, "caprg.removed", &g->removed, &g->removed_capacity, h->n_removed,
                sizeof *g->removed);
    if (store_pieces(f, "caprg.debts", deferred, h->deferred, 2 * sizeof **deferred))
        for (uint32_t y = 0; y < h->n_slots; y++)
            for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE;
                 cell = g->deferred[cell].next)
                store_write(f->w, (const uint32_t[]){ y, g->deferred[cell].x },
                            2 * sizeof **deferred);
    return f->code;
}

void asteria_caprg_write(const struct asteria_caprg *g, struct store_writer *w)
{
    struct head head = { .degree = g->degree,
                         .n_slots = g->n_slots,
                         .n_removed = g->n_removed,
                         .n_leaving = g->n_leaving,
                         .cursor = g->cursor,
                         .deferred = g->counts.deferred,
                         .pruned = g->counts.pruned,
                         .backlinks = g->counts.backlinks };
    const uint32_t *deferred = NULL;

    (void)fields(&(struct store_fields){ .w = w }, (struct asteria_caprg *)(uintptr_t)g, &head,
                 &deferred);
}

/* Counts are computed from edges and states; asteria_caprg_check() then checks all else against
   them. false: a deferred back-link is out of range, or its node is not marked. */
static bool fill(struct asteria_caprg *g, const struct head *h, const uint32_t *deferred)
{
    g->n_removed = h->n_removed;
    g->n_leaving = h->n_leaving;
    g->cursor = h->cursor;
    g->counts.pruned = h->pruned;
    g->counts.backlinks = h->backlinks;
    for (uint32_t x = 0; x < g->n_slots; x++) {
        size_t edges;

        (void)asteria_caprg_edges(g, x, &edges);
        g->counts.edges += edges;
        g->counts.nodes += caprg_is_node(g, x);
        g->counts.queued += (g->states[x] & CAPRG_QUEUED) != 0;
    }
    for (size_t i = h->deferred; i-- > 0;) { /* backwards, because each is put first in its list */
        const uint32_t y = deferred[2 * i], x = deferred[2 * i + 1];

        if (y >= g->n_slots || x >= g->n_slots || !(g->states[y] & CAPRG_DEFERS))
            return false;
        asteria_caprg_defer(g, y, x);
    }
    return true;
}

int asteria_caprg_read(struct asteria_caprg *g, const struct store_reader *r)
{
    struct mem *mem = g->env.mem;
    struct error found = { 0 };
    struct head head;
    const uint32_t *deferred = NULL;
    const int rc = fields(&(struct store_fields){ .r = r, .mem = mem }, g, &head, &deferred);

    if (rc != OK)
        return rc;
    if (!asteria_caprg_grow_lists(g, head.n_slots) ||
        !mem_grow(mem, &g->deferred, &g->deferred_capacity, head.deferred, sizeof *g->deferred))
        return fail(g->env.error, ERR_NO_MEMORY, "%s: a graph of %llu slots: out of memory",
                    r->path, (unsigned long long)head.n_slots);
    if (!fill(g, &head, deferred) || asteria_caprg_check(g, &found) != OK)
        return store_corrupt(r, found.code ? found.text : "a graph is inconsistent");
    return OK;
}
