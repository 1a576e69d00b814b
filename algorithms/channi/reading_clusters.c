/* reading_clusters.c - the clusters of a manifest, and the files it names; those that cannot be read are an
 * error, or done without. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/channi/reading.h"
#include "src/core/mem.h"

/* -------------------------------------------------------------------------------- clusters */

static int read_deltas(struct reading *x, const struct manifest_cluster *m, struct cluster *cl)
{
    struct sections *t = &x->x;
    uint32_t dead = 0;

    if (!delta_reserve(&cl->delta, m->n_delta))
        return reading_no_memory(x);
    for (uint32_t i = 0; i < m->n_delta; i++) {
        if (t->ids[i] == ID_NONE || t->born[i] > t->meta->version || t->dead[i] > t->meta->version)
            return store_corrupt(x->r, "a row of a later version than the manifest's");
        (void)delta_append(&cl->delta, t->rows + i * x->s->row_bytes, t->ids[i], t->attributes[i],
                           t->born[i], t->dead[i]);
        dead += t->dead[i] > 0;
    }
    atomic_store(&cl->live, m->n_delta - dead);
    atomic_store(&cl->n_dead, dead);
    return OK;
}

static int read_deaths(struct reading *x, const struct manifest_cluster *m, struct cluster *cl)
{
    const struct sections *t = &x->x;

    if (m->n_deaths == 0)
        return OK;
    _Atomic(uint64_t) *dead = mem_zalloc(x->s->base.env.mem, (size_t)cl->base_n * sizeof *dead);
    if (!dead)
        return reading_no_memory(x);
    atomic_store(&cl->dead, dead);
    for (uint32_t i = 0; i < m->n_deaths; i++) {
        if (t->deaths[i].row >= cl->base_n || t->deaths[i].version > t->meta->version)
            return store_corrupt(x->r, "the death of a row that there is not");
        atomic_store_explicit(&dead[t->deaths[i].row], t->deaths[i].version, memory_order_relaxed);
    }
    return OK;
}

static int read_aliases(struct reading *x, const struct manifest_cluster *m, struct cluster *cl)
{
    const uint32_t *from = x->x.aliases;

    cl->routes = mem_array(x->s->base.env.mem, m->n_routes, sizeof *cl->routes);
    cl->site = mem_alloc(x->s->base.env.mem, x->s->row_bytes);
    if (!cl->routes || !cl->site)
        return reading_no_memory(x);
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

static struct cluster *make(const struct reading *x, const struct manifest_cluster *m)
{
    struct cluster *cl = cluster_create(x->s, m->cid, (enum cluster_kind)m->kind, m->born_ver);

    if (!cl)
        return NULL;
    cl->root = m->root;
    cl->root_id = m->root_id;
    cl->mean_d = m->mean_d;
    cl->sd_d = m->sd_d;
    cl->drift = m->drift;
    return cl;
}

/* -------------------------------------------------------------------------------- the files */

/* The file is there, and is the cluster's; it joins the cache. */
static int join_file(struct reading *x, const struct manifest_cluster *m, struct cluster *cl)
{
    struct channi *s = x->s;
    const struct index_env *env = &s->base.env;
    struct base *base = mem_zalloc(env->mem, sizeof *base);
    int rc = base ? cluster_file_head(env, m->phash, m->file_version, base) : reading_no_memory(x);

    if (rc == OK && (base->n != m->n || base->root != m->root))
        rc = fail(env->error, ERR_CORRUPT,
                  "channi: %s: its file %016" PRIx64 ".%016" PRIx64
                  ".clu has %u rows and root %u, not %u and %u",
                  x->r->path, m->phash, m->file_version, base->n, base->root, m->n, m->root);
    if (rc == OK) {
        atomic_init(&base->refs, 1);
        rc = cache_join(s->cache, base, NULL);
    }
    if (rc != OK) {
        mem_free(env->mem, base);
        return rc;
    }
    cl->base = base;
    cl->base_n = base->n;
    /* Until the index is open: what fails before then must not remove a file. */
    atomic_store(&base->in_manifest, true);
    return OK;
}

/* The ids of the file's rows that live. */
static int count_rows(struct reading *x, struct cluster *cl, const struct image *image, size_t *n)
{
    const uint64_t version = x->x.meta->version;

    *n = 0;
    if (!mem_grow(x->s->base.env.mem, &x->live, &x->capacity, image->n, sizeof *x->live))
        return reading_no_memory(x);
    for (uint32_t i = 0; i < image->n; i++) {
        if ((image->born && image->born[i] > version) || image->ids[i] == ID_NONE)
            return store_corrupt(x->r, "a file of it has rows of a later version");
        if (cluster_base_dead(cl, image, i) == 0)
            x->live[(*n)++] = image->ids[i];
    }
    (void)atomic_fetch_add(&cl->live, (uint32_t)*n);
    (void)atomic_fetch_add(&cl->n_dead, image->n - (uint32_t)*n);
    return OK;
}

static int place(struct reading *x, uint64_t id, uint32_t cid, uint32_t row)
{
    if (channi_place_of(x->s, id, NULL))
        return store_corrupt(x->r, "an id is live twice");
    channi_place_add(x->s, id, (struct place){ cid, row });
    return OK;
}

static int place_file(struct reading *x, struct cluster *cl, const struct image *image)
{
    size_t n = 0;
    int rc = count_rows(x, cl, image, &n);

    if (rc == OK)
        rc = channi_places_reserve(x->s, x->live, n);
    for (uint32_t i = 0; rc == OK && i < image->n; i++)
        if (cluster_base_dead(cl, image, i) == 0)
            rc = place(x, image->ids[i], cl->cid, i);
    return rc;
}

static int place_delta(struct reading *x, const struct cluster *cl)
{
    const uint32_t n = delta_count(&cl->delta);
    size_t live = 0;
    int rc = OK;

    if (!mem_grow(x->s->base.env.mem, &x->live, &x->capacity, n, sizeof *x->live))
        return reading_no_memory(x);
    for (uint32_t i = 0; i < n; i++)
        if (atomic_load(delta_at(&cl->delta, i).dead) == 0)
            x->live[live++] = delta_at(&cl->delta, i).id;
    rc = channi_places_reserve(x->s, x->live, live);
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        const struct delta_row d = delta_at(&cl->delta, i);
        if (atomic_load(d.dead) == 0)
            rc = place(x, d.id, cl->cid, cl->base_n + i);
    }
    return rc;
}

