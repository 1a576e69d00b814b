/* image.h - an immutable HNSW graph as one flat block of bytes: in a file, in a cache, or as the
 * version that readers of an old snapshot keep. It is made from a graph (graph.h) and gives the
 * same answers.
 *
 * The rows are not in the block. Node i of the image is node i of the graph, from which no node may
 * have been removed singly.
 *
 *   1 writing   2 opening   3 searching   4 resuming
 *
 * Layout, little-endian, from a multiple of 64: head; level-0 links, `degree` numbers per node, 2
 * bytes each if that is enough for all nodes, else 4, unused ones all ones; then for each upper
 * layer the numbers its nodes have in the layer below, and its links. */
#ifndef DRIFTLINE_COMMON_GRAPH_IMAGE_H
#define DRIFTLINE_COMMON_GRAPH_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/graph/graph.h"

/* 1. Writing. No change may run meanwhile. `to` has space for graph_image_bytes(), at a multiple
   of 64. */

size_t graph_image_bytes(const struct graph *);
void graph_image_write(const struct graph *, void *to);

/* 2. Opening */

enum { GRAPH_IMAGE_LAYERS = 6 };

/* Points into the block, which must outlive it. */
struct graph_image {
    uint32_t n, entry; /* entry: of the topmost layer. n = 0: no node */
    uint32_t n_layers;
    bool narrow; /* links of 2 bytes, in every layer */
    struct {
        uint32_t n, degree;
        const uint32_t *below; /* number in the layer below; NULL in layer 0 */
        const void *links;
    } layers[GRAPH_IMAGE_LAYERS];
};

/* ERR_CORRUPT with `what` (a file's name) if the bytes are not an image. Checks every number, so
   that a search never leaves the block, whatever the bytes are. */
int graph_image_open(struct graph_image *, const void *bytes, size_t n_bytes, const char *what,
                     struct error *);
/* The same for bytes that were just written or whose hash was verified: checks the head only. */
int graph_image_trust(struct graph_image *, const void *bytes, size_t n_bytes, const char *what,
                      struct error *);
/* ERR_INVARIANT with `what` if an image would not be opened, or has an edge twice. One that is opened
   has a ring of links through all nodes of a layer, so each is within reach of each. */
int graph_image_check(const struct graph_image *, const char *what, struct error *);

/* 3. Searching */

/* Location of the rows: row i at base + i * row_bytes, or, if base is NULL, in chunks of
   SEGMENTED_CHUNK rows. */
struct graph_image_rows {
    const unsigned char *base;
    unsigned char *const *chunks;
    size_t row_bytes, dim;
    enum element element;
    const struct kernels *kernels;
};

static inline const unsigned char *graph_image_row(const struct graph_image_rows *rows, uint32_t i)
{
    if (rows->base)
        return rows->base + i * rows->row_bytes;
    return rows->chunks[i / SEGMENTED_CHUNK] + i % SEGMENTED_CHUNK * rows->row_bytes;
}

/* In links of 16 bits, of graphs of at most so many nodes: no link. */
enum { GRAPH_NARROW_NONE = UINT16_MAX };

/* Link `at` of a level, GRAPH_NONE if there is none. */
static inline uint32_t graph_image_link(const struct graph_image *image, size_t level, size_t at)
{
    if (!image->narrow)
        return ((const uint32_t *)image->layers[level].links)[at];
    const uint16_t link = ((const uint16_t *)image->layers[level].links)[at];
    return link == GRAPH_NARROW_NONE ? GRAPH_NONE : link;
}

/* Ends a beam early when only results within `distance` are wanted. The beam continues while
   it gets nearer or has candidates within `distance`. It ends after expanding `patience` (at
   least 1) consecutive candidates beyond `distance` that led to nothing nearer than the
   nearest candidate. */
struct graph_image_limit {
    float distance;
    size_t patience;
};

/* As graph_search(): the k nearest found by a beam of ef, ascending by (distance, node); an ef of
   at least n makes it exact. limit NULL: no early end. ERR_NO_MEMORY, with a message in `err`. */
int graph_image_search(const struct graph_image *, const struct graph_image_rows *,
                       struct graph_scratch *, const void *query, size_t k, size_t ef,
                       const struct graph_image_limit *limit, uint32_t *nodes, float *distances,
                       size_t *n, double *checked, struct error *err);

/* 4. Resuming: copies the image's nodes, links and rows into an empty graph of the same options,
   which can then be changed. On failure the graph is empty. */
int graph_image_thaw(const struct graph_image *, const struct graph_image_rows *, struct graph *);

#endif
