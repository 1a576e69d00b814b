/* scorer.h - scores a cell's answers outside the process that gave them.
 *
 * The replay hands over what a method answered, ids only, and gets back what it must know. The scores wait
 * here for the step that they belong to, so that no figure of correctness is the word of a method's process.
 */
#ifndef DRIFTLINE_SCORER_H
#define DRIFTLINE_SCORER_H

#include "recall.h"

/* Which answers of an operation these are. */
enum pass {
    PASS_SINGLE,     /* of queries asked one at a time: the step's recall */
    PASS_THROUGHPUT, /* of the queries whose rate is told: a batch, or readers beside writers */
    PASS_TUNING,     /* of queries that only choose a point */
    PASSES
};

struct answers {
    enum pass pass;
    size_t op;
    bool concurrent;           /* given beside the operation's writes */
    size_t n, n_ids;           /* queries; ids in all */
    const uint64_t *positions; /* n, of the operation's queries */
    const uint64_t *starts;    /* range: n + 1 offsets into ids; search: NULL, k each */
    const uint64_t *ids;
};

struct scorer {
    const struct op_list *list;
    const struct oracle *oracle;
    uint64_t seed;
    bool exact; /* the method says INDEX_EXACT */
    struct holding now;
    size_t taken; /* operations that `now` is after */
    bool begun;
    struct scored {       /* of the step in progress */
        json_t *json;     /* { recall | range, wrong_ids }; NULL: nothing */
        struct hit *hits; /* a query each, by position */
        size_t n, most;   /* most: hits a query could have; range: 0 */
    } scored[PASSES];
};

struct hit { /* right answers of a query */
    uint64_t position;
    uint32_t n;
};

/* Zero-initialised but for the first four fields is ready. */
void scorer_free(struct scorer *);

/* Scores them; *recall (may be NULL): the mean, NAN where there is none. ERR_INVARIANT: an exact method's answers
   are not; ERR_ARGUMENT: these cannot be answers of that operation. The scores of PASS_TUNING are not kept. */
int scorer_take(struct scorer *, const struct answers *, double *recall, struct error *);
/* Puts what was scored since the last step into this one: recall or range, wrong_ids, throughput_recall,
   throughput_wrong_ids, queries.hits; and a note where the two passes answer the same queries differently. */
void scorer_finish_step(struct scorer *, json_t *step);

#endif
