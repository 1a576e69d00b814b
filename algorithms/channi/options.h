/* options.h - the options of an index (params) and of a search (knobs). options.c has their tables
 * with defaults, bounds and help. */
#ifndef DRIFTLINE_CHANNI_OPTIONS_H
#define DRIFTLINE_CHANNI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/core/param.h"

enum channi_sampling {
    SAMPLE_UNIFORM,
    SAMPLE_DISTANT,
    SAMPLE_FARTHEST,
    SAMPLE_DENSITY,
    SAMPLE_KMEANS
};
/* The order is that of files. INSIDE_AUTO is replaced when the index is created. */
enum channi_inside { INSIDE_GRAPH, INSIDE_SCAN, INSIDE_CODES, INSIDE_AUTO };
enum channi_maintenance { CHANNI_INLINE, CHANNI_EXPLICIT, CHANNI_BACKGROUND, CHANNI_AUTO };
enum channi_wal { CHANNI_NO_WAL, CHANNI_WRITTEN, CHANNI_SYNCED };
enum channi_split_count { SPLIT_LN, SPLIT_LOG2, SPLIT_2, SPLIT_3 };

enum { CHANNI_PREFETCH_MAX = 1024 };

struct channi_params {
    /* Build */
    int64_t expected_n;    /* 0: env's hint */
    double defer_fraction; /* of expected_n; 0: the first commit builds */
    int64_t target_cluster;
    int64_t sampling; /* enum channi_sampling */
    /* graphs */
    int64_t top_M, top_M0, top_ef_construction, assign_ef;
    int64_t cluster_index; /* enum channi_inside */
    int64_t degree, in_ef_construction, flat_below;
    int64_t bits; /* codes: per dimension (RaBitQ) */
    double eps0;
    bool cold_rows; /* codes: exact rows stay on disk */
    /* Splits and merges; 0: derived from target_cluster */
    int64_t split_max, merge_min;
    int64_t split_count; /* enum channi_split_count: temporary centroids */
    int64_t parts;       /* of a split; 0: clamp(round(size / target_cluster), 2, 3) */
    bool ood, reuse, alias, assign_to_centroid;
    double ood_sigma;
    double ood_excess;         /* mean excess of outliers over ood_sigma, in sigma; 0: any */
    int64_t ood_cap;           /* 0: split_max / 4 */
    int64_t reassign_clusters; /* clusters near a split that take part in its reassignment */
    int64_t alias_max;
    /* A compaction starts if the delta or the dead rows exceed this share of the cluster's file;
       0: derived from cluster_index. */
    double compact_share;
    int64_t maintenance, background_threads, background_nice;
    double background_cpu_share; /* of a processor, per thread; 1: no limit */
    int64_t background_mb_s;     /* 0: no limit */
    /* files */
    int64_t cache_mb; /* 0: a quarter of the memory limit */
    int64_t prefetch; /* clusters read ahead, with eps or early_stop_clusters */
    int64_t io;       /* enum channi_cache_io */
    bool direct;
    int64_t wal, checkpoint_mb;
    int64_t history; /* old versions that can be searched without a snapshot */
};

struct channi_knobs {
    int64_t nprobe, top_ef, in_ef;
    /* Graphs: a search ends after this many fruitless steps in a row; 0: no bound. */
    int64_t early_stop_steps;
    int64_t early_stop_clusters; /* fruitless clusters in a row; 0: no bound */
    double target_recall;        /* stops when an estimate reaches it; 0: none */
    double eps;        /* skips routes farther than (1 + eps) times the k-th answer; 0: none */
    int64_t ood_probe; /* OOD clusters searched in addition, nearest first */
    double ood_reach;  /* skips those farther than (1 + this) times the last route; 0: none */
};

extern const struct param channi_params[], channi_knobs[];

struct channi;
/* Checks the options against one another, stores them, and derives those that are 0.
   ERR_ARGUMENT. */
int channi_take_params(struct channi *, const struct channi_params *);
/* The same of compact_share alone. */
void channi_take_compact_share(struct channi *, double given);

#endif
