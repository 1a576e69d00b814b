/* upkeep.h - what keeps the lists in shape while vectors come and go: policies, and what they are
 * made of.
 *
 * A policy is asked after insertions, and by maintain(), for one *step* after the other. A step is
 * small, leaves every invariant of divf.h standing, and says what it cost in distance computations
 * (a pass over a vector to sum or encode it counts as one). Inserts earn credit, upkeep_budget
 * distances a copy, and steps are taken while there is some: a step may overdraw it, so the next
 * waits for as many inserts as that takes. So no insert pays for more than a step beyond its credit.
 *
 * Sizes are against the *fair* length: stored copies over the lists training would make now
 * (`clusters`, or 4 sqrt(n)). Against the mean, each split would make the next list overfull.
 *
 * Reassignment is LIRE's (SPFresh, section 3.3), in bulk. After a list with centroid o is split, a
 * vector is no longer in its nearest list only if, C1, it is in a half whose centroid is farther
 * from it than o, or, C2, a new centroid is nearer to it than its own. Lists in reach of a split
 * are *pending*: each is looked through once for all the splits that happened meanwhile, in one
 * matrix product of its vectors with its own centroid, its old one (C1) and those that moved since
 * it was last looked through (C2). Who is nearest to another than its own is a candidate and gets
 * its exact nearest lists among all. Where refinement's sample of a list has no candidate, few of it
 * have to move, and insertions leave the list to maintain(). Where a vector was in its nearest list, C2's other half
 * (nearer than o) follows from this one.
 *
 *   1 state   2 policies   3 lists that come, go and move   4 steps
 */
#ifndef DRIFTLINE_DIVF_UPKEEP_H
#define DRIFTLINE_DIVF_UPKEEP_H

#include "algorithms/divf/divf.h"

#define UPKEEP_NONE SIZE_MAX

/* 1. State. Not saved: save() first does all that is to do. */

struct upkeep_list {
    uint64_t moved;   /* tick of its centroid's last move */
    uint64_t settled; /* its vectors were compared with all centroids in reach moved up to then */
    float *was;       /* its centroid at `settled`, if it moved since. NULL: it did not, or memory
                         ran out: then every vector of it is a candidate */
    uint32_t refused; /* a split was refused at so many live copies; not tried again before a
                         quarter more */
    bool pending;     /* to be looked through */
    bool quiet;       /* pending, but of a sample of it nobody was to move: left to maintain() */
    bool fresh;       /* its centroid is of a split and not yet refined */
    bool kept;        /* since the last look, dissolving it was found not to pay */
};

struct upkeep {
    struct upkeep_list *list; /* as lists.list */
    size_t n, capacity;
    uint64_t trainings; /* the codebook all this is about */
    uint64_t tick;      /* counts moves of centroids */
    size_t n_pending, n_quiet, n_fresh;
    bool thorough; /* maintain() asks: quiet lists are looked through too */
    size_t at;     /* where a walk over the lists goes on */
    bool cycling;  /* dedrift: in a cycle, in which so many lists are to be traded */
    size_t trades;
    bool splits_due, merges_due; /* there may be lists to split, to dissolve */
    uint64_t looked;             /* tick at which that was set: younger lists are not dissolved */
    /* Scratch. */
    struct nearest *nearest, *nearest_near; /* among all centroids, among near[] */
    float *rows;                            /* NEAREST_ROWS x dim: a block of vectors */
    uint32_t *answer;                       /* NEAREST_ROWS x (soft_k + 1) */
    uint32_t *slots, *to;
    size_t slots_capacity;
    float *near, *near_norm; /* centroids in reach of a list */
    uint32_t *near_list;
    size_t near_capacity, n_near;
    uint64_t near_version;
    bool near_was;    /* near[1] is the list's old centroid */
    float *distances; /* one a list */
    uint32_t *ranked;
    size_t distances_capacity;
};

/* What a step did. */
struct upkeep_step {
    uint64_t spent; /* distances */
    bool idle;      /* nothing: there is nothing to do */
};

/* 2. Policies */

struct upkeep_policy {
    /* Once a batch of insertions; in place of steps. NULL: steps. */
    int (*after_insert)(struct divf *);
    /* The next piece. ERR_NO_MEMORY: nothing of it was done. */
    int (*step)(struct divf *, struct upkeep_step *);
    /* There may be something to do: called every so many changes, and by maintain(). */
    void (*look)(struct divf *);
};

