/* replay_search.c - searches: some queries one at a time for latency, the others as a batch for throughput. */
#include <stdlib.h>
#include <string.h>

#include "replay_state.h"

/* ---- 1. into the step */

void step_set_queries(struct step *s, const char *name, json_t *take)
{
    if (!s->queries)
        s->queries = json_object();
    (void)json_object_set_new(s->queries, name, take);
}

void step_take_times(struct replay *r, struct step *s, const uint64_t *ns, size_t n)
{
    json_t *each = json_array();
    double total = 0;

    for (size_t i = 0; i < n; i++) {
        const uint64_t less = ns[i] > r->clock_cost_ns ? ns[i] - r->clock_cost_ns : 0;

        histogram_add(&r->latency, less);
        total += (double)less;
        (void)json_array_append_new(each, json_integer((json_int_t)less));
    }
    if (n > 0 && total > 0)
        s->single_per_second = (double)n / total * 1e9;
    s->timed_ns += (uint64_t)total;
    s->timed_queries += n;
    s->timed_queries_ns += (uint64_t)total;
    step_set_queries(s, "ns", each);
}

void step_take_work(struct step *s, struct work work, size_t n)
{
    if (n == 0)
        return;
    s->distances = work.distances / (double)n;
    s->estimates = work.estimates / (double)n;
    s->bytes_read = work.bytes_read / (double)n;
    s->scanned =
        work.scanned > 0 || work.distances + work.estimates == 0 ? work.scanned / (double)n : NAN;
}

void step_take_batch(struct replay *r, struct step *s, uint64_t start, uint64_t end, size_t n)
{
    const double ns = (double)interval_ns(r, start, end);

    s->seconds = ns * 1e-9;
    s->timed_ns += (uint64_t)ns;
    if (n > 0 && ns > 0) {
        s->per_second = (double)n / ns * 1e9;
        s->ns_each = ns / (double)n;
    }
}

/* ---- 2. the passes */

/* What the passes of a point share. */
struct passes {
    struct asking *asking;
    struct step *step;
    struct shares shares;
    struct answer_room one, batch; /* of a single query; of all that are asked as a batch */
    struct buffer found;           /* ids of single answers, queries.n x k */
};

static int passes_make(struct passes *p, struct asking *a, struct step *s, struct shares shares)
{
    *p = (struct passes){ .asking = a, .step = s, .shares = shares };
    int rc = room_make(&p->one, a, 1);
    if (rc == OK)
        rc = room_make(&p->batch, a, shares.n_batch);
    if (rc == OK)
        rc =
            buffer_reserve(&p->found, (a->queries.n * a->k + 1) * sizeof(uint64_t), a->replay->err);
    if (rc == OK) /* no page faults later */
        memset(p->found.bytes, 0xff, (a->queries.n * a->k + 1) * sizeof(uint64_t));
    return rc;
}

static void passes_free(struct passes *p)
{
    room_free(&p->one);
    room_free(&p->batch);
    buffer_free(&p->found);
}

/* One query into a room of its own, cleared before; *ns (may be NULL): what it took. */
static int ask_one(struct passes *p, struct vectors of, size_t q, uint64_t *ns)
{
    struct asking *a = p->asking;

    room_clear(&p->one, a);
    if (p->step->cold)
        folder_uncache(a->replay->state_dir);
    const uint64_t start = clock_ns();
    const int rc = asking_search(a, of, q, 1, &p->one);

    if (ns)
        *ns = clock_ns() - start;
    return rc;
}

static int ask_and_keep(struct passes *p, size_t q, uint64_t *ns)
{
    struct asking *a = p->asking;
    int rc = ask_one(p, a->queries, q, ns);

    if (rc == OK)
        rc = room_check(&p->one, a, q);
    if (rc == OK)
        memcpy((uint64_t *)p->found.bytes + q * a->k, p->one.kept, a->k * sizeof(uint64_t));
    return rc;
}

/* Untimed for the figures. */
static int ask_warm(void *to, struct asking *a, size_t q)
{
    return ask_one(to, a->warm, q, NULL);
}

static int warm_up(struct passes *p)
{
    struct asking *a = p->asking;
    struct moment from;
    int rc = OK;

    moment_take(&from);
    for (size_t q = 0; rc == OK && q < a->warm.n / 2; q++)
        rc = ask_warm(p, a, q);
    step_take_untimed_search(p->step, &from, a->warm.n / 2);
    return rc;
}

static int single_pass(struct passes *p)
{
    struct asking *a = p->asking;
    const size_t n = p->shares.n_single;
    struct buffer times = { 0 };
    struct moment from;
    int rc = buffer_reserve(&times, (n + 1) * sizeof(uint64_t), a->replay->err);
    uint64_t *ns = times.bytes;

    if (rc == OK)
        memset(ns, 0, n * sizeof *ns); /* touched before the clock */
    a->work = (struct work){ 0 };
    moment_take(&from);
    for (size_t q = 0; rc == OK && q < n; q++)
        rc = ask_and_keep(p, q, &ns[q]);
    step_take_timed(p->step, &from, a->threads);
    if (rc == OK) {
        step_take_times(a->replay, p->step, ns, n);
        step_take_work(p->step, a->work, n);
    }
    buffer_free(&times);
    return rc;
}

static int batch_pass(struct passes *p)
{
    struct asking *a = p->asking;
    const size_t first = p->shares.first_batch, n = p->shares.n_batch;
    struct moment from;

    room_clear(&p->batch, a);
    if (p->step->cold)
        folder_uncache(a->replay->state_dir);
    moment_take(&from);
    const uint64_t start = clock_ns();
    int rc = asking_search(a, a->queries, first, n, &p->batch);
    step_take_batch(a->replay, p->step, start, clock_ns(), n);
    step_take_timed(p->step, &from, a->threads);
    if (rc == OK)
        rc = room_check(&p->batch, a, first);
    return rc == OK ? asking_score(a, PASS_THROUGHPUT, first, p->batch.kept, n, NULL) : rc;
}

