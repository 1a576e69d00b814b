/* stats.c - what the index tells of itself: counters, clusters one by one, the cache.
 *
 * Counters are sums since the index was opened; those of the build's phases, like all of them, count
 * distances and not time. A sink's table "cluster" has a row for each, by ascending cid.
 */
#include <math.h>

#include "algorithms/channi/stats.h"
#include "src/core/mem.h"

static void tell(struct stat_sink *sink, const char *name, double value)
{
    sink->value(sink->to, name, value);
}

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)(uintptr_t)counter, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------- counters */

#define COUNTER(name)   \
    {                   \
#name, &n->name \
    }

static void tell_counters(const struct channi *c, struct stat_sink *sink)
{
    const struct channi_counters *n = &c->counters;
    const struct {
        const char *name;
        const atomic_uint_fast64_t *counter;
    } all[] = {
        COUNTER(commits),          COUNTER(aborts),           COUNTER(splits),
        COUNTER(split_parts),      COUNTER(ood_found),        COUNTER(ood_clusters),
        COUNTER(merges),           COUNTER(aliases),          COUNTER(aliases_dropped),
        COUNTER(reroutes),         COUNTER(settled),          COUNTER(folds),
        COUNTER(refused_splits),   COUNTER(conflicts),        COUNTER(requeued),
        COUNTER(carried),          COUNTER(checkpoints),      COUNTER(files_written),
        COUNTER(bytes_written),    COUNTER(bytes_given),      COUNTER(job_errors),
        COUNTER(lost_rows),        COUNTER(damaged_clusters), COUNTER(build_sampling),
        COUNTER(build_assigning),  COUNTER(queries),          COUNTER(top_distances),
        COUNTER(in_distances),     COUNTER(delta_distances),  COUNTER(clusters_touched),
        COUNTER(clusters_skipped), COUNTER(ood_touched),      COUNTER(stopped_early),
        COUNTER(row_reads),        COUNTER(filter_exact),     COUNTER(deferred_searches),
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tell(sink, all[i].name, (double)count_of(all[i].counter));
    const uint64_t given = count_of(&c->counters.bytes_given);
    tell(sink, "write_amplification",
         given ? (double)count_of(&c->counters.bytes_written) / (double)given : 0);
    tell(sink, "queued", (double)channi_queued(c));
    tell(sink, "parked_bytes", (double)count_of(&c->parked_bytes));
}

static void tell_cache(const struct channi *c, struct stat_sink *sink)
{
    struct cache_counts n = { 0 };

    cache_counts(c->cache, &n);
    const double asked = (double)(n.hits + n.misses), ahead = (double)n.prefetched;
    tell(sink, "cache_hits", (double)n.hits);
    tell(sink, "cache_misses", (double)n.misses);
    tell(sink, "cache_hit_rate", asked > 0 ? (double)n.hits / asked : 0);
    tell(sink, "cache_evictions", (double)n.evictions);
    tell(sink, "cache_evicted_bytes", (double)n.evicted_bytes);
    tell(sink, "cache_reads", (double)n.reads);
    tell(sink, "cache_read_bytes", (double)n.read_bytes);
    tell(sink, "cache_row_reads", (double)n.row_reads);
    tell(sink, "cache_row_read_bytes", (double)n.row_read_bytes);
    tell(sink, "cache_prefetched", ahead);
    tell(sink, "cache_prefetch_useful", ahead > 0 ? (double)n.prefetch_used / ahead : 0);
    tell(sink, "cache_bytes", (double)n.resident_bytes);
    tell(sink, "cache_budget_bytes", (double)n.budget_bytes);
    tell(sink, "cache_over_bytes", (double)n.over_bytes);
    tell(sink, "files_open", (double)n.files_open);
    tell(sink, "files_closed_for_room", (double)n.files_closed_for_room);
    tell(sink, "io_uring", n.uring);
    tell(sink, "direct", n.direct);
}

/* ------------------------------------------------------------------------------- clusters */

struct sums {
    double drift, mean_d, aliases;
    size_t delta, dead, ood, deferred, root_not_route, clusters, routes;
};

static void tell_cluster(const struct cluster *cl, struct stat_sink *sink, size_t row,
                         struct sums *sums)
{
    struct cluster *at = (struct cluster *)(uintptr_t)cl;
    const double aliases = cl->n_routes > 0 ? cl->n_routes - 1 : 0;
    const double drift = sqrt((double)cl->drift);
    const uint32_t delta = delta_count(&cl->delta), dead = atomic_load(&at->n_dead);

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

static void tell_sums(const struct layout *layout, const struct sums *s, struct stat_sink *sink)
{
    const double clusters = s->clusters ? (double)s->clusters : 1;
    const size_t routes = layout->routes ? layout->routes->n : 0;

    tell(sink, "clusters", (double)s->clusters);
    tell(sink, "clusters_ood", (double)s->ood);
    tell(sink, "deferred", (double)s->deferred);
    tell(sink, "routes", (double)routes);
    tell(sink, "routes_dropped", (double)(routes - s->routes));
    tell(sink, "routes_a_cluster", (double)s->routes / clusters);
    tell(sink, "aliases_now", s->aliases);
    tell(sink, "root_not_route", (double)s->root_not_route);
    tell(sink, "drift_mean", s->drift / clusters);
    tell(sink, "radius_mean", s->mean_d / clusters);
    tell(sink, "delta_rows", (double)s->delta);
    tell(sink, "dead_rows", (double)s->dead);
}

static int tell_clusters(struct channi *c, const struct layout *layout, struct stat_sink *sink)
{
    struct mem *mem = c->base.env.mem;
    uint32_t *live = mem_array(mem, layout->n_clusters, sizeof *live);
    struct channi_sizes sizes;
    struct sums sums = { 0 };

    if (!live)
        return fail(c->base.env.error, ERR_NO_MEMORY, "channi: out of memory to tell %u clusters",
                    layout->n_clusters);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        struct cluster *cl = layout->clusters[cid];

        if (!cl)
            continue;
        live[sums.clusters] = atomic_load(&cl->live);
        tell_cluster(cl, sink, sums.clusters, &sums);
    }
    channi_sizes_of(live, sums.clusters, &sizes);
    mem_free(mem, live);
    tell_sums(layout, &sums, sink);
    tell(sink, "size_mean", sizes.mean);
    tell(sink, "size_cv", sizes.cv);
    tell(sink, "size_gini", sizes.gini);
    tell(sink, "size_p99", sizes.p99);
    tell(sink, "size_max", sizes.max);
    tell(sink, "size_empty", (double)sizes.empty);
    return OK;
}

int channi_stats(const struct index *index, struct stat_sink *sink)
{
    struct channi *c = channi_of(index);
    struct view *view = channi_look(c, NULL, NULL);
    double share;
    size_t rows;

    tell(sink, "version", (double)view->version);
    tell(sink, "layouts", (double)view->layout->number);
    int rc = tell_clusters(c, view->layout, sink);
    view_unref(c, view);
    if (rc == OK)
        rc = channi_misroute(c, &share, &rows);
    if (rc != OK)
        return rc;
    tell(sink, "misroute_rate", share);
    tell(sink, "misroute_rows", (double)rows);
    tell_counters(c, sink);
    tell_cache(c, sink);
    return OK;
}
