/* options.h - the options of Asteria: build parameters (params) and search parameters (knobs).
 * Their tables, with defaults, ranges and what each does, are in method.c.
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
/* What a scale and zero of the residual codes are of. */
enum asteria_lrsq_scale { LRSQ_SCALE_COORDINATE, LRSQ_SCALE_BLOCK };
/* When leaves of the tree split and merge (tree/bec.h). */
enum asteria_leaf_rules { LEAF_ROWS, LEAF_ENTROPY };
enum asteria_rows_storage { ASTERIA_ROWS_MEMORY, ASTERIA_ROWS_TIERED };

struct asteria_params {
    int64_t rotation;     /* enum asteria_rotation_kind */
    int64_t passes, init; /* enum asteria_bor_init */
    int64_t train_steps, batch;
    double learning_rate;
    int64_t train_rows;
    bool centering;
    int64_t code; /* enum asteria_code */
    int64_t address_bits;
    int64_t vantages; /* enum asteria_vantages */
    int64_t r, bits, lrsq_block;
    int64_t lrsq_scale; /* enum asteria_lrsq_scale */
    bool lrsq_pca;
    int64_t scan_dims, rabitq_bits;
    double eps0;
    bool caprg;
    int64_t degree, r0, pool;
    int64_t link_policy;          /* enum asteria_link */
    int64_t leaf_cap, leaf_rules; /* enum asteria_leaf_rules */
    int64_t leaf_prototypes;
    double leaf_penalty; /* lambda of the soft assignment */
    double compact_share, retrain_share;
    int64_t storage; /* enum asteria_rows_storage */
    int64_t cache_mb;
    int64_t device; /* CUDA_CPU, CUDA_CUDA */
    int64_t wal, checkpoint_mb;
};

enum asteria_mode { MODE_HEURISTIC, MODE_CERTIFIED };
/* centre: distance from the bucket's mean; score: correlation with the codeword; bound: certified
   lower bound, ties by score; hybrid: centre and score, each divided by its spread. */
enum asteria_order { ORDER_CENTRE, ORDER_SCORE, ORDER_BOUND, ORDER_HYBRID };

struct asteria_knobs {
    int64_t mode;        /* enum asteria_mode */
    int64_t probe_order; /* enum asteria_order */
    int64_t nprobe, candidates, beam, rerank;
    double target_recall;
    bool exact, use_b1, use_b2, use_b3, audit;
};

#endif
