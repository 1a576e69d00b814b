/* cluster.c - the clusters of the live rows, and those that the answers of a search are in. */
#include <inttypes.h>
#include <stdlib.h>

#include "src/core/order.h"
#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/verbs.h"

/* A call of cluster(), with its medoids. All arrays are in `memory`. */
struct clustering {
    struct replay_session *replay;
    struct buffer memory, rows;
    struct cluster_request request;
    struct cluster_result result;
    struct medoid {
        uint64_t cluster, id;
    } * medoids; /* capacity n */
    size_t n_medoids;
    uint64_t *positions, *starts, *members; /* in the form of the answers of a range search */
};

static int take_medoid(void *to, uint64_t cluster, uint64_t id)
{
    struct clustering *c = to;

    if (c->n_medoids == c->request.n)
        return fail(c->replay->err, ERR_INVARIANT,
                    "cluster: the method gives more medoids than there are rows");
    c->medoids[c->n_medoids++] = (struct medoid){ cluster, id };
    return OK;
}

static int prepare(struct clustering *c, const struct op *op)
{
    struct replay_session *r = c->replay;
    const size_t n = r->now.live.n, nq = op->rows ? op->rows->n : 0;
    int rc = buffer_reserve(
        &c->memory, (2 * n + nq + 1) * sizeof(uint64_t) + (n + 1) * sizeof *c->medoids, r->err);

    if (rc != OK)
        return rc;
    uint64_t *ids = c->memory.bytes;
    c->result = (struct cluster_result){
        .of_ids = ids + n, .of_vectors = ids + 2 * n, .medoid = take_medoid, .to = c
    };
    c->medoids = (struct medoid *)(void *)(ids + 2 * n + nq + 1);
    c->request =
        (struct cluster_request){ .level = op->level,
                                  .target = op->target,
                                  .ids = ids,
                                  .n = n,
                                  .vectors = { .dim = r->list->dim, .element = r->cell->element },
                                  .threads = r->experiment->threads };
    (void)live_state_ids(&r->now, NULL, 0, ids);
    if (nq > 0)
        rc = session_gather(r, op->rows, NULL, nq, &c->rows, &c->request.vectors);
    return rc == OK ? index_admit_cluster(&r->checked, &c->request) : rc;
}

static int check_numbers(const uint64_t *of, size_t n, size_t clusters, const char *what,
                         struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (of[i] >= clusters && of[i] != INDEX_NO_CLUSTER)
            return fail(err, ERR_INVARIANT,
                        "cluster: %s %zu is in cluster %" PRIu64 "; there are %zu, from 0", what, i,
                        of[i], clusters);
    return OK;
}

/* Sorts the members by cluster, each cluster's ids ascending. */
static int group(struct clustering *c, struct buffer *memory)
{
    const size_t n = c->request.n, clusters = c->result.clusters;
    struct error *err = c->replay->err;
    int rc = check_numbers(c->result.of_ids, n, clusters, "row", err);

    if (rc == OK)
        rc = check_numbers(c->result.of_vectors, c->request.vectors.n, clusters, "query", err);
    if (rc == OK && clusters > SIZE_MAX / 4 / sizeof(uint64_t) - n)
        rc = fail(c->replay->err, ERR_INVARIANT, "cluster: there are %zu clusters", clusters);
    if (rc == OK)
        rc =
            buffer_reserve(memory, (2 * clusters + 2 + n + c->request.vectors.n) * sizeof(uint64_t),
                           c->replay->err);
    if (rc != OK)
        return rc;
    c->starts = memory->bytes;
    c->members = c->starts + clusters + 2;
    c->positions = c->members + n;
    for (size_t i = 0; i < clusters + 2; i++)
        c->starts[i] = 0;
    for (size_t i = 0; i < n; i++)
        if (c->result.of_ids[i] != INDEX_NO_CLUSTER)
            c->starts[c->result.of_ids[i] + 2]++;
    for (size_t i = 2; i < clusters + 2; i++)
        c->starts[i] += c->starts[i - 1];
    for (size_t i = 0; i < n; i++)
        if (c->result.of_ids[i] != INDEX_NO_CLUSTER)
            c->members[c->starts[c->result.of_ids[i] + 1]++] = c->request.ids[i];
    for (size_t i = 0; i < clusters + c->request.vectors.n; i++)
        c->positions[i] = i;
    return OK;
}

