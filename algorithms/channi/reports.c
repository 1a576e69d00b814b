/* reports.c - what an index says about itself: statistics, memory by kind, its structure, and
 * the clusters of src/core/index.h.
 *
 * Statistics are cluster sizes, the share of rows that an insertion today would assign to
 * another cluster, what maintenance has to do, counters, clusters one by one, the cache.
 * Counters are sums since the index was opened. Those of the build's phases count distances, not
 * time. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/channi/search/scratch.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"
#include "src/core/order.h"

static void put(struct stat_sink *sink, const char *name, double value)
{
    sink->value(sink->to, name, value);
}

/* ---- how well the clusters fit the rows */

enum { MISASSIGNED_STREAM = 0x6d69, MISASSIGNED_ROWS = 200, TRIES = 16 };

void channi_sizes_of(uint32_t *live, size_t n, struct channi_sizes *out)
{
    double sum = 0, squares = 0, weighted = 0;

    *out = (struct channi_sizes){ .n = n };
    if (n == 0)
        return;
    qsort(live, n, sizeof *live, order_u32);
    for (size_t i = 0; i < n; i++) {
        const double x = live[i];

        sum += x;
        squares += x * x;
        weighted += (double)(i + 1) * x;
        out->empty += live[i] == 0;
    }
    const double count = (double)n, variance = squares / count - sum / count * (sum / count);
    out->mean = sum / count;
    out->cv = sum > 0 && variance > 0 ? sqrt(variance) / out->mean : 0;
    out->gini = sum > 0 ? 2 * weighted / (count * sum) - (count + 1) / count : 0;
    out->p99 = live[(n * 99 + 99) / 100 - 1];
    out->max = live[n - 1];
}

/* Samples up to n live rows, drawn by the index's seed; all rows if there are fewer. A row is
   given by its cid in the upper half and its number in the lower one. `write` is held. */
static size_t draw(const struct channi *c, uint64_t *rows, size_t n)
{
    struct rng rng = rng_at(c->base.env.seed, MISASSIGNED_STREAM);
    const bool all = channi_live(c) <= n;
    const size_t tries = all ? c->n_slots : n * TRIES;
    size_t found = 0;

    for (size_t i = 0; i < tries && found < n && c->n_slots > 0; i++) {
        const size_t slot = all ? i : (size_t)rng_below(&rng, c->n_slots);

        if (c->ids[slot] != INDEX_NO_ID)
            rows[found++] = (uint64_t)c->places[slot].cid << 32 | c->places[slot].row;
    }
    return found;
}

struct misassignment {
    struct channi *c;
    const struct channi_layout *layout;
    struct channi_scratch *x;
    size_t rows, misassigned;
    double checked;
};

static int route_row(struct misassignment *m, uint32_t cid, const void *row)
{
    uint32_t to;
    const int rc = channi_route(m->c, m->x, m->layout, row, &to, &m->checked);

    m->rows += rc == OK;
    m->misassigned += rc == OK && to != cid;
    return rc;
}

/* Routes the n sampled rows of one cluster. */
static int route_cluster(struct misassignment *m, const uint64_t *rows, size_t n)
{
    const struct channi_cluster *cl = m->layout->clusters[rows[0] >> 32];
    struct error unread = { 0 }, *before;
    struct channi_whole_file whole;
    bool held = false;
    int rc = OK;

    if (cl->base && (uint32_t)rows[0] < cl->base_n) {
        before = error_divert(&unread); /* an unreadable file is skipped, not an error */
        held = channi_cache_whole(m->c->cache, cl->base, &whole) == OK;
        (void)error_divert(before);
    }
    for (size_t i = 0; rc == OK && i < n; i++) {
        const uint32_t row = (uint32_t)rows[i];

        if (held || row >= cl->base_n)
            rc = route_row(m, cl->cid, channi_cluster_row(cl, &whole.image, row).bytes);
    }
    if (held)
        channi_cache_whole_done(m->c->cache, &whole);
    return rc;
}

/* Reports the share of sampled live rows that would be routed to another cluster today. Files that
   cannot be read are skipped. ERR_NO_MEMORY. */
