/* file.c - the graph in a snapshot. "caprg.debts" has pairs of a node and a deferred back-link. */
#include "algorithms/asteria/graph/internal.h"

#include "algorithms/common/durable/store_file.h"

struct head {
    uint64_t degree, n_slots, n_removed, n_leaving, cursor, deferred, pruned, backlinks, mended;
};

/* Slots after the last one used, or named by a deferred back-link, are not written. */
static size_t used_slots(const struct asteria_caprg *g)
{
    size_t n = g->n_slots, most;

    while (n > 0 && !g->states[n - 1])
        n--;
    most = n;
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE;
             cell = g->deferred[cell].next)
            most = g->deferred[cell].x < most ? most : g->deferred[cell].x + 1;
    return most < g->n_slots ? most : g->n_slots;
}

struct values {
    const struct head *head;
    const uint32_t *links, *removed, *deferred;
    const uint8_t *states;
};

static bool is_possible(const struct head *h)
{
    return h->n_slots <= INT32_MAX && h->n_removed <= h->n_slots && h->n_leaving <= h->n_removed &&
           h->cursor <= h->n_slots && h->deferred <= h->n_slots * CAPRG_DEFERRED_MOST;
}

static int fields(struct store_fields *f, const struct asteria_caprg *g, struct values *v)
{
    if (store_field(f, "caprg.head", &v->head, 1, sizeof *v->head) != OK)
        return f->code;
    const struct head *h = v->head;
    if (f->r && (h->degree != g->degree || !is_possible(h)))
        return f->code = store_corrupt(f->r, "a graph of another degree, or its head out of range");
    store_field(f, "caprg.links", &v->links, h->n_slots, g->degree * sizeof *v->links);
    store_field(f, "caprg.states", &v->states, h->n_slots, 1);
    store_field(f, "caprg.removed", &v->removed, h->n_removed, sizeof *v->removed);
    if (store_pieces(f, "caprg.debts", &v->deferred, h->deferred, 2 * sizeof *v->deferred))
        for (uint32_t y = 0; y < h->n_slots; y++)
            for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE;
                 cell = g->deferred[cell].next)
                store_write(f->w, (const uint32_t[]){ y, g->deferred[cell].x },
                            2 * sizeof *v->deferred);
    return f->code;
}

void asteria_caprg_write(const struct asteria_caprg *g, struct store_writer *w)
{
    const size_t n = used_slots(g);
    const struct head head = { .degree = g->degree,
                               .n_slots = n,
                               .n_removed = g->n_removed,
                               .n_leaving = g->n_leaving,
                               .cursor = g->cursor < n ? g->cursor : n,
                               .deferred = g->counts.deferred,
                               .pruned = g->counts.pruned,
                               .backlinks = g->counts.backlinks,
                               .mended = g->counts.mended };
    struct values v = { &head, g->links, g->removed, NULL, g->states };

    (void)fields(&(struct store_fields){ .w = w }, g, &v);
}

static bool reserve_sections(struct asteria_caprg *g, const struct head *head)
{
    return asteria_caprg_reserve(g, head->n_slots) == OK &&
           mem_grow(g->env.mem, &g->removed, &g->removed_capacity, head->n_removed,
                    sizeof *g->removed) &&
           mem_grow(g->env.mem, &g->deferred, &g->deferred_capacity, head->deferred,
                    sizeof *g->deferred);
}

/* Counts are computed from edges and states; asteria_caprg_check() then checks all else against
   them. false: a deferred back-link is out of range. */
static bool fill(struct asteria_caprg *g, const struct values *s)
{
    const size_t n = s->head->n_slots;

    if (n > 0) {
        memcpy(g->links, s->links, n * g->degree * sizeof *g->links);
        memcpy(g->states, s->states, n);
    }
    if (s->head->n_removed > 0)
        memcpy(g->removed, s->removed, s->head->n_removed * sizeof *g->removed);
    g->n_removed = s->head->n_removed;
    g->n_leaving = s->head->n_leaving;
    g->cursor = s->head->cursor;
    for (uint32_t x = 0; x < n; x++) {
        size_t edges;

        (void)asteria_caprg_edges(g, x, &edges);
        g->counts.edges += edges;
        g->counts.nodes += caprg_is_node(g, x);
        g->counts.queued += (g->states[x] & CAPRG_QUEUED) != 0;
        g->states[x] &= (uint8_t)~CAPRG_DEFERS;
    }
    for (size_t i = s->head->deferred; i-- > 0;) { /* backwards, because each is put first
                                                     in its list */
        if (s->deferred[2 * i] >= n || s->deferred[2 * i + 1] >= n)
            return false;
        asteria_caprg_defer(g, s->deferred[2 * i], s->deferred[2 * i + 1]);
    }
    for (uint32_t x = 0; x < n; x++)
        if (g->states[x] != s->states[x])
            return false;
    g->counts.pruned = s->head->pruned;
    g->counts.backlinks = s->head->backlinks;
    g->counts.mended = s->head->mended;
    return true;
}

int asteria_caprg_read(struct asteria_caprg **out, const struct index_env *env, size_t degree,
                       const struct store_reader *r)
{
    struct error found = { 0 };
    struct values s = { 0 };
    struct asteria_caprg *g;
    int rc = asteria_caprg_create(&g, env, degree);

    if (rc != OK)
        return rc;
    rc = fields(&(struct store_fields){ .r = r }, g, &s);
    if (rc == OK && !reserve_sections(g, s.head))
        rc = fail(env->error, ERR_NO_MEMORY, "%s: a graph of %llu slots: out of memory", r->path,
                  (unsigned long long)s.head->n_slots);
    else if (rc == OK && (!fill(g, &s) || asteria_caprg_check(g, &found) != OK))
        rc = store_corrupt(r, found.code ? found.text : "a graph is inconsistent");
    if (rc == OK)
        *out = g;
    else
        asteria_caprg_destroy(g);
    return rc;
}
