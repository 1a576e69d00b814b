/* replace.h - replaces the taken clusters by new ones. */
#ifndef DRIFTLINE_CHANNI_REWRITE_REPLACE_H
#define DRIFTLINE_CHANNI_REWRITE_REPLACE_H

#include "algorithms/channi/rewrite/members.h"
#include "algorithms/channi/versions/cluster.h"

#define SUCCESSOR_NONE UINT32_MAX

/* A cluster that replaces one or several of those taken. */
struct channi_part {
    const uint32_t *rows; /* n member indices, in the file's row order */
    size_t n;
    uint32_t root; /* a member; live if the part has live rows */
    enum channi_cluster_kind kind;
    uint32_t successor_of; /* index of the taken cluster whose cid and file name it keeps;
                              UINT32_MAX: it gets a new cid and is named after its root */
    uint32_t routes_of;    /* bits by index: gets the routes of these clusters */
    bool new_route;        /* the root's vector becomes a route to it */
    bool reroutes; /* that route is made if the root needs one, and routes beyond alias_max are
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
    uint32_t *cids; /* NULL, or set to the n_parts cids */
};
int channi_replace(struct channi *, struct channi_taken *, const struct channi_members *,
                   const struct channi_replacement *);

/* The route nearest to `row`; *distance is squared. n >= 1. */
uint32_t channi_nearest_route(const struct channi *, const uint32_t *routes, size_t n,
                              const void *row, float *distance);

/* Gives the delta's rows codes, if the index has some and the rows are enough. Called by the one writer of
   the delta. Out of memory: the new rows have none until the next call. */
void channi_delta_encode(struct channi *, struct channi_cluster *);

/* Returns memory freed by a build and its jobs to the system, if enough files were written since
   the last time. */
void channi_trim(struct channi *);

#endif
