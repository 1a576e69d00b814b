/* manifest.c - captures the state of an index at one moment, writes its sections, and restores
 * an index from them.
 *
 * Commits wait only while counts are copied. The layout does not change, deltas only grow, and
 * later deletions have a later version. So rows and deletions can be read while they are written
 * to the file. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"

/* The sections; those of clusters, while they are read: the data of the next one. */
struct sections {
    const struct channi_manifest_meta *meta;
    const struct channi_manifest_cluster *clusters;
    const unsigned char *roots, *rows;
    const struct channi_manifest_death *deaths;
    const struct channi_manifest_row *delta;
    const int64_t *attributes; /* records */
    struct channi_stored_routes routes;
};

struct store_identity channi_manifest_identity(const struct index_env *env)
{
    return store_identity_of(env, CHANNI_NAME, MANIFEST_VERSION);
}

/* ------------------------------------------------------------------------------- capture */

static const struct channi_cluster *cluster_of(const struct channi_capture *c, uint32_t i)
{
    return c->view->layout->clusters[c->clusters[i].cid];
}

static struct channi_manifest_cluster describe(const struct channi *s,
                                               const struct channi_cluster *cl)
{
    struct channi_latch *latch = segmented_at(&s->latches, cl->cid);

    return (struct channi_manifest_cluster){
        .phash = cl->base ? cl->base->phash : 0,
        .file_version = cl->base ? cl->base->version : 0,
        .born_ver = cl->born_ver,
        .cid = cl->cid,
        .kind = (uint32_t)cl->kind,
        .mean_d = cl->mean_d,
        .shape = channi_shape_of(cl),
        .tried = atomic_load(&latch->tried),
        .retained_dead = atomic_load(&latch->retained_dead),
        .made = atomic_load(&latch->made),
    };
}

static int capture_clusters(struct channi *s, struct channi_capture *c)
{
    struct mem *mem = s->base.env.mem;
    const struct channi_layout *l = c->view->layout;
    const struct channi_cluster *cl;

    for (uint32_t next = 0; channi_layout_next(l, &next);)
        c->meta.n_clusters++;
    c->clusters = mem_array(mem, c->meta.n_clusters, sizeof *c->clusters);
    c->seen = mem_array(mem, c->meta.n_clusters, sizeof *c->seen);
    if (!c->clusters || !c->seen)
        return CHANNI_NO_MEMORY(&s->base.env, " for a checkpoint");
    for (uint32_t next = 0, i = 0; (cl = channi_layout_next(l, &next)); i++) {
        c->clusters[i] = describe(s, cl);
        c->seen[i] = channi_delta_count(&cl->delta);
    }
    return OK;
}

int channi_capture_take(struct channi *s, struct channi_capture *c, bool rotate)
{
    struct channi_manifest_meta *m = &c->meta;

    memset(c, 0, sizeof *c); /* padding too: it is written to the file */
    pthread_mutex_lock(&s->write);
    c->view = channi_view_now(s);
    c->horizon = channi_horizon(s);
    m->params = s->params;
    m->version = c->view->version;
    m->layouts = s->layouts;
    m->files = s->files;
    m->build_at = s->build_at;
    m->built = c->view->layout->routes != NULL;
    m->n_cids = c->view->layout->n_clusters;
    m->n_attributes = (uint32_t)s->base.env.n_attributes;
    m->n_routes = m->built ? c->view->layout->routes->n : 0;
    int rc = capture_clusters(s, c);
    if (rc == OK && rotate)
        rc = wal_rotate(s->durable.wal, &c->meta.lsn);
    pthread_mutex_unlock(&s->write);
    if (rc != OK)
        channi_capture_free(s, c);
    return rc;
}

void channi_capture_free(struct channi *s, struct channi_capture *c)
{
    channi_view_unref(s, c->view);
    mem_free(s->base.env.mem, c->clusters);
    mem_free(s->base.env.mem, c->seen);
    memset(c, 0, sizeof *c);
}

/* ---------------------------------------------------------------------- rows and deletions */

/* Reads a row of the i-th cluster's delta. false: it does not belong to the captured state, in
   which it is dead, and no old version that can still be searched sees it. */
