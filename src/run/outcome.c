/* outcome.c - makes the status, the error and the JSON of a cell that has ended. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "src/base/clock.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/core/append_text.h"
#include "src/run/crash.h"
#include "src/run/watch.h"

void watch_end_as(struct cell_watch *w, const char *status, const char *format, ...)
{
    va_list args;

    if (w->status)
        return;
    va_start(args, format);
    (void)vsnprintf(w->cause, sizeof w->cause, format, args);
    va_end(args);
    w->status = status;
    w->ending_ns = clock_ns();
    if (w->guard > 0) /* 0: the cell is in this process (cell.h) */
        (void)kill(w->guard, SIGTERM);
}

/* Whether a step of every operation and point has been received. */
static bool has_all_steps(const struct cell_watch *w)
{
    return w->next_op > w->env->experiment->ops->n;
}

/* "check() after operation 4 (search ask, config line 9, nprobe=8): ", or what of it is known. A tuned search
   tries several points. */
static void where_text(const struct cell_watch *w, char *text, size_t bytes)
{
    const struct op_list *list = w->env->experiment->ops;
    const struct op *op = w->step < list->n ? &list->ops[w->step] : NULL;
    const struct cell *cell = w->cell;
    const bool of_point =
        w->point < cell->n_points && cell->n_points > 1 && cell->method->calibrate_recall <= 0;

    text[0] = '\0';
    if (w->call[0])
        append_text(text, bytes, "", "%s()%s", w->call,
                    op                   ? " after "
                    : w->step == list->n ? " at the end: "
                                         : ": ");
    if (op)
        append_text(text, bytes, "", "operation %zu (%s%s%s, %s line %d%s%s): ", w->step + 1,
                    op_name(op->kind), op->tag ? " " : "", op->tag ? op->tag : "", op_file(op),
                    op->line, of_point ? ", " : "", of_point ? cell->points[w->point].name : "");
}

const char *watch_outcome(const struct cell_watch *w, char *error, size_t bytes)
{
    char where[600];
    const char *status = w->status;

    where_text(w, where, sizeof where);
    error[0] = '\0';
    if (status) {
        (void)snprintf(error, bytes, "%s%s", where, w->cause);
    } else if (w->end) {
        const int code = (int)json_integer_value(json_object_get(w->end, "code"));

        status = code == OK                ? "ok"
                 : code == ERR_NO_MEMORY   ? "out-of-memory"
                 : code == ERR_UNSUPPORTED ? "unsupported"
                                           : "failed";
        if (code != OK) {
            const char *reason = field_text(w->end, "error", "");
            if (*reason)
                (void)snprintf(error, bytes, "%s%s (%s)", where, reason, error_name(code));
            else
                (void)snprintf(error, bytes,
                               "%sthe method returned %d (%s) without a reason; call "
                               "fail(env->error, ...) before it returns a code other than OK "
                               "(src/core/error.h)",
                               where, code, error_name(code));
        } else if (cell_records_searches(w->env) && !has_all_steps(w)) {
            status = "failed";
            (void)snprintf(error, bytes,
                           "the process ended without an error, but operation %zu has no record",
                           w->next_op + 1);
        }
    } else {
        status = "failed";
        if (WIFSIGNALED(w->state))
            (void)snprintf(error, bytes, "%skilled by %s", where,
                           crash_signal_name(WTERMSIG(w->state)));
        else
            (void)snprintf(error, bytes, "%sthe process ended with status %d and sent no result",
                           where, WIFEXITED(w->state) ? WEXITSTATUS(w->state) : -1);
    }
    if (error[0] && w->tail_n > 0)
        append_text(error, bytes, "\n", "%s", w->tail);
    return status;
}

/* Steps of one point: its own, and those that all points share. */
static json_t *steps_of_point(const struct cell_watch *w, size_t point)
{
    json_t *steps = json_array(), *line;
    size_t i;

    json_array_foreach(w->steps, i, line) {
        const json_t *of = json_object_get(line, "point");
        const bool shared = json_is_null(of);

        if (!shared && (size_t)json_integer_value(of) != point)
            continue;
        json_t *step = json_copy(json_object_get(line, "step"));
        (void)json_object_set_new(step, "shared", json_boolean(shared && point > 0));
        (void)json_array_append_new(steps, step);
    }
    return steps;
}

static json_t *object_or_empty(json_t *borrowed)
{
    return borrowed ? json_incref(borrowed) : json_object();
}

