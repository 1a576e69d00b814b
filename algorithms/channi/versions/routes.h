/* routes.h - the top graph of one layout: the routes, and the cluster that each leads to. Rows and
 * phashes are append-only and shared by all layouts. Each layout's graph is an image that never
 * changes.
 */
#ifndef DRIFTLINE_CHANNI_VERSIONS_ROUTES_H
#define DRIFTLINE_CHANNI_VERSIONS_ROUTES_H

#include <stdatomic.h>
#include <stdint.h>

#include "algorithms/common/graph/graph.h"
#include "algorithms/common/graph/image.h"

struct channi;

struct channi_routes {
    uint32_t n;
    struct graph_image graph;
    struct graph_image_rows rows;
    unsigned char *block; /* memory of `graph` */
    size_t block_bytes;
    uint32_t *cid; /* cluster of each route; CID_NONE: dropped */
    atomic_size_t refs;
};

void channi_routes_ref(struct channi_routes *);
void channi_routes_unref(struct channi *, struct channi_routes *);

/* `write` is held in the functions below, except channi_row_hash(). */

struct channi_new_route {
    const void *row;
    uint64_t phash;
    uint32_t cid;
};
/* Makes the next routes: those of `old` (NULL: none) and n more. Appends the rows and phashes of
   the new ones; copies the cids of the old ones. first: of the first routes, a graph of their rows, which
   is taken over; else NULL. ERR_NO_MEMORY: unchanged. */
int channi_routes_add(struct channi *, const struct channi_routes *old,
                      const struct channi_new_route *, size_t n, struct graph **first,
                      struct channi_routes **);
/* Makes the first routes of an index that is loaded, from the image of a graph and n each. name: of the file,
   for messages. ERR_NO_MEMORY, ERR_CORRUPT. */
int channi_routes_load(struct channi *, const void *image, size_t bytes, const char *name,
                       const uint32_t *cids, const uint64_t *phashes, const unsigned char *rows,
                       uint32_t n, struct channi_routes **);
/* Removes the routes after those of `old` (NULL: all), if their addition was not published. */
void channi_routes_undo(struct channi *, const struct channi_routes *old);
/* Computes a phash from (id, row) that no route has. */
uint64_t channi_phash(const struct channi *, uint64_t id, const void *row);
uint64_t channi_row_hash(const struct channi *, const void *row); /* never UINT64_MAX */
struct graph_options channi_top_options(const struct channi *);

#endif
