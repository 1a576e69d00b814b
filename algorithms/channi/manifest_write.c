/* manifest_write.c - the state of a moment, and its sections in a file.
 *
 * Of the moment only counts are copied while commits wait: the layout does not change, deltas only grow,
 * and what dies later has a later version. So rows and deaths can be read while they are written out.
 */
#include <string.h>

#include "algorithms/channi/manifest.h"
#include "src/core/mem.h"

struct store_identity manifest_identity(const struct index_env *env)
{
    return store_identity_of(env, channi_ops.name, MANIFEST_VERSION);
}

/* ------------------------------------------------------------------------------ a moment */

static const struct cluster *cluster_of(const struct capture *c, uint32_t i)
{
    return c->view->layout->clusters[c->clusters[i].cid];
}

static struct manifest_cluster describe(const struct channi *s, const struct cluster *cl)
{
    struct channi_seat *seat = stable_at(&s->seats, cl->cid);

    return (struct manifest_cluster){
        .phash = cl->base ? cl->base->phash : 0,
        .file_version = cl->base ? cl->base->version : 0,
        .root_id = cl->root_id,
        .born_ver = cl->born_ver,
        .cid = cl->cid,
        .kind = (uint32_t)cl->kind,
        .has_file = cl->base != NULL,
        .n = cl->base_n,
        .root = cl->root,
        .live = atomic_load(&((struct cluster *)(uintptr_t)cl)->live),
        .tried = atomic_load(&seat->tried),
        .kept = atomic_load(&seat->kept),
        .n_routes = cl->n_routes,
        .mean_d = cl->mean_d,
        .sd_d = cl->sd_d,
        .drift = cl->drift,
    };
}

static int capture_clusters(struct channi *s, struct capture *c)
{
    struct mem *mem = s->base.env.mem;
    const struct layout *l = c->view->layout;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        c->meta.n_clusters += l->clusters[cid] != NULL;
    c->clusters = mem_array(mem, c->meta.n_clusters, sizeof *c->clusters);
    c->seen = mem_array(mem, c->meta.n_clusters, sizeof *c->seen);
    if (!c->clusters || !c->seen)
        return fail(s->base.env.error, ERR_NO_MEMORY, "channi: no memory for a checkpoint");
    for (uint32_t cid = 0, i = 0; cid < l->n_clusters; cid++) {
        if (!l->clusters[cid])
            continue;
        c->clusters[i] = describe(s, l->clusters[cid]);
        c->seen[i++] = delta_count(&l->clusters[cid]->delta);
    }
    return OK;
}

static void capture_meta(struct channi *s, struct capture *c)
{
    struct manifest_meta *m = &c->meta;

    m->params = s->params;
    m->rng = s->rng;
    m->number = s->manifest + 1;
    m->version = c->view->version;
    m->layouts = s->layouts;
    m->files = s->files;
    m->build_at = s->build_at;
    m->lost_rows = atomic_load(&s->counters.lost_rows);
    m->damaged_clusters = atomic_load(&s->counters.damaged_clusters);
    m->split_max = s->split_max;
    m->merge_min = s->merge_min;
    m->ood_cap = s->ood_cap;
    m->built = c->view->layout->routes != NULL;
    m->n_cids = c->view->layout->n_clusters;
    m->n_routes = m->built ? c->view->layout->routes->n : 0;
}

int capture_take(struct channi *s, struct capture *c, bool rotate)
{
    int rc = OK;

    memset(c, 0, sizeof *c); /* gaps too: they are written */
    pthread_mutex_lock(&s->write);
    c->view = atomic_load(&s->now);
    (void)atomic_fetch_add(&c->view->refs, 1);
    c->horizon = channi_horizon(s);
    capture_meta(s, c);
    rc = capture_clusters(s, c);
    if (rc == OK && rotate)
        rc = journal_rotate(s->journal, &c->meta.lsn);
    pthread_mutex_unlock(&s->write);
    if (rc != OK)
        capture_free(s, c);
    return rc;
}

void capture_free(struct channi *s, struct capture *c)
{
    if (c->view)
        view_unref(s, c->view);
    mem_free(s->base.env.mem, c->clusters);
    mem_free(s->base.env.mem, c->seen);
    memset(c, 0, sizeof *c);
}

/* ------------------------------------------------------------------------- rows and deaths */

struct kept_row {
    struct delta_row row;
    uint64_t born, dead;
};

/* As of the moment: alive, or dead and to be seen by versions that can be asked for. */
static bool is_kept(const struct capture *c, const struct delta_row *row, struct kept_row *out)
{
    const uint64_t born = atomic_load_explicit(row->born, memory_order_acquire);
    const uint64_t dead = atomic_load_explicit(row->dead, memory_order_acquire);

    if (born == ROW_VOID)
        return false;
    *out = (struct kept_row){ *row, born, dead > c->meta.version ? 0 : dead };
    return out->dead == 0 || (c->meta.params.history > 0 && out->dead > c->horizon);
}

