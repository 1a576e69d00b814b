/* scan.h - what searching is made of: which lists, which of a chunk may be answers, their exact
 * distances. */
#ifndef DRIFTLINE_DIVF_SCAN_H
#define DRIFTLINE_DIVF_SCAN_H

#include "algorithms/divf/divf.h"
#include "algorithms/divf/scratch.h"

/* One search or range over the queries of a request, shared by its threads. */
struct divf_job {
    struct divf *d;
    const float *queries;
    const struct id_filter *filter;
    size_t nprobe, threads;
    uint64_t scan_budget;          /* copies; 0: no bound */
    struct stop_rule stop;         /* target_recall, and the score of a query that has found */
    double stop_score;             /* enough */
    struct divf_stops *stops;      /* one a thread; NULL: without target_recall */
    struct divf_scratch **scratch; /* one a thread */
    struct work *work;             /* one a thread */
    /* search */
    size_t k, rerank; /* rerank > 0: so many of the best estimates, k at least, get a distance */
    uint64_t *ids;
    float *distances;
    /* range: query first_query + i leaves its answers in scratch[i] */
    bool range;
    double radius;
    float limit; /* a float not below the radius */
    size_t first_query;
};

/* choose.c. The s nearest lists of a row to scratch's probes and probe_distances, nearest first,
   ties to the smaller, by exact distances. The scratch has room for a query. */
void divf_nearest_lists(const struct divf *, struct divf_scratch *, const float *row, size_t s,
                        struct work *);
/* The lists a query probes, likewise: nprobe, or as many as it takes to spend the budget. */
size_t divf_choose_lists(const struct divf_job *, struct divf_scratch *, const float *query,
                         struct work *);
/* How many of the first n of a query's lists are within the budget. */
size_t divf_affordable(const struct divf_job *, const uint64_t *lists, size_t n);

void divf_count_distances(const struct divf *, struct work *, size_t n);

/* Makes queries[i] ready for a search of `vector`. Its arrays for answers are set. */
void divf_query_begin(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                      const float *vector);
/* Turns it to a list; `distance` is the vector's from the list's centroid. */
void divf_query_list(const struct divf_job *, struct divf_query *, size_t list, float distance,
                     struct work *);
/* One chunk of that list. */
void divf_scan_chunk(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                     uint32_t chunk, struct work *);
/* Looks at what is still pending. */
void divf_query_flush(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                      struct work *);
/* The answers, in order. */
void divf_query_end(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                    struct work *);

/* All of a list, but for a flush: what is pending may wait for the next list. */
void divf_scan_list(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                    size_t list, float distance, struct work *);
/* What a scan of n copies counts; their distances are counted one by one. */
void divf_count_scanned(const struct divf *, struct work *, size_t n);
void divf_prefetch_chunk(const struct divf_lists *, const struct divf_list *, uint32_t c);
/* While a list is scanned: what a scan of the n after it reads first. */
void divf_prefetch_lists(const struct divf_lists *, const uint64_t *next, size_t n);

/* Notes that a list with dead rows has been read. */
void divf_mark_probed(struct divf *, struct divf_list *, size_t queries);

/* search.c for few queries, many.c for groups of them: a parallel_for() step each. */
int divf_search_few(void *job, size_t first, size_t end, size_t worker);
int divf_search_many(void *job, size_t first, size_t end, size_t worker);
/* Queries of a group, at least and at most. */
enum { MANY_QUERIES_MIN = 8, MANY_QUERIES = 256 };
size_t divf_group_size(const struct divf *); /* at most, for the caches */

#endif
