/* hdbscan.c - the method "hdbscan": HDBSCAN* of all rows at each call of cluster(), on the graph of
 * each row's nearest rows instead of that of all pairs. */
#include <math.h>

#include "algorithms/partition/partition.h"
#include "src/core/mem.h"

static const struct param params[] = {
    PARAM_INT(struct partition_params, min_cluster_size, 50, 2, 1 << 24,
              "rows of a cluster at least"),
    PARAM_INT(struct partition_params, min_samples, 10, 1, 4096,
              "a row's core distance is that to this many rows, itself included. More: more noise, "
              "smoother clusters"),
    PARAM_INT(struct partition_params, neighbours, 32, 1, 4096,
              "edges per row in the graph that clusters are found in; at least min_samples - 1 are "
              "used. More: nearer to the graph of all pairs, slower"),
    PARAM_END
};

/* The nearest rows of each row, and the edges to them. */
struct knn_graph {
    size_t m;
    uint64_t *neighbours;
    float *distances, *core;
    struct density_edge *edges;
    struct mem_group arrays;
};

static bool graph_reserve(const struct partition *p, struct knn_graph *g)
{
    const size_t neighbours = (size_t)p->params.neighbours;
    const size_t samples = (size_t)p->params.min_samples - 1;
    const size_t wanted = neighbours > samples ? neighbours : samples, n = p->store.n;

    g->m = wanted < n - 1 ? wanted : n - 1;
    if (n > SIZE_MAX / 64 / (g->m + 1))
        return false;
    g->neighbours = mem_group_array(&g->arrays, n * g->m + 1, sizeof *g->neighbours);
    g->distances = mem_group_array(&g->arrays, n * g->m + 1, sizeof *g->distances);
    g->core = mem_group_array(&g->arrays, n, sizeof *g->core);
    g->edges = mem_group_array(&g->arrays, n * g->m + 1, sizeof *g->edges);
    return !g->arrays.failed;
}

/* Weights are the distances of mutual reachability: max(core(a), core(b), distance). */
static void weigh_edges(const struct partition *p, struct knn_graph *g)
{
    const size_t nth = (size_t)p->params.min_samples - 1; /* the row itself is the first */

    for (size_t i = 0; i < p->store.n; i++)
        g->core[i] = nth == 0 || g->m == 0
                         ? 0
                         : sqrtf(g->distances[i * g->m + (nth < g->m ? nth : g->m) - 1]);
    for (size_t i = 0; i < p->store.n; i++)
        for (size_t j = 0; j < g->m; j++) {
            const size_t other = g->neighbours[i * g->m + j];
            const float apart = sqrtf(g->distances[i * g->m + j]);

            g->edges[i * g->m + j] =
                (struct density_edge){ (uint32_t)i, (uint32_t)other,
                                       fmaxf(apart, fmaxf(g->core[i], g->core[other])) };
        }
}

static int divide(const struct partition *p, size_t threads, uint32_t *labels, size_t *clusters)
{
    const struct index_env *env = &p->base.env;
    struct knn_graph g = { .arrays.mem = env->mem };
    int rc = graph_reserve(p, &g)
                 ? OK
                 : fail(env->error, ERR_NO_MEMORY,
                        "hdbscan: out of memory for the graph of %zu rows", p->store.n);

    if (rc == OK && g.m > 0)
        rc = partition_nearest(p, threads, g.m, g.neighbours, g.distances);
    if (rc == OK) {
        weigh_edges(p, &g);
        rc = partition_density(env, g.edges, p->store.n * g.m, p->store.n,
                               (size_t)p->params.min_cluster_size, labels, clusters);
    }
    mem_group_free(&g.arrays);
    return rc;
}

/* A vector is in the cluster of its nearest row. */
static int cluster(struct index *index, const struct cluster_request *request,
                   struct cluster_result *result)
{
    const struct partition *p = (const struct partition *)index;
    uint32_t *labels = mem_array(index->env.mem, p->store.n + 1, sizeof *labels);
    size_t clusters = 0;
    int rc = labels ? OK
                    : fail(index->env.error, ERR_NO_MEMORY, "hdbscan: out of memory for %zu rows",
                           p->store.n);

    if (rc == OK && p->store.n > 0)
        rc = divide(p, request->threads, labels, &clusters);
    if (rc == OK && p->store.n > 0)
        partition_nearest_of(p, request->vectors, result->of_vectors);
    for (size_t i = 0; rc == OK && i < request->vectors.n; i++) {
        const uint32_t label = p->store.n > 0 ? labels[result->of_vectors[i]] : PARTITION_NOISE;

        result->of_vectors[i] = label == PARTITION_NOISE ? INDEX_NO_CLUSTER : label;
    }
    if (rc == OK)
        rc = partition_report(p, request, labels, clusters, result);
    mem_free(index->env.mem, labels);
    return rc;
}

static int create(struct index **index, const struct index_env *env, const void *options)
{
    return partition_create(index, &hdbscan_ops, env, options);
}

const struct index_ops hdbscan_ops = {
    .abi = INDEX_ABI,
    .name = "hdbscan",
    .summary = "a baseline of clustering: HDBSCAN* of all rows at each w:cluster; searches scan",
    .source = "Campello, Moulavi and Sander 2013; McInnes and Healy 2017",
    .params = params,
    .create = create,
    PARTITION_OPERATIONS,
    .cluster = cluster,
};
