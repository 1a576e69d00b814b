/* bec.c - the tree: creation, rows, splits, merges, medoids, assignment, statistics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/internal.h"
#include "algorithms/common/clustering/kmeans.h"
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

static void clear(struct asteria_bec *b, uint32_t node)
{
    memset(bec_tallies(b, node), 0, b->state.bits * sizeof(struct asteria_bec_bit));
    memset(bec_sum(b, node), 0, b->state.rank * sizeof(double));
    memset(bec_medoid_of(b, node), 0, bec_medoid_floats(b) * sizeof(float));
    b->nodes[node].n = 0;
    b->nodes[node].medoid = BEC_NONE;
    b->nodes[node].medoid_length = 0;
    b->nodes[node].changes = 0;
}

static int reserve_nodes(struct asteria_bec *b, size_t n)
{
    struct mem *mem = b->env.mem;

    if (!mem_grow(mem, &b->nodes, &b->nodes_capacity, n, sizeof *b->nodes) ||
        !mem_grow(mem, &b->tallies, &b->tallies_capacity, n * b->state.bits, sizeof *b->tallies) ||
        !mem_grow(mem, &b->sums, &b->sums_capacity, n * b->state.rank, sizeof *b->sums) ||
        !mem_grow(mem, &b->medoids, &b->medoids_capacity, n * bec_medoid_floats(b),
                  sizeof *b->medoids))
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
    if (options->prototypes > 0)
        b->sample = mem_array(env->mem, BEC_SAMPLE * b->state.rank, sizeof *b->sample);
    int rc = b->y && (b->sample || options->prototypes == 0)
                 ? reserve_nodes(b, 1)
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
    clear(b, 0);
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
    mem_free(mem, b->sample);
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

static void relink(struct asteria_bec *b, uint32_t slot, uint32_t leaf)
{
    unlink(b, slot);
    link(b, slot, leaf, b->rows[slot].address);
}

static void tally(struct asteria_bec *b, uint32_t node, uint32_t slot, uint32_t address, bool in)
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
        tally(b, node, slot, address, in);
        for (size_t i = 0; i < b->state.rank; i++)
            sum[i] += sign * (double)y[i];
        /* Clears the rounding errors of adding and subtracting. */
        if (b->nodes[node].n == 0)
            memset(sum, 0, b->state.rank * sizeof *sum);
    }
}

static float length_of(const struct asteria_bec *b, const float *y)
{
    return sqrtf(b->env.kernels->ip_f32(y, y, b->state.rank));
}

static void set_prototype(const struct asteria_bec *b, float *prototype, const float *y)
{
    const float length = length_of(b, y);

    for (size_t i = 0; i < b->state.rank; i++)
        prototype[i] = length > 0 ? y[i] / length : 0;
}

/* The prototypes become the medoid's direction. */
static void set_medoid(struct asteria_bec *b, uint32_t leaf, uint32_t slot, const float *y)
{
    float *medoid = bec_medoid_of(b, leaf);

    memcpy(medoid, y, b->state.rank * sizeof *y);
    b->nodes[leaf].medoid = slot;
    b->nodes[leaf].medoid_length = length_of(b, y);
    for (size_t j = 1; j <= b->options.prototypes; j++)
        set_prototype(b, medoid + j * b->state.rank, medoid);
}

static void enter(struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address,
                  const float *y)
{
    link(b, slot, leaf, address);
    count_up(b, slot, leaf, address, y, true);
    b->nodes[leaf].changes++;
    if (b->nodes[leaf].medoid == BEC_NONE)
        set_medoid(b, leaf, slot, y);
}

