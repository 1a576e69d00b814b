/* policy.c - the policy method.maintain: when the index is maintained or built again. */
#include <math.h>
#include <string.h>

#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/verbs.h"
#include "src/truth/recall.h"
#include "src/truth/scan.h"

static const struct maintain_policy *policy_of(const struct replay_session *r)
{
    return &r->cell->method->maintain;
}

bool replay_has_policy(const struct replay_session *r, const struct op *op)
{
    const char *tag = policy_of(r)->tag;

    return tag && op->kind == OP_MAINTAIN && strcmp(tag, op_tag(op)) == 0;
}

/* ---- 1. changes that are left out */

bool replay_leaves_out(const struct replay_session *r, const struct op *op)
{
    return policy_of(r)->leaves_out && !replay_has_policy(r, op) &&
           (op_changes_rows(op) || op->kind == OP_TRAIN || op->kind == OP_MAINTAIN);
}

void replay_count_deleted(struct replay_session *r, const struct op *op)
{
    const enum op_rows rows = op_info(op->kind)->rows;

    if (rows == ROWS_GO || rows == ROWS_CHANGE || op->removes)
        r->deleted_since += op->n;
}

int replay_leave_out(struct replay_session *r, struct step_record *s)
{
    r->left_out = true;
    s->count = (double)s->op->n;
    step_note(s, "left to the next rebuild: maintain = { changes = false }");
    return OK;
}

int replay_refuse_stale(struct replay_session *r, const struct op *op)
{
    if (!r->left_out || !(op_info(op->kind)->flags & OP_ASKS))
        return OK;
    return fail(
        r->err, ERR_CONFIG,
        "\"%s\" would ask an index that lacks the changes before it: maintain = { changes = "
        "false } leaves them to the steps \"%s\"; record w:maintain { tag = \"%s\" } before it",
        op_tag(op), policy_of(r)->tag, policy_of(r)->tag);
}

/* ---- 2. the probe */

struct probe {
    struct replay_session *r;
    const struct op *op; /* the search whose queries are asked */
    struct query_batch batch;
    struct answer_buffer answers;
    struct truth truth;
    struct buffer rows; /* the queries as the data have them */
    struct vectors queries;
};

static const struct op *probe_op(const struct replay_session *r)
{
    for (size_t i = 0; i < r->list->n; i++)
        if (strcmp(op_tag(&r->list->ops[i]), policy_of(r)->probe) == 0)
            return &r->list->ops[i];
    return NULL; /* the config's names are checked */
}

static int probe_prepare(struct probe *p, struct step_record *s)
{
    const void *knobs = p->r->cell->points[0].knobs;
    const size_t n = p->op->rows->n;
    int rc = query_batch_begin(&p->batch, p->r, p->op, NULL, n, knobs, s);

    if (rc == OK)
        rc = answer_buffer_make(&p->answers, &p->batch, n);
    if (rc == OK)
        rc = gather_view(p->op->rows, 0, n, p->r->list->element, false, &p->rows, &p->queries,
                         p->r->err);
    return rc;
}

static int take_truth(struct probe *p, const struct neighbours *known)
{
    struct truth *t = &p->truth;

    t->ids = mem_array(NULL, t->n_queries * t->k + 1, sizeof *t->ids);
    t->distances = mem_array(NULL, t->n_queries * t->k + 1, sizeof *t->distances);
    if (!t->ids || !t->distances)
        return fail(p->r->err, ERR_NO_MEMORY, "out of memory for the truth of a probe");
    for (size_t i = 0; i < t->n_queries * t->k; i++) {
        const struct neighbours *of = &known[i / t->k];
        const bool has = i % t->k < of->n;

        t->ids[i] = has ? of->items[i % t->k].id : INDEX_NO_ID;
        t->distances[i] = has ? (float)of->items[i % t->k].distance : INFINITY;
    }
    return OK;
}