/* Read to the end, and held to its hashes: what is damaged is known before anything was answered. */
static int read_file(struct reading *x, const struct manifest_cluster *m, struct cluster *cl)
{
    struct whole whole;
    int rc = join_file(x, m, cl);

    if (rc == OK)
        rc = read_deaths(x, m, cl);
    if (rc == OK)
        rc = cache_whole(x->s->cache, cl->base, &whole);
    if (rc == OK) {
        rc = place_file(x, cl, &whole.image);
        cache_whole_done(x->s->cache, &whole);
    }
    return rc;
}

/* --------------------------------------------------------------- clusters that cannot be read */

/* The file is put aside under another name: nobody refers to it any more, and somebody may want to look. */
static void put_aside(const struct reading *x, const struct manifest_cluster *m)
{
    const char *dir = x->s->base.env.dir;
    char name[CLUSTER_NAME_MAX], from[PATH_MAX], to[PATH_MAX];

    cluster_file_name(m->phash, m->file_version, name);
    const int n = snprintf(from, sizeof from, "%s/%s", dir, name);
    const int o = snprintf(to, sizeof to, "%s/%s.damaged", dir, name);
    if (n > 0 && (size_t)n < sizeof from && o > 0 && (size_t)o < sizeof to)
        (void)rename(from, to);
}

static void say_lost(const struct reading *x, const struct manifest_cluster *m, uint32_t rows,
                     const char *why)
{
    const struct index_env *env = &x->s->base.env;
    char line[1200];

    (void)snprintf(
        line, sizeof line,
        "channi: cluster %u is left out, and %u vectors with it: %s; what is left of the "
        "file is put aside as *.damaged",
        m->cid, rows, why);
    if (env->log)
        env->log(env->log_to, line);
}

/* Its routes lead nowhere, its file's rows are lost; those of its delta are not. */
static void lose(struct reading *x, const struct manifest_cluster *m, struct cluster *cl,
                 const char *why)
{
    struct channi *s = x->s;
    const uint32_t here = atomic_load(&cl->live), rows = m->live > here ? m->live - here : 0;

    if (cl->base)
        base_unref(s, cl->base);
    cl->base = NULL;
    for (uint32_t i = 0; i < cl->n_routes; i++)
        x->layout->routes->cid[cl->routes[i]] = CID_NONE;
    x->lost[x->n_lost++] = cl;
    channi_count(&s->counters.damaged_clusters, 1);
    channi_count(&s->counters.lost_rows, rows);
    say_lost(x, m, rows, why);
    put_aside(x, m);
}