/* If the medoid leaves, any row of the leaf replaces it until a new one is found. */
static void leave(struct asteria_bec *b, uint32_t slot, const float *y)
{
    const uint32_t leaf = asteria_bec_leaf(b, slot), address = b->rows[slot].address;
    struct asteria_bec_node *node = &b->nodes[leaf];

    unlink(b, slot);
    count_up(b, slot, leaf, address, y, false);
    node->changes++;
    if (node->n == 0) {
        clear(b, leaf);
    } else if (node->medoid == slot) {
        const uint32_t other = node->first;
        bec_vector(b, other, b->best);
        set_medoid(b, leaf, other, b->best);
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
    enter(b, slot, asteria_bec_leaf_of(b, address), address, b->y);
    b->state.n++;
    b->state.changed++;
    b->state.again = 0;
}

void asteria_bec_remove(struct asteria_bec *b, uint32_t slot)
{
    bec_vector(b, slot, b->y);
    leave(b, slot, b->y);
    b->state.n--;
    b->state.changed++;
    b->state.again = 0;
}

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

/* Prototypes of the leaf from n vectors in b->sample. */
static int find_prototypes(struct asteria_bec *b, uint32_t leaf, size_t n)
{
    struct index_env env = b->env;
    const size_t rank = b->state.rank;
    float *medoid = bec_medoid_of(b, leaf);
    const struct kmeans_options options = {
        .k = b->options.prototypes, .iterations = 8, .init = KMEANS_PLUS_PLUS, .seed = env.seed
    };
    float *centres = mem_array(env.mem, options.k * rank, sizeof *centres);
    size_t made = 0;

    env.dim = rank;
    int rc = centres ? kmeans_train(&env, &options, b->sample, n, centres, &made)
                     : fail(env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory");
    for (size_t j = 0; rc == OK && j < made; j++)
        set_prototype(b, medoid + (1 + j) * rank, centres + j * rank);
    mem_free(env.mem, centres);
    return rc;
}

int asteria_bec_medoid_find(struct asteria_bec *b, uint32_t leaf, uint64_t *spent)
{
    uint32_t slots[BEC_SAMPLE], medoid = BEC_NONE;
    const size_t n = asteria_bec_sample(b, leaf, slots);
    const double *sum = bec_sum(b, leaf);
    double most = -INFINITY;

    for (size_t j = 0; j < n; j++) {
        double product = 0;
        bec_vector(b, slots[j], b->y);
        if (b->sample)
            memcpy(b->sample + j * b->state.rank, b->y, b->state.rank * sizeof *b->y);
        for (size_t i = 0; i < b->state.rank; i++)
            product += sum[i] * (double)b->y[i];
        if (product > most) {
            most = product;
            medoid = slots[j];
            memcpy(b->best, b->y, b->state.rank * sizeof *b->y);
        }
    }
    if (medoid != BEC_NONE)
        set_medoid(b, leaf, medoid, b->best);
    b->nodes[leaf].changes = 0;
    b->state.medoids_found++;
    *spent += n;
    return b->sample && n > 0 ? find_prototypes(b, leaf, n) : OK;
}

/* ---------------------------------------------------------------------- splits, merges */

static bool margin_is_least(const struct asteria_bec *b, uint32_t node, unsigned bit)
{
    return (double)bec_tallies(b, node)[bit].margin < BEC_LEAST_MARGIN * b->nodes[node].n;
}

/* Sum of the entropies of the address bits of a leaf's rows, without those of its prefix. */
static double address_entropy(const struct asteria_bec *b, uint32_t leaf)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];
    double sum = 0;

    for (unsigned i = 0; i < b->state.bits; i++)
        if (!(node->mask >> i & 1))
            sum += bec_entropy(bec_tallies(b, leaf)[i].ones / (double)node->n);
    return sum;
}

static bool is_full(const struct asteria_bec *b, uint32_t leaf)
{
    const size_t n = b->nodes[leaf].n, cap = b->options.leaf_cap;

    /* n rows have at most n addresses. */
    return n > cap && (!b->options.by_entropy || address_entropy(b, leaf) > log2((double)cap));
}

unsigned asteria_bec_split_place(const struct asteria_bec *b, uint32_t leaf)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];
    unsigned place = is_full(b, leaf) ? node->next : b->state.bits;

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
    clear(b, child);
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

const struct asteria_bec_event *asteria_bec_event(const struct asteria_bec *b, size_t i)
{
    const uint64_t n = b->n_events < ASTERIA_BEC_EVENTS ? b->n_events : ASTERIA_BEC_EVENTS;

    return i < n ? &b->events[(b->n_events - n + i) % ASTERIA_BEC_EVENTS] : NULL;
}

int asteria_bec_split(struct asteria_bec *b, uint32_t leaf, unsigned place, uint64_t *spent)
{
    const unsigned bit = b->order[place];
    const bool again = b->state.free_pair != BEC_NONE;
    const uint32_t pair = again ? b->state.free_pair : (uint32_t)b->state.n_nodes;
    int rc = again ? OK : reserve_nodes(b, b->state.n_nodes + 2);

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

        relink(b, slot, child);
        tally(b, child, slot, address, true);
    }
    part_sums(b, leaf, pair);
    b->nodes[leaf].child = pair;
    b->nodes[leaf].bit = (uint8_t)bit;
    b->nodes[leaf].medoid = BEC_NONE;
    *spent += b->nodes[pair].n < b->nodes[pair + 1].n ? b->nodes[pair].n : b->nodes[pair + 1].n;
    b->state.splits++;
    note_event(b, true, leaf, pair);
    b->state.reshaped += b->nodes[leaf].n;
    rc = asteria_bec_medoid_find(b, pair, spent);
    return rc == OK ? asteria_bec_medoid_find(b, pair + 1, spent) : rc;
}

