/* check.c - checks every invariant of ampi.h. */
#include <inttypes.h>
#include <math.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#define BROKEN(a, ...) fail((a)->base.env.error, ERR_INVARIANT, "ampi: " __VA_ARGS__)

/* By slot: the last cone that has it, and the number of the cluster's cones that have it. */
struct ampi_marks {
    uint32_t *cone, *times;
};

static bool is_filed(const struct ampi *a, uint32_t slot, size_t cluster)
{
    const uint32_t *filed = ampi_filed(a, &a->part, slot);
    for (size_t j = 0; j < a->copies; j++)
        if (filed[j] == cluster)
            return true;
    return false;
}

static int check_members(const struct ampi *a, struct ampi_marks *m, size_t cluster, size_t fan,
                         size_t *distinct)
{
    const struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, fan);
    uint32_t number = (uint32_t)(cluster * a->fans + fan);
    if (cone->n > cone->capacity)
        return BROKEN(a, "cone %zu of cluster %zu has %u vectors in a capacity of %u", fan, cluster,
                      cone->n, cone->capacity);
    for (size_t i = 0; i < cone->n; i++) {
        uint32_t slot = cone->slots[i];
        if (slot >= a->slots.n)
            return BROKEN(a, "cone %zu of cluster %zu: there is no slot %u", fan, cluster, slot);
        if (!is_filed(a, slot, cluster))
            return BROKEN(a, "cone %zu of cluster %zu: slot %u does not know", fan, cluster, slot);
        if (m->cone[slot] == number)
            return BROKEN(a, "cone %zu of cluster %zu has slot %u twice", fan, cluster, slot);
        m->cone[slot] = number;
        *distinct += m->times[slot]++ == 0;
    }
    return OK;
}

static int check_axis(const struct ampi *a, const struct ampi_marks *m, size_t cluster, size_t fan,
                      size_t axis)
{
    const struct index_env *env = &a->base.env;
    const struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, fan);
    if (cone->n == 0)
        return OK;
    const float *direction = ampi_axes(a, &a->part.cluster[cluster]) + axis * env->dim;
    const float *projections = cone->projections + axis * cone->capacity;
    const uint32_t *slots = cone->slots + axis * cone->capacity;
    for (size_t i = 0; i < cone->n; i++) {
        struct ampi_entry e = { projections[i], slots[i] };
        if (e.slot >= a->slots.n || m->cone[e.slot] != cluster * a->fans + fan)
            return BROKEN(a, "cone %zu of cluster %zu: axis %zu has slot %u, axis 0 does not", fan,
                          cluster, axis, e.slot);
        if (i > 0 && !ampi_entry_before((struct ampi_entry){ projections[i - 1], slots[i - 1] }, e))
            return BROKEN(a, "cone %zu of cluster %zu: axis %zu is not in order at %zu", fan,
                          cluster, axis, i);
        float along = env->kernels->ip_f32(ampi_row(a, e.slot), direction, env->dim);
        if ((isnan(along) ? 0 : along) != e.projection)
            return BROKEN(a, "cone %zu of cluster %zu: slot %u is at %.9g along axis %zu, not %.9g",
                          fan, cluster, e.slot, (double)along, axis, (double)e.projection);
    }
    return OK;
}

/* Checks that each slot is in the same number of cones; then resets the marks. */
static int check_times(const struct ampi *a, struct ampi_marks *m, size_t cluster)
{
    size_t k = a->copies < a->fans ? a->copies : a->fans, dead = 0, live = 0;
    const struct ampi_cluster *c = &a->part.cluster[cluster];
    for (size_t f = 0; f < a->fans; f++) {
        const struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, f);
        for (size_t i = 0; i < cone->n; i++) {
            uint32_t slot = cone->slots[i];
            if (m->times[slot] == 0)
                continue;
            if (m->times[slot] != k)
                return BROKEN(a, "cluster %zu: slot %u is in %u cones, not %zu", cluster, slot,
                              m->times[slot], k);
            m->times[slot] = 0;
            *(a->slots.id[slot] == INDEX_NO_ID ? &dead : &live) += 1;
        }
    }
    if (live != c->live || dead != c->dead)
        return BROKEN(a, "cluster %zu counts %u live and %u dead, and has %zu and %zu", cluster,
                      c->live, c->dead, live, dead);
    return OK;
}

static int check_centroid(const struct ampi *a, size_t cluster)
{
    const struct index_env *env = &a->base.env;
    const float *centroid = a->part.centroids + cluster * env->dim;
    float norm_sq = env->kernels->ip_f32(centroid, centroid, env->dim);
    for (size_t j = 0; j < env->dim; j++)
        if (!isfinite(centroid[j]))
            return BROKEN(a, "centroid %zu is not finite", cluster);
    if (a->part.norm_sq[cluster] != norm_sq || norm_sq > a->part.norm_sq_max)
        return BROKEN(a, "centroid %zu: its length is not what is noted", cluster);
    return OK;
}