static int put_misassigned(struct channi *c, struct stat_sink *sink)
{
    uint64_t rows[MISASSIGNED_ROWS];
    struct misassignment m = { .c = c, .x = scratch_pool_take(&c->scratch) };
    int rc = OK;

    if (!m.x)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot count misassigned rows");
    pthread_mutex_lock(&c->write); /* view and places of one moment */
    struct channi_view *view = channi_view_now(c);
    const size_t n = draw(c, rows, MISASSIGNED_ROWS);
    pthread_mutex_unlock(&c->write);
    m.layout = view->layout;
    qsort(rows, n, sizeof *rows, order_u64);
    for (size_t i = 0, end; rc == OK && m.layout->routes && i < n; i = end) {
        for (end = i + 1; end < n && rows[end] >> 32 == rows[i] >> 32;)
            end++;
        rc = route_cluster(&m, rows + i, end - i);
    }
    channi_view_unref(c, view);
    scratch_pool_give(&c->scratch, m.x);
    if (rc != OK)
        return rc;
    put(sink, "misroute_rate", m.rows ? (double)m.misassigned / (double)m.rows : 0);
    return OK;
}

/* Gives, by name, what maintenance has to do in a layout, and what it does now: jobs queued, also
   those put aside after a failure, and running; clusters above split_max and below merge_min; bytes
   of the files and deltas of the clusters that have a pending job. Clusters change meanwhile, so
   the numbers need not fit each other beside background threads. */
static void report_health(struct channi *c, const struct channi_layout *layout,
                          void (*number)(void *to, const char *name, double value), void *to)
{
    static const char *const names[][JOB_KINDS] = {
        { "pending_compact", "pending_split", "pending_merge" },
        { "running_compact", "running_split", "running_merge" },
    };
    size_t pending[JOB_KINDS] = { 0 }, over = 0, under = 0;
    uint64_t backlog_bytes = 0;
    struct channi_cluster *cl;

    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));) {
        struct channi_latch *latch = segmented_at(&c->latches, cl->cid);
        const unsigned queued = atomic_load(&latch->queued);
        const uint32_t live = atomic_load(&cl->live);

        if (cl->kind == CLUSTER_DEFERRED)
            continue;
        over += live > c->split_max;
        under += live < c->merge_min;
        for (unsigned kind = 0; kind < JOB_KINDS; kind++)
            pending[kind] += queued >> kind & 1;
        if (queued)
            backlog_bytes += (cl->base ? cl->base->file_bytes : 0) + atomic_load(&cl->delta.bytes);
    }
    for (unsigned kind = 0; kind < JOB_KINDS; kind++)
        number(to, names[0][kind], (double)pending[kind]);
    for (unsigned kind = 0; kind < JOB_KINDS; kind++)
        number(to, names[1][kind], (double)atomic_load(&c->jobs.running[kind]));
    number(to, "clusters_over_split_max", (double)over);
    number(to, "clusters_below_merge_min", (double)under);
    number(to, "backlog_bytes", (double)backlog_bytes);
}

/* ---- the report */

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)(uintptr_t)counter, memory_order_relaxed);
}

static void put_counters(const struct channi *c, struct stat_sink *sink)
{
    const struct channi_counters *n = &c->counters;

#define PUT(name) put(sink, #name, (double)count_of(&n->name))
    CHANNI_COUNTERS(PUT);
#undef PUT
    const uint64_t given = count_of(&n->bytes_given);
    put(sink, "write_amplification",
        given ? (double)count_of(&n->bytes_written) / (double)given : 0);
    put(sink, "queued", (double)channi_queued(c));
    put(sink, "parked_bytes", (double)count_of(&c->durable.parked_bytes));
}

static void put_cache(const struct channi *c, struct stat_sink *sink)
{
    struct channi_cache_counts n = { 0 };

    channi_cache_counts(c->cache, &n);
    const double asked = (double)(n.hits + n.misses);
#define PUT(name) put(sink, "cache_" #name, (double)n.name)
    CHANNI_CACHE_COUNTERS(PUT);
#undef PUT
    put(sink, "cache_hit_rate", asked > 0 ? (double)n.hits / asked : 0);
    put(sink, "cache_bytes", (double)n.resident_bytes);
    put(sink, "cache_budget_bytes", (double)n.budget_bytes);
    put(sink, "cache_over_bytes", (double)n.over_bytes);
    put(sink, "files_open", (double)n.files_open);
    put(sink, "io_uring", n.uring);
    put(sink, "read_threads", !n.uring);
    put(sink, "direct", n.direct);
    put(sink, "wal", (double)c->params.wal);
}

static double cell(struct stat_sink *sink, size_t row, const char *name, double value)
{
    sink->cell(sink->to, "cluster", row, name, value);
    return value;
}

static int put_clusters(struct channi *c, const struct channi_layout *layout,
                        struct stat_sink *sink)
{
    uint32_t *sizes = mem_array(c->base.env.mem, layout->n_clusters, sizeof *sizes);
    const size_t routes = layout->routes ? layout->routes->n : 0;
    double drift = 0, mean_d = 0, aliases = 0, delta = 0, dead = 0;
    size_t n = 0, ood = 0, deferred = 0, moved = 0, leading = 0;
    struct channi_sizes of;
    struct channi_cluster *cl;

