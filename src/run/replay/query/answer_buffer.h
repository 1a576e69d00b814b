/* answer_buffer.h - receives a method's answers, and checks that they are valid.
 *
 *   1 answers of range searches   2 memory for all, with guards   3 validity */
#ifndef DRIFTLINE_RUN_REPLAY_ANSWER_BUFFER_H
#define DRIFTLINE_RUN_REPLAY_ANSWER_BUFFER_H

#include "src/run/replay/query/query_batch.h"

/* 1. A method delivers the answers of a range search one by one, as it finds them. */

/* Zero-initialised: empty. */
struct range_catch {
    struct range_answer {
        uint64_t id, query;
    } * found;
    size_t n, capacity;
    /* Of the call in progress, whose answers are appended: queries [first_query, first_query + n_queries)
       of the batch. */
    const struct query_batch *batch;
    size_t first_query, n_queries;
    int code; /* of the first invalid answer. The method must return it immediately. */
};

/* Makes space for n answers, so that it does not grow while the clock runs. */
int range_catch_reserve(struct range_catch *, size_t n, struct error *);
/* range_result.found (index.h), of a struct range_catch. */
int range_catch_take(void *to, size_t query, uint64_t id, float distance);

/* 2. Memory */

/* Receives k_fetched answers per query from the method and keeps k of them. The guard words beyond
   both ends must not change, which is checked. */
struct answer_buffer {
    size_t n;         /* queries */
    uint64_t *ids;    /* n x k_fetched */
    float *distances; /* n x k_fetched */
    uint64_t *kept;   /* n x k; equals ids if all are kept */
    float *kept_distances;
    struct buffer bytes;
    struct range_catch caught; /* of a range search, whose k is 0 */
};

/* Allocates for n queries of the batch. A zero-initialised buffer is empty and can be freed. */
int answer_buffer_make(struct answer_buffer *, const struct query_batch *, size_t n);
/* The same for answers to be kept alone, without guards: k for each query, in `kept`. */
int answer_buffer_make_kept(struct answer_buffer *, const struct query_batch *, size_t n);
void answer_buffer_free(struct answer_buffer *);
/* Marks every entry as unanswered; what was caught stays. */
void answer_buffer_clear(struct answer_buffer *, const struct query_batch *);

/* Scores the answers to queries [first, first + n), k each. recall may be NULL. */
int query_score(const struct query_batch *, enum pass, size_t first, const uint64_t *ids, size_t n,
                double *recall);
/* Scores the kept or, of a range search, the caught answers: those of the batch's queries
   [first, first + n). */
int answer_buffer_score(const struct answer_buffer *, const struct query_batch *, enum pass,
                        size_t first, size_t n);

/* 3. Validity */

/* ERR_INVARIANT: the method wrote beyond the ends, or the answers are invalid by index.h. The
   buffer's query i is the batch's query first + order[i]; order may be NULL: first + i. */
int answer_buffer_check(const struct answer_buffer *, const struct query_batch *, size_t first,
                        const uint64_t *order);
/* The same for n answers to one query. position: its number in the operation. */
int answer_buffer_check_query(const struct query_batch *, const uint64_t *ids,
                              const float *distances, size_t n, size_t position);
/* Computes the distances of the answers to the first queries of a batch, k each, in double precision.
   Adds a note if the reported ones differ by DISTANCES_DIFFER of the exact ones or more, in total.
   ERR_INVARIANT: the method is exact, and they differ by more than rounding explains. */
#define DISTANCES_DIFFER .3
int answer_distances_check(const struct query_batch *, const uint64_t *ids, const float *distances,
                           struct step_record *);

#endif
