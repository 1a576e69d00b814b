/* options.c - the options of an index and the knobs of a search: defaults, bounds, help; and the
 * sizes derived from them. */
#include "algorithms/channi/options.h"

#include <math.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/channi.h"
#include "src/core/parallel.h"

#define P struct channi_params

/* Every search scans the deltas. Beside a graph, which visits few rows, that is most of the work;
   beside codes, which visit all rows, it is a small part (docs/results/channi.md). */
#define COMPACT_GRAPHS .04
#define COMPACT_OTHERS .25

const struct param channi_params[] = {
    PARAM_INT(P, expected_n, 0, 0, INT64_C(1) << 40,
              "vectors expected; the graphs are built when defer_fraction of them are stored; 0: "
              "what the workload states"),
    PARAM_REAL(P, defer_fraction, .8, 0, 1,
               "share of expected_n that is stored and scanned exactly before the build; 0: the "
               "first commit builds"),
    PARAM_INT(P, target_cluster, 0, 0, 1 << 20,
              "vectors per cluster. More: fewer routes to search, slower clusters; 0: 200 if "
              "clusters are "
              "scanned, else 500"),
    PARAM_CHOICE(
        P, sampling, SAMPLE_UNIFORM, "uniform|distant|farthest|density|kmeans",
        "how the first primaries are chosen: at random, by squared distance to those chosen "
        "(distant), the farthest, in sparse regions (density), or next to k-means centroids"),
    PARAM_INT(P, top_M, 16, 4, 256, "graph of routes: neighbours on upper layers"),
    PARAM_INT(P, top_M0, 32, 4, 256, "graph of routes: neighbours on the lowest layer"),
    PARAM_INT(P, top_ef_construction, 128, 4, 1 << 16,
              "graph of routes: candidates for neighbours"),
    PARAM_INT(P, assign_ef, 64, 1, 1 << 16,
              "routes kept while the cluster of a new vector is searched. Less: faster inserts, "
              "more vectors misassigned"),
    PARAM_CHOICE(P, cluster_index, INSIDE_AUTO, "graph|scan|codes|auto",
                 "how a cluster is searched: a graph, a scan of its vectors, or RaBitQ codes and "
                 "the vectors that they cannot exclude; auto: scan up to 64 dimensions, else codes",
                 .paper = "graph", .old_name = "inside"),
    PARAM_INT(P, degree, 12, 2, 128,
              "cluster_index = graph: neighbours; the lowest layer has twice as many",
              .old_name = "in_M"),
    PARAM_INT(P, in_ef_construction, 100, 4, 1 << 16,
              "cluster_index = graph: candidates for neighbours"),
    PARAM_INT(P, flat_below, 256, 0, 1 << 24,
              "cluster_index = graph: clusters smaller than this have no graph and are scanned",
              .paper = "0"),
    PARAM_INT(P, bits, 4, 1, 9, "cluster_index = codes: bits per dimension"),
    PARAM_REAL(P, eps0, 1.9, .1, 100,
               "cluster_index = codes: confidence of the error bound; more: fewer misses, more "
               "exact distances"),
    PARAM_BOOL(P, cold_rows, false,
               "cluster_index = codes: exact vectors stay on disk and are read one by one, which "
               "takes less memory"),
    PARAM_INT(P, split_max, 0, 0, 1 << 24,
              "live vectors in a cluster before it is split; 0: 4 target_cluster"),
    PARAM_INT(P, merge_min, 0, 0, 1 << 24,
              "live vectors below which a cluster is merged; 0: target_cluster / 8"),
    PARAM_CHOICE(P, split_count, SPLIT_LN, "ln|log2|2|3",
                 "temporary centroids of a split: the logarithm of the cluster's size, at least 3, "
                 "or a fixed number"),
    PARAM_INT(P, parts, 0, 0, 8,
              "clusters that a split makes of the vectors that are not outliers; 0: size / "
              "target_cluster, rounded, 2 or 3"),
    PARAM_BOOL(P, ood, true, "splits: outliers are stored in clusters of their own"),
    PARAM_BOOL(P, reuse, true,
               "splits: the part nearest the old primary keeps the old routes; false: they are "
               "dropped and each part gets a new one"),
    PARAM_BOOL(P, alias, true,
               "merges: the routes of both clusters lead to the merged one; false: those of the "
               "smaller cluster are dropped"),
    PARAM_BOOL(
        P, assign_to_centroid, false,
        "splits: vectors are assigned to the nearest centroid; false: to the nearest new primary"),
    PARAM_REAL(P, ood_sigma, 2, 0, 100,
               "standard deviations above the mean distance from which a vector is an outlier"),
    PARAM_REAL(P, ood_excess, .8, 0, 100,
               "standard deviations beyond ood_sigma at which outliers must lie on average to form "
               "a cluster; 0: any. A normal tail has 0.37",
               .paper = "0"),
    PARAM_INT(P, ood_cap, 0, 0, 1 << 24,
              "vectors in a cluster of outliers, at most; 0: split_max / 4"),
    PARAM_INT(P, reassign_clusters, 8, 0, 12,
              "splits: clusters around the new ones whose vectors are reassigned to the nearest "
              "one; 0: none",
              .paper = "0", .old_name = "settle"),
    PARAM_INT(P, alias_max, 2, 1, 1024,
              "routes that lead to one cluster, at most; the farthest is dropped", .paper = "1024"),
    PARAM_REAL(P, compact_share, 0, 0, 16,
               "share of a cluster's file that was inserted or deleted since it was written, from "
               "which it is rewritten. More: fewer writes, slower searches. 0: 0.04 with "
               "cluster_index = graph, else 0.25",
               .old_name = "fold_share", .live = true),
    PARAM_CHOICE(P, maintenance, CHANNI_AUTO, "inline|explicit|background|auto",
                 "when clusters are rewritten, split and merged: before a commit returns, by "
                 "w:maintain alone, or in background threads. auto: inline with one thread, as "
                 "threads of the experiment, else background",
                 .old_choices = "commit=inline"),
    PARAM_INT(P, background_threads, 1, 1, 64, "maintenance = background: number of threads"),
    PARAM_INT(
        P, background_nice, 10, 0, 20,
        "maintenance = background: nice value of the threads. Above 0, searches take "
        "precedence while all processors are busy; 20: the threads run while a processor is idle"),
    PARAM_REAL(P, background_cpu_share, 1, .01, 1,
               "maintenance = background: share of a processor that each thread uses, at most",
               .live = true),
    PARAM_INT(P, background_mb_s, 0, 0, 1 << 20,
              "maintenance = background: megabytes that the threads read and write per second, at "
              "most; 0: no limit",
              .live = true),
    PARAM_INT(P, cache_mb, 0, 0, 1 << 20,
              "megabytes of clusters in memory; 0: a quarter of the cell's memory_limit",
              .live = true),
    PARAM_INT(P, prefetch, 8, 0, CHANNI_PREFETCH_MAX,
              "clusters read ahead by searches with eps, early_stop_clusters or target_recall, "
              "which read one cluster after the other; other searches request up to 64 clusters "
              "at once",
              .live = true),
    PARAM_CHOICE(P, io, CACHE_IO_AUTO, "auto|uring|pread",
                 "how clusters are read; auto: io_uring where the kernel allows it, else pread. "
                 "pread: by threads"),
    PARAM_BOOL(P, direct, false,
               "reads bypass the page cache where the file system allows it, so that cold reads "
               "are measured"),
    PARAM_CHOICE(P, wal, CHANNI_WRITTEN, "none|written|synced",
                 "what a commit survives. none: nothing; written: the death of the process; "
                 "synced: a power failure, by an fsync per commit",
                 .old_name = "durability", .old_choices = "volatile=none"),
    PARAM_INT(P, checkpoint_mb, 64, 1, 1 << 20,
              "megabytes of log after which the manifest is rewritten"),
    PARAM_INT(
        P, history, 0, 0, INT64_C(1) << 40,
        "past versions that can be searched without a snapshot; files keep deleted rows that long"),
    PARAM_END_GONE("degraded=take it out: a file that cannot be read is an error that names it")
};