    if (!sizes)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot report %u clusters", layout->n_clusters);
    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next)); n++) {
        sizes[n] = atomic_load(&cl->live);
        (void)cell(sink, n, "live", (double)sizes[n]);
        dead += cell(sink, n, "dead", (double)atomic_load(&cl->n_dead));
        delta += cell(sink, n, "delta", (double)channi_delta_count(&cl->delta));
        (void)cell(sink, n, "kind", (double)cl->kind);
        aliases += cell(sink, n, "aliases", cl->n_routes > 0 ? cl->n_routes - 1 : 0);
        drift += cell(sink, n, "drift", sqrt((double)cl->drift));
        mean_d += (double)cl->mean_d;
        ood += cl->kind == CLUSTER_OOD;
        deferred += cl->kind == CLUSTER_DEFERRED;
        moved += cl->drift > 0;
        leading += cl->n_routes;
    }
    channi_sizes_of(sizes, n, &of);
    mem_free(c->base.env.mem, sizes);
    const double each = n > 0 ? (double)n : 1;
    put(sink, "clusters", (double)n);
    put(sink, "clusters_ood", (double)ood);
    put(sink, "deferred", (double)deferred);
    put(sink, "routes", (double)routes);
    put(sink, "routes_dropped", (double)(routes - leading));
    put(sink, "aliases_now", aliases);
    put(sink, "root_not_route", (double)moved);
    put(sink, "drift_mean", drift / each);
    put(sink, "radius_mean", mean_d / each);
    put(sink, "delta_rows", delta);
    put(sink, "dead_rows", dead);
    put(sink, "size_mean", of.mean);
    put(sink, "size_cv", of.cv);
    put(sink, "size_gini", of.gini);
    put(sink, "size_p99", of.p99);
    put(sink, "size_max", of.max);
    put(sink, "size_empty", (double)of.empty);
    return OK;
}

int channi_stats(const struct index *index, struct stat_sink *sink)
{
    struct channi *c = channi_of(index);
    struct channi_view *view = channi_view_now(c);

    put(sink, "version", (double)view->version);
    put(sink, "layouts", (double)view->layout->number);
    int rc = put_clusters(c, view->layout, sink);
    report_health(c, view->layout, sink->value, sink->to);
    channi_view_unref(c, view);
    if (rc == OK)
        rc = put_misassigned(c, sink);
    if (rc != OK)
        return rc;
    put_counters(c, sink);
    put_cache(c, sink);
    return OK;
}

/* ---- memory. Bytes of cached clusters are divided by the mean composition of all files. */

/* Composition of the hot parts of all files. */
struct byte_shares {
    uint64_t rows, ids, hot;
};

static void add_cluster(const struct channi *c, const struct channi_cluster *cl,
                        struct byte_shares *shares, struct memory_use *use)
{
    struct channi_delta *d = &((struct channi_cluster *)(uintptr_t)cl)->delta;
    const uint64_t bytes = atomic_load(&d->bytes);
    const uint64_t numbers = 3 + c->base.env.n_attributes; /* id, birth, death; attributes */
    const uint64_t rows = bytes * c->row_bytes / (c->row_bytes + numbers * sizeof(uint64_t));

    use->vectors += rows;
    use->ids += bytes - rows;
    use->codes += atomic_load(&d->code_bytes);
    use->vectors += cl->site ? c->row_bytes : 0;
    use->other += sizeof *cl + cl->n_routes * sizeof *cl->routes;
    if (atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->dead))
        use->other += cl->base_n * sizeof(uint64_t);
    if (!cl->base)
        return;
    shares->rows += cl->base->cold_rows ? 0 : cl->base_n * c->row_bytes;
    shares->ids += cl->base_n * sizeof(uint64_t);
    shares->hot += cl->base->hot_bytes;
}

static void add_layout(const struct channi *c, const struct channi_layout *layout,
                       const struct channi_layout *but, struct byte_shares *shares,
                       struct memory_use *use)
{
    const struct channi_cluster *cl;

    use->other += sizeof *layout + layout->n_clusters * sizeof(struct channi_cluster *);
    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));)
        if (!(but && cl->cid < but->n_clusters && but->clusters[cl->cid] == cl))
            add_cluster(c, cl, shares, use);
    if (layout->routes && !(but && but->routes == layout->routes))
        use->graph += sizeof *layout->routes + layout->routes->block_bytes +
                      layout->routes->n * sizeof *layout->routes->cid;
}

