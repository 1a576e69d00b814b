/* manifest_clusters.c - reads the clusters of a manifest and the files it names. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/durable/internal.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/versions/latch.h"
#include "algorithms/channi/versions/places.h"
#include "src/core/mem.h"

/* -------------------------------------------------------------------------------- clusters */

static int read_deltas(struct channi_reading *x, const struct channi_manifest_cluster *m,
                       struct channi_cluster *cl)
{
    struct channi_sections *t = &x->x;
    const size_t n_fields = t->meta->n_attributes;
    uint32_t dead = 0;

    if (!channi_delta_reserve(&cl->delta, m->n_delta))
        return channi_reading_no_memory(x);
    for (uint32_t i = 0; i < m->n_delta; i++) {
        if (t->ids[i] == INDEX_NO_ID || t->born[i] > t->meta->version ||
            t->dead[i] > t->meta->version)
            return store_corrupt(x->r, "a row of a later version than the manifest's");
        (void)channi_delta_append(&cl->delta, t->rows + i * x->s->row_bytes, t->ids[i],
                                  (struct channi_record){ t->attributes + i * n_fields, 1 },
                                  t->born[i], t->dead[i]);
        dead += t->dead[i] > 0;
    }
    atomic_store(&cl->live, m->n_delta - dead);
    atomic_store(&cl->n_dead, dead);
    return OK;
}

static int read_deaths(struct channi_reading *x, const struct channi_manifest_cluster *m,
                       struct channi_cluster *cl)
{
    const struct channi_sections *t = &x->x;

    if (m->n_deaths == 0)
        return OK;
    _Atomic(uint64_t) *dead = mem_zalloc(x->s->base.env.mem, (size_t)cl->base_n * sizeof *dead);
    if (!dead)
        return channi_reading_no_memory(x);
    atomic_store(&cl->dead, dead);
    for (uint32_t i = 0; i < m->n_deaths; i++) {
        if (t->deaths[i].row >= cl->base_n || t->deaths[i].version > t->meta->version)
            return store_corrupt(x->r, "the death of a row that there is not");
        atomic_store_explicit(&dead[t->deaths[i].row], t->deaths[i].version, memory_order_relaxed);
    }
    return OK;
}

static int read_aliases(struct channi_reading *x, const struct channi_manifest_cluster *m,
                        struct channi_cluster *cl)
{
    const uint32_t *from = x->x.aliases;

    cl->routes = mem_array(x->s->base.env.mem, m->n_routes, sizeof *cl->routes);
    cl->site = mem_alloc(x->s->base.env.mem, x->s->row_bytes);
    if (!cl->routes || !cl->site)
        return channi_reading_no_memory(x);
    for (uint32_t i = 0; i < m->n_routes; i++) {
        if (from[i] >= x->x.meta->n_routes || (i > 0 && from[i] <= from[i - 1]) ||
            x->layout->routes->cid[from[i]] != m->cid)
            return store_corrupt(x->r, "a cluster's route leads to another");
        cl->routes[i] = from[i];
    }
    cl->n_routes = m->n_routes;
    memcpy(cl->site, x->x.roots, x->s->row_bytes);
    return OK;
}

static struct channi_cluster *make(const struct channi_reading *x,
                                   const struct channi_manifest_cluster *m)
{
    struct channi_cluster *cl =
        channi_cluster_create(x->s, m->cid, (enum channi_cluster_kind)m->kind, m->born_ver);

    if (!cl)
        return NULL;
    cl->root = m->root;
    cl->root_id = m->root_id;
    cl->mean_d = m->mean_d;
    atomic_init(&cl->shape, m->shape);
    cl->drift = m->drift;
    return cl;
}

/* ------------------------------------------------------------------------------------ files */

/* Verifies that the file is the cluster's, and adds it to the cache. */
static int join_file(struct channi_reading *x, const struct channi_manifest_cluster *m,
                     struct channi_cluster *cl)
{
    struct channi *s = x->s;
    const struct index_env *env = &s->base.env;
    struct channi_base *base = channi_base_create(env);
    int rc = base ? channi_cluster_file_head(env, m->phash, m->file_version, base)
                  : channi_reading_no_memory(x);

    if (rc == OK && (base->n != m->n || base->root != m->root))
        rc = fail(env->error, ERR_CORRUPT,
                  "channi: %s: its file %016" PRIx64 ".%016" PRIx64
                  ".clu has %u rows and root %u, not %u and %u",
                  x->r->path, m->phash, m->file_version, base->n, base->root, m->n, m->root);
    if (rc == OK) {
        atomic_init(&base->refs, 1);
        rc = channi_cache_join(s->cache, base, NULL);
    }
    if (rc != OK) {
        mem_free(env->mem, base);
        return rc;
    }
    cl->base = base;
    cl->base_n = base->n;
    /* Until the index is open: an error before then must not remove a file. */
    atomic_store(&base->in_manifest, true);
    return OK;
}

