/* prune.c - robust prune (DiskANN, algorithm 2) for merges, where few rows are at hand: the others
 * count as what their codes stand for. As in memory, the rule is applied with alpha 1 first, and
 * alpha then fills the list. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/vamana_disk/vamana_disk.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { NEAREST = 512, ZERO_SHARE = 4 /* at most 1 / ZERO_SHARE of the links at distance 0 */ };

void vamana_disk_prune_free(struct mem *mem, struct vamana_disk_prune *w)
{
    mem_free(mem, w->candidates);
    mem_free(mem, w->numbers);
    mem_free(mem, w->keys);
    mem_free(mem, w->distances);
    mem_free(mem, w->rows);
    mem_free(mem, w->table);
    *w = (struct vamana_disk_prune){ 0 };
}

bool vamana_disk_prune_init(struct vamana_disk_prune *w, const struct vamana_disk_part *p,
                            size_t most)
{
    struct mem *mem = p->owner->base.env.mem;

    *w = (struct vamana_disk_prune){ .part = p };
    w->candidates = mem_array(mem, most, sizeof *w->candidates);
    w->numbers = mem_array(mem, most, sizeof *w->numbers);
    w->keys = mem_array(mem, most, sizeof *w->keys);
    w->distances = mem_array(mem, most, sizeof *w->distances);
    w->rows = mem_array(mem, NEAREST + 2, p->quantizer->dim * sizeof *w->rows);
    w->table = mem_array(mem, vamana_disk_groups(p->owner), PQ_CODES_WORDS * sizeof *w->table);
    if (w->candidates && w->numbers && w->keys && w->distances && w->rows && w->table)
        return true;
    vamana_disk_prune_free(mem, w);
    return false;
}

void vamana_disk_prune_begin(struct vamana_disk_prune *w, uint32_t self, const unsigned char *row)
{
    w->self = self;
    w->row = row;
    w->n = 0;
}

void vamana_disk_prune_add(struct vamana_disk_prune *w, uint32_t number, const unsigned char *row)
{
    if (number != w->self)
        w->candidates[w->n++] = (struct vamana_disk_candidate){ number, row };
}

/* Those with a row come first. */
static int by_number(const void *a, const void *b)
{
    const struct vamana_disk_candidate *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->row == NULL) - (y->row == NULL);
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void make_distinct(struct vamana_disk_prune *w)
{
    size_t n = 0;

    qsort(w->candidates, w->n, sizeof *w->candidates, by_number);
    for (size_t i = 0; i < w->n; i++) {
        if (n == 0 || w->candidates[n - 1].number != w->candidates[i].number)
            w->candidates[n++] = w->candidates[i];
    }
    w->n = n;
    for (size_t i = 0; i < n; i++)
        w->numbers[i] = w->candidates[i].number;
}

/* The transformed row, or what its code stands for. */
static void get_row(const struct vamana_disk_prune *w, const struct vamana_disk_candidate *c,
                    float *out)
{
    const struct vamana_disk_part *p = w->part;
    float *floats = w->rows + (NEAREST + 1) * p->quantizer->dim;

    if (!c->row) {
        pq_codes_get(p->quantizer, p->codes + c->number * pq_codes_bytes(p->quantizer), out);
        return;
    }
    vamana_disk_floats(p->owner, c->row, floats);
    quantizer_transform(p->quantizer, floats, 1, out);
}

/* Orders the candidates by their distance from `self`, and gets the nearest. A key is a distance and
   a place among the candidates. */
static void order(struct vamana_disk_prune *w)
{
    const struct vamana_disk_part *p = w->part;
    const struct kernels *kernels = p->owner->base.env.kernels;
    const struct vamana_disk_candidate itself = { w->self, w->row };
    const size_t dim = p->quantizer->dim;
    float *self = w->rows + NEAREST * dim;

    get_row(w, &itself, self);
    pq_codes_query(p->quantizer, self, w->table);
    pq_codes_distances(p->quantizer, w->table, p->codes, w->numbers, w->n, w->distances);
    for (size_t i = 0; i < w->n; i++) {
        uint32_t bits;

        if (w->candidates[i].row) {
            get_row(w, &w->candidates[i], w->rows);
            w->distances[i] = kernels->l2sq_f32(self, w->rows, dim);
        }
        memcpy(&bits, &w->distances[i], sizeof bits);
        w->keys[i] = (uint64_t)bits << 32 | i;
    }
    qsort(w->keys, w->n, sizeof *w->keys, by_key);
    w->n = w->n < NEAREST ? w->n : NEAREST;
    for (size_t i = 0; i < w->n; i++)
        get_row(w, &w->candidates[(uint32_t)w->keys[i]], w->rows + i * dim);
}

static float distance_of(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    float distance;

    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

static bool is_shadowed(const struct vamana_disk_prune *w, size_t i, const uint32_t *kept, size_t n,
                        float factor)
{
    const size_t dim = w->part->quantizer->dim;
    const struct kernels *kernels = w->part->owner->base.env.kernels;

    for (size_t j = 0; j < n; j++) {
        if (factor * kernels->l2sq_f32(w->rows + kept[j] * dim, w->rows + i * dim, dim) <
            distance_of(w->keys[i]))
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
        const bool zero = distance_of(w->keys[i]) == 0;
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

    make_distinct(w);
    if (!always && w->n <= w->part->layout.degree) {
        memcpy(out, w->numbers, w->n * sizeof *out);
        return w->n;
    }
    order(w);
    size_t n = select_by(w, 1, 0, kept);
    if (alpha > 1)
        n = select_by(w, (float)(alpha * alpha), n, kept);
    for (size_t i = 0; i < n; i++)
        out[i] = w->numbers[(uint32_t)w->keys[kept[i]]];
    return n;
}
