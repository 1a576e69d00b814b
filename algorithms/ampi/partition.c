/* partition.c - clusters, and building the cones of one from a list of slots. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"

int ampi_partition_open(struct ampi *a, struct ampi_partition *p, const float *centroids, size_t n)
{
    const struct index_env *env = &a->base.env;
    size_t coordinates = n * env->dim, filed = a->slots.capacity * a->copies;
    *p = (struct ampi_partition){ .n = n, .version = ++a->versions, .arrays.mem = env->mem };
    struct mem_group *g = &p->arrays;
    p->cluster = mem_group_zalloc(g, n, sizeof *p->cluster);
    p->cones = mem_group_zalloc(g, n * a->fans, sizeof *p->cones);
    p->centroids = mem_group_array(g, coordinates, sizeof *p->centroids);
    p->origins = mem_group_array(g, coordinates, sizeof *p->origins);
    p->centre = mem_group_array(g, n * a->fans, sizeof *p->centre);
    p->norm_sq = mem_group_array(g, n, sizeof *p->norm_sq);
    p->filed = mem_array(env->mem, filed, sizeof *p->filed);
    if (g->failed || !p->filed) {
        ampi_partition_close(a, p);
        return fail(env->error, ERR_NO_MEMORY, "ampi: out of memory for %zu clusters", n);
    }
    memcpy(p->centroids, centroids, coordinates * sizeof *centroids);
    memcpy(p->origins, centroids, coordinates * sizeof *centroids);
    memset(p->filed, 0xff, filed * sizeof *p->filed);
    for (size_t c = 0; c < n; c++)
        ampi_project(a, p->centroids + c * env->dim, a->axes, p->centre + c * a->fans);
    p->norm_sq_max = nearest_centroid_norms(env->kernels, p->centroids, n, env->dim, p->norm_sq);
    return OK;
}

void ampi_partition_close(struct ampi *a, struct ampi_partition *p)
{
    struct mem *mem = a->base.env.mem;
    for (size_t c = 0; p->cluster && c < p->n; c++) {
        mem_free(mem, p->cluster[c].axes);
        mem_free(mem, p->cluster[c].sketch);
    }
    for (size_t i = 0; p->cones && i < p->n * a->fans; i++)
        ampi_cone_free(a, &p->cones[i]);
    mem_group_free(&p->arrays);
    mem_free(mem, p->filed);
    *p = (struct ampi_partition){ 0 };
}

/* State of building cones. */
struct building {
    const uint32_t *slots;
    size_t n, k; /* slots; cones per slot */
    const float *axes;
    float *projections; /* n x F */
    uint32_t *fans;     /* n x k: the cones of each slot */
    uint32_t *members;  /* n x k: positions in slots, by cone */
    struct ampi_entry *entries;
    struct mem_group arrays; /* those above but slots and axes */
    float centre[AMPI_FANS_MAX];
    struct ampi_cone cones[AMPI_FANS_MAX];
};

static bool building_open(const struct ampi *a, struct building *b)
{
    struct mem_group *g = &b->arrays;

    g->mem = a->base.env.mem;
    b->projections = mem_group_array(g, b->n * a->fans, sizeof *b->projections);
    b->fans = mem_group_array(g, b->n * b->k, sizeof *b->fans);
    b->members = mem_group_array(g, b->n * b->k, sizeof *b->members);
    b->entries = mem_group_array(g, b->n, sizeof *b->entries);
    return !g->failed;
}

static void fill_cone(const struct ampi *a, struct building *b, struct ampi_cone *cone,
                      const uint32_t *members, size_t n)
{
    for (size_t axis = 0; axis < a->fans; axis++) {
        for (size_t i = 0; i < n; i++)
            b->entries[i] = (struct ampi_entry){ b->projections[members[i] * a->fans + axis],
                                                 b->slots[members[i]] };
        ampi_entries_sort(b->entries, n);
        ampi_cone_merge(cone, axis, b->entries, n);
    }
    cone->n = (uint32_t)n;
}

