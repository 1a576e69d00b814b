/* bec_order.c - leaves, and their addresses, by what is certain of their distance. */
#include <string.h>

#include "algorithms/asteria/bec_parts.h"

struct entry {
    float key;
    uint32_t of; /* node, or address */
};

static inline bool before(struct entry x, struct entry y)
{
    return x.key < y.key || (x.key == y.key && x.of < y.of);
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

/* Squared distance of p to the box; an end that was clipped is open. */
static float box_distance(const struct bec *b, uint32_t node, const float *p)
{
    const struct bec_bit *t = bec_tallies(b, node);
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

struct walk {
    const struct bec *b;
    const float *p;
    struct entry *nodes, *cells; /* heaps */
    unsigned char *seen;         /* leaves that were visited */
    size_t n, most;
    uint32_t *addresses;
    float *lower;
};

static float unlike(const struct walk *w, uint32_t address)
{
    float sum = 0;

    for (unsigned i = 0; i < w->b->bits; i++)
        sum += (unsigned)(w->p[i] < 0) != (address >> i & 1) ? w->p[i] * w->p[i] : 0;
    return sum;
}

/* Whether a leaf visited before has rows of the address. */
static bool was_given(const struct walk *w, uint32_t cell)
{
    const struct bec *b = w->b;
    uint64_t first = BEC_NONE;

    (void)idmap_get(&b->of_address, b->cells[cell].address, &first);
    for (uint32_t at = (uint32_t)first; at != BEC_NONE; at = b->cells[at].same)
        if (w->seen[b->cells[at].leaf])
            return true;
    return false;
}

static void visit(struct walk *w, uint32_t leaf, float key)
{
    const struct bec *b = w->b;
    size_t n = 0;

    for (uint32_t cell = b->nodes[leaf].cells; cell != BEC_NONE; cell = b->cells[cell].next)
        if (!was_given(w, cell)) {
            const uint32_t address = b->cells[cell].address;
            push(w->cells, &n, (struct entry){ unlike(w, address), address });
        }
    for (w->seen[leaf] = 1; n > 0 && w->n < w->most; w->n++) {
        w->addresses[w->n] = pop(w->cells, &n).of;
        w->lower[w->n] = key;
    }
}

/* Heap of nodes, heap of a leaf's cells, marks. */
size_t bec_scratch_bytes(const struct bec *b)
{
    uint32_t cells = 0;

    for (uint32_t i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].used && bec_is_leaf(b, i) && b->nodes[i].n_cells > cells)
            cells = b->nodes[i].n_cells;
    return (b->n_nodes + cells) * sizeof(struct entry) + b->n_nodes;
}

/* A child's bound is never below its parent's, for its box is in the parent's. */
size_t bec_order(const struct bec *b, const float *p, size_t most, uint32_t *addresses,
                 float *lower, void *scratch)
{
    struct entry *nodes = scratch;
    const size_t bytes = bec_scratch_bytes(b);
    struct walk w = { .b = b,
                      .p = p,
                      .nodes = nodes,
                      .cells = nodes + b->n_nodes,
                      .seen = (unsigned char *)scratch + bytes - b->n_nodes,
                      .most = most,
                      .addresses = addresses,
                      .lower = lower };
    size_t n = 0;

    memset(w.seen, 0, b->n_nodes);
    if (b->n > 0)
        push(nodes, &n, (struct entry){ box_distance(b, 0, p), 0 });
    while (n > 0 && w.n < most) {
        const struct entry next = pop(nodes, &n);
        if (bec_is_leaf(b, next.of)) {
            visit(&w, next.of, next.key);
            continue;
        }
        for (uint32_t child = b->nodes[next.of].child, i = 0; i < 2; i++)
            if (b->nodes[child + i].n > 0)
                push(nodes, &n, (struct entry){ box_distance(b, child + i, p), child + i });
    }
    return w.n;
}
