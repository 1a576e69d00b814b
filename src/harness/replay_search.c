/* replay_search.c - searches: answers one query at a time for latency, then as a batch for
   throughput. */
#include <string.h>

#include "replay_state.h"

/* ---- 1. asking: a set of queries, and the room for their answers */

enum { MOST_EXTRA = 1000 }; /* answers over-fetched to make up for dead ones */

/* The ids an answer may have, where the index alone would give others. */
static int make_filter(struct asking *a, struct error *err)
{
    const struct replay *r = a->replay;
    const struct op *op = a->op;
    const bool dead = r->cell->method->deletes == DELETES_FILTER && !op->as_of &&
                      r->checked.live.n > r->now.live.n;
    const size_t words = r->list->n_ids / 64 + 1;

    if ((!op->filter_bits || a->kind == ASK_WHERE) && !dead)
        return OK;
    a->filter = &a->own_filter;
    a->own_filter = (struct id_filter){ op->filter_bits, op->filter_ids };
    if (!dead)
        return OK;
    const int rc = buffer_reserve(&a->bits, words * sizeof(uint64_t), err);
    if (rc != OK)
        return rc;
    uint64_t *bits = a->bits.bytes;
    for (size_t w = 0; w < words; w++)
        bits[w] = w < (r->list->n_ids + 63) / 64 ? r->now.live.bits[w] : 0;
    for (size_t w = 0; op->filter_bits && w < words; w++)
        bits[w] &= w < (op->filter_ids + 63) / 64 ? op->filter_bits[w] : 0;
    a->own_filter = (struct id_filter){ bits, op->filter_bits && op->filter_ids < r->list->n_ids
                                                  ? op->filter_ids
                                                  : r->list->n_ids };
    return OK;
}

static int make_room(struct asking *a, struct error *err)
{
    const size_t n = a->queries.n * a->k, more = a->queries.n * a->k_fetched;
    int rc = buffer_reserve(&a->room, n * (sizeof *a->ids + sizeof *a->distances), err);

    if (rc != OK)
        return rc;
    a->ids = a->room.bytes;
    a->distances = (float *)(void *)(a->ids + n);
    memset(a->room.bytes, 0xff,
           n * (sizeof *a->ids + sizeof *a->distances)); /* touched: no page faults later */
    if (a->k_fetched == a->k)
        return OK;
    rc = buffer_reserve(&a->more, more * (sizeof *a->ids + sizeof *a->distances), err);
    if (rc == OK) {
        a->more_ids = a->more.bytes;
        a->more_distances = (float *)(void *)(a->more_ids + more);
    }
    return rc;
}

/* More answers in place of a filter; the dead among them will be dropped. */
static int fetch_more(struct asking *a, size_t k_fetched)
{
    a->filter = NULL;
    a->k_fetched = k_fetched;
    return make_room(a, a->replay->err);
}

/* One query, to learn whether the method takes the filter; where it does not, or shall not, more
   answers are fetched. */
static int settle_filter(struct asking *a, struct step *s)
{
    struct replay *r = a->replay;
    const size_t dead = r->checked.live.n - r->now.live.n, times = r->cell->method->overfetch;

    if (!a->filter || a->queries.n == 0)
        return OK;
    if (times > 0 && dead > 0 && !a->op->filter_bits) {
        step_note(s, "overfetch: %zu answers were fetched for k = %zu and the dead dropped",
                  times * a->k, a->k);
        return fetch_more(a, times * a->k);
    }
    const int rc = asking_search(a, 0, 1);
    a->work = (struct work){ 0 };
    if (rc != ERR_UNSUPPORTED || a->op->filter_bits)
        return rc;
    error_clear(r->err);
    const size_t k_fetched = a->k + (dead < MOST_EXTRA ? dead : MOST_EXTRA);
    step_note(s,
              "no filter in this method: %zu answers were fetched for k = %zu and the dead dropped",
              k_fetched, a->k);
    return fetch_more(a, k_fetched);
}

/* A range of attributes goes to the method where it keeps them itself and all its rows are live. */
static void choose_kind(struct asking *a)
{
    const struct op *op = a->op;

    a->kind = op->as_of                                         ? ASK_AS_OF
              : op->where && replay_keeps_attributes(a->replay) ? ASK_WHERE
                                                                : ASK_NOW;
    a->range = (struct attribute_range){ op->low, op->high };
    if (op->as_of)
        a->version = replay_version(a->replay, op->as_of);
}

static void note_kind(const struct asking *a, struct step *s)
{
    if (a->kind == ASK_WHERE)
        step_note(s, "where: by the method's own attributes");
    else if (a->op->where)
        step_note(s, "where: as a filter by ids");
}

static int admit_asking(struct asking *a)
{
    const struct search_request request = { a->queries, a->k, a->knobs, a->filter, a->threads };
    struct checked *checked = &a->replay->checked;

    switch (a->kind) {
        case ASK_AS_OF: return index_admit_as_of(checked, &request);
        case ASK_WHERE: return index_admit_where(checked, &request, a->range);
        default: return index_admit_search(checked, &request);
    }
}

