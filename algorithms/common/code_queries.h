/* code_queries.h - range and nearest-neighbour search of methods over 64-bit codes.
 *
 * A method says how a small group of queries is answered (struct code_ops); this splits a request
 * into groups, spreads them over threads, keeps the answers and hands them over.
 *
 *     static const struct code_ops ops = { .range = mih_range_group };
 *     static int mih_range(...)  { return code_range(index, request, result, &ops); }
 *     static int mih_search(...) { return code_search(index, request, result, &ops); }
 */
#ifndef DRIFTLINE_CODE_QUERIES_H
#define DRIFTLINE_CODE_QUERIES_H

#include "src/core/index.h"
#include "src/core/topk.h"

#define CODE_GROUP ((size_t)32)
#define CODE_BITS  64U

/* What one query found so far; belongs to the worker. */
struct code_answers {
    struct mem *mem;
    struct error *error;
    uint64_t *ids;
    uint8_t *distances;
    size_t n, capacity;
};

int code_answers_more(struct code_answers *, size_t n); /* room for n more */

/* Adds an answer. OK or ERR_NO_MEMORY. */
static inline int code_answer(struct code_answers *to, uint64_t id, unsigned distance)
{
    if (to->n == to->capacity) {
        const int rc = code_answers_more(to, 1);
        if (rc != OK)
            return rc;
    }
    to->ids[to->n] = id;
    to->distances[to->n++] = (uint8_t)distance;
    return OK;
}

/* A group of queries as the method gets it. */
struct code_group {
    const uint64_t *queries;
    size_t n; /* 1 .. CODE_GROUP */
    const void *knobs;
    const struct id_filter *filter; /* NULL: all ids are asked for */
    struct work work;               /* add to it */
    void *scratch; /* scratch_bytes, zeroed when the worker began; the worker's own */
};

struct code_ops {
    /* All stored codes within `radius` (0 .. 64) of each query that the filter lets through, each id
       once, in any order, to answers[query]. */
    int (*range)(const struct index *, struct code_group *, unsigned radius,
                 struct code_answers *answers);
    /* Offers to nearest[query] at least what belongs to its k nearest. NULL: by ranges of radius 2, 5,
       8, ... until one holds k (range() must then be exact). */
    int (*nearest)(const struct index *, struct code_group *, struct topk *nearest);
    size_t scratch_bytes;
    void (*scratch_free)(struct mem *, void *scratch); /* what scratch points to; may be NULL */
};

/* Whether the filter allows at most `most` ids; looks at no more of it than it takes to know. */
bool code_filter_few(const struct id_filter *, size_t most);

int code_range(struct index *, const struct range_request *, struct range_result *,
               const struct code_ops *);
int code_search(struct index *, const struct search_request *, struct search_result *,
                const struct code_ops *);

#endif
