/* check.c - invariants of the tree; the tree in a snapshot: its arrays as they are, so that the
 * tree read behaves as the one written. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/internal.h"
#include "algorithms/common/durable/store_file.h"
#include "src/core/error.h"
#include "src/core/mem.h"

static int broken(struct error *error, uint32_t node, const char *what)
{
    return fail(error, ERR_INVARIANT, "asteria: clusters: node %" PRIu32 ": %s", node, what);
}

/* The child has the parent's prefix plus one bit, and links back to it. */
static int check_child(const struct asteria_bec *b, uint32_t parent, uint32_t side,
                       struct error *error)
{
    const struct asteria_bec_node *above = &b->nodes[parent];
    const uint32_t child = above->child + side;

    if (above->child == 0 || child >= b->state.n_nodes || !b->nodes[child].used ||
        above->bit >= b->state.bits)
        return broken(error, parent, "its children are not nodes");
    const struct asteria_bec_node *node = &b->nodes[child];
    const uint32_t bit = 1U << above->bit;
    if (node->parent != parent || node->depth != above->depth + 1 || above->mask & bit ||
        node->mask != (above->mask | bit) || node->value != (above->value | (side ? bit : 0)) ||
        node->next <= above->next || node->next > b->state.bits)
        return broken(error, child, "its prefix is not its parent's and a bit");
    return OK;
}

static int check_parent(const struct asteria_bec *b, uint32_t parent, struct error *error)
{
    const uint32_t pair = b->nodes[parent].child;
    int rc = check_child(b, parent, 0, error);

    if (rc == OK)
        rc = check_child(b, parent, 1, error);
    if (rc != OK)
        return rc;
    const struct asteria_bec_bit *all = bec_tallies(b, parent), *left = bec_tallies(b, pair),
                                 *right = bec_tallies(b, pair + 1);
    if ((uint64_t)b->nodes[pair].n + b->nodes[pair + 1].n != b->nodes[parent].n ||
        b->nodes[parent].first != BEC_NONE)
        return broken(error, parent, "its rows are not its children's");
    for (unsigned i = 0; i < b->state.bits; i++)
        if (left[i].ones + right[i].ones != all[i].ones ||
            left[i].margin + right[i].margin != all[i].margin)
            return broken(error, parent, "its counts are not its children's");
    return OK;
}

/* Counts over a leaf's rows. */
struct counted {
    uint64_t margin[ECC_ADDRESS_MAX];
    uint32_t ones[ECC_ADDRESS_MAX], n;
    bool medoid;
};

static int check_leaf(const struct asteria_bec *b, uint32_t leaf, struct error *error)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];
    struct counted c = { .n = 0 };
    uint32_t prev = BEC_NONE;

    for (uint32_t slot = node->first; slot != BEC_NONE; slot = b->rows[slot].next) {
        const struct asteria_bec_row *row = &b->rows[slot];

        if (slot >= b->state.n_slots || row->leaf != leaf || row->prev != prev || c.n == b->state.n)
            return broken(error, leaf, "its list of rows is broken");
        if (row->address >> b->state.bits ||
            __builtin_popcount((row->address ^ node->value) & node->mask) > 1)
            return broken(error, leaf, "a row has an address that it must not have");
        for (unsigned i = 0; i < b->state.bits; i++) {
            c.margin[i] += (uint64_t)abs(2 * bec_q(b, slot)[i] + 1);
            c.ones[i] += row->address >> i & 1;
        }
        c.n++;
        c.medoid |= slot == node->medoid;
        prev = slot;
    }
    for (unsigned i = 0; i < b->state.bits; i++)
        if (c.ones[i] != bec_tallies(b, leaf)[i].ones ||
            c.margin[i] != bec_tallies(b, leaf)[i].margin)
            return broken(error, leaf, "its counts of bits are not its rows'");
    if (c.n != node->n)
        return broken(error, leaf, "it has not as many rows as it says");
    if (c.n > 0 ? !c.medoid : node->medoid != BEC_NONE)
        return broken(error, leaf, "its medoid is not a row of it");
    return OK;
}

/* Visits nodes from the root, so that a cycle is found. */
static int check_below(const struct asteria_bec *b, uint32_t node, uint64_t *reached,
                       struct error *error)
{
    if (++*reached > b->state.n_nodes)
        return broken(error, node, "the tree has a cycle");
    if (bec_is_leaf(b, node))
        return check_leaf(b, node, error);
    int rc = check_parent(b, node, error);
    for (uint32_t side = 0; side < 2 && rc == OK; side++)
        rc = check_below(b, b->nodes[node].child + side, reached, error);
    return rc;
}

int asteria_bec_check_shape(const struct asteria_bec *b, struct error *error)
{
    uint64_t used = 0, in_tree = 0, reached = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        used += b->nodes[i].used;
    for (size_t i = 0; i < b->state.n_slots; i++)
        in_tree += b->rows[i].leaf != BEC_NONE;
    if (b->nodes[0].parent != BEC_NONE || b->nodes[0].depth != 0 || b->nodes[0].mask ||
        b->nodes[0].n != b->state.n || in_tree != b->state.n)
        return broken(error, 0, "the root lacks rows, or is not a root");
    const int rc = check_below(b, 0, &reached, error);
    if (rc == OK && reached != used)
        return broken(error, 0, "there are nodes that it does not lead to");
    return rc;
}

