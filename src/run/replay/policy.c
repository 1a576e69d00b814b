/* policy.c - the policy method.maintain: when the index is maintained or built again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/rng.h"
#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/verbs.h"
#include "src/truth/exact.h"
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
           (op_changes_rows(op) || op->kind == OP_COMMIT || op->kind == OP_TRAIN ||
            op->kind == OP_MAINTAIN);
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

/* Whether the operation reads the index: answers, files or statistics. */
static bool reads_index(const struct op *op)
{
    return (op_info(op->kind)->flags & OP_ASKS) || op->kind == OP_SAVE || op->kind == OP_RELOAD ||
           op->kind == OP_RECOVER || op->kind == OP_INSPECT || op->kind == OP_CHECKPOINT ||
           op->kind == OP_SNAPSHOT;
}

int replay_refuse_stale(struct replay_session *r, const struct op *op)
{
    if (!r->left_out || !reads_index(op))
        return OK;
    return fail(
        r->err, ERR_CONFIG,
        "\"%s\" would read an index that lacks the changes before it: maintain = { changes = "
        "false } leaves them to the steps \"%s\"; record w:maintain { tag = \"%s\" } before it",
        op_tag(op), policy_of(r)->tag, policy_of(r)->tag);
}

/* ---- 2. the probe */

/* A probe keeps this many times k of the scanned rows, the nearest to each query. */
enum { KEPT_TIMES = 8 };

struct probe {
    struct replay_session *r;
    const struct op *op; /* the search whose queries are asked */
    struct query_batch batch;
    struct answer_buffer answers;
    struct buffer rows; /* the queries as the data have them */
    struct vectors queries;
    double share;             /* of the live rows that are scanned */
    struct mem_group memory;  /* of the following */
    uint64_t *ids;            /* space for all live rows */
    uint32_t *which;          /* the numbers of the queries */
    struct neighbours *found; /* of each query: the nearest of the scanned rows */
    struct neighbour *own;    /* k answers of one query */
    void *row;                /* space for one, if the data are not in memory */
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
        rc = gather_view(p->op->rows, NULL, n, p->r->list->element, false, &p->rows, &p->queries,
                         p->r->err);
    p->ids = mem_group_array(&p->memory, p->r->now.live.n, sizeof *p->ids);
    p->which = mem_group_array(&p->memory, n, sizeof *p->which);
    p->found = mem_group_array(&p->memory, n, sizeof *p->found);
    p->own = mem_group_array(&p->memory, p->op->k, sizeof *p->own);
    p->row = mem_group_array(&p->memory, 1, index_row_bytes(p->r->list->element, p->r->list->dim));
    for (size_t i = 0; p->which && p->found && i < n; i++) {
        p->which[i] = (uint32_t)i;
        p->found[i] = (struct neighbours){ .horizon = HORIZON_NONE };
    }
    return rc == OK && p->memory.failed
               ? fail(p->r->err, ERR_NO_MEMORY, "out of memory for a probe of %zu queries", n)
               : rc;
}

static void probe_end(struct probe *p)
{
    for (size_t i = 0; !p->memory.failed && i < p->op->rows->n; i++)
        mem_free(NULL, p->found[i].items);
    mem_group_free(&p->memory);
    query_batch_end(&p->batch);
    answer_buffer_free(&p->answers);
    buffer_free(&p->rows);
}

/* Keeps each of n ids with the probability `share`; returns how many. */
static size_t sample(uint64_t *ids, size_t n, double share, uint64_t seed)
{
    struct rng rng = rng_at(seed, 0);
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (share >= 1 || rng_unit(&rng) < share)
            ids[kept++] = ids[i];
    return kept;
}

/* The nearest of the live rows, or of a random share of them, to each query. */
static int probe_scan(struct probe *p)
{
    struct replay_session *r = p->r;
    const size_t live = r->now.live.n;
    struct exact_scan scan = {
        .at = &r->now, .kernels = r->index_env.kernels, .pool = r->pool, .queries = p->queries.rows
    };

    (void)live_state_ids(&r->now, NULL, 0, p->ids);
    return scan_rows(&scan, p->ids, sample(p->ids, live, p->share, r->cell->seed + r->at), p->which,
                     p->queries.n, p->found, KEPT_TIMES * p->op->k, r->err);
}

