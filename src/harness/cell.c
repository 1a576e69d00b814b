/* cell.c - the half of a cell that watches: starts the cell behind its guard, keeps what they send,
   has it ended at its limits. */
#define _GNU_SOURCE
#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell_child.h"
#include "cell_guard.h"
#include "clock.h"
#include "core/mem.h"
#include "crash.h"
#include "meter.h"
#include "quote.h"
#include "replay.h"
#include "scratch.h"

enum { POLL_MS = 25, TAIL_BYTES = 4096, READ_BYTES = 65536 };

struct watch {
    const struct cell *cell;
    const struct cell_env *env;
    pid_t guard, child; /* child: 0 until it has said its number */
    int lines, errors;  /* pipe ends; -1 once closed */
    char *pending;      /* an unfinished line */
    size_t pending_n, pending_capacity;
    char tail[TAIL_BYTES + 1]; /* the last of stderr */
    size_t tail_n;
    json_t *steps; /* { point, step } in order */
    json_t *facts, *end;
    json_t *left, *outside, *temporary; /* arrays of what the cell's processes left or have */
    bool ended;                         /* the guard has given its status */
    int state;                          /* as of waitpid() */
    size_t step;                        /* begun last; SIZE_MAX: none */
    bool stepping;                      /* and not finished */
    uint64_t began_ns, deadline_ns;
    uint64_t anonymous_before, limit;
    const char *status; /* set where the parent ended it */
    char cause[600];
    struct error *err;
};

/* ---- 1. what the child sends */

static void take_begin(struct watch *w, const json_t *begin)
{
    const struct op_list *list = w->env->experiment->ops;
    char what[160] = "finishing";

    w->step = (size_t)json_integer_value(json_object_get(begin, "step"));
    w->stepping = true;
    if (w->step < list->n) {
        const struct op *op = &list->ops[w->step];
        (void)snprintf(what, sizeof what, "%s%s%s", op_name(op->kind), op->tag ? " " : "",
                       op->tag ? op->tag : "");
    }
    if (w->env->progress)
        w->env->progress(w->env->to, w->cell, w->step < list->n ? w->step : list->n - 1, list->n,
                         what);
}

static void take_line(struct watch *w, const char *text, size_t n)
{
    json_t *line = json_loadb(text, n, 0, NULL), *begin = json_object_get(line, "begin");

    if (begin) {
        take_begin(w, begin);
    } else if (json_object_get(line, "step")) {
        (void)json_array_append(w->steps, line);
        w->stepping = false;
    } else if (json_object_get(line, "facts")) {
        w->facts = json_incref(json_object_get(line, "facts"));
    } else if (json_object_get(line, "end")) {
        w->end = json_incref(json_object_get(line, "end"));
    } else if (json_object_get(line, "pid")) {
        w->child = (pid_t)json_integer_value(json_object_get(line, "pid"));
    } else if (json_object_get(line, "ended")) {
        w->state = (int)json_integer_value(json_object_get(line, "ended"));
        w->ended = true;
    } else {
        (void)json_array_extend(w->left, json_object_get(line, "left"));
        (void)json_array_extend(w->outside, json_object_get(line, "outside"));
        (void)json_array_extend(w->temporary, json_object_get(line, "temporary"));
    }
    json_decref(line);
}

static void take_lines(struct watch *w, const char *bytes, size_t n)
{
    if (!mem_grow(NULL, &w->pending, &w->pending_capacity, w->pending_n + n, 1))
        return;
    memcpy(w->pending + w->pending_n, bytes, n);
    w->pending_n += n;
    size_t start = 0;
    /* What was pending before has no newline in it. */
    for (char *at; (at = memchr(w->pending + start, '\n', w->pending_n - start)) != NULL;) {
        const size_t end = (size_t)(at - w->pending);
        take_line(w, w->pending + start, end - start);
        start = end + 1;
    }
    memmove(w->pending, w->pending + start, w->pending_n - start);
    w->pending_n -= start;
}

