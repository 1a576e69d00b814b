/* members.h - clusters taken by a job, and their gathered rows. */
#ifndef DRIFTLINE_CHANNI_REWRITE_MEMBERS_H
#define DRIFTLINE_CHANNI_REWRITE_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/files/columns.h"

struct channi;

/* The rows of clusters at one moment, used by one thread. `rows` point into pinned files and into
   deltas, which stay while the taken view is referenced. */
struct channi_members {
    const unsigned char **rows;
    uint64_t *ids, *born, *dead;   /* dead 0: alive */
    struct channi_record *records; /* of the rows' attributes; they point there, too */
    uint32_t *from;                /* index of its cluster in the job */
    uint32_t *row;                 /* its row within that cluster */
    size_t n, n_live, capacity;
    struct channi_whole_file *wholes;
    size_t n_wholes;
    struct mem *mem;
};

/* Clusters taken by a job: their latches are held, in order of ascending cid. */
enum { WORK_MOST = 16 }; /* clusters */

struct channi_taken {
    struct channi_cluster *clusters[WORK_MOST]; /* referenced */
    uint32_t seen[WORK_MOST];                   /* delta rows gathered */
    size_t n, bytes;
    struct channi_view *view; /* the view that the job works on, referenced */
};

/* Takes the latches. *taken false: a latch is taken, a cluster no longer exists, or files and
   deltas of all taken clusters would exceed taken_bytes_most. A job that runs alone may exceed it.
   ERR_ARGUMENT: n is not 1 .. WORK_MOST. */
int channi_take(struct channi *, const uint32_t *cids, size_t n, struct channi_taken *,
                bool *taken);
void channi_give(struct channi *, struct channi_taken *);
/* Gathers the live rows, and the dead ones that a version from the horizon on may see.
   ERR_NO_MEMORY, or a read error. */
int channi_gather(struct channi *, struct channi_taken *, struct channi_members *);
void channi_members_init(struct channi_members *, struct channi *);
void channi_members_free(struct channi_members *, struct channi *);

#endif
