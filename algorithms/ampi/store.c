/* store.c - the sections of a file: each vector once, and the members of each cone; the sorted
 * projections are computed again.
 *
 * Sections: "meta"; "axes", the shared ones; "centroids", "origins" and "centre" as in memory;
 * "clusters"; "own axes" and "sketches" of the clusters that have them, in order; "cones", the
 * number of slots in each; "members", these slots, cone by cone; "ids" by slot; "rows" of the slots
 * in use. */
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

static void save_clusters(const struct ampi *a, struct store_writer *w)
{
    const struct ampi_partition *p = &a->part;
    size_t dim = a->base.env.dim;
    store_section(w, "axes");
    store_write(w, a->axes, a->fans * dim * sizeof *a->axes);
    store_section(w, "centroids");
    store_write(w, p->centroids, p->n * dim * sizeof *p->centroids);
    store_section(w, "origins");
    store_write(w, p->origins, p->n * dim * sizeof *p->origins);
    store_section(w, "centre");
    store_write(w, p->centre, p->n * a->fans * sizeof *p->centre);
    store_section(w, "clusters");
    for (size_t i = 0; i < p->n; i++) {
        const struct ampi_cluster *c = &p->cluster[i];
        struct stored_cluster stored = {
            c->weight,    c->drifted, c->live,    c->unchecked, c->since,       c->drift_rebuilds,
            c->refreshes, c->angle,   c->leading, c->axes != 0, c->sketch != 0,
        };
        store_write(w, &stored, sizeof stored);
    }
    store_section(w, "own axes");
    for (size_t i = 0; i < p->n; i++)
        if (p->cluster[i].axes)
            store_write(w, p->cluster[i].axes, a->fans * dim * sizeof *a->axes);
    store_section(w, "sketches");
    for (size_t i = 0; i < p->n; i++)
        if (p->cluster[i].sketch)
            store_write(w, p->cluster[i].sketch, a->rank * dim * sizeof *a->axes);
}

static void save_cones(const struct ampi *a, struct store_writer *w)
{
    size_t cones = a->part.n * a->fans;
    store_section(w, "cones");
    for (size_t i = 0; i < cones; i++)
        store_write(w, &a->part.cones[i].n, sizeof a->part.cones[i].n);
    store_section(w, "members");
    for (size_t i = 0; i < cones; i++)
        store_write(w, a->part.cones[i].slots, a->part.cones[i].n * sizeof *a->part.cones[i].slots);
    store_section(w, "ids");
    store_write(w, a->slots.id, a->slots.n * sizeof *a->slots.id);
    store_section(w, "rows");
    for (size_t s = 0; s < a->slots.n; s++)
        if (a->slots.id[s] != INDEX_NO_ID)
            store_write(w, ampi_row(a, s), a->base.env.dim * sizeof(float));
}

static void save_meta(const struct ampi *a, struct store_writer *w)
{
    const struct ampi_partition *p = &a->part;
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
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
}

/* Removes tombstones first, so that this index continues exactly as one loaded from the file. */
int ampi_write(struct index *index, struct store_writer *w)
{
    bool more;
    const int rc = ampi_maintain(index, 0, &more);
    if (rc)
        return rc;
    save_meta(ampi_of(index), w);
    save_clusters(ampi_of(index), w);
    save_cones(ampi_of(index), w);
    return OK;
}

struct loading {
    struct store_reader *reader;
    const struct stored_meta *meta;
    const struct stored_cluster *clusters;
    const float *axes, *centroids, *origins, *centre, *own_axes, *sketches, *rows;
    const uint32_t *cones, *members;
    const uint64_t *ids;
};

static int find_sections(struct loading *l, const struct ampi *a)
{
    const size_t dim = a->base.env.dim, fans = a->fans;
    int rc = store_need_array(l->reader, "meta", 1, sizeof *l->meta, &l->meta);
    if (rc)
        return rc;
    const struct stored_meta *m = l->meta;
    if (m->n_clusters < 1 || m->n_clusters > UINT32_MAX / 128 || m->n_slots >= SLOT_NONE)
        return store_corrupt(l->reader, "a count is out of range");
    const struct {
        const char *tag;
        uint64_t n;
        size_t each;
        void *out;
    } sections[] = {
        { "axes", 1, fans * dim * sizeof(float), &l->axes },
        { "centroids", m->n_clusters, dim * sizeof(float), &l->centroids },
        { "origins", m->n_clusters, dim * sizeof(float), &l->origins },
        { "centre", m->n_clusters, fans * sizeof(float), &l->centre },
        { "clusters", m->n_clusters, sizeof *l->clusters, &l->clusters },
        { "own axes", m->n_own_axes, fans * dim * sizeof(float), &l->own_axes },
        { "sketches", m->n_sketches, a->rank * dim * sizeof(float), &l->sketches },
        { "cones", m->n_clusters, fans * sizeof *l->cones, &l->cones },
        { "members", m->n_members, sizeof *l->members, &l->members },
        { "ids", m->n_slots, sizeof *l->ids, &l->ids },
        { "rows", m->n_vectors, dim * sizeof(float), &l->rows },
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections && !rc; i++)
        rc = store_need_array(l->reader, sections[i].tag, sections[i].n, sections[i].each,
                              sections[i].out);
    uint64_t members = 0, own_axes = 0, sketches = 0, live = 0;
    for (size_t i = 0; i < m->n_clusters * fans && !rc; i++)
        members += l->cones[i];
    for (size_t i = 0; i < m->n_clusters && !rc; i++) {
        own_axes += l->clusters[i].has_axes;
        sketches += l->clusters[i].has_sketch;
    }
    for (size_t i = 0; i < m->n_slots && !rc; i++)
        live += l->ids[i] != INDEX_NO_ID;
    if (!rc && (members != m->n_members || own_axes != m->n_own_axes || sketches != m->n_sketches ||
                live != m->n_vectors))
        return store_corrupt(l->reader, "its counts do not add up");
    return rc;
}

