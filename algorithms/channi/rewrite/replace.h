/* replace.h - clusters taken by a job, their gathered rows, and the clusters that replace them. */
#ifndef DRIFTLINE_CHANNI_REWRITE_REPLACE_H
#define DRIFTLINE_CHANNI_REWRITE_REPLACE_H

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/versions/cluster.h"
#include "src/core/mem.h"

struct graph;

/* Clusters taken by a job, in its order: their latches are held. */
enum { WORK_MOST = 16 }; /* clusters */

/* The rows of clusters at one moment, used by one thread. They point into pinned files and into
   deltas, which stay while the clusters are taken. */
struct channi_members {
    struct channi_row *rows;
    size_t n, n_live;
    struct channi_whole_file wholes[WORK_MOST];
};

struct channi_taken {
    struct channi_cluster *clusters[WORK_MOST]; /* referenced */
    uint32_t seen[WORK_MOST];                   /* delta rows gathered */
    size_t n, bytes;
    struct channi_view *view;      /* the view that the job works on, referenced */
    struct channi_members members; /* none before channi_gather() */
};

/* Takes the latches of n clusters, 1 .. WORK_MOST, and references the clusters until
   channi_give(). false: a latch is taken, a cluster no longer exists, or files and deltas of all
   taken clusters would exceed taken_bytes_most. A job that runs alone may exceed it. */
bool channi_take(struct channi *, const uint32_t *cids, size_t n, struct channi_taken *);
void channi_give(struct channi *, struct channi_taken *);
/* Gathers the live rows, and the dead ones that a version from the horizon on may see, as members.
   ERR_NO_MEMORY, or a read error. */
int channi_gather(struct channi *, struct channi_taken *);

#define SUCCESSOR_NONE UINT32_MAX

/* A cluster that replaces one or several of those taken. */
struct channi_part {
    const uint32_t *rows; /* n >= 1 member indices, in the file's row order */
    size_t n;
    uint32_t root; /* a member; live if the part has live rows */
    enum channi_cluster_kind kind;
    uint32_t successor_of; /* index of the taken cluster whose cid and file name it keeps;
                              UINT32_MAX: it gets a new cid and is named after its root */
    uint32_t routes_of;    /* bits by index: gets the routes of these clusters; 0: the root's vector
                              becomes a route to it */
    bool reroutes; /* so it does, too, if the root needs a route, and routes beyond alias_max are
                      dropped */
    bool stays;    /* with successor_of: keeps the site, even if the root is another row */
    bool go_on;    /* extends the graph of successor_of's file, whose rows come first, in order */
};

/* Writes the parts' files (with up to `threads` threads of the pool). Then, under `write`, adds the
   rows and deletions that came meanwhile, publishes the new layout, and sets places. Every member
   is in exactly one part. Routes that no part gets lead nowhere afterwards. ERR_IO, ERR_NO_MEMORY:
   nothing has changed, no file is left. */
struct channi_replacement {
    const struct channi_part *parts;
    size_t n_parts;
    size_t threads;
    uint32_t *cids;          /* NULL, or set to the n_parts cids */
    const struct graph *top; /* of the first routes: a graph of the parts' roots; else NULL */
};
int channi_replace(struct channi *, struct channi_taken *, const struct channi_replacement *);

/* Gives the delta's rows codes, if the index has some and the rows are enough. Called by the one
   writer of the delta. Out of memory: the new rows have none until the next call. */
void channi_delta_encode(struct channi *, struct channi_cluster *);

#endif
