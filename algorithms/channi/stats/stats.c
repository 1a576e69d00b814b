/* stats.c - the index's statistics: counters, clusters one by one, the cache.
 *
 * Counters are sums since the index was opened. Those of the build's phases count distances, not
 * time. The table "cluster" has a row per cluster, by ascending cid. */
#include "algorithms/channi/stats/stats.h"

#include <math.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/index.h"
#include "src/core/mem.h"

static void put(struct stat_sink *sink, const char *name, double value)
{
    sink->value(sink->to, name, value);
}

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
    const double asked = (double)(n.hits + n.misses), ahead = (double)n.prefetched;
#define PUT(name) put(sink, "cache_" #name, (double)n.name)
    CHANNI_CACHE_COUNTERS(PUT);
#undef PUT
    put(sink, "cache_hit_rate", asked > 0 ? (double)n.hits / asked : 0);
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
    put(sink, "routes_per_cluster", (double)leading / each);
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