bool asteria_bec_merge_is_due(const struct asteria_bec *b, uint32_t parent)
{
    const uint32_t pair = b->nodes[parent].child;

    if (pair == BEC_NONE || !bec_is_leaf(b, pair) || !bec_is_leaf(b, pair + 1))
        return false;
    const unsigned bit = b->nodes[parent].bit;
    const bool few = (size_t)b->nodes[pair].n + b->nodes[pair + 1].n < b->options.leaf_cap / 4;
    const bool near = margin_is_least(b, pair, bit) && margin_is_least(b, pair + 1, bit);
    return b->options.by_entropy ? few && near : few || near;
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
            relink(b, b->nodes[child].first, parent);
    if (node->n > 0)
        set_medoid(b, parent, b->nodes[large].medoid, bec_medoid_of(b, large));
    node->changes = node->n;
    note_event(b, false, parent, pair);
    b->nodes[pair] = b->nodes[pair + 1] = (struct asteria_bec_node){ .parent = b->state.free_pair,
                                                                     .child = BEC_NONE,
                                                                     .first = BEC_NONE };
    b->state.free_pair = pair;
    b->state.merges++;
    b->state.reshaped += node->n;
}

/* ------------------------------------------------------------------------------- assignment */

double asteria_bec_lambda(const struct asteria_bec *b)
{
    return ldexp(b->options.penalty, -(int)b->state.round);
}

static double n_log_n(double n)
{
    return n > 0 ? n * log(n) : 0;
}

