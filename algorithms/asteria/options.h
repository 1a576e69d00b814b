/* options.h - what Asteria may be told: at creation (params), and of each search (knobs). asteria.c has their
 * tables: defaults, bounds, and what each is for.
 */
#ifndef DRIFTLINE_ASTERIA_OPTIONS_H
#define DRIFTLINE_ASTERIA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum asteria_turn {
    TURN_BOR,
    TURN_HADAMARD,
    TURN_IDENTITY,
    TURN_RANDOM,
    TURN_PCA,
    TURN_ITQ,
    TURN_OPQ
};
enum asteria_bor_init { BOR_HADAMARD, BOR_NEAR_IDENTITY, BOR_RANDOM };
enum asteria_code {
    ECC_GOLAY,   /* [24,12,8] */
    ECC_GOLAY2,  /* two of them: 24 bits of address */
    ECC_BCH,     /* [31,16,7] */
    ECC_HAMMING, /* [15,11,3] */
    ECC_RM,      /* Reed-Muller(1,5): [32,6,16] */
    ECC_NONE,    /* as many raw bits as the address has */
    ECC_RANDOM,  /* [24,12] of random parity bits */
};
enum asteria_vantages { VANTAGE_COORDINATES, VANTAGE_LEARNED };
/* When a row is linked in the graph: before insert() returns, or by maintain() alone. */
enum asteria_link { LINK_INSERT, LINK_MAINTAIN };
enum asteria_durability { ASTERIA_VOLATILE, ASTERIA_WRITTEN, ASTERIA_SYNCED };
enum asteria_rows { ASTERIA_ROWS_MEMORY, ASTERIA_ROWS_TIERED };

struct asteria_params {
    /* the rotation */
    int64_t rotation;     /* enum asteria_turn */
    int64_t passes, init; /* bor: enum asteria_bor_init */
    int64_t train_steps, batch;
    double learning_rate;
    int64_t train_rows; /* of the sample, at most */
    /* thresholds at the mean, not at zero: bits are balanced, distances are what they were */
    bool centre;
    /* the code */
    int64_t code; /* enum asteria_code */
    /* 0: log2(expected rows / 200), at most the code's; fewer: the code shortened */
    int64_t address_bits;
    int64_t vantages; /* enum asteria_vantages */
    /* short codes */
    int64_t r;    /* LRSQ: coordinates kept; 0: half of them, 96 at most */
    int64_t bits; /* LRSQ: of a coordinate in the mean, 4 .. 8 */
    int64_t lrsq_block;
    bool lrsq_pca;       /* rows of their own, not coordinates of the rotation */
    int64_t scan_dims;   /* principal coordinates that scanned codes are of; 0: all dimensions */
    int64_t scan_bits;   /* of such a coordinate */
    int64_t rabitq_bits; /* of a dimension in the scanned codes */
    double eps0;
    /* the graph */
    bool caprg;
    int64_t degree;
    int64_t r0;   /* codeword steps around a row's bucket */
    int64_t pool; /* candidates at most */
    int64_t link; /* enum asteria_link */
    /* clusters */
    int64_t leaf_cap;    /* BEC-tree: rows of a leaf before it splits */
    double leaf_penalty; /* lambda of the soft assignment */
    /* upkeep */
    double compact_share; /* of a bucket's rows dead: it is written anew */
    /* rows inserted since the model was fitted, of those it was fitted for: fitted anew by maintain(); 0: never */
    double retrain_share;
    /* rows, files */
    int64_t rows;   /* enum asteria_rows */
    int64_t hot_mb; /* tiered: of rows in memory */
    int64_t durability, checkpoint_mb;
};

enum asteria_mode { MODE_HEURISTIC, MODE_CERTIFIED };
/* score: correlation with the codeword; bound: certified lower bound, ties by score; flips: the codewords of flips
   of the least certain bits; centre: distance from the bucket's mean; tree: best first in the BEC-tree;
   both: centre and score, each by its spread. */
enum asteria_order { ORDER_CENTRE, ORDER_SCORE, ORDER_BOUND, ORDER_FLIPS, ORDER_TREE, ORDER_BOTH };

struct asteria_knobs {
    int64_t mode;  /* enum asteria_mode */
    int64_t order; /* enum asteria_order; certified: always bound */
    int64_t probes;
    /* buckets in a row that bring no answer before a query ends; 0: it waits for `probes` */
    int64_t patience;
    int64_t candidates; /* rows scanned at most, but for the first bucket; 0: no bound */
    int64_t beam;       /* of the walk in the graph; 0: no walk */
    int64_t rerank; /* best estimates that get an exact distance; 0: all that the scan lets pass */
    bool exact;     /* false: answers have their estimates for distances; rows are not read */
    bool use_b1, use_b2, use_b3; /* for ablations: bounds not to be used do not prune */
    bool audit; /* beside the search every bound is held to every live row's distance; slow */
};

#endif
