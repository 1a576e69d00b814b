/* code_queries.h - range and nearest-neighbour search of methods over codes.
 *
 * A method answers a small group of queries (struct code_ops). This module divides a request into
 * groups, distributes them over threads, collects the answers and delivers them.
 *
 *     static const struct code_ops ops = { .answer = mih_answer };
 *     static int mih_range(...)  { return code_range(index, request, result, &ops); }
 *     static int mih_search(...) { return code_search(index, request, result, &ops); } */
#ifndef DRIFTLINE_COMMON_CODES_CODE_QUERIES_H
#define DRIFTLINE_COMMON_CODES_CODE_QUERIES_H

#include <string.h>

#include "kernels/kernels.h"
#include "src/core/index.h"
#include "src/core/topk.h"

#define CODE_GROUP ((size_t)32)
#define CODE_BITS  64U /* of the methods that take no longer codes */

static inline unsigned code_distance(const uint64_t *a, const uint64_t *b, size_t words)
{
    unsigned bits = (unsigned)__builtin_popcountll(*a ^ *b);
    for (size_t w = 1; w < words; w++)
        bits += (unsigned)__builtin_popcountll(a[w] ^ b[w]);
    return bits;
}

/* The positions of the n codes within the radius, as hamming_b64_within() writes them. */
static inline size_t code_within(const struct kernels *k, const uint64_t *query,
                                 const uint64_t *codes, size_t n, size_t words, unsigned radius,
                                 uint32_t *positions)
{
    return words == 1 ? k->hamming_b64_within(*query, codes, n, radius, positions)
                      : k->hamming_words_within(query, codes, n, words, radius, positions);
}

/* Code i of a caller's rows, which may lie at any address; copied to `copy` if it is unaligned. */
static inline const uint64_t *code_at(struct vectors v, size_t i,
                                      uint64_t copy[INDEX_CODE_WORDS_MAX])
{
    const unsigned char *at = (const unsigned char *)v.rows + i * (v.dim / 8);
    if ((uintptr_t)at % _Alignof(uint64_t) == 0)
        return (const uint64_t *)(const void *)at;
    memcpy(copy, at, v.dim / 8);
    return copy;
}

/* The answers of one query so far; owned by the worker. */
struct code_answers {
    struct mem *mem;
    struct error *error;
    uint64_t *ids;
    uint16_t *distances;
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
    to->distances[to->n++] = (uint16_t)distance;
    return OK;
}

/* A group of queries as passed to the method. */
struct code_group {
    const uint64_t *queries; /* n x words */
    size_t words;            /* 64-bit words of a code */
    size_t n;                /* 1 .. CODE_GROUP */
    const void *knobs;
    const struct id_filter *filter; /* NULL: all ids are allowed */
    unsigned radius;                /* 0 .. 64 words; of the k nearest: 64 words */
    struct code_answers *answers;   /* [n] of the worker's, without answers at first */
    struct topk *nearest;           /* [n]; NULL: a range search */
    struct work work;               /* the method adds to it */
    bool *later;   /* [n]; NULL, or the method sets those of the queries that it would scan for, and
                    leaves them to the device */
    void *scratch; /* scratch_bytes of the worker's, zeroed when it begins */
};

static inline const uint64_t *code_query(const struct code_group *g, size_t query)
{
    return g->queries + query * g->words;
}

struct code_device;

struct code_ops {
    /* A range search: adds to answers[query] all stored codes within the radius of the query that
       the filter allows, each id once, in any order. Else: offers to nearest[query] at least its k
       nearest; what is in answers[query] is of no account. */
    int (*answer)(const struct index *, struct code_group *);
    /* The device of an index, or NULL; may be NULL itself. It takes no request with a filter. */
    struct code_device *(*device)(const struct index *);
    size_t scratch_bytes;
    void (*scratch_free)(struct mem *, void *scratch); /* frees what scratch points to; may
                                                          be NULL */
};

int code_range(struct index *, const struct range_request *, struct range_result *,
               const struct code_ops *);
int code_search(struct index *, const struct search_request *, struct search_result *,
                const struct code_ops *);

#endif