static uint64_t death_of(const struct capture *c, const struct cluster *cl, uint32_t row)
{
    _Atomic(uint64_t) *dead =
        atomic_load_explicit(&((struct cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
    const uint64_t at = dead ? atomic_load_explicit(&dead[row], memory_order_acquire) : 0;

    return at > c->meta.version ? 0 : at;
}

/* Now, and never again: later deaths are of later versions. */
static void count(struct capture *c)
{
    for (uint32_t i = 0; i < c->meta.n_clusters; i++) {
        const struct cluster *cl = cluster_of(c, i);
        struct manifest_cluster *m = &c->clusters[i];
        struct kept_row kept;

        for (uint32_t row = 0; row < c->seen[i]; row++) {
            const struct delta_row d = delta_at(&cl->delta, row);
            m->n_delta += is_kept(c, &d, &kept);
        }
        for (uint32_t row = 0; row < cl->base_n; row++)
            m->n_deaths += death_of(c, cl, row) != 0;
        c->meta.n_delta += m->n_delta;
        c->meta.n_deaths += m->n_deaths;
        c->meta.n_aliases += m->n_routes;
    }
}

static void write_deaths(const struct capture *c, struct store_writer *w)
{
    store_section(w, "deaths");
    for (uint32_t i = 0; i < c->meta.n_clusters; i++) {
        const struct cluster *cl = cluster_of(c, i);

        for (uint32_t row = 0; c->clusters[i].n_deaths > 0 && row < cl->base_n; row++) {
            const struct manifest_death death = { .version = death_of(c, cl, row), .row = row };
            if (death.version)
                store_write(w, &death, sizeof death);
        }
    }
}

enum delta_part { PART_IDS, PART_BORN, PART_DEAD, PART_ATTRIBUTES, PART_ROWS, PARTS };

static void write_part(const struct channi *s, const struct kept_row *kept, enum delta_part part,
                       struct store_writer *w)
{
    switch (part) {
        case PART_IDS: store_write(w, &kept->row.id, sizeof kept->row.id); return;
        case PART_BORN: store_write(w, &kept->born, sizeof kept->born); return;
        case PART_DEAD: store_write(w, &kept->dead, sizeof kept->dead); return;
        case PART_ATTRIBUTES:
            store_write(w, &kept->row.attribute, sizeof kept->row.attribute);
            return;
        case PART_ROWS: store_write(w, kept->row.row, s->row_bytes); return;
        case PARTS: return;
    }
}

static void write_deltas(const struct channi *s, const struct capture *c, struct store_writer *w)
{
    static const char *const names[PARTS] = { "delta.ids", "delta.born", "delta.dead",
                                              "delta.attribute", "delta.rows" };

    for (enum delta_part part = 0; part < PARTS; part++) {
        store_section(w, names[part]);
        for (uint32_t i = 0; i < c->meta.n_clusters; i++) {
            const struct cluster *cl = cluster_of(c, i);
            struct kept_row kept;

            for (uint32_t row = 0; row < c->seen[i]; row++) {
                const struct delta_row d = delta_at(&cl->delta, row);
                if (is_kept(c, &d, &kept))
                    write_part(s, &kept, part, w);
            }
        }
    }
}

/* -------------------------------------------------------------------------------- the rest */

static void write_clusters(const struct channi *s, const struct capture *c, struct store_writer *w)
{
    store_section(w, "clusters");
    store_write(w, c->clusters, c->meta.n_clusters * sizeof *c->clusters);
    store_section(w, "roots");
    for (uint32_t i = 0; c->meta.built && i < c->meta.n_clusters; i++)
        store_write(w, cluster_of(c, i)->site, s->row_bytes);
    store_section(w, "aliases");
    for (uint32_t i = 0; i < c->meta.n_clusters; i++)
        store_write(w, cluster_of(c, i)->routes, c->clusters[i].n_routes * sizeof(uint32_t));
}

/* The links of its uppermost layer are the last in an image. */
static size_t image_bytes(const struct routes *r)
{
    const uint32_t last = r->graph.n_layers - 1;
    const size_t n = (size_t)r->graph.layers[last].n * r->graph.layers[last].degree;
    const unsigned char *end =
        (const unsigned char *)r->graph.layers[last].links + n * (r->graph.narrow ? 2 : 4);

    return ((size_t)(end - r->block) + 63) / 64 * 64;
}

static void write_routes(const struct channi *s, const struct routes *r, struct store_writer *w)
{
    store_section(w, "routes");
    store_write(w, r->cid, r->n * sizeof *r->cid);
    store_section(w, "routes.phash");
    for (uint32_t i = 0; i < r->n; i++)
        store_write(w, stable_at(&s->route_phash, i), sizeof(uint64_t));
    store_section(w, "routes.rows");
    for (uint32_t i = 0; i < r->n; i++)
        store_write(w, stable_at(&s->route_rows, i), s->row_bytes);
    store_section(w, "routes.graph");
    store_write(w, r->block, image_bytes(r));
}

static int write_quantizer(const struct channi *s, struct store_writer *w)
{
    struct mem *mem = s->base.env.mem;
    const size_t n = quantizer_save(s->quantizer, NULL);
    unsigned char *bytes = mem_alloc(mem, n);

    if (!bytes)
        return fail(s->base.env.error, ERR_NO_MEMORY, "channi: no memory to write the quantizer");
    (void)quantizer_save(s->quantizer, bytes);
    store_section(w, "quantizer");
    store_write(w, bytes, n);
    mem_free(mem, bytes);
    return OK;
}

int manifest_write(struct channi *s, struct capture *c, struct store_writer *w)
{
    count(c);
    store_section(w, "meta");
    store_write(w, &c->meta, sizeof c->meta);
    write_clusters(s, c, w);
    write_deaths(c, w);
    write_deltas(s, c, w);
    if (!c->meta.built)
        return OK;
    write_routes(s, c->view->layout->routes, w);
    return s->quantizer ? write_quantizer(s, w) : OK;
}
