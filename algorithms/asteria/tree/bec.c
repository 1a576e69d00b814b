/* bec.c - creation of the tree, adding and removing rows, statistics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/internal.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* Orders bits by falling entropy x margin; of equals the lower bit first. A bit without margin gets
   a scale, too. */
static void learn(struct asteria_bec *b, const struct asteria_model *model)
{
    double worth[ECC_ADDRESS_MAX];

    b->state.bits = model->ecc.k;
    for (unsigned i = 0; i < b->state.bits; i++) {
        const double margin = model->fitted.bit_margin[i];
        unsigned at = i;
        worth[i] = bec_entropy(model->fitted.bit_mean[i]) * margin;
        b->scale[i] = (float)(BEC_Q_MOST / (4 * (margin > 1e-6 ? margin : 1e-6)));
        for (; at > 0 && worth[b->order[at - 1]] < worth[i]; at--)
            b->order[at] = b->order[at - 1];
        b->order[at] = (uint8_t)i;
    }
}

void asteria_bec_clear(struct asteria_bec *b, uint32_t node)
{
    memset(bec_tallies(b, node), 0, b->state.bits * sizeof(struct asteria_bec_bit));
    memset(bec_sum(b, node), 0, b->state.rank * sizeof(double));
    memset(bec_medoid_of(b, node), 0, b->state.rank * sizeof(float));
    b->nodes[node].n = 0;
    b->nodes[node].medoid = BEC_NONE;
    b->nodes[node].medoid_length = 0;
    b->nodes[node].changes = 0;
}

int asteria_bec_reserve_nodes(struct asteria_bec *b, size_t n)
{
    struct mem *mem = b->env.mem;

    if (!mem_grow(mem, &b->nodes, &b->nodes_capacity, n, sizeof *b->nodes) ||
        !mem_grow(mem, &b->tallies, &b->tallies_capacity, n * b->state.bits, sizeof *b->tallies) ||
        !mem_grow(mem, &b->sums, &b->sums_capacity, n * b->state.rank, sizeof *b->sums) ||
        !mem_grow(mem, &b->medoids, &b->medoids_capacity, n * b->state.rank, sizeof *b->medoids))
        return fail(b->env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory for %zu nodes",
                    n);
    return OK;
}

int asteria_bec_create(struct asteria_bec **out, const struct index_env *env,
                       const struct asteria_model *model, const struct asteria_bec_options *options)
{
    *out = NULL;
    struct asteria_bec *b = mem_zalloc(env->mem, sizeof *b);
    if (!b)
        return fail(env->error, ERR_NO_MEMORY, "asteria: clusters: out of memory");
    b->env = *env;
    b->state.rank = options->rank;
    b->options = *options;
    b->state.free_pair = BEC_NONE;
    b->state.round = BEC_ROUNDS;
    learn(b, model);
    b->y = mem_array(env->mem, 2 * b->state.rank, sizeof *b->y);
    int rc = b->y ? asteria_bec_reserve_nodes(b, 1)
                  : fail(env->error, ERR_NO_MEMORY, "asteria: clusters: out of memory");
    if (rc != OK) {
        asteria_bec_destroy(b);
        return rc;
    }
    b->best = b->y + b->state.rank;
    b->nodes[0] = (struct asteria_bec_node){
        .parent = BEC_NONE, .child = BEC_NONE, .first = BEC_NONE, .used = true
    };
    b->state.n_nodes = 1;
    asteria_bec_clear(b, 0);
    *out = b;
    return OK;
}

void asteria_bec_destroy(struct asteria_bec *b)
{
    if (!b)
        return;
    struct mem *mem = b->env.mem;
    mem_free(mem, b->nodes);
    mem_free(mem, b->tallies);
    mem_free(mem, b->sums);
    mem_free(mem, b->medoids);
    mem_free(mem, b->rows);
    mem_free(mem, b->q);
    mem_free(mem, b->y);
    mem_free(mem, b);
}

int asteria_bec_reserve(struct asteria_bec *b, size_t n_slots)
{
    if (!mem_grow(b->env.mem, &b->rows, &b->rows_capacity, n_slots, sizeof *b->rows) ||
        !mem_grow(b->env.mem, &b->q, &b->q_capacity, n_slots * b->state.bits, sizeof *b->q))
        return fail(b->env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory for %zu rows",
                    n_slots);
    for (; b->state.n_slots < n_slots; b->state.n_slots++) {
        b->rows[b->state.n_slots] = (struct asteria_bec_row){ .leaf = BEC_NONE };
        memset(b->q + b->state.n_slots * b->state.bits, 0, b->state.bits);
    }
    return OK;
}

static void link(struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address)
{
    const uint32_t next = b->nodes[leaf].first;

    b->rows[slot] = (struct asteria_bec_row){ leaf, address, .next = next, .prev = BEC_NONE };
    if (next != BEC_NONE)
        b->rows[next].prev = slot;
    b->nodes[leaf].first = slot;
}

static void unlink(struct asteria_bec *b, uint32_t slot)
{
    struct asteria_bec_row *row = &b->rows[slot];

    if (row->prev == BEC_NONE)
        b->nodes[row->leaf].first = row->next;
    else
        b->rows[row->prev].next = row->next;
    if (row->next != BEC_NONE)
        b->rows[row->next].prev = row->prev;
    row->leaf = BEC_NONE;
}

void asteria_bec_relink(struct asteria_bec *b, uint32_t slot, uint32_t leaf)
{
    unlink(b, slot);
    link(b, slot, leaf, b->rows[slot].address);
}

