/* scorer.c - see scorer.h.
 *
 * 1 checks of what was received   2 scores   3 clusters   4 taking answers   5 into the step */
#include "src/truth/scorer.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/truth/clusters.h"
#include "src/truth/exact.h"
#include "src/workload/gather.h"

/* If the recalls of a step's two passes differ by more than this, the step gets a note. */
#define RECALLS_DIFFER .01

static void forget_scores(struct scorer *s)
{
    for (size_t i = 0; i < PASSES; i++) {
        json_decref(s->scored[i].json);
        mem_free(NULL, s->scored[i].hits);
        s->scored[i] = (struct scored){ 0 };
    }
    mem_free(NULL, s->cluster_of);
    s->cluster_of = NULL;
}

void scorer_free(struct scorer *s)
{
    forget_scores(s);
    live_state_free(&s->now);
}

/* ---- 1. checks of what was received */

/* The shape of the answers of a cluster operation is in scorer.h. */
static bool fits_clusters(const struct op *op, const struct answers *a)
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

static bool shape_fits(const struct op_list *list, const struct answers *a)
{
    if (a->op >= list->n || (unsigned)a->pass >= PASSES)
        return false;
    const struct op *op = &list->ops[a->op];
    if (op->kind == OP_CLUSTER)
        return fits_clusters(op, a);
    const bool range = op->kind == OP_RANGE;
    const bool asks = (op_info(op->kind)->flags & OP_ASKS) && op->rows;

    if (!asks || range != (a->starts != NULL) ||
        (a->concurrent && !(op_info(op->kind)->flags & OP_THREADS)))
        return false;
    if (!range && a->n_ids != a->n * op->k)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->positions[i] >= op->rows->n || (range && a->starts[i] > a->starts[i + 1]))
            return false;
    return !range || (a->starts[0] == 0 && a->starts[a->n] == a->n_ids);
}

/* Advances `now` to the state after the operation; operations must come in order. */
static int follow(struct scorer *s, size_t op, struct error *err)
{
    int rc = s->now.list ? OK : live_state_init(&s->now, s->list, err);

    if (op + 1 < s->taken)
        return fail(err, ERR_ARGUMENT, "answers of operation %zu came after those of %zu", op + 1,
                    s->taken);
    for (; rc == OK && s->taken <= op; s->taken++)
        rc = live_state_step(&s->now, s->taken, err);
    return rc;
}

/* ---- 2. scores */

static json_t *search_json(const struct score *s, size_t k)
{
    json_t *below = json_object();

    for (size_t t = 0; t < RECALL_TAILS; t++) {
        char name[16];

        (void)snprintf(name, sizeof name, "%g", recall_tails[t]);
        (void)json_object_set_new(below, name, json_number(s->below[t]));
    }
    return json_pack("{s:{s:I, s:o, s:o, s:o, s:o}, s:o, s:o, s:o}", "recall", "k", (json_int_t)k,
                     "mean", json_number(s->mean), "min", json_number(s->min), "low",
                     json_number(s->low), "high", json_number(s->high), "recall_below", below,
                     "wrong_ids", json_number(s->wrong_ids), "short_answers",
                     json_number(s->short_answers));
}

static json_t *range_json(const struct score *s, const struct op *op)
{
    const double planted = (double)op->planted;

    return json_pack("{s:{s:f, s:o, s:o, s:o, s:o}, s:o}", "range", "radius", op->radius, "recall",
                     json_number(s->recall), "precision", json_number(s->precision), "results",
                     json_number(s->results), "planted_recall",
                     json_number(planted > 0 ? s->results / planted : NAN), "wrong_ids",
                     json_number(s->wrong_ids));
}