static int refile_row(struct reading *x, struct channi_scratch *scratch,
                      const struct delta_row *row)
{
    struct channi *s = x->s;
    double checked = 0;
    uint32_t cid = CID_NONE;
    int rc =
        channi_route(s, scratch, x->layout, row->row, (size_t)s->params.assign_ef, &cid, &checked);

    if (rc != OK)
        return rc;
    struct cluster *to = x->layout->clusters[cid];
    if (!delta_reserve(&to->delta, 1))
        return reading_no_memory(x);
    (void)delta_append(&to->delta, row->row, row->id, row->attribute, atomic_load(row->born), 0);
    (void)atomic_fetch_add(&to->live, 1);
    return OK;
}

/* The live rows of their deltas go to the clusters that are left. */
static int refile(struct reading *x)
{
    struct channi *s = x->s;
    struct channi_scratch *scratch = x->n_lost > 0 ? channi_scratch_take(s) : NULL;
    const unsigned ticket = epoch_enter(s->epoch);
    int rc = x->n_lost > 0 && !scratch ? reading_no_memory(x) : OK;

    for (size_t i = 0; rc == OK && i < x->n_lost; i++) {
        const struct delta *d = &x->lost[i]->delta;
        for (uint32_t row = 0; rc == OK && row < delta_count(d); row++) {
            const struct delta_row r = delta_at(d, row);
            if (atomic_load(r.dead) == 0)
                rc = refile_row(x, scratch, &r);
        }
    }
    epoch_leave(s->epoch, ticket);
    if (scratch)
        channi_scratch_give(s, scratch);
    return rc;
}

/* ------------------------------------------------------------------------------ altogether */

static void advance(struct reading *x, const struct manifest_cluster *m)
{
    struct sections *t = &x->x;

    t->roots += t->meta->built ? x->s->row_bytes : 0;
    t->aliases += m->n_routes;
    t->deaths += m->n_deaths;
    t->ids += m->n_delta;
    t->born += m->n_delta;
    t->dead += m->n_delta;
    t->attributes += m->n_delta;
    t->rows += m->n_delta * x->s->row_bytes;
}

/* A file that cannot be read is an error, unless the index is to do without. */
static int read_file_or_lose(struct reading *x, const struct manifest_cluster *m,
                             struct cluster *cl, bool *lost)
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

static int read_cluster(struct reading *x, const struct manifest_cluster *m)
{
    struct cluster *cl = make(x, m);
    struct channi_seat *seat = stable_at(&x->s->seats, m->cid);
    bool lost = false;
    int rc = cl ? read_deltas(x, m, cl) : reading_no_memory(x);

    if (rc == OK && x->x.meta->built)
        rc = read_aliases(x, m, cl);
    if (rc == OK && m->has_file)
        rc = read_file_or_lose(x, m, cl, &lost);
    if (rc != OK) {
        if (cl)
            cluster_unref(x->s, cl);
        return rc;
    }
    atomic_store(&seat->tried, m->tried);
    atomic_store(&seat->kept, m->kept);
    if (!lost)
        layout_set(x->s, x->layout, m->cid, cl);
    advance(x, m);
    return OK;
}

int reading_clusters(struct reading *x)
{
    struct channi *s = x->s;
    const struct manifest_meta *m = x->x.meta;
    int rc = OK;

    x->lost = mem_array(s->base.env.mem, m->n_clusters, sizeof(struct cluster *));
    if (!x->lost || !layout_reserve(s, x->layout, m->n_cids))
        return reading_no_memory(x);
    layout_set(s, x->layout, m->n_cids - 1, NULL);
    for (uint32_t i = 0; rc == OK && i < m->n_clusters; i++)
        rc = read_cluster(x, &x->x.clusters[i]);
    if (rc == OK && x->n_lost == m->n_clusters)
        rc = fail(s->base.env.error, ERR_CORRUPT,
                  "channi: %s: not one of the %u files it names can be read", x->r->path,
                  m->n_clusters);
    if (rc == OK)
        rc = refile(x);
    for (uint32_t cid = 0; rc == OK && cid < m->n_cids; cid++)
        if (x->layout->clusters[cid])
            rc = place_delta(x, x->layout->clusters[cid]);
    return rc;
}
