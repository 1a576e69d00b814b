/* stats.c - the index's statistics: counters, clusters one by one, the cache.
 *
 * Counters are sums since the index was opened. Those of the build's phases count distances, not
 * time. The table "cluster" has a row per cluster, by ascending cid. */
#include "algorithms/channi/stats/stats.h"

#include <math.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/operations.h"
#include "src/core/mem.h"

static void put(struct stat_sink *sink, const char *name, double value)
{
    sink->value(sink->to, name, value);
}

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)(uintptr_t)counter, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------- counters */

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
    const double asked = (double)(n.hits + n.misses), ahead = (double)n.prefetched;
    put(sink, "cache_hits", (double)n.hits);
    put(sink, "cache_misses", (double)n.misses);
    put(sink, "cache_hit_rate", asked > 0 ? (double)n.hits / asked : 0);
    put(sink, "cache_evictions", (double)n.evictions);
    put(sink, "cache_evicted_bytes", (double)n.evicted_bytes);
    put(sink, "cache_reads", (double)n.reads);
    put(sink, "cache_read_bytes", (double)n.read_bytes);
    put(sink, "cache_row_reads", (double)n.row_reads);
    put(sink, "cache_row_read_bytes", (double)n.row_read_bytes);
    put(sink, "cache_prefetched", ahead);
    put(sink, "cache_prefetch_useful", ahead > 0 ? (double)n.prefetch_used / ahead : 0);
    put(sink, "cache_bytes", (double)n.resident_bytes);
    put(sink, "cache_budget_bytes", (double)n.budget_bytes);
    put(sink, "cache_over_bytes", (double)n.over_bytes);
    put(sink, "files_open", (double)n.files_open);
    put(sink, "files_closed_early", (double)n.files_closed_early);
    put(sink, "io_uring", n.uring);
    put(sink, "read_threads", !n.uring);
    put(sink, "direct", n.direct);
    put(sink, "wal", (double)c->params.wal);
}

/* ------------------------------------------------------------------------------- clusters */

struct sums {
    double drift, mean_d, aliases;
    size_t delta, dead, ood, deferred, root_not_route, clusters, routes;
};

static void put_cluster(const struct channi_cluster *cl, struct stat_sink *sink, size_t row,
                        struct sums *sums)
{
    struct channi_cluster *at = (struct channi_cluster *)(uintptr_t)cl;
    const double aliases = cl->n_routes > 0 ? cl->n_routes - 1 : 0;
    const double drift = sqrt((double)cl->drift);
    const uint32_t delta = channi_delta_count(&cl->delta), dead = atomic_load(&at->n_dead);

    sink->cell(sink->to, "cluster", row, "live", (double)atomic_load(&at->live));
    sink->cell(sink->to, "cluster", row, "dead", (double)dead);
    sink->cell(sink->to, "cluster", row, "delta", (double)delta);
    sink->cell(sink->to, "cluster", row, "kind", (double)cl->kind);
    sink->cell(sink->to, "cluster", row, "aliases", aliases);
    sink->cell(sink->to, "cluster", row, "drift", drift);
    sums->drift += drift;
    sums->mean_d += (double)cl->mean_d;
    sums->aliases += aliases;
    sums->delta += delta;
    sums->dead += dead;
    sums->ood += cl->kind == CLUSTER_OOD;
    sums->deferred += cl->kind == CLUSTER_DEFERRED;
    sums->root_not_route += cl->drift > 0;
    sums->routes += cl->n_routes;
    sums->clusters++;
}

static void put_sums(const struct channi_layout *layout, const struct sums *s,
                     struct stat_sink *sink)
{
    const double clusters = s->clusters ? (double)s->clusters : 1;
    const size_t routes = layout->routes ? layout->routes->n : 0;

    put(sink, "clusters", (double)s->clusters);
    put(sink, "clusters_ood", (double)s->ood);
    put(sink, "deferred", (double)s->deferred);
    put(sink, "routes", (double)routes);
    put(sink, "routes_dropped", (double)(routes - s->routes));
    put(sink, "routes_per_cluster", (double)s->routes / clusters);
    put(sink, "aliases_now", s->aliases);
    put(sink, "root_not_route", (double)s->root_not_route);
    put(sink, "drift_mean", s->drift / clusters);
    put(sink, "radius_mean", s->mean_d / clusters);
    put(sink, "delta_rows", (double)s->delta);
    put(sink, "dead_rows", (double)s->dead);
}

static int put_clusters(struct channi *c, const struct channi_layout *layout,
                        struct stat_sink *sink)
{
    struct mem *mem = c->base.env.mem;
    uint32_t *live = mem_array(mem, layout->n_clusters, sizeof *live);
    struct channi_sizes sizes;
    struct sums sums = { 0 };

    if (!live)
        return fail(c->base.env.error, ERR_NO_MEMORY,
                    "channi: out of memory, cannot report %u clusters", layout->n_clusters);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        struct channi_cluster *cl = layout->clusters[cid];

        if (!cl)
            continue;
        live[sums.clusters] = atomic_load(&cl->live);
        put_cluster(cl, sink, sums.clusters, &sums);
    }
    channi_sizes_of(live, sums.clusters, &sizes);
    mem_free(mem, live);
    put_sums(layout, &sums, sink);
    put(sink, "size_mean", sizes.mean);
    put(sink, "size_cv", sizes.cv);
    put(sink, "size_gini", sizes.gini);
    put(sink, "size_p99", sizes.p99);
    put(sink, "size_max", sizes.max);
    put(sink, "size_empty", (double)sizes.empty);
    return OK;
}

int channi_stats(const struct index *index, struct stat_sink *sink)
{
    struct channi *c = channi_of(index);
    struct channi_view *view = channi_stats_view(c, NULL, NULL);
    double share;
    size_t rows;

    put(sink, "version", (double)view->version);
    put(sink, "layouts", (double)view->layout->number);
    int rc = put_clusters(c, view->layout, sink);
    channi_health_report(c, view->layout, sink->value, sink->to);
    channi_view_unref(c, view);
    if (rc == OK)
        rc = channi_misassigned(c, &share, &rows);
    if (rc != OK)
        return rc;
    put(sink, "misroute_rate", share);
    put(sink, "misroute_rows", (double)rows);
    put_counters(c, sink);
    put_cache(c, sink);
    return OK;
}
