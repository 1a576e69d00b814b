/* medoid.c - the medoid of a leaf, chosen from a sample of its rows. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/tree/internal.h"
#include "kernels/kernels.h"

bool asteria_bec_medoid_is_due(const struct asteria_bec *b, uint32_t leaf)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];

    return node->used && node->child == BEC_NONE && node->n > 0 && node->changes > 0 &&
           (uint64_t)node->changes * 8 >= node->n;
}

void asteria_bec_medoid_set(struct asteria_bec *b, uint32_t leaf, uint32_t slot, const float *y)
{
    memcpy(bec_medoid_of(b, leaf), y, b->rank * sizeof *y);
    b->nodes[leaf].medoid = slot;
    b->nodes[leaf].medoid_length = sqrtf(b->env.kernels->ip_f32(y, y, b->rank));
}

/* Every step-th row. */
size_t asteria_bec_sample(const struct asteria_bec *b, uint32_t leaf, uint32_t *slots)
{
    const size_t step = ((size_t)b->nodes[leaf].n + BEC_SAMPLE - 1) / BEC_SAMPLE;
    size_t i = 0, n = 0;

    for (uint32_t cell = BEC_NONE, slot; asteria_bec_next_row(b, leaf, &cell, &slot); i++)
        if (i % step == 0)
            slots[n++] = slot;
    return n;
}

static void draw_close(struct asteria_bec *b, uint32_t leaf)
{
    struct asteria_bec_bit *t = bec_tallies(b, leaf);

    for (unsigned i = 0; i < b->bits; i++) {
        t[i].low = BEC_Q_MOST;
        t[i].high = BEC_Q_LEAST;
    }
    for (uint32_t cell = BEC_NONE, slot; asteria_bec_next_row(b, leaf, &cell, &slot);)
        for (unsigned i = 0; i < b->bits; i++) {
            const int8_t q = bec_q(b, slot)[i];
            t[i].low = q < t[i].low ? q : t[i].low;
            t[i].high = q > t[i].high ? q : t[i].high;
        }
    for (uint32_t node = b->nodes[leaf].parent; node != BEC_NONE; node = b->nodes[node].parent) {
        const struct asteria_bec_bit *left = bec_tallies(b, b->nodes[node].child),
                                     *right = left + b->bits;
        t = bec_tallies(b, node);
        for (unsigned i = 0; i < b->bits; i++) {
            t[i].low = left[i].low < right[i].low ? left[i].low : right[i].low;
            t[i].high = left[i].high > right[i].high ? left[i].high : right[i].high;
        }
    }
}

void asteria_bec_medoid_find(struct asteria_bec *b, const struct asteria_bec_rows *rows,
                             uint32_t leaf, uint64_t *spent)
{
    uint32_t slots[BEC_SAMPLE], medoid = BEC_NONE;
    const size_t n = asteria_bec_sample(b, leaf, slots);
    const double *sum = bec_sum(b, leaf);
    double most = -INFINITY;

    for (size_t j = 0; j < n; j++) {
        double product = 0;
        rows->vector(rows->to, slots[j], b->y);
        for (size_t i = 0; i < b->rank; i++)
            product += sum[i] * (double)b->y[i];
        if (product > most) {
            most = product;
            medoid = slots[j];
            memcpy(b->best, b->y, b->rank * sizeof *b->y);
        }
    }
    if (medoid != BEC_NONE)
        asteria_bec_medoid_set(b, leaf, medoid, b->best);
    draw_close(b, leaf);
    b->nodes[leaf].changes = 0;
    b->medoids_found++;
    *spent += n;
}