const struct param channi_knobs[] = {
    PARAM_INT(struct channi_knobs, nprobe, 8, 1, 1 << 22,
              "clusters searched per query; recall and time grow with it"),
    PARAM_INT(struct channi_knobs, top_ef, 64, 1, 1 << 22,
              "routes kept while searching for clusters. Less: faster, near clusters are missed"),
    PARAM_INT(struct channi_knobs, in_ef, 48, 1, 1 << 22,
              "vectors kept while searching a cluster's graph; recall and time grow with it"),
    PARAM_INT(
        struct channi_knobs, early_stop_steps, 8, 0, 1 << 22,
        "cluster_index = graph: the search of a cluster ends after this many steps in a row that "
        "came no nearer and were farther than the in_ef-th vector found so far; 0: never",
        .paper = "0", .old_name = "patience"),
    PARAM_INT(struct channi_knobs, early_stop_clusters, 0, 0, 1 << 22,
              "a query ends after this many clusters in a row without a new answer; 0: never "
              "before nprobe",
              .old_name = "idle"),
    PARAM_REAL(struct channi_knobs, target_recall, 0, 0, .9999,
               "mean recall at which queries stop, by an estimate; nprobe is the most they search. "
               "0: nprobe alone decides"),
    PARAM_REAL(struct channi_knobs, eps, 0, 0, 1e6,
               "clusters whose route is farther than (1 + eps) times the k-th answer are left out; "
               "0: none"),
    PARAM_INT(struct channi_knobs, ood_probe, 2, 0, 1 << 22,
              "nearest clusters of outliers searched in addition to nprobe", .paper = "0"),
    PARAM_REAL(struct channi_knobs, ood_reach, .25, 0, 1e6,
               "clusters of outliers are left out when their root is farther than (1 + ood_reach) "
               "times the last of the nprobe routes; 0: never"),
    PARAM_END_GONE(
        "rerank=take it out: all that the bounds of the codes cannot exclude are measured; "
        "fewer bits or a smaller nprobe save as much")
};

