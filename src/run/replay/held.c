/* held.c - a replay that alternates with another one: it runs rounds of a search between the
   rounds of another method. */
#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/query/range_batch.h"
#include "src/run/replay/verbs.h"

/* A shorter batch is repeated, so that the cost of the clock and of the switch between the two
   processes is small in comparison. */
#define ROUND_SECONDS .02

struct held_search {
    struct query_batch batch;
    struct answer_buffer answers; /* of one call; a range search uses `caught` */
    struct range_catch caught;
    size_t each; /* queries per call: all, or one */
    bool range;  /* it is a range search */
    bool open;   /* the batch exists, since the first round */
};

static int ask(struct held_search *h, size_t first)
{
    h->caught.n = 0;
    return h->range ? range_batch_search(&h->batch, &h->caught, h->batch.queries, first, h->each)
                    : query_batch_search(&h->batch, h->batch.queries, first, h->each, &h->answers);
}

static int open_range(struct held_search *h, struct replay_session *r, const struct op *op,
                      const void *knobs, struct step_record *s)
{
    int rc;

    range_catch_init(&h->caught, r);
    rc = range_batch_begin(&h->batch, r, op, NULL, knobs);
    if (rc == OK)
        rc = range_choose_filter(&h->batch, &h->caught, s);
    return rc == OK
               ? range_batch_search(&h->batch, &h->caught, h->batch.queries, 0, h->batch.queries.n)
               : rc;
}

/* Prepares the batch and runs every query once as a warm-up. */
static int open_held(struct held_search *h, struct replay_session *r, const struct op *op,
                     bool single, struct step_record *s)
{
    const void *knobs = r->cell->points[r->env->held_point].knobs;
    int rc;

    h->open = true;
    h->range = op->kind == OP_RANGE;
    h->each = single ? 1 : op->rows->n;
    if (h->range)
        return open_range(h, r, op, knobs, s);
    rc = query_batch_begin(&h->batch, r, op, NULL, op->rows->n, knobs, s);
    if (rc == OK)
        rc = answer_buffer_make(&h->answers, &h->batch, h->each);
    for (size_t first = 0; rc == OK && first < h->batch.queries.n; first += h->each)
        rc = ask(h, first);
    return rc;
}

static void close_held(struct held_search *h)
{
    range_catch_free(&h->caught);
    answer_buffer_free(&h->answers);
    query_batch_end(&h->batch);
}

/* Makes one timed call and adds its time to *total. */
static int call(struct held_search *h, const struct replay_session *r, size_t first,
                uint64_t *total)
{
    if (!h->range)
        answer_buffer_clear(&h->answers, &h->batch);
    const uint64_t start = clock_ns();
    const int rc = ask(h, first);

    *total += session_interval_ns(r, start, clock_ns());
    return rc == OK && !h->range ? answer_buffer_check(&h->answers, &h->batch, first) : rc;
}

static int make_round(struct held_search *h, const struct replay_session *r, double *ns)
{
    const size_t n = h->batch.queries.n;
    uint64_t total = 0;
    size_t times = 0;
    int rc = OK;

    for (; rc == OK && (double)total < ROUND_SECONDS * 1e9; times++)
        for (size_t first = 0; rc == OK && first < n; first += h->each)
            rc = call(h, r, first, &total);
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
    struct held_search h = { .open = false };
    struct step_record s = { .op = op };
    double ns = NAN;
    int rc;

    while ((rc = r->env->held(r->env->to, r->at, ns, &order, r->err)) == OK &&
           order != ORDER_GO_ON) {
        ns = NAN;
        if (!can_round(r, op))
            continue;
        if (!h.open)
            rc = open_held(&h, r, op, order == ORDER_ROUND_SINGLE, &s);
        if (rc == OK)
            rc = make_round(&h, r, &ns);
        if (rc != OK)
            break;
    }
    if (h.open)
        close_held(&h);
    *run = op->kind != OP_SEARCH && op->kind != OP_RANGE;
    return rc;
}
