/* caprg_prune.c - which of its candidates a node has edges to.
 *
 * x's candidates are looked at from the nearest on, of equally far ones the lower slot first; y is kept unless a kept z
 * came before it and UB(y, z) < |x y|. |x z| is known exactly, so it stands where the paper has UB(x, z): fewer are kept,
 * and still each edge of the exact relative neighbourhood graph is, for y is hidden only where |x z| <= |x y| and
 * |y z| <= UB(y, z) < |x y|. (Rows all as far are taken as if they were not, so that of equal ones one is kept.)
 *
 * Rows equal to x hide nobody and are hidden by nobody; they would take all places, and lead nowhere.
 *
 * A pool may keep far more than a node has edges (all of them, where the bound is loose), at a cost of its square: twice
 * the degree is kept, and of these the cut takes the nearest.
 */
#include "algorithms/asteria/caprg_parts.h"

#include "algorithms/common/key_heap.h"

static bool is_hidden(const struct caprg_rows *rows, uint64_t key, const uint64_t *kept, size_t n)
{
    const float distance = caprg_key_distance(key);

    for (size_t i = 0; i < n; i++)
        if (rows->upper(rows->to, (uint32_t)key, (uint32_t)kept[i]) < distance)
            return true;
    return false;
}

size_t caprg_gate(const struct caprg_rows *rows, uint64_t *keys, size_t n, size_t most,
                  size_t equal_most, uint64_t *kept)
{
    size_t n_kept = 0;

    key_heap_make(keys, n);
    while (n > 0 && n_kept < most) {
        const uint64_t key = keys[0];

        keys[0] = keys[--n];
        key_heap_sift(keys, n, 0);
        if (n_kept >= equal_most && caprg_key_distance(key) == 0)
            continue;
        if (!is_hidden(rows, key, kept, n_kept))
            kept[n_kept++] = key;
    }
    return n_kept;
}

size_t caprg_cut(const uint64_t *kept, size_t n, size_t degree, uint32_t *out)
{
    const size_t equal_most = (degree + 3) / 4;
    size_t equal = 0, n_out = 0, first;

    while (equal < n && caprg_key_distance(kept[equal]) == 0)
        equal++;
    /* Of the equal ones a quarter, or as many as there is room for beside the others. */
    first = n - equal + equal_most >= degree ? equal_most : degree - (n - equal);
    first = first < equal ? first : equal;
    for (size_t i = 0; i < first; i++)
        out[n_out++] = (uint32_t)kept[i];
    for (size_t i = equal; i < n && n_out < degree; i++)
        out[n_out++] = (uint32_t)kept[i];
    return n_out;
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
    uint64_t kept[2 * CAPRG_DEGREE_MAX];
    int rc = n > 0 ? rows->exact(rows->to, x, g->slots, n, g->distances) : OK;

    *n_out = 0;
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        g->keys[i] = caprg_key(g->distances[i], g->slots[i]);
    n = caprg_gate(rows, g->keys, n, 2 * g->degree, g->degree, kept);
    *n_out = caprg_cut(kept, n, g->degree, out);
    return OK;
}