static int score(struct scorer *s, const struct answers *a, struct score *score, struct error *err)
{
    const struct op *op = &s->list->ops[a->op];
    struct buffer buffer = { 0 };
    struct vectors queries;
    int rc =
        gather_view(op->rows, NULL, op->rows->n, s->list->element, false, &buffer, &queries, err);
    const struct score_context context = { live_state_of(&s->now, op), op,
                                           &s->oracle->truths[a->op], queries.rows };

    if (rc == OK)
        rc = a->starts ? score_range(score, &context, a->positions, a->n, a->starts, a->ids, err)
             : a->concurrent
                 ? score_concurrent(score, &context, a->positions, a->n, a->ids, s->seed, err)
                 : score_search(score, &context, a->positions, a->n, a->ids, s->seed, err);
    buffer_free(&buffer);
    return rc;
}

static int hold_to_exact(const struct scorer *s, const struct answers *a, double recall,
                         size_t wrong_ids, struct error *err)
{
    const char *as = a->pass == PASS_THROUGHPUT ? " as a batch" : "";

    if (!s->exact || s->lacks || a->concurrent || a->pass >= PASS_TUNING)
        return OK;
    if (wrong_ids > 0)
        return fail(err, ERR_INVARIANT,
                    "the method claims to be exact (INDEX_EXACT), but %zu of its %zu answers%s are "
                    "ids that were deleted, filtered out, repeated or never inserted; fix the "
                    "method, or remove the flag",
                    wrong_ids, a->n_ids, as);
    return recall < 1 /* rows that rounding alone sets apart count as tied */
               ? fail(err, ERR_INVARIANT,
                      "the method claims to be exact (INDEX_EXACT), but its recall is %.6g%s; fix "
                      "the method, or remove the flag",
                      recall, as)
               : OK;
}

static int keep(struct scorer *s, const struct answers *a, const struct score *of,
                struct error *err)
{
    const struct op *op = &s->list->ops[a->op];
    struct scored *to = &s->scored[a->pass];
    struct query_hits *hits = mem_array(NULL, a->n + 1, sizeof *hits);

    if (!hits)
        return fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu queries", a->n);
    for (size_t i = 0; i < a->n; i++)
        hits[i] = (struct query_hits){ a->positions[i], of->hits[i] };
    qsort(hits, a->n, sizeof *hits, order_u64);
    json_decref(to->json);
    mem_free(NULL, to->hits);
    *to = (struct scored){ a->starts ? range_json(of, op) : search_json(of, op->k),
                           hits,
                           a->n,
                           a->starts ? 0 : of->most,
                           a->starts ? of->recall : of->mean,
                           a->concurrent };
    return OK;
}