/* false: out of memory, and the cluster has no cones. */
static bool build_cones(const struct ampi *a, struct building *b, const float *centroid)
{
    uint32_t end[AMPI_FANS_MAX] = { 0 };
    bool fits = true;
    ampi_project(a, centroid, b->axes, b->centre);
    for (size_t i = 0; i < b->n; i++) {
        float *projections = b->projections + i * a->fans;
        uint32_t *fans = b->fans + i * b->k;
        ampi_project(a, ampi_row(a, b->slots[i]), b->axes, projections);
        ampi_choose_fans(a, projections, b->centre, b->k, fans);
        for (size_t j = 0; j < b->k; j++)
            end[fans[j]]++;
    }
    for (size_t f = 0; f < a->fans; f++)
        fits = fits && ampi_cone_reserve(a, &b->cones[f], end[f]);
    if (!fits) {
        for (size_t f = 0; f < a->fans; f++)
            ampi_cone_free(a, &b->cones[f]);
        return false;
    }
    for (size_t f = 0, first = 0; f < a->fans; f++) { /* start of each cone's members ... */
        size_t count = end[f];
        end[f] = (uint32_t)first;
        first += count;
    }
    for (size_t i = 0; i < b->n; i++) /* ... which becomes the end as they are distributed */
        for (size_t j = 0; j < b->k; j++)
            b->members[end[b->fans[i * b->k + j]]++] = (uint32_t)i;
    for (size_t f = 0, first = 0; f < a->fans; first = end[f++])
        fill_cone(a, b, &b->cones[f], b->members + first, end[f] - first);
    return true;
}

int ampi_cluster_build(struct ampi *a, struct ampi_partition *p, size_t cluster,
                       const uint32_t *slots, size_t n, const float *axes)
{
    const struct index_env *env = &a->base.env;
    struct ampi_cluster *c = &p->cluster[cluster];
    size_t axes_n = a->fans * env->dim;
    struct building b = { .slots = slots, .n = n, .k = a->copies < a->fans ? a->copies : a->fans };
    float *own = axes ? mem_array(env->mem, axes_n, sizeof *own) : NULL;
    b.axes = axes ? axes : ampi_axes(a, c);
    bool built = (own || !axes) && building_open(a, &b) &&
                 build_cones(a, &b, p->centroids + cluster * env->dim);
    mem_group_free(&b.arrays);
    if (!built) {
        mem_free(env->mem, own);
        return fail(env->error, ERR_NO_MEMORY,
                    "ampi: out of memory building the cones of %zu vectors", n);
    }
    if (own) {
        memcpy(own, axes, axes_n * sizeof *own);
        mem_free(env->mem, c->axes);
        c->axes = own;
    }
    for (size_t f = 0; f < a->fans; f++) {
        ampi_cone_free(a, ampi_cone(a, p, cluster, f));
        *ampi_cone(a, p, cluster, f) = b.cones[f];
    }
    memcpy(p->centre + cluster * a->fans, b.centre, a->fans * sizeof *b.centre);
    memcpy(p->origins + cluster * env->dim, p->centroids + cluster * env->dim,
           env->dim * sizeof *p->origins);
    c->live = (uint32_t)n;
    c->dead = 0;
    c->since = 0;
    return OK;
}

uint32_t *ampi_cluster_slots(struct ampi *a, size_t cluster, size_t *n)
{
    struct mem *mem = a->base.env.mem;
    const struct ampi_cluster *c = &a->part.cluster[cluster];
    size_t all = 0, dead = 0, filed = (size_t)c->live + c->dead;
    for (size_t f = 0; f < a->fans; f++)
        all += ampi_cone(a, &a->part, cluster, f)->n;
    uint32_t *slots = mem_array(mem, all + filed, sizeof *slots);
    if (!slots)
        return NULL;
    uint32_t *entries = slots + filed;
    for (size_t f = 0; f < a->fans; f++) {
        const struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, f);
        if (cone->n > 0)
            memcpy(entries, cone->slots, cone->n * sizeof *entries);
        entries += cone->n;
    }
    entries = slots + filed;
    qsort(entries, all, sizeof *entries, order_u32);
    *n = 0;
    for (size_t i = 0; i < all; i++) {
        if (i > 0 && entries[i] == entries[i - 1])
            continue;
        if (a->slots.id[entries[i]] == INDEX_NO_ID)
            slots[filed - ++dead] = entries[i];
        else
            slots[(*n)++] = entries[i];
    }
    return slots;
}

int ampi_cluster_rebuild(struct ampi *a, size_t cluster, const float *axes)
{
    struct mem *mem = a->base.env.mem;
    const struct ampi_cluster *c = &a->part.cluster[cluster];
    size_t live = 0, filed = (size_t)c->live + c->dead;
    uint32_t *slots = ampi_cluster_slots(a, cluster, &live);
    int rc = slots ? ampi_cluster_build(a, &a->part, cluster, slots, live, axes)
                   : fail(a->base.env.error, ERR_NO_MEMORY,
                          "ampi: out of memory for the %zu vectors of a cluster", filed);
    for (size_t i = live; !rc && i < filed; i++)
        ampi_slot_leave(a, &a->part, slots[i], (uint32_t)cluster);
    mem_free(mem, slots);
    return rc;
}
