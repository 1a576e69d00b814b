/* topk.c - a bounded max-heap; its root is the worst candidate and is replaced first. */
#include "src/core/topk.h"

#include <stdbool.h>

#include "kernels/kernels.h"
#include "src/core/index.h"

/* Whether a is worse than b: farther, or equally far with the larger id. */
static bool worse(float da, uint64_t ia, float db, uint64_t ib)
{
    return da > db || (da == db && ia > ib);
}

/* Sifts (distance, id) down from `at` in a heap of n. */
static void sink(struct topk *t, size_t at, size_t n, float distance, uint64_t id)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n &&
            worse(t->distances[child + 1], t->ids[child + 1], t->distances[child], t->ids[child]))
            child++;
        if (!worse(t->distances[child], t->ids[child], distance, id))
            break;
        t->distances[at] = t->distances[child];
        t->ids[at] = t->ids[child];
        at = child;
    }
    t->distances[at] = distance;
    t->ids[at] = id;
}

static void rise(struct topk *t, size_t at, float distance, uint64_t id)
{
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        if (!worse(distance, id, t->distances[parent], t->ids[parent]))
            break;
        t->distances[at] = t->distances[parent];
        t->ids[at] = t->ids[parent];
        at = parent;
    }
    t->distances[at] = distance;
    t->ids[at] = id;
}

void topk_push(struct topk *t, float distance, uint64_t id)
{
    if (isnan(distance))
        return;
    if (t->n < t->k)
        rise(t, t->n++, distance, id);
    else if (t->k && worse(t->distances[0], t->ids[0], distance, id))
        sink(t, 0, t->n, distance, id);
}

/* A block is short so that the limit is recent, and long so that kernel calls cost little. */
#define BLOCK 256

void topk_offer(struct topk *t, const struct kernels *kernels, const float *distances,
                const uint64_t *ids, uint64_t first_id, size_t n, uint32_t *scratch)
{
    for (size_t first = 0; first < n; first += BLOCK) {
        const size_t length = n - first < BLOCK ? n - first : BLOCK;
        const size_t found =
            kernels->at_most_f32(distances + first, length, topk_limit(t), scratch);
        for (size_t i = 0; i < found; i++) {
            const size_t at = first + scratch[i];
            topk_push(t, distances[at], ids ? ids[at] : first_id + at);
        }
    }
}

void topk_sort(struct topk *t)
{
    for (size_t end = t->n; end > 1; end--) {
        const float distance = t->distances[end - 1];
        const uint64_t id = t->ids[end - 1];
        t->distances[end - 1] = t->distances[0];
        t->ids[end - 1] = t->ids[0];
        sink(t, 0, end - 1, distance, id);
    }
    for (size_t i = t->n; i < t->k; i++) {
        t->distances[i] = INFINITY;
        t->ids[i] = INDEX_NO_ID;
    }
}
