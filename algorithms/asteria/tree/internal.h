/* internal.h - the BEC-tree's arrays, and functions shared by the files of this folder.
 *
 * The rows of a leaf form a list, the last that entered first.
 *
 * The components p of a row are stored in 8 bits: q = floor(p scale). Margins are sums of |2 q + 1|.
 */
#ifndef DRIFTLINE_ASTERIA_TREE_INTERNAL_H
#define DRIFTLINE_ASTERIA_TREE_INTERNAL_H

#include <math.h>

#include "algorithms/asteria/code/ecc.h"
#include "algorithms/asteria/tree/bec.h"

#define BEC_NONE UINT32_MAX

enum {
    BEC_SAMPLE = 256, /* rows that a medoid is chosen from */
    BEC_ROUNDS = 3,   /* of assignment; the penalty is halved after each */
    BEC_AGAIN = 2,    /* series of rounds caused by the splits and merges of rounds */
    BEC_Q_LEAST = -128,
    BEC_Q_MOST = 127
};

/* Mean |2 q + 1| at a twentieth of the sample's mean margin: the 8 bits cover 4 mean margins. */
#define BEC_LEAST_MARGIN  (2 * .05 * BEC_Q_MOST / 4)
#define BEC_LEAST_ENTROPY .8

struct asteria_bec_node {
    uint32_t parent, child; /* first child, the other is child + 1; BEC_NONE: a leaf */
    uint32_t mask, value;   /* bits of addresses that the prefix fixes */
    uint32_t n;             /* rows of the node */
    uint8_t depth, next;    /* splits above it; where in `order` to look for its bit */
    uint8_t bit;            /* bit it is split by */
    uint8_t used;           /* 0: free; `parent` is the next free pair */
    /* Of a leaf: */
    uint32_t first;   /* row; BEC_NONE: it has none */
    uint32_t medoid;  /* slot; BEC_NONE: it has no rows */
    uint32_t changes; /* rows added and removed since the medoid was found */
    float medoid_length;
};

/* Of all rows of a node, by address bit. */
struct asteria_bec_bit {
    uint64_t margin;
    uint32_t ones, unused; /* unused: 0; written to files */
};

struct asteria_bec_row {
    uint32_t leaf; /* BEC_NONE: not in the tree */
    uint32_t address;
    uint32_t next, prev; /* of its leaf */
};

/* A leaf that was split into two, or two that were merged into one; rows: of the two. */
struct asteria_bec_event {
    bool split;
    uint8_t depth;          /* of the parent */
    uint32_t parent, child; /* numbers of nodes; the other child is child + 1 */
    uint32_t rows[2];
};
enum { ASTERIA_BEC_EVENTS = 256 }; /* the last ones are kept; files do not have them */

/* As it is in a file. */
struct asteria_bec_state {
    uint64_t n; /* rows */
    uint64_t n_nodes, n_slots;
    uint64_t rank;     /* floats of a vector */
    uint64_t changed;  /* rows added and removed since the rounds began */
    uint64_t reshaped; /* rows of leaves split or merged since then */
    uint64_t splits, merges, moved, medoids_found;
    uint32_t free_pair;
    /* Assignment; round BEC_ROUNDS: none is running. cursor: the next slot to visit. */
    uint32_t round, again, cursor;
    uint32_t bits; /* of an address */
    uint32_t unused;
};

struct asteria_bec {
    struct index_env env;
    struct asteria_bec_state state;
    struct asteria_bec_options options;
    uint8_t order[ECC_ADDRESS_MAX]; /* bits in the order of splitting */
    float scale[ECC_ADDRESS_MAX];

    struct asteria_bec_node *nodes;  /* nodes[0] is the root */
    struct asteria_bec_bit *tallies; /* nodes x bits */
    double *sums;                    /* nodes x rank: sums of the rows' vectors */
    float *medoids; /* nodes x (1 + prototypes) x rank: the medoid's vector, then the prototypes of
                       length 1, which are the medoid's direction until they are found */
    size_t nodes_capacity, tallies_capacity, sums_capacity, medoids_capacity;

    struct asteria_bec_row *rows; /* by slot */
    int8_t *q;                    /* slots x bits */
    size_t rows_capacity, q_capacity;
    float *y, *best; /* scratch of changes, rank floats each */
    float *sample;   /* vectors of the rows that a medoid is chosen from; NULL: no prototypes */

    /* A ring; n_events counts all since the tree was created or read. */
    struct asteria_bec_event events[ASTERIA_BEC_EVENTS];
    uint64_t n_events;
};

/* Event i of those kept, oldest first; NULL: there are not so many. */
const struct asteria_bec_event *asteria_bec_event(const struct asteria_bec *, size_t i);

static inline bool bec_is_leaf(const struct asteria_bec *b, uint32_t node)
{
    return b->nodes[node].child == BEC_NONE;
}

static inline struct asteria_bec_bit *bec_tallies(const struct asteria_bec *b, uint32_t node)
{
    return b->tallies + (size_t)node * b->state.bits;
}

static inline double *bec_sum(const struct asteria_bec *b, uint32_t node)
{
    return b->sums + (size_t)node * b->state.rank;
}

/* Floats of a node's medoid and prototypes. */
static inline size_t bec_medoid_floats(const struct asteria_bec *b)
{
    return (1 + b->options.prototypes) * b->state.rank;
}

static inline float *bec_medoid_of(const struct asteria_bec *b, uint32_t node)
{
    return b->medoids + node * bec_medoid_floats(b);
}

static inline const int8_t *bec_q(const struct asteria_bec *b, uint32_t slot)
{
    return b->q + (size_t)slot * b->state.bits;
}

/* The vector of a row. */
static inline void bec_vector(const struct asteria_bec *b, uint32_t slot, float *y)
{
    b->options.rows.vector(b->options.rows.to, slot, y);
}

/* The leaf below `node` for the address. */
static inline uint32_t bec_descend(const struct asteria_bec *b, uint32_t node, uint32_t address)
{
    while (!bec_is_leaf(b, node))
        node = b->nodes[node].child + (address >> b->nodes[node].bit & 1);
    return node;
}

/* Entropy of a bit that is set in a share of the rows. */
static inline double bec_entropy(double share)
{
    return share <= 0 || share >= 1 ? 0 : -share * log2(share) - (1 - share) * log2(1 - share);
}

unsigned asteria_bec_depth(const struct asteria_bec *); /* depth of the deepest leaf */
/* The place in `order` of the bit to split a leaf by; `bits` if there is none, or if the leaf is
   small enough. */
unsigned asteria_bec_split_place(const struct asteria_bec *, uint32_t leaf);
/* Adds the number of vectors read to *spent. ERR_NO_MEMORY. */
int asteria_bec_split(struct asteria_bec *, uint32_t leaf, unsigned place, uint64_t *spent);
bool asteria_bec_merge_is_due(const struct asteria_bec *, uint32_t parent);
/* The rows that the medoid is chosen from: at most BEC_SAMPLE. */
size_t asteria_bec_sample(const struct asteria_bec *, uint32_t leaf, uint32_t *slots);
int asteria_bec_medoid_find(struct asteria_bec *, uint32_t leaf, uint64_t *spent);
bool asteria_bec_rounds_are_due(struct asteria_bec *); /* also begins them */
/* Assigns the next `most` rows, or the rest of the round. */
void asteria_bec_assign(struct asteria_bec *, size_t most, uint64_t *spent);
double asteria_bec_lambda(const struct asteria_bec *);

/* check.c: all except the sums of vectors. */
int asteria_bec_check_shape(const struct asteria_bec *, struct error *);

#endif