static int load_slots(struct ampi *a, const struct loading *l)
{
    size_t dim = a->base.env.dim;
    const float *row = l->rows;
    int rc = ampi_slots_reserve(a, l->meta->n_slots);
    for (size_t s = 0; !rc && s < l->meta->n_slots; s++) {
        if (l->ids[s] == INDEX_NO_ID) {
            a->slots.n++;
            a->slots.id[s] = INDEX_NO_ID;
            memset(ampi_filed(a, &a->part, s), 0xff, a->copies * sizeof *a->part.filed);
            continue;
        }
        if (idmap_get(&a->slots.ids, l->ids[s], NULL))
            return store_corrupt(l->reader, "an id occurs twice");
        (void)ampi_slot_take(a, l->ids[s], row);
        row += dim;
    }
    for (size_t s = l->meta->n_slots; !rc && s-- > 0;)
        if (l->ids[s] == INDEX_NO_ID)
            a->slots.free[a->slots.n_free++] = (uint32_t)s;
    return rc;
}

/* Adds the slot to this cluster, or counts one more of its cones. */
static int file_member(struct ampi *a, const struct loading *l, uint32_t slot, size_t cluster)
{
    if (slot >= a->slots.n || a->slots.id[slot] == INDEX_NO_ID)
        return store_corrupt(l->reader, "a cone names a slot that is not in use");
    uint32_t *filed = ampi_filed(a, &a->part, slot);
    for (size_t j = 0; j < a->copies; j++) {
        if (filed[j] == cluster)
            return OK;
        if (filed[j] == CLUSTER_NONE) {
            filed[j] = (uint32_t)cluster;
            return OK;
        }
    }
    return store_corrupt(l->reader, "a vector is in more clusters than it may");
}

static int load_cone(struct ampi *a, const struct loading *l, size_t cluster, size_t fan,
                     const uint32_t *members)
{
    struct mem *mem = a->base.env.mem;
    struct ampi_cone *cone = ampi_cone(a, &a->part, cluster, fan);
    size_t n = l->cones[cluster * a->fans + fan];
    float *projections = mem_array(mem, n * a->fans, sizeof *projections);
    struct ampi_entry *entries = mem_array(mem, n, sizeof *entries);
    int rc = OK;
    if (!projections || !entries || !ampi_cone_reserve(a, cone, n))
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "load: out of memory");
    for (size_t i = 0; i < n && !rc; i++) {
        rc = file_member(a, l, members[i], cluster);
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

static int load_clusters(struct ampi *a, const struct loading *l)
{
    const struct index_env *env = &a->base.env;
    const float *own_axes = l->own_axes, *sketches = l->sketches;
    const uint32_t *members = l->members;
    int rc = OK;
    memcpy(a->part.origins, l->origins, a->part.n * env->dim * sizeof *a->part.origins);
    memcpy(a->part.centre, l->centre, a->part.n * a->fans * sizeof *a->part.centre);
    a->part.norm_sq_max = l->meta->norm_sq_max;
    for (size_t i = 0; i < a->part.n && !rc; i++) {
        const struct stored_cluster *s = &l->clusters[i];
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
            rc = load_cone(a, l, i, f, members);
            members += ampi_cone(a, &a->part, i, f)->n;
        }
    }
    return rc;
}

int ampi_read(struct index *index, struct store_reader *r)
{
    struct ampi *a = ampi_of(index);
    struct loading l = { .reader = r };
    int rc = find_sections(&l, a);
    if (rc)
        return rc;
    memcpy(a->axes, l.axes, a->fans * index->env.dim * sizeof *a->axes);
    ampi_partition_close(a, &a->part);
    rc = ampi_partition_open(a, &a->part, l.centroids, l.meta->n_clusters);
    if (!rc)
        rc = load_slots(a, &l);
    if (!rc)
        rc = load_clusters(a, &l);
    if (rc)
        return rc;
    a->provisional = l.meta->provisional != 0;
    a->built = l.meta->built != 0;
    a->retrain_at = l.meta->retrain_at;
    a->counters = l.meta->counters;
    a->longest = l.meta->longest;
    return ampi_check(index, NULL);
}
