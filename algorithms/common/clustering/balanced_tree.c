/* balanced_tree.c - the tree of clusters.
 *
 * `order` lists the rows so that a node's are together, its centre first. A node of s rows at
 * order[lo ..] owns as many node numbers as it has rows below: first its children, then each
 * child's own descendants. So every row is the centre of one node, numbers do not depend on which
 * thread divides a node, or when, and a node's descendants have larger numbers than the node.
 *
 * Nodes of many rows are divided one at a time, their rows assigned on all threads. The remaining
 * nodes are divided in parallel, each with its whole subtree on one thread. */
#include <math.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "algorithms/common/clustering/balanced_means_internal.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Nodes of more rows are divided with all threads. */
enum { WIDE_ROWS = 16384 };
/* Only rows that k-means cannot divide well reach this depth, such as rows each twice as far out as
   the one before. They are divided in their order, so that depth and work stay within n log n. */
enum { DEPTH_MAX = 48 };

struct item {
    uint32_t node;
    uint32_t lo;    /* its centre in order[] */
    uint32_t below; /* the first node number it owns */
    uint32_t depth;
};

struct stack {
    struct item *items;
    size_t n, capacity;
};

struct builder {
    const struct index_env *env;
    struct balanced_options options;
    struct vectors rows;
    struct mem_group memory; /* of the arrays below but the nodes */
    struct balanced_node *nodes;
    uint32_t *order, *label, *moved; /* n each; label, moved: cluster of and scratch for the row at
                                        the same position of order */
    float *distance;                 /* n: from its cluster's centre */
    struct worker *workers;
    size_t n_workers;
    struct stack wide, narrow;
};

/* State of one thread. */
struct worker {
    struct balanced_means means; /* its rows and distances also serve assignments */
    struct mem_group memory;
    size_t *end;    /* fanout: end of a cluster's rows */
    uint32_t *near; /* fanout: position of the row nearest to the centre */
    struct stack stack;
};

static int no_memory(const struct builder *b)
{
    return fail(b->env->error, ERR_NO_MEMORY, "a tree of %zu rows: out of memory", b->rows.n);
}

static bool push(struct builder *b, struct stack *stack, struct item item)
{
    if (!mem_grow(b->env->mem, &stack->items, &stack->capacity, stack->n + 1, sizeof item))
        return false;
    stack->items[stack->n++] = item;
    return true;
}

/* 1. Assigning rows to the centres of m->centres, without balance */

struct assignment {
    struct builder *b;
    const float *centres;
    size_t lo, k;
};

static void assign_some(const struct assignment *a, struct balanced_means *m, size_t first,
                        size_t end)
{
    const struct builder *b = a->b;
    const struct kernels *kernels = b->env->kernels;
    size_t width;

    for (size_t at = a->lo + first; at < a->lo + end; at += width) {
        width = a->lo + end - at < BALANCED_BLOCK ? a->lo + end - at : BALANCED_BLOCK;
        balanced_gather(b->rows, b->order + at, 0, width, m->rows);
        kernels->l2sq_f32_mn(m->rows, width, a->centres, a->k, m->dim, m->distances, a->k);
        for (size_t i = 0; i < width; i++) {
            const size_t best = kernels->argmin_f32(m->distances + i * a->k, a->k);
            b->label[at + i] = (uint32_t)best;
            b->distance[at + i] = m->distances[i * a->k + best];
        }
    }
}

static int assign_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct assignment *a = arg;

    assign_some(a, &a->b->workers[worker].means, first, end);
    return OK;
}

/* Assigns the n rows at order[lo ..]. Returns the number of clusters with rows; w->end[c]: rows of
   cluster c. */