/* Checks the options and what was derived from them. */
static int check(const struct channi *s)
{
    const struct index_env *env = &s->base.env;
    const struct channi_params *p = &s->params;

    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: clusters are stored in files, but no folder was given for the index");
    if (p->target_cluster == 1)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: target_cluster is 1, but a cluster has two vectors at least; 0 lets "
                    "it choose");
    if (p->top_M0 < p->top_M)
        return fail(
            env->error, ERR_ARGUMENT,
            "channi: top_M0 is %lld, less than top_M, %lld: the lowest layer needs the most "
            "neighbours",
            (long long)p->top_M0, (long long)p->top_M);
    if (p->cold_rows && p->cluster_index != INSIDE_CODES)
        return fail(
            env->error, ERR_ARGUMENT,
            "channi: cold_rows needs cluster_index = codes: graphs and scans read the vectors");
    if (p->parts == 1)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: parts is 1, but a split makes two at least; 0 lets it choose");
    if ((uint64_t)s->merge_min * 4 >= (s->split_max + 1) / 2)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: merge_min is %u and split_max %u: what was just merged would be split "
                    "again; merge_min must be below an eighth of split_max",
                    s->merge_min, s->split_max);
    if (s->ood_cap > s->split_max)
        return fail(env->error, ERR_ARGUMENT,
                    "channi: ood_cap is %u, more than split_max, %u: outliers' clusters would be "
                    "split at once",
                    s->ood_cap, s->split_max);
    return OK;
}

static uint32_t given_or(int64_t given, int64_t found, int64_t least)
{
    const int64_t n = given > 0 ? given : found < least ? least : found;

    return n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2;
}

void channi_take_compact_share(struct channi *s, double given)
{
    s->params.compact_share = given;
    s->compact_share = given > 0                                 ? given
                       : s->params.cluster_index == INSIDE_GRAPH ? COMPACT_GRAPHS
                                                                 : COMPACT_OTHERS;
}

/* Derives the sizes that were given as 0. A derived merge_min is valid with any split_max. */
static void find_sizes(struct channi *s)
{
    const struct channi_params *p = &s->params;
    const double expected =
        p->expected_n > 0 ? (double)p->expected_n : (double)s->base.env.expected_n;
    const int64_t eighth = p->target_cluster / 8;

    s->split_max = given_or(p->split_max, 4 * p->target_cluster, 4);
    const int64_t most = (int64_t)s->split_max / 16;
    s->merge_min = given_or(p->merge_min, eighth < most ? eighth : most, 0);
    channi_take_compact_share(s, p->compact_share);
    s->ood_cap = given_or(p->ood_cap, s->split_max / 4, 1);
    s->build_at = expected > 0            ? (size_t)ceil(p->defer_fraction * expected)
                  : p->defer_fraction > 0 ? 4 * (size_t)p->target_cluster
                                          : 1;
    s->build_at = s->build_at > 0 ? s->build_at : 1;
    s->share_bytes = CHANNI_SHARE_BYTES;
}

enum { FEW_DIMENSIONS = 64 };

int channi_take_params(struct channi *s, const struct channi_params *p)
{
    const struct index_env *env = &s->base.env;

    s->params = *p;
    /* The vectors of few dimensions are hardly longer than what their codes save. */
    if (p->cluster_index == INSIDE_AUTO)
        s->params.cluster_index =
            p->cold_rows || env->dim > FEW_DIMENSIONS ? INSIDE_CODES : INSIDE_SCAN;
    if (p->target_cluster == 0)
        s->params.target_cluster = s->params.cluster_index == INSIDE_SCAN ? 200 : 500;
    s->maintenance = (enum channi_maintenance)p->maintenance;
    if (p->maintenance == CHANNI_AUTO) /* a background thread would be a second one */
        s->maintenance = pool_threads(env->pool) > 1 ? CHANNI_BACKGROUND : CHANNI_INLINE;
    find_sizes(s);
    return check(s);
}