extern const struct upkeep_policy upkeep_copenhagen, upkeep_lire, upkeep_dedrift, upkeep_cost_model;

/* maintain.c: what the operations call. */
int divf_upkeep_inserted(struct divf *, size_t n);
void divf_upkeep_removed(struct divf *, size_t n);
void divf_upkeep_free(struct divf *);
uint64_t divf_upkeep_bytes(const struct divf *);
int divf_upkeep_check(const struct divf *);

/* 3. Lists that come, go and move (upkeep.c). divf_upkeep_ready() comes before all else. */

/* State for the lists there are, empty after a training. ERR_NO_MEMORY. */
int divf_upkeep_ready(struct divf *);
double upkeep_fair(const struct divf *); /* copies of a list, if all were equally long; see above */
/* A new stream of random numbers. */
struct rng upkeep_random(struct divf *);
/* Room for n in slots and to. */
int upkeep_room(struct divf *, size_t n);
/* Vectors of n slots, at most NEAREST_ROWS, to u->rows. */
void upkeep_gather(struct divf *, const uint32_t *slots, size_t n);
/* Distances of a vector from all centroids to u->distances; the m nearest to u->ranked, in order,
   without `except` (UPKEEP_NONE: all). Returns how many. u->distances is used up. */
size_t upkeep_near(struct divf *, const float *vector, size_t m, size_t except);
/* The same as divf_list_add() and divf_list_remove(), with state. */
int upkeep_list_add(struct divf *, const float *centroid);
void upkeep_list_remove(struct divf *, size_t list);
/* Sets a centroid, remembering where it was. Returns the distances spent. */
uint64_t upkeep_move_centroid(struct divf *, size_t list, const float *centroid);
/* As if no centroid had moved: nothing is fresh or pending. */
void upkeep_forget_moves(struct divf *);
/* A policy's look(): there may be lists to split and to dissolve. */
void upkeep_look(struct divf *);
/* Moves copies of n vectors out of `from`, that of slots[i] to to[i], or nowhere where that is
   UINT32_MAX and another copy is left. Both arrays are reordered. ERR_NO_MEMORY, nothing moved. */
int upkeep_refile(struct divf *, size_t from, uint32_t *slots, uint32_t *to, size_t n);

/* 4. Steps */

/* divide.c. A list in two halves, worked out and not yet done. */
struct division {
    float *centroids; /* 2 x dim: the means of the halves */
    double *sums;
    uint32_t *slots; /* of the list's live vectors */
    uint8_t *side;
    size_t n, size[2];
};

/* Balanced 2-means of a sample, then every vector to the nearer half. *divided = false: there are
   no two halves, or one would be starved. ERR_NO_MEMORY. */
int upkeep_divide(struct divf *, size_t list, struct division *, bool *divided, uint64_t *spent);
/* Does it: the second half becomes the last list; lists in reach become pending. ERR_NO_MEMORY. */
int upkeep_divide_do(struct divf *, size_t list, const struct division *, uint64_t *spent);
void upkeep_divide_end(struct divf *, struct division *);
/* All three, and the refusal noted. */
int upkeep_split(struct divf *, size_t list, uint64_t *spent);

/* dissolve.c. Every vector of a list to the nearest list that lacks it; then the list goes. */
/* Works it out: n slots in u->slots, their lists in u->to. ERR_NO_MEMORY. */
int upkeep_dissolve_plan(struct divf *, size_t list, size_t *n, uint64_t *spent);
int upkeep_dissolve_do(struct divf *, size_t list, size_t n);
int upkeep_dissolve(struct divf *, size_t list, uint64_t *spent);

/* reassign.c */
/* Lists in reach of a vector, reassign_lists of them, become pending. */
void upkeep_mark_reach(struct divf *, const float *centroid, uint64_t *spent);
void upkeep_mark(struct divf *, size_t list);
/* Looks through the next pending list. *did = false: there is none, or only quiet ones. */
int upkeep_reassign(struct divf *, uint64_t *spent, bool *did);
/* Fresh centroids become the means of what a sample of the pending lists says will be filed under
   them. Clears `fresh`. ERR_NO_MEMORY. */
int upkeep_refine(struct divf *, uint64_t *spent);

/* lire.c: what other policies share with it. */
bool upkeep_may_split(const struct divf *, size_t list);
bool upkeep_may_dissolve(const struct divf *);
/* What follows splits: refines, or looks through a list. *did = false: nothing is pending. */
int upkeep_settle(struct divf *, struct upkeep_step *, bool *did);

#endif