int asteria_bec_check(const struct asteria_bec *b, struct error *error)
{
    int rc = asteria_bec_check_shape(b, error);

    if (rc != OK)
        return rc;
    double *sum = mem_array(b->env.mem, 2 * b->state.rank, sizeof *sum);
    if (!sum)
        return fail(error, ERR_NO_MEMORY, "asteria: clusters: out of memory, cannot check sums");
    float *y = (float *)(sum + b->state.rank);
    for (uint32_t i = 0; i < b->state.n_nodes && rc == OK; i++) {
        memset(sum, 0, b->state.rank * sizeof *sum);
        if (!b->nodes[i].used)
            continue;
        for (uint32_t slot = b->nodes[i].first; slot != BEC_NONE; slot = b->rows[slot].next) {
            bec_vector(b, slot, y);
            for (size_t j = 0; j < b->state.rank; j++)
                sum[j] += (double)y[j];
        }
        for (size_t j = 0; j < b->state.rank && !bec_is_leaf(b, i); j++)
            sum[j] = bec_sum(b, b->nodes[i].child)[j] + bec_sum(b, b->nodes[i].child + 1)[j];
        for (size_t j = 0; j < b->state.rank && rc == OK; j++)
            if (!(fabs(bec_sum(b, i)[j] - sum[j]) <= 1e-6 * (1 + (double)b->nodes[i].n)))
                rc = broken(error, i, "its sum is not its rows'"); /* beyond rounding errors */
    }
    mem_free(b->env.mem, sum);
    return rc;
}

/* ----------------------------------------------------------------------------------- snapshots */

static int fields(struct store_fields *f, struct asteria_bec *b)
{
    struct asteria_bec_state head = b->state;

    if (store_copy(f, "bec.head", &head, 1, sizeof head) != OK)
        return f->code;
    const uint64_t nodes = head.n_nodes, slots = head.n_slots, bits = head.bits, rank = head.rank;
    if (f->r && (rank != b->state.rank || bits != b->state.bits || nodes < 1 || nodes >= BEC_NONE ||
                 slots >= BEC_NONE))
        return f->code = store_corrupt(f->r, "the clusters are another model's, or none");
    if (f->r)
        b->state = head;
    store_array(f, "bec.nodes", &b->nodes, &b->nodes_capacity, nodes, sizeof *b->nodes);
    store_array(f, "bec.tallies", &b->tallies, &b->tallies_capacity, nodes * bits,
                sizeof *b->tallies);
    store_array(f, "bec.sums", &b->sums, &b->sums_capacity, nodes * rank, sizeof *b->sums);
    store_array(f, "bec.medoids", &b->medoids, &b->medoids_capacity, nodes * bec_medoid_floats(b),
                sizeof *b->medoids);
    store_array(f, "bec.rows", &b->rows, &b->rows_capacity, slots, sizeof *b->rows);
    return store_array(f, "bec.q", &b->q, &b->q_capacity, slots * bits, sizeof *b->q);
}

void asteria_bec_write(const struct asteria_bec *b, struct store_writer *w)
{
    (void)fields(&(struct store_fields){ .w = w }, (struct asteria_bec *)(uintptr_t)b);
}

/* Whether the free list has all unused nodes and no others. */
static bool free_pairs_are_sound(const struct asteria_bec *b)
{
    size_t unused = 0, listed = 0;
    uint32_t pair = b->state.free_pair;

    for (size_t i = 0; i < b->state.n_nodes; i++)
        unused += !b->nodes[i].used;
    for (; pair != BEC_NONE && listed < unused; pair = b->nodes[pair].parent, listed += 2)
        if ((size_t)pair + 1 >= b->state.n_nodes || b->nodes[pair].used || b->nodes[pair + 1].used)
            return false;
    return pair == BEC_NONE && listed == unused;
}

int asteria_bec_read(struct asteria_bec **out, const struct index_env *env,
                     const struct asteria_model *model, const struct asteria_bec_options *options,
                     const struct store_reader *r)
{
    struct error why = { 0 };
    int rc = asteria_bec_create(out, env, model, options);
    struct asteria_bec *b = *out;

    if (rc == OK)
        rc = fields(&(struct store_fields){ .r = r, .mem = env->mem }, b);
    if (rc == OK && (b->state.round > BEC_ROUNDS || b->state.cursor > b->state.n_slots ||
                     !free_pairs_are_sound(b)))
        rc = store_corrupt(r, "the clusters' lists lead nowhere");
    if (rc == OK && asteria_bec_check_shape(b, &why) != OK)
        rc = store_corrupt(r, why.text);
    if (rc != OK) {
        asteria_bec_destroy(b);
        *out = NULL;
    }
    return rc;
}
