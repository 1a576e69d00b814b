/* stream_internal.h - the state of a streaming merge: stream.c has the passes over files, link.c the
 * links of the recent rows. Numbers are those of the new part: the live rows on disk in their order,
 * from 0 to kept - 1, then the recent ones. */
#ifndef DRIFTLINE_VAMANA_DISK_STREAM_INTERNAL_H
#define DRIFTLINE_VAMANA_DISK_STREAM_INTERNAL_H

#include "algorithms/vamana_disk/vamana_disk.h"
#include "src/core/mem.h"

struct vamana_disk_stream {
    struct vamana_disk *h;
    const struct vamana_disk_part *old;
    const struct graph_index *recent;
    struct vamana_disk_part *part; /* the new one */
    size_t kept, n_recent;
    struct mem_group memory; /* of the arrays, and the page, below */
    uint32_t *map;           /* by old node: its number, or that of the deleted one among these */
    uint32_t *gone;          /* the deleted nodes, ascending */
    uint32_t *deleted;       /* degree + 1 for each deleted node: how many live links, and these */
    uint32_t *nodes;         /* by recent row: its node in memory */
    uint32_t *number_of;     /* by node in memory: its recent row */
    unsigned char *rows;     /* the recent rows as on disk */
    uint32_t *links;         /* degree + 1 for each recent row: as those of deleted nodes */
    uint64_t *back;          /* links back: source << 32 | target, ascending */
    size_t n_back, at_back;
    struct vamana_disk_prune prune;
    /* output: pages are passed on when they are full */
    unsigned char *page;
    size_t in_page;
    int (*put)(void *to, const unsigned char *page);
    void *to;
};

/* recode.c. The part's quantizer, and the codes of all rows, which are numbered. ERR_NO_MEMORY, ERR_IO. */
int vamana_disk_recode(struct vamana_disk_stream *);

/* link.c. Finds the links of all recent rows, and the links back. Uses env's pool; the same links at
   any number of threads. ERR_NO_MEMORY, ERR_IO. */
int vamana_disk_link_recent(struct vamana_disk_stream *);

#endif
