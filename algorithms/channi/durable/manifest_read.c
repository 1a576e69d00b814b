/* manifest_read.c - restores an index from a manifest's sections. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"

struct reading {
    struct channi *s;
    const struct store_reader *r;
    struct channi_sections x;
    struct channi_layout *layout;
};

static int no_memory(const struct reading *x)
{
    return CHANNI_NO_MEMORY(&x->s->base.env, ", cannot load the index");
}

/* -------------------------------------------------------------------------------- clusters */

/* A place for the id of a live row; reserved. */
static int place(const struct reading *x, uint64_t id, uint32_t cid, uint32_t row)
{
    if (channi_place_of(x->s, id, NULL))
        return store_corrupt(x->r, "an id is live twice");
    channi_place_add(x->s, id, (struct channi_place){ cid, row });
    return OK;
}

static int read_deltas(struct reading *x, const struct channi_manifest_cluster *m,
                       struct channi_cluster *cl)
{
    struct channi_sections *t = &x->x;
    const size_t n_fields = t->meta->n_attributes;
    uint32_t live = 0;
    int rc = channi_delta_reserve(&cl->delta, m->n_delta)
                 ? channi_places_reserve(x->s, t->ids, m->n_delta)
                 : no_memory(x);

    for (uint32_t i = 0; rc == OK && i < m->n_delta; i++) {
        if (t->ids[i] == INDEX_NO_ID || t->born[i] > t->meta->version ||
            t->dead[i] > t->meta->version)
            return store_corrupt(x->r, "a row of a later version than the manifest's");
        (void)channi_delta_append(
            &cl->delta, &(struct channi_row){ .bytes = t->rows + i * x->s->row_bytes,
                                              .id = t->ids[i],
                                              .born = t->born[i],
                                              .dead = t->dead[i],
                                              .record = { t->attributes + i * n_fields, 1 } });
        if (t->dead[i] > 0)
            continue;
        rc = place(x, t->ids[i], m->cid, cl->base_n + i);
        live++;
    }
    (void)atomic_fetch_add(&cl->live, live);
    (void)atomic_fetch_add(&cl->n_dead, m->n_delta - live);
    return rc;
}

static int read_deaths(struct reading *x, const struct channi_manifest_cluster *m,
                       struct channi_cluster *cl)
{
    const struct channi_sections *t = &x->x;

    if (m->n_deaths == 0)
        return OK;
    _Atomic(uint64_t) *dead = channi_cluster_marks(x->s, cl);
    if (!dead)
        return no_memory(x);
    for (uint32_t i = 0; i < m->n_deaths; i++) {
        if (t->deaths[i].row >= cl->base_n || t->deaths[i].version > t->meta->version)
            return store_corrupt(x->r, "the death of a row that there is not");
        atomic_store_explicit(&dead[t->deaths[i].row], t->deaths[i].version, memory_order_relaxed);
    }
    return OK;
}

static int read_aliases(struct reading *x, const struct channi_manifest_cluster *m,
                        struct channi_cluster *cl)
{
    const uint32_t *from = x->x.aliases;

    cl->routes = mem_array(x->s->base.env.mem, m->n_routes, sizeof *cl->routes);
    cl->site = mem_alloc(x->s->base.env.mem, x->s->row_bytes);
    if (!cl->routes || !cl->site)
        return no_memory(x);
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

static struct channi_cluster *make(const struct reading *x, const struct channi_manifest_cluster *m)
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
static int join_file(struct reading *x, const struct channi_manifest_cluster *m,
                     struct channi_cluster *cl)
{
    struct channi *s = x->s;
    const struct index_env *env = &s->base.env;
    struct channi_base *base = channi_base_create(env);
    int rc = base ? channi_cluster_file_head(env, m->phash, m->file_version, base) : no_memory(x);

