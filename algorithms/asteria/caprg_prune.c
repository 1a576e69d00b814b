/* caprg_prune.c - which of its candidates a node has edges to.
 *
 * x's candidates are looked at from the nearest on; y is kept unless a kept z is nearer to x and UB(y, z) < |x y|. |x z| is
 * known exactly, so it stands where the paper has UB(x, z): fewer are kept, and still each edge of the exact relative
 * neighbourhood graph is, for y is hidden only where |x z| < |x y| and |y z| <= UB(y, z) < |x y|.
 *
 * A pool may keep far more than a node has edges (all of them, where the bound is loose), at a cost of its square: twice
 * the degree is kept, and of these the cut takes the nearest.
 */
#include "algorithms/asteria/caprg_parts.h"

#include "algorithms/common/key_heap.h"

static bool is_hidden(const struct caprg_rows *rows, uint64_t key, const uint64_t *kept, size_t n)
{
    const float distance = caprg_key_distance(key);

    for (size_t i = 0; i < n && caprg_key_distance(kept[i]) < distance; i++)
        if (rows->upper(rows->to, (uint32_t)key, (uint32_t)kept[i]) < distance)
            return true;
    return false;
}

size_t caprg_gate(const struct caprg_rows *rows, uint64_t *keys, size_t n, size_t most,
                  uint64_t *kept)
{
    size_t n_kept = 0;

    key_heap_make(keys, n);
    while (n > 0 && n_kept < most) {
        const uint64_t key = keys[0];

        keys[0] = keys[--n];
        key_heap_sift(keys, n, 0);
        if (!is_hidden(rows, key, kept, n_kept))
            kept[n_kept++] = key;
    }
    return n_kept;
}

/* Whether a taken one is as far from x as y and nearer to y than x is: a row like y. */
static bool has_like(const struct caprg_rows *rows, uint64_t key, const uint64_t *taken, size_t n)
{
    const float distance = caprg_key_distance(key);

    for (size_t i = n; i-- > 0 && caprg_key_distance(taken[i]) == distance;)
        if (rows->upper(rows->to, (uint32_t)key, (uint32_t)taken[i]) < distance)
            return true;
    return false;
}

/* Rows equal to x hide nobody and are hidden by nobody, nor are equal rows that are all as far: they would take all
   places, and lead nowhere. A quarter is for the former, one for each group of the latter; the others come
   where there is room. */
size_t caprg_cut(const struct caprg_rows *rows, const uint64_t *kept, size_t n, size_t degree,
                 uint32_t *out)
{
    uint64_t taken[CAPRG_DEGREE_MAX], left[2 * CAPRG_DEGREE_MAX];
    size_t n_taken = 0, n_left = 0, equal = 0;

    for (size_t i = 0; i < n && n_taken < degree; i++) {
        const bool is_equal = caprg_key_distance(kept[i]) == 0;
        const bool waits = n > degree && (is_equal ? equal >= (degree + 3) / 4
                                                   : has_like(rows, kept[i], taken, n_taken));

        equal += is_equal;
        if (!waits)
            taken[n_taken++] = kept[i];
        else if (n_left < 2 * CAPRG_DEGREE_MAX)
            left[n_left++] = kept[i];
    }
    for (size_t i = 0; i < n_left && n_taken < degree; i++)
        taken[n_taken++] = left[i];
    for (size_t i = 0; i < n_taken; i++)
        out[i] = (uint32_t)taken[i];
    return n_taken;
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
    *n_out =
        caprg_cut(rows, kept, caprg_gate(rows, g->keys, n, 2 * g->degree, kept), g->degree, out);
    return OK;
}
