/* scorer_clusters.c - scores the answers of w:cluster. */
#include <inttypes.h>
#include <math.h>

#include "src/base/json.h"
#include "src/core/mem.h"
#include "src/truth/clusters.h"
#include "src/truth/score_internal.h"

bool scorer_fits_clusters(const struct op *op, const struct answers *a)
{
    if (a->pass == PASS_THROUGHPUT)
        return op->rows && !a->starts && a->n == op->rows->n && a->n_ids == a->n;
    if (a->pass != PASS_SINGLE || !a->starts || a->concurrent)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->positions[i] != i || a->starts[i] > a->starts[i + 1])
            return false;
    return a->starts[0] == 0 && a->starts[a->n] == a->n_ids;
}

/* Fills s->cluster_of from the rows of each cluster. */
static int note_members(struct scorer *s, const struct answers *a, struct error *err)
{
    mem_free(NULL, s->cluster_of);
    s->cluster_of = mem_array(NULL, s->list->n_ids + 1, sizeof *s->cluster_of);
    if (!s->cluster_of)
        return fail(err, ERR_NO_MEMORY, "clusters: out of memory for %zu ids", s->list->n_ids);
    for (size_t id = 0; id < s->list->n_ids; id++)
        s->cluster_of[id] = INDEX_NO_CLUSTER;
    for (size_t c = 0; c < a->n; c++)
        for (uint64_t i = a->starts[c]; i < a->starts[c + 1]; i++) {
            const uint64_t id = a->ids[i];

            if (!live_has(&s->now.live, id) || s->cluster_of[id] != INDEX_NO_CLUSTER)
                return fail(err, ERR_INVARIANT, "cluster %zu has id %" PRIu64 ", which is %s", c,
                            id, live_has(&s->now.live, id) ? "in two clusters" : "not live");
            s->cluster_of[id] = c;
        }
    return OK;
}

struct cluster_scores {
    struct score_sizes sizes;
    struct score_agreement agreement;
    double within, noise;
};

/* memory: space for 2 live.n + a->n numbers. */
static int score(const struct scorer *s, const struct answers *a, uint64_t *memory,
                 struct cluster_scores *out, struct error *err)
{
    const struct op *op = &s->list->ops[a->op];
    const size_t n = live_state_ids(&s->now, NULL, 0, memory);
    uint64_t *ids = memory, *clusters = memory + n, *sizes = memory + 2 * n;
    int rc = OK;

    for (size_t i = 0; i < n; i++)
        clusters[i] = s->cluster_of[ids[i]];
    for (size_t c = 0; c < a->n; c++)
        sizes[c] = a->starts[c + 1] - a->starts[c];
    score_sizes(sizes, a->n, &out->sizes);
    out->noise = 1 - (double)a->n_ids / (double)n;
    out->agreement = (struct score_agreement){ NAN, NAN, NAN };
    if (op->labels && n == op->n)
        rc = score_agreement(op->labels, clusters, n, &out->agreement, err);
    return rc == OK ? score_within(&s->now, ids, clusters, n, a->n, &out->within, err) : rc;
}

static json_t *scores_json(const struct answers *a, const struct cluster_scores *of)
{
    return json_pack("{s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:n}}", "clusters",
                     "count", json_number(of->sizes.count), "empty",
                     json_number((double)a->n - of->sizes.count), "smallest",
                     json_number(of->sizes.smallest), "median", json_number(of->sizes.median),
                     "largest", json_number(of->sizes.largest), "gini", json_number(of->sizes.gini),
                     "noise", json_number(of->noise), "within", json_number(of->within), "nmi",
                     json_number(of->agreement.nmi), "ari", json_number(of->agreement.ari),
                     "purity", json_number(of->agreement.purity), "query_agreement");
}

static int take_members(struct scorer *s, const struct answers *a, struct error *err)
{
    struct scored *to = &s->scored[PASS_SINGLE];
    struct cluster_scores of = { .within = NAN };
    int rc = note_members(s, a, err);

    if (rc != OK)
        return rc;
    uint64_t *memory = mem_array(NULL, 2 * s->now.live.n + a->n + 1, sizeof *memory);
    rc = memory ? score(s, a, memory, &of, err)
                : fail(err, ERR_NO_MEMORY, "clusters: out of memory for %zu rows", s->now.live.n);
    mem_free(NULL, memory);
    if (rc != OK)
        return rc;
    json_decref(to->json);
    to->json = scores_json(a, &of);
    return OK;
}

/* The share of queries that are in the cluster of their nearest row. */
static int take_queries(struct scorer *s, const struct answers *a, struct error *err)
{
    const struct truth *t = &s->oracle->truths[a->op];
    json_t *clusters = json_object_get(s->scored[PASS_SINGLE].json, "clusters");
    double same = 0;

    if (!s->cluster_of || !clusters || t->n_queries != a->n || t->k != 1)
        return fail(err, ERR_ARGUMENT, "received clusters of queries without those of the rows");
    for (size_t i = 0; i < a->n; i++)
        same += a->positions[i] < a->n && t->ids[a->positions[i]] != INDEX_NO_ID &&
                s->cluster_of[t->ids[a->positions[i]]] == a->ids[i];
    return json_object_set_new(clusters, "query_agreement", json_number(same / (double)a->n)) == 0
               ? OK
               : fail(err, ERR_NO_MEMORY, "clusters: out of memory");
}

int scorer_take_clusters(struct scorer *s, const struct answers *a, struct error *err)
{
    return a->pass == PASS_SINGLE ? take_members(s, a, err) : take_queries(s, a, err);
}
