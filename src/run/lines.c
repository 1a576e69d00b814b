/* lines.c - reads a cell's lines and checks that the harness's code wrote them, with steps in the
   plan's order. Scores its answers while the cell waits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/table.h"
#include "src/core/append_text.h"
#include "src/core/mem.h"
#include "src/data/readers/bytes.h"
#include "src/run/watch.h"

/* ---- 1. steps, in the plan's order */

static bool is_asked_at_points(const struct cell_watch *w, size_t op)
{
    const struct op_list *list = w->env->experiment->ops;

    return op < list->n && (op_info(list->ops[op].kind)->flags & OP_AT_POINTS);
}

/* How many steps an operation has. A calibrated search has one, with point 0. */
static size_t steps_of(const struct cell_watch *w, size_t op)
{
    const struct op_list *list = w->env->experiment->ops;
    const bool calibrated =
        w->cell->method->calibrate_recall > 0 && op < list->n && list->ops[op].kind == OP_SEARCH;

    return is_asked_at_points(w, op) && !calibrated ? w->cell->n_points : 1;
}

static void forged(struct cell_watch *w, const char *what)
{
    watch_end_as(w, "failed",
                 "the method's process sent a record that the harness did not write: %s", what);
}

static void take_step(struct cell_watch *w, json_t *line)
{
    json_t *step = json_object_get(line, "step");
    const json_t *point = json_object_get(line, "point");
    const size_t op = (size_t)field_integer(step, "index", -1);
    const bool points = is_asked_at_points(w, op);

    if (strcmp(field_text(step, "status", ""), "failed") != 0)
        w->call[0] = '\0';
    if (!cell_records_searches(w->env)) {
        json_decref(w->last_step);
        w->last_step = json_incref(step);
        return;
    }
    if (op != w->next_op || json_is_null(point) == points ||
        (points && (size_t)json_integer_value(point) != w->next_point)) {
        forged(w, "a step out of order");
        return;
    }
    if (++w->next_point >= steps_of(w, op)) {
        w->next_op++;
        w->next_point = 0;
    }
    scorer_finish_step(&w->scorer, step);
    (void)json_array_append(w->steps, line);
}

/* share: done of the operation; rate: rows or queries per second. NAN: not known. */
static void show_progress(const struct cell_watch *w, double share, double rate)
{
    const struct op_list *list = w->env->experiment->ops;
    char what[160] = "finishing", text[32];

    if (!w->env->progress)
        return;
    if (w->step < list->n) {
        const struct op *op = &list->ops[w->step];
        (void)snprintf(what, 100, "%s%s%s", op_name(op->kind), op->tag ? " " : "",
                       op->tag ? op->tag : "");
        table_number(rate, text, sizeof text);
        if (!isnan(rate))
            append_text(what, sizeof what, ", ", "%s/s", text);
        if (!isnan(w->recall))
            append_text(what, sizeof what, ", ", "recall %.3f", w->recall);
    }
    w->env->progress(w->env->to, w->cell, w->step < list->n ? w->step : list->n - 1, list->n, what,
                     share);
}

static void take_begin(struct cell_watch *w, const json_t *begin)
{
    w->step = (size_t)json_integer_value(json_object_get(begin, "step"));
    w->point = (size_t)field_integer(begin, "point", -1);
    w->call[0] = '\0';
    w->ticked = 0;
    w->ticked_ns = clock_ns();
    show_progress(w, NAN, NAN);
}

static void take_tick(struct cell_watch *w, const json_t *line)
{
    const double done = field_number(line, "tick"), of = field_number(line, "of");
    const uint64_t now = clock_ns();
    /* Fewer than before: another pass has begun. */
    const double rate =
        done >= w->ticked ? 1e9 * (done - w->ticked) / (double)(now - w->ticked_ns) : NAN;

    w->ticked = done;
    w->ticked_ns = now;
    show_progress(w, fmin(1, fmax(0, done / of)), isfinite(rate) ? rate : NAN);
}

/* ---- 2. answers */

void watch_reply(struct cell_watch *w, json_t *json_taken)
{
    char *text = json_dumps(json_taken, JSON_COMPACT);
    const size_t n = text ? strlen(text) : 0;

    json_decref(json_taken);
    if (!text)
        return;
    text[n] = '\n';                           /* replaces the terminator */
    (void)bytes_put(w->replies, text, n + 1); /* an error means that the cell has ended */
    free(text);
}

/* Stores the answers, those of a search with their distances. Without memory for the distances they
   are stored without. */
static void keep_answers(struct cell_watch *w, struct answers *a)
{
    const struct op *op = &w->env->experiment->ops->ops[a->op];
    const bool with = w->kept.path && op->kind == OP_SEARCH && a->pass == PASS_SINGLE;
    float *distances = with ? mem_array(NULL, a->n_ids + 1, sizeof *distances) : NULL;
    struct error err = { 0 };

    if (distances && scorer_distances(&w->scorer, a, distances, &err) == OK)
        a->distances = distances;
    answers_file_write(&w->kept, a, op->k, w->point);
    a->distances = NULL;
    mem_free(NULL, distances);
}

static void score_words(struct cell_watch *w)
{
    struct answers *a = &w->answers;
    struct error err = { 0 };
    double recall;

    answers_file_place(a, w->words.bytes);
    const int code = scorer_take(&w->scorer, a, &recall, &err);
    if (code == OK && isfinite(recall))
        w->recall = recall;
    if (code == OK && (a->pass == PASS_SINGLE || a->pass == PASS_CLUSTERS))
        keep_answers(w, a);
    buffer_free(&w->words);
    w->wanted_bytes = w->taken_bytes = 0;
    watch_reply(w, json_pack("{s:i, s:o, s:o}", "code", code, "error", quote_json(err.text),
                             "recall", json_measured(recall)));
}

