/* members.h - maintenance of the lists while vectors are inserted and removed: policies and their
 * building blocks.
 *
 * A policy is called after insertions, and by maintain(), for one *step* after another. A step is
 * small, keeps every invariant of divf.h, and reports its cost in distance computations (a pass
 * over a vector to sum or encode it counts as one). Each inserted copy earns a credit of
 * maintenance_budget distances, and steps are taken while there is credit. A step may overdraw it;
 * the next step then waits until insertions have repaid that. So no insertion pays for more than
 * one step beyond its credit.
 *
 * Sizes are relative to the *fair* length: stored copies / lists that training would make now
 * (`clusters`, or 4 sqrt(n)). Relative to the mean, each split would make the next list overfull.
 *
 * Reassignment is LIRE's (SPFresh, section 3.3), in bulk. After a list with centroid o is split, a
 * vector can have left its nearest list only if (C1) it is in a half whose centroid is farther from
 * it than o, or (C2) a new centroid is nearer to it than its own. Lists in reach of a split are
 * *pending*. Each is reassigned once for all splits since the last time, with one matrix product of
 * its vectors with its own centroid, its old one (C1) and the centroids that moved since then (C2).
 * A vector that is nearer to another of these than to its own is a candidate, and its exact nearest
 * lists among all are computed. If refinement's sample of a list has no candidate, few of its
 * vectors must move, and insertions leave the list to maintain(). If a vector was in its nearest
 * list, the other half of SPFresh's C2 (nearer than o) follows from the one used here.
 *
 *   1 state   2 policies   3 adding, removing and moving lists   4 steps */
#ifndef DRIFTLINE_DIVF_MAINTENANCE_MEMBERS_H
#define DRIFTLINE_DIVF_MAINTENANCE_MEMBERS_H

#include "algorithms/divf/divf.h"
#include "src/core/mem.h"

#define DIVF_NO_LIST SIZE_MAX

/* 1. State. Not saved: save() first finishes all pending work. */

struct divf_list_state {
    uint64_t moved;    /* tick of its centroid's last move */
    uint64_t compared; /* tick up to which its vectors were compared with all moved centroids
                         in reach */
    float *was;        /* its centroid at `compared`, if it moved since. NULL: it did not, or memory
                         ran out: then all of its vectors are candidates */
    uint32_t refused;  /* number of live copies at which a split was refused; retried at a
                         quarter more */
    bool pending;      /* to be reassigned */
    bool quiet;        /* pending, but no vector of its sample would move: left to maintain() */
    bool fresh;        /* its centroid comes from a split and is not refined yet */
    bool kept;         /* dissolving it was found not to pay since find_due() last ran */
};

struct divf_maintainer {
    struct divf_list_state *list; /* as lists.list */
    size_t n, capacity;
    uint64_t trainings; /* trainings of the index when this state was made */
    uint64_t tick;      /* counts moves of centroids */
    size_t n_pending, n_quiet, n_fresh;
    bool thorough;     /* set by maintain(): quiet lists are reassigned too */
    size_t at;         /* where a walk over the lists continues */
    bool cycling;      /* dedrift, ada-ivf: in a cycle */
    size_t trades;     /* dedrift: lists still to trade in it */
    double mean_reads; /* ada-ivf: queries that read a list, mean of the lists at its begin */
    bool splits_due, merges_due; /* set by find_due(): there may be lists to split, to dissolve */
    uint64_t checked_at;         /* tick at which those were set: younger lists are not dissolved */
    /* Scratch. */
    struct mem_group memory;                /* of rows to answer, and of near to near_list */
    struct nearest *nearest, *nearest_near; /* among all centroids, among near[] */
    float *rows;                            /* NEAREST_ROWS x dim: a block of vectors */
    float *mean;                            /* of a list: dim, and the sums that it is made of */
    double *sums;
    uint32_t *answer;    /* NEAREST_ROWS x answer_lists */
    size_t answer_lists; /* soft_k + 1; 0: not allocated */
    uint32_t *slots, *to;
    size_t slots_capacity;
    float *near, *near_norm; /* centroids in reach of a list: reassign_lists + 2 */
    uint32_t *near_list;
    size_t near_capacity, n_near;
    uint64_t near_version;
    bool near_was;    /* near[1] is the list's old centroid */
    float *distances; /* one per list */
    uint32_t *ranked;
    size_t distances_capacity;
};

/* Result of a step. */
struct divf_step {
    uint64_t spent; /* distances */
    bool idle;      /* there is nothing to do */
};

/* 2. Policies */

struct divf_policy {
    /* Runs once after a batch of insertions, instead of steps. NULL: steps. */
    int (*after_insert)(struct divf *);
    /* Does the next piece of work. ERR_NO_MEMORY: nothing of it was done. */
    int (*step)(struct divf *, struct divf_step *);
    /* Finds out whether there may be work: called after a number of changes, and by maintain().
       NULL: not needed. */
    void (*find_due)(struct divf *);
    bool keeps_empty; /* maintain() removes no empty lists: the policy has its own use for them */
};

extern const struct divf_policy divf_copenhagen, divf_lire, divf_dedrift, divf_cost_model,
    divf_ada_ivf;

/* maintain.c, called by the operations. */
int divf_maintenance_inserted(struct divf *, size_t n);
int divf_maintenance_run(struct divf *, uint64_t budget, bool *more); /* of w:maintain */
void divf_maintenance_removed(struct divf *, size_t n);
void divf_maintenance_free(struct divf *);
uint64_t divf_maintenance_bytes(const struct divf *);
int divf_maintenance_check(const struct divf *);

/* 3. Adding, removing and moving lists (members.c). divf_maintenance_ready() must come first. */

