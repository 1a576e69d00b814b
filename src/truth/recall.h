/* recall.h - recall and precision of answers. Distances are computed from the data; distances that
 * a method reports are not used.
 *
 * RECALL_DEFINITION is part of every result. Wrong ids (deleted, unknown, repeated within a query,
 * or excluded by the filter) do not count as found; they are counted separately. */
#ifndef DRIFTLINE_TRUTH_RECALL_H
#define DRIFTLINE_TRUTH_RECALL_H

#include "src/core/mem.h"
#include "src/truth/oracle.h"
#include "src/workload/live_state.h"

#define RECALL_DEFINITION                                                                  \
    "recall@k: of each query's answers, at most k count; an answer counts if its id is "   \
    "live, passes the filter, is not repeated, and its exact distance, computed again "    \
    "from the data in double precision, is at most the true k-th distance, or exceeds it " \
    "by no more than rounding to single precision may (1e-6 of the distance for l2, of "   \
    "the sum of |q_i x_i| for ip, of 2 for cosine; 0 for integers and codes, except under" \
    " cosine); divided by min(k, rows there were to find), then averaged over queries. "   \
    "Deleted, unknown, repeated and filtered-out ids are counted in wrong_ids. Range: "    \
    "recall is the share of all true answers found, without those that were not found and" \
    " that rounding may put beyond the radius; precision the share of all answers that "   \
    "are right; over the queries together."

/* The recalls of which a score has the share of queries below. */
enum { RECALL_TAILS = 4 };
static const double recall_tails[RECALL_TAILS] = { .5, .8, .9, 1 };

struct score {
    struct mem_group memory; /* until score_free() */
    uint32_t *hits;          /* right answers of each of n queries */
    double *shares;          /* while it is made, as are row and sorted: the recall of each */
    void *row;               /* space for one row, and for the answers of one query */
    uint64_t *sorted;
    size_t n;
    size_t most; /* search: the most hits that a query can have, min(k, available) */
    /* search: recall and its 95 % bootstrap interval; NAN without queries */
    double mean, min, low, high;
    double below
        [RECALL_TAILS]; /* search: the share of queries with a recall below each of recall_tails */
    /* range: results are answers per query; recall is NAN if there are no true answers, precision
       if there are no answers */
    double recall, precision, results;
    double wrong_ids; /* number of wrong ids in all answers */
    /* search: queries with fewer right ids, near or not, than there were to find; else NAN */
    double short_answers;
};

/* Scoring fails with ERR_CORRUPT if an answer is nearer than the last true neighbour but is not one
   of them: the ground truth is then wrong. */

struct score_context {
    const struct live_state *now;
    const struct op *op;
    const struct truth *truth;
    const void *queries; /* all of the operation, contiguous, in the list's element */
};

/* ids: n x k answers, INDEX_NO_ID for no answer. positions: the n queries that they belong to;
   NULL: the first n in order. seed: for the bootstrap. */
int score_search(struct score *, const struct score_context *, const uint64_t *positions, size_t n,
                 const uint64_t *ids, uint64_t seed, struct error *);
/* The answers of query positions[i] (NULL: i) are ids[starts[i]] to ids[starts[i + 1] - 1]. */
int score_range(struct score *, const struct score_context *, const uint64_t *positions, size_t n,
                const uint64_t *starts, const uint64_t *ids, struct error *);
/* As score_search(), for answers given during the operation's writes; `now` is the state after all
   of them. It is not known which writes an answer has seen. So only required rows count: those that
   are live during the whole operation and among the k nearest of all rows that were live at any
   time. Queries without a required row do not count in the mean; hits counts required rows. Wrong
   ids are those that were never live, and repeated ones. */
int score_concurrent(struct score *, const struct score_context *, const uint64_t *positions,
                     size_t n, const uint64_t *ids, uint64_t seed, struct error *);
void score_free(struct score *);

/* True ids that come from elsewhere, such as a file: n x columns, ids below 0 are none. */
struct named_truth {
    const int64_t *ids;
    size_t columns;
};
/* The score by the first k of them, over n queries. */
struct named_score {
    double recall;         /* hits / wanted; NAN without true ids */
    size_t wanted, absent; /* true ids; those that are not live, which nothing can find */
    /* answers nearer than the last live true id, and not among them: the truth is of other rows or
       of another metric */
    size_t nearer;
};

/* As score_search(), but by true ids from elsewhere, k <= columns of each query, of which some may
   not be live. context->truth is not used. ids: n x k answers. */
int score_named(struct named_score *, const struct score_context *, const struct named_truth *,
                size_t n, size_t k, const uint64_t *ids, struct error *);

#endif
