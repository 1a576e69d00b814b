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

/* Finds centroids, then the nearest centroid of each row and of each vector. */
static int divide(const struct partition *p, const struct cluster_request *request, size_t k,
                  float *centroids, float *norms, uint32_t *labels, uint32_t *of_vectors,
                  size_t *made)
{
    const struct index_env *env = &p->base.env;
    const struct kmeans_options options = { .k = k,
                                            .iterations = (size_t)p->params.iterations,
                                            .init = KMEANS_PLUS_PLUS,
                                            .seed = env->seed };
    int rc = kmeans_train(env, &options, p->store.floats, p->store.n, centroids, made);

    if (rc != OK)
        return rc;
    const struct centroids c = { .rows = centroids,
                                 .norm_sq = norms,
                                 .norm_sq_max = nearest_centroid_norms(env->kernels, centroids,
                                                                       *made, env->dim, norms),
                                 .n = *made,
                                 .dim = env->dim };
    rc = nearest_all(env, &c, p->store.floats, p->store.n, 1, labels);
    if (rc == OK && request->vectors.n > 0)
        rc = nearest_all(env, &c, request->vectors.rows, request->vectors.n, 1, of_vectors);
    return rc;
}

static int cluster_rows(const struct partition *p, const struct cluster_request *request,
                        struct cluster_result *result)
{
    const struct index_env *env = &p->base.env;
    const size_t k = clusters_wanted(p, request->target), nv = request->vectors.n;
    float *centroids = mem_array(env->mem, k * (env->dim + 1), sizeof *centroids);
    uint32_t *labels = mem_array(env->mem, p->store.n + nv, sizeof *labels);
    size_t made = 0;
    int rc = centroids && labels
                 ? OK
                 : fail(env->error, ERR_NO_MEMORY, "kmeans: out of memory for %zu clusters", k);

    if (rc == OK)
        rc = divide(p, request, k, centroids, centroids + k * env->dim, labels, labels + p->store.n,
                    &made);
    for (size_t i = 0; rc == OK && i < nv; i++)
        result->of_vectors[i] = labels[p->store.n + i];
    if (rc == OK)
        rc = partition_report(p, request, labels, made, result);
    mem_free(env->mem, centroids);
    mem_free(env->mem, labels);
    return rc;
}

static int cluster(struct index *index, const struct cluster_request *request,
                   struct cluster_result *result)
{
    const struct partition *p = (const struct partition *)index;

    if (p->store.n > 0)
        return cluster_rows(p, request, result);
    *result = (struct cluster_result){ .levels = 1,
                                       .of_ids = result->of_ids,
                                       .of_vectors = result->of_vectors };
    for (size_t i = 0; i < request->vectors.n; i++)
        result->of_vectors[i] = INDEX_NO_CLUSTER;
    return OK;
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
