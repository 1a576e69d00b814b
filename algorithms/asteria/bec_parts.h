/* bec_parts.h - the BEC-tree from inside: what the files of bec.h share.
 *
 *   bec.c create, rows come and go   bec_cells.c rows of one address in one leaf   bec_split.c splits, merges
 *   bec_assign.c  bec_medoid.c  bec_maintain.c  bec_levels.c  bec_order.c  bec_check.c  bec_file.c
 *
 * Rows of a leaf that have one address are a cell, a list; a leaf is a list of cells. Splits move whole cells, for they
 * ask of addresses only. An address has a cell in each leaf that has rows of it: a chain, found by `of_address`.
 *
 * Components p of a row are kept in 8 bits: q = floor(p scale), so that p is in [q, q + 1) / scale, open at -128 and
 * 127. Margins are sums of |2 q + 1|.
 */
#ifndef DRIFTLINE_ASTERIA_BEC_PARTS_H
#define DRIFTLINE_ASTERIA_BEC_PARTS_H

#include "algorithms/asteria/bec.h"
#include "algorithms/asteria/ecc.h"
#include "src/core/idmap.h"

#define BEC_NONE UINT32_MAX

enum {
    BEC_SAMPLE = 256, /* rows a medoid is chosen of */
    BEC_ROUNDS = 3,   /* of assignment, the penalty halved after each */
    BEC_AGAIN = 2,    /* times that splits and merges of such rounds lead to rounds more */
    BEC_Q_LEAST = -128,
    BEC_Q_MOST = 127
};

/* Mean |2 q + 1| of a twentieth of the sample's mean margin: 4 of those are the 8 bits' range. */
#define BEC_LEAST_MARGIN  (2 * .05 * BEC_Q_MOST / 4)
#define BEC_LEAST_ENTROPY .8

struct bec_node {
    uint32_t parent, child; /* the other child is child + 1; BEC_NONE: it is a leaf */
    uint32_t mask, value;   /* bits of addresses that the prefix fixes */
    uint32_t n;             /* rows below */
    uint8_t depth, next;    /* splits above it; place in the order of the first bit to split by */
    uint8_t bit;            /* it is split by */
    uint8_t used;           /* else free, the next free pair's first in `parent` */
    /* a leaf's */
    uint32_t cells, n_cells;
    uint32_t medoid;  /* slot; BEC_NONE: no rows */
    uint32_t changes; /* rows come and gone since the medoid was found */
    float medoid_length;
};

/* Of all rows below a node, by bit of the address. The box covers them, and may be wider. */
struct bec_bit {
    uint64_t margin;
    uint32_t ones;
    int8_t low, high;
    uint16_t unused; /* 0: it is written to files */
};

struct bec_cell {
    uint32_t address, leaf, n;
    uint32_t first;      /* row */
    uint32_t next, prev; /* in its leaf; free: the next free */
    uint32_t same;       /* the next of its address */
};

struct bec_row {
    uint32_t cell; /* BEC_NONE: not in the tree */
    uint32_t next, prev;
};

struct bec {
    struct index_env env;
    size_t rank, leaf_cap;
    double penalty;
    unsigned bits;                  /* of addresses */
    uint8_t order[ECC_ADDRESS_MAX]; /* of bits: the first to split by first */
    float scale[ECC_ADDRESS_MAX];
    size_t n; /* rows */

    struct bec_node *nodes;  /* the root is the first */
    struct bec_bit *tallies; /* nodes x bits */
    double *sums;            /* nodes x rank: of the rows below */
    float *medoids;          /* nodes x rank: the medoid's vector */
    size_t n_nodes, nodes_capacity, tallies_capacity, sums_capacity, medoids_capacity;
    uint32_t free_pair;

    struct bec_cell *cells;
    size_t n_cells, cells_used, cells_capacity; /* ever used; in use */
    uint32_t free_cell;
    struct idmap of_address;

    struct bec_row *rows; /* by slot */
    int8_t *q;            /* slots x bits */
    size_t n_slots, rows_capacity, q_capacity;
    float *y, *best; /* rank each, of who changes the tree */

    /* assignment: round BEC_ROUNDS is rest */
    uint32_t round, again, cursor; /* cursor: the next slot to look at */
    uint64_t changed;              /* rows come and gone since the rounds began */
    uint64_t reshaped;             /* rows of leaves split or merged since */
    uint64_t splits, merges, moved, medoids_found;
};

