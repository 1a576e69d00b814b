/* code_queries.h - range and nearest-neighbour search of methods over 64-bit codes.
 *
 * A method implements search for a small group of queries (struct code_ops). This module divides a
 * request into groups, distributes them over threads, collects the answers and delivers them.
 *
 *     static const struct code_ops ops = { .range = mih_range_group };
 *     static int mih_range(...)  { return code_range(index, request, result, &ops); }
 *     static int mih_search(...) { return code_search(index, request, result, &ops); } */
#ifndef DRIFTLINE_COMMON_CODES_CODE_QUERIES_H
#define DRIFTLINE_COMMON_CODES_CODE_QUERIES_H

#include "src/core/index.h"
#include "src/core/topk.h"

#define CODE_GROUP ((size_t)32)
#define CODE_BITS  64U

/* The answers of one query so far; owned by the worker. */
struct code_answers {
    struct mem *mem;
    struct error *error;
    uint64_t *ids;
    uint8_t *distances;
    size_t n, capacity;
};

int code_answers_more(struct code_answers *, size_t n); /* space for n more, or ERR_NO_MEMORY */

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

/* A group of queries as passed to the method. */
struct code_group {
    const uint64_t *queries;
    size_t n; /* 1 .. CODE_GROUP */
    const void *knobs;
    const struct id_filter *filter; /* NULL: all ids are allowed */
    struct work work;               /* the method adds to it */
    bool *later;   /* [n]; NULL, or the method sets those of the queries that it would scan for, and
                    leaves them to the device */
    void *scratch; /* scratch_bytes of the worker's, zeroed when it begins */
};

struct code_device;

struct code_ops {
    /* Adds to answers[query] all stored codes within `radius` (0 .. 64) of the query that the
       filter allows, each id once, in any order. */
    int (*range)(const struct index *, struct code_group *, unsigned radius,
                 struct code_answers *answers);
    /* Offers to nearest[query] at least its k nearest. NULL: uses ranges of radius 2, 5, 8, ...
       until one holds k (range() must then be exact). */
    int (*nearest)(const struct index *, struct code_group *, struct topk *nearest);
    /* The device of an index, or NULL; may be NULL itself. It takes no request with a filter. */
    struct code_device *(*device)(const struct index *);
    size_t scratch_bytes;
    void (*scratch_free)(struct mem *, void *scratch); /* frees what scratch points to; may
                                                          be NULL */
};

/* Whether the filter allows at most `most` ids; reads only as much of it as needed. */
bool code_filter_few(const struct id_filter *, size_t most);

int code_range(struct index *, const struct range_request *, struct range_result *,
               const struct code_ops *);
int code_search(struct index *, const struct search_request *, struct search_result *,
                const struct code_ops *);

#endif