static size_t assign(struct builder *b, struct worker *w, size_t lo, size_t n, size_t k)
{
    struct assignment a = { b, w->means.centres, lo, k };
    size_t used = 0;

    if (n > WIDE_ROWS)
        (void)parallel_for(b->env->pool, b->n_workers, n, 16 * BALANCED_BLOCK, assign_chunk, &a);
    else
        assign_some(&a, &w->means, 0, n);
    memset(w->end, 0, k * sizeof *w->end);
    for (size_t i = lo; i < lo + n; i++)
        used += w->end[b->label[i]]++ == 0;
    return used;
}

/* 2. Dividing the rows below a node */

static void sample_rows(struct builder *b, struct worker *w, size_t lo, size_t n, size_t m,
                        struct rng *rng)
{
    struct balanced_means *means = &w->means;

    if (m == n) {
        balanced_gather(b->rows, b->order + lo, 0, n, means->rows);
        return;
    }
    rng_sample(rng, n, m, means->picks);
    for (size_t i = 0; i < m; i++)
        balanced_gather(b->rows, b->order + lo + means->picks[i], 0, 1,
                        means->rows + i * means->dim);
}

/* k-means has found one cluster only: the first row and the row farthest from it become centres.
   false: all rows are identical. */
static bool farthest_two(struct builder *b, struct worker *w, size_t lo, size_t n)
{
    float *centres = w->means.centres;
    size_t far = lo;

    balanced_gather(b->rows, b->order + lo, 0, 1, centres);
    assign(b, w, lo, n, 1);
    for (size_t i = lo; i < lo + n; i++)
        if (b->distance[i] > b->distance[far])
            far = i;
    balanced_gather(b->rows, b->order + far, 0, 1, centres + w->means.dim);
    return b->distance[far] > 0;
}

/* Assigns rows to k runs in their order. */
static void assign_in_order(struct builder *b, struct worker *w, size_t lo, size_t n, size_t k)
{
    memset(w->end, 0, k * sizeof *w->end);
    for (size_t i = 0; i < n; i++) {
        b->label[lo + i] = (uint32_t)(i * k / n);
        b->distance[lo + i] = 0;
        w->end[i * k / n]++;
    }
}

/* Reorders rows by cluster, each cluster's nearest to the centre first, the others in their order.
   Turns the counts in w->end into ends; empty clusters are dropped. */
static size_t group(struct builder *b, struct worker *w, size_t lo, size_t n, size_t k)
{
    size_t at = lo, used = 0;

    for (size_t c = 0; c < k; c++) {
        const size_t count = w->end[c];
        w->end[c] = at;
        w->near[c] = UINT32_MAX;
        at += count;
    }
    for (size_t i = lo; i < lo + n; i++) {
        const uint32_t c = b->label[i];
        const size_t to = w->end[c]++;
        b->moved[to] = b->order[i];
        if (w->near[c] == UINT32_MAX || b->distance[i] < b->distance[w->near[c]])
            w->near[c] = (uint32_t)i;
    }
    for (size_t c = 0, first = lo; c < k; first = w->end[c++]) {
        if (w->end[c] == first)
            continue;
        const uint32_t centre = b->order[w->near[c]];
        for (at = first; b->moved[at] != centre; at++)
            ;
        memmove(b->moved + first + 1, b->moved + first, (at - first) * sizeof *b->moved);
        b->moved[first] = centre;
    }
    memcpy(b->order + lo, b->moved + lo, n * sizeof *b->order);
    for (size_t c = 0, first = lo; c < k; first = w->end[c++])
        if (w->end[c] > first)
            w->end[used++] = w->end[c];
    return used;
}

/* Clusters the n rows at order[lo ..], with ends in w->end. Returns the number of clusters; 1: all
   rows are identical. */
