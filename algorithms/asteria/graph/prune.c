/* prune.c - selection of a node's edges from its candidates.
 *
 * The gate uses the bound: in the order of distance from x, then of slots, candidate y is kept
 * unless an earlier kept z has UB(y, z) < |x y|. The order uses the exact |x z| where the paper has
 * UB(x, z), so fewer are kept. Still every edge of the exact relative neighbourhood graph is kept,
 * because y is hidden only if |x z| <= |x y| and |y z| <= UB(y, z) < |x y|. (Rows at equal distance
 * are ordered by slot, so that one of them is kept.)
 *
 * The degree limits the edges. A loose bound hides no row, and the nearest candidates alone would
 * take all places. A search in such a graph needs twice the beam. So the first places go to
 * candidates that no selected one hides by estimates, which err to both sides. The rest go to the
 * nearest others that pass the gate. The gate then costs a few bounds, not the square of the pool.
 *
 * Rows equal to x hide no row and are hidden by none; they get at most a quarter of the first
 * places.
 */
#include "algorithms/asteria/graph/internal.h"

#include "src/core/key_heap.h"

/* Whether a kept candidate is nearer to y than `distance`, the estimate of |x y|. Both sides are
   estimates, so what the codes leave out is in both. */
static bool is_likely_hidden(const struct asteria_caprg_rows *rows, float distance, uint32_t y,
                             const uint64_t *kept, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows->estimate(rows->to, y, (uint32_t)kept[i]) < distance)
            return true;
    return false;
}

size_t asteria_caprg_select(const struct asteria_caprg_rows *rows, uint32_t x, uint64_t *keys,
                            size_t n, size_t most, uint64_t *kept)
{
    const size_t end = n;
    /* The postponed ones are keys[postponed .. end), the nearest last. */
    size_t n_kept = 0, equal = 0, postponed = n;

    key_heap_make(keys, n);
    while (n > 0 && n_kept < most) {
        const uint64_t key = key_heap_pop(keys, &n);
        const uint32_t y = (uint32_t)key;
        const bool is_equal = caprg_key_distance(key) == 0;

        if (is_equal ? equal >= (most + 3) / 4
                     : is_likely_hidden(rows, rows->estimate(rows->to, x, y), y, kept, n_kept)) {
            keys[--postponed] = key;
        } else {
            kept[n_kept++] = key;
            equal += is_equal;
        }
    }
    for (size_t i = end; i-- > postponed && n_kept < most;) {
        const uint64_t key = keys[i];
        const float distance = caprg_key_distance(key);
        size_t by = 0;

        while (by < n_kept && !(kept[by] < key && rows->upper(rows->to, (uint32_t)key,
                                                              (uint32_t)kept[by]) < distance))
            by++;
        if (by == n_kept)
            kept[n_kept++] = key;
    }
    return n_kept;
}

static size_t put_if_new(const struct asteria_caprg *g, uint32_t x, uint32_t candidate, size_t n)
{
    if (candidate != x && candidate < g->n_slots && caprg_is_node(g, candidate) &&
        !caprg_has(g->slots, n, candidate))
        g->slots[n++] = candidate;
    return n;
}

size_t asteria_caprg_gather(const struct asteria_caprg *g, uint32_t x, const uint32_t *more,
                            size_t n_more)
{
    uint32_t detours[CAPRG_DETOURS_MOST + 1] = { x };
    size_t n = 0, n_detours = 1;

    for (size_t i = 0; i < n_more; i++)
        n = put_if_new(g, x, more[i], n);
    for (uint32_t cell = g->first_deferred[x]; cell != CAPRG_NONE; cell = g->deferred[cell].next)
        n = put_if_new(g, x, g->deferred[cell].x, n);
    for (size_t i = 0; i < n_detours; i++) {
        const uint32_t *links = caprg_links(g, detours[i]);

        for (size_t j = 0; j < g->degree && links[j] != CAPRG_NONE; j++)
            if (!caprg_is_dead(g, links[j]))
                n = put_if_new(g, x, links[j], n);
            else if (n_detours <= CAPRG_DETOURS_MOST && !caprg_has(detours, n_detours, links[j]))
                detours[n_detours++] = links[j];
    }
    return n;
}

int asteria_caprg_choose(struct asteria_caprg *g, const struct asteria_caprg_rows *rows, uint32_t x,
                         size_t n, uint32_t *out, size_t *n_out)
{
    uint64_t kept[CAPRG_DEGREE_MAX];
    int rc = n > 0 ? rows->exact(rows->to, x, g->slots, n, g->distances) : OK;

    *n_out = 0;
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        g->keys[i] = caprg_key(g->distances[i], g->slots[i]);
    *n_out = asteria_caprg_select(rows, x, g->keys, n, g->degree, kept);
    for (size_t i = 0; i < *n_out; i++)
        out[i] = (uint32_t)kept[i];
    return OK;
}

/* Uses estimates only: many nodes may have an edge to a removed one, and their rows may
   be on disk. */
size_t asteria_caprg_mend(struct asteria_caprg *g, const struct asteria_caprg_rows *rows,
                          uint32_t x, size_t n, uint32_t *out)
{
    const uint32_t *links = caprg_links(g, x);
    uint64_t kept[CAPRG_DEGREE_MAX];
    size_t n_kept = 0, n_new = 0, postponed;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        if (!caprg_is_dead(g, links[i]))
            kept[n_kept++] = links[i];
    for (size_t i = 0; i < n; i++)
        if (!caprg_has(links, g->degree, g->slots[i]))
            g->keys[n_new++] = caprg_key(rows->estimate(rows->to, x, g->slots[i]), g->slots[i]);
    postponed = n = n_new;
    key_heap_make(g->keys, n);
    while (n > 0 && n_kept < g->degree) {
        const uint64_t key = key_heap_pop(g->keys, &n);

        if (is_likely_hidden(rows, caprg_key_distance(key), (uint32_t)key, kept, n_kept))
            g->keys[--postponed] = key;
        else
            kept[n_kept++] = key;
    }
    for (size_t i = n_new; i-- > postponed && n_kept < g->degree * 3 / 4;)
        kept[n_kept++] = g->keys[i];
    for (size_t i = 0; i < n_kept; i++)
        out[i] = (uint32_t)kept[i];
    return n_kept;
}
