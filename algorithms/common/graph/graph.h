/* graph.h - a proximity graph over vectors in memory, for the nearest of some thousands to
 * millions: HNSW; a relative neighbourhood graph entered through a balanced k-means tree (BKT); or
 * Vamana, one layer whose long edges lead from a medoid to every row.
 *
 * Nodes are numbered from 0 and keep a copy of their vector in its own element (F32 or U8);
 * distances are squared L2, or order rows by their inner product. A removed node's number is reused
 * once no reader can hold it. Edges follow the RNG rule: candidates are taken nearest first, and one
 * is kept unless an already kept one is nearer to it than the node is. The neighbours of a removed
 * node are reconnected with one another, so that the graph stays connected under churn.
 *
 *   1 creating   2 changes   3 searches   4 nodes   5 files, reports
 *
 * Threads: one change at a time (the graph has its own lock), concurrent with any number of
 * searches, each inside the epoch. */
#ifndef DRIFTLINE_COMMON_GRAPH_GRAPH_H
#define DRIFTLINE_COMMON_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/durable/store_file.h"
#include "src/core/index.h"

#define GRAPH_NONE UINT32_MAX

/* 1. Creating */

enum graph_kind { GRAPH_HNSW, GRAPH_BKT, GRAPH_VAMANA };

struct graph_options {
    enum graph_kind kind;
    size_t degree;      /* neighbours per node at most, 32 */
    size_t build_ef;    /* candidates for a node's edges in graph_build(); SPTAG: CEF */
    size_t insert_ef;   /* ... and in graph_add(); SPTAG: AddCEF */
    double rng_factor;  /* of the RNG rule, on squared distances: 1, Vamana: the square of alpha */
    bool inner_product; /* F32: the nearest row is that of the greatest inner product */
    uint64_t seed;
    size_t upper_degree; /* in HNSW's upper layers; 0: half of degree */
    /* Called by graph_build() between two rows, in any thread of the pool; may wait. NULL: none. */
    void (*between_rows)(void);
};

struct graph;
struct graph_scratch;

/* Creates an empty graph for rows of env's element and dim; the epoch must outlive it.
   ERR_ARGUMENT, ERR_DIMENSION (neither F32 nor U8), ERR_NO_MEMORY. */
int graph_create(struct graph **, const struct index_env *, struct epoch *,
                 const struct graph_options *);
/* NULL is allowed. No reader may be inside the epoch. */
void graph_destroy(struct graph *);
/* Fills an empty graph: row i becomes node i. Uses all of env's pool; the same graph at any thread
   count. ERR_NO_MEMORY. */
int graph_build(struct graph *, struct vectors rows);

/* 2. Changes. On failure (ERR_NO_MEMORY) the graph is unchanged. Callers must be outside the epoch,
   because changes retire numbers. */

int graph_add(struct graph *, const void *row, uint32_t *node);
/* Removes a live node. Later searches do not return it; its row stays readable inside epochs that
   began before. Vamana: edges are mended as in IP-DiskANN. */
int graph_remove(struct graph *, uint32_t node);
/* Removes n distinct live nodes at once: a live node that links to some of them gets their
   neighbours as candidates, of which the RNG rule selects (FreshDiskANN's consolidation). Uses all
   of env's pool; the same graph at any thread count. The entry becomes the medoid of the rest. */
int graph_remove_many(struct graph *, const uint32_t *nodes, size_t n);
/* Links n live nodes again, in turn with earlier calls, as a build's second pass does: candidates are
   those that a search for the node's row has met, and its edges. Ends after about `budget` distances
   (0: no bound). *left: how many of the n are not linked again.
   HNSW: only in its lowest layer; by inner product, if that is more, as many nodes as would have the edges
   that removals took since the last call: where the nodes that most edges lead to are removed, their
   neighbours are linked again. */
int graph_link_again(struct graph *, size_t n, uint64_t budget, size_t *left);
/* Removes live nodes, given in ascending order, at once, and closes the gaps: the remaining nodes
   are renumbered from 0 in their order, so that an image can be made. HNSW only; requires that no
   node was ever removed singly and that no search runs. */
int graph_take_out(struct graph *, const uint32_t *nodes, size_t n);

/* 3. Searches, inside the epoch */

/* State of one thread's searches; grows with use. create: NULL: out of memory. */
struct graph_scratch *graph_scratch_create(struct mem *);
void graph_scratch_destroy(struct graph_scratch *);
uint64_t graph_scratch_bytes(const struct graph_scratch *);

struct graph_query {
    size_t k;
    size_t ef;        /* candidates kept, at least k; 0: chosen from k */
    size_t max_check; /* distances computed at most; 0: no limit */
};
/* The k nearest live nodes found, ascending by (distance, node); fewer only if fewer are live.
   During a concurrent change the result may contain a node being removed or lack one being added,
   but where one node replaces another, one of the two is found. An ef of at least the number of
   nodes makes the search exact. nodes, distances: space for k; of distances under
   inner product only the order means something. *n: results; adds the number of distances computed
   to *checked. ERR_NO_MEMORY. */
int graph_search(const struct graph *, struct graph_scratch *, const void *query,
                 const struct graph_query *, uint32_t *nodes, float *distances, size_t *n,
                 double *checked);

/* 4. Nodes */

size_t graph_live(const struct graph *);     /* live nodes */
size_t graph_capacity(const struct graph *); /* numbers ever used: every node is below this */
bool graph_is_live(const struct graph *, uint32_t node);
const void *graph_row(const struct graph *, uint32_t node);
/* The live nodes that a live node links to in the lowest layer, the next one on the ring among them,
   each once; space for `degree`. Returns their number. While no change runs. */
size_t graph_links(const struct graph *, uint32_t node, uint32_t *out);
/* Where searches enter the lowest layer; GRAPH_NONE: there is no node. */
uint32_t graph_entry(const struct graph *);
/* Squared L2 of two rows of env's element; under inner product, minus the product. */
float graph_distance(const struct graph *, const void *a, const void *b);

/* 5. Files, reports */

/* Sections "graph.*". Save: no change may run. Load: ERR_CORRUPT, ERR_NO_MEMORY. */
int graph_save(const struct graph *, struct store_writer *);
int graph_load(struct graph **, const struct index_env *, struct epoch *,
               const struct graph_options *, const struct store_reader *);
uint64_t graph_row_bytes(const struct graph *);  /* memory: rows */
uint64_t graph_edge_bytes(const struct graph *); /* memory: everything else */
/* The layers of HNSW that have nodes; layer 0 has all of them. While no change runs. */
struct graph_layer {
    size_t live, degree;      /* nodes; the most links of one */
    size_t links, most_links; /* of all nodes; of the node with the most */
};
size_t graph_layers(const struct graph *);
struct graph_layer graph_layer_of(const struct graph *, size_t layer);
/* ERR_INVARIANT unless edges lead to live nodes, no node has more than `degree` links, and every
   live node is reachable. */
int graph_check(const struct graph *);

#endif