static bool kept_row(const struct channi_capture *c, uint32_t i, uint32_t at,
                     struct channi_row *row)
{
    const struct channi_cluster *cl = cluster_of(c, i);

    *row = channi_cluster_row(cl, NULL, cl->base_n + at);
    row->dead = row->dead > c->meta.version ? 0 : row->dead;
    return row->dead == 0 || row->dead > c->horizon;
}

/* When the row died since its file was written; 0: it did not. */
static uint64_t death_of(const struct channi_capture *c, const struct channi_cluster *cl,
                         uint32_t row)
{
    const uint64_t at = channi_cluster_base_dead(cl, NULL, row);

    return at > c->meta.version ? 0 : at;
}

/* Counts once: later deletions have later versions and do not change the result. */
static void count(struct channi_capture *c)
{
    for (uint32_t i = 0; i < c->meta.n_clusters; i++) {
        const struct channi_cluster *cl = cluster_of(c, i);
        struct channi_manifest_cluster *m = &c->clusters[i];
        struct channi_row kept;

        for (uint32_t at = 0; at < c->seen[i]; at++)
            m->n_delta += kept_row(c, i, at, &kept);
        for (uint32_t row = 0; row < cl->base_n; row++)
            m->n_deaths += death_of(c, cl, row) != 0;
        c->meta.n_delta += m->n_delta;
        c->meta.n_deaths += m->n_deaths;
    }
}

static void write_deaths(const struct channi_capture *c, struct store_writer *w)
{
    for (uint32_t i = 0; i < c->meta.n_clusters; i++) {
        const struct channi_cluster *cl = cluster_of(c, i);

        for (uint32_t row = 0; c->clusters[i].n_deaths > 0 && row < cl->base_n; row++) {
            const struct channi_manifest_death death = { .version = death_of(c, cl, row),
                                                         .row = row };
            if (death.version)
                store_write(w, &death, sizeof death);
        }
    }
}

enum delta_part { DELTA_HEADS, DELTA_RECORDS, DELTA_ROWS };

static void write_deltas(const struct channi *s, const struct channi_capture *c,
                         enum delta_part part, struct store_writer *w)
{
    struct channi_row row;

    for (uint32_t i = 0; i < c->meta.n_clusters; i++)
        for (uint32_t at = 0; at < c->seen[i]; at++) {
            if (!kept_row(c, i, at, &row))
                continue;
            const struct channi_manifest_row head = { row.id, row.born, row.dead };
            if (part == DELTA_HEADS)
                store_write(w, &head, sizeof head);
            else if (part == DELTA_RECORDS)
                store_write(w, row.record.numbers, channi_record_bytes(s));
            else
                store_write(w, row.bytes, s->row_bytes);
        }
}

/* ---------------------------------------------------------------------------- all sections */

/* The sections after "meta" and "clusters". c: what is written. */
static int fields(struct store_fields *f, const struct channi *s, const struct channi_capture *c,
                  struct sections *t)
{
    const struct channi_manifest_meta *m = t->meta;
    const uint64_t roots = m->built ? m->n_clusters : 0;
    struct channi_stored_routes *r = &t->routes;

    if (store_pieces(f, "roots", &t->roots, roots, s->row_bytes))
        for (uint32_t i = 0; i < roots; i++)
            store_write(f->w, cluster_of(c, i)->site, s->row_bytes);
    if (store_pieces(f, "deaths", &t->deaths, m->n_deaths, sizeof *t->deaths))
        write_deaths(c, f->w);
    if (store_pieces(f, "delta", &t->delta, m->n_delta, sizeof *t->delta))
        write_deltas(s, c, DELTA_HEADS, f->w);
    if (store_pieces(f, "delta.records", &t->attributes, m->n_delta * m->n_attributes,
                     sizeof *t->attributes))
        write_deltas(s, c, DELTA_RECORDS, f->w);
    if (store_pieces(f, "delta.rows", &t->rows, m->n_delta, s->row_bytes))
        write_deltas(s, c, DELTA_ROWS, f->w);
    if (!m->built)
        return f->code;
    store_field(f, "routes", &r->cid, m->n_routes, sizeof *r->cid);
    if (store_pieces(f, "routes.phash", &r->phash, m->n_routes, sizeof *r->phash))
        for (uint32_t i = 0; i < m->n_routes; i++)
            store_write(f->w, segmented_at(&s->route_phash, i), sizeof *r->phash);
    if (store_pieces(f, "routes.rows", &r->rows, m->n_routes, s->row_bytes))
        for (uint32_t i = 0; i < m->n_routes; i++)
            store_write(f->w, segmented_at(&s->route_rows, i), s->row_bytes);
    return store_field_whole(f, "routes.graph", &r->image, &r->bytes, 1);
}

