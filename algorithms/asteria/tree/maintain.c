/* maintain.c - maintenance of the tree: splits of large leaves, merges of small or unclear pairs,
 * medoids; rounds of assignment are in assign.c.
 */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/tree/internal.h"

/* ------------------------------------------------------------------------------- medoids */

static bool medoid_is_due(const struct asteria_bec *b, uint32_t leaf)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];

    return node->used && node->child == BEC_NONE && node->n > 0 && node->changes > 0 &&
           (uint64_t)node->changes * 8 >= node->n;
}

/* Every step-th row. */
size_t asteria_bec_sample(const struct asteria_bec *b, uint32_t leaf, uint32_t *slots)
{
    const size_t step = ((size_t)b->nodes[leaf].n + BEC_SAMPLE - 1) / BEC_SAMPLE;
    size_t i = 0, n = 0;

    for (uint32_t slot = b->nodes[leaf].first; slot != BEC_NONE; slot = b->rows[slot].next, i++)
        if (i % step == 0)
            slots[n++] = slot;
    return n;
}

void asteria_bec_medoid_find(struct asteria_bec *b, uint32_t leaf, uint64_t *spent)
{
    uint32_t slots[BEC_SAMPLE], medoid = BEC_NONE;
    const size_t n = asteria_bec_sample(b, leaf, slots);
    const double *sum = bec_sum(b, leaf);
    double most = -INFINITY;

    for (size_t j = 0; j < n; j++) {
        double product = 0;
        bec_vector(b, slots[j], b->y);
        for (size_t i = 0; i < b->state.rank; i++)
            product += sum[i] * (double)b->y[i];
        if (product > most) {
            most = product;
            medoid = slots[j];
            memcpy(b->best, b->y, b->state.rank * sizeof *b->y);
        }
    }
    if (medoid != BEC_NONE)
        asteria_bec_medoid_set(b, leaf, medoid, b->best);
    b->nodes[leaf].changes = 0;
    b->state.medoids_found++;
    *spent += n;
}

/* ---------------------------------------------------------------------- splits, merges */

static bool margin_is_least(const struct asteria_bec *b, uint32_t node, unsigned bit)
{
    return (double)bec_tallies(b, node)[bit].margin < BEC_LEAST_MARGIN * b->nodes[node].n;
}

unsigned asteria_bec_split_place(const struct asteria_bec *b, uint32_t leaf)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];
    unsigned place = node->n > b->options.leaf_cap ? node->next : b->state.bits;

    for (; place < b->state.bits; place++) {
        const unsigned bit = b->order[place];
        if (bec_entropy(bec_tallies(b, leaf)[bit].ones / (double)node->n) >= BEC_LEAST_ENTROPY &&
            !margin_is_least(b, leaf, bit))
            break;
    }
    return place;
}

static void child_of(struct asteria_bec *b, uint32_t parent, uint32_t child, unsigned place,
                     uint32_t side)
{
    const struct asteria_bec_node *above = &b->nodes[parent];
    const unsigned bit = b->order[place];

    b->nodes[child] = (struct asteria_bec_node){ .parent = parent,
                                                 .child = BEC_NONE,
                                                 .mask = above->mask | 1U << bit,
                                                 .value = above->value | side << bit,
                                                 .depth = (uint8_t)(above->depth + 1),
                                                 .next = (uint8_t)(place + 1),
                                                 .used = true,
                                                 .first = BEC_NONE };
    asteria_bec_clear(b, child);
}

/* Reads the vectors of the smaller child only; the other's sum is the difference. */
static void part_sums(struct asteria_bec *b, uint32_t leaf, uint32_t pair)
{
    const uint32_t small = pair + (b->nodes[pair + 1].n < b->nodes[pair].n);
    double *less = bec_sum(b, small), *rest = bec_sum(b, pair + (small == pair));
    const double *all = bec_sum(b, leaf);

    for (uint32_t slot = b->nodes[small].first; slot != BEC_NONE; slot = b->rows[slot].next) {
        bec_vector(b, slot, b->y);
        for (size_t i = 0; i < b->state.rank; i++)
            less[i] += (double)b->y[i];
    }
    for (size_t i = 0; i < b->state.rank; i++)
        rest[i] = all[i] - less[i];
}

static void note_event(struct asteria_bec *b, bool split, uint32_t parent, uint32_t pair)
{
    b->events[b->n_events++ % ASTERIA_BEC_EVENTS] =
        (struct asteria_bec_event){ .split = split,
                                    .depth = b->nodes[parent].depth,
                                    .parent = parent,
                                    .child = pair,
                                    .rows = { b->nodes[pair].n, b->nodes[pair + 1].n } };
}

size_t asteria_bec_events(const struct asteria_bec *b, struct asteria_bec_event *out, size_t most)
{
    const uint64_t kept = b->n_events < ASTERIA_BEC_EVENTS ? b->n_events : ASTERIA_BEC_EVENTS;
    const size_t n = kept < most ? (size_t)kept : most;

    for (size_t i = 0; i < n; i++)
        out[i] = b->events[(b->n_events - n + i) % ASTERIA_BEC_EVENTS];
    return n;
}