static int check_cluster(const struct ampi *a, struct ampi_marks *m, size_t cluster, size_t *filed)
{
    size_t distinct = 0;
    int rc = check_centroid(a, cluster);
    for (size_t f = 0; f < a->fans && !rc; f++) {
        rc = check_members(a, m, cluster, f, &distinct);
        for (size_t axis = 0; axis < a->fans && !rc; axis++)
            rc = check_axis(a, m, cluster, f, axis);
    }
    *filed += distinct;
    return rc ? rc : check_times(a, m, cluster);
}

static int check_slot(const struct ampi *a, uint32_t slot, size_t *filed, size_t *unfiled)
{
    const uint32_t *clusters = ampi_filed(a, &a->part, slot);
    uint64_t id = a->slots.id[slot], value;
    size_t n = 0;
    while (n < a->copies && clusters[n] != CLUSTER_NONE)
        n++;
    for (size_t j = 0; j < a->copies; j++) {
        if ((clusters[j] == CLUSTER_NONE) != (j >= n) || (j < n && clusters[j] >= a->part.n))
            return BROKEN(a, "slot %u: its clusters are not a list", slot);
        for (size_t i = 0; i < j && j < n; i++)
            if (clusters[i] == clusters[j])
                return BROKEN(a, "slot %u is twice in cluster %u", slot, clusters[j]);
    }
    *filed += n;
    *unfiled += n == 0;
    if (id == INDEX_NO_ID)
        return OK;
    if (n == 0)
        return BROKEN(a, "id %" PRIu64 ", slot %u, is in no cluster", id, slot);
    if (!idmap_get(&a->slots.ids, id, &value) || value != slot)
        return BROKEN(a, "id %" PRIu64 " is in slot %u but the map does not say so", id, slot);
    const float *row = ampi_row(a, slot);
    double length = sqrt((double)a->base.env.kernels->ip_f32(row, row, a->base.env.dim));
    if (length > a->longest)
        return BROKEN(a, "slot %u is longer than the longest", slot);
    return OK;
}

static int check_slots(const struct ampi *a, size_t filed)
{
    const struct ampi_slots *s = &a->slots;
    size_t live = 0, said = 0, unfiled = 0;
    for (size_t slot = 0; slot < s->n; slot++) {
        int rc = check_slot(a, (uint32_t)slot, &said, &unfiled);
        if (rc)
            return rc;
        live += s->id[slot] != INDEX_NO_ID;
    }
    if (said != filed)
        return BROKEN(a, "slots say they are filed %zu times, cones %zu", said, filed);
    for (size_t i = 0; i < s->n_free; i++)
        if (s->free[i] >= s->n || *ampi_filed(a, &a->part, s->free[i]) != CLUSTER_NONE)
            return BROKEN(a, "slot %u is free and filed", s->free[i]);
    if (unfiled != s->n_free || live != s->ids.n || s->n > s->capacity)
        return BROKEN(a, "%zu slots, %zu unfiled, %zu free; %zu live, %zu ids", s->n, unfiled,
                      s->n_free, live, s->ids.n);
    if (a->counters.inserted - a->counters.removed != live)
        return BROKEN(a, "%" PRIu64 " inserted and %" PRIu64 " removed leave not %zu",
                      a->counters.inserted, a->counters.removed, live);
    return OK;
}

int ampi_check(const struct index *index, struct stat_sink *sink)
{
    const struct ampi *a = ampi_of_const(index);
    struct mem *mem = index->env.mem;
    if (a->part.n == 0)
        return BROKEN(a, "there is no cluster");
    struct ampi_marks m = { mem_array(mem, a->slots.n, sizeof *m.cone),
                            mem_zalloc(mem, a->slots.n * sizeof *m.times) };
    size_t filed = 0;
    int rc = OK;
    if (!m.cone || !m.times)
        rc = fail(index->env.error, ERR_NO_MEMORY, "check: out of memory");
    for (size_t s = 0; s < a->slots.n && !rc; s++)
        m.cone[s] = UINT32_MAX;
    for (size_t c = 0; c < a->part.n && !rc; c++)
        rc = check_cluster(a, &m, c, &filed);
    mem_free(mem, m.cone);
    mem_free(mem, m.times);
    if (!rc)
        rc = check_slots(a, filed);
    if (!rc && sink)
        sink->value(sink->to, "checked_vectors", (double)a->slots.ids.n);
    return rc;
}
