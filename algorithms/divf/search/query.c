/* query.c - one query of a search: scans its lists, all or until it has probably found enough. */
#include <math.h>

#include "algorithms/divf/search/scan.h"
#include "kernels/kernels.h"

/* Whether the query can stop after its first n lists. If the next list's centroid distance is
   unknown, the last one's is a lower bound. */
static bool found_enough(const struct divf_job *job, const struct divf_scratch *s,
                         const struct divf_query *query, struct stop_state *stop, size_t n,
                         size_t probes)
{
    float kth = job->trace ? stop_trace_kth(job->trace, &query->nearest)
                           : topk_limit(job->rerank ? &query->best : &query->nearest);
    if (job->d->space.kind == DIVF_LIFTED && !job->rerank)
        kth = fmaxf(0, (float)(2 * (double)kth + query->norm_sq + (double)job->view->lift));
    float next = s->probe_distances[n < probes ? n : n - 1];
    const double score = stop_after(stop, kth, next);
    return job->trace ? stop_trace_note(job->trace, &query->nearest, score)
                      : score >= job->stop_score;
}

/* Returns the number of lists read. */
static size_t scan_until_enough(const struct divf_job *job, struct divf_scratch *s,
                                struct divf_query *query, size_t probes)
{
    struct stop_state stop = stop_begin(s->probe_distances[0]);
    bool enough = false;
    size_t p = 0;
    while (p < probes && !enough) {
        divf_prefetch_lists(job->view, s->probes + p + 1, probes - p - 1);
        divf_scan_list(job, s, query, s->probes[p], s->probe_distances[p], &s->counted);
        divf_query_flush(job, s, query, &s->counted); /* so that the k-th distance is current */
        p++;
        enough = found_enough(job, s, query, &stop, p, probes);
    }
    s->stops.queries += 1;
    s->stops.lists += (double)p;
    s->stops.recall += p == job->view->n ? 1 : stop_rule_recall(&job->stop, stop.score);
    return p;
}

int divf_search_row(const struct divf_job *job, struct divf_scratch *s, const void *row,
                    const struct topk *nearest)
{
    struct work *work = &s->counted;
    if (!divf_scratch_fit_queries(job->d, job->view, s, 1, job->rerank))
        return fail(job->d->env.error, ERR_NO_MEMORY, "search: out of memory");
    struct divf_query *query = s->queries;
    const float *vector = divf_query_floats(&job->d->space, row, 1, s->floats);
    size_t probes = divf_choose_lists(job, s, vector, work);
    query->nearest = *nearest;
    divf_query_begin(job, s, query, row, vector);
    for (size_t p = 0; !job->stops && p < probes; p++) {
        divf_prefetch_lists(job->view, s->probes + p + 1, probes - p - 1);
        divf_scan_list(job, s, query, s->probes[p], s->probe_distances[p], work);
    }
    if (job->stops)
        probes = scan_until_enough(job, s, query, probes);
    divf_query_end(job, s, query, vector, probes, work);
    return OK;
}
