/* caprg_file.c - the graph as sections of a file: "caprg.head", "caprg.links", "caprg.states", "caprg.removed", and
 * "caprg.debts", pairs of a node and what it owes.
 */
#include "algorithms/asteria/caprg_parts.h"

#include "algorithms/common/store_file.h"

struct head {
    uint64_t degree, n_slots, n_removed, n_leaving, cursor, debts, pruned, backlinks, mended;
};

/* Slots behind the last that was used, or that a debt is of, are not written. */
static size_t used_slots(const struct caprg *g)
{
    size_t n = g->n_slots, most;

    while (n > 0 && !g->states[n - 1])
        n--;
    most = n;
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t cell = g->owed[y]; cell != CAPRG_NONE; cell = g->debts[cell].next)
            most = g->debts[cell].x < most ? most : g->debts[cell].x + 1;
    return most < g->n_slots ? most : g->n_slots;
}

void caprg_write(const struct caprg *g, struct store_writer *w)
{
    const size_t n = used_slots(g);
    const struct head head = { .degree = g->degree,
                               .n_slots = n,
                               .n_removed = g->n_removed,
                               .n_leaving = g->n_leaving,
                               .cursor = g->cursor < n ? g->cursor : n,
                               .debts = g->counts.debts,
                               .pruned = g->counts.pruned,
                               .backlinks = g->counts.backlinks,
                               .mended = g->counts.mended };

    store_section(w, "caprg.head");
    store_write(w, &head, sizeof head);
    store_section(w, "caprg.links");
    store_write(w, g->links, n * g->degree * sizeof *g->links);
    store_section(w, "caprg.states");
    store_write(w, g->states, n);
    store_section(w, "caprg.removed");
    store_write(w, g->removed, g->n_removed * sizeof *g->removed);
    store_section(w, "caprg.debts");
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t cell = g->owed[y]; cell != CAPRG_NONE; cell = g->debts[cell].next) {
            const uint32_t pair[2] = { y, g->debts[cell].x };

            store_write(w, pair, sizeof pair);
        }
}

struct sections {
    struct head head;
    const uint32_t *links, *removed, *debts;
    const uint8_t *states;
};

static int find_sections(const struct store_reader *r, size_t degree, struct sections *s)
{
    const void *head;
    int rc = store_need(r, "caprg.head", sizeof s->head, &head, NULL);

    if (rc != OK)
        return rc;
    memcpy(&s->head, head, sizeof s->head);
    if (s->head.degree != degree)
        return store_corrupt(r, "a graph of another degree");
    if (s->head.n_slots > INT32_MAX || s->head.n_removed > s->head.n_slots ||
        s->head.n_leaving > s->head.n_removed || s->head.cursor > s->head.n_slots ||
        s->head.debts > s->head.n_slots * CAPRG_DEBTS_MOST)
        return store_corrupt(r, "a graph's head out of range");
    rc = store_need_array(r, "caprg.links", s->head.n_slots * degree, sizeof *s->links, &s->links);
    if (rc == OK)
        rc = store_need_array(r, "caprg.states", s->head.n_slots, 1, &s->states);
    if (rc == OK)
        rc = store_need_array(r, "caprg.removed", s->head.n_removed, sizeof *s->removed,
                              &s->removed);
    if (rc == OK)
        rc = store_need_array(r, "caprg.debts", s->head.debts, 2 * sizeof *s->debts, &s->debts);
    return rc;
}

static bool make_room(struct caprg *g, const struct head *head)
{
    return caprg_reserve(g, head->n_slots) == OK &&
           mem_grow(g->env.mem, &g->removed, &g->removed_capacity, head->n_removed,
                    sizeof *g->removed) &&
           mem_grow(g->env.mem, &g->debts, &g->debts_capacity, head->debts, sizeof *g->debts);
}

/* Counts follow from edges and states; caprg_check() then holds all else to them. false: a debt out of range. */
static bool fill(struct caprg *g, const struct sections *s)
{
    const size_t n = s->head.n_slots;

    if (n > 0) {
        memcpy(g->links, s->links, n * g->degree * sizeof *g->links);
        memcpy(g->states, s->states, n);
    }
    if (s->head.n_removed > 0)
        memcpy(g->removed, s->removed, s->head.n_removed * sizeof *g->removed);
    g->n_removed = s->head.n_removed;
    g->n_leaving = s->head.n_leaving;
    g->cursor = s->head.cursor;
    for (uint32_t x = 0; x < n; x++) {
        size_t edges;

        (void)caprg_edges(g, x, &edges);
        g->counts.edges += edges;
        g->counts.nodes += caprg_is_node(g, x);
        g->counts.queued += (g->states[x] & CAPRG_QUEUED) != 0;
        g->states[x] &= (uint8_t)~CAPRG_OWES;
    }
    for (size_t i = s->head.debts; i-- > 0;) { /* backwards: the last is put first */
        if (s->debts[2 * i] >= n || s->debts[2 * i + 1] >= n)
            return false;
        caprg_owe(g, s->debts[2 * i], s->debts[2 * i + 1]);
    }
    for (uint32_t x = 0; x < n; x++)
        if (g->states[x] != s->states[x])
            return false;
    g->counts.pruned = s->head.pruned;
    g->counts.backlinks = s->head.backlinks;
    g->counts.mended = s->head.mended;
    return true;
}

int caprg_read(struct caprg **out, const struct index_env *env, size_t degree,
               const struct store_reader *r)
{
    struct error found = { 0 };
    struct sections s;
    struct caprg *g;
    int rc = find_sections(r, degree, &s);

    if (rc == OK)
        rc = caprg_create(&g, env, degree);
    if (rc != OK)
        return rc;
    if (!make_room(g, &s.head))
        rc = fail(env->error, ERR_NO_MEMORY, "%s: a graph of %llu slots: out of memory", r->path,
                  (unsigned long long)s.head.n_slots);
    else if (!fill(g, &s) || caprg_check(g, NULL, &found) != OK)
        rc = store_corrupt(r, found.code ? found.text : "a graph that does not hold together");
    if (rc == OK)
        *out = g;
    else
        caprg_destroy(g);
    return rc;
}
