/* answer_buffer.h - the memory for a method's answers, with guards on both sides, and
   the validity of answers. */
#ifndef DRIFTLINE_RUN_REPLAY_ANSWER_BUFFER_H
#define DRIFTLINE_RUN_REPLAY_ANSWER_BUFFER_H

#include "src/run/replay/query/query_batch.h"
#include "src/run/replay/query/range_catch.h"

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
void answer_buffer_free(struct answer_buffer *);
/* Marks every entry as unanswered; what was caught stays. */
void answer_buffer_clear(struct answer_buffer *, const struct query_batch *);
/* ERR_INVARIANT: the method wrote beyond the ends, or the answers are invalid by index.h. The
   buffer's query i is the batch's query first + order[i]; order may be NULL: first + i. */
int answer_buffer_check(const struct answer_buffer *, const struct query_batch *, size_t first,
                        const uint64_t *order);
/* The same for n answers to one query. position: its number in the operation. */
int answer_buffer_check_query(const struct query_batch *, const uint64_t *ids,
                              const float *distances, size_t n, size_t position);

#endif
