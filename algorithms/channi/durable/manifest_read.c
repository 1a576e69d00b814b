/* manifest_read.c - restores an index from a manifest's sections. */
#include <string.h>

#include "algorithms/channi/durable/internal.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"

/* --------------------------------------------------------------------------------- sections */

static bool meta_fits(const struct channi_manifest_meta *m)
{
    return m->built <= 1 && m->n_clusters <= m->n_cids && m->n_cids < CID_NONE &&
           m->n_clusters > 0 && m->n_routes < CID_NONE && (m->built ? m->n_routes > 0 : true) &&
           m->n_delta < ROW_VOID / 2 && m->split_max > 0 && m->n_attributes <= INDEX_ATTRIBUTES_MAX;
}

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
    if (rc == OK && !meta_fits(m))
        rc = store_corrupt(r, "its counts are inconsistent");
    if (rc == OK)
        rc = store_need_array(r, "clusters", m->n_clusters, sizeof **clusters, clusters);
    if (rc == OK)
        rc = add_up(r, m, *clusters);
    *meta = m;
    return rc;
}

/* ---------------------------------------------------------------------------------- routes */

static int fill_routes(struct channi_reading *x, struct channi_routes *routes,
                       const uint64_t *phash, const unsigned char *rows)
{
    struct channi *s = x->s;
    const uint32_t n = x->x.meta->n_routes;

    if (!segmented_grow(&s->route_rows, n) || !segmented_grow(&s->route_phash, n) ||
        !idmap_reserve(&s->by_phash, n))
        return channi_reading_no_memory(x);
    for (uint32_t i = 0; i < n; i++) {
        if (phash[i] == UINT64_MAX || idmap_get(&s->by_phash, phash[i], NULL))
            return store_corrupt(x->r, "a route occurs twice");
        memcpy(segmented_at(&s->route_rows, i), rows + i * s->row_bytes, s->row_bytes);
        *(uint64_t *)segmented_at(&s->route_phash, i) = phash[i];
        (void)idmap_put(&s->by_phash, phash[i], i); /* reserved */
    }
    s->n_routes = n;
    routes->rows = (struct graph_image_rows){ .chunks = atomic_load(&s->route_rows.table),
                                              .row_bytes = s->row_bytes,
                                              .dim = s->base.env.dim,
                                              .element = s->base.env.element,
                                              .kernels = s->base.env.kernels };
    return OK;
}

static int copy_graph(struct channi_reading *x, struct channi_routes *routes, const uint32_t *cids)
{
    const struct index_env *env = &x->s->base.env;
    const uint32_t n = x->x.meta->n_routes;
    const void *image = NULL;
    size_t bytes = 0;
    int rc = store_need(x->r, "routes.graph", SIZE_MAX, &image, &bytes);

    if (rc != OK)
        return rc;
    routes->n = n;
    routes->block = mem_alloc(env->mem, bytes);
    routes->cid = mem_array(env->mem, n, sizeof *routes->cid);
    if (!routes->block || !routes->cid)
        return channi_reading_no_memory(x);
    memcpy(routes->block, image, bytes);
    memcpy(routes->cid, cids, n * sizeof *cids);
    rc = graph_image_open(&routes->graph, routes->block, bytes, x->r->path, env->error);
    if (rc == OK && routes->graph.n != n)
        rc = store_corrupt(x->r, "the routes' graph has not as many nodes as there are routes");
    return rc;
}

/* Reads the frozen routes. `top`, which can grow, is rebuilt from the image when a
   route is added. */
static int read_routes(struct channi_reading *x)
{
    struct channi *s = x->s;
    const uint32_t n = x->x.meta->n_routes;
    const uint32_t *cids = NULL;
    const uint64_t *phash = NULL;
    const unsigned char *rows = NULL;
    struct store_fields f = { .r = x->r };
    struct channi_routes *routes = mem_zalloc(s->base.env.mem, sizeof *routes);
    int rc = routes ? OK : channi_reading_no_memory(x);

    if (rc != OK)
        return rc;
    atomic_init(&routes->refs, 1);
    x->layout->routes = routes;
    store_field(&f, "routes", &cids, n, sizeof *cids);
    store_field(&f, "routes.phash", &phash, n, sizeof *phash);
    store_field(&f, "routes.rows", &rows, n, s->row_bytes);
    rc = f.code == OK ? copy_graph(x, routes, cids) : f.code;
    return rc == OK ? fill_routes(x, routes, phash, rows) : rc;
}

/* ------------------------------------------------------------------------------- the whole */

static int read_quantizer(struct channi_reading *x)
{
    struct channi *s = x->s;
    const int rc = quantizer_field(&(struct store_fields){ .r = x->r }, "quantizer", &s->base.env,
                                   &s->quantizer);

    return rc == OK && !s->quantizer && s->params.cluster_index == INSIDE_CODES
               ? store_corrupt(x->r, "an index of codes without a quantizer")
               : rc;
}

static void take_numbers(struct channi *s, const struct channi_manifest_meta *m)
{
    s->rng = m->rng;
    s->manifest = m->number;
    s->layouts = m->layouts;
    s->files = m->files;
    s->build_at = (size_t)m->build_at;
    s->split_max = m->split_max;
    s->merge_min = m->merge_min;
    s->ood_cap = m->ood_cap;
}

static int read_all(struct channi_reading *x)
{
    struct channi *s = x->s;
    const struct channi_layout none = { .number = 0 };
    int rc = channi_manifest_fields(&(struct store_fields){ .r = x->r }, s, NULL, &x->x);

    if (rc != OK)
        return rc;
    take_numbers(s, x->x.meta);
    x->layout = channi_layout_copy(s, &none);
    if (!x->layout)
        return channi_reading_no_memory(x);
    if (x->x.meta->built)
        rc = read_routes(x);
    if (rc == OK && x->x.meta->built)
        rc = read_quantizer(x);
    if (rc == OK)
        rc = channi_reading_clusters(x);
    if (rc == OK && !channi_layout_find_ood(s, x->layout))
        rc = channi_reading_no_memory(x);
    if (rc == OK)
        rc = channi_publish(s, x->x.meta->version, x->layout);
    if (rc != OK)
        channi_layout_unref(s, x->layout);
    return rc;
}

int channi_manifest_read(struct channi *s, const struct store_reader *r,
                         const struct channi_manifest_meta *meta,
                         const struct channi_manifest_cluster *clusters)
{
    struct channi_reading x = { .s = s, .r = r, .x = { .meta = meta, .clusters = clusters } };
    const int rc = read_all(&x);

    mem_free(s->base.env.mem, x.live);
    return rc;
}
