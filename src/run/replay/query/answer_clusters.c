/* answer_clusters.c - see answer_clusters.h. */
#include "src/run/replay/query/answer_clusters.h"
#include "src/core/order.h"

#include <inttypes.h>
#include <stdlib.h>

static size_t unique(uint64_t *values, size_t n)
{
    size_t kept = 0;

    qsort(values, n, sizeof *values, order_u64);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || values[i] != values[kept - 1])
            values[kept++] = values[i];
    return kept;
}

static int take_medoid(void *to, uint64_t cluster, uint64_t id)
{
    (void)to, (void)cluster, (void)id;
    return OK;
}

static bool in_range(const uint64_t *of, size_t n, size_t clusters)
{
    for (size_t i = 0; i < n; i++)
        if (of[i] >= clusters && of[i] != INDEX_NO_CLUSTER)
            return false;
    return true;
}

/* An answer in no cluster is in no query's. seen: scratch, k clusters. of_answers: set, as the answers
   are. */
static void count(const struct cluster_request *q, const struct cluster_result *of,
                  const uint64_t *answers, size_t k, uint64_t *seen, uint64_t *of_answers,
                  struct step_record *s)
{
    double all = 0, same = 0, clusters = 0, answered = 0;

    for (size_t i = 0; i < q->vectors.n; i++) {
        size_t n = 0;

        for (size_t j = 0; j < k; j++) {
            const uint64_t *id = answers + i * k + j;

            of_answers[i * k + j] = INDEX_NO_CLUSTER;
            if (*id == INDEX_NO_ID)
                continue;
            const uint64_t *at = bsearch(id, q->ids, q->n, sizeof *q->ids, order_u64);
            of_answers[i * k + j] = seen[n++] = of->of_ids[at - q->ids];
            same += seen[n - 1] == of->of_vectors[i] && seen[n - 1] != INDEX_NO_CLUSTER;
        }
        all += (double)n;
        answered += n > 0;
        clusters += (double)unique(seen, n);
    }
    step_stat(s, "answers_in_query_cluster", same / all);
    step_stat(s, "clusters_per_query", clusters / answered);
}

int answer_clusters_measure(struct query_batch *batch, const uint64_t *answers,
                            struct step_record *s)
{
    struct replay_session *r = batch->replay;
    const size_t nq = batch->queries.n, most = nq * batch->k;
    struct buffer memory = { 0 };
    int rc = buffer_reserve(&memory, (3 * most + nq + batch->k) * sizeof(uint64_t), r->err);

    if (rc != OK)
        return rc;
    uint64_t *ids = memory.bytes;
    struct cluster_result of = { .of_ids = ids + most,
                                 .of_vectors = ids + 2 * most,
                                 .medoid = take_medoid };
    struct cluster_request request = { .ids = ids,
                                       .vectors = batch->queries,
                                       .threads = batch->threads };

    for (size_t i = 0; i < most; i++)
        if (answers[i] != INDEX_NO_ID)
            ids[request.n++] = answers[i];
    request.n = unique(ids, request.n);
    if (request.n > 0) {
        rc = index_cluster(&r->checked, &request, &of);
        if (rc == OK && !(in_range(of.of_ids, request.n, of.clusters) &&
                          in_range(of.of_vectors, nq, of.clusters)))
            rc = fail(r->err, ERR_INVARIANT,
                      "search: an answer or a query is in a cluster that does not exist; there are "
                      "%zu, from 0",
                      of.clusters);
        uint64_t *of_answers = ids + 2 * most + nq, *seen = of_answers + most;
        if (rc == OK)
            count(&request, &of, answers, batch->k, seen, of_answers, s);
        if (rc == OK)
            rc = query_batch_score(batch, PASS_CLUSTERS, 0, of_answers, nq, NULL);
    }
    buffer_free(&memory);
    return rc;
}
