/* remove.c - removing rows, as IP-DiskANN does (Xu et al. 2025, arXiv 2502.13826): a search for the
 * row visits most vertices with edges to it, and these get edges to its nearest rows instead. The
 * sweep finds the edges that the search did not. */
#include <inttypes.h>

#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"

/* SEARCH_EF: of the search for the row. NEAR, EDGES: k and c of the paper, whose c is 3; 5 raises the
   recall after turnover by up to .7 points. SWEEP_STEPS: vertices swept per change, so that at
   most about a thirtieth of the vertices wait to become free. */
enum { SEARCH_EF = 64, NEAR = 50, EDGES = 5, SWEEP_STEPS = 64, ENTRY_EF = 32 };

/* Rows near a removed one, all live. */
struct near {
    uint32_t to[SYMQG_DEGREE_MAX];
    size_t n;
};

static struct near nearest_live(const struct symqg *s, struct symqg_scratch *x)
{
    struct near near = { .n = 0 };

    symqg_sort_keys(x->expanded, x->n_expanded);
    for (size_t i = 0; i < x->n_expanded && near.n < NEAR; i++) {
        const uint32_t v = candidate_node(x->expanded[i]);

        if (symqg_is_live(s, v))
            near.to[near.n++] = v;
    }
    return near;
}

static struct near neighbours_of(const struct symqg *s, uint32_t v)
{
    const uint32_t *links = symqg_links(s, v);
    struct near near = { .n = 0 };

    for (size_t i = 0; i < s->degree && links[i] != SYMQG_NONE; i++) {
        if (symqg_is_live(s, links[i]))
            near.to[near.n++] = links[i];
    }
    return near;
}

/* The rows nearest to v among those near, but for v; returns their number. */
static size_t nearest_to(const struct symqg *s, uint32_t v, const struct near *near,
                         uint32_t out[EDGES])
{
    uint64_t best[EDGES + 1];
    size_t n = 0;

    for (size_t i = 0; i < near->n; i++) {
        uint64_t key = candidate_of(
            symqg_distance(s, symqg_vertex(s, v), symqg_vertex(s, near->to[i])), near->to[i]);

        if (near->to[i] == v)
            continue;
        for (size_t j = 0; j < n; j++) {
            const uint64_t other = best[j];

            best[j] = key < other ? key : other;
            key = key < other ? other : key;
        }
        if (n < EDGES)
            best[n++] = key;
    }
    for (size_t j = 0; j < n; j++)
        out[j] = candidate_node(best[j]);
    return n;
}

/* Each neighbour gets edges from the rows nearest to it. A row adds its edges together, because it
   computes the distances of those it has once. */
static void lead_to(struct symqg *s, struct symqg_scratch *x, const struct near *neighbours,
                    const struct near *near)
{
    uint32_t from[SYMQG_DEGREE_MAX][EDGES], more[SYMQG_DEGREE_MAX];

    for (size_t i = 0; i < neighbours->n; i++) {
        for (size_t e = nearest_to(s, neighbours->to[i], near, from[i]); e < EDGES; e++)
            from[i][e] = SYMQG_NONE;
    }
    for (size_t c = 0; c < near->n; c++) {
        size_t n_more = 0;

        for (size_t i = 0; i < neighbours->n; i++)
            for (size_t e = 0; e < EDGES; e++)
                if (from[i][e] == near->to[c])
                    more[n_more++] = neighbours->to[i];
        if (n_more > 0)
            (void)symqg_add_edges(s, x, near->to[c], more, n_more, false);
    }
}

/* The vertices with edges to v get others, and its neighbours edges from others. */
static void reconnect(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    const struct near near = nearest_live(s, x), neighbours = neighbours_of(s, v);
    uint32_t others[EDGES];

    for (size_t i = 0; i < x->n_expanded; i++) {
        const uint32_t from = candidate_node(x->expanded[i]);

        if (symqg_is_live(s, from) && symqg_has_edge(s, from, v))
            (void)symqg_add_edges(s, x, from, others, nearest_to(s, from, &near, others), false);
    }
    lead_to(s, x, &neighbours, &near);
}

