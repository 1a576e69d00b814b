/* clusters.c - the clusters of src/core/index.h: one level, the lists. A vector with several copies
 * is in the list of its nearest centroid. */
#include <inttypes.h>
#include <math.h>

#include "algorithms/divf/divf.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* The list of the slot's nearest centroid among those that have a copy of it. `floats`: for a row. */
static uint32_t list_of(const struct divf_lists *lists, uint32_t slot, float *floats,
                        float *nearest)
{
    const struct index_env *env = lists->env;
    const float *vector = divf_floats(&lists->space, divf_row(lists, slot), 1, floats);
    const uint32_t *places = divf_slot_places(lists, slot);
    uint32_t best = 0;

    *nearest = INFINITY;
    for (size_t j = 0; j < lists->soft_k && places[j] != PLACE_NONE; j++) {
        const uint32_t list = divf_place_head(lists->chunks, places[j])->list;
        const float d =
            env->kernels->l2sq_f32(vector, lists->centroids + list * env->dim, env->dim);

        if (d < *nearest || (d <= *nearest && list < best)) {
            *nearest = d;
            best = list;
        }
    }
    return best;
}

static int assign_ids(const struct divf *d, const struct cluster_request *request, float *floats,
                      uint64_t *cluster)
{
    for (size_t i = 0; i < request->n; i++) {
        uint32_t slot;
        float nearest;

        if (!slot_table_get(&d->slots.ids, d->slots.id, request->ids[i], &slot))
            return fail(d->env.error, ERR_UNKNOWN_ID, "divf: id %" PRIu64 " is not stored",
                        request->ids[i]);
        cluster[i] = list_of(&d->lists, slot, floats, &nearest);
    }
    return OK;
}

struct nearest_row {
    float distance;
    uint32_t slot;
};

/* Of each list the live row that is nearest to the centroid; ties go to the smaller slot. */
static int report_medoids(const struct divf *d, float *floats, struct nearest_row *best,
                          struct cluster_result *result)
{
    const struct divf_lists *lists = &d->lists;
    int rc = OK;

    for (size_t i = 0; i < lists->n; i++)
        best[i] = (struct nearest_row){ INFINITY, SLOT_NONE };
    for (uint32_t slot = 0; slot < d->slots.n; slot++) {
        float nearest;

        if (d->slots.id[slot] == INDEX_NO_ID)
            continue;
        const uint32_t list = list_of(lists, slot, floats, &nearest);
        if (nearest < best[list].distance)
            best[list] = (struct nearest_row){ nearest, slot };
    }
    for (size_t i = 0; rc == OK && i < lists->n; i++)
        if (best[i].slot != SLOT_NONE)
            rc = result->medoid(result->to, i, d->slots.id[best[i].slot]);
    return rc;
}

int divf_cluster(struct index *index, const struct cluster_request *request,
                 struct cluster_result *result)
{
    const struct divf *d = divf_of(index);
    const struct index_env *env = &d->env;
    const struct vectors v = request->vectors;
    const struct centroids centroids = divf_centroids(&d->lists);
    struct mem_group g = { .mem = env->mem };
    float *floats = mem_group_array(&g, env->dim, sizeof *floats),
          *vectors = mem_group_array(&g, divf_floats_needed(&d->space, v.n), sizeof *vectors);
    uint32_t *lists = mem_group_array(&g, v.n, sizeof *lists);
    struct nearest_row *best = mem_group_array(&g, d->lists.n, sizeof *best);

    result->levels = 1;
    result->level = 0;
    result->clusters = d->lists.n;
    int rc = g.failed ? fail(env->error, ERR_NO_MEMORY, "divf: clusters: out of memory")
                      : assign_ids(d, request, floats, result->of_ids);
    if (rc == OK && v.n > 0)
        rc = nearest_all(env, &centroids, divf_floats(&d->lists.space, v.rows, v.n, vectors), v.n,
                         1, lists);
    for (size_t i = 0; rc == OK && i < v.n; i++)
        result->of_vectors[i] = lists[i];
    if (rc == OK)
        rc = report_medoids(d, floats, best, result);
    mem_group_free(&g);
    return rc;
}
