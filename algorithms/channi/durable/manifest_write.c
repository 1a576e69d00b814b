/* manifest_write.c - captures the state at one moment, and writes its sections.
 *
 * Commits wait only while counts are copied. The layout does not change, deltas only grow, and
 * later deletions have a later version. So rows and deletions can be read while they are written
 * to the file. */
#include <string.h>

#include "algorithms/channi/durable/manifest.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"

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
        .root_id = cl->root_id,
        .born_ver = cl->born_ver,
        .cid = cl->cid,
        .kind = (uint32_t)cl->kind,
        .has_file = cl->base != NULL,
        .n = cl->base_n,
        .root = cl->root,
        .live = channi_cluster_live(cl),
        .tried = atomic_load(&latch->tried),
        .retained_dead = atomic_load(&latch->retained_dead),
        .made = atomic_load(&latch->made),
        .n_routes = cl->n_routes,
        .mean_d = cl->mean_d,
        .shape = channi_shape_of(cl),
        .drift = cl->drift,
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
    m->number = s->manifest + 1;
    m->version = c->view->version;
    m->layouts = s->layouts;
    m->files = s->files;
    m->build_at = s->build_at;
    m->split_max = s->split_max;
    m->merge_min = s->merge_min;
    m->ood_cap = s->ood_cap;
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

/* Reads a row of the i-th cluster's delta. false: it does not belong to the captured state, in which it is dead,
   and no old version that can still be searched sees it. */
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
        c->meta.n_aliases += m->n_routes;
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

/* Writes `bytes` of each row: what is at this offset in its struct channi_row, or what a pointer there leads
   to. */
static void write_deltas(const struct channi_capture *c, size_t offset, bool pointer, size_t bytes,
                         struct store_writer *w)
{
    struct channi_row row;
    const void *from = (const char *)&row + offset;

    for (uint32_t i = 0; i < c->meta.n_clusters; i++)
        for (uint32_t at = 0; at < c->seen[i]; at++)
            if (kept_row(c, i, at, &row))
                store_write(w, pointer ? *(const void *const *)from : from, bytes);
}

/* ---------------------------------------------------------------------------- all sections */

int channi_manifest_fields(struct store_fields *f, const struct channi *s,
                           const struct channi_capture *c, struct channi_sections *t)
{
    const struct channi_manifest_meta *m = t->meta;
    const uint64_t roots = m->built ? m->n_clusters : 0;
    struct channi_stored_routes *r = &t->routes;

    if (store_pieces(f, "roots", &t->roots, roots, s->row_bytes))
        for (uint32_t i = 0; i < roots; i++)
            store_write(f->w, cluster_of(c, i)->site, s->row_bytes);
    if (store_pieces(f, "aliases", &t->aliases, m->n_aliases, sizeof *t->aliases))
        for (uint32_t i = 0; i < m->n_clusters; i++)
            store_write(f->w, cluster_of(c, i)->routes,
                        c->clusters[i].n_routes * sizeof *t->aliases);
    if (store_pieces(f, "deaths", &t->deaths, m->n_deaths, sizeof *t->deaths))
        write_deaths(c, f->w);
    if (store_pieces(f, "delta.ids", &t->ids, m->n_delta, sizeof *t->ids))
        write_deltas(c, offsetof(struct channi_row, id), false, sizeof *t->ids, f->w);
    if (store_pieces(f, "delta.born", &t->born, m->n_delta, sizeof *t->born))
        write_deltas(c, offsetof(struct channi_row, born), false, sizeof *t->born, f->w);
    if (store_pieces(f, "delta.dead", &t->dead, m->n_delta, sizeof *t->dead))
        write_deltas(c, offsetof(struct channi_row, dead), false, sizeof *t->dead, f->w);
    if (store_pieces(f, "delta.records", &t->attributes, m->n_delta * m->n_attributes,
                     sizeof *t->attributes))
        write_deltas(c, offsetof(struct channi_row, record.numbers), true, channi_record_bytes(s),
                     f->w);
    if (store_pieces(f, "delta.rows", &t->rows, m->n_delta, s->row_bytes))
        write_deltas(c, offsetof(struct channi_row, bytes), true, s->row_bytes, f->w);
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
    struct channi_sections t = { .meta = &c->meta, .clusters = c->clusters };
    const struct channi_routes *routes = c->view->layout->routes;

    if (routes) {
        t.routes.cid = routes->cid;
        t.routes.image = routes->block;
        t.routes.bytes = routes->block_bytes;
    }
    count(c);
    store_field(&f, "meta", &t.meta, 1, sizeof *t.meta);
    store_field(&f, "clusters", &t.clusters, t.meta->n_clusters, sizeof *t.clusters);
    (void)channi_manifest_fields(&f, s, c, &t);
    return routes ? quantizer_field(&f, "quantizer", &s->base.env, &s->quantizer) : OK;
}