/* Another entry, the live row nearest to the mean that a search finds. Without memory for the
   search the entry stays. */
static void move_entry(struct symqg *s, struct symqg_scratch *x)
{
    uint64_t best = UINT64_MAX;

    symqg_mean(s, x->mean);
    if (symqg_beam(s, x, x->mean, ENTRY_EF) != OK) {
        error_clear(s->base.env.error);
        return;
    }
    for (size_t i = 0; i < x->n_expanded; i++) {
        if (x->expanded[i] < best && symqg_is_live(s, candidate_node(x->expanded[i])))
            best = x->expanded[i];
    }
    if (best != UINT64_MAX)
        s->entry = candidate_node(best);
}

/* found: x->expanded are the vertices near v. */
static void take_out(struct symqg *s, struct symqg_scratch *x, uint32_t v, bool found)
{
    if (found)
        reconnect(s, x, v);
    if (s->entry == v) {
        move_entry(s, x);
        for (uint32_t i = 0; !symqg_is_live(s, s->entry); i++) /* the search found no live row */
            s->entry = i;
    }
    symqg_sweep(s, x);
}

/* Without memory for the search, the sweep alone finds the edges. */
static void remove_one(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    const bool found = symqg_beam(s, x, symqg_vertex(s, v), SEARCH_EF) == OK;

    if (!found)
        error_clear(s->base.env.error);
    pthread_rwlock_rdlock(&s->lock);
    symqg_bury(s, v);
    if (s->numbers.n > 0) {
        take_out(s, x, v, found);
    } else {
        symqg_hold_alone(s);
        symqg_empty(s);
    }
    pthread_rwlock_unlock(&s->lock);
}

int symqg_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct symqg *s = (struct symqg *)index;
    struct symqg_scratch *x = NULL;
    uint32_t v;
    int rc = symqg_reserve_gone(s, n);

    *done = 0;
    if (rc == OK && s->n > 0) {
        x = symqg_scratch_take(s, s->n);
        if (!x)
            rc = fail(index->env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot remove");
    }
    for (; *done < n && rc == OK; *done += rc == OK) {
        if (slot_table_get(&s->numbers, s->ids, ids[*done], &v))
            remove_one(s, x, v);
        else
            rc = fail(index->env.error, ERR_UNKNOWN_ID, "symqg: id %" PRIu64 " is not stored",
                      ids[*done]);
    }
    scratch_pool_give(&s->scratch, x);
    return rc;
}

/* An edge of v that leads to a removed vertex gives way to edges to neighbours of that one. */
static void sweep_one(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    const uint32_t *links = symqg_links(s, v);
    uint32_t others[SYMQG_MORE];
    size_t n = 0;
    bool found = false;

    for (size_t i = 0; i < s->degree && links[i] != SYMQG_NONE; i++) {
        if (symqg_is_live(s, links[i]))
            continue;
        const struct near near = neighbours_of(s, links[i]);

        if (n + EDGES <= SYMQG_MORE)
            n += nearest_to(s, v, &near, others + n);
        found = true;
    }
    if (found)
        symqg_relink(s, x, v, others, n);
}

void symqg_sweep(struct symqg *s, struct symqg_scratch *x)
{
    if (s->n_leaving + s->n_removed == 0)
        return;
    if (s->n_leaving == 0)
        symqg_free_leaving(s);
    for (size_t i = 0; i < SWEEP_STEPS && s->cursor < s->n; i++, s->cursor++) {
        if (symqg_is_live(s, (uint32_t)s->cursor))
            sweep_one(s, x, (uint32_t)s->cursor);
    }
    if (s->cursor == s->n) {
        symqg_free_leaving(s);
        move_entry(s, x);
    }
}