static bool is_among(const struct neighbour *of, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (of[i].id == id)
            return true;
    return false;
}

/* The live answers to a query, each once, with their exact distances, nearest first. */
static int own_answers(struct probe *p, size_t query, size_t *n)
{
    const struct op_list *list = p->r->list;
    const size_t bytes = index_row_bytes(list->element, list->dim);
    const void *q = (const char *)p->queries.rows + query * bytes;
    int rc = OK;

    *n = 0;
    for (size_t i = 0; rc == OK && i < p->op->k; i++) {
        const uint64_t id = p->answers.kept[query * p->op->k + i];
        const void *row;

        if (!live_has(&p->r->now.live, id) || is_among(p->own, *n, id))
            continue;
        if (!(row = live_state_row(&p->r->now, id, p->row, p->r->err)))
            rc = p->r->err->code;
        else
            p->own[(*n)++] =
                (struct neighbour){ exact_distance(list->metric, list->element, q, row, list->dim),
                                    id };
    }
    qsort(p->own, *n, sizeof *p->own, scan_order);
    return rc;
}

/* The recall of one query: the share of its answers that are at most at the k-th distance. For that, answers and
   scanned rows that were not answered are merged by distance until they stand for k rows: an answer for itself, a row
   that was missed for 1 / share. */
static double recall_of(const struct probe *p, size_t query, size_t n_own)
{
    const struct neighbours *found = &p->found[query];
    const size_t live = p->r->now.live.n, k = p->op->k < live ? p->op->k : live;
    double total = 0, last = -HUGE_VAL;
    size_t right = 0;

    for (size_t a = 0, m = 0; total < (double)k && (a < n_own || m < found->n);) {
        const bool own =
            m == found->n || (a < n_own && p->own[a].distance <= found->items[m].distance);

        last = own ? p->own[a].distance : found->items[m].distance;
        if (own)
            total++;
        else if (!is_among(p->own, n_own, found->items[m].id))
            total += 1 / p->share;
        a += own;
        m += !own;
    }
    for (size_t a = 0; a < n_own; a++)
        right += p->own[a].distance <= last + 1e-6 * fabs(last); /* what rounding may move */
    return k > 0 ? (double)right / (double)k : NAN;
}

/* About how many rows are as near as the farthest of the n_own answers to a query, of those kept. */
static double rows_within(const struct probe *p, size_t query, size_t n_own)
{
    const struct neighbours *found = &p->found[query];
    double rows = (double)n_own;

    for (size_t m = 0; n_own > 0 && m < found->n; m++)
        if (found->items[m].distance < p->own[n_own - 1].distance &&
            !is_among(p->own, n_own, found->items[m].id))
            rows += 1 / p->share;
    return rows;
}

/* Asks the probe's queries and scans the rows: both are timed, as the policy needs them. */
static int probe_recall(struct replay_session *r, struct step_record *s, double *recall)
{
    struct probe p = { .r = r, .op = probe_op(r), .share = policy_of(r)->sample };
    int rc = probe_prepare(&p, s);
    double sum = 0, answered = 0, within = 0;

    if (rc == OK) {
        answer_buffer_clear(&p.answers, &p.batch);
        const uint64_t start = clock_ns();
        rc = query_batch_search(&p.batch, p.batch.queries, 0, p.batch.queries.n, &p.answers);
        if (rc == OK)
            rc = answer_buffer_check(&p.answers, &p.batch, 0, NULL);
        if (rc == OK)
            rc = probe_scan(&p);
        for (size_t i = 0; rc == OK && i < p.queries.n; i++) {
            size_t n = 0;

            if ((rc = own_answers(&p, i, &n)) != OK)
                break;
            sum += recall_of(&p, i, n);
            answered += (double)n;
            within += rows_within(&p, i, n);
        }
        s->seconds = clock_seconds(session_interval_ns(r, start, clock_ns()));
    }
    if (rc == OK) {
        *recall = sum / (double)p.queries.n;
        step_stat(s, "probe_recall", *recall);
        step_stat(s, "probe_counted", answered / within);
        step_stat(s, "probe_seconds", s->seconds);
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
    if (p->recall > 0 && r->now.live.n > 0)
        rc = probe_recall(r, s, &recall);
    if (p->recall > 0)
        *due = recall < p->recall; /* not without rows */
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