static inline bool bec_is_leaf(const struct bec *b, uint32_t node)
{
    return b->nodes[node].child == BEC_NONE;
}

static inline struct bec_bit *bec_tallies(const struct bec *b, uint32_t node)
{
    return b->tallies + (size_t)node * b->bits;
}

static inline double *bec_sum(const struct bec *b, uint32_t node)
{
    return b->sums + (size_t)node * b->rank;
}

static inline float *bec_medoid_of(const struct bec *b, uint32_t node)
{
    return b->medoids + (size_t)node * b->rank;
}

static inline const int8_t *bec_q(const struct bec *b, uint32_t slot)
{
    return b->q + (size_t)slot * b->bits;
}

/* Below `node`, by the address's bits. */
static inline uint32_t bec_descend(const struct bec *b, uint32_t node, uint32_t address)
{
    while (!bec_is_leaf(b, node))
        node = b->nodes[node].child + (address >> b->nodes[node].bit & 1);
    return node;
}

/* bec_cells.c. Room for n cells more: ERR_NO_MEMORY. */
int bec_reserve_cells(struct bec *, size_t n);
uint32_t bec_cell_find(const struct bec *, uint32_t leaf, uint32_t address); /* BEC_NONE */
/* The row joins the leaf's cell of the address, which is made if need be, of room reserved. */
void bec_link(struct bec *, uint32_t slot, uint32_t leaf, uint32_t address);
/* It leaves; an emptied cell is free. */
void bec_unlink(struct bec *, uint32_t slot);
/* All cells of a leaf go over to another, joining those of their addresses. */
void bec_cells_move(struct bec *, uint32_t from, uint32_t to);
/* One cell goes to a leaf that has none of its address. */
void bec_cell_move(struct bec *, uint32_t cell, uint32_t to);
/* Rows of a leaf one after another: start with *cell = *slot = BEC_NONE. */
bool bec_next_row(const struct bec *, uint32_t leaf, uint32_t *cell, uint32_t *slot);

/* bec.c. Room for n nodes in all: ERR_NO_MEMORY. */
int bec_reserve_nodes(struct bec *, size_t n);
/* A node without rows. */
void bec_clear(struct bec *, uint32_t node);
/* The row's bits are counted in, or out, of the node. */
void bec_tally(struct bec *, uint32_t node, uint32_t slot, uint32_t address, bool in);
/* The row, whose vector is y, joins or leaves a leaf: all of it, counts and sums from there to the root included. */
void bec_enter(struct bec *, uint32_t slot, uint32_t leaf, uint32_t address, const float *y);
void bec_leave(struct bec *, const struct bec_rows *, uint32_t slot, const float *y);

/* bec_split.c. The place in the order of the bit that a leaf can be split by: bits if there is none, or if it has no more
   rows than allowed. */
unsigned bec_split_place(const struct bec *, uint32_t leaf);
/* Adds the vectors asked for to *spent. */
int bec_split(struct bec *, const struct bec_rows *, uint32_t leaf, unsigned place,
              uint64_t *spent);
bool bec_merge_is_due(const struct bec *, uint32_t parent);
void bec_merge(struct bec *, uint32_t parent);

/* bec_medoid.c. */
bool bec_medoid_is_due(const struct bec *, uint32_t leaf);
/* The rows it is chosen of: at most BEC_SAMPLE. */
size_t bec_sample(const struct bec *, uint32_t leaf, uint32_t *slots);
/* And the box is drawn close. */
void bec_medoid_find(struct bec *, const struct bec_rows *, uint32_t leaf, uint64_t *spent);
void bec_medoid_set(struct bec *, uint32_t leaf, uint32_t slot, const float *y);

/* bec_assign.c. */
bool bec_rounds_are_due(struct bec *); /* and begins them */
/* Some rows on: most, or the rest of the round. */
int bec_assign(struct bec *, const struct bec_rows *, size_t most, uint64_t *spent);
double bec_lambda(const struct bec *);
/* What assignment lessens: sum of angles to medoids + lambda (sum of flipped bits' margins + n sum over leaves of
   share log share). */
double bec_objective(const struct bec *, const struct bec_rows *, double lambda);

/* bec_levels.c. */
unsigned bec_depth(const struct bec *);

/* bec_check.c: all but the sums of vectors. */
int bec_check_shape(const struct bec *, struct error *);

#endif
