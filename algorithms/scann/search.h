/* search.h - a query of a search: what the files that search share. */
#ifndef DRIFTLINE_SCANN_SEARCH_H
#define DRIFTLINE_SCANN_SEARCH_H

#include "algorithms/scann/scann.h"
#include "src/core/topk.h"

/* One search; shared by its threads. */
struct scann_job {
    struct scann *s;
    const struct id_filter *filter;
    size_t k, nprobe, rerank; /* with defaults and limits applied; rerank: at least k */
    bool by_slot; /* rows may be met twice or be forbidden, so a scan reads their slots. Else only
                     the slots of the final candidates are read. */
    bool stops;   /* with target_recall: */
    double score; /* at which a query stops */
    struct stop_trace *trace; /* of a query to learn from, by_slot; NULL: none */
};

enum { SCANN_AUTO_RERANK = 8 }; /* rerank = 0: k times so many */

static inline size_t scann_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t scann_most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* query.c. The memory that one thread needs. NULL: ERR_NO_MEMORY. */
struct scann_scratch;
struct scann_scratch *scann_scratch_take(const struct scann_job *);
/* Adds what its queries have cost to the work; NULL: they are not counted. */
void scann_scratch_give(struct scann *, struct scann_scratch *, struct work *);
/* Searches for the nearest of a row, which may be unaligned, and sorts them. */
void scann_query(const struct scann_job *, struct scann_scratch *, const void *row, struct topk *);

/* stop.c: the score at which a search with this target stops. Learns the rule if there is none, or
   the index has changed much. ERR_NO_MEMORY. */
int scann_stop_score(struct scann *, double target, double *score);

#endif
