/* range.c - range searches. They are timed as searches are, but the method delivers each answer
   as it finds it. */
#include <string.h>

#include "src/run/replay/query/range_batch.h"
#include "src/run/replay/query/samples.h"
#include "src/run/replay/verbs.h"

struct passes {
    struct query_batch *batch;
    struct step_record *step;
    struct query_shares shares;
    /* Answers of the pass that runs, and those that are scored: of a pass drawn at random. */
    struct range_catch now, drawn;
    struct rng rng;
    struct buffer shuffled; /* the batch's queries in the order of a pass */
    struct query_times times;
};

/* Lets the answers of pass `number` take the place of those of earlier passes, or not: each pass is
   as likely to stay, and the method cannot know which. */
static void draw(struct passes *p, size_t number)
{
    const struct range_catch now = p->now;

    if (number > 0 && rng_below(&p->rng, number + 1) > 0)
        return;
    p->now = p->drawn;
    p->drawn = now;
}

/* Empties the answers of the pass to come. They have the space that earlier ones needed, so that it
   does not grow while the clock runs. */
static int make_ready(struct passes *p)
{
    p->now.n = 0;
    return p->now.capacity >= p->drawn.capacity || mem_grow(NULL, &p->now.found, &p->now.capacity,
                                                            p->drawn.capacity, sizeof *p->now.found)
               ? OK
               : fail(p->now.err, ERR_NO_MEMORY, "range: out of memory for %zu answers",
                      p->drawn.capacity);
}

static int single_pass(void *to, const uint64_t *order, struct timed_pass *pass)
{
    struct passes *p = to;
    struct query_batch *batch = p->batch;
    uint64_t *ns = query_times_begin(&p->times, batch->replay);
    struct time_mark from;
    int rc = ns ? make_ready(p) : batch->replay->err->code;

    time_mark_take(&from);
    for (size_t i = 0; rc == OK && i < p->times.n; i++) {
        const uint64_t start = clock_ns();

        rc = range_batch_search(batch, &p->now, batch->queries, order[i], 1);
        ns[order[i]] = session_interval_ns(batch->replay, start, clock_ns());
    }
    step_take_timed(p->step, &from, batch->threads);
    if (rc != OK)
        return rc;
    query_times_end(&p->times, pass);
    step_add_timed(p->step, pass, p->times.n);
    draw(p, pass->number);
    return OK;
}

static int single_passes(struct passes *p)
{
    struct query_batch *batch = p->batch;
    const size_t n = p->shares.n_single;
    struct timing timing = { 0 };

    query_batch_begin_work(batch);
    p->times.n = n;
    const int rc = timing_run(&timing, batch->replay, n, false, single_pass, p);
    if (rc == OK) {
        step_take_times(batch->replay, p->step, &timing, &p->times);
        step_take_work(p->step, batch->work, batch->shard_work, n * p->times.n_passes);
    }
    timing_free(&timing);
    return rc;
}

static int ask_warm(void *to, struct query_batch *batch, size_t q)
{
    struct range_catch *c = to;

    c->n = 0;
    return range_batch_search(batch, c, batch->warm, q, 1);
}

/* The warm-up queries also grow the memory that receives the answers. */
static int warm_up(struct passes *p)
{
    struct query_batch *batch = p->batch;
    struct time_mark from;

    p->now.n = 0;
    time_mark_take(&from);
    const int rc = range_batch_search(batch, &p->now, batch->warm, 0, batch->warm.n);
    step_take_untimed_search(p->step, &from, batch->warm.n);
    return rc;
}

/* Runs the queries of the batch one at a time, after the timed single queries, whose answers are in
   p->drawn. */