/* Adds "WHAT: NAME, NAME and 3 more" if there are names. */
static void add_warning(json_t *warnings, const char *what, const json_t *names)
{
    enum { NAMED = 8 };
    const size_t n = json_array_size(names);
    char text[2000];

    if (n == 0)
        return;
    (void)snprintf(text, sizeof text, "%s", what);
    for (size_t i = 0; i < n && i < NAMED; i++)
        append_text(text, sizeof text, i ? ", " : ": ", "%.200s",
                    json_string_value(json_array_get(names, i)));
    if (n > NAMED)
        append_text(text, sizeof text, "", " and %zu more", n - NAMED);
    (void)json_array_append_new(warnings, quote_json(text));
}

/* The processor time and threads of the cell's process, over all its steps. */
struct effort {
    double timed, untimed, cpu, children; /* seconds; children: used by its child processes */
    double threads; /* the largest number, without those of libraries at the start */
};

/* changes: only of the steps that make the index, without searches, whose long time would hide it. */
static struct effort effort_of(const struct cell_watch *w, bool changes)
{
    const double own = field_number(w->end, "own_seconds");
    const double before = fmax(1, field_number(w->facts, "threads_before"));
    struct effort e = { .children = NAN, .threads = fmax(1, (double)w->threads - before + 1) };
    json_t *line;
    size_t i;

    json_array_foreach(w->steps, i, line) {
        const json_t *step = json_object_get(line, "step");
        const enum op_kind op = op_named(field_text(step, "op", ""));

        if (changes && op != OP_TRAIN &&
            (op_info(op)->rows == ROWS_STAY || op_info(op)->flags & OP_THREADS))
            continue;
        e.timed += fmax(0, field_number(step, "timed_seconds"));
        e.untimed += fmax(0, field_number(step, "untimed_seconds"));
        e.cpu += fmax(0, field_number(step, "cpu_seconds"));
    }
    /* Ranks that the harness started for the method work within timed calls, too. */
    if (!changes && isfinite(own) && isfinite(w->all_seconds) &&
        !(field_number(w->end, "ranks") > 0)) {
        e.children = fmax(0, w->all_seconds - own);
        e.untimed += e.children;
    }
    return e;
}

/* Untimed seconds of the last step, which reads all tables and checks all invariants
   after the last operation. */
static double after_the_end(const struct cell_watch *w)
{
    const json_t *last = json_array_get(w->steps, json_array_size(w->steps) - 1);

    return has_all_steps(w)
               ? fmax(0, field_number(json_object_get(last, "step"), "untimed_seconds"))
               : 0;
}

static void warn_of_untimed(json_t *warnings, const struct cell_watch *w)
{
    const double worth_s = .25;
    const struct effort e = effort_of(w, false), changes = effort_of(w, true);
    const double untimed = e.untimed - after_the_end(w);
    json_t *text = NULL;

    if (changes.untimed > worth_s && changes.untimed > changes.timed)
        text = json_sprintf("spent %.3g s outside the timed calls of train, insert, update and "
                            "delete and %.3g s inside: in create, stats, memory, check or threads "
                            "between them",
                            changes.untimed, changes.timed);
    else if (untimed > worth_s && untimed > e.timed)
        text = json_sprintf("spent %.3g s outside the timed calls and %.3g s inside: in create, "
                            "stats, memory, check and first searches, in threads between the "
                            "operations, or in child processes (%.3g s)",
                            untimed, e.timed, isfinite(e.children) ? e.children : 0);
    if (text)
        (void)json_array_append_new(warnings, text);
}

/* Repeats notes of steps that say of answers what a rate or a recall beside them does not: of each tag the
   first, as all points and a series have the same fault. */
static void warn_of_answers(json_t *warnings, const struct cell_watch *w)
{
    static const char *const said[] = { "the batch answers differently",
                                        "distances are not those" };
    enum { NAMED = 3 };
    json_t *named = json_object(), *line;
    char text[600];
    size_t i;

    json_array_foreach(w->steps, i, line) {
        const json_t *step = json_object_get(line, "step");
        const char *note = field_text(step, "note", ""), *tag = field_text(step, "tag", "");

        for (size_t j = 0; j < sizeof said / sizeof *said; j++) {
            const char *at = strstr(note, said[j]);

            (void)snprintf(text, sizeof text, "%zu %s", j, tag);
            if (!at || json_object_get(named, text) || json_object_size(named) == NAMED)
                continue;
            (void)json_object_set_new(named, text, json_true());
            (void)snprintf(text, sizeof text, "%s %s: %.*s", field_text(step, "op", ""), tag,
                           (int)strcspn(at, ";"), at);
            (void)json_array_append_new(warnings, quote_json(text));
        }
    }
    json_decref(named);
}

