/* members.h - clusters taken for upkeep, their rows, and the clusters these become: taken, gathered,
 * replaced, given back (members.c, replace.c).
 */
#ifndef DRIFTLINE_CHANNI_MEMBERS_H
#define DRIFTLINE_CHANNI_MEMBERS_H

#include "algorithms/channi/channi.h"

/* Rows of clusters as they were at one moment, one thread's to work on. Rows are pointed to where they are:
   files are held, deltas stay while the layout they were read in is held. */
struct members {
    const unsigned char **rows;
    uint64_t *ids, *born, *dead; /* dead 0: alive */
    uint32_t *attributes;
    uint32_t *from; /* index into clusters[] of what it was gathered from */
    uint32_t *row;  /* its number there */
    size_t n, n_live, capacity;
    struct whole *wholes;
    size_t n_wholes;
    struct mem *mem;
};

/* rows.c: of env's element. */
void channi_to_float(const struct channi *, const void *row, float *out);
float channi_distance(const struct channi *, const void *a, const void *b); /* squared */

/* Upkeep of some clusters: their seats are taken, by ascending cid. */
enum { WORK_MOST = 16 }; /* clusters */

struct work_on {
    struct cluster *clusters[WORK_MOST]; /* referred to */
    uint32_t seen[WORK_MOST];            /* delta rows that were gathered */
    size_t n;
    struct view *view; /* referred to: what it works on */
};

/* ERR_BUSY-like: *taken false where a seat is not to be had, or a cid is no more. */
int channi_take(struct channi *, const uint32_t *cids, size_t n, struct work_on *, bool *taken);
void channi_give(struct channi *, struct work_on *);
/* Live rows, and dead ones that a version from the horizon on may still see. */
int channi_gather(struct channi *, struct work_on *, struct members *);
void channi_members_init(struct members *, struct channi *);
void channi_members_free(struct members *, struct channi *);

/* What becomes of them. */
struct part {
    const uint32_t *rows; /* members, n of them; the root first is no rule */
    size_t n;
    uint32_t root; /* a member, live where any is */
    enum cluster_kind kind;
    uint32_t heir_of;   /* index into work_on: it keeps that one's cid, file name and routes;
                             UINT32_MAX: a new cid, named after its root */
    uint32_t routes_of; /* bits: it also gets the routes of these (indices into work_on) */
    bool new_route;     /* the root's vector becomes a route to it */
    bool
        stays; /* where heir_of is: rows are filed by the site it has, whatever root stands for it now */
    bool go_on; /* its graph goes on from that of heir_of's file, whose rows come first, in order */
};
/* Writes the parts' files (on up to `threads` of the pool), then, under `write`, carries over what was
   appended and what died meanwhile, publishes the new layout, and sets places. All members are in one
   part each. ERR_IO, ERR_NO_MEMORY: nothing has changed, no file is left. `dropped`: routes that lead
   nowhere any more. */
struct replacement {
    const struct part *parts;
    size_t n_parts;
    const uint32_t *dropped;
    size_t n_dropped;
    size_t threads;
    uint32_t *cids; /* NULL, or room for n_parts: where they came to be */
};
int channi_replace(struct channi *, struct work_on *, const struct members *,
                   const struct replacement *);

#endif
