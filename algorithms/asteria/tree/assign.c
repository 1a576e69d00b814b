/* assign.c - assignment of rows to leaves: the angle to the medoid plus penalties for a flipped bit
 * and for the leaf's size.
 */
#include <math.h>
#include <stdlib.h>

#include "algorithms/asteria/tree/internal.h"
#include "kernels/kernels.h"

double asteria_bec_lambda(const struct asteria_bec *b)
{
    return ldexp(b->options.penalty, -(int)b->state.round);
}

static double n_log_n(double n)
{
    return n > 0 ? n * log(n) : 0;
}

static double angle(const struct asteria_bec *b, uint32_t leaf, const float *y, double length)
{
    const double scale = length * (double)b->nodes[leaf].medoid_length;
    const double cosine =
        scale > 0 ? (double)b->env.kernels->ip_f32(y, bec_medoid_of(b, leaf), b->state.rank) / scale
                  : 0;

    return acos(cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

/* |p| of a bit divided by its mean over the sample. */
static double margin(const struct asteria_bec *b, uint32_t slot, unsigned bit)
{
    return abs(2 * bec_q(b, slot)[bit] + 1) / (2 * BEC_Q_MOST / 4.);
}

/* The margin of the address bit that differs from the leaf's prefix; at most one does. */
static double flip_cost(const struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];
    const uint32_t flipped = (address ^ node->value) & node->mask;

    return flipped ? margin(b, slot, (unsigned)__builtin_ctz(flipped)) : 0;
}

struct assigned {
    uint32_t slot, address, leaf;
    const float *y;
    double length, lambda;
};

/* The row's term of the objective if it is in the leaf. Empty leaves have no medoid, so rows do not
   move there. */
static double cost(const struct asteria_bec *b, const struct assigned *r, uint32_t leaf)
{
    const double others = b->nodes[leaf].n - (leaf == r->leaf);

    return others < 1 && leaf != r->leaf
               ? INFINITY
               : angle(b, leaf, r->y, r->length) +
                     r->lambda * (flip_cost(b, r->slot, leaf, r->address) + n_log_n(others + 1) -
                                  n_log_n(others));
}

/* Compares the leaf of the address with the leaves of the address with one bit flipped. Flipping a
   bit that no node on the path splits by leads to the same leaf. Of equals the row's own leaf wins,
   then the first. */
static uint32_t best_leaf(const struct asteria_bec *b, const struct assigned *r)
{
    uint32_t best = r->leaf;
    double least = cost(b, r, r->leaf);

    for (uint32_t node = 0;;) {
        const bool end = bec_is_leaf(b, node);
        const unsigned bit = b->nodes[node].bit;
        const uint32_t side = end ? 0 : r->address >> bit & 1;
        const uint32_t leaf = end ? node : bec_descend(b, b->nodes[node].child + !side, r->address);
        const double there = leaf == r->leaf ? least : cost(b, r, leaf);
        if (there < least) {
            least = there;
            best = leaf;
        }
        if (end)
            return best;
        node = b->nodes[node].child + side;
    }
}

static struct assigned row_of(const struct asteria_bec *b, uint32_t slot, float *y, double lambda)
{
    bec_vector(b, slot, y);
    return (struct assigned){ .slot = slot,
                              .address = b->rows[slot].address,
                              .leaf = asteria_bec_leaf(b, slot),
                              .y = y,
                              .length = sqrt((double)b->env.kernels->ip_f32(y, y, b->state.rank)),
                              .lambda = lambda };
}

/* Rounds cause splits and merges themselves. Without inserts and removals these start at most
   BEC_AGAIN more series of rounds. */
bool asteria_bec_rounds_are_due(struct asteria_bec *b)
{
    if (b->state.round < BEC_ROUNDS)
        return true;
    const bool much = b->state.changed > 0 && b->state.changed * 2 >= b->state.n;
    const bool reshaped =
        b->state.reshaped > 0 && (b->state.changed + b->state.reshaped) * 2 >= b->state.n;
    if (bec_is_leaf(b, 0) || !(much || (reshaped && b->state.again < BEC_AGAIN)))
        return false;
    b->state.again += !much;
    b->state.round = b->state.cursor = 0;
    b->state.changed = b->state.reshaped = 0;
    return true;
}

void asteria_bec_assign(struct asteria_bec *b, size_t most, uint64_t *spent)
{
    const double lambda = asteria_bec_lambda(b);

    for (; most > 0 && b->state.cursor < b->state.n_slots; b->state.cursor++) {
        /* Medoids stay, because the other rows of the leaf are compared with them. */
        if (!asteria_bec_has(b, b->state.cursor) ||
            b->nodes[asteria_bec_leaf(b, b->state.cursor)].medoid == b->state.cursor)
            continue;
        const struct assigned r = row_of(b, b->state.cursor, b->y, lambda);
        const uint32_t to = best_leaf(b, &r);
        if (to != r.leaf) {
            asteria_bec_leave(b, r.slot, b->y);
            asteria_bec_enter(b, r.slot, to, r.address, b->y);
            b->state.moved++;
        }
        most--;
        ++*spent;
    }
    if (b->state.cursor >= b->state.n_slots) {
        b->state.cursor = 0;
        b->state.round++;
    }
}

double asteria_bec_objective(const struct asteria_bec *b, double lambda)
{
    double sum = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        if (b->nodes[i].used && bec_is_leaf(b, i))
            sum += lambda * n_log_n(b->nodes[i].n);
    for (uint32_t slot = 0; slot < b->state.n_slots; slot++)
        if (asteria_bec_has(b, slot)) {
            const struct assigned r = row_of(b, slot, b->y, lambda);
            sum += angle(b, r.leaf, r.y, r.length) + lambda * flip_cost(b, slot, r.leaf, r.address);
        }
    return sum - lambda * n_log_n((double)b->state.n);
}
