/* range.c - range searches. They are timed as searches are, but the method delivers each answer
   as it finds it. */
#include <string.h>

#include "src/run/replay/query/range_batch.h"
#include "src/run/replay/verbs.h"

struct passes {
    struct query_batch *batch;
    struct step_record *step;
    struct range_catch *found;
    struct query_shares shares;
};

static int pass_singles(struct passes *p)
{
    struct query_batch *batch = p->batch;
    const size_t n = p->shares.n_single;
    struct buffer times = { 0 };
    struct time_mark from;
    int rc = buffer_reserve(&times, (n + 1) * sizeof(uint64_t), batch->replay->err);
    uint64_t *ns = times.bytes;

    p->found->n = 0;
    if (rc == OK)
        memset(ns, 0, n * sizeof *ns);
    batch->work = (struct work){ 0 };
    time_mark_take(&from);
    for (size_t q = 0; rc == OK && q < n; q++) {
        const uint64_t start = clock_ns();

        rc = range_batch_search(batch, p->found, batch->queries, q, 1);
        ns[q] = clock_ns() - start;
    }
    step_take_timed(p->step, &from, batch->threads);
    if (rc == OK) {
        step_take_times(batch->replay, p->step, ns, n);
        step_take_work(p->step, batch->work, n);
    }
    buffer_free(&times);
    return rc;
}

static int ask_warm(void *to, struct query_batch *batch, size_t q)
{
    struct range_catch *c = to;

    c->n = 0;
    return range_batch_search(batch, c, batch->warm, q, 1);
}

/* The warm-up queries also grow the memory that receives the answers. */
static int warm_up(const struct passes *p)
{
    struct query_batch *batch = p->batch;
    struct time_mark from;

    time_mark_take(&from);
    const int rc = range_batch_search(batch, p->found, batch->warm, 0, batch->warm.n / 2);
    step_take_untimed_search(p->step, &from, batch->warm.n / 2);
    return rc;
}

/* Runs the queries of the batch one at a time, after the timed single queries. The answers of those
   are still in p->found. */
static int pass_remaining(const struct passes *p)
{
    struct query_batch *batch = p->batch;
    struct time_mark from;
    int rc = OK;

    time_mark_take(&from);
    for (size_t q = p->shares.n_single; rc == OK && q < batch->queries.n; q++)
        rc = range_batch_search(batch, p->found, batch->queries, q, 1);
    step_take_untimed_search(p->step, &from, batch->queries.n - p->shares.n_single);
    return rc == OK ? range_batch_score(batch, p->found, PASS_SINGLE, 0, batch->queries.n, NULL)
                    : rc;
}

static int pass_batch(const struct passes *p)
{
    struct query_batch *batch = p->batch;
    const size_t first = p->shares.first_batch, n = p->shares.n_batch;
    struct time_mark from;

    p->found->n = 0;
    time_mark_take(&from);
    const uint64_t start = clock_ns();
    const int rc = range_batch_search(batch, p->found, batch->queries, first, n);
    step_take_batch(batch->replay, p->step, start, clock_ns(), n);
    step_take_timed(p->step, &from, batch->threads);
    return rc == OK ? range_batch_score(batch, p->found, PASS_THROUGHPUT, first, n, NULL) : rc;
}

/* The batch runs before its queries run one at a time. */
static int range_passes(struct passes *p)
{
    struct query_batch *batch = p->batch;
    const bool warmup = batch->replay->env->experiment->warmup && batch->warm.n > 0;
    struct range_catch singles = { 0 };
    int rc = range_choose_filter(batch, p->found, p->step);

    if (rc == OK && warmup) {
        rc = warm_up(p);
        p->step->warmup = true;
    }
    if (rc == OK)
        rc = pass_singles(p);
    if (rc == OK && !warmup && batch->warm.n > 0) {
        const size_t n = p->found->n;
        rc = warm_up(p);
        p->found->n = n;
    }
    if (rc != OK)
        return rc;
    singles = *p->found;
    *p->found = (struct range_catch){
        .live = singles.live, .known = singles.known, .metric = singles.metric, .err = singles.err
    };
    /* Starts with the capacity that the single queries needed. */
    if (!mem_grow(NULL, &p->found->found, &p->found->capacity, singles.capacity + 1,
                  sizeof *singles.found))
        rc = fail(singles.err, ERR_NO_MEMORY, "range: out of memory for %zu answers", singles.n);
    if (rc == OK)
        rc = pass_batch(p);
    mem_free(NULL, p->found->found);
    *p->found = singles;
    if (rc == OK)
        rc = pass_remaining(p);
    return rc == OK ? query_batch_probe(batch, p->step, ask_warm, p->found) : rc;
}

static int range_point(struct replay_session *r, struct step_record *s, const void *knobs)
{
    const size_t n = s->op->rows->n;
    struct range_catch c;
    struct buffer order = { 0 };
    struct query_batch batch = { 0 };
    int rc;

    range_catch_init(&c, r);
    s->count = (double)n;
    step_note_lacks(s, r);
    if (!r->ops->range)
        return step_unsupported(s, "this method has no range search");
    if ((rc = buffer_reserve(&order, (n + 1) * sizeof(uint64_t), r->err)) != OK)
        return rc;
    struct passes p = { &batch, s, &c, query_shares_of(NULL, n, order.bytes) };
    rc = range_batch_begin(&batch, r, s->op, order.bytes, knobs);
    if (rc == OK)
        rc = range_passes(&p);
    query_batch_end(&batch);
    buffer_free(&order);
    range_catch_free(&c);
    return step_take_unsupported(s, r, rc);
}

int replay_range(struct replay_session *r)
{
    const struct op *op = &r->list->ops[r->at];
    int rc = OK;

    for (size_t p = 0; rc == OK && p < r->cell->n_points; p++) {
        struct step_record s;

        step_begin(&s, r, op, p);
        rc = step_finish(&s, r, range_point(r, &s, r->cell->points[p].knobs));
    }
    return rc;
}
