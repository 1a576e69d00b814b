/* range_catch.h - receives the answers of a range search, which a method delivers one by one as it finds
   them. */
#ifndef DRIFTLINE_RUN_REPLAY_RANGE_CATCH_H
#define DRIFTLINE_RUN_REPLAY_RANGE_CATCH_H

#include "src/truth/scorer.h"

struct query_batch;

/* Zero-initialised: empty. */
struct range_catch {
    struct range_answer {
        uint64_t id, query;
    } * found;
    size_t n, capacity;
    const struct query_batch *batch; /* of the call in progress, as are the following two */
    size_t first_query, n_queries;
    int code; /* of the first invalid answer. The method must return it immediately. */
};

void range_catch_free(struct range_catch *);
/* Makes space for n answers, so that it does not grow while the clock runs. */
int range_catch_reserve(struct range_catch *, size_t n, struct error *);
/* Begins a call with queries [first, first + n) of the batch, whose answers are appended. */
void range_catch_begin(struct range_catch *, const struct query_batch *, size_t first, size_t n);
/* range_result.found (index.h), of a struct range_catch. */
int range_catch_take(void *to, size_t query, uint64_t id, float distance);
/* Scores the caught answers, which are those of the batch's queries [first, first + n). */
int range_catch_score(const struct range_catch *, const struct query_batch *, enum pass,
                      size_t first, size_t n);

#endif
