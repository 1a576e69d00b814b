/* insert.c - insertion: chooses clusters and cones for a block of rows, reserves space, and then
 * merges the rows into the sorted projections, which cannot fail.
 *
 * The paper's code shifts F sorted arrays for every row. Here the rows of a block that go to one
 * cone are merged in one pass; cones and clusters are chosen by the centroids as they were before
 * the block. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Centroids that a batch moves attract more of that batch: this concentrates the vectors that drift
   in, and gains a point of recall on older vectors (docs/methods/ampi.md). So vectors that move
   centroids are inserted in small blocks; 32 rows do as well as 3. */
enum { BUILD_ROWS = 1024, MOVING_ROWS = 32, FEW_ROWS = 4 };

/* The place of a row in a cone: pair is the row with one of its clusters. */
struct ampi_place {
    uint32_t cone, pair;
};

struct filing {
    const float *rows;
    size_t n, s, k;     /* rows; clusters per row; cones per cluster */
    uint32_t *clusters; /* n x s: the cluster of each pair */
    float *projections; /* n x s x F */
    struct ampi_place *places;
    size_t n_places;
    struct ampi_entry *entries; /* n */
    uint32_t *slots;            /* n */
    float *distances;           /* one per cluster */
    struct mem_group arrays;    /* those above */
    bool build;
};

static int filing_open(const struct ampi *a, struct filing *f, size_t n)
{
    struct mem_group *g = &f->arrays;
    size_t pairs = n * f->s;

    g->mem = a->base.env.mem;
    f->clusters = mem_group_array(g, pairs, sizeof *f->clusters);
    f->projections = mem_group_array(g, pairs * a->fans, sizeof *f->projections);
    f->places = mem_group_array(g, pairs * f->k, sizeof *f->places);
    f->entries = mem_group_array(g, n, sizeof *f->entries);
    f->slots = mem_group_array(g, n, sizeof *f->slots);
    f->distances = mem_group_array(g, a->part.n, sizeof *f->distances);
    return g->failed ? fail(a->base.env.error, ERR_NO_MEMORY, "insert: out of memory") : OK;
}

static int assign(struct ampi *a, struct filing *f)
{
    const struct index_env *env = &a->base.env;
    const struct ampi_partition *p = &a->part;
    struct centroids centroids = { p->centroids, p->norm_sq, p->norm_sq_max,
                                   p->n,         env->dim,   p->version };
    if (!a->nearest)
        a->nearest = nearest_create(env->mem, AMPI_CONES_MAX);
    if (!a->nearest)
        return fail(env->error, ERR_NO_MEMORY, "insert: out of memory");
    for (size_t first = 0; first < f->n; first += NEAREST_ROWS) {
        size_t count = f->n - first < NEAREST_ROWS ? f->n - first : NEAREST_ROWS;
        const float *rows = f->rows + first * env->dim;
        uint32_t *out = f->clusters + first * f->s;
        if (count >= FEW_ROWS)
            nearest_rows(a->nearest, env->kernels, &centroids, rows, count, f->s, out);
        for (size_t i = 0; i < count && count < FEW_ROWS; i++)
            nearest_one(env->kernels, &centroids, rows + i * env->dim, f->s, f->distances,
                        out + i * f->s);
    }
    return OK;
}

static int by_cone(const void *x, const void *y)
{
    const struct ampi_place *a = x, *b = y;
    if (a->cone != b->cone)
        return a->cone < b->cone ? -1 : 1;
    return a->pair < b->pair ? -1 : a->pair > b->pair;
}

static void choose_places(const struct ampi *a, struct filing *f)
{
    float shared[AMPI_FANS_MAX];
    uint32_t fans[AMPI_FANS_MAX];
    f->n_places = 0;
    for (size_t i = 0; i < f->n; i++) {
        const float *row = f->rows + i * a->base.env.dim;
        bool known = false;
        for (size_t j = i * f->s; j < (i + 1) * f->s; j++) {
            const struct ampi_cluster *c = &a->part.cluster[f->clusters[j]];
            float *projections = f->projections + j * a->fans;
            if (c->axes) {
                ampi_project(a, row, c->axes, projections);
            } else {
                if (!known)
                    ampi_project(a, row, a->axes, shared);
                known = true;
                memcpy(projections, shared, a->fans * sizeof *shared);
            }
            ampi_choose_fans(a, projections, a->part.centre + f->clusters[j] * a->fans, f->k, fans);
            for (size_t m = 0; m < f->k; m++)
                f->places[f->n_places++] =
                    (struct ampi_place){ (uint32_t)(f->clusters[j] * a->fans + fans[m]),
                                         (uint32_t)j };
        }
    }
    qsort(f->places, f->n_places, sizeof *f->places, by_cone);
}

static size_t end_of_cone(const struct filing *f, size_t first)
{
    size_t end = first;
    while (end < f->n_places && f->places[end].cone == f->places[first].cone)
        end++;
    return end;
}