/* All files in the folder: clusters, also those of snapshots or of the manifest only,
   log and manifest. */
static uint64_t disk_bytes(const struct channi *c)
{
    DIR *dir = opendir(c->base.env.dir);
    uint64_t sum = 0;

    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        struct stat info;

        if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            sum += (uint64_t)info.st_size;
    }
    if (dir)
        (void)closedir(dir);
    return sum;
}

int channi_memory(const struct index *index, struct memory_use *use)
{
    struct channi *c = channi_of(index);
    struct channi_view *view = channi_view_now(c);
    struct byte_shares shares = { 0 };
    struct channi_cache_counts n;

    *use = (struct memory_use){ .disk = disk_bytes(c) };
    add_layout(c, view->layout, NULL, &shares, use);
    /* What snapshots keep beyond the newest view. Each is compared with that view only, so parts
       that two snapshots share count twice. */
    pthread_mutex_lock(&c->snapshot_lock);
    for (size_t i = 0; i < c->n_snapshots; i++)
        if (c->snapshots[i].view->layout != view->layout)
            add_layout(c, c->snapshots[i].view->layout, view->layout, &shares, use);
    pthread_mutex_unlock(&c->snapshot_lock);
    channi_view_unref(c, view);
    channi_cache_counts(c->cache, &n);
    const double hot = shares.hot ? (double)shares.hot : 1;
    const uint64_t rows = (uint64_t)((double)n.resident_bytes * ((double)shares.rows / hot)),
                   ids = (uint64_t)((double)n.resident_bytes * ((double)shares.ids / hot));
    use->vectors += rows;
    use->ids += ids;
    *(c->params.cluster_index == INSIDE_GRAPH   ? &use->graph
      : c->params.cluster_index == INSIDE_CODES ? &use->codes
                                                : &use->other) += n.resident_bytes - rows - ids;
    pthread_mutex_lock(&c->write);
    use->ids += channi_places_bytes(c);
    use->vectors += segmented_bytes(&c->route_rows) + (c->top ? graph_row_bytes(c->top) : 0);
    use->graph += c->top ? graph_edge_bytes(c->top) : 0;
    use->other += segmented_bytes(&c->route_phash) + segmented_bytes(&c->latches) + sizeof *c;
    if (c->quantizer)
        use->codes += quantizer_bytes(c->quantizer);
    pthread_mutex_unlock(&c->write);
    use->other += scratch_pool_bytes(&c->scratch);
    return OK;
}

/* ---- the structure: clusters of the newest version with their ids, and what maintenance has to
   do */

/* The n live ids by ascending cid, and where those of each begin: cid << 32 | slot, sorted. */
struct grouped {
    size_t n, at; /* at: of the next cluster */
    uint64_t *keys, *ids;
    struct mem_group memory;
};

static bool group(const struct channi *c, struct grouped *g)
{
    g->keys = mem_group_array(&g->memory, channi_live(c), sizeof *g->keys);
    g->ids = mem_group_array(&g->memory, channi_live(c), sizeof *g->ids);
    if (g->memory.failed)
        return false;
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->ids[i] != INDEX_NO_ID)
            g->keys[g->n++] = (uint64_t)c->places[i].cid << 32 | i;
    qsort(g->keys, g->n, sizeof *g->keys, order_u64);
    for (size_t i = 0; i < g->n; i++)
        g->ids[i] = c->ids[(uint32_t)g->keys[i]];
    return true;
}

static void show_cluster(const struct channi *c, const struct channi_cluster *cl, struct grouped *g,
                         const struct structure_sink *sink)
{
    static const char *const kinds[] = {
        [CLUSTER_NORMAL] = "normal", [CLUSTER_OOD] = "outliers", [CLUSTER_DEFERRED] = "deferred"
    };
    const size_t first = g->at;

    while (g->at < g->n && g->keys[g->at] >> 32 == cl->cid)
        g->at++;
    if (!sink->enter(sink->to, "cluster", cl->cid))
        return;
    sink->text(sink->to, "kind", kinds[cl->kind]);
    sink->number(sink->to, "live", (double)(g->at - first));
    sink->number(sink->to, "rows_in_file", cl->base_n);
    sink->number(sink->to, "rows_in_delta", channi_delta_count(&cl->delta));
    sink->number(sink->to, "file_bytes", cl->base ? (double)cl->base->file_bytes : 0);
    sink->number(sink->to, "routes", cl->n_routes);
    sink->number(sink->to, "born_version", (double)cl->born_ver);
    if (cl->site) {
        sink->ids(sink->to, "root", &cl->root_id, 1);
        structure_row(sink, "site", &c->base.env, cl->site);
    }
    sink->ids(sink->to, "ids", g->ids + first, g->at - first);
    sink->leave(sink->to);
}

