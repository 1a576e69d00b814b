/* search.c - searches and range searches: some queries run one at a time for latency, the others as
   a batch for throughput. */
#include <string.h>

#include "src/run/measure/folder.h"
#include "src/run/replay/query/answer_buffer.h"
#include "src/run/replay/verbs.h"

/* ---- 1. the passes */

/* State that the passes of one point share. */
struct passes {
    struct query_batch *batch;
    struct step_record *step;
    struct query_shares shares;
    /* Answers of one query, of a range search of one pass; and answers of the whole batch. */
    struct answer_buffer single_answers, batch_answers;
    /* What is scored: of each query the answers of a pass that is drawn at random, of a range search all
       answers of one pass. Of all queries, one at a time, and of the batch. */
    struct answer_buffer found, batch_found;
    struct rng rng;
    struct buffer shuffled; /* the batch's queries in the order of a pass */
    struct query_times times;
};

static int passes_make(struct passes *p, struct query_batch *batch, struct step_record *s,
                       struct query_shares shares)
{
    *p = (struct passes){ .batch = batch, .step = s, .shares = shares, .rng = query_rng() };
    int rc = answer_buffer_make(&p->single_answers, batch, 1);
    if (rc == OK)
        rc = answer_buffer_make(&p->batch_answers, batch, shares.n_batch);
    if (rc == OK)
        rc = answer_buffer_make_kept(&p->found, batch, batch->queries.n);
    return rc == OK ? answer_buffer_make_kept(&p->batch_found, batch, shares.n_batch) : rc;
}

static void passes_free(struct passes *p)
{
    answer_buffer_free(&p->single_answers);
    answer_buffer_free(&p->batch_answers);
    answer_buffer_free(&p->found);
    answer_buffer_free(&p->batch_found);
    buffer_free(&p->shuffled);
    query_times_free(&p->times);
}

/* Whether the answers of pass `number` take the place of those of earlier passes: each pass is as
   likely to stay, and the method cannot know which. */
static bool is_drawn(struct passes *p, size_t number)
{
    return number == 0 || rng_below(&p->rng, number + 1) == 0;
}

/* Of a range search: empties the answers of the pass to come. They have the space that earlier ones
   needed, so that it does not grow while the clock runs. */
static int begin_pass(struct passes *p, struct range_catch *now, const struct range_catch *before)
{
    now->n = 0;
    return range_catch_reserve(now, before->capacity, p->batch->replay->err);
}

static void swap_caught(struct answer_buffer *a, struct answer_buffer *b)
{
    const struct range_catch caught = a->caught;

    a->caught = b->caught;
    b->caught = caught;
}

/* Of a range search: the answers of pass `number` take the place of those of earlier passes, or not. */
static void end_pass(struct passes *p, struct answer_buffer *now, struct answer_buffer *found,
                     size_t number)
{
    if (p->batch->kind == SEARCH_RANGE && is_drawn(p, number))
        swap_caught(now, found);
}

/* Runs query q, and keeps its answers if pass `number` is drawn. *ns: its time; ns may be NULL. */
static int ask_and_keep(struct passes *p, size_t q, size_t number, uint64_t *ns)
{
    struct query_batch *batch = p->batch;
    const struct answer_buffer *one = &p->single_answers;
    const size_t k = batch->k;

    answer_buffer_clear(&p->single_answers, batch);
    if (p->step->cold)
        folder_uncache(batch->replay->state_dir);
    const uint64_t start = clock_ns();
    int rc = query_batch_search(batch, batch->queries, q, 1, &p->single_answers);
    const uint64_t end = clock_ns();

    if (ns)
        *ns = session_interval_ns(batch->replay, start, end);
    session_tick(batch->replay, end, q, batch->queries.n);
    if (rc == OK)
        rc = answer_buffer_check(one, batch, q, NULL);
    if (rc == OK && is_drawn(p, number)) {
        memcpy(p->found.kept + q * k, one->kept, k * sizeof *one->kept);
        memcpy(p->found.kept_distances + q * k, one->kept_distances,
               k * sizeof *one->kept_distances);
    }
    return rc;
}

static int single_pass(void *to, const uint64_t *order, struct timed_pass *pass)
{
    struct passes *p = to;
    struct query_batch *batch = p->batch;
    uint64_t *ns = query_times_begin(&p->times, batch->replay);
    int rc =
        ns ? begin_pass(p, &p->single_answers.caught, &p->found.caught) : batch->replay->err->code;

    const struct time_mark from = time_mark_now();
    for (size_t i = 0; rc == OK && i < p->shares.n_single; i++)
        rc = ask_and_keep(p, order[i], pass->number, &ns[order[i]]);
    step_take_timed(p->step, &from, batch->threads);
    if (rc != OK)
        return rc;
    query_times_end(&p->times, pass);
    step_add_timed(p->step, pass, p->times.n);
    end_pass(p, &p->single_answers, &p->found, pass->number);
    return OK;
}