    if (rc == OK && (base->n != m->n || base->root != m->root))
        rc = fail(env->error, ERR_CORRUPT,
                  "channi: %s: its file %016" PRIx64 ".%016" PRIx64
                  ".clu has %u rows and root %u, not %u and %u",
                  x->r->path, m->phash, m->file_version, base->n, base->root, m->n, m->root);
    if (rc == OK && !mem_grow(env->mem, &s->retained, &s->retained_capacity, s->n_retained + 1,
                              sizeof(struct channi_base *)))
        rc = no_memory(x);
    if (rc == OK)
        rc = channi_cache_join(s->cache, base, NULL);
    if (rc != OK) {
        mem_free(env->mem, base);
        return rc;
    }
    cl->base = base;
    cl->base_n = base->n;
    atomic_init(&base->refs, 2);
    atomic_init(&base->in_manifest, true);
    s->retained[s->n_retained++] = base;
    return OK;
}

/* Counts the file's rows, and places the live ones. */
static int place_file(struct reading *x, struct channi_cluster *cl,
                      const struct channi_image *image)
{
    const uint64_t version = x->x.meta->version;
    uint32_t live = 0;
    int rc = channi_places_reserve(x->s, image->ids, image->n);

    for (uint32_t i = 0; rc == OK && i < image->n; i++) {
        const struct channi_row row = channi_cluster_row(cl, image, i);

        if (row.born > version || row.id == INDEX_NO_ID)
            return store_corrupt(x->r, "a file of it has rows of a later version");
        if (row.dead != 0)
            continue;
        rc = place(x, row.id, cl->cid, i);
        live++;
    }
    (void)atomic_fetch_add(&cl->live, live);
    (void)atomic_fetch_add(&cl->n_dead, image->n - live);
    return rc;
}

/* Reads the whole file and verifies its hashes, so that damage is found before any search. */
static int read_file(struct reading *x, const struct channi_manifest_cluster *m,
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

static void advance(struct reading *x, const struct channi_manifest_cluster *m)
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

static int read_cluster(struct reading *x, const struct channi_manifest_cluster *m)
{
    struct channi_cluster *cl = make(x, m);
    struct channi_latch *latch = segmented_at(&x->s->latches, m->cid);
    int rc = cl ? OK : no_memory(x);

    if (rc == OK && x->x.meta->built)
        rc = read_aliases(x, m, cl);
    if (rc == OK && m->has_file)
        rc = read_file(x, m, cl);
    if (rc == OK)
        rc = read_deltas(x, m, cl);
    if (rc != OK) {
        channi_cluster_unref(x->s, cl);
        return rc;
    }
    atomic_store(&latch->tried, m->tried);
    atomic_store(&latch->retained_dead, m->retained_dead);
    atomic_store(&latch->made, m->made);
    atomic_store(&latch->retained_at, x->x.meta->version);
    channi_delta_encode(x->s, cl);
    channi_layout_set(x->s, x->layout, m->cid, cl);
    advance(x, m);
    return OK;
}

static int read_clusters(struct reading *x)
{
    struct channi *s = x->s;
    const struct channi_manifest_meta *m = x->x.meta;
    int rc = OK;

    if (!channi_layout_reserve(s, x->layout, m->n_cids))
        return no_memory(x);
    channi_layout_set(s, x->layout, m->n_cids - 1, NULL);
    for (uint32_t i = 0; rc == OK && i < m->n_clusters; i++)
        rc = read_cluster(x, &x->x.clusters[i]);
    return rc;
}

/* --------------------------------------------------------------------------------- sections */

static bool cluster_fits(const struct channi_manifest_meta *m,
                         const struct channi_manifest_cluster *c)
{
    if (c->cid >= m->n_cids || c->kind > CLUSTER_DEFERRED || c->has_file > 1)
        return false;
    if (m->built != (c->kind != CLUSTER_DEFERRED) || (c->has_file && !m->built))
        return false;
    return c->has_file ? c->n > 0 && c->root < c->n : c->n == 0 && c->n_deaths == 0;
}

/* Checks each cluster's description, and that their totals match the sections' sizes. */
static int add_up(const struct store_reader *r, const struct channi_manifest_meta *m,
                  const struct channi_manifest_cluster *c)
{
    uint64_t delta = 0, deaths = 0, aliases = 0;

    for (uint32_t i = 0; i < m->n_clusters; i++) {
        if (!cluster_fits(m, &c[i]) || (i > 0 && c[i].cid <= c[i - 1].cid))
            return store_corrupt(r, "the description of a cluster is inconsistent");
        delta += c[i].n_delta;
        deaths += c[i].n_deaths;
        aliases += c[i].n_routes;
    }
    if (delta != m->n_delta || deaths != m->n_deaths || aliases != m->n_aliases)
        return store_corrupt(r, "rows, deaths or routes of clusters do not add up");
    return OK;
}

int channi_manifest_meta_of(const struct store_reader *r, const struct param *options,
                            const struct channi_manifest_meta **meta,
                            const struct channi_manifest_cluster **clusters)
{
    const struct channi_manifest_meta *m = NULL;
    int rc = store_need_array(r, "meta", 1, sizeof *m, &m);

    if (rc == OK && !param_possible(options, &m->params))
        rc = store_corrupt(r, "its options are out of their ranges");
    if (rc == OK && (m->built > 1 || m->n_clusters > m->n_cids || m->n_cids >= CID_NONE ||
                     m->n_clusters == 0 || m->n_routes >= CID_NONE ||
                     (m->built && m->n_routes == 0) || m->n_delta >= UINT64_MAX / 2 ||
                     m->split_max == 0 || m->n_attributes > INDEX_ATTRIBUTES_MAX))
        rc = store_corrupt(r, "its counts are inconsistent");
    if (rc == OK)
        rc = store_need_array(r, "clusters", m->n_clusters, sizeof **clusters, clusters);
    if (rc == OK)
        rc = add_up(r, m, *clusters);
    *meta = m;
    return rc;
}

/* ------------------------------------------------------------------------------- the whole */

int channi_manifest_read(struct channi *s, const struct store_reader *r,
                         const struct channi_manifest_meta *meta,
                         const struct channi_manifest_cluster *clusters)
{
    struct reading *x =
        &(struct reading){ .s = s, .r = r, .x = { .meta = meta, .clusters = clusters } };
    const struct channi_layout none = { .number = 0 };
    int rc = channi_manifest_fields(&(struct store_fields){ .r = r }, s, NULL, &x->x);

    if (rc != OK)
        return rc;
    s->manifest = meta->number;
    s->layouts = meta->layouts;
    s->files = meta->files;
    s->build_at = (size_t)meta->build_at;
    s->split_max = meta->split_max;
    s->merge_min = meta->merge_min;
    s->ood_cap = meta->ood_cap;
    x->layout = channi_layout_copy(s, &none);
    if (!x->layout)
        return no_memory(x);
    if (meta->built)
        rc = channi_routes_load(s, &x->x.routes, meta->n_routes, r->path, &x->layout->routes);
    if (rc == OK && meta->built)
        rc = quantizer_field(&(struct store_fields){ .r = r }, "quantizer", &s->base.env,
                             &s->quantizer);
    if (rc == OK && meta->built && !s->quantizer && s->params.cluster_index == INSIDE_CODES)
        rc = store_corrupt(r, "an index of codes without a quantizer");
    if (rc == OK)
        rc = read_clusters(x);
    if (rc == OK && !channi_layout_find_ood(s, x->layout))
        rc = no_memory(x);
    if (rc == OK)
        rc = channi_publish(s, meta->version, x->layout);
    if (rc != OK)
        channi_layout_unref(s, x->layout);
    return rc;
}
