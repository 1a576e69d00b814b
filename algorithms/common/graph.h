/* graph.h - a proximity graph over vectors in memory, for finding the nearest of some thousands to
 * millions: HNSW, or a relative neighbourhood graph entered through a balanced k-means tree (BKT).
 *
 * Nodes are numbered from 0 and keep a copy of their vector in its own element (F32 or U8), squared
 * L2. Numbers of removed nodes are used again once no reader can hold them. Edges follow the RNG rule:
 * of the candidates, nearest first, one is kept unless a kept one is nearer to it than the node is.
 * A removed node's neighbours are reconnected with one another, so that a graph under churn does not
 * fall apart.
 *
 *   1 making one   2 changes   3 searches   4 nodes   5 files, reports
 *
 * Threads: changes one at a time (the graph holds a lock of its own), beside any number of searches,
 * each inside the epoch.
 */
#ifndef DRIFTLINE_GRAPH_H
#define DRIFTLINE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/epoch.h"
#include "algorithms/common/store_file.h"
#include "src/core/index.h"

#define GRAPH_NONE UINT32_MAX

/* 1. Making one */

enum graph_kind { GRAPH_HNSW, GRAPH_BKT };

struct graph_options {
    enum graph_kind kind;
    size_t degree;    /* neighbours of a node at most, 32 */
    size_t build_ef;  /* candidates a node's edges are chosen from when built at once; SPTAG: CEF */
    size_t insert_ef; /* ... and when added; SPTAG: AddCEF */
    double rng_factor; /* of the RNG rule, 1 */
    uint64_t seed;
    size_t upper_degree; /* in HNSW's upper layers; 0: half of degree */
};

struct graph;
struct graph_scratch;

int graph_create(struct graph **, const struct index_env *, struct epoch *,
                 const struct graph_options *);
/* NULL is allowed. No reader is inside the epoch. */
void graph_destroy(struct graph *);
/* Fills an empty graph: row i is node i. On all of env's pool; the same graph at any thread count. */
int graph_build(struct graph *, struct vectors rows);

/* 2. Changes. On failure (ERR_NO_MEMORY) the graph is as before. Not from inside the epoch: numbers are
   retired. */

int graph_add(struct graph *, const void *row, uint32_t *node);
/* A live node. Searches no longer return it; its row stays readable to who is in the epoch. */
int graph_remove(struct graph *, uint32_t node);
/* Takes live nodes out at once, ascending, and closes the gaps: those left are renumbered from 0 in their order, so
   that an image can be made. Of an HNSW; no node was ever removed singly, and nobody searches meanwhile. */
int graph_take_out(struct graph *, const uint32_t *nodes, size_t n);

/* 3. Searches, inside the epoch */

/* One thread's; grows with use. NULL: out of memory. */
struct graph_scratch *graph_scratch_create(struct mem *);
void graph_scratch_destroy(struct graph_scratch *);
uint64_t graph_scratch_bytes(const struct graph_scratch *);

struct graph_query {
    size_t k;
    size_t ef;        /* candidates kept, at least k; 0: chosen from k */
    size_t max_check; /* nodes whose distance is computed at most; 0: no bound */
};
/* The k nearest live nodes found, ascending by (distance, node); fewer only where there are fewer. A node that is
   removed beside it may be among them, one added may not: whichever takes another's place, one is found. An
   ef of at least the number of nodes is an exact scan. Returns how many in *n, adds to *checked the
   distances computed. ERR_NO_MEMORY. */
int graph_search(const struct graph *, struct graph_scratch *, const void *query,
                 const struct graph_query *, uint32_t *nodes, float *distances, size_t *n,
                 double *checked);

/* 4. Nodes */

size_t graph_live(const struct graph *);     /* live nodes */
size_t graph_capacity(const struct graph *); /* numbers ever used: node < this */
bool graph_is_live(const struct graph *, uint32_t node);
const void *graph_row(const struct graph *, uint32_t node);
/* Squared L2 of two rows of env's element. */
float graph_distance(const struct graph *, const void *a, const void *b);

/* 5. Files, reports */

int graph_save(const struct graph *,
               struct store_writer *); /* sections "graph.*"; no change runs */
int graph_load(struct graph **, const struct index_env *, struct epoch *,
               const struct graph_options *, const struct store_reader *);
uint64_t graph_row_bytes(const struct graph *);  /* memory: rows */
uint64_t graph_edge_bytes(const struct graph *); /* memory: all else */
/* ERR_INVARIANT: edges lead to live nodes, are at most `degree`, every live node can be reached. */
int graph_check(const struct graph *);

#endif