/* The queries of the batch that run one at a time, timed. */
static int single_passes(struct passes *p)
{
    struct query_batch *batch = p->batch;
    const size_t n = p->shares.n_single;
    struct timing timing = { 0 };

    query_batch_begin_work(batch);
    p->times.n = n;
    int rc = timing_run(&timing, batch->replay, n, p->step->cold, single_pass, p);
    if (rc == OK) {
        step_take_times(batch->replay, p->step, &timing, &p->times);
        step_take_work(p->step, batch->work, batch->shard_work, n * p->times.n_passes);
    }
    timing_free(&timing);
    return rc;
}

static int batch_pass(void *to, const uint64_t *order, struct timed_pass *pass)
{
    struct passes *p = to;
    struct query_batch *batch = p->batch;
    const size_t first = p->shares.first_batch, n = p->shares.n_batch, k = batch->k;
    struct range_catch *now = &p->batch_answers.caught;
    const struct vectors all = session_rows(batch->queries, first, n);
    int rc = gather_items(all.rows, index_row_bytes(all.element, all.dim), order, n, &p->shuffled,
                          batch->replay->err);
    const struct vectors queries = { p->shuffled.bytes, n, all.dim, all.element };

    if (rc == OK) /* the single queries had about as many answers */
        rc = begin_pass(p, now, pass->number == 0 ? &p->found.caught : &p->batch_found.caught);
    if (rc != OK)
        return rc;
    answer_buffer_clear(&p->batch_answers, batch);
    if (p->step->cold)
        folder_uncache(batch->replay->state_dir);
    const struct time_mark from = time_mark_now();
    const uint64_t start = clock_ns();
    rc = query_batch_search(batch, queries, 0, n, &p->batch_answers);
    pass->ns = session_interval_ns(batch->replay, start, clock_ns());
    step_take_timed(p->step, &from, batch->threads);
    step_add_timed(p->step, pass, 0);
    if (rc == OK)
        rc = answer_buffer_check(&p->batch_answers, batch, first, order);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (is_drawn(p, pass->number))
            memcpy(p->batch_found.kept + order[i] * k, p->batch_answers.kept + i * k,
                   k * sizeof(uint64_t));
    for (size_t i = 0; i < now->n; i++)
        now->found[i].query = first + order[now->found[i].query];
    end_pass(p, &p->batch_answers, &p->batch_found, pass->number);
    return rc;
}

static int batch_passes(struct passes *p)
{
    const size_t n = p->shares.n_batch;
    struct timing timing = { 0 };
    int rc = timing_run(&timing, p->batch->replay, n, p->step->cold, batch_pass, p);

    if (rc == OK)
        step_take_batch(p->step, &timing);
    timing_free(&timing);
    return rc == OK ? answer_buffer_score(&p->batch_found, p->batch, PASS_THROUGHPUT,
                                          p->shares.first_batch, n)
                    : rc;
}

/* Runs the queries of the batch one at a time, untimed. Recall then covers all queries, and the two
   kinds of passes can be compared. */
static int remaining_pass(struct passes *p)
{
    const size_t n = p->batch->queries.n, first = p->shares.n_single;
    int rc = OK;

    swap_caught(&p->single_answers, &p->found); /* the answers are added to those drawn */
    const struct time_mark from = time_mark_now();
    for (size_t q = first; rc == OK && q < n; q++)
        rc = ask_and_keep(p, q, 0, NULL);
    step_take_untimed_search(p->step, &from, n - first);
    swap_caught(&p->single_answers, &p->found);
    return rc == OK ? answer_buffer_score(&p->found, p->batch, PASS_SINGLE, 0, n) : rc;
}

/* ---- 2. a point */

/* Records how much of an on-disk index the page cache holds before the clock starts. A cold search
   empties the cache first. */
static void look_at_cache(struct replay_session *r, struct step_record *s)
{
    if (s->op->kind == OP_RANGE)
        return;
    if (!(r->ops->flags & INDEX_ON_DISK)) {
        if (s->op->cold)
            step_note(s, "cold: this method keeps nothing on disk");
        return;
    }
    s->cold = s->op->cold;
    if (s->cold)
        folder_uncache(r->state_dir);
    const double share = folder_cached(r->state_dir);
    step_stat(s, "cached_share", share);
    if (s->cold && share > .05)
        step_note(s, "cold: the page cache keeps %.0f %% of the files all the same", 100 * share);
}

static int run_passes(struct passes *p)
{
    struct replay_session *r = p->batch->replay;
    const bool warmup = r->experiment->warmup && p->batch->warm.n > 0;
    int rc = OK;

    if (warmup) {
        rc = query_batch_warm_up(p->batch, p->step, &p->single_answers);
        p->step->warmup = true;
    }
    if (rc == OK) {
        look_at_cache(r, p->step);
        rc = single_passes(p);
    }
    if (rc == OK)
        rc = batch_passes(p);
    if (rc == OK)
        rc = remaining_pass(p);
    if (rc == OK)
        rc = answer_distances_check(p->batch, p->found.kept, p->found.kept_distances, p->step);
    return rc == OK ? query_batch_probe(p->batch, p->step, p->shares.n_single, &p->single_answers)
                    : rc;
}