static size_t cluster(struct builder *b, struct worker *w, const struct item *item, size_t lo,
                      size_t n)
{
    const struct balanced_options *o = &b->options;
    const size_t wanted = (n + o->leaf - 1) / o->leaf, m = n < o->samples ? n : o->samples;
    size_t k = wanted < o->fanout ? wanted : o->fanout, used;
    struct rng rng = rng_at(o->seed, item->node);

    k = k < 2 ? 2 : k > m ? m : k;
    sample_rows(b, w, lo, n, m, &rng);
    balanced_means_run(&w->means, m, k, o->iterations, o->balance, &rng);
    used = assign(b, w, lo, n, k);
    if (used == 1) {
        if (!farthest_two(b, w, lo, n))
            return 1;
        k = 2;
        used = assign(b, w, lo, n, k);
    }
    if (used == 1 || item->depth >= DEPTH_MAX)
        assign_in_order(b, w, lo, n, k);
    return group(b, w, lo, n, k);
}

/* Makes each row below the node a node of size 1. */
static void divide_singly(struct builder *b, const struct item *item, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b->nodes[item->below + i] = (struct balanced_node){ b->order[item->lo + 1 + i], 0, 0, 1 };
    b->nodes[item->node].n = (uint32_t)n;
}

/* Makes the node's children; those to be divided further go to the stacks. */
static int divide(struct builder *b, struct worker *w, struct item item, struct stack *wide,
                  struct stack *narrow)
{
    struct balanced_node *node = &b->nodes[item.node];
    const size_t lo = item.lo + 1, n = node->size - 1;

    node->first = item.below;
    const size_t k = n > b->options.leaf ? cluster(b, w, &item, lo, n) : 1;
    if (k == 1) {
        divide_singly(b, &item, n);
        return OK;
    }
    node->n = (uint32_t)k;
    size_t below = item.below + k;
    for (size_t c = 0, first = lo; c < k; first = w->end[c++]) {
        const size_t size = w->end[c] - first, child = item.below + c;
        b->nodes[child] = (struct balanced_node){ b->order[first], 0, 0, (uint32_t)size };
        struct item next = { (uint32_t)child, (uint32_t)first, (uint32_t)below, item.depth + 1 };
        if (size > 1 && !push(b, size > WIDE_ROWS ? wide : narrow, next))
            return no_memory(b);
        below += size - 1;
    }
    return OK;
}

static int divide_all_below(void *arg, size_t first, size_t end, size_t worker)
{
    struct builder *b = arg;
    struct worker *w = &b->workers[worker];
    int rc = OK;

    for (size_t i = first; i < end && !rc; i++) {
        w->stack.n = 0;
        rc = divide(b, w, b->narrow.items[i], &w->stack, &w->stack);
        while (!rc && w->stack.n > 0)
            rc = divide(b, w, w->stack.items[--w->stack.n], &w->stack, &w->stack);
    }
    return rc;
}

/* 3. Building the tree */

/* The power of ten for `balance` that makes clusters of m rows most even. Balance places the
   centres, but rows finally go to the nearest centre, so evenness is measured that way. */
static double most_even(struct builder *b, struct balanced_means *means, size_t m)
{
    const struct balanced_options *o = &b->options;
    const size_t k = o->fanout < m ? o->fanout : m;
    double best = INFINITY, chosen = 0;

    for (int decade = -3; decade <= 3; decade++) {
        struct rng rng = rng_at(o->seed, UINT64_MAX - 1);
        const double balance = pow(10, decade);
        balanced_means_run(means, m, k, o->iterations, balance, &rng);
        const double now = balanced_means_unevenness(means, m, k);
        if (now < best) {
            best = now;
            chosen = balance;
        }
    }
    return chosen;
}

/* Makes the root, and chooses `balance` if it is not given. */
static void begin(struct builder *b)
{
    struct worker *w = &b->workers[0];
    const size_t n = b->rows.n, m = n < b->options.samples ? n : b->options.samples;
    struct rng rng = rng_at(b->options.seed, UINT64_MAX);

    for (size_t i = 0; i < n; i++)
        b->order[i] = (uint32_t)i;
    sample_rows(b, w, 0, n, m, &rng);
    if (b->options.balance < 0)
        b->options.balance = most_even(b, &w->means, m);
    balanced_means_run(&w->means, m, 1, 1, 0, &rng);
    assign(b, w, 0, n, 1);
    group(b, w, 0, n, 1);
    b->nodes[0] = (struct balanced_node){ b->order[0], 0, 0, (uint32_t)n };
}