/* Holds `write`, so that no job publishes another version meanwhile. */
int channi_inspect(const struct index *index, const struct structure_sink *sink)
{
    struct channi *c = channi_of(index);
    struct grouped g = { .memory.mem = c->base.env.mem };
    const struct channi_cluster *cl;
    int rc = OK;

    if (!sink->enter(sink->to, "channi", 0))
        return OK;
    pthread_mutex_lock(&c->write);
    const struct channi_view *view = atomic_load(&c->now);
    const struct channi_layout *layout = view->layout;
    sink->number(sink->to, "rows", (double)channi_live(c));
    sink->number(sink->to, "version", (double)view->version);
    sink->number(sink->to, "routes", layout->routes ? layout->routes->n : 0);
    if (sink->enter(sink->to, "maintenance", 0)) {
        report_health(c, layout, sink->number, sink->to);
        sink->leave(sink->to);
    }
    if (!group(c, &g))
        rc = CHANNI_NO_MEMORY(&c->base.env, ", cannot inspect");
    for (uint32_t next = 0; rc == OK && (cl = channi_layout_next(layout, &next));)
        show_cluster(c, cl, &g, sink);
    pthread_mutex_unlock(&c->write);
    mem_group_free(&g.memory);
    sink->leave(sink->to);
    return rc;
}

/* ---- clusters: one level, numbered by ascending cid without gaps. Before the build all rows
   are in one cluster. A medoid is a root, which a cluster lacks between the root's deletion and
   its next rewrite. */

struct numbering {
    struct channi *c;
    const struct channi_layout *layout;
    uint32_t *number; /* by cid; CID_NONE: retired */
};

static int assign_vectors(const struct numbering *n, struct vectors v, uint64_t *cluster)
{
    struct channi *c = n->c;
    struct channi_scratch *x = v.n > 0 ? scratch_pool_take(&c->scratch) : NULL;
    double checked = 0;
    int rc = OK;

    if (v.n > 0 && !x)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot route");
    for (size_t i = 0; i < v.n && rc == OK; i++) {
        uint32_t cid;

        rc = channi_route(c, x, n->layout, (const char *)v.rows + i * c->row_bytes, &cid, &checked);
        if (rc == OK)
            cluster[i] = n->number[cid];
    }
    scratch_pool_give(&c->scratch, x);
    return rc;
}

/* `write` is held: places and layout do not change. */
static int cluster_locked(struct numbering *n, const struct cluster_request *request,
                          struct cluster_result *result)
{
    const struct channi_cluster *cl;
    struct channi_place place;
    uint32_t next = 0;
    int rc = OK;

    for (uint32_t cid = 0; cid < n->layout->n_clusters; cid++)
        n->number[cid] = n->layout->clusters[cid] ? next++ : CID_NONE;
    result->levels = 1;
    result->level = 0;
    result->clusters = next;
    for (size_t i = 0; i < request->n; i++) {
        if (!channi_place_of(n->c, request->ids[i], &place))
            return fail(n->c->base.env.error, ERR_UNKNOWN_ID, "channi: id %llu is not stored",
                        (unsigned long long)request->ids[i]);
        result->of_ids[i] = n->number[place.cid];
    }
    rc = assign_vectors(n, request->vectors, result->of_vectors);
    for (next = 0; rc == OK && (cl = channi_layout_next(n->layout, &next));)
        if (cl->site && channi_place_of(n->c, cl->root_id, &place) && place.cid == cl->cid)
            rc = result->medoid(result->to, n->number[cl->cid], cl->root_id);
    return rc;
}

int channi_cluster(struct index *index, const struct cluster_request *request,
                   struct cluster_result *result)
{
    struct channi *c = channi_of(index);
    int rc = OK;

    pthread_mutex_lock(&c->write);
    struct numbering n = { .c = c, .layout = atomic_load(&c->now)->layout };
    n.number = mem_array(index->env.mem, n.layout->n_clusters, sizeof *n.number);
    if (n.number)
        rc = cluster_locked(&n, request, result);
    else
        rc = CHANNI_NO_MEMORY(&index->env, ", cannot number %u clusters", n.layout->n_clusters);
    pthread_mutex_unlock(&c->write);
    mem_free(index->env.mem, n.number);
    return rc;
}
