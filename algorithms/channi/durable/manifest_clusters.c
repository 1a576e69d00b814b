/* manifest_clusters.c - reads the clusters of a manifest and the files it names. A file that cannot
 * be read is an error or, with `degraded`, a lost cluster. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/channi/durable/internal.h"
#include "algorithms/channi/search/route.h"
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

/* --------------------------------------------------------------- clusters that cannot be read */

/* Renames the file: the index no longer uses it, but its rows may be worth saving. */
static void put_aside(const struct channi_reading *x, const struct channi_manifest_cluster *m)
{
    const char *dir = x->s->base.env.dir;
    char name[CLUSTER_NAME_MAX], from[PATH_MAX], to[PATH_MAX];

    channi_cluster_file_name(m->phash, m->file_version, name);
    const int n = snprintf(from, sizeof from, "%s/%s", dir, name);
    const int o = snprintf(to, sizeof to, "%s/%s.damaged", dir, name);
    if (n > 0 && (size_t)n < sizeof from && o > 0 && (size_t)o < sizeof to)
        (void)rename(from, to);
}

static void say_lost(const struct channi_reading *x, const struct channi_manifest_cluster *m,
                     uint32_t rows, const char *why)
{
    const struct index_env *env = &x->s->base.env;
    char line[1200];

    (void)snprintf(
        line, sizeof line,
        "channi: cluster %u and its %u vectors are left out: %s; its file is renamed to *.damaged",
        m->cid, rows, why);
    if (env->log)
        env->log(env->log_to, line);
}

/* Drops the cluster's routes and its file's rows. The rows of its delta are kept. */
static void lose(struct channi_reading *x, const struct channi_manifest_cluster *m,
                 struct channi_cluster *cl, const char *why)
{
    struct channi *s = x->s;
    const uint32_t here = atomic_load(&cl->live), rows = m->live > here ? m->live - here : 0;

    if (cl->base)
        channi_base_unref(s, cl->base);
    cl->base = NULL;
    for (uint32_t i = 0; i < cl->n_routes; i++)
        x->layout->routes->cid[cl->routes[i]] = CID_NONE;
    x->lost[x->n_lost++] = cl;
    channi_count(&s->counters.damaged_clusters, 1);
    channi_count(&s->counters.lost_rows, rows);
    say_lost(x, m, rows, why);
    put_aside(x, m);
}

static int refile_row(struct channi_reading *x, struct channi_scratch *scratch,
                      const struct channi_delta_row *row)
{
    struct channi *s = x->s;
    double checked = 0;
    uint32_t cid = CID_NONE;
    int rc =
        channi_route(s, scratch, x->layout, row->row, (size_t)s->params.assign_ef, &cid, &checked);

    if (rc != OK)
        return rc;
    struct channi_cluster *to = x->layout->clusters[cid];
    if (!channi_delta_reserve(&to->delta, 1))
        return channi_reading_no_memory(x);
    (void)channi_delta_append(&to->delta, row->row, row->id, row->record, atomic_load(row->born),
                              0);
    (void)atomic_fetch_add(&to->live, 1);
    return OK;
}

/* Assigns the live rows of lost clusters' deltas to the remaining clusters. */
static int refile(struct channi_reading *x)
{
    struct channi *s = x->s;
    struct channi_scratch *scratch = x->n_lost > 0 ? scratch_pool_take(&s->scratch) : NULL;
    const unsigned ticket = epoch_enter(s->epoch);
    int rc = x->n_lost > 0 && !scratch ? channi_reading_no_memory(x) : OK;

    for (size_t i = 0; rc == OK && i < x->n_lost; i++) {
        const struct channi_delta *d = &x->lost[i]->delta;
        for (uint32_t row = 0; rc == OK && row < channi_delta_count(d); row++) {
            const struct channi_delta_row r = channi_delta_at(d, row);
            if (atomic_load(r.dead) == 0)
                rc = refile_row(x, scratch, &r);
        }
    }
    epoch_leave(s->epoch, ticket);
    scratch_pool_give(&s->scratch, scratch);
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

/* A file that cannot be read is an error, or a lost cluster with `degraded`. */
static int read_file_or_lose(struct channi_reading *x, const struct channi_manifest_cluster *m,
                             struct channi_cluster *cl, bool *lost)
{
    struct channi *s = x->s;
    struct error aside = { 0 };

    if (!s->params.degraded)
        return read_file(x, m, cl);
    struct error *before = error_divert(&aside);
    const int rc = read_file(x, m, cl);
    (void)error_divert(before);
    *lost = rc == ERR_CORRUPT || rc == ERR_NOT_FOUND || rc == ERR_IO;
    if (*lost)
        lose(x, m, cl, aside.text);
    return rc == OK || *lost ? OK : fail(s->base.env.error, rc, "%s", aside.text);
}

static int read_cluster(struct channi_reading *x, const struct channi_manifest_cluster *m)
{
    struct channi_cluster *cl = make(x, m);
    struct channi_latch *latch = segmented_at(&x->s->latches, m->cid);
    bool lost = false;
    int rc = cl ? read_deltas(x, m, cl) : channi_reading_no_memory(x);

    if (rc == OK && x->x.meta->built)
        rc = read_aliases(x, m, cl);
    if (rc == OK && m->has_file)
        rc = read_file_or_lose(x, m, cl, &lost);
    if (rc != OK) {
        if (cl)
            channi_cluster_unref(x->s, cl);
        return rc;
    }
    atomic_store(&latch->tried, m->tried);
    atomic_store(&latch->retained_dead, m->retained_dead);
    atomic_store(&latch->retained_at, x->x.meta->version);
    if (!lost)
        channi_layout_set(x->s, x->layout, m->cid, cl);
    advance(x, m);
    return OK;
}

int channi_reading_clusters(struct channi_reading *x)
{
    struct channi *s = x->s;
    const struct channi_manifest_meta *m = x->x.meta;
    int rc = OK;

    x->lost = mem_array(s->base.env.mem, m->n_clusters, sizeof(struct channi_cluster *));
    if (!x->lost || !channi_layout_reserve(s, x->layout, m->n_cids))
        return channi_reading_no_memory(x);
    channi_layout_set(s, x->layout, m->n_cids - 1, NULL);
    for (uint32_t i = 0; rc == OK && i < m->n_clusters; i++)
        rc = read_cluster(x, &x->x.clusters[i]);
    if (rc == OK && x->n_lost == m->n_clusters)
        rc = fail(s->base.env.error, ERR_CORRUPT,
                  "channi: %s: none of the %u files that it names can be read", x->r->path,
                  m->n_clusters);
    if (rc == OK)
        rc = refile(x);
    for (uint32_t cid = 0; rc == OK && cid < m->n_cids; cid++)
        if (x->layout->clusters[cid])
            rc = place_delta(x, x->layout->clusters[cid]);
    return rc;
}
