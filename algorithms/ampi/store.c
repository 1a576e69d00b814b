/* store.c - the sections of a file: each vector once, and the members of each cone; the sorted
 * projections are computed again. */
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "src/core/mem.h"

struct stored_meta {
    struct ampi_counters counters;
    uint64_t n_clusters, n_slots, n_vectors, n_members, n_own_axes, n_sketches;
    uint64_t provisional, built, retrain_at;
    double longest;
    float norm_sq_max, zero;
};

struct stored_cluster {
    uint64_t weight, drifted, live;
    uint32_t unchecked, since, drift_rebuilds, refreshes;
    double angle, leading;
    uint32_t has_axes, has_sketch;
};

struct values {
    const struct stored_meta *meta;
    const float *axes, *centroids, *origins, *centre; /* axes: the shared ones */
    const struct stored_cluster *clusters;
    const float *own_axes, *sketches; /* of the clusters that have them */
    const uint32_t *cones, *members;  /* the number of slots in each cone; these slots */
    const uint64_t *ids;              /* by slot */
    const float *rows;                /* of the slots in use */
};

static void write_clusters(struct store_writer *w, const struct ampi_partition *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct ampi_cluster *c = &p->cluster[i];
        const struct stored_cluster stored = {
            c->weight,    c->drifted, c->live,    c->unchecked, c->since,       c->drift_rebuilds,
            c->refreshes, c->angle,   c->leading, c->axes != 0, c->sketch != 0,
        };
        store_write(w, &stored, sizeof stored);
    }
}

static int fields(struct store_fields *f, const struct ampi *a, struct values *v)
{
    const size_t dim = a->base.env.dim, axes = a->fans * dim * sizeof(float),
                 sketch = a->rank * dim * sizeof(float);
    const struct ampi_partition *p = &a->part;
    store_field(f, "meta", &v->meta, 1, sizeof *v->meta);
    if (f->code)
        return f->code;
    const struct stored_meta *m = v->meta;
    const uint64_t n = m->n_clusters;
    if (f->r && (n < 1 || n > UINT32_MAX / 128 || m->n_slots >= SLOT_NONE))
        return f->code = store_corrupt(f->r, "a count is out of range");
    store_field(f, "axes", &v->axes, 1, axes);
    store_field(f, "centroids", &v->centroids, n, dim * sizeof *v->centroids);
    store_field(f, "origins", &v->origins, n, dim * sizeof *v->origins);
    store_field(f, "centre", &v->centre, n, a->fans * sizeof *v->centre);
    if (store_pieces(f, "clusters", &v->clusters, n, sizeof *v->clusters))
        write_clusters(f->w, p);
    if (store_pieces(f, "own axes", &v->own_axes, m->n_own_axes, axes))
        for (size_t i = 0; i < n; i++)
            if (p->cluster[i].axes)
                store_write(f->w, p->cluster[i].axes, axes);
    if (store_pieces(f, "sketches", &v->sketches, m->n_sketches, sketch))
        for (size_t i = 0; i < n; i++)
            if (p->cluster[i].sketch)
                store_write(f->w, p->cluster[i].sketch, sketch);
    if (store_pieces(f, "cones", &v->cones, n, a->fans * sizeof *v->cones))
        for (size_t i = 0; i < n * a->fans; i++)
            store_write(f->w, &p->cones[i].n, sizeof *v->cones);
    if (store_pieces(f, "members", &v->members, m->n_members, sizeof *v->members))
        for (size_t i = 0; i < n * a->fans; i++)
            store_write(f->w, p->cones[i].slots, p->cones[i].n * sizeof *v->members);
    store_field(f, "ids", &v->ids, m->n_slots, sizeof *v->ids);
    if (store_pieces(f, "rows", &v->rows, m->n_vectors, dim * sizeof *v->rows))
        for (size_t s = 0; s < m->n_slots; s++)
            if (a->slots.id[s] != INDEX_NO_ID)
                store_write(f->w, ampi_row(a, s), dim * sizeof *v->rows);
    return f->code;
}

