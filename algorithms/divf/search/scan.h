/* scan.h - the parts of a search: choosing lists, selecting vectors of a chunk, exact distances. */
#ifndef DRIFTLINE_DIVF_SEARCH_SCAN_H
#define DRIFTLINE_DIVF_SEARCH_SCAN_H

#include "algorithms/divf/divf.h"
#include "algorithms/divf/search/scratch.h"

/* One search or range search over a request's queries, shared by its threads. Each thread copies it
   for a number of queries, which it searches inside the epoch: divf_job_enter(). */
struct divf_job {
    struct divf *d;
    const struct divf_view *view; /* NULL outside the epoch */
    unsigned ticket;              /* for divf_job_leave() */
    const unsigned char *queries; /* rows in env's element */
    const struct id_filter *filter;
    size_t nprobe;
    uint64_t scan_budget;          /* copies; 0: no limit */
    struct stop_rule stop;         /* for target_recall, and the score at which a query */
    double stop_score;             /* stops */
    bool stops;                    /* with target_recall */
    bool learning;                 /* of the rule: lists are not counted as read */
    struct stop_trace *trace;      /* of a query to learn from; NULL: none */
    struct divf_scratch **scratch; /* one per thread */
    /* search */
    size_t k, rerank; /* rerank > 0: this many of the best estimates, at least k, get an
                         exact distance */
    uint64_t *ids;
    float *distances;
    /* range search: query first_query + i leaves its answers in scratch[i] */
    bool range;
    double radius;
    float limit; /* a float not below the radius */
    size_t first_query;
};

/* choose.c. Writes the s nearest lists of a row to the scratch's probes and probe_distances,
   nearest first, ties to the smaller number, by exact distances. The scratch must have space for
   a query. */
void divf_nearest_lists(const struct divf_job *, struct divf_scratch *, const float *row, size_t s,
                        struct work *);
/* The lists that a query probes, likewise: nprobe, or as many as the budget allows. Returns
   their number. */
size_t divf_choose_lists(const struct divf_job *, struct divf_scratch *, const float *query,
                         struct work *);
/* How many of the first n of a query's lists are within the budget. */
size_t divf_affordable(const struct divf_job *, const uint64_t *lists, size_t n);

void divf_count_distances(const struct divf *, struct work *, size_t n);

/* Returns the job for queries that are searched now: with the current view, and the number of lists
   and of estimates to rerank that this view allows. */
static inline struct divf_job divf_job_enter(const struct divf_job *job)
{
    struct divf_job now = *job;
    now.ticket = epoch_enter(job->d->epoch);
    now.view = atomic_load_explicit(&job->d->view, memory_order_acquire);
    now.nprobe = job->nprobe < now.view->n ? job->nprobe : now.view->n;
    now.rerank = now.view->quantizer ? job->rerank : 0;
    return now;
}

static inline void divf_job_leave(const struct divf_job *job)
{
    epoch_leave(job->d->epoch, job->ticket);
}

/* Prepares a query for a search of `row`, which `vector` has as floats. Its arrays for answers must
   be set. */
void divf_query_begin(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                      const void *row, const float *vector);
/* Prepares the query for a list; `distance` is the vector's from the list's centroid. From here to
   the end of the scan the caller holds the list's latch. */
void divf_query_list(const struct divf_job *, struct divf_query *, size_t list, float distance,
                     struct work *);
/* Scans one chunk of that list; codes: whether its codes may be used (divf_codes_of()). */
void divf_scan_chunk(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                     uint32_t chunk, bool codes, struct work *);
/* Computes the distances that are still pending. */
void divf_query_flush(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                      struct work *);
/* Ends a query whose `done` nearest lists have been read: reads the next ones while fewer than nprobe
   of them had rows or fewer than k answers were found, up to all lists or the scan budget. Then
   writes the answers, in order. */
void divf_query_end(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                    const float *vector, size_t done, struct work *);

/* Scans a list without flushing: pending vectors may wait for the next list. */
void divf_scan_list(const struct divf_job *, struct divf_scratch *, struct divf_query *,
                    size_t list, float distance, struct work *);
/* Whether the codes of a list are those that the view's centroid gives. */
static inline bool divf_codes_of(const struct divf_view *v, size_t list)
{
    const struct divf_list *l = v->list[list];
    return v->quantizer && l->encoded && l->version == v->version[list];
}

/* Counts the work of a scan of n copies; exact distances are counted one by one. */
void divf_count_scanned(const struct divf_view *, struct work *, size_t n);
void divf_prefetch_chunk(const struct divf_view *, const struct divf_list *, uint32_t c);
/* Called before a list is scanned: prefetches what the scans of the next n lists read first. */
void divf_prefetch_lists(const struct divf_view *, const uint64_t *next, size_t n);

/* query.c. Searches for the k nearest of one row; job->k, nprobe and rerank are set. */
int divf_search_row(const struct divf_job *, struct divf_scratch *, const void *row,
                    const struct topk *);

/* Records that a list with dead rows has been read. */
void divf_mark_probed(struct divf *, struct divf_list *, size_t queries);

/* batch.c, for groups of queries: a parallel_for() step. */
int divf_search_many(void *job, size_t first, size_t end, size_t worker);
/* Queries per group, at least and at most. */
enum { MANY_QUERIES_MIN = 8, MANY_QUERIES = 256 };
/* The most queries that fit the caches. */
size_t divf_group_size(const struct divf_job *);

#endif