static int remaining_pass(struct passes *p)
{
    struct query_batch *batch = p->batch;
    struct time_mark from;
    int rc = OK;

    time_mark_take(&from);
    for (size_t q = p->shares.n_single; rc == OK && q < batch->queries.n; q++)
        rc = range_batch_search(batch, &p->drawn, batch->queries, q, 1);
    step_take_untimed_search(p->step, &from, batch->queries.n - p->shares.n_single);
    return rc == OK ? range_batch_score(batch, &p->drawn, PASS_SINGLE, 0, batch->queries.n, NULL)
                    : rc;
}

static int batch_pass(void *to, const uint64_t *order, struct timed_pass *pass)
{
    struct passes *p = to;
    struct query_batch *batch = p->batch;
    const size_t first = p->shares.first_batch, n = p->shares.n_batch;
    struct vectors queries;
    struct time_mark from;
    int rc = query_batch_permute(batch, first, n, order, &p->shuffled, &queries);

    if (rc == OK)
        rc = make_ready(p);
    if (rc != OK)
        return rc;
    time_mark_take(&from);
    const uint64_t start = clock_ns();
    rc = range_batch_search(batch, &p->now, queries, 0, n);
    pass->ns = session_interval_ns(batch->replay, start, clock_ns());
    step_take_timed(p->step, &from, batch->threads);
    step_add_timed(p->step, pass, 0);
    for (size_t i = 0; i < p->now.n; i++)
        p->now.found[i].query = first + order[p->now.found[i].query];
    draw(p, pass->number);
    return rc;
}

/* The batch runs after the single queries, so that the memory for its answers has grown. */
static int batch_passes(struct passes *p)
{
    struct query_batch *batch = p->batch;
    const size_t n = p->shares.n_batch;
    struct timing timing = { 0 };
    int rc = timing_run(&timing, batch->replay, n, false, batch_pass, p);

    if (rc == OK)
        step_take_batch(p->step, &timing);
    timing_free(&timing);
    return rc == OK ? range_batch_score(batch, &p->drawn, PASS_THROUGHPUT, p->shares.first_batch, n,
                                        NULL)
                    : rc;
}

/* The batch runs before its queries run one at a time. */
static int range_passes(struct passes *p)
{
    struct query_batch *batch = p->batch;
    const bool warmup = batch->replay->env->experiment->warmup && batch->warm.n > 0;
    int rc = range_choose_filter(batch, &p->now, p->step);

    p->drawn.live = p->now.live;
    if (rc == OK && warmup) {
        rc = warm_up(p);
        p->step->warmup = true;
    }
    if (rc == OK)
        rc = single_passes(p);
    if (rc != OK)
        return rc;
    const struct range_catch singles = p->drawn;
    range_catch_init(&p->drawn, batch->replay);
    p->drawn.live = singles.live;
    rc = batch_passes(p);
    range_catch_free(&p->drawn);
    p->drawn = singles;
    if (rc == OK)
        rc = remaining_pass(p);
    return rc == OK ? query_batch_probe(batch, p->step, p->shares.n_single, ask_warm, &p->now) : rc;
}

static int range_point(struct replay_session *r, struct step_record *s, const void *knobs)
{
    const size_t n = s->op->rows->n;
    struct buffer order = { 0 };
    struct query_batch batch = { 0 };
    int rc;

    s->count = (double)n;
    step_note_lacks(s, r);
    if (!r->ops->range)
        return step_unsupported(s, "this method has no range search");
    if ((rc = buffer_reserve(&order, (n + 1) * sizeof(uint64_t), r->err)) != OK)
        return rc;
    struct passes p = { .batch = &batch,
                        .step = s,
                        .shares = query_shares_of(NULL, n, order.bytes),
                        .rng = samples_rng() };
    range_catch_init(&p.now, r);
    range_catch_init(&p.drawn, r);
    rc = range_batch_begin(&batch, r, s->op, order.bytes, knobs);
    if (rc == OK)
        rc = range_passes(&p);
    range_catch_free(&p.now);
    range_catch_free(&p.drawn);
    query_times_free(&p.times);
    buffer_free(&p.shuffled);
    query_batch_end(&batch);
    buffer_free(&order);
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
