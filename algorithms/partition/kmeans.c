/* kmeans.c - the method "kmeans": Lloyd's k-means of all rows at each call of cluster(). */
#include <math.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/partition/partition.h"
#include "src/core/mem.h"

static const struct param params[] = {
    PARAM_INT(struct partition_params, clusters, 0, 0, 1 << 24,
              "clusters, where w:cluster has no target_k; 0: the square root of the rows"),
    PARAM_INT(struct partition_params, iterations, 25, 1, 10000,
              "iterations of Lloyd's algorithm at most, after k-means++"),
    PARAM_END
};

static size_t clusters_wanted(const struct partition *p, size_t target)
{
    size_t k = target ? target : (size_t)p->params.clusters;

    k = k ? k : (size_t)sqrt((double)p->store.n);
    k = k < p->store.n ? k : p->store.n;
    return k ? k : 1;
}

static int cluster(struct index *index, const struct cluster_request *request,
                   struct cluster_result *result)
{
    const struct partition *p = (const struct partition *)index;
    const struct index_env *env = &index->env;
    const size_t n = p->store.n, nv = request->vectors.n;
    const struct kmeans_options options = { .k = clusters_wanted(p, request->target),
                                            .iterations = (size_t)p->params.iterations,
                                            .init = KMEANS_PLUS_PLUS,
                                            .seed = env->seed };
    struct mem_group arrays = { .mem = env->mem };
    float *centroids = mem_group_array(&arrays, options.k * env->dim, sizeof *centroids);
    uint32_t *labels = mem_group_array(&arrays, n, sizeof *labels);
    uint32_t *of_vectors = mem_group_array(&arrays, nv, sizeof *of_vectors);
    size_t made = 0;
    int rc = arrays.failed ? fail(env->error, ERR_NO_MEMORY,
                                  "kmeans: out of memory for %zu clusters", options.k)
                           : OK;

    if (rc == OK && n > 0)
        rc = kmeans_train(env, &options, p->store.floats, n, centroids, &made);
    if (rc == OK && n > 0)
        rc = nearest_among(env, centroids, made, p->store.floats, n, labels);
    if (rc == OK && n > 0 && nv > 0)
        rc = nearest_among(env, centroids, made, request->vectors.rows, nv, of_vectors);
    for (size_t i = 0; rc == OK && i < nv; i++)
        result->of_vectors[i] = n > 0 ? of_vectors[i] : INDEX_NO_CLUSTER;
    if (rc == OK)
        rc = partition_report(p, request, labels, made, result);
    mem_group_free(&arrays);
    return rc;
}

static int create(struct index **index, const struct index_env *env, const void *options)
{
    return partition_create(index, &kmeans_ops, env, options);
}

const struct index_ops kmeans_ops = {
    .abi = INDEX_ABI,
    .name = "kmeans",
    .summary = "a baseline of clustering: k-means of all rows at each w:cluster; searches scan",
    .source = "Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++)",
    .params = params,
    .create = create,
    PARTITION_OPERATIONS,
    .cluster = cluster,
};
