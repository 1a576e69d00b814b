/* prune.c - robust prune (DiskANN, algorithm 2) by distances of codes, for merges: no rows need to
 * be read. As in memory, the rule is applied with alpha 1 first, and alpha then fills the list. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/vamana_disk/vamana_disk.h"
#include "kernels/kernels.h"
#include "src/core/order.h"

enum { NEAREST = 512, ZERO_SHARE = 4 /* at most 1 / ZERO_SHARE of the links at distance 0 */ };

void vamana_disk_prune_free(struct vamana_disk_prune *w)
{
    mem_group_free(&w->memory);
}

bool vamana_disk_prune_init(struct vamana_disk_prune *w, const struct vamana_disk_part *p,
                            size_t most)
{
    struct mem_group *g = &w->memory;

    *w = (struct vamana_disk_prune){ .part = p, .memory.mem = p->owner->base.env.mem };
    w->numbers = mem_group_array(g, most, sizeof *w->numbers);
    w->keys = mem_group_array(g, most, sizeof *w->keys);
    w->distances = mem_group_array(g, most, sizeof *w->distances);
    w->rows = mem_group_array(g, NEAREST + 1, p->quantizer->dim * sizeof *w->rows);
    w->table = mem_group_array(g, vamana_disk_groups(p->owner), PQ_CODES_WORDS * sizeof *w->table);
    return !g->failed;
}

void vamana_disk_prune_begin(struct vamana_disk_prune *w, uint32_t self)
{
    w->self = self;
    w->n = 0;
}

void vamana_disk_prune_add(struct vamana_disk_prune *w, uint32_t number)
{
    if (number != w->self)
        w->numbers[w->n++] = number;
}

/* Orders the candidates by their distance from `self`, and decodes the nearest. */
static void order(struct vamana_disk_prune *w)
{
    const struct vamana_disk_part *p = w->part;
    const size_t dim = p->quantizer->dim, code_bytes = pq_codes_bytes(p->quantizer);
    float *self = w->rows + NEAREST * dim;

    pq_codes_get(p->quantizer, p->codes + w->self * code_bytes, self);
    pq_codes_query(p->quantizer, self, w->table);
    pq_codes_distances(p->quantizer, w->table, p->codes, w->numbers, w->n, w->distances);
    for (size_t i = 0; i < w->n; i++)
        w->keys[i] = candidate_of(w->distances[i], w->numbers[i]);
    qsort(w->keys, w->n, sizeof *w->keys, order_u64);
    w->n = w->n < NEAREST ? w->n : NEAREST;
    for (size_t i = 0; i < w->n; i++)
        pq_codes_get(p->quantizer, p->codes + candidate_node(w->keys[i]) * code_bytes,
                     w->rows + i * dim);
}

static bool is_shadowed(const struct vamana_disk_prune *w, size_t i, const uint32_t *kept, size_t n,
                        float factor)
{
    const size_t dim = w->part->quantizer->dim;
    const struct kernels *kernels = w->part->owner->base.env.kernels;

    for (size_t j = 0; j < n; j++) {
        if (factor * kernels->l2sq_f32(w->rows + kept[j] * dim, w->rows + i * dim, dim) <
            candidate_distance(w->keys[i]))
            return true;
    }
    return false;
}

/* kept: places in keys. Returns how many are kept, `taken` were before. */
static size_t select_by(const struct vamana_disk_prune *w, float factor, size_t taken,
                        uint32_t *kept)
{
    const size_t capacity = w->part->layout.degree, before = taken;
    size_t zeros = 0;

    for (uint32_t i = 0; i < w->n && taken < capacity; i++) {
        const bool zero = candidate_distance(w->keys[i]) == 0;
        bool held = false;

        for (size_t j = 0; j < before && !held; j++)
            held = kept[j] == i;
        if (held || (zero && (before > 0 || zeros >= capacity / ZERO_SHARE)) ||
            is_shadowed(w, i, kept, taken, factor))
            continue;
        zeros += zero;
        kept[taken++] = i;
    }
    return taken;
}

size_t vamana_disk_prune(struct vamana_disk_prune *w, bool always, uint32_t *out)
{
    const double alpha = w->part->owner->params.alpha;
    uint32_t kept[256];
    size_t distinct = 0;

    qsort(w->numbers, w->n, sizeof *w->numbers, order_u32);
    for (size_t i = 0; i < w->n; i++)
        if (distinct == 0 || w->numbers[distinct - 1] != w->numbers[i])
            w->numbers[distinct++] = w->numbers[i];
    w->n = distinct;
    if (!always && w->n <= w->part->layout.degree) {
        memcpy(out, w->numbers, w->n * sizeof *out);
        return w->n;
    }
    order(w);
    size_t n = select_by(w, 1, 0, kept);
    if (alpha > 1)
        n = select_by(w, (float)(alpha * alpha), n, kept);
    for (size_t i = 0; i < n; i++)
        out[i] = candidate_node(w->keys[kept[i]]);
    return n;
}