int asking_open(struct asking *a, struct replay *r, const struct op *op, const uint64_t *positions,
                size_t n, const void *knobs)
{
    int rc;

    *a = (struct asking){ .replay = r,
                          .op = op,
                          .knobs = knobs,
                          .k = op->k,
                          .k_fetched = op->k,
                          .threads = r->env->threads };
    choose_kind(a);
    rc = positions ? gather_positions(op->rows, positions, n, r->cell->element, unit_rows(r),
                                      &a->rows, &a->queries, r->err)
                   : gather_view(op->rows, 0, n, r->cell->element, unit_rows(r), &a->rows,
                                 &a->queries, r->err);
    return rc == OK ? make_filter(a, r->err) : rc;
}

int asking_begin(struct asking *a, struct replay *r, const struct op *op, const uint64_t *positions,
                 size_t n, const void *knobs, struct step *s)
{
    int rc = asking_open(a, r, op, positions, n, knobs);

    note_kind(a, s);
    if (rc == OK)
        rc = admit_asking(a);
    if (rc == OK)
        rc = make_room(a, r->err);
    return rc == OK ? settle_filter(a, s) : rc;
}

void asking_end(struct asking *a)
{
    buffer_free(&a->rows);
    buffer_free(&a->room);
    buffer_free(&a->more);
    buffer_free(&a->bits);
}

/* The first k live of k_fetched answers. */
static void drop_dead(struct asking *a, size_t first, size_t n)
{
    const struct live_set *live = &a->replay->now.live;

    for (size_t q = first; q < first + n; q++) {
        const uint64_t *from = a->more_ids + q * a->k_fetched;
        const float *from_distances = a->more_distances + q * a->k_fetched;
        size_t kept = 0;

        for (size_t i = 0; i < a->k_fetched && kept < a->k; i++)
            if (live_has(live, from[i])) {
                a->ids[q * a->k + kept] = from[i];
                a->distances[q * a->k + kept++] = from_distances[i];
            }
        for (; kept < a->k; kept++) {
            a->ids[q * a->k + kept] = ID_NONE;
            a->distances[q * a->k + kept] = INFINITY;
        }
    }
}

int asking_search(struct asking *a, size_t first, size_t n)
{
    const size_t row_bytes = element_row_bytes(a->queries.element, a->queries.dim);
    const bool more = a->k_fetched > a->k;
    const struct search_request request = { { (const char *)a->queries.rows + first * row_bytes, n,
                                              a->queries.dim, a->queries.element },
                                            a->k_fetched,
                                            a->knobs,
                                            a->filter,
                                            a->threads };
    struct search_result result = { (more ? a->more_ids : a->ids) + first * a->k_fetched,
                                    (more ? a->more_distances : a->distances) +
                                        first * a->k_fetched,
                                    a->work };
    const struct index_ops *ops = a->replay->ops;
    struct index *index = a->replay->checked.index;
    const int rc = a->kind == ASK_NOW ? ops->search(index, &request, &result)
                   : a->kind == ASK_AS_OF
                       ? ops->txn->search_as_of(index, a->version, &request, &result)
                       : ops->attributes->search(index, &request, a->range, &result);

    a->work = result.work;
    if (more && rc == OK)
        drop_dead(a, first, n);
    return rc;
}

/* ---- 2. scoring */

static json_t *score_json(const struct score *s, size_t k)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "k", (json_int_t)k, "mean", json_number(s->mean),
                     "min", json_number(s->min), "low", json_number(s->low), "high",
                     json_number(s->high));
}

json_t *score_hits_json(const struct score *s)
{
    json_t *hits = json_array();

    for (size_t i = 0; i < s->n; i++)
        (void)json_array_append_new(hits, json_integer(s->hits[i]));
    return hits;
}

void step_set_queries(struct step *s, const char *name, json_t *take)
{
    if (!s->queries)
        s->queries = json_object();
    (void)json_object_set_new(s->queries, name, take);
}

/* The judge needs the operation's queries in the data's own element, not as the method got them. */
int judge_begin(struct judge *j, struct replay *r, const struct op *op, struct buffer *room)
{
    struct vectors queries;
    const int rc =
        gather_view(op->rows, 0, op->rows->n, r->list->element, false, room, &queries, r->err);

    *j =
        (struct judge){ holding_of(&r->now, op), op, &r->env->oracle->truths[r->at], queries.rows };
    return rc;
}

static int score_answers(struct asking *a, const uint64_t *positions, struct score *score)
{
    struct replay *r = a->replay;
    struct buffer room = { 0 };
    struct judge judge;
    int rc = judge_begin(&judge, r, a->op, &room);

    if (rc == OK)
        rc = score_search(score, &judge, positions, a->queries.n, a->ids, r->env->experiment->seed,
                          r->err);
    buffer_free(&room);
    return rc;
}

