/* density.c - HDBSCAN* from the edges of a graph of mutual reachability. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "algorithms/partition/partition.h"
#include "src/core/mem.h"

#define ROOT 0

/* A merge of the single linkage; nodes below n are points, node n + i is merge i. */
struct merge {
    uint32_t child[2];
    float weight;
};

/* A cluster of the condensed tree. A parent has a smaller number than its children. */
struct condensed {
    uint32_t parent;
    double birth, stability; /* in lambda = 1 / distance; sum of lambda - birth over its points */
    double below;            /* stabilities selected below it */
    bool selected;
    uint32_t label;
};

struct density {
    size_t n, min_cluster_size;
    uint32_t *up, *node, *size; /* union-find by point: parent; node of the root; points of node */
    struct merge *merges;
    size_t n_merges;
    uint32_t *cluster; /* by node: the cluster that it is in, or fell out of */
    bool *fell;        /* by node: it is too small for a cluster, or part of such a node */
    struct condensed *clusters;
    size_t n_clusters;
    struct mem_group arrays; /* those above */
};

static int by_weight(const void *a, const void *b)
{
    const struct density_edge *x = a, *y = b;

    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

/* ---- 1. single linkage */

static uint32_t find(struct density *d, uint32_t point)
{
    while (d->up[point] != point)
        point = d->up[point] = d->up[d->up[point]];
    return point;
}

static void join(struct density *d, uint32_t a, uint32_t b, float weight)
{
    const uint32_t x = find(d, a), y = find(d, b), node = (uint32_t)(d->n + d->n_merges);

    if (x == y)
        return;
    d->merges[d->n_merges++] = (struct merge){ { d->node[x], d->node[y] }, weight };
    d->size[node] = d->size[d->node[x]] + d->size[d->node[y]];
    d->up[y] = x;
    d->node[x] = node;
}

/* Kruskal's algorithm; then the trees that are left are joined. */
static void link_points(struct density *d, const struct density_edge *edges, size_t n_edges)
{
    for (uint32_t i = 0; i < d->n; i++) {
        d->up[i] = d->node[i] = i;
        d->size[i] = 1;
    }
    for (size_t e = 0; e < n_edges; e++)
        join(d, edges[e].a, edges[e].b, edges[e].weight);
    for (uint32_t i = 1; i < d->n; i++)
        join(d, 0, i, INFINITY);
}

/* ---- 2. the condensed tree */

static uint32_t add_cluster(struct density *d, uint32_t parent, double birth)
{
    d->clusters[d->n_clusters] = (struct condensed){ .parent = parent, .birth = birth };
    return (uint32_t)d->n_clusters++;
}

/* Merges come from the last, the root, so that a node's cluster is known before its children's. */
static void condense(struct density *d)
{
    const uint32_t root = (uint32_t)(d->n + d->n_merges - 1);

    d->cluster[root] = add_cluster(d, ROOT, 0);
    d->fell[root] = d->n < d->min_cluster_size;
    for (size_t i = d->n_merges; i-- > 0;) {
        const struct merge *m = &d->merges[i];
        const uint32_t own = d->cluster[d->n + i];
        const double lambda = 1 / fmax((double)m->weight, FLT_MIN);
        const bool large[2] = { d->size[m->child[0]] >= d->min_cluster_size,
                                d->size[m->child[1]] >= d->min_cluster_size };

        for (int side = 0; side < 2; side++) {
            const uint32_t child = m->child[side];
            const bool fell = d->fell[d->n + i], divides = !fell && large[0] && large[1];

            d->fell[child] = fell || !large[side];
            d->cluster[child] = divides ? add_cluster(d, own, lambda) : own;
            if (!fell && (divides || !large[side]))
                d->clusters[own].stability += (lambda - d->clusters[own].birth) * d->size[child];
        }
    }
}

/* ---- 3. the selection */

static size_t select_clusters(struct density *d)
{
    uint32_t labels = 0;

    for (size_t c = d->n_clusters; c-- > 1;) {
        struct condensed *at = &d->clusters[c];

        at->selected = at->stability >= at->below;
        d->clusters[at->parent].below += at->selected ? at->stability : at->below;
    }
    d->clusters[ROOT].label = PARTITION_NOISE;
    for (size_t c = 1; c < d->n_clusters; c++) {
        struct condensed *at = &d->clusters[c];
        const uint32_t above = d->clusters[at->parent].label;

        at->label = above != PARTITION_NOISE ? above : at->selected ? labels++ : PARTITION_NOISE;
    }
    return labels;
}

/* ---- all of it */

static bool reserve(struct density *d)
{
    struct mem_group *g = &d->arrays;
    const size_t nodes = 2 * d->n;

    d->up = mem_group_array(g, d->n, sizeof *d->up);
    d->node = mem_group_array(g, d->n, sizeof *d->node);
    d->size = mem_group_array(g, nodes, sizeof *d->size);
    d->merges = mem_group_array(g, d->n, sizeof *d->merges);
    d->cluster = mem_group_array(g, nodes, sizeof *d->cluster);
    d->fell = mem_group_array(g, nodes, sizeof *d->fell);
    d->clusters = mem_group_array(g, nodes, sizeof *d->clusters);
    return !g->failed;
}

int partition_density(const struct index_env *env, struct density_edge *edges, size_t n_edges,
                      size_t n, size_t min_cluster_size, uint32_t *labels, size_t *clusters)
{
    struct density d = { .n = n, .min_cluster_size = min_cluster_size, .arrays.mem = env->mem };
    int rc = OK;

    *clusters = 0;
    for (size_t i = 0; i < n; i++)
        labels[i] = PARTITION_NOISE;
    if (n < 2)
        return OK;
    if (!reserve(&d))
        rc = fail(env->error, ERR_NO_MEMORY, "hdbscan: out of memory for %zu rows", n);
    if (rc == OK) {
        qsort(edges, n_edges, sizeof *edges, by_weight);
        link_points(&d, edges, n_edges);
        condense(&d);
        *clusters = select_clusters(&d);
        for (size_t i = 0; i < n; i++)
            labels[i] = d.clusters[d.cluster[i]].label;
    }
    mem_group_free(&d.arrays);
    return rc;
}