/* The exact neighbours of the probe's queries, by a scan of all live rows. */
static int probe_scan(struct probe *p)
{
    struct replay_session *r = p->r;
    const size_t n = p->queries.n, live = r->now.live.n;
    struct exact_scan scan = {
        .at = &r->now, .kernels = r->index_env.kernels, .pool = r->pool, .queries = p->queries.rows
    };
    uint64_t *ids = mem_array(NULL, live + 1, sizeof *ids);
    uint32_t *which = mem_array(NULL, n + 1, sizeof *which);
    struct neighbours *known = mem_array(NULL, n + 1, sizeof *known);
    int rc = ids && which && known
                 ? OK
                 : fail(r->err, ERR_NO_MEMORY, "out of memory for the truth of a probe");

    for (size_t i = 0; rc == OK && i < n; i++) {
        which[i] = (uint32_t)i;
        known[i] = (struct neighbours){ .horizon = HORIZON_NONE };
    }
    p->truth = (struct truth){ .n_queries = n, .k = p->op->k, .available = live };
    if (rc == OK) {
        (void)live_state_ids(&r->now, NULL, 0, ids);
        rc = scan_rows(&scan, ids, live, which, n, known, p->op->k, r->err);
        if (rc == OK)
            rc = take_truth(p, known);
        for (size_t i = 0; i < n; i++)
            mem_free(NULL, known[i].items);
    }
    mem_free(NULL, ids);
    mem_free(NULL, which);
    mem_free(NULL, known);
    return rc;
}

static void probe_end(struct probe *p)
{
    query_batch_end(&p->batch);
    answer_buffer_free(&p->answers);
    buffer_free(&p->rows);
    mem_free(NULL, p->truth.ids);
    mem_free(NULL, p->truth.distances);
}

/* Asks the probe's queries, and finds their true neighbours: both are timed, as the policy needs them. */
static int probe_recall(struct replay_session *r, struct step_record *s, double *recall)
{
    struct probe p = { .r = r, .op = probe_op(r) };
    struct score score = { 0 };
    int rc = probe_prepare(&p, s);

    if (rc == OK) {
        answer_buffer_clear(&p.answers, &p.batch);
        const uint64_t start = clock_ns();
        rc = query_batch_search(&p.batch, p.batch.queries, 0, p.batch.queries.n, &p.answers);
        if (rc == OK)
            rc = probe_scan(&p);
        s->seconds = clock_seconds(session_interval_ns(r, start, clock_ns()));
    }
    if (rc == OK)
        rc = answer_buffer_check(&p.answers, &p.batch, 0, NULL);
    if (rc == OK) {
        const struct score_context context = { &r->now, p.op, &p.truth, p.queries.rows };

        rc = score_search(&score, &context, NULL, p.queries.n, p.answers.kept, 1, r->err);
    }
    if (rc == OK) {
        *recall = score.mean;
        step_stat(s, "probe_recall", score.mean);
        step_stat(s, "probe_seconds", s->seconds);
        score_free(&score);
    }
    probe_end(&p);
    return rc;
}

/* ---- 3. the decision */

static int is_due(struct replay_session *r, struct step_record *s, bool *due)
{
    const struct maintain_policy *p = policy_of(r);
    double recall = NAN;
    int rc = OK;

    *due = true;
    if (p->every)
        *due = r->steps_since >= p->every;
    if (p->deleted > 0)
        *due = (double)r->deleted_since >= p->deleted * (double)r->now.live.n;
    if (p->recall > 0 && r->now.live.n > 0 && (rc = probe_recall(r, s, &recall)) == OK)
        *due = recall < p->recall;
    return rc;
}

int replay_by_policy(struct replay_session *r, struct step_record *s)
{
    double probed;
    bool due;

    r->steps_since++;
    s->seconds = 0;
    int rc = is_due(r, s, &due);
    if (rc != OK)
        return rc;
    step_stat(s, "due", due);
    if (!due)
        return OK;
    r->steps_since = r->deleted_since = 0;
    r->left_out = false;
    probed = s->seconds;
    rc = policy_of(r)->rebuilds ? replay_rebuild(r, s) : replay_maintain(r, s);
    s->seconds += probed;
    return rc;
}
