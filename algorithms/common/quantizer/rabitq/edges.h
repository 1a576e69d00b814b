/* edges.h - 1-bit RaBitQ codes of a vertex's neighbours in a graph, relative to the vertex,
 * in place of exact distances (Gou et al. 2025).
 *
 * A block has the codes of RABITQ_EDGES neighbours of one vertex. They are scanned all at once with
 * the kernel estimate_32(): internal.h has the formulas, with the vertex as the centroid. No
 * bound is kept: the caller computes the exact distance of a neighbour if it expands it.
 *
 * Block:  lines  64 bytes per 16 dimensions, as in estimate_32()
 *         add, scale  RABITQ_EDGES floats each
 *
 * The quantizer is one of kind QUANTIZER_RABITQ with 1 bit: quantizer_train(), transform, save and
 * load apply. */
#ifndef DRIFTLINE_COMMON_QUANTIZER_RABITQ_EDGES_H
#define DRIFTLINE_COMMON_QUANTIZER_RABITQ_EDGES_H

#include "algorithms/common/quantizer/quantizer.h"

enum { RABITQ_EDGES = 32 };

/* Of a block, a multiple of 64; blocks start at multiples of 64. */
size_t rabitq_edges_bytes(const struct quantizer *);
/* A block without neighbours: all estimates are INFINITY. */
void rabitq_edges_clear(const struct quantizer *, void *block);
/* Encodes the neighbour `transformed` of the vertex `centre`, also transformed, into place i. */
void rabitq_edges_put(const struct quantizer *, const float *transformed, const float *centre,
                      void *block, unsigned i);
/* Empties place i: its estimate is INFINITY. */
void rabitq_edges_drop(const struct quantizer *, void *block, unsigned i);
/* Prepares a query in `query`, of query_bytes, at a multiple of 64. */
void rabitq_edges_query(const struct quantizer *, const float *transformed, void *query);
/* Estimates the squared distances of the query to all neighbours; `distance` is the exact one to
   the vertex. Returns a bit for each neighbour whose estimate is below the limit. estimate:
   RABITQ_EDGES floats at a multiple of 64. */
uint32_t rabitq_edges_scan(const struct quantizer *, const void *query, float distance,
                           const void *block, float limit, float *estimate);

#endif
