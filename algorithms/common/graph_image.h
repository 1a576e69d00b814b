/* graph_image.h - an HNSW graph that does not change any more, as one flat block of bytes: in a file,
 * in a cache, or as what a reader of an old version goes on seeing. The graph is made by graph.h; an image
 * of it answers as it does.
 *
 * The rows are not in the block. Node i of the image is node i of the graph, of which none was removed.
 *
 *   1 making one   2 opening one   3 searching   4 going on from one
 *
 * Layout, little-endian, from a multiple of 64: head; level-0 links, `degree` numbers a node, 2 bytes
 * each where all nodes can be numbered so, else 4, unused ones all ones; then for each upper layer the
 * numbers its nodes have in the layer below, and its links.
 */
#ifndef DRIFTLINE_GRAPH_IMAGE_H
#define DRIFTLINE_GRAPH_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/graph.h"

/* 1. Making one. No change runs meanwhile. */

size_t graph_image_bytes(const struct graph *);
void graph_image_write(const struct graph *, void *to);

/* 2. Opening one */

enum { GRAPH_IMAGE_LAYERS = 6 };

/* Points into the block. */
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

/* ERR_CORRUPT with `what` (a file's name) where the bytes are not an image: every number is looked at, so
   that no search of it leaves the block, whatever is in it. */
int graph_image_open(struct graph_image *, const void *bytes, size_t n_bytes, const char *what,
                     struct error *);
/* The same of bytes that were just written, or held to a hash: the head alone is looked at. */
int graph_image_trust(struct graph_image *, const void *bytes, size_t n_bytes, const char *what,
                      struct error *);

/* 3. Searching */

/* Where rows are: row i at base + i * row_bytes, or, where base is NULL, in chunks of STABLE_CHUNK. */
struct graph_image_rows {
    const unsigned char *base;
    unsigned char *const *chunks;
    size_t row_bytes, dim;
    enum element element;
    const struct kernels *kernels;
};

/* What is farther than `distance` is not wanted. A beam goes on while it comes nearer, or has candidates
   within the limit; it ends when it has expanded `patience` (at least 1) candidates beyond it in a row that
   led to nothing nearer than its nearest. */
struct graph_image_limit {
    float distance;
    size_t patience;
};

/* As graph_search() does: the k nearest of what a beam of ef finds, ascending by (distance, node); ef of
   at least n is an exact scan. limit NULL: the beam runs to its end. ERR_NO_MEMORY, said in `err`. */
int graph_image_search(const struct graph_image *, const struct graph_image_rows *,
                       struct graph_scratch *, const void *query, size_t k, size_t ef,
                       const struct graph_image_limit *limit, uint32_t *nodes, float *distances,
                       size_t *n, double *checked, struct error *err);

/* Whether every node can be reached from node `from` along level 0. ERR_NO_MEMORY. */
int graph_image_reach(const struct graph_image *, struct mem *, uint32_t from, size_t *reached,
                      struct error *);

/* 4. Going on from one: an empty graph of the same options takes over the image's nodes and links, and their
   rows, and can be added to. On failure it is empty. */
int graph_image_thaw(const struct graph_image *, const struct graph_image_rows *, struct graph *);

#endif
