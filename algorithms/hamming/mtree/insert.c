/* insert.c - a row's descent in the M-tree: into the ball that contains it, else into the one that
 * must grow least (Ciaccia, Patella, Zezula, section 4.1). */
#include <string.h>

#include "algorithms/hamming/mtree/mtree.h"
#include "kernels/kernels.h"

/* The cost of choosing a ball. If it contains the code: the distance, so that the nearest is
   chosen. Otherwise: by how much it must grow, above all balls that contain the code. */
static uint8_t reluctance(uint8_t distance, uint8_t radius)
{
    return (uint8_t)(distance <= radius ? distance : 128 + distance - radius);
}

/* distances: space for the node's entries; set on return. */
static size_t choose(const struct mtree *t, const struct mtree_node *node, uint64_t code,
                     uint8_t *distances)
{
    uint8_t keys[MTREE_CAPACITY], least = UINT8_MAX;
    t->base.env.kernels->hamming_b64_1n(code, node->codes, node->n, distances);
    for (size_t i = 0; i < node->n; i++) {
        keys[i] = reluctance(distances[i], node->radius[i]);
        least = keys[i] < least ? keys[i] : least;
    }
    return (size_t)((const uint8_t *)memchr(keys, least, node->n) - keys);
}

static void leaf_put(struct mtree_node *leaf, uint64_t code, uint32_t row, uint8_t distance)
{
    const size_t few = leaf->capacity / 16 + 1; /* unsorted entries are all scanned */
    if (leaf->n - leaf->sorted >= (few < MTREE_UNSORTED ? few : MTREE_UNSORTED))
        mtree_leaf_sort(leaf);
    leaf->codes[leaf->n] = code;
    leaf->refs[leaf->n] = row;
    leaf->to_parent[leaf->n++] = distance;
}

static void free_spare(struct mtree *t, uint32_t spare)
{
    while (spare != MTREE_NONE) {
        const uint32_t next = mtree_at(t, spare)->parent;
        mtree_node_free(t, spare);
        spare = next;
    }
}

/* Reserves all nodes that one more entry in a full leaf needs: one per full node above it, and a
   new root if the root is full. Lowest level first. */
static bool reserve_splits(struct mtree *t, uint32_t leaf, uint32_t *spare)
{
    const size_t full = (size_t)t->params.node_capacity;
    uint32_t last = MTREE_NONE, number = leaf, level = 0;
    *spare = MTREE_NONE;
    for (bool more = true; more; level++) {
        more = number != MTREE_NONE && mtree_at(t, number)->n == full;
        if (!more && number != MTREE_NONE)
            break;
        const uint32_t node = mtree_node_new(t, level, full);
        if (node == MTREE_NONE) {
            free_spare(t, *spare);
            return false;
        }
        if (last == MTREE_NONE)
            *spare = node;
        else
            mtree_at(t, last)->parent = node;
        last = node;
        number = number == MTREE_NONE ? number : mtree_at(t, number)->parent;
    }
    return true;
}

static int no_memory(const struct mtree *t)
{
    return fail(t->base.env.error, ERR_NO_MEMORY, "mtree: out of memory for a node");
}

static int put_first(struct mtree *t, uint32_t row, uint64_t code)
{
    const uint32_t root = mtree_node_new(t, 0, mtree_leaf_capacity(t, 1));
    if (root == MTREE_NONE)
        return no_memory(t);
    t->root = t->codes.place[row] = root;
    leaf_put(mtree_at(t, root), code, row, 0);
    return OK;
}

int mtree_put(struct index *index, uint32_t row, const uint64_t *words)
{
    const uint64_t code = *words;
    struct mtree *t = (struct mtree *)index;
    if (t->root == MTREE_NONE)
        return put_first(t, row, code);
    uint8_t distances[MTREE_CAPACITY], distance = 0;
    uint32_t number = t->root;
    struct mtree_node *node = mtree_at(t, number);
    while (node->level > 0) {
        const size_t i = choose(t, node, code, distances);
        distance = distances[i];
        node->radius[i] = distance > node->radius[i] ? distance : node->radius[i];
        number = node->refs[i];
        node = mtree_at(t, number);
    }
    if (node->n == (size_t)t->params.node_capacity) {
        uint32_t spare;
        if (!reserve_splits(t, number, &spare))
            return no_memory(t);
        mtree_divide(t, number, code, row, spare);
        return OK;
    }
    if (node->n == node->capacity &&
        !mtree_node_fit(t, number, mtree_leaf_capacity(t, node->n + 1)))
        return no_memory(t);
    leaf_put(mtree_at(t, number), code, row, distance);
    t->codes.place[row] = number;
    return OK;
}