/* Moves each medoid to the front of its cluster. An index that keeps deleted rows may give one. */
static int place_medoids(const struct clustering *c)
{
    const struct replay_session *r = c->replay;

    for (size_t i = 0; i < c->n_medoids; i++) {
        const struct medoid m = c->medoids[i];
        const uint64_t end = m.cluster < c->result.clusters ? c->starts[m.cluster + 1] : 0;
        uint64_t at = m.cluster < c->result.clusters ? c->starts[m.cluster] : 0;
        const uint64_t first = at;

        while (at < end && c->members[at] != m.id)
            at++;
        if (at == end && live_has(&r->now.live, m.id))
            return fail(r->err, ERR_INVARIANT,
                        "cluster: id %" PRIu64 " is the medoid of cluster %" PRIu64
                        ", but not one of its rows",
                        m.id, m.cluster);
        for (; at < end && at > first; at--)
            c->members[at] = c->members[at - 1];
        if (at < end)
            c->members[first] = m.id;
    }
    return OK;
}

/* Sends the rows of the clusters, then the clusters of the queries. */
static int send(const struct clustering *c)
{
    const struct replay_session *r = c->replay;
    const size_t clusters = c->result.clusters, nq = c->request.vectors.n;
    struct answers a = { .pass = PASS_SINGLE,
                         .op = r->at,
                         .n = clusters,
                         .n_ids = (size_t)c->starts[clusters],
                         .positions = c->positions,
                         .starts = c->starts,
                         .ids = c->members };
    const int rc = session_score(r, &a, NULL);

    a = (struct answers){ .pass = PASS_THROUGHPUT,
                          .op = r->at,
                          .n = nq,
                          .n_ids = nq,
                          .positions = c->positions,
                          .ids = c->result.of_vectors };
    return rc == OK && nq > 0 ? session_score(r, &a, NULL) : rc;
}

static int run(struct clustering *c, struct step_record *s)
{
    struct replay_session *r = c->replay;
    struct buffer grouped = { 0 };
    const uint64_t start = clock_ns();
    int rc = r->ops->cluster(r->checked.index, &c->request, &c->result);

    step_take_call(r, s, session_interval_ns(r, start, clock_ns()));
    step_take_rate(s, c->request.n + c->request.vectors.n);
    if (rc == OK)
        rc = group(c, &grouped);
    if (rc == OK)
        rc = place_medoids(c);
    if (rc == OK)
        rc = send(c);
    buffer_free(&grouped);
    if (rc != OK)
        return rc;
    step_stat(s, "cluster_levels", (double)c->result.levels);
    step_stat(s, "cluster_level", (double)c->result.level);
    step_stat(s, "cluster_medoids", (double)c->n_medoids);
    return OK;
}

int replay_cluster(struct replay_session *r, struct step_record *s)
{
    struct clustering c = { .replay = r };

    if (!r->ops->cluster)
        return step_unsupported(s, "this method has no clusters");
    step_note_lacks(s, r);
    int rc = prepare(&c, s->op);
    if (rc == OK)
        rc = run(&c, s);
    buffer_free(&c.memory);
    buffer_free(&c.rows);
    return step_take_unsupported(s, r, rc);
}

/* ---- the clusters of a search's answers */

static size_t unique(uint64_t *values, size_t n)
{
    size_t kept = 0;

    qsort(values, n, sizeof *values, order_u64);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || values[i] != values[kept - 1])
            values[kept++] = values[i];
    return kept;
}

static int leave_medoid(void *to, uint64_t cluster, uint64_t id)
{
    (void)to, (void)cluster, (void)id;
    return OK;
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

int replay_answer_clusters(struct query_batch *batch, const uint64_t *answers,
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
                                 .medoid = leave_medoid };
    struct cluster_request request = { .ids = ids,
                                       .vectors = batch->queries,
                                       .threads = batch->threads };

    for (size_t i = 0; i < most; i++)
        if (answers[i] != INDEX_NO_ID)
            ids[request.n++] = answers[i];
    request.n = unique(ids, request.n);
    if (request.n > 0) {
        rc = index_cluster(&r->checked, &request, &of);
        if (rc == OK)
            rc = check_numbers(of.of_ids, request.n, of.clusters, "answer", r->err);
        if (rc == OK)
            rc = check_numbers(of.of_vectors, nq, of.clusters, "query", r->err);
        uint64_t *of_answers = ids + 2 * most + nq, *seen = of_answers + most;
        if (rc == OK)
            count(&request, &of, answers, batch->k, seen, of_answers, s);
        if (rc == OK)
            rc = query_score(batch, PASS_CLUSTERS, 0, of_answers, nq, NULL);
    }
    buffer_free(&memory);
    return rc;
}
