/* range_batch.h - range searches: queries and answers. A method delivers each answer
   as it finds it. */
#ifndef DRIFTLINE_RUN_REPLAY_RANGE_BATCH_H
#define DRIFTLINE_RUN_REPLAY_RANGE_BATCH_H

#include "src/run/replay/query/query_batch.h"

struct range_answer {
    uint64_t id;
    uint64_t query;
};

/* Receives the answers of a method. */
struct range_catch {
    struct range_answer *found;
    size_t n, capacity;
    size_t first_query, n_queries; /* of the call in progress */
    /* Not NULL: dead answers are dropped, since no filter is passed to the method. */
    const struct live_set *live;
    const struct idmap *known; /* ids in the index, dead ones included */
    enum metric metric;
    /* Of the first invalid answer. The method must return it immediately. */
    int code;
    struct error *err;
};

void range_catch_init(struct range_catch *, const struct replay_session *);
void range_catch_free(struct range_catch *);
/* Prepares and validates the operation's queries at positions (NULL: all). The caller calls
   query_batch_end() even after an error. */
int range_batch_begin(struct query_batch *, struct replay_session *, const struct op *,
                      const uint64_t *positions, const void *knobs);
/* Runs one query to find out whether the method accepts the filter. If not,
   dead answers are dropped. */
int range_choose_filter(struct query_batch *, struct range_catch *, struct step_record *);
/* Searches queries [first, first + n) of `of` and appends their answers. The clock is running. */
int range_batch_search(struct query_batch *, struct range_catch *, struct vectors of, size_t first,
                       size_t n);
/* Scores the caught answers, which are those of queries [first, first + n). recall may be NULL. */
int range_batch_score(const struct query_batch *, const struct range_catch *, enum pass,
                      size_t first, size_t n, double *recall);

#endif