/* The queries of the batch one at a time, untimed: recall is of all queries, and the two passes can be compared. */
static int remaining_pass(struct passes *p)
{
    struct asking *a = p->asking;
    const size_t n = a->queries.n, first = p->shares.n_single;
    struct moment from;
    int rc = OK;

    moment_take(&from);
    for (size_t q = first; rc == OK && q < n; q++)
        rc = ask_and_keep(p, q, NULL);
    step_take_untimed_search(p->step, &from, n - first);
    return rc == OK ? asking_score(a, PASS_SINGLE, 0, p->found.bytes, n, NULL) : rc;
}

/* ---- 3. a point */

/* How much of an index on disk the page cache holds when the clock starts, having been emptied for a
   cold search. */
static void look_at_cache(struct replay *r, struct step *s)
{
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
    struct replay *r = p->asking->replay;
    const bool warmup = r->env->experiment->warmup && p->asking->warm.n > 0;
    int rc = OK;

    if (warmup) {
        rc = warm_up(p);
        p->step->warmup = true;
    }
    if (rc == OK) {
        look_at_cache(r, p->step);
        rc = single_pass(p);
    }
    if (rc == OK && !warmup) /* so that they have been asked when they are compared with new ones */
        rc = warm_up(p);
    if (rc == OK)
        rc = batch_pass(p);
    if (rc == OK)
        rc = remaining_pass(p);
    return rc == OK ? asking_probe(p->asking, p->step, ask_warm, p) : rc;
}

/* All passes of one point over the queries at positions (NULL: all). */
static int search_point(struct replay *r, struct step *s, const uint64_t *positions, size_t n,
                        const void *knobs)
{
    const struct op *op = s->op;
    struct buffer order = { 0 };
    struct asking a = { 0 };
    struct passes p = { 0 };
    int rc;

    s->count = (double)n;
    step_note_lacks(s, r);
    if (!r->ops->search)
        return step_unsupported(s, "this method has no search");
    if (op->as_of && replay_version(r, op->as_of) == VERSION_NONE)
        return step_unsupported(s, "this method holds no such version");
    if ((rc = buffer_reserve(&order, (n + 1) * sizeof(uint64_t), r->err)) != OK)
        return rc;
    const struct shares shares = shares_of(positions, n, order.bytes);
    rc = asking_begin(&a, r, op, order.bytes, n, knobs, s);
    if (rc == OK)
        rc = passes_make(&p, &a, s, shares);
    if (rc == OK)
        rc = run_passes(&p);
    passes_free(&p);
    asking_end(&a);
    buffer_free(&order);
    if (rc == ERR_UNSUPPORTED) {
        step_unsupported(s, r->err->text);
        error_clear(r->err);
        rc = OK;
    }
    return rc;
}

/* ---- 4. calibration: the first point that reaches a recall on the queries at even positions */

static int tuning_recall(struct replay *r, struct step *s, const uint64_t *even, size_t n,
                         const void *knobs, double *recall)
{
    struct answer_room room = { 0 };
    struct asking a = { 0 };
    int rc = asking_begin(&a, r, s->op, even, n, knobs, s);

    if (rc == OK)
        rc = room_make(&room, &a, n);
    if (rc == OK)
        rc = asking_search(&a, a.queries, 0, n, &room);
    if (rc == OK)
        rc = room_check(&room, &a, 0);
    if (rc == OK)
        rc = asking_score(&a, PASS_TUNING, 0, room.kept, n, recall);
    room_free(&room);
    asking_end(&a);
    return rc;
}

static int calibrate(struct replay *r, struct step *s, const uint64_t *even, size_t n,
                     size_t *chosen)
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

/* Whether there is anything to tune by. */
static bool can_calibrate(const struct replay *r, const struct op *op)
{
    return op->rows->n >= 2 && r->ops->search &&
           !(op->as_of && replay_version(r, op->as_of) == VERSION_NONE);
}

/* One step, whichever point it is of; at the first where none can be chosen. */
static int search_calibrated(struct replay *r, const struct op *op)
{
    const size_t n = op->rows->n, n_even = (n + 1) / 2;
    struct buffer room = { 0 };
    struct step s;
    size_t chosen = 0;
    int rc;

    step_begin(&s, r, op, 0);
    if (!can_calibrate(r, op))
        return step_finish(&s, r, search_point(r, &s, NULL, n, r->cell->points[0].knobs));
    if ((rc = buffer_reserve(&room, n * sizeof(uint64_t), r->err)) == OK) {
        uint64_t *even = room.bytes, *odd = even + n_even;

        for (size_t i = 0; i < n; i++)
            (i % 2 ? odd : even)[i / 2] = i;
        rc = calibrate(r, &s, even, n_even, &chosen);
        if (rc == OK)
            rc = search_point(r, &s, odd, n - n_even, r->cell->points[chosen].knobs);
    }
    buffer_free(&room);
    return step_finish(&s, r, rc);
}

int replay_search(struct replay *r)
{
    const struct op *op = &r->list->ops[r->at];
    int rc = OK;

    if (r->cell->method->calibrate_recall > 0)
        return search_calibrated(r, op);
    for (size_t p = 0; rc == OK && p < r->cell->n_points; p++) {
        struct step s;

        step_begin(&s, r, op, p);
        rc = step_finish(&s, r, search_point(r, &s, NULL, op->rows->n, r->cell->points[p].knobs));
    }
    return rc;
}