/* Runs all passes of one point on the queries at these positions (NULL: all). */
static int search_point(struct replay_session *r, struct step_record *s, const uint64_t *positions,
                        size_t n, const void *knobs)
{
    const struct op *op = s->op;
    struct buffer order = { 0 };
    struct query_batch batch = { 0 };
    struct passes p = { 0 };
    int rc;

    s->count = (double)n;
    step_note_lacks(s, r);
    if (op->kind == OP_RANGE && !r->ops->range)
        return step_unsupported(s, "this method has no range search");
    if (op->kind == OP_SEARCH && !r->ops->search)
        return step_unsupported(s, "this method has no search");
    if (op->as_of && session_version(r, op->as_of) == VERSION_NONE)
        return step_unsupported(s, "this method holds no such version");
    if (op->clusters && !r->ops->cluster)
        return step_unsupported(s, "clusters: this method has no clusters");
    if ((rc = buffer_reserve(&order, (n + 1) * sizeof(uint64_t), r->err)) != OK)
        return rc;
    const struct query_shares shares = query_shares_of(positions, n, order.bytes);
    rc = query_batch_begin(&batch, r, op, order.bytes, n, knobs, s);
    if (rc == OK)
        rc = passes_make(&p, &batch, s, shares);
    if (rc == OK)
        rc = run_passes(&p);
    if (rc == OK && op->clusters)
        rc = replay_answer_clusters(&batch, p.found.kept, s);
    passes_free(&p);
    query_batch_end(&batch);
    buffer_free(&order);
    return step_take_unsupported(s, r, rc);
}

/* ---- 3. calibration: the first point that reaches a recall on the queries at even positions: the
   low end of its interval must, since other queries are to reach it, too */

static int tuning_recall(struct replay_session *r, struct step_record *s, const uint64_t *even,
                         size_t n, const void *knobs, double *recall)
{
    struct query_batch batch = { 0 };
    int rc = query_batch_begin(&batch, r, s->op, even, n, knobs, s);

    if (rc == OK)
        rc = query_batch_score_untimed(&batch, s, PASS_TUNING, recall);
    query_batch_end(&batch);
    return rc;
}

static int calibrate(struct replay_session *r, struct step_record *s, const uint64_t *even,
                     size_t n, size_t *chosen)
{
    const double want = r->cell->method->calibrate_recall;
    double best = -1, recall = NAN;
    size_t tried = 0;
    int rc = OK;

    for (size_t p = 0; rc == OK && p < r->cell->n_points && !(best >= want); p++) {
        rc = tuning_recall(r, s, even, n, r->cell->points[p].knobs, &recall);
        tried++;
        if (rc == OK && recall > best) {
            best = recall;
            *chosen = p;
        }
    }
    const struct point *point = &r->cell->points[*chosen];
    s->calibrated = json_pack("{s:f, s:s, s:O?, s:o, s:b, s:I, s:I}", "recall", want, "point",
                              point->name ? point->name : "", "knobs", point->knobs_json,
                              "tuning_recall", json_number(best), "reached", best >= want,
                              "tuning_queries", (json_int_t)n, "points_tried", (json_int_t)tried);
    return rc;
}

/* Emits one step, for the chosen point, or for the first point if none can be chosen. */
static int search_calibrated(struct replay_session *r, const struct op *op)
{
    const size_t n = op->rows->n, n_even = (n + 1) / 2;
    const bool possible =
        n >= 2 && r->ops->search && !(op->as_of && session_version(r, op->as_of) == VERSION_NONE);
    struct buffer positions = { 0 };
    struct step_record s;
    size_t chosen = 0;
    int rc;

    step_begin(&s, r, op, 0);
    if (!possible)
        return step_finish(&s, r, search_point(r, &s, NULL, n, r->cell->points[0].knobs));
    if ((rc = buffer_reserve(&positions, n * sizeof(uint64_t), r->err)) == OK) {
        uint64_t *even = positions.bytes, *odd = even + n_even;

        for (size_t i = 0; i < n; i++)
            (i % 2 ? odd : even)[i / 2] = i;
        rc = calibrate(r, &s, even, n_even, &chosen);
        if (rc == OK)
            rc = search_point(r, &s, odd, n - n_even, r->cell->points[chosen].knobs);
    }
    buffer_free(&positions);
    return step_finish(&s, r, rc);
}

int replay_search(struct replay_session *r)
{
    const struct op *op = &r->list->ops[r->at];
    int rc = OK;

    if (op->kind == OP_SEARCH && r->cell->method->calibrate_recall > 0)
        return search_calibrated(r, op);
    for (size_t p = 0; rc == OK && p < r->cell->n_points; p++) {
        struct step_record s;

        step_begin(&s, r, op, p);
        rc = step_finish(&s, r, search_point(r, &s, NULL, op->rows->n, r->cell->points[p].knobs));
    }
    return rc;
}

int replay_range(struct replay_session *r)
{
    return replay_search(r);
}