/* Allocates state for the current lists, cleared after a training. ERR_NO_MEMORY. */
int divf_maintenance_ready(struct divf *);
/* Copies per list if all lists were equally long; see above. */
double divf_fair_length(const struct divf *);
/* A new stream of random numbers. */
struct rng divf_maintenance_rng(struct divf *);
/* Reserves space for n in slots and to. ERR_NO_MEMORY. */
int divf_maintenance_reserve(struct divf *, size_t n);
/* Copies the vectors of n slots. */
void divf_gather_rows(const struct divf *, const uint32_t *slots, size_t n, float *rows);
/* The same of m random ones of the n, m <= NEAREST_ROWS. */
void divf_gather_sample(const struct divf *, struct rng *, const uint32_t *slots, size_t n,
                        size_t m, float *rows);
/* Ranks the m centroids nearest to a vector in u->ranked, in order, without list `except`
   (DIVF_NO_LIST: none); returns their number. Overwrites u->distances. */
size_t divf_near_centroids(struct divf *, const float *vector, size_t m, size_t except);
/* divf_list_add() and divf_list_remove(), with maintenance state. */
int divf_maintenance_list_add(struct divf *, const float *centroid);
void divf_maintenance_list_remove(struct divf *, size_t list);
/* Sets a centroid and keeps the old one. Returns the distances computed. */
uint64_t divf_move_centroid(struct divf *, size_t list, const float *centroid);
/* Forgets all moves of centroids: nothing is fresh or pending. */
void divf_forget_moves(struct divf *);
/* Computes the mean of a list's live vectors, of which there is one at least, in u->mean. Adds their
   number to *spent. ERR_NO_MEMORY. */
int divf_list_mean(struct divf *, size_t list, uint64_t *spent);
/* Vectors inserted and removed since the last cycle began; begins one at the first list. */
uint64_t divf_cycle_changes(const struct divf *);
void divf_cycle_begin(struct divf *);
/* A policy's find_due(): there may be lists to split and to dissolve. */
void divf_mark_due(struct divf *);
/* Moves the copies of n vectors out of `from`: that of slots[i] to to[i], or drops it if to[i] is
   UINT32_MAX and another copy is left. Reorders both arrays. ERR_NO_MEMORY, nothing moved. */
int divf_refile(struct divf *, size_t from, uint32_t *slots, uint32_t *to, size_t n);

/* 4. Steps */

/* divide.c. A list divided into two halves, computed and not yet applied. */
struct divf_division {
    struct mem_group memory;
    float *centroids; /* 2 x dim: the means of the halves */
    double *sums;
    float *rows;     /* NEAREST_ROWS x dim: a block of its vectors */
    uint32_t *slots; /* slots of the list's live vectors */
    uint32_t *was;   /* places that the second half leaves */
    uint8_t *side;   /* 2: in neither */
    size_t n, size[2];
};

/* Allocates a division, and lists the vectors. ERR_NO_MEMORY. */
int divf_division_open(struct divf *, size_t list, struct divf_division *);
void divf_division_close(struct divf_division *);
/* Assigns each vector to the half with the nearer centroid, ties to the first, and sums the halves.
   Returns how many vectors changed sides. */
size_t divf_division_assign(const struct divf *, struct divf_division *);
/* Sets the centroids of halves that are not empty to their means. */
void divf_division_means(struct divf_division *, size_t dim);
/* Moves the second half to the last list, which has space for it. Cannot fail. */
void divf_division_move(struct divf *, size_t list, struct divf_division *);

/* Computes balanced 2-means of a sample, then assigns every vector to the nearer half. *divided =
   false: there are no two halves, or one would be starved. Closed by the caller. ERR_NO_MEMORY. */
int divf_divide(struct divf *, size_t list, struct divf_division *, bool *divided, uint64_t *spent);
/* Applies it: the second half becomes the last list; lists in reach become
   pending. ERR_NO_MEMORY. */
int divf_divide_do(struct divf *, size_t list, struct divf_division *, uint64_t *spent);
/* Divides, applies, and records a refusal. */
int divf_split_list(struct divf *, size_t list, uint64_t *spent);

/* Dissolving: moves every vector of a list to the nearest list without a copy of it, then removes
   the list. */
/* Computes it: n slots in u->slots, their lists in u->to. ERR_NO_MEMORY. */
int divf_dissolve_plan(struct divf *, size_t list, size_t *n, uint64_t *spent);
int divf_dissolve_do(struct divf *, size_t list,
                     size_t n); /* n 0: also without maintenance state */
int divf_dissolve(struct divf *, size_t list, uint64_t *spent);

/* reassign.c */
/* Marks the reassign_lists lists nearest to a centroid as pending. */
void divf_mark_reach(struct divf *, const float *centroid, uint64_t *spent);
void divf_mark_pending(struct divf *, size_t list);
/* Reassigns the next pending list. *did = false: there is none, or only quiet ones. */
int divf_reassign(struct divf *, uint64_t *spent, bool *did);
/* Moves fresh centroids to the estimated means of their future vectors, from a sample of the
   pending lists. Clears `fresh`. ERR_NO_MEMORY. */
int divf_refine(struct divf *, uint64_t *spent);

/* lire.c, shared with other policies. */
enum { DIVF_FRESH_MOST = 32 }; /* lists from splits that wait for their refinement, at most */
bool divf_may_split(const struct divf *, size_t list);
bool divf_may_dissolve(const struct divf *);
/* The work after splits: refines, or reassigns a list. *did = false: nothing is pending. */
int divf_after_splits(struct divf *, struct divf_step *, bool *did);

/* cost_model.c. Old queries lose weight: all counts are halved now and then. */
void divf_forget_queries(struct divf *);

#endif