int channi_manifest_write(struct channi *s, struct channi_capture *c, struct store_writer *w)
{
    struct store_fields f = { .w = w };
    struct sections t = { .meta = &c->meta, .clusters = c->clusters };
    const struct channi_routes *routes = c->view->layout->routes;

    if (routes) {
        t.routes.cid = routes->cid;
        t.routes.image = routes->block;
        t.routes.bytes = routes->block_bytes;
    }
    count(c);
    store_field(&f, "meta", &t.meta, 1, sizeof *t.meta);
    store_field(&f, "clusters", &t.clusters, t.meta->n_clusters, sizeof *t.clusters);
    (void)fields(&f, s, c, &t);
    return routes ? quantizer_field(&f, "quantizer", &s->base.env, &s->quantizer) : OK;
}

struct reading {
    struct channi *s;
    const struct store_reader *r;
    struct sections x;
    struct channi_layout *layout;
};

static int no_memory(const struct reading *x)
{
    return CHANNI_NO_MEMORY(&x->s->base.env, ", cannot load the index");
}

/* -------------------------------------------------------------------------------- clusters */

/* A place for the id of a live row. */
static int place(const struct reading *x, uint64_t id, uint32_t cid, uint32_t row)
{
    if (channi_place_of(x->s, id, NULL))
        return store_corrupt(x->r, "an id is live twice");
    const int rc = channi_places_reserve(x->s, &id, 1);
    if (rc == OK)
        channi_place_add(x->s, id, (struct channi_place){ cid, row });
    return rc;
}

static int read_deltas(struct reading *x, const struct channi_manifest_cluster *m,
                       struct channi_cluster *cl)
{
    const struct sections *t = &x->x;
    uint32_t live = 0;
    int rc = channi_delta_reserve(&cl->delta, m->n_delta) ? OK : no_memory(x);

    for (uint32_t i = 0; rc == OK && i < m->n_delta; i++) {
        const struct channi_row row = { .bytes = t->rows + i * x->s->row_bytes,
                                        .id = t->delta[i].id,
                                        .born = t->delta[i].born,
                                        .dead = t->delta[i].dead,
                                        .record = { t->attributes + i * t->meta->n_attributes,
                                                    1 } };

        if (row.id == INDEX_NO_ID || row.born > t->meta->version || row.dead > t->meta->version)
            return store_corrupt(x->r, "a row of a later version than the manifest's");
        (void)channi_delta_append(&cl->delta, &row);
        if (row.dead > 0)
            continue;
        rc = place(x, row.id, m->cid, cl->base_n + i);
        live++;
    }
    (void)atomic_fetch_add(&cl->live, live);
    (void)atomic_fetch_add(&cl->n_dead, m->n_delta - live);
    return rc;
}

