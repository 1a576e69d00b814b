/* scan.h - what searching is made of: which lists, the distances of a piece of one, who may answer. */
#ifndef DRIFTLINE_DIVF_SCAN_H
#define DRIFTLINE_DIVF_SCAN_H

#include "algorithms/divf/divf.h"
#include "algorithms/divf/scratch.h"
#include "src/core/topk.h"

/* One search or range over the queries of a request, shared by its threads. */
struct divf_job {
    struct divf *d;
    const float *queries;
    const struct id_filter *filter;
    size_t nprobe, threads;
    struct divf_scratch **scratch; /* one a thread */
    struct work *work;             /* one a thread */
    /* search */
    size_t k;
    uint64_t *ids;
    float *distances;
    /* range: query first_query + i leaves its answers in scratch[i] */
    double radius;
    size_t first_query;
};

static inline bool divf_allowed(const struct id_filter *filter, uint64_t id)
{
    return !filter || (id < filter->n_ids && (filter->bits[id / 64] >> (id % 64) & 1));
}

void divf_count_distances(const struct divf *, struct work *, size_t n);

/* The nprobe lists nearest to the query go to s->probes, nearest first, ties to the smaller. */
void divf_choose_lists(const struct divf_job *, struct divf_scratch *s, const float *query,
                       struct work *);

/* Distances of up to `most` rows from position `first` on go to s->distances; returns how many.
   Both are multiples of a chunk's rows, `most` at most PIECE_ROWS. */
size_t divf_piece_distances(const struct divf *, const struct divf_list *, size_t first,
                            size_t most, const float *query, struct divf_scratch *s);

/* Offers the n distances of the piece at `first` to a query's heap. */
void divf_offer_piece(const struct divf_job *, struct divf_scratch *s, const struct divf_list *,
                      size_t first, size_t n, struct topk *nearest);

/* Notes that a list with dead rows has been read. */
void divf_mark_probed(struct divf *, struct divf_list *);

/* search.c for few queries, many.c for groups of them: a parallel_for() step each. */
int divf_search_few(void *job, size_t first, size_t end, size_t worker);
int divf_search_many(void *job, size_t first, size_t end, size_t worker);

/* Queries of a group, at least and at most. */
enum { MANY_QUERIES_MIN = 8, MANY_QUERIES = 256 };

#endif