/* Removes tombstones first, so that this index continues exactly as one loaded from the file. */
int ampi_write(struct index *index, struct store_writer *w)
{
    const struct ampi *a = ampi_of(index);
    const struct ampi_partition *p = &a->part;
    bool more;
    const int rc = ampi_maintain(index, 0, &more);
    if (rc)
        return rc;
    struct stored_meta meta = { .counters = a->counters,
                                .n_clusters = p->n,
                                .n_slots = a->slots.n,
                                .n_vectors = a->slots.ids.n,
                                .provisional = a->provisional,
                                .built = a->built,
                                .retrain_at = a->retrain_at,
                                .longest = a->longest,
                                .norm_sq_max = p->norm_sq_max };
    for (size_t i = 0; i < p->n; i++) {
        meta.n_own_axes += p->cluster[i].axes != NULL;
        meta.n_sketches += p->cluster[i].sketch != NULL;
    }
    for (size_t i = 0; i < p->n * a->fans; i++)
        meta.n_members += p->cones[i].n;
    struct values v = { .meta = &meta,
                        .axes = a->axes,
                        .centroids = p->centroids,
                        .origins = p->origins,
                        .centre = p->centre,
                        .ids = a->slots.id };
    return fields(&(struct store_fields){ .w = w }, a, &v);
}

static int counts_add_up(const struct store_reader *r, const struct ampi *a, const struct values *v)
{
    const struct stored_meta *m = v->meta;
    uint64_t members = 0, own_axes = 0, sketches = 0, live = 0;
    for (size_t i = 0; i < m->n_clusters * a->fans; i++)
        members += v->cones[i];
    for (size_t i = 0; i < m->n_clusters; i++) {
        own_axes += v->clusters[i].has_axes;
        sketches += v->clusters[i].has_sketch;
    }
    for (size_t i = 0; i < m->n_slots; i++)
        live += v->ids[i] != INDEX_NO_ID;
    return members == m->n_members && own_axes == m->n_own_axes && sketches == m->n_sketches &&
                   live == m->n_vectors
               ? OK
               : store_corrupt(r, "its counts do not add up");
}

static int load_slots(struct ampi *a, const struct store_reader *r, const struct values *v)
{
    size_t dim = a->base.env.dim;
    const float *row = v->rows;
    int rc = ampi_slots_reserve(a, v->meta->n_slots);
    for (size_t s = 0; !rc && s < v->meta->n_slots; s++) {
        if (v->ids[s] == INDEX_NO_ID) {
            a->slots.n++;
            a->slots.id[s] = INDEX_NO_ID;
            memset(ampi_filed(a, &a->part, s), 0xff, a->copies * sizeof *a->part.filed);
            continue;
        }
        if (idmap_get(&a->slots.ids, v->ids[s], NULL))
            return store_corrupt(r, "an id occurs twice");
        (void)ampi_slot_take(a, v->ids[s], row);
        row += dim;
    }
    for (size_t s = v->meta->n_slots; !rc && s-- > 0;)
        if (v->ids[s] == INDEX_NO_ID)
            a->slots.free[a->slots.n_free++] = (uint32_t)s;
    return rc;
}

/* Adds the slot to this cluster, or counts one more of its cones. */
static int file_member(struct ampi *a, const struct store_reader *r, uint32_t slot, size_t cluster)
{
    if (slot >= a->slots.n || a->slots.id[slot] == INDEX_NO_ID)
        return store_corrupt(r, "a cone names a slot that is not in use");
    uint32_t *filed = ampi_filed(a, &a->part, slot);
    for (size_t j = 0; j < a->copies; j++) {
        if (filed[j] == cluster)
            return OK;
        if (filed[j] == CLUSTER_NONE) {
            filed[j] = (uint32_t)cluster;
            return OK;
        }
    }
    return store_corrupt(r, "a vector is in more clusters than it may");
}

