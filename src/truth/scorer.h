/* scorer.h - scores a cell's answers in the harness's process, not in the method's.
 *
 * The replay sends the ids that a method returned, and receives only their mean recall. The scorer
 * stores the scores until their step arrives, so that recall and precision in a result never come
 * from the method's process. */
#ifndef DRIFTLINE_TRUTH_SCORER_H
#define DRIFTLINE_TRUTH_SCORER_H

#include <jansson.h>

#include "src/truth/recall.h"

/* Which answers of an operation these are. */
enum pass {
    PASS_SINGLE,     /* queries one at a time: the step's recall */
    PASS_THROUGHPUT, /* queries whose rate is reported: a batch, or concurrent readers */
    PASS_TUNING,     /* queries that only choose a point */
    PASS_ROUND,      /* queries of a round, which a cell has answered before */
    PASS_CLUSTERS,   /* no answers: the cluster of each answer of PASS_SINGLE, to be stored */
    PASSES
};

/* Of a cluster operation: PASS_SINGLE has a "query" for each cluster, with `starts`, whose answers
   are the cluster's rows, the medoid first; PASS_THROUGHPUT the cluster of each query as its
   "id". */
struct answers {
    enum pass pass;
    size_t op;
    bool concurrent;           /* given during the operation's writes */
    size_t n, n_ids;           /* queries; ids of all queries */
    const uint64_t *positions; /* n, of the operation's queries */
    const uint64_t *starts;    /* range: n + 1 offsets into ids; search: NULL, k each */
    const uint64_t *ids;
    const float *distances; /* one per id; NULL: not known */
};

struct scorer {
    const struct op_list *list;
    const struct oracle *oracle;
    uint64_t seed;
    bool exact; /* the method has the flag INDEX_EXACT */
    struct live_state now;
    size_t taken;                /* number of operations that `now` includes */
    bool lacks;                  /* a change was unsupported: the index is not as it should be */
    struct scored {              /* of the step in progress */
        json_t *json;            /* { recall, short_answers | range, wrong_ids }; NULL: nothing */
        struct query_hits *hits; /* one per query, sorted by position */
        size_t n, most;          /* most: the most hits that a query can have; range: 0 */
        double recall;
        bool concurrent; /* given during changes: right as of any moment of them */
    } scored[PASSES];
    uint64_t *cluster_of; /* by id: of the cluster operation in progress; or NULL */
};

struct query_hits { /* number of right answers of a query */
    uint64_t position;
    uint32_t n;
};

/* To make a scorer, set the first four fields and zero the others. */
void scorer_free(struct scorer *);

/* Scores answers. *recall: their mean recall, of PASS_TUNING the low end of its interval, NAN if
   undefined; may be NULL. Scores of PASS_TUNING and PASS_ROUND are not stored, PASS_CLUSTERS is not
   scored. ERR_INVARIANT: the
   recall of an exact method is too low, and no change before was unsupported. ERR_ARGUMENT: the
   answers do not fit the operation. */
int scorer_take(struct scorer *, const struct answers *, double *recall, struct error *);
/* Writes the exact distance of each answer of the operation that scorer_take() took last; NAN for an
   id that is not live. out has space for n_ids distances. Search operations only. */
int scorer_distances(const struct scorer *, const struct answers *, float *out, struct error *);
/* Adds the scores since the last step to this step: recall or range, wrong_ids, short_answers,
   throughput_recall, throughput_wrong_ids, queries.hits; and a note if the two passes answer the
   same queries differently. Reads its index and status: an exact method cannot answer for a change
   that was unsupported. */
void scorer_finish_step(struct scorer *, json_t *step);

#endif