/* Reserves everything that commit() needs. */
static int reserve(struct ampi *a, const struct filing *f)
{
    bool fits = true;
    for (size_t first = 0, end; fits && first < f->n_places; first = end) {
        struct ampi_cone *cone = &a->part.cones[f->places[first].cone];
        end = end_of_cone(f, first);
        fits = ampi_cone_reserve(a, cone, cone->n + (end - first));
    }
    for (size_t j = 0; fits && !f->build && j < f->n * f->s; j++)
        fits = ampi_sketch_open(a, &a->part.cluster[f->clusters[j]]);
    if (!fits)
        return fail(a->base.env.error, ERR_NO_MEMORY, "insert: out of memory");
    return ampi_slots_reserve(a, f->n);
}

static void merge_cone(struct ampi *a, struct filing *f, size_t first, size_t end)
{
    struct ampi_cone *cone = &a->part.cones[f->places[first].cone];
    size_t m = end - first;
    for (size_t axis = 0; axis < a->fans; axis++) {
        for (size_t i = 0; i < m; i++) {
            size_t pair = f->places[first + i].pair;
            f->entries[i] =
                (struct ampi_entry){ f->projections[pair * a->fans + axis], f->slots[pair / f->s] };
        }
        ampi_entries_sort(f->entries, m);
        ampi_cone_merge(cone, axis, f->entries, m);
    }
    cone->n += (uint32_t)m;
}

/* Adds a vector to the mean that is the centroid, and to the centroid's projections. */
static void move_centroid(struct ampi *a, size_t cluster, const float *row,
                          const float *projections)
{
    const struct index_env *env = &a->base.env;
    struct ampi_partition *p = &a->part;
    struct ampi_cluster *c = &p->cluster[cluster];
    float *centroid = p->centroids + cluster * env->dim, *centre = p->centre + cluster * a->fans;
    float share = (float)(1 / (1 + (double)c->weight++));
    for (size_t j = 0; j < env->dim; j++)
        centroid[j] += share * (row[j] - centroid[j]);
    for (size_t f = 0; f < a->fans; f++)
        centre[f] += share * (projections[f] - centre[f]);
    p->norm_sq[cluster] = env->kernels->ip_f32(centroid, centroid, env->dim);
    if (p->norm_sq[cluster] > p->norm_sq_max)
        p->norm_sq_max = p->norm_sq[cluster];
}

static void commit(struct ampi *a, struct filing *f, const uint64_t *ids)
{
    for (size_t i = 0; i < f->n; i++) {
        const float *row = f->rows + i * a->base.env.dim;
        f->slots[i] = ampi_slot_take(a, ids[i], row);
        memcpy(ampi_filed(a, &a->part, f->slots[i]), f->clusters + i * f->s,
               f->s * sizeof *f->clusters);
        for (size_t j = i * f->s; j < (i + 1) * f->s; j++) {
            a->part.cluster[f->clusters[j]].live++;
            if (f->build) {
                a->part.cluster[f->clusters[j]].weight++;
                continue;
            }
            ampi_drift_note(a, f->clusters[j], row);
            move_centroid(a, f->clusters[j], row, f->projections + j * a->fans);
        }
    }
    for (size_t first = 0, end; first < f->n_places; first = end) {
        end = end_of_cone(f, first);
        merge_cone(a, f, first, end);
    }
    a->counters.inserted += f->n;
    if (!f->build)
        a->part.version = ++a->versions;
}

static int file_block(struct ampi *a, struct filing *f, const uint64_t *ids, size_t *done)
{
    int rc = assign(a, f);
    if (!rc)
        choose_places(a, f);
    if (!rc)
        rc = reserve(a, f);
    if (rc)
        return rc;
    commit(a, f, ids);
    *done += f->n;
    for (size_t j = 0; !rc && !f->build && j < f->n * f->s; j++)
        rc = ampi_drift_check(a, f->clusters[j]);
    return rc;
}

int ampi_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct ampi *a = ampi_of(index);
    *done = 0;
    if (v.n == 0)
        return OK;
    int rc = ampi_train_if_due(a, v.rows, v.n);
    if (rc)
        return rc;
    size_t clusters = a->copies < a->part.n ? a->copies : a->part.n;
    struct filing f = { .build = a->counters.trainings > 0 && !a->built,
                        .k = a->copies < a->fans ? a->copies : a->fans };
    f.s = f.build ? 1 : clusters;
    size_t block = f.build ? BUILD_ROWS : MOVING_ROWS;
    rc = filing_open(a, &f, v.n < block ? v.n : block);
    while (!rc && *done < v.n) {
        f.rows = (const float *)v.rows + *done * v.dim;
        f.n = v.n - *done < block ? v.n - *done : block;
        rc = file_block(a, &f, ids + *done, done);
    }
    mem_group_free(&f.arrays);
    if (*done > 0)
        a->built = true;
    return rc;
}