int asking_score(struct asking *a, const uint64_t *positions, struct step *s)
{
    struct score score;
    const int rc = score_answers(a, positions, &score);

    if (rc != OK)
        return rc;
    s->recall = score_json(&score, a->k);
    s->wrong_ids = score.wrong_ids;
    step_set_queries(s, "hits", score_hits_json(&score));
    score_free(&score);
    return OK;
}

/* ---- 3. the passes */

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
    if (n > 0 && ns > 0) {
        s->per_second = (double)n / ns * 1e9;
        s->ns_each = ns / (double)n;
    }
}

static int single_pass(struct asking *a, struct step *s)
{
    const size_t n = a->queries.n;
    struct buffer times = { 0 };
    int rc = buffer_reserve(&times, n * sizeof(uint64_t), a->replay->err);
    uint64_t *ns = times.bytes;

    if (rc == OK)
        memset(ns, 0, n * sizeof *ns); /* touched before the clock */
    a->work = (struct work){ 0 };
    for (size_t q = 0; rc == OK && q < n; q++) {
        if (s->cold)
            folder_uncache(a->replay->state_dir);
        const uint64_t start = clock_ns();

        rc = asking_search(a, q, 1);
        ns[q] = clock_ns() - start;
    }
    if (rc == OK) {
        step_take_times(a->replay, s, ns, n);
        step_take_work(s, a->work, n);
    }
    buffer_free(&times);
    return rc;
}

/* Answers of a batch may differ from those of single queries, with threads or with a peer's
   shortcuts: then their recall is told too. */
static int batch_pass(struct asking *a, struct step *s, const uint64_t *positions)
{
    const size_t bytes = a->queries.n * a->k * sizeof *a->ids;
    struct buffer before = { 0 };
    struct score score;
    int rc = buffer_reserve(&before, bytes, a->replay->err);

    if (rc != OK)
        return rc;
    memcpy(before.bytes, a->ids, bytes);
    if (s->cold)
        folder_uncache(a->replay->state_dir);
    const uint64_t start = clock_ns();
    rc = asking_search(a, 0, a->queries.n);
    step_take_batch(a->replay, s, start, clock_ns(), a->queries.n);
    if (rc == OK && memcmp(before.bytes, a->ids, bytes) != 0) {
        rc = score_answers(a, positions, &score);
        if (rc == OK) {
            step_stat(s, "batch_recall", score.mean);
            score_free(&score);
        }
        memcpy(a->ids, before.bytes, bytes);
    }
    buffer_free(&before);
    return rc;
}

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

/* All passes of one point over the queries at positions (NULL: all). */
static int search_point(struct replay *r, struct step *s, const uint64_t *positions, size_t n,
                        const void *knobs)
{
    const struct op *op = s->op;
    struct asking a = { 0 };
    int rc;

    s->count = (double)n;
    if (!r->ops->search)
        return step_unsupported(s, "this method has no search");
    if (op->as_of && replay_version(r, op->as_of) == VERSION_NONE)
        return step_unsupported(s, "this method holds no such version");
    rc = asking_begin(&a, r, op, positions, n, knobs, s);
    if (rc == OK && r->env->experiment->warmup && n > 0) {
        rc = asking_search(&a, 0, n < WARMUP_QUERIES ? n : WARMUP_QUERIES);
        s->warmup = true;
    }
    if (rc == OK) {
        look_at_cache(r, s);
        rc = single_pass(&a, s);
    }
    if (rc == OK)
        rc = batch_pass(&a, s, positions);
    if (rc == OK)
        rc = asking_score(&a, positions, s);
    asking_end(&a);
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
    struct asking a = { 0 };
    struct score score;
    int rc = asking_begin(&a, r, s->op, even, n, knobs, s);

    if (rc == OK)
        rc = asking_search(&a, 0, n);
    if (rc == OK && (rc = score_answers(&a, even, &score)) == OK) {
        *recall = score.mean;
        score_free(&score);
    }
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

static int search_calibrated(struct replay *r, const struct op *op)
{
    const size_t n = op->rows->n, n_even = (n + 1) / 2;
    struct buffer room = { 0 };
    struct step s;
    size_t chosen = 0;
    int rc;

    step_begin(&s, r, op, 0);
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

    if (r->cell->method->calibrate_recall > 0 && op->rows->n >= 2 && r->ops->search &&
        !(op->as_of && replay_version(r, op->as_of) == VERSION_NONE))
        return search_calibrated(r, op);
    for (size_t p = 0; rc == OK && p < r->cell->n_points; p++) {
        struct step s;

        step_begin(&s, r, op, p);
        rc = step_finish(&s, r, search_point(r, &s, NULL, op->rows->n, r->cell->points[p].knobs));
    }
    return rc;
}
