/* options.h - what CHANNI may be told: at creation (params), and of each search (knobs). channi.c has their
 * tables: defaults, bounds, and what each is for.
 */
#ifndef DRIFTLINE_CHANNI_OPTIONS_H
#define DRIFTLINE_CHANNI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum channi_sampling {
    SAMPLE_UNIFORM,
    SAMPLE_DISTANT,
    SAMPLE_FARTHEST,
    SAMPLE_DENSITY,
    SAMPLE_KMEANS
};
enum channi_inside { INSIDE_GRAPH, INSIDE_SCAN, INSIDE_CODES };
enum channi_maintenance { CHANNI_AT_COMMIT, CHANNI_EXPLICIT, CHANNI_BACKGROUND };
enum channi_durability { CHANNI_VOLATILE, CHANNI_WRITTEN, CHANNI_SYNCED };
enum channi_split_count { SPLIT_LN, SPLIT_LOG2, SPLIT_2, SPLIT_3 };

enum { CHANNI_PREFETCH_MAX = 1024 };

struct channi_params {
    /* when, and how many */
    int64_t expected_n;    /* 0: env's hint */
    double defer_fraction; /* of it; 0: built by the first commit */
    int64_t target_cluster;
    int64_t sampling; /* enum channi_sampling */
    /* graphs */
    int64_t top_M, top_M0, top_ef_construction, assign_ef;
    int64_t inside; /* enum channi_inside */
    int64_t in_M, in_ef_construction, flat_below;
    int64_t bits; /* codes: of a dimension (RaBitQ) */
    double eps0;
    bool cold_rows; /* codes: exact rows stay on disk */
    /* splits and merges; 0: by target_cluster */
    int64_t split_max, merge_min;
    int64_t split_count; /* enum channi_split_count: temporary centroids */
    int64_t parts;       /* a split's; 0: clamp(round(size / target_cluster), 2, 3) */
    int64_t batch, batch_steps, restarts; /* mini-batch k-means */
    bool ood, reuse, alias, reroute, assign_to_centroid;
    double ood_sigma;
    int64_t ood_min;   /* 0: max(16, 1 % of the size) */
    double ood_excess; /* sigma beyond the mark, the mean of those flagged; 0: any count */
    double ood_max_share;
    int64_t ood_cap; /* 0: split_max / 4 */
    int64_t settle;  /* clusters about split ones that are divided anew with them */
    int64_t ood_age; /* commits before an OOD cluster may be merged with others */
    int64_t alias_max;
    double fold_share; /* of a cluster's file: a delta, or dead rows, of more are folded in */
    int64_t maintenance, background_threads, background_nice;
    /* files */
    int64_t cache_mb; /* 0: a quarter of the rows' bytes */
    int64_t prefetch; /* searches with eps or idle: clusters read ahead */
    int64_t io;       /* enum cache_io */
    bool direct;
    int64_t durability, checkpoint_mb;
    int64_t history; /* versions back that can be asked for without a snapshot */
    bool degraded;   /* damaged cluster files are left out of answers and named; else an error */
};

struct channi_knobs {
    int64_t nprobe, top_ef, in_ef;
    int64_t
        patience; /* graphs: steps of a beam beyond its limit that lead nowhere; 0: any number */
    int64_t idle; /* clusters in a row that bring no answer; 0: any number */
    double eps;   /* no cluster whose route is farther than (1 + eps) times the k-th; 0: all */
    int64_t ood_probe; /* OOD clusters looked at besides, nearest first */
    double ood_reach;  /* not those farther than (1 + it) times the last route; 0: all */
    int64_t rerank;    /* codes: exact distances at most; 0: all that the bound cannot exclude */
};

#endif
