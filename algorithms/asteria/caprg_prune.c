/* caprg_prune.c - which of its candidates a node has edges to.
 *
 * The gate is the bound's: from the nearest candidate on, of equally far ones the lower slot first, y is kept unless a kept z
 * that came before it has UB(y, z) < |x y|. |x z| is known exactly, so its place in that order stands where the paper
 * has UB(x, z): fewer are kept, and still each edge of the exact relative neighbourhood graph is, for y is hidden only
 * where |x z| <= |x y| and |y z| <= UB(y, z) < |x y|. (Rows all as far are taken as if they were not, so that
 * of equal ones one is kept.)
 *
 * The degree cuts. Where the bound is loose it hides nobody, and the nearest alone would take all places: a graph of
 * nearest neighbours, in which a walk needs twice the beam. So the first places go to those that no taken one hides by
 * estimates, which err to both sides; what is left is filled with the nearest of the others that pass the gate.
 * Thus what the gate costs is a few bounds, not the square of a pool.
 *
 * Rows equal to x hide nobody and are hidden by nobody; they have a quarter of the first places at most.
 */
#include "algorithms/asteria/caprg_parts.h"

#include "algorithms/common/key_heap.h"

static float estimate(const struct caprg_rows *rows, uint32_t x, uint32_t y)
{
    return rows->estimate ? rows->estimate(rows->to, x, y) : rows->upper(rows->to, x, y);
}

/* x's candidate y is `distance` away by estimate, as what it is compared with: what rows have beside the codes' axes is in
   both. */
static bool is_likely_hidden(const struct caprg_rows *rows, float distance, uint32_t y,
                             const uint64_t *kept, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (estimate(rows, y, (uint32_t)kept[i]) < distance)
            return true;
    return false;
}

/* The least key, taken from a heap of n. */
static uint64_t take_least(uint64_t *keys, size_t *n)
{
    const uint64_t key = keys[0];

    keys[0] = keys[--*n];
    key_heap_sift(keys, *n, 0);
    return key;
}

static bool is_hidden(const struct caprg_rows *rows, uint64_t key, const uint64_t *kept, size_t n)
{
    const float distance = caprg_key_distance(key);

    for (size_t i = 0; i < n; i++)
        if (kept[i] < key && rows->upper(rows->to, (uint32_t)key, (uint32_t)kept[i]) < distance)
            return true;
    return false;
}

size_t caprg_select(const struct caprg_rows *rows, uint32_t x, uint64_t *keys, size_t n,
                    size_t most, uint64_t *kept)
{
    const size_t end = n;
    size_t n_kept = 0, equal = 0,
           waiting = n; /* those waiting: keys[waiting .. end), the nearest last */

    key_heap_make(keys, n);
    while (n > 0 && n_kept < most) {
        const uint64_t key = take_least(keys, &n);
        const uint32_t y = (uint32_t)key;
        const bool is_equal = caprg_key_distance(key) == 0;

        if (is_equal ? equal >= (most + 3) / 4
                     : is_likely_hidden(rows, estimate(rows, x, y), y, kept, n_kept)) {
            keys[--waiting] = key;
        } else {
            kept[n_kept++] = key;
            equal += is_equal;
        }
    }
    for (size_t i = end; i-- > waiting && n_kept < most;)
        if (!is_hidden(rows, keys[i], kept, n_kept))
            kept[n_kept++] = keys[i];
    return n_kept;
}

static size_t put_if_new(const struct caprg *g, uint32_t x, uint32_t candidate, size_t n)
{
    if (candidate != x && candidate < g->n_slots && caprg_is_node(g, candidate) &&
        !caprg_has(g->slots, n, candidate))
        g->slots[n++] = candidate;
    return n;
}

size_t caprg_gather(const struct caprg *g, uint32_t x, const uint32_t *more, size_t n_more)
{
    uint32_t detours[CAPRG_DETOURS_MOST + 1] = { x };
    size_t n = 0, n_detours = 1;

    for (size_t i = 0; i < n_more; i++)
        n = put_if_new(g, x, more[i], n);
    for (uint32_t cell = g->owed[x]; cell != CAPRG_NONE; cell = g->debts[cell].next)
        n = put_if_new(g, x, g->debts[cell].x, n);
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

int caprg_choose(struct caprg *g, const struct caprg_rows *rows, uint32_t x, size_t n,
                 uint32_t *out, size_t *n_out)
{
    uint64_t kept[CAPRG_DEGREE_MAX];
    int rc = n > 0 ? rows->exact(rows->to, x, g->slots, n, g->distances) : OK;

    *n_out = 0;
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        g->keys[i] = caprg_key(g->distances[i], g->slots[i]);
    *n_out = caprg_select(rows, x, g->keys, n, g->degree, kept);
    for (size_t i = 0; i < *n_out; i++)
        out[i] = (uint32_t)kept[i];
    return OK;
}

/* By estimates alone: the many that have an edge to one that goes are not worth their rows, which may be on disk. */
size_t caprg_mend(struct caprg *g, const struct caprg_rows *rows, uint32_t x, size_t n,
                  uint32_t *out)
{
    const uint32_t *links = caprg_links(g, x);
    uint64_t kept[CAPRG_DEGREE_MAX];
    size_t n_kept = 0, n_new = 0, waiting;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        if (!caprg_is_dead(g, links[i]))
            kept[n_kept++] = links[i];
    for (size_t i = 0; i < n; i++)
        if (!caprg_has(links, g->degree, g->slots[i]))
            g->keys[n_new++] = caprg_key(estimate(rows, x, g->slots[i]), g->slots[i]);
    waiting = n = n_new;
    key_heap_make(g->keys, n);
    while (n > 0 && n_kept < g->degree) {
        const uint64_t key = take_least(g->keys, &n);

        if (is_likely_hidden(rows, caprg_key_distance(key), (uint32_t)key, kept, n_kept))
            g->keys[--waiting] = key;
        else
            kept[n_kept++] = key;
    }
    for (size_t i = n_new; i-- > waiting && n_kept < g->degree * 3 / 4;)
        kept[n_kept++] = g->keys[i];
    for (size_t i = 0; i < n_kept; i++)
        out[i] = (uint32_t)kept[i];
    return n_kept;
}
