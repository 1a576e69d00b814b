/* report.c - a division of the rows as a struct cluster_result. */
#include <inttypes.h>

#include "algorithms/partition/partition.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Means of the clusters, n_clusters x dim. */
static void compute_means(const struct partition *p, const uint32_t *labels, size_t n_clusters,
                          double *sums, float *means, size_t *counts)
{
    const size_t dim = p->base.env.dim;

    for (size_t i = 0; i < p->store.n; i++) {
        if (labels[i] == PARTITION_NOISE)
            continue;
        for (size_t j = 0; j < dim; j++)
            sums[labels[i] * dim + j] += (double)p->store.floats[i * dim + j];
        counts[labels[i]]++;
    }
    for (size_t c = 0; c < n_clusters; c++)
        for (size_t j = 0; j < dim; j++)
            means[c * dim + j] = counts[c] ? (float)(sums[c * dim + j] / (double)counts[c]) : 0;
}

/* The rows nearest to the means. */
static int report_medoids(const struct partition *p, const uint32_t *labels, size_t n_clusters,
                          const float *means, struct cluster_result *result)
{
    const struct index_env *env = &p->base.env;
    uint32_t *best = mem_array(env->mem, n_clusters + 1, sizeof *best);
    float *least = mem_array(env->mem, n_clusters + 1, sizeof *least);
    int rc = best && least ? OK
                           : fail(env->error, ERR_NO_MEMORY, "%s: out of memory for %zu medoids",
                                  p->base.ops->name, n_clusters);

    for (size_t c = 0; rc == OK && c < n_clusters; c++)
        best[c] = UINT32_MAX;
    for (size_t i = 0; rc == OK && i < p->store.n; i++) {
        const uint32_t c = labels[i];

        if (c == PARTITION_NOISE)
            continue;
        const float d =
            env->kernels->l2sq_f32(p->store.floats + i * env->dim, means + c * env->dim, env->dim);
        if (best[c] == UINT32_MAX || d < least[c]) {
            best[c] = (uint32_t)i;
            least[c] = d;
        }
    }
    for (size_t c = 0; rc == OK && c < n_clusters; c++)
        if (best[c] != UINT32_MAX)
            rc = result->medoid(result->to, c, p->store.ids[best[c]]);
    mem_free(env->mem, best);
    mem_free(env->mem, least);
    return rc;
}

static int report_ids(const struct partition *p, const struct cluster_request *request,
                      const uint32_t *labels, struct cluster_result *result)
{
    for (size_t i = 0; i < request->n; i++) {
        uint32_t slot;

        if (!dense_rows_find(&p->store, request->ids[i], &slot))
            return fail(p->base.env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                        p->base.ops->name, request->ids[i]);
        result->of_ids[i] = labels[slot] == PARTITION_NOISE ? INDEX_NO_CLUSTER : labels[slot];
    }
    return OK;
}

int partition_report(const struct partition *p, const struct cluster_request *request,
                     const uint32_t *labels, size_t n_clusters, struct cluster_result *result)
{
    struct mem_group arrays = { .mem = p->base.env.mem };
    const size_t dim = p->base.env.dim;

    result->levels = 1;
    result->level = 0;
    result->clusters = n_clusters;
    double *sums = mem_group_zalloc(&arrays, n_clusters * dim + 1, sizeof *sums);
    float *means = mem_group_array(&arrays, n_clusters * dim + 1, sizeof *means);
    size_t *counts = mem_group_zalloc(&arrays, n_clusters + 1, sizeof *counts);
    int rc = report_ids(p, request, labels, result);

    if (rc == OK && arrays.failed)
        rc = fail(p->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %zu means",
                  p->base.ops->name, n_clusters);
    if (rc == OK) {
        compute_means(p, labels, n_clusters, sums, means, counts);
        rc = report_medoids(p, labels, n_clusters, means, result);
    }
    mem_group_free(&arrays);
    return rc;
}