static int build(struct builder *b)
{
    const struct item root = { 0, 0, 1, 0 };
    struct stack *first = b->rows.n > WIDE_ROWS ? &b->wide : &b->narrow;

    begin(b);
    if (!push(b, first, root))
        return no_memory(b);
    while (b->wide.n > 0) {
        int rc = divide(b, &b->workers[0], b->wide.items[--b->wide.n], &b->wide, &b->narrow);
        if (rc)
            return rc;
    }
    return parallel_for(b->env->pool, b->n_workers, b->narrow.n, 1, divide_all_below, b);
}

static bool worker_create(struct worker *w, const struct builder *b)
{
    const struct balanced_options *o = &b->options;

    w->memory.mem = b->env->mem;
    w->end = mem_group_array(&w->memory, o->fanout, sizeof *w->end);
    w->near = mem_group_array(&w->memory, o->fanout, sizeof *w->near);
    return !w->memory.failed &&
           balanced_means_create(&w->means, b->env, b->rows.dim, o->samples, o->fanout);
}

static bool builder_create(struct builder *b)
{
    struct mem_group *g = &b->memory;
    const size_t n = b->rows.n;

    g->mem = b->env->mem;
    b->n_workers = pool_threads(b->env->pool);
    b->nodes = mem_array(b->env->mem, n, sizeof *b->nodes);
    b->order = mem_group_array(g, n, sizeof *b->order);
    b->label = mem_group_array(g, n, sizeof *b->label);
    b->moved = mem_group_array(g, n, sizeof *b->moved);
    b->distance = mem_group_array(g, n, sizeof *b->distance);
    b->workers = mem_group_zalloc(g, b->n_workers, sizeof *b->workers);
    if (!b->nodes || g->failed)
        return false;
    for (size_t i = 0; i < b->n_workers; i++)
        if (!worker_create(&b->workers[i], b))
            return false;
    return true;
}

/* Frees all but the nodes. */
static void builder_destroy(struct builder *b)
{
    struct mem *mem = b->env->mem;

    for (size_t i = 0; b->workers && i < b->n_workers; i++) {
        struct worker *w = &b->workers[i];
        balanced_means_destroy(&w->means);
        mem_group_free(&w->memory);
        mem_free(mem, w->stack.items);
    }
    mem_group_free(&b->memory);
    mem_free(mem, b->wide.items);
    mem_free(mem, b->narrow.items);
}

/* Raises options to the least that k-means can work with. */
static struct balanced_options sound(struct balanced_options o, size_t n)
{
    o.leaf = o.leaf < 1 ? 1 : o.leaf;
    o.fanout = o.fanout < 2 ? 2 : o.fanout > n ? (n < 2 ? 2 : n) : o.fanout;
    o.samples = o.samples < o.fanout ? o.fanout : o.samples > n ? (n < 2 ? 2 : n) : o.samples;
    return o;
}

int balanced_tree_build(struct balanced_tree *tree, const struct index_env *env,
                        const struct balanced_options *options, struct vectors rows)
{
    struct builder b = { .env = env, .options = sound(*options, rows.n), .rows = rows };
    int rc = OK;

    *tree = (struct balanced_tree){ 0 };
    if (rows.n == 0)
        return OK;
    rc = builder_create(&b) ? build(&b) : no_memory(&b);
    builder_destroy(&b);
    if (rc) {
        mem_free(env->mem, b.nodes);
        return rc;
    }
    *tree = (struct balanced_tree){ b.nodes, rows.n, b.options.leaf, b.options.fanout };
    return OK;
}

void balanced_tree_free(struct balanced_tree *tree, struct mem *mem)
{
    mem_free(mem, tree->nodes);
    *tree = (struct balanced_tree){ 0 };
}