/* Counts the file's rows, and collects the ids of the live ones in x->live. */
static int count_rows(struct channi_reading *x, struct channi_cluster *cl,
                      const struct channi_image *image, size_t *n)
{
    const uint64_t version = x->x.meta->version;

    *n = 0;
    if (!mem_grow(x->s->base.env.mem, &x->live, &x->capacity, image->n, sizeof *x->live))
        return channi_reading_no_memory(x);
    for (uint32_t i = 0; i < image->n; i++) {
        if ((image->born && image->born[i] > version) || image->ids[i] == INDEX_NO_ID)
            return store_corrupt(x->r, "a file of it has rows of a later version");
        if (channi_cluster_base_dead(cl, image, i) == 0)
            x->live[(*n)++] = image->ids[i];
    }
    (void)atomic_fetch_add(&cl->live, (uint32_t)*n);
    (void)atomic_fetch_add(&cl->n_dead, image->n - (uint32_t)*n);
    return OK;
}

static int place(struct channi_reading *x, uint64_t id, uint32_t cid, uint32_t row)
{
    if (channi_place_of(x->s, id, NULL))
        return store_corrupt(x->r, "an id is live twice");
    channi_place_add(x->s, id, (struct channi_place){ cid, row });
    return OK;
}

static int place_file(struct channi_reading *x, struct channi_cluster *cl,
                      const struct channi_image *image)
{
    size_t n = 0;
    int rc = count_rows(x, cl, image, &n);

    if (rc == OK)
        rc = channi_places_reserve(x->s, x->live, n);
    for (uint32_t i = 0; rc == OK && i < image->n; i++)
        if (channi_cluster_base_dead(cl, image, i) == 0)
            rc = place(x, image->ids[i], cl->cid, i);
    return rc;
}

static int place_delta(struct channi_reading *x, const struct channi_cluster *cl)
{
    const uint32_t n = channi_delta_count(&cl->delta);
    size_t live = 0;
    int rc = OK;

    if (!mem_grow(x->s->base.env.mem, &x->live, &x->capacity, n, sizeof *x->live))
        return channi_reading_no_memory(x);
    for (uint32_t i = 0; i < n; i++)
        if (atomic_load(channi_delta_at(&cl->delta, i).dead) == 0)
            x->live[live++] = channi_delta_at(&cl->delta, i).id;
    rc = channi_places_reserve(x->s, x->live, live);
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        const struct channi_delta_row d = channi_delta_at(&cl->delta, i);
        if (atomic_load(d.dead) == 0)
            rc = place(x, d.id, cl->cid, cl->base_n + i);
    }
    return rc;
}

/* Reads the whole file and verifies its hashes, so that damage is found before any search. */
static int read_file(struct channi_reading *x, const struct channi_manifest_cluster *m,
                     struct channi_cluster *cl)
{
    struct channi_whole_file whole;
    int rc = join_file(x, m, cl);

    if (rc == OK)
        rc = read_deaths(x, m, cl);
    if (rc == OK)
        rc = channi_cache_whole(x->s->cache, cl->base, &whole);
    if (rc == OK) {
        rc = place_file(x, cl, &whole.image);
        channi_cache_whole_done(x->s->cache, &whole);
    }
    return rc;
}

/* ------------------------------------------------------------------------------- the whole */

static void advance(struct channi_reading *x, const struct channi_manifest_cluster *m)
{
    struct channi_sections *t = &x->x;

    t->roots += t->meta->built ? x->s->row_bytes : 0;
    t->aliases += m->n_routes;
    t->deaths += m->n_deaths;
    t->ids += m->n_delta;
    t->born += m->n_delta;
    t->dead += m->n_delta;
    t->attributes += (size_t)m->n_delta * t->meta->n_attributes;
    t->rows += m->n_delta * x->s->row_bytes;
}

static int read_cluster(struct channi_reading *x, const struct channi_manifest_cluster *m)
{
    struct channi_cluster *cl = make(x, m);
    struct channi_latch *latch = segmented_at(&x->s->latches, m->cid);
    int rc = cl ? read_deltas(x, m, cl) : channi_reading_no_memory(x);

    if (rc == OK && x->x.meta->built)
        rc = read_aliases(x, m, cl);
    if (rc == OK && m->has_file)
        rc = read_file(x, m, cl);
    if (rc != OK) {
        if (cl)
            channi_cluster_unref(x->s, cl);
        return rc;
    }
    atomic_store(&latch->tried, m->tried);
    atomic_store(&latch->retained_dead, m->retained_dead);
    atomic_store(&latch->made, m->made);
    atomic_store(&latch->retained_at, x->x.meta->version);
    channi_layout_set(x->s, x->layout, m->cid, cl);
    advance(x, m);
    return OK;
}

int channi_reading_clusters(struct channi_reading *x)
{
    struct channi *s = x->s;
    const struct channi_manifest_meta *m = x->x.meta;
    int rc = OK;

    if (!channi_layout_reserve(s, x->layout, m->n_cids))
        return channi_reading_no_memory(x);
    channi_layout_set(s, x->layout, m->n_cids - 1, NULL);
    for (uint32_t i = 0; rc == OK && i < m->n_clusters; i++)
        rc = read_cluster(x, &x->x.clusters[i]);
    for (uint32_t cid = 0; rc == OK && cid < m->n_cids; cid++)
        if (x->layout->clusters[cid]) {
            rc = place_delta(x, x->layout->clusters[cid]);
            channi_delta_encode(s, x->layout->clusters[cid]);
        }
    return rc;
}