/* Deleted, unknown and repeated ids. They cost recall, which does not say why. */
static void warn_of_wrong_ids(json_t *warnings, const struct cell_watch *w)
{
    double wrong = 0;
    const char *tag = NULL;
    char text[300];
    json_t *line;
    size_t i;

    json_array_foreach(w->steps, i, line) {
        const json_t *step = json_object_get(line, "step");
        const double of_step = fmax(0, field_number(step, "wrong_ids")) +
                               fmax(0, field_number(step, "throughput_wrong_ids"));

        if (of_step > 0 && !tag)
            tag = field_text(step, "tag", field_text(step, "op", ""));
        wrong += of_step;
    }
    if (!tag)
        return;
    (void)snprintf(text, sizeof text,
                   "%.0f answers are ids that were deleted, filtered out, repeated or never "
                   "inserted (wrong_ids), first in \"%.100s\"",
                   wrong, tag);
    (void)json_array_append_new(warnings, quote_json(text));
}

static json_t *warnings_of(const struct cell_watch *w)
{
    json_t *warnings = json_array();

    add_warning(warnings, "processes still running at the end of the cell, now killed", w->left);
    add_warning(warnings, "written outside the cell's folder, and not measured", w->outside);
    add_warning(warnings, "new temporary files, by the method or by another program", w->temporary);
    add_warning(warnings, "answers of other cells were opened, by the method or by another program",
                w->read);
    warn_of_untimed(warnings, w);
    if (field_number(w->end, "left_bytes") > 0)
        (void)json_array_append_new(
            warnings, json_sprintf("%.0f bytes of env->mem were still allocated after destroy()",
                                   field_number(w->end, "left_bytes")));
    if (*field_text(w->end, "changed", ""))
        (void)json_array_append_new(
            warnings, json_sprintf("changed the %s of its process, which the harness had set",
                                   field_text(w->end, "changed", "")));
    warn_of_answers(warnings, w);
    warn_of_wrong_ids(warnings, w);
    return warnings;
}

static json_t *cell_json(const struct cell_watch *w, size_t p, bool calibrated, const char *status,
                         const char *error, double seconds)
{
    const struct cell *cell = w->cell;
    const struct point *point = p < cell->n_points ? &cell->points[p] : NULL;
    const struct effort e = effort_of(w, false);
    char name[256];

    if (calibrated)
        plan_build_part(cell, name, sizeof name);
    else
        (void)snprintf(name, sizeof name, "%s", point && point->name ? point->name : "");
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:o, s:o, s:s, s:b, s:b, s:f, s:o, "
        "s:o, s:f, s:f, s:f, s:o, s:I}",
        "label", cell->method->label, "point", name, "method", cell->method->name, "params",
        object_or_empty(cell->params_json), "knobs",
        calibrated || !point ? json_object() : object_or_empty(point->knobs_json), "repeat",
        (json_int_t)cell->repeat, "seed", (json_int_t)cell->seed, "status", status, "error",
        error[0] ? quote_json(error) : json_null(), "warnings", warnings_of(w), "element",
        index_element_name(cell->element), "widened", cell->widened, "no_simd",
        (cell->method->ops->flags & INDEX_NO_SIMD) != 0, "cell_seconds", seconds, "process",
        w->facts ? json_incref(w->facts) : json_null(), "steps", steps_of_point(w, p),
        "timed_seconds", e.timed, "untimed_seconds", e.untimed, "cpu_seconds", e.cpu,
        "children_seconds", json_measured(e.children), "threads_used", (json_int_t)e.threads);
}

json_t *watch_cells(const struct cell_watch *w, const char *status, const char *error)
{
    const bool calibrated = w->cell->method->calibrate_recall > 0;
    const size_t n = calibrated || w->cell->n_points == 0 ? 1 : w->cell->n_points;
    const double seconds = w->began_ns ? clock_seconds(clock_ns() - w->began_ns) : 0;
    json_t *cells = json_array();

    for (size_t p = 0; p < n; p++)
        (void)json_array_append_new(cells, cell_json(w, p, calibrated, status, error, seconds));
    return cells;
}