static int read_deaths(struct reading *x, const struct channi_manifest_cluster *m,
                       struct channi_cluster *cl)
{
    const struct sections *t = &x->x;

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

/* Gives each cluster the routes that lead to it. */
static int read_routes(struct reading *x)
{
    const struct channi_routes *r = x->layout->routes;
    struct channi_cluster *cl;

    for (uint32_t i = 0; i < r->n; i++) {
        if (r->cid[i] == CID_NONE)
            continue;
        cl = r->cid[i] < x->layout->n_clusters ? x->layout->clusters[r->cid[i]] : NULL;
        if (!cl)
            return store_corrupt(x->r, "a route leads to a cluster that there is not");
        if (!mem_fit(x->s->base.env.mem, &cl->routes, cl->n_routes + 1, sizeof *cl->routes))
            return no_memory(x);
        cl->routes[cl->n_routes++] = i;
    }
    for (uint32_t next = 0; (cl = channi_layout_next(x->layout, &next));) {
        if (cl->n_routes == 0)
            return store_corrupt(x->r, "a cluster has no route");
        (void)channi_nearest_route(x->s, cl->routes, cl->n_routes, cl->site, &cl->drift);
    }
    return OK;
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
    int rc = OK;

    cl->root_id = image->ids[image->root];
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
    struct sections *t = &x->x;

    t->roots += t->meta->built ? x->s->row_bytes : 0;
    t->deaths += m->n_deaths;
    t->delta += m->n_delta;
    t->attributes += (size_t)m->n_delta * t->meta->n_attributes;
    t->rows += m->n_delta * x->s->row_bytes;
}

static int read_cluster(struct reading *x, const struct channi_manifest_cluster *m)
{
    struct channi *s = x->s;
    struct channi_latch *latch = segmented_at(&s->latches, m->cid);
    struct channi_cluster *cl =
        channi_cluster_create(s, m->cid, (enum channi_cluster_kind)m->kind, m->born_ver);
    int rc = cl ? OK : no_memory(x);

    if (rc == OK && x->x.meta->built) {
        cl->mean_d = m->mean_d;
        atomic_init(&cl->shape, m->shape);
        cl->site = mem_alloc(s->base.env.mem, s->row_bytes);
        if (cl->site)
            memcpy(cl->site, x->x.roots, s->row_bytes);
        rc = cl->site ? read_file(x, m, cl) : no_memory(x);
    }
    if (rc == OK)
        rc = read_deltas(x, m, cl);
    if (rc != OK) {
        channi_cluster_unref(s, cl);
        return rc;
    }
    atomic_store(&latch->tried, m->tried);
    atomic_store(&latch->retained_dead, m->retained_dead);
    atomic_store(&latch->made, m->made);
    atomic_store(&latch->retained_at, x->x.meta->version);
    channi_delta_encode(s, cl);
    channi_layout_set(s, x->layout, m->cid, cl);
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
    return c->cid < m->n_cids && c->kind <= CLUSTER_DEFERRED &&
           m->built == (c->kind != CLUSTER_DEFERRED) && (m->built || c->n_deaths == 0);
}

/* Checks each cluster's description, and that their totals match the sections' sizes. */
static int add_up(const struct store_reader *r, const struct channi_manifest_meta *m,
                  const struct channi_manifest_cluster *c)
{
    uint64_t delta = 0, deaths = 0;

    for (uint32_t i = 0; i < m->n_clusters; i++) {
        if (!cluster_fits(m, &c[i]) || (i > 0 && c[i].cid <= c[i - 1].cid))
            return store_corrupt(r, "the description of a cluster is inconsistent");
        delta += c[i].n_delta;
        deaths += c[i].n_deaths;
    }
    if (delta != m->n_delta || deaths != m->n_deaths)
        return store_corrupt(r, "rows or deaths of clusters do not add up");
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
    if (rc == OK &&
        (m->built > 1 || m->n_clusters > m->n_cids || m->n_cids >= CID_NONE || m->n_clusters == 0 ||
         m->n_routes >= CID_NONE || (m->built && m->n_routes == 0) ||
         m->n_delta >= UINT64_MAX / 2 || m->n_attributes > INDEX_ATTRIBUTES_MAX))
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
    int rc = fields(&(struct store_fields){ .r = r }, s, NULL, &x->x);

    if (rc != OK)
        return rc;
    s->layouts = meta->layouts;
    s->files = meta->files;
    s->build_at = (size_t)meta->build_at;
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
    if (rc == OK && meta->built)
        rc = read_routes(x);
    if (rc == OK && !channi_layout_find_ood(s, x->layout))
        rc = no_memory(x);
    if (rc == OK)
        rc = channi_publish(s, meta->version, x->layout);
    if (rc != OK)
        channi_layout_unref(s, x->layout);
    return rc;
}