/* The least of those to the medoid and to the prototypes. */
static double angle(const struct asteria_bec *b, uint32_t leaf, const float *y, double length)
{
    const float *medoid = bec_medoid_of(b, leaf);
    const double scale = length * (double)b->nodes[leaf].medoid_length;
    double cosine =
        scale > 0 ? (double)b->env.kernels->ip_f32(y, medoid, b->state.rank) / scale : 0;

    for (size_t j = 1; j <= b->options.prototypes && length > 0; j++) {
        const float product = b->env.kernels->ip_f32(y, medoid + j * b->state.rank, b->state.rank);
        cosine = fmax(cosine, (double)product / length);
    }
    return acos(cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

/* The margin of the address bit that differs from the leaf's prefix, at most one: |p|, divided by
   its mean over the sample. */
static double flip_cost(const struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address)
{
    const struct asteria_bec_node *node = &b->nodes[leaf];
    const uint32_t flipped = (address ^ node->value) & node->mask;

    return flipped ? abs(2 * bec_q(b, slot)[__builtin_ctz(flipped)] + 1) / (2 * BEC_Q_MOST / 4.)
                   : 0;
}

struct assigned {
    uint32_t slot, address, leaf;
    const float *y;
    double length, lambda;
};

/* The row's term, if it is in the leaf, of what assignment minimises: the sum of angles to medoids +
   lambda (sum of margins of flipped bits + n times the sum of share log share over leaves). Empty leaves have no medoid, so rows do not
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
        const struct asteria_bec_row *row = &b->rows[b->state.cursor];

        /* Medoids stay, because the other rows of the leaf are compared with them. */
        if (row->leaf == BEC_NONE || b->nodes[row->leaf].medoid == b->state.cursor)
            continue;
        bec_vector(b, b->state.cursor, b->y);
        const float square = b->env.kernels->ip_f32(b->y, b->y, b->state.rank);
        const struct assigned r = { .slot = b->state.cursor,
                                    .address = row->address,
                                    .leaf = row->leaf,
                                    .y = b->y,
                                    .length = sqrt((double)square),
                                    .lambda = lambda };
        const uint32_t to = best_leaf(b, &r);
        if (to != r.leaf) {
            leave(b, r.slot, b->y);
            enter(b, r.slot, to, r.address, b->y);
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

/* ------------------------------------------------------------------------------- maintain */

enum { ROWS_A_STEP = 4096 };

static bool split_is_due(const struct asteria_bec *b, uint32_t node)
{
    return b->nodes[node].used && bec_is_leaf(b, node) &&
           asteria_bec_split_place(b, node) < b->state.bits;
}

/* Sets *did if anything was done. Children have higher numbers than their parents, so the children
   of a split leaf are visited, too. */
static int tend_nodes(struct asteria_bec *b, uint64_t budget, uint64_t *spent, bool *did)
{
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->state.n_nodes && *spent < budget; i++)
        if (split_is_due(b, i)) {
            rc = asteria_bec_split(b, i, asteria_bec_split_place(b, i), spent);
            *did = true;
        }
    for (uint32_t i = (uint32_t)b->state.n_nodes; rc == OK && i-- > 0 && *spent < budget;)
        if (b->nodes[i].used && asteria_bec_merge_is_due(b, i)) {
            merge(b, i);
            *did = true;
        }
    /* Not during a round: a round minimises the objective for fixed medoids. */
    for (uint32_t i = 0;
         rc == OK && b->state.cursor == 0 && i < b->state.n_nodes && *spent < budget; i++)
        if (medoid_is_due(b, i)) {
            rc = asteria_bec_medoid_find(b, i, spent);
            *did = true;
        }
    return rc;
}

int asteria_bec_maintain(struct asteria_bec *b, uint64_t budget, bool *more)
{
    uint64_t spent = 0;
    bool did = true;
    int rc = OK;

    budget = budget > 0 ? budget : UINT64_MAX;
    while (rc == OK && did && spent < budget) {
        did = false;
        rc = tend_nodes(b, budget, &spent, &did);
        if (rc == OK && spent < budget && asteria_bec_rounds_are_due(b)) {
            const uint64_t left = budget - spent;
            asteria_bec_assign(b, left < ROWS_A_STEP ? (size_t)left : ROWS_A_STEP, &spent);
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

/* ------------------------------------------------------------------------------- statistics */

uint32_t asteria_bec_leaf(const struct asteria_bec *b, uint32_t slot)
{
    return slot < b->state.n_slots ? b->rows[slot].leaf : BEC_NONE;
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

void asteria_bec_stats(const struct asteria_bec *b, struct stat_sink *sink)
{
    const struct asteria_bec_event *e;
    double nodes = 0, leaves = 0, largest = 0, entropy = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++) {
        const struct asteria_bec_node *node = &b->nodes[i];
        nodes += node->used;
        if (!node->used || !bec_is_leaf(b, i))
            continue;
        const double share = b->state.n > 0 ? node->n / (double)b->state.n : 0;
        leaves++;
        largest = node->n > largest ? node->n : largest;
        entropy -= share > 0 ? share * log2(share) : 0; /* in bits */
    }
    sink->value(sink->to, "tree_leaves", leaves);
    sink->value(sink->to, "tree_nodes", nodes);
    sink->value(sink->to, "tree_depth", asteria_bec_depth(b));
    sink->value(sink->to, "tree_splits", (double)b->state.splits);
    sink->value(sink->to, "tree_merges", (double)b->state.merges);
    sink->value(sink->to, "tree_moved", (double)b->state.moved);
    sink->value(sink->to, "tree_medoids", (double)b->state.medoids_found);
    sink->value(sink->to, "tree_largest", largest);
    sink->value(sink->to, "tree_entropy", entropy);
    for (size_t i = 0; (e = asteria_bec_event(b, i)); i++) {
        sink->cell(sink->to, "tree_events", i, "split", e->split);
        sink->cell(sink->to, "tree_events", i, "depth", e->depth);
        sink->cell(sink->to, "tree_events", i, "parent", e->parent);
        sink->cell(sink->to, "tree_events", i, "child", e->child);
        sink->cell(sink->to, "tree_events", i, "rows_0", e->rows[0]);
        sink->cell(sink->to, "tree_events", i, "rows_1", e->rows[1]);
    }
}

uint64_t asteria_bec_bytes(const struct asteria_bec *b)
{
    return sizeof *b + b->nodes_capacity * sizeof *b->nodes +
           b->tallies_capacity * sizeof *b->tallies + b->sums_capacity * sizeof *b->sums +
           b->medoids_capacity * sizeof *b->medoids + b->rows_capacity * sizeof *b->rows +
           b->q_capacity * sizeof *b->q +
           (b->sample ? 2 + BEC_SAMPLE : 2U) * b->state.rank * sizeof *b->y;
}