void asteria_bec_tally(struct asteria_bec *b, uint32_t node, uint32_t slot, uint32_t address,
                       bool in)
{
    struct asteria_bec_bit *tallies = bec_tallies(b, node);
    const int8_t *q = bec_q(b, slot);

    for (unsigned i = 0; i < b->state.bits; i++) {
        struct asteria_bec_bit *t = &tallies[i];
        const uint64_t margin = (uint64_t)abs(2 * q[i] + 1);
        t->margin += in ? margin : -margin;
        t->ones += in ? address >> i & 1U : -(address >> i & 1U);
    }
    b->nodes[node].n += in ? 1U : -1U;
}

static void count_up(struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address,
                     const float *y, bool in)
{
    const double sign = in ? 1 : -1;

    for (uint32_t node = leaf; node != BEC_NONE; node = b->nodes[node].parent) {
        double *sum = bec_sum(b, node);
        asteria_bec_tally(b, node, slot, address, in);
        for (size_t i = 0; i < b->state.rank; i++)
            sum[i] += sign * (double)y[i];
        /* Clears the rounding errors of adding and subtracting. */
        if (b->nodes[node].n == 0)
            memset(sum, 0, b->state.rank * sizeof *sum);
    }
}

void asteria_bec_medoid_set(struct asteria_bec *b, uint32_t leaf, uint32_t slot, const float *y)
{
    memcpy(bec_medoid_of(b, leaf), y, b->state.rank * sizeof *y);
    b->nodes[leaf].medoid = slot;
    b->nodes[leaf].medoid_length = sqrtf(b->env.kernels->ip_f32(y, y, b->state.rank));
}

void asteria_bec_enter(struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address,
                       const float *y)
{
    link(b, slot, leaf, address);
    count_up(b, slot, leaf, address, y, true);
    b->nodes[leaf].changes++;
    if (b->nodes[leaf].medoid == BEC_NONE)
        asteria_bec_medoid_set(b, leaf, slot, y);
}

/* If the medoid leaves, any row of the leaf replaces it until a new one is found. */
void asteria_bec_leave(struct asteria_bec *b, uint32_t slot, const float *y)
{
    const uint32_t leaf = asteria_bec_leaf(b, slot), address = b->rows[slot].address;
    struct asteria_bec_node *node = &b->nodes[leaf];

    unlink(b, slot);
    count_up(b, slot, leaf, address, y, false);
    node->changes++;
    if (node->n == 0) {
        asteria_bec_clear(b, leaf);
    } else if (node->medoid == slot) {
        const uint32_t other = node->first;
        bec_vector(b, other, b->best);
        asteria_bec_medoid_set(b, leaf, other, b->best);
        node->changes = node->n;
    }
}

void asteria_bec_add(struct asteria_bec *b, uint32_t slot, uint32_t address, const float *p)
{
    int8_t *q = b->q + (size_t)slot * b->state.bits;

    for (unsigned i = 0; i < b->state.bits; i++) {
        const float at = floorf(p[i] * b->scale[i]);
        q[i] = (int8_t)(at < BEC_Q_LEAST ? BEC_Q_LEAST : at > BEC_Q_MOST ? BEC_Q_MOST : at);
    }
    bec_vector(b, slot, b->y);
    asteria_bec_enter(b, slot, asteria_bec_leaf_of(b, address), address, b->y);
    b->state.n++;
    b->state.changed++;
    b->state.again = 0;
}

void asteria_bec_remove(struct asteria_bec *b, uint32_t slot)
{
    bec_vector(b, slot, b->y);
    asteria_bec_leave(b, slot, b->y);
    b->state.n--;
    b->state.changed++;
    b->state.again = 0;
}

bool asteria_bec_has(const struct asteria_bec *b, uint32_t slot)
{
    return slot < b->state.n_slots && b->rows[slot].leaf != BEC_NONE;
}

uint32_t asteria_bec_leaf(const struct asteria_bec *b, uint32_t slot)
{
    return b->rows[slot].leaf;
}

uint32_t asteria_bec_leaf_of(const struct asteria_bec *b, uint32_t address)
{
    return bec_descend(b, 0, address);
}

unsigned asteria_bec_depth(const struct asteria_bec *b)
{
    unsigned depth = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        if (b->nodes[i].used && b->nodes[i].depth > depth)
            depth = b->nodes[i].depth;
    return depth;
}

struct asteria_bec_counts asteria_bec_count_events(const struct asteria_bec *b)
{
    struct asteria_bec_counts c = { .depth = asteria_bec_depth(b),
                                    .splits = b->state.splits,
                                    .merges = b->state.merges,
                                    .moved = b->state.moved,
                                    .medoids = b->state.medoids_found };

    for (uint32_t i = 0; i < b->state.n_nodes; i++) {
        const struct asteria_bec_node *node = &b->nodes[i];
        if (!node->used)
            continue;
        c.nodes++;
        if (!bec_is_leaf(b, i))
            continue;
        const double share = b->state.n > 0 ? node->n / (double)b->state.n : 0;
        c.leaves++;
        c.largest = node->n > c.largest ? node->n : c.largest;
        c.entropy -= share > 0 ? share * log2(share) : 0;
    }
    return c;
}

uint64_t asteria_bec_bytes(const struct asteria_bec *b)
{
    return sizeof *b + b->nodes_capacity * sizeof *b->nodes +
           b->tallies_capacity * sizeof *b->tallies + b->sums_capacity * sizeof *b->sums +
           b->medoids_capacity * sizeof *b->medoids + b->rows_capacity * sizeof *b->rows +
           b->q_capacity * sizeof *b->q + 2 * b->state.rank * sizeof *b->y;
}
