/* options.h - the options of Asteria: build parameters (params) and search parameters (knobs).
 * Their tables, with defaults, ranges and descriptions, are in method.c.
 */
#ifndef DRIFTLINE_ASTERIA_OPTIONS_H
#define DRIFTLINE_ASTERIA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum asteria_rotation_kind {
    ROTATION_BOR,
    ROTATION_HADAMARD,
    ROTATION_IDENTITY,
    ROTATION_PCA,
    ROTATION_OPQ,
    ROTATION_AUTO /* of a model: one of the above */
};
enum asteria_bor_init { BOR_HADAMARD, BOR_NEAR_IDENTITY, BOR_RANDOM };
enum asteria_code {
    ECC_GOLAY,   /* [24,12,8] */
    ECC_BCH,     /* [27,12,7], of [31,16,7] */
    ECC_HAMMING, /* [15,11,3] */
    ECC_NONE,    /* raw bits, one per address bit */
};
enum asteria_vantages { VANTAGE_COORDINATES, VANTAGE_LEARNED };
/* A row is linked in the graph before insert() returns, or by maintain() alone. */
enum asteria_link { LINK_INSERT, LINK_MAINTAIN };
enum asteria_rows_storage { ASTERIA_ROWS_MEMORY, ASTERIA_ROWS_TIERED };

struct asteria_params {
    /* the rotation */
    int64_t rotation;     /* enum asteria_rotation_kind; auto: bor or pca, chosen by training */
    int64_t passes, init; /* bor: enum asteria_bor_init */
    int64_t train_steps, batch;
    double learning_rate;
    int64_t train_rows; /* most sample rows used */
    /* Sign thresholds at the mean, not at zero: bits are balanced, distances unchanged. */
    bool centering;
    /* the code */
    int64_t code; /* enum asteria_code */
    /* 0: log2(expected rows / 200), at most the code's bits. Fewer bits shorten the code. */
    int64_t address_bits;
    int64_t vantages; /* enum asteria_vantages */
    /* residual codes */
    int64_t r;    /* LRSQ: coordinates kept; 0: half of them, at most 96 */
    int64_t bits; /* LRSQ: mean bits per coordinate, 4 .. 8 */
    int64_t lrsq_block;
    bool lrsq_pca;       /* of principal axes, not of the rotation's coordinates */
    int64_t scan_dims;   /* scanned codes: principal coordinates; 0: all dimensions */
    int64_t rabitq_bits; /* bits per dimension if all are scanned; 0: by the dimension */
    double eps0;
    /* the graph */
    bool caprg;
    int64_t degree;
    int64_t r0;          /* buckets this many codeword steps away give candidates */
    int64_t pool;        /* most candidates of a row's edges */
    int64_t link_policy; /* enum asteria_link */
    /* clusters */
    int64_t leaf_cap;    /* BEC-tree: rows of a leaf above which it splits */
    double leaf_penalty; /* lambda of the soft assignment */
    /* maintenance */
    double compact_share; /* share of dead rows above which a bucket is rewritten */
    /* Rows inserted since the model was fitted, divided by the rows it was fitted for: above this
       maintain() fits a new model; 0: never. */
    double retrain_share;
    /* rows, files */
    int64_t storage;  /* enum asteria_rows_storage */
    int64_t cache_mb; /* tiered: rows kept in memory */
    int64_t device;   /* CUDA_CPU, CUDA_CUDA */
    int64_t wal, checkpoint_mb;
};

enum asteria_mode { MODE_HEURISTIC, MODE_CERTIFIED };
/* centre: distance from the bucket's mean; score: correlation with the codeword; bound: certified
   lower bound, ties by score; hybrid: centre and score, each divided by its spread. */
enum asteria_order { ORDER_CENTRE, ORDER_SCORE, ORDER_BOUND, ORDER_HYBRID };

struct asteria_knobs {
    int64_t mode;        /* enum asteria_mode */
    int64_t probe_order; /* enum asteria_order; certified: always bound */
    int64_t nprobe;
    /* Consecutive buckets without a new answer that end a query; 0: all nprobe are scanned. */
    int64_t early_stop_buckets;
    int64_t candidates; /* most rows scanned after the first bucket; 0: no limit */
    int64_t beam;       /* width of the beam search in the graph; 0: no beam search */
    int64_t rerank;     /* best estimates that get an exact distance; 0: all that pass the scan */
    bool exact;         /* false: distances are estimates and no row is read */
    bool use_b1, use_b2, use_b3; /* for ablations: an unused bound prunes nothing */
    bool audit;                  /* checks every bound against every live row's distance; slow */
};

#endif
