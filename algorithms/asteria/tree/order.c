/* order.c - addresses by the certain lower bound of their distance. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/tree/internal.h"

/* Ordered by the certain bound. Boxes overlap, so this is often 0: ties are ordered by the
   likely loss. */
struct entry {
    float bound, loss;
    uint32_t of; /* node, or n_nodes + cell */
};

static inline bool before(struct entry x, struct entry y)
{
    if (x.bound != y.bound)
        return x.bound < y.bound;
    return x.loss < y.loss || (x.loss == y.loss && x.of < y.of);
}

static void push(struct entry *heap, size_t *n, struct entry entry)
{
    size_t at = (*n)++;

    for (; at > 0 && before(entry, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

static struct entry pop(struct entry *heap, size_t *n)
{
    const struct entry top = heap[0], last = heap[--*n];
    size_t at = 0;

    for (size_t child = 1; child < *n; child = 2 * at + 1) {
        child += child + 1 < *n && before(heap[child + 1], heap[child]);
        if (!before(heap[child], last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* Squared distance of p to the box; a clipped end is open. */
static float box_distance(const struct asteria_bec *b, uint32_t node, const float *p)
{
    const struct asteria_bec_bit *t = bec_tallies(b, node);
    float sum = 0;

    for (unsigned i = 0; i < b->bits; i++) {
        const float at = p[i] * b->scale[i];
        float gap = 0;
        if (at < (float)t[i].low && t[i].low > BEC_Q_LEAST)
            gap = (float)t[i].low - at;
        else if (at > (float)t[i].high + 1 && t[i].high < BEC_Q_MOST)
            gap = at - (float)t[i].high - 1;
        gap /= b->scale[i];
        sum += gap * gap;
    }
    return sum;
}

/* Sum of p_i^2 over the bits of the mask that differ from the query's. */
static float unlike(const struct asteria_bec *b, const float *p, uint32_t mask, uint32_t value)
{
    float sum = 0;

    for (unsigned i = 0; i < b->bits; i++)
        if (mask >> i & 1 && (unsigned)(p[i] < 0) != (value >> i & 1))
            sum += p[i] * p[i];
    return sum;
}

static struct entry of_node(const struct asteria_bec *b, const float *p, uint32_t node)
{
    const struct asteria_bec_node *at = &b->nodes[node];

    return (struct entry){ box_distance(b, node, p), unlike(b, p, at->mask, at->value), node };
}

struct descent {
    const struct asteria_bec *b;
    const float *p;
    struct entry *heap;
    unsigned char *taken; /* cells */
    size_t n;
};

/* Whether a cell of the same address in another leaf was returned before. */
static bool was_given(const struct descent *w, uint32_t cell)
{
    const struct asteria_bec *b = w->b;
    uint64_t first = BEC_NONE;

    (void)idmap_get(&b->of_address, b->cells[cell].address, &first);
    for (uint32_t at = (uint32_t)first; at != BEC_NONE; at = b->cells[at].same)
        if (w->taken[at])
            return true;
    return false;
}

/* Pushes a node's children, or a leaf's cells, which have the leaf's bound. */
static void open_node(struct descent *w, struct entry of)
{
    const struct asteria_bec *b = w->b;
    const struct asteria_bec_node *node = &b->nodes[of.of];

    if (!bec_is_leaf(b, of.of)) {
        for (uint32_t i = 0; i < 2; i++)
            if (b->nodes[node->child + i].n > 0)
                push(w->heap, &w->n, of_node(b, w->p, node->child + i));
        return;
    }
    for (uint32_t cell = node->cells; cell != BEC_NONE; cell = b->cells[cell].next) {
        const float loss = unlike(b, w->p, UINT32_MAX, b->cells[cell].address);
        push(w->heap, &w->n,
             (struct entry){ of.bound, fmaxf(loss, of.loss), (uint32_t)b->n_nodes + cell });
    }
}

size_t asteria_bec_scratch_bytes(const struct asteria_bec *b)
{
    return (b->n_nodes + b->n_cells) * sizeof(struct entry) + b->n_cells;
}

/* No child or cell is below its parent in bound and loss: its box is inside the parent's, and its
   address has the prefix, except for rows assigned to another leaf. */
size_t asteria_bec_order(const struct asteria_bec *b, const float *p, size_t most,
                         uint32_t *addresses, float *lower, void *scratch)
{
    struct entry *heap = scratch;
    struct descent w = {
        .b = b, .p = p, .heap = heap, .taken = (unsigned char *)(heap + b->n_nodes + b->n_cells)
    };
    size_t n = 0;

    memset(w.taken, 0, b->n_cells);
    if (b->n > 0)
        push(heap, &w.n, of_node(b, p, 0));
    while (w.n > 0 && n < most) {
        const struct entry next = pop(heap, &w.n);
        if (next.of < b->n_nodes) {
            open_node(&w, next);
            continue;
        }
        const uint32_t cell = next.of - (uint32_t)b->n_nodes;
        if (!was_given(&w, cell)) {
            addresses[n] = b->cells[cell].address;
            lower[n++] = next.bound;
        }
        w.taken[cell] = 1;
    }
    return n;
}
