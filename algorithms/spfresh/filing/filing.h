/* filing.h - reads, writes, adds and removes postings and heads; chooses heads for a vector.
 *
 *   1 postings   2 heads   3 scratch   4 choosing heads   5 filing a vector
 */
#ifndef DRIFTLINE_SPFRESH_FILING_FILING_H
#define DRIFTLINE_SPFRESH_FILING_FILING_H

#include "algorithms/common/rows/key_set.h"
#include "algorithms/spfresh/codec/codec.h"
#include "algorithms/spfresh/spfresh.h"

/* 1. Postings */

void spfresh_lock_posting(struct spfresh *, uint32_t head);
void spfresh_unlock_posting(struct spfresh *, uint32_t head);
/* Both, in ascending order of their stripes; one stripe once. */
void spfresh_lock_two(struct spfresh *, uint32_t head, uint32_t other);
void spfresh_unlock_two(struct spfresh *, uint32_t head, uint32_t other);

/* Sets s->limit, hard_limit and merge_limit. Called when the codec knows the size of an entry. */
void spfresh_set_limits(struct spfresh *);

/* The functions below are called with the posting's lock held. */
/* Loads the posting; with `kept`, without stale entries and repeated ones. */
int spfresh_load(struct spfresh *, uint32_t head, bool kept, struct spfresh_members *);
/* Replaces the posting's content by these members; sets its size. */
int spfresh_put(struct spfresh *, uint32_t head, const struct spfresh_members *);
/* Appends the members; sets the size. The head is alive. */
int spfresh_append(struct spfresh *, uint32_t head, const struct spfresh_members *);
/* Whether the posting has an entry of this slot and version. */
int spfresh_holds(struct spfresh *, uint32_t head, uint32_t slot, unsigned version, bool *held);

/* 2. Heads */

/* Adds a node to the graph, writes its posting, and then sets OPEN, so that no thread appends
   before `members` are written. Until then searches may find the posting empty. centre: an element
   row. Needs no lock. */
int spfresh_add_head(struct spfresh *, const void *centre, const struct spfresh_members *,
                     uint32_t *head);
/* Clears OPEN and removes the head from the graph. Its posting is dropped once no search can be
   reading it. The posting's lock is held. On error nothing has changed. */
int spfresh_remove_head(struct spfresh *, uint32_t head);
/* Options of the graph over the heads, from the index's options. */
struct graph_options spfresh_graph_options(const struct spfresh *);

/* 3. Scratch memory of one thread */

struct spfresh_scratch {
    struct scratch_item item;
    struct graph_scratch *graph;
    struct posting_reader *reader;
    struct spfresh_codec_scratch *codec;
    uint32_t *heads; /* candidates, head_capacity */
    float *distances;
    size_t head_capacity, n_heads;
    struct key_set opened; /* heads whose postings a query has read */
};
extern const struct scratch_kind spfresh_scratch_kind; /* of the pool spfresh->scratch */
int spfresh_scratch_take(struct spfresh *, struct spfresh_scratch **); /* ERR_NO_MEMORY */
bool spfresh_scratch_fit(struct spfresh *, struct spfresh_scratch *, size_t heads);

/* 4. Choosing heads */

struct spfresh_choice {
    uint32_t heads[SPFRESH_REPLICAS_MAX];
    float distances[SPFRESH_REPLICAS_MAX];
    /* Generations of the heads: a number may be given to another head in the meantime. */
    uint32_t generation[SPFRESH_REPLICAS_MAX];
    size_t n;
};
/* Chooses the heads that a vector x is filed under. Of the assign_heads nearest, in ascending
 * order, a head c_i is chosen unless a chosen c_j has rng_factor d(c_i, c_j) <= d(c_i, x), or d(x,
 * c_i) > (1 + closure_eps)^2 d(x, c_1) (SPANN's closure; d is the squared distance). Enters the
 * epoch itself. *checked: number of distances computed. */
int spfresh_choose(struct spfresh *, struct spfresh_scratch *, const void *row,
                   struct spfresh_choice *, double *checked);
/* Finds the k nearest heads: sets x->heads, x->distances and x->n_heads. Called inside the epoch.
   ef, max_check: see graph.h. */
int spfresh_nearest(struct spfresh *, struct spfresh_scratch *x, const void *row, size_t k,
                    size_t ef, size_t max_check, double *checked);

/* 5. Filing a vector, for insert, recovery and maintenance. The caller holds the
   checkpoint lock shared. */

/* Appends the vector to the posting of every chosen head. A head that died in the meantime is
   skipped and counted in head_misses. *done: number of heads appended to. Queues splits. */
int spfresh_file(struct spfresh *, const struct spfresh_choice *, uint32_t slot, unsigned version,
                 const void *row, size_t *done);
/* For a vector that was filed under some of the chosen heads because others died, once `version`
   is its version: queues its reassignment. */
void spfresh_file_again(struct spfresh *, const struct spfresh_choice *, uint32_t slot,
                        unsigned version);

#endif
