/* held.c - a replay that alternates with another one: it runs rounds of a search between the
   rounds of another method. */
#include <string.h>

#include "src/core/rng.h"
#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/verbs.h"

/* A shorter batch is repeated, so that the cost of the clock and of the switch between the two
   processes is small in comparison. */
#define ROUND_SECONDS .02

struct held_search {
    struct query_batch batch;
    struct answer_buffer answers; /* of one call */
    /* All answers of one repetition of the last round, drawn at random: the method cannot know which,
       nor whether they will be scored. */
    struct answer_buffer kept;
    struct rng rng;
    size_t each; /* queries per call: all, or one; 0: the first round is to come */
};

/* Makes one call and adds its time to *total. */
static int call(struct held_search *h, const struct replay_session *r, size_t first,
                uint64_t *total)
{
    answer_buffer_clear(&h->answers, &h->batch);
    h->answers.caught.n = 0;
    const uint64_t start = clock_ns();
    const int rc = query_batch_search(&h->batch, h->batch.queries, first, h->each, &h->answers);

    *total += session_interval_ns(r, start, clock_ns());
    return rc == OK ? answer_buffer_check(&h->answers, &h->batch, first, NULL) : rc;
}

/* Prepares the batch and runs every query once as a warm-up. */
static int open_held(struct held_search *h, struct replay_session *r, const struct op *op,
                     bool single, struct step_record *s)
{
    const void *knobs = r->cell->points[r->env->asked->held_point].knobs;
    uint64_t untimed = 0;
    int rc;

    h->each = single ? 1 : op->rows->n;
    h->rng = rng_at(clock_ns(), r->at);
    session_name_step(r, r->env->asked->held_point);
    rc = query_batch_begin(&h->batch, r, op, NULL, op->rows->n, knobs, s);
    if (rc == OK)
        rc = answer_buffer_make(&h->answers, &h->batch, h->each);
    if (rc == OK)
        rc = answer_buffer_make_kept(&h->kept, &h->batch, h->batch.queries.n);
    for (size_t first = 0; rc == OK && first < h->batch.queries.n; first += h->each)
        rc = call(h, r, first, &untimed);
    return rc;
}

/* Keeps the answers of the call that began at query `first`; outside the clock. */
static int keep(struct held_search *h, const struct replay_session *r, size_t first)
{
    const struct range_catch *now = &h->answers.caught;
    struct range_catch *all = &h->kept.caught;
    const size_t k = h->batch.k;

    memcpy(h->kept.kept + first * k, h->answers.kept, h->each * k * sizeof(uint64_t));
    all->n = first == 0 ? 0 : all->n;
    const int rc = range_catch_reserve(all, all->n + now->n, r->err);
    if (rc == OK && now->n > 0) {
        memcpy(all->found + all->n, now->found, now->n * sizeof *all->found);
        all->n += now->n;
    }
    return rc;
}

static int make_round(struct held_search *h, const struct replay_session *r, double *ns)
{
    const size_t n = h->batch.queries.n;
    uint64_t total = 0;
    size_t times = 0;
    int rc = OK;

    for (; rc == OK && (double)total < ROUND_SECONDS * 1e9; times++) {
        /* The first is kept; each later one takes its place so that all are equally likely. */
        const bool kept = rng_below(&h->rng, times + 1) == 0;

        for (size_t first = 0; rc == OK && first < n; first += h->each) {
            rc = call(h, r, first, &total);
            if (rc == OK && kept)
                rc = keep(h, r, first);
        }
    }
    *ns = (double)total / (double)times / (double)n;
    return rc;
}

static bool can_round(const struct replay_session *r, const struct op *op)
{
    if (op->kind == OP_RANGE)
        return op->rows->n > 0 && r->ops->range;
    return op->kind == OP_SEARCH && op->rows->n > 0 && r->ops->search && !op->cold &&
           !(op->as_of && session_version(r, op->as_of) == VERSION_NONE);
}

int replay_wait_held(struct replay_session *r, bool *run)
{
    const struct op *op = &r->list->ops[r->at];
    enum replay_order order = ORDER_GO_ON;
    struct held_search h = { .each = 0 };
    struct step_record s = { .op = op };
    double ns = NAN;
    int rc;

    while ((rc = r->env->held(r->env->to, ns, &order, r->err)) == OK && order != ORDER_GO_ON) {
        ns = NAN;
        if (!can_round(r, op))
            continue;
        if (order == ORDER_SCORE) { /* drawn by the harness when the round is over */
            rc = h.each > 0 ? answer_buffer_score(&h.kept, &h.batch, PASS_ROUND, 0, op->rows->n)
                            : OK;
        } else {
            if (h.each == 0)
                rc = open_held(&h, r, op, order == ORDER_ROUND_SINGLE, &s);
            if (rc == OK)
                rc = make_round(&h, r, &ns);
        }
        if (rc != OK)
            break;
    }
    if (h.each > 0) {
        answer_buffer_free(&h.kept);
        answer_buffer_free(&h.answers);
        query_batch_end(&h.batch);
    }
    *run = op->kind != OP_SEARCH && op->kind != OP_RANGE;
    return rc;
}