static void take_tail(struct watch *w, const char *bytes, size_t n)
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

static void drain(struct watch *w, int *fd, void (*take)(struct watch *, const char *, size_t))
{
    char bytes[READ_BYTES];
    const ssize_t n = read(*fd, bytes, sizeof bytes);

    if (n > 0) {
        take(w, bytes, (size_t)n);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* ---- 2. limits */

static void end_as(struct watch *w, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void end_as(struct watch *w, const char *status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(w->cause, sizeof w->cause, format, args);
    va_end(args);
    w->status = status;
    (void)kill(w->guard, SIGTERM);
}

static void check_limits(struct watch *w)
{
    struct resident now;

    if (w->status)
        return;
    if (w->env->interrupted && *w->env->interrupted) {
        end_as(w, "interrupted", "interrupted");
    } else if (clock_ns() >= w->deadline_ns) {
        end_as(w, "timeout", "took longer than %.6g s (--timeout)", cell_timeout_s(w->env));
    } else if (w->child && resident_read(w->child, &now) &&
               now.anonymous > w->anonymous_before + w->limit) {
        end_as(w, "out-of-memory", "grew past %.6g MiB (--memory-limit)",
               (double)w->limit / 1048576);
    }
}

static bool has_ended(const struct watch *w)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_PID, (id_t)w->guard, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

static void watch_child(struct watch *w)
{
    while (w->lines >= 0 || w->errors >= 0) {
        struct pollfd fds[2] = { { w->lines, POLLIN, 0 }, { w->errors, POLLIN, 0 } };

        /* Asked before what it wrote is looked for: what it wrote last is then there. */
        const bool over = has_ended(w);
        const int n = poll(fds, 2, over ? 0 : POLL_MS);
        if (n > 0 && fds[0].revents)
            drain(w, &w->lines, take_lines);
        if (n > 0 && fds[1].revents)
            drain(w, &w->errors, take_tail);
        check_limits(w);
        /* What could not be ended may hold the pipes open: the guard's own end is what counts. */
        if (n == 0 && over)
            break;
    }
}

/* ---- 3. the child's life */

static int open_pipes(int lines[2], int errors[2], struct error *err)
{
    lines[0] = lines[1] = errors[0] = errors[1] = -1;
    if (pipe2(lines, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0)
        return OK;
    fail_errno(err, ERR_IO, "no pipe to a cell");
    for (int i = 0; i < 2; i++)
        if (lines[i] >= 0)
            (void)close(lines[i]);
    return ERR_IO;
}

static int start_child(struct watch *w, const char *dir)
{
    int lines[2], errors[2];
    const pid_t harness = getpid();
    struct resident now;

    if (open_pipes(lines, errors, w->err) != OK)
        return w->err->code;
    (void)fflush(NULL);
    w->guard = fork();
    if (w->guard == 0) {
        (void)close(lines[0]);
        (void)close(errors[0]);
        cell_guard(w->cell, w->env, dir, lines[1], errors[1], harness);
    }
    const int why = errno;
    (void)close(lines[1]);
    (void)close(errors[1]);
    w->lines = lines[0];
    w->errors = errors[0];
    if (w->guard < 0) {
        (void)close(lines[0]);
        (void)close(errors[0]);
        errno = why;
        return fail_errno(w->err, ERR_IO, "no process for a cell");
    }
    w->began_ns = clock_ns();
    w->deadline_ns = w->began_ns + (uint64_t)(cell_timeout_s(w->env) * 1e9);
    w->limit = cell_memory_limit(w->env);
    /* Pages shared with the harness count as the child's; only its growth is its own. It begins
       with what its guard has. */
    w->anonymous_before = resident_read(w->guard, &now) ? now.anonymous : 0;
    return OK;
}

static void reap(struct watch *w)
{
    int state = 0;

    while (waitpid(w->guard, &state, 0) < 0 && errno == EINTR) {
    }
    if (!w->ended)
        w->state = state; /* the guard itself was killed, and the cell with it */
    if (w->lines >= 0)
        (void)close(w->lines);
    if (w->errors >= 0)
        (void)close(w->errors);
}

/* ---- 4. the outcome */

static void where_text(const struct watch *w, char *text, size_t bytes)
{
    const struct op_list *list = w->env->experiment->ops;
    const struct op *op = w->step < list->n ? &list->ops[w->step] : NULL;

    text[0] = '\0';
    if (op)
        (void)snprintf(text, bytes, "operation %zu (%s%s%s, config line %d): ", w->step + 1,
                       op_name(op->kind), op->tag ? " " : "", op->tag ? op->tag : "", op->line);
}

static const char *status_of_code(int code)
{
    return code == OK                ? "ok"
           : code == ERR_NO_MEMORY   ? "out-of-memory"
           : code == ERR_UNSUPPORTED ? "unsupported"
                                     : "failed";
}

/* Status and error of a child that has ended; error is empty where all went well. */
static const char *outcome(const struct watch *w, char *error, size_t bytes)
{
    char where[300];
    const char *status = w->status;

    where_text(w, where, sizeof where);
    error[0] = '\0';
    if (status) {
        (void)snprintf(error, bytes, "%s%s", where, w->cause);
    } else if (w->end) {
        const int code = (int)json_integer_value(json_object_get(w->end, "code"));

        status = status_of_code(code);
        if (code != OK)
            (void)snprintf(error, bytes, "%s%s (%s)", where,
                           json_string_value(json_object_get(w->end, "error")), error_name(code));
    } else {
        status = "failed";
        if (WIFSIGNALED(w->state))
            (void)snprintf(error, bytes, "%skilled by %s", where,
                           crash_signal_name(WTERMSIG(w->state)));
        else
            (void)snprintf(error, bytes, "%sthe process ended with status %d without a word", where,
                           WIFEXITED(w->state) ? WEXITSTATUS(w->state) : -1);
    }
    if (error[0] && w->tail_n > 0) {
        const size_t used = strlen(error);
        (void)snprintf(error + used, bytes - used, "\n%s", w->tail);
    }
    return status;
}

/* Steps of one point: its own, and those that all points share. */
static json_t *steps_of_point(const struct watch *w, size_t point)
{
    json_t *steps = json_array(), *line;
    size_t i;

    json_array_foreach(w->steps, i, line)
    {
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

/* Of "soft_k=2,nprobe=4" what is not a knob: calibration chooses the knobs itself. */
static void build_part(const struct cell *cell, char *text, size_t bytes)
{
    const char *name = cell->n_points && cell->points[0].name ? cell->points[0].name : "";

    text[0] = '\0';
    for (const char *at = name; *at;) {
        const size_t n = strcspn(at, ","), key = strcspn(at, "=,");
        char knob[128];

        (void)snprintf(knob, sizeof knob, "%.*s", (int)key, at);
        if (key == n || !json_object_get(cell->points[0].knobs_json, knob)) {
            const size_t used = strlen(text);
            (void)snprintf(text + used, bytes - used, "%s%.*s", used ? "," : "", (int)n, at);
        }
        at += n + (at[n] == ',');
    }
}

static json_t *object_or_empty(json_t *borrowed)
{
    return borrowed ? json_incref(borrowed) : json_object();
}

/* "WHAT: NAME, NAME and 3 more", where there are any. */
static void add_warning(json_t *warnings, const char *what, const json_t *names)
{
    enum { NAMED = 8 };
    const size_t n = json_array_size(names);
    char text[2000];
    size_t used = (size_t)snprintf(text, sizeof text, "%s: ", what);

    if (n == 0)
        return;
    for (size_t i = 0; i < n && i < NAMED && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.200s", i ? ", " : "",
                                 json_string_value(json_array_get(names, i)));
    if (n > NAMED && used < sizeof text)
        (void)snprintf(text + used, sizeof text - used, " and %zu more", n - NAMED);
    (void)json_array_append_new(warnings, quote_json(text));
}

static json_t *warnings_of(const struct watch *w)
{
    json_t *warnings = json_array();

    add_warning(warnings, "left running when the cell ended, and killed", w->left);
    add_warning(warnings, "wrote outside its folder, where nothing is measured", w->outside);
    add_warning(warnings, "new files while it ran, its own unless another program made them",
                w->temporary);
    return warnings;
}

static json_t *cell_json(const struct watch *w, size_t p, bool calibrated, const char *status,
                         const char *error, double seconds)
{
    const struct cell *cell = w->cell;
    const struct point *point = p < cell->n_points ? &cell->points[p] : NULL;
    char name[256];

    if (calibrated)
        build_part(cell, name, sizeof name);
    else
        (void)snprintf(name, sizeof name, "%s", point && point->name ? point->name : "");
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:o, s:o, s:s, s:b, s:b, s:f, s:o, s:o}", "label",
        cell->method->label, "point", name, "method", cell->method->name, "params",
        object_or_empty(cell->params_json), "knobs",
        calibrated || !point ? json_object() : object_or_empty(point->knobs_json), "repeat",
        (json_int_t)cell->repeat, "seed", (json_int_t)cell->seed, "status", status, "error",
        error[0] ? quote_json(error) : json_null(), "warnings", warnings_of(w), "element",
        element_name(cell->element), "widened", cell->widened, "no_simd",
        (cell->method->ops->flags & INDEX_NO_SIMD) != 0, "cell_seconds", seconds, "process",
        w->facts ? json_incref(w->facts) : json_null(), "steps", steps_of_point(w, p));
}

static json_t *all_points(const struct watch *w, const char *status, const char *error)
{
    const bool calibrated = w->cell->method->calibrate_recall > 0;
    const size_t n = calibrated || w->cell->n_points == 0 ? 1 : w->cell->n_points;
    const double seconds = w->began_ns ? clock_seconds(clock_ns() - w->began_ns) : 0;
    json_t *cells = json_array();

    for (size_t p = 0; p < n; p++)
        (void)json_array_append_new(cells, cell_json(w, p, calibrated, status, error, seconds));
    return cells;
}

static int run_watched(struct watch *w, const char *dir, json_t **out)
{
    char error[TAIL_BYTES + 2000];
    int rc = start_child(w, dir);

    if (rc != OK)
        return rc;
    watch_child(w);
    reap(w);
    const char *status = outcome(w, error, sizeof error);
    if (w->env->interrupted && *w->env->interrupted && strcmp(status, "ok") != 0)
        return fail(w->err, ERR_INTERRUPTED, "interrupted");
    *out = all_points(w, status, error);
    return *out ? OK : fail(w->err, ERR_NO_MEMORY, "no memory for a cell's result");
}

int cell_run(const struct cell *cell, const struct cell_env *env, json_t **out, struct error *err)
{
    struct watch *w = mem_zalloc(NULL, sizeof *w);
    char dir[PATH_MAX];
    int rc = OK;

    *out = NULL;
    if (!w)
        return fail(err, ERR_NO_MEMORY, "no memory for a cell");
    w->cell = cell;
    w->env = env;
    w->err = err;
    w->step = SIZE_MAX;
    w->steps = json_array();
    w->left = json_array();
    w->outside = json_array();
    w->temporary = json_array();
    if (cell->unsupported) {
        *out = all_points(w, "unsupported", cell->unsupported);
    } else if ((rc = scratch_make(env->scratch_dir, dir, sizeof dir, err)) == OK) {
        rc = run_watched(w, dir, out);
        folder_remove(dir);
    }
    json_decref(w->steps);
    json_decref(w->facts);
    json_decref(w->end);
    json_decref(w->left);
    json_decref(w->outside);
    json_decref(w->temporary);
    mem_free(NULL, w->pending);
    mem_free(NULL, w);
    return rc;
}