static int load_cone(struct ampi *a, const struct store_reader *r, const struct values *v,
                     size_t cluster, size_t fan, const uint32_t *members)
{
    struct mem *mem = a->base.env.mem;
    struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, fan);
    size_t n = v->cones[cluster * a->fans + fan];
    float *projections = mem_array(mem, n * a->fans, sizeof *projections);
    struct ampi_entry *entries = mem_array(mem, n, sizeof *entries);
    int rc = OK;
    if (!projections || !entries || !ampi_cone_reserve(a, cone, n))
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "load: out of memory");
    for (size_t i = 0; i < n && !rc; i++) {
        rc = file_member(a, r, members[i], cluster);
        if (!rc)
            ampi_project(a, ampi_row(a, members[i]), ampi_axes(a, &a->part.cluster[cluster]),
                         projections + i * a->fans);
    }
    for (size_t axis = 0; axis < a->fans && !rc; axis++) {
        for (size_t i = 0; i < n; i++)
            entries[i] = (struct ampi_entry){ projections[i * a->fans + axis], members[i] };
        ampi_entries_sort(entries, n);
        ampi_cone_merge(cone, axis, entries, n);
    }
    cone->n = rc ? 0 : (uint32_t)n;
    mem_free(mem, projections);
    mem_free(mem, entries);
    return rc;
}

/* Copies the next n floats of an array in the file. NULL: out of memory. */
static float *copy(struct mem *mem, const float **from, size_t n)
{
    float *to = mem_array(mem, n, sizeof *to);
    if (to)
        memcpy(to, *from, n * sizeof *to);
    *from += n;
    return to;
}

static int load_clusters(struct ampi *a, const struct store_reader *r, const struct values *v)
{
    const struct index_env *env = &a->base.env;
    const float *own_axes = v->own_axes, *sketches = v->sketches;
    const uint32_t *members = v->members;
    int rc = OK;
    memcpy(a->part.origins, v->origins, a->part.n * env->dim * sizeof *a->part.origins);
    memcpy(a->part.centre, v->centre, a->part.n * a->fans * sizeof *a->part.centre);
    a->part.norm_sq_max = v->meta->norm_sq_max;
    for (size_t i = 0; i < a->part.n && !rc; i++) {
        const struct stored_cluster *s = &v->clusters[i];
        struct ampi_cluster *c = &a->part.cluster[i];
        *c = (struct ampi_cluster){ .live = (uint32_t)s->live,
                                    .weight = s->weight,
                                    .drifted = s->drifted,
                                    .unchecked = s->unchecked,
                                    .since = s->since,
                                    .drift_rebuilds = s->drift_rebuilds,
                                    .refreshes = s->refreshes,
                                    .angle = s->angle,
                                    .leading = s->leading };
        if (s->has_axes)
            c->axes = copy(env->mem, &own_axes, a->fans * env->dim);
        if (s->has_sketch)
            c->sketch = copy(env->mem, &sketches, a->rank * env->dim);
        if ((s->has_axes && !c->axes) || (s->has_sketch && !c->sketch))
            rc = fail(env->error, ERR_NO_MEMORY, "load: out of memory");
        for (size_t f = 0; f < a->fans && !rc; f++) {
            rc = load_cone(a, r, v, i, f, members);
            members += ampi_cone(a, &a->part, i, f)->n;
        }
    }
    return rc;
}

int ampi_read(struct index *index, struct store_reader *r)
{
    struct ampi *a = ampi_of(index);
    struct values v = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, a, &v);
    if (!rc)
        rc = counts_add_up(r, a, &v);
    if (rc)
        return rc;
    memcpy(a->axes, v.axes, a->fans * index->env.dim * sizeof *a->axes);
    ampi_partition_close(a, &a->part);
    rc = ampi_partition_open(a, &a->part, v.centroids, v.meta->n_clusters);
    if (!rc)
        rc = load_slots(a, r, &v);
    if (!rc)
        rc = load_clusters(a, r, &v);
    if (rc)
        return rc;
    a->provisional = v.meta->provisional != 0;
    a->built = v.meta->built != 0;
    a->retrain_at = v.meta->retrain_at;
    a->counters = v.meta->counters;
    a->longest = v.meta->longest;
    return ampi_check(index, NULL);
}
