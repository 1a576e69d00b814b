/* search.c - the k nearest of the queries of a request, over threads. */
#include "algorithms/scann/search.h"
#include "src/core/parallel.h"

enum {
    QUERIES_A_CHUNK = 4,
    AUTO_LISTS = 16,    /* nprobe = 0: one list of so many, */
    AUTO_LISTS_MIN = 8, /* at least so many */
};

struct searching {
    struct scann_job job;
    const struct search_request *request;
    struct search_result *result;
};

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct searching *g = arg;
    const struct vectors queries = g->request->queries;
    struct scann *s = g->job.s;
    const size_t row_bytes = s->base.env.dim * sizeof(float), k = g->job.k;
    struct scann_scratch *x = scann_scratch_take(&g->job);
    (void)worker;
    if (!x)
        return ERR_NO_MEMORY;
    for (size_t q = first; q < end; q++) {
        struct topk nearest = topk_begin(k, g->result->distances + q * k, g->result->ids + q * k);
        scann_query(&g->job, x, (const char *)queries.rows + q * row_bytes, &nearest);
    }
    scann_scratch_give(s, x, &g->result->work);
    return OK;
}

static size_t auto_lists(const struct scann *s)
{
    return scann_most(s->lists.n / AUTO_LISTS, AUTO_LISTS_MIN);
}

int scann_search(struct index *index, const struct search_request *request,
                 struct search_result *result)
{
    struct scann *s = scann_of(index);
    const struct scann_knobs *knobs = request->knobs;
    const size_t k = request->k, rerank = (size_t)knobs->rerank, nprobe = (size_t)knobs->nprobe;
    const bool stops = knobs->target_recall > 0;
    const size_t lists = nprobe > 0 ? nprobe : stops ? s->lists.n : auto_lists(s);
    const size_t exact = rerank > 0 ? scann_most(rerank, k) : SCANN_AUTO_RERANK * k;
    struct searching g = { .job = { .s = s,
                                    .filter = request->filter,
                                    .k = k,
                                    .nprobe = scann_least(lists, s->lists.n),
                                    .rerank = scann_least(exact, scann_most(s->store.n, 1)),
                                    .by_slot = scann_spills(s) || request->filter,
                                    .stops = stops },
                           .request = request,
                           .result = result };
    const int rc = stops ? scann_stop_score(s, knobs->target_recall, &g.job.score) : OK;
    return rc ? rc
              : parallel_for(index->env.pool, request->threads, request->queries.n, QUERIES_A_CHUNK,
                             search_chunk, &g);
}