/* ---- 3. clusters */

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
static int score_clusters(const struct scorer *s, const struct answers *a, uint64_t *memory,
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

/* Scores them into scored[PASS_SINGLE].json, { clusters }; `now` is the state after the operation. */
static int take_members(struct scorer *s, const struct answers *a, struct error *err)
{
    struct scored *to = &s->scored[PASS_SINGLE];
    struct cluster_scores of = { .within = NAN };
    int rc = note_members(s, a, err);

    if (rc != OK)
        return rc;
    uint64_t *memory = mem_array(NULL, 2 * s->now.live.n + a->n + 1, sizeof *memory);
    rc = memory ? score_clusters(s, a, memory, &of, err)
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

/* ---- 4. taking answers */

int scorer_take(struct scorer *s, const struct answers *a, double *recall, struct error *err)
{
    struct score of;

    if (recall)
        *recall = NAN;
    if (!shape_fits(s->list, a))
        return fail(err, ERR_ARGUMENT,
                    "received answers that cannot belong to operation %zu: %zu queries, %zu ids",
                    a->op + 1, a->n, a->n_ids);
    if (a->pass == PASS_CLUSTERS)
        return OK;
    int rc = follow(s, a->op, err);
    if (rc == OK && s->list->ops[a->op].kind == OP_CLUSTER)
        return a->pass == PASS_SINGLE ? take_members(s, a, err) : take_queries(s, a, err);
    if (rc == OK)
        rc = score(s, a, &of, err);
    if (rc != OK)
        return rc;
    const double mean = a->starts ? of.recall : of.mean;
    if (recall)
        *recall = a->pass == PASS_TUNING && !a->starts ? of.low : mean;
    if (a->pass < PASS_TUNING)
        rc = keep(s, a, &of, err);
    const size_t wrong_ids = (size_t)of.wrong_ids;
    score_free(&of);
    return rc == OK ? hold_to_exact(s, a, mean, wrong_ids, err) : rc;
}

int scorer_distances(const struct scorer *s, const struct answers *a, float *out, struct error *err)
{
    const struct op_list *list = s->list;
    const struct op *op = &list->ops[a->op];
    const struct live_state *now = live_state_of(&s->now, op);
    const size_t row_bytes = index_row_bytes(list->element, list->dim);
    struct buffer queries = { 0 }, scratch = { 0 };
    struct vectors of;
    int rc = gather_view(op->rows, NULL, op->rows->n, list->element, false, &queries, &of, err);

    rc = rc == OK ? buffer_reserve(&scratch, row_bytes, err) : rc;
    for (size_t i = 0; rc == OK && i < a->n_ids; i++) {
        const bool live = a->ids[i] != INDEX_NO_ID && live_has(&now->live, a->ids[i]);
        const void *row = live ? live_state_row(now, a->ids[i], scratch.bytes, err) : NULL;
        const char *query = (const char *)of.rows + a->positions[i / op->k] * row_bytes;

        out[i] =
            row ? (float)exact_distance(list->metric, list->element, query, row, list->dim) : NAN;
        rc = live && !row ? err->code : OK;
    }
    buffer_free(&queries);
    buffer_free(&scratch);
    return rc;
}

/* ---- 5. into the step */

__attribute__((format(printf, 2, 3))) static void add_note(json_t *step, const char *format, ...)
{
    const char *before = json_string_value(json_object_get(step, "note"));
    char both[1000];
    va_list args;

    const int n = snprintf(both, sizeof both, "%s%s", before ? before : "", before ? "; " : "");
    va_start(args, format);
    (void)vsnprintf(both + n, sizeof both - (size_t)n, format, args);
    va_end(args);
    (void)json_object_set_new(step, "note", quote_json(both));
}

/* Right answers of single queries, by whether the batch has the query, too. Those that it has not were
   timed one at a time; those that it has were asked one at a time later, untimed. */
struct halves {
    double timed, timed_sq, later, later_sq, batch; /* sums, and of squares */
    double n_timed, n_later;
};

static struct halves split(const struct scored *single, const struct scored *batch)
{
    struct halves h = { 0 };

    for (size_t i = 0, j = 0; i < single->n; i++) {
        const double n = single->hits[i].n;

        while (j < batch->n && batch->hits[j].position < single->hits[i].position)
            j++;
        if (j < batch->n && batch->hits[j].position == single->hits[i].position) {
            h.later += n;
            h.later_sq += n * n;
            h.batch += batch->hits[j].n;
            h.n_later++;
        } else {
            h.timed += n;
            h.timed_sq += n * n;
            h.n_timed++;
        }
    }
    return h;
}

/* Adds a note if right answers differ between the passes, over the queries that both passes ran. */
static void note_difference(json_t *step, const struct scored *single, const struct halves *h)
{
    const double most =
        single->most > 0 ? h->n_later * (double)single->most : fmax(h->later, h->batch);

    if (!(fabs(h->later - h->batch) > RECALLS_DIFFER * most))
        return;
    if (single->most > 0)
        add_note(step,
                 "the batch answers differently: recall %.4f, of the same queries one at a time "
                 "%.4f",
                 h->batch / most, h->later / most);
    else
        add_note(step,
                 "the batch answers differently: %.0f right answers, of the same queries one at a "
                 "time %.0f",
                 h->batch, h->later);
}

/* Adds a note if timed queries have other answers than untimed ones, by more than two samples of the
   same queries differ: four standard deviations, and RECALLS_DIFFER. */
static void note_timed(json_t *step, const struct scored *single, const struct halves *h)
{
    const double most = (double)single->most;
    const double timed = h->timed / h->n_timed, later = h->later / h->n_later;
    const double variance = (h->timed_sq / h->n_timed - timed * timed) / h->n_timed +
                            (h->later_sq / h->n_later - later * later) / h->n_later;

    if (most > 0 && fabs(timed - later) > 4 * sqrt(fmax(variance, 0)) + RECALLS_DIFFER * most)
        add_note(step,
                 "timed queries answer differently: recall %.4f, of untimed ones after them %.4f",
                 timed / most, later / most);
}

/* The recall of single queries, each weighed by how often the batch asked it; NAN: none of them is in both. */
static double recall_as_asked(const struct scored *single, const struct scored *batch)
{
    double hits = 0, asked = 0;

    for (size_t i = 0, j = 0; i < batch->n; i++) {
        while (j < single->n && single->hits[j].position < batch->hits[i].position)
            j++;
        if (j == single->n || single->hits[j].position != batch->hits[i].position)
            continue;
        hits += single->hits[j].n;
        asked++;
    }
    return hits / asked / (double)single->most;
}

/* Adds a note if a batch during changes is right less often than the same queries after them. */
static void note_worse_beside_changes(json_t *step, const struct scored *single,
                                      const struct scored *batch)
{
    const double after = recall_as_asked(single, batch);

    if (after - batch->recall > RECALLS_DIFFER)
        add_note(step,
                 "the batch answers differently: recall %.4f during the changes, of queries one at "
                 "a time after them %.4f",
                 batch->recall, after);
}

/* Sets recall.timed, which stands beside latencies, and notes what differs. With one query, it is in
   both passes. */
static void compare_passes(json_t *step, const struct scored *single, const struct scored *batch)
{
    const struct halves h = split(single, batch);
    json_t *recall = json_object_get(step, "recall");

    if (recall && single->most > 0 && h.n_timed > 0)
        (void)json_object_set_new(recall, "timed",
                                  json_real(h.timed / h.n_timed / (double)single->most));
    note_difference(step, single, &h);
    if (h.n_timed > 0 && h.n_later > 0)
        note_timed(step, single, &h);
}

/* The members of `single` are those of the step. */
static void set_scores(json_t *step, json_t *single, const json_t *throughput)
{
    json_t *range = json_object_get(single, "range"), *of;

    if (single)
        (void)json_object_update(step, single);
    if ((of = json_object_get(throughput, "recall")))
        (void)json_object_set(step, "throughput_recall", of);
    if (throughput)
        (void)json_object_set(step, "throughput_wrong_ids",
                              json_object_get(throughput, "wrong_ids"));
    if (range && (of = json_object_get(throughput, "range"))) {
        (void)json_object_set(range, "throughput_recall", json_object_get(of, "recall"));
        (void)json_object_set(range, "throughput_precision", json_object_get(of, "precision"));
    }
}

/* A commit is unsupported if a change that waited for it was. */
static bool lost_change(const struct op_list *list, const json_t *step)
{
    const size_t at = (size_t)field_integer(step, "index", -1);

    return at < list->n && strcmp(field_text(step, "status", "ok"), "unsupported") == 0 &&
           (op_info(list->ops[at].kind)->rows != ROWS_STAY || list->ops[at].kind == OP_COMMIT);
}

void scorer_finish_step(struct scorer *s, json_t *step)
{
    const struct scored *single = &s->scored[PASS_SINGLE], *batch = &s->scored[PASS_THROUGHPUT];

    s->lacks = s->lacks || lost_change(s->list, step);

    if (single->json || batch->json)
        set_scores(step, single->json, batch->json);
    if (single->hits) {
        if (!json_is_object(json_object_get(step, "queries")))
            (void)json_object_set_new(step, "queries", json_object());
        json_t *hits = json_array();
        for (size_t i = 0; i < single->n; i++)
            (void)json_array_append_new(hits, json_integer(single->hits[i].n));
        (void)json_object_set_new(json_object_get(step, "queries"), "hits", hits);
    }
    if (single->json && batch->json && batch->concurrent)
        note_worse_beside_changes(step, single, batch);
    else if (single->json && batch->json)
        compare_passes(step, single, batch);
    forget_scores(s);
}