int asteria_bec_split(struct asteria_bec *b, uint32_t leaf, unsigned place, uint64_t *spent)
{
    const unsigned bit = b->order[place];
    const bool again = b->state.free_pair != BEC_NONE;
    const uint32_t pair = again ? b->state.free_pair : (uint32_t)b->state.n_nodes;
    const int rc = again ? OK : asteria_bec_reserve_nodes(b, b->state.n_nodes + 2);

    if (rc != OK)
        return rc;
    if (again)
        b->state.free_pair = b->nodes[pair].parent;
    else
        b->state.n_nodes += 2;
    child_of(b, leaf, pair, place, 0);
    child_of(b, leaf, pair + 1, place, 1);
    /* Moves rows by their address's bit, and counts them again. */
    for (uint32_t slot = b->nodes[leaf].first; slot != BEC_NONE; slot = b->nodes[leaf].first) {
        const uint32_t address = b->rows[slot].address, child = pair + (address >> bit & 1);

        asteria_bec_relink(b, slot, child);
        asteria_bec_tally(b, child, slot, address, true);
    }
    part_sums(b, leaf, pair);
    b->nodes[leaf].child = pair;
    b->nodes[leaf].bit = (uint8_t)bit;
    b->nodes[leaf].medoid = BEC_NONE;
    *spent += b->nodes[pair].n < b->nodes[pair + 1].n ? b->nodes[pair].n : b->nodes[pair + 1].n;
    asteria_bec_medoid_find(b, pair, spent);
    asteria_bec_medoid_find(b, pair + 1, spent);
    b->state.splits++;
    note_event(b, true, leaf, pair);
    b->state.reshaped += b->nodes[leaf].n;
    return OK;
}

bool asteria_bec_merge_is_due(const struct asteria_bec *b, uint32_t parent)
{
    const uint32_t pair = b->nodes[parent].child;

    if (pair == BEC_NONE || !bec_is_leaf(b, pair) || !bec_is_leaf(b, pair + 1))
        return false;
    const unsigned bit = b->nodes[parent].bit;
    return (size_t)b->nodes[pair].n + b->nodes[pair + 1].n < b->options.leaf_cap / 4 ||
           (margin_is_least(b, pair, bit) && margin_is_least(b, pair + 1, bit));
}

/* Counts and sums are already the parent's. The larger child's medoid is used until a new
   one is found. */
static void merge(struct asteria_bec *b, uint32_t parent)
{
    struct asteria_bec_node *node = &b->nodes[parent];
    const uint32_t pair = node->child;
    const uint32_t large = pair + (b->nodes[pair + 1].n > b->nodes[pair].n);

    node->child = BEC_NONE;
    for (uint32_t child = pair; child <= pair + 1; child++)
        while (b->nodes[child].first != BEC_NONE)
            asteria_bec_relink(b, b->nodes[child].first, parent);
    if (node->n > 0)
        asteria_bec_medoid_set(b, parent, b->nodes[large].medoid, bec_medoid_of(b, large));
    node->changes = node->n;
    note_event(b, false, parent, pair);
    b->nodes[pair] = b->nodes[pair + 1] = (struct asteria_bec_node){ .parent = b->state.free_pair,
                                                                     .child = BEC_NONE,
                                                                     .first = BEC_NONE };
    b->state.free_pair = pair;
    b->state.merges++;
    b->state.reshaped += node->n;
}

/* ------------------------------------------------------------------------------- maintain */

enum { ROWS_A_STEP = 4096 };

struct tree_maintenance {
    struct asteria_bec *b;
    uint64_t budget, spent; /* budget UINT64_MAX: no limit */
};

static bool split_is_due(const struct asteria_bec *b, uint32_t node)
{
    return b->nodes[node].used && bec_is_leaf(b, node) &&
           asteria_bec_split_place(b, node) < b->state.bits;
}

/* Sets *did if anything was done. Children have higher numbers than their parents, so the children
   of a split leaf are visited, too. */
static int tend_nodes(struct tree_maintenance *u, bool *did)
{
    struct asteria_bec *b = u->b;
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->state.n_nodes && u->spent < u->budget; i++)
        if (split_is_due(b, i)) {
            rc = asteria_bec_split(b, i, asteria_bec_split_place(b, i), &u->spent);
            *did = true;
        }
    for (uint32_t i = (uint32_t)b->state.n_nodes; rc == OK && i-- > 0 && u->spent < u->budget;)
        if (b->nodes[i].used && asteria_bec_merge_is_due(b, i)) {
            merge(b, i);
            *did = true;
        }
    /* Not during a round: a round minimises the objective for fixed medoids. */
    for (uint32_t i = 0;
         rc == OK && b->state.cursor == 0 && i < b->state.n_nodes && u->spent < u->budget; i++)
        if (medoid_is_due(b, i)) {
            asteria_bec_medoid_find(b, i, &u->spent);
            *did = true;
        }
    return rc;
}

int asteria_bec_maintain(struct asteria_bec *b, uint64_t budget, bool *more)
{
    struct tree_maintenance u = { b, budget > 0 ? budget : UINT64_MAX, 0 };
    bool did = true;
    int rc = OK;

    while (rc == OK && did && u.spent < u.budget) {
        did = false;
        rc = tend_nodes(&u, &did);
        if (rc == OK && u.spent < u.budget && asteria_bec_rounds_are_due(b)) {
            const uint64_t left = u.budget - u.spent;
            asteria_bec_assign(b, left < ROWS_A_STEP ? (size_t)left : ROWS_A_STEP, &u.spent);
            did = true;
        }
    }
    *more = false;
    for (uint32_t i = 0; rc == OK && !*more && i < b->state.n_nodes; i++)
        *more = b->nodes[i].used &&
                (split_is_due(b, i) || asteria_bec_merge_is_due(b, i) || medoid_is_due(b, i));
    *more |= rc == OK && !*more && asteria_bec_rounds_are_due(b);
    return rc;
}