static void take_answers(struct cell_watch *w, const json_t *json)
{
    const struct op_list *list = w->env->experiment->ops;
    const long long op = field_integer(json, "op", -1), n = field_integer(json, "queries", -1);
    const long long ids = field_integer(json, "ids", -1);
    const bool range = json_is_true(json_object_get(json, "range"));
    const size_t most = SIZE_MAX / 64;
    static const uint64_t none;

    if (op < 0 || (size_t)op >= list->n || (size_t)op != w->step || n < 0 || ids < 0 ||
        (size_t)n > most || (size_t)ids > most) {
        forged(w, "answers that belong to no operation");
        return;
    }
    w->answers = (struct answers){ .pass = (enum pass)field_integer(json, "pass", PASSES),
                                   .op = (size_t)op,
                                   .concurrent = json_is_true(json_object_get(json, "concurrent")),
                                   .n = (size_t)n,
                                   .n_ids = (size_t)ids,
                                   .starts = range ? &none : NULL };
    w->wanted_bytes = answers_file_words(&w->answers) * sizeof(uint64_t);
    w->taken_bytes = 0;
    if (buffer_reserve(&w->words, w->wanted_bytes + 1, w->err) != OK) {
        watch_end_as(w, "out-of-memory", "out of memory for %lld answers", ids);
        w->wanted_bytes = 0;
    } else if (w->wanted_bytes == 0) {
        score_words(w);
    }
}

/* Takes bytes that belong to the present answers; returns how many. */
static size_t take_words(struct cell_watch *w, const char *bytes, size_t n)
{
    const size_t left = w->wanted_bytes - w->taken_bytes, used = n < left ? n : left;

    memcpy((char *)w->words.bytes + w->taken_bytes, bytes, used);
    w->taken_bytes += used;
    if (w->taken_bytes == w->wanted_bytes)
        score_words(w);
    return used;
}

/* ---- 3. lines */

void watch_take_json(struct cell_watch *w, json_t *line)
{
    json_t *of;

    if ((of = json_object_get(line, "begin"))) {
        take_begin(w, of);
    } else if (json_object_get(line, "call")) {
        (void)snprintf(w->call, sizeof w->call, "%s", field_text(line, "call", ""));
    } else if (json_object_get(line, "tick")) {
        take_tick(w, line);
    } else if (json_object_get(line, "step")) {
        take_step(w, line);
    } else if ((of = json_object_get(line, "answers"))) {
        take_answers(w, of);
    } else if ((of = json_object_get(line, "ready"))) {
        w->ready = true;
        w->round_ns = field_number(of, "ns");
    } else if ((of = json_object_get(line, "facts"))) {
        w->facts = json_incref(of);
    } else if ((of = json_object_get(line, "end"))) {
        w->end = json_incref(of);
    } else if ((of = json_object_get(line, "pid"))) {
        w->child = (pid_t)json_integer_value(of);
    } else if ((of = json_object_get(line, "ended"))) {
        w->state = (int)json_integer_value(of);
        w->all_seconds = field_number(line, "all_seconds");
        w->ended = true;
    } else {
        (void)json_array_extend(w->left, json_object_get(line, "left"));
        (void)json_array_extend(w->outside, json_object_get(line, "outside"));
        (void)json_array_extend(w->temporary, json_object_get(line, "temporary"));
    }
}

static void take_line(struct cell_watch *w, const char *text, size_t n)
{
    enum { SHOWN = 60 };
    char shown[SHOWN + 1];

    if (n <= CELL_KEY_BYTES || text[CELL_KEY_BYTES] != ' ' ||
        memcmp(text, w->channel.key, CELL_KEY_BYTES) != 0) {
        (void)snprintf(shown, sizeof shown, "%.*s", (int)(n < SHOWN ? n : SHOWN), text);
        forged(w, shown);
        return;
    }
    json_t *line = json_loadb(text + CELL_KEY_BYTES + 1, n - CELL_KEY_BYTES - 1, 0, NULL);
    if (line)
        watch_take_json(w, line);
    json_decref(line);
}

/* Takes bytes up to the end of a line, which stay in `pending` until it is whole. Returns how many. */
static size_t take_text(struct cell_watch *w, const char *bytes, size_t n)
{
    const char *end = memchr(bytes, '\n', n);
    const size_t used = end ? (size_t)(end - bytes) + 1 : n;

    if (!mem_grow(NULL, &w->pending, &w->pending_capacity, w->pending_n + used, 1))
        return n;
    memcpy(w->pending + w->pending_n, bytes, used);
    w->pending_n += used;
    if (end) {
        const size_t length = w->pending_n - 1;
        w->pending_n = 0;
        take_line(w, w->pending, length);
    }
    return used;
}

void watch_take_lines(struct cell_watch *w, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;)
        at += w->wanted_bytes > 0 ? take_words(w, bytes + at, n - at)
                                  : take_text(w, bytes + at, n - at);
}

void watch_take_tail(struct cell_watch *w, const char *bytes, size_t n)
{
    if (n >= TAIL_BYTES) {
        bytes += n - TAIL_BYTES;
        n = TAIL_BYTES;
    }
    const size_t keep = w->tail_n + n > TAIL_BYTES ? TAIL_BYTES - n : w->tail_n;
    memmove(w->tail, w->tail + w->tail_n - keep, keep);
    memcpy(w->tail + keep, bytes, n);
    w->tail_n = keep + n;
    w->tail[w->tail_n] = '\0';
}
