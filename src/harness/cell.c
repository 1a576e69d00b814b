/* cell.c - the half of a cell that watches: starts the cell behind its guard, keeps what they send,
   has it ended at its limits. */
#define _GNU_SOURCE
#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell_guard.h"
#include "cell_watch.h"
#include "clock.h"
#include "core/mem.h"
#include "meter.h"
#include "scratch.h"

enum { POLL_MS = 25, READ_BYTES = 65536 };

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

/* ---- 1. limits */

void watch_end_as(struct watch *w, const char *status, const char *format, ...)
{
    va_list args;

    if (w->status)
        return;
    va_start(args, format);
    (void)vsnprintf(w->cause, sizeof w->cause, format, args);
    va_end(args);
    w->status = status;
    w->ending_ns = clock_ns();
    (void)kill(w->guard, SIGTERM);
}

/* A method may stop the process above it, once or again and again. */
static void insist(const struct watch *w)
{
    enum { PATIENCE_MS = 5000 };

    if (!w->status)
        return;
    (void)kill(w->guard, SIGCONT);
    if (clock_ns() - w->ending_ns < (uint64_t)PATIENCE_MS * 1000000)
        return;
    if (w->child > 0)
        (void)kill(w->child, SIGKILL);
    (void)kill(w->guard, SIGKILL);
}

/* What is the child's and not a file's. Files in memory and its own child processes, which take reading many files of
   /proc, are looked for once a second. */
static uint64_t memory_now(struct watch *w)
{
    enum { SCAN_MS = 1000 };
    struct resident now;
    const bool seen = resident_read(w->child, &now);

    if (clock_ns() - w->scanned_ns >= (uint64_t)SCAN_MS * 1000000) {
        struct memory_files files;

        memory_files_read(w->child, &files);
        w->scanned_ns = clock_ns();
        w->files_bytes = files.nameless + files.named;
        w->others_bytes = resident_others(w->guard, w->child);
    }
    if (!seen)
        return w->others_bytes;
    if (now.threads > w->threads)
        w->threads = now.threads;
    return now.anonymous + (now.shared > w->files_bytes ? now.shared : w->files_bytes) +
           w->others_bytes;
}

static void check_limits(struct watch *w)
{
    if (w->status)
        return;
    if (w->env->interrupted && *w->env->interrupted) {
        watch_end_as(w, "interrupted", "interrupted");
    } else if (clock_ns() >= w->deadline_ns) {
        watch_end_as(w, "timeout", "took longer than %.6g s (--timeout)", cell_timeout_s(w->env));
    } else if (w->child && memory_now(w) > w->memory_before + w->limit) {
        watch_end_as(w, "out-of-memory", "grew past %.6g MiB (--memory-limit)",
                     (double)w->limit / 1048576);
    }
}

static bool has_ended(const struct watch *w)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_PID, (id_t)w->guard, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

bool watch_pump(struct watch *w)
{
    struct pollfd fds[2] = { { w->lines, POLLIN, 0 }, { w->errors, POLLIN, 0 } };

    if (w->lines < 0 && w->errors < 0)
        return false;
    /* Asked before what it wrote is looked for: what it wrote last is then there. */
    const bool over = has_ended(w);
    const int n = poll(fds, 2, over ? 0 : POLL_MS);
    if (n > 0 && fds[0].revents)
        drain(w, &w->lines, watch_take_lines);
    if (n > 0 && fds[1].revents)
        drain(w, &w->errors, watch_take_tail);
    check_limits(w);
    insist(w);
    /* What could not be ended may hold the pipes open: the guard's own end is what counts. */
    return !(n == 0 && over);
}

/* ---- 2. the child's life */

/* lines, errors, replies: reading end, writing end of each. */
static int open_pipes(int fds[3][2], struct error *err)
{
    int rc = OK;

    for (size_t i = 0; i < 3; i++)
        fds[i][0] = fds[i][1] = -1;
    for (size_t i = 0; i < 3 && rc == OK; i++)
        if (pipe2(fds[i], O_CLOEXEC) != 0)
            rc = fail_errno(err, ERR_IO, "no pipe to a cell");
    for (size_t i = 0; i < 3 && rc != OK; i++)
        for (size_t j = 0; j < 2; j++)
            if (fds[i][j] >= 0)
                (void)close(fds[i][j]);
    return rc;
}

static int draw_key(char key[CELL_KEY_BYTES + 1], struct error *err)
{
    unsigned char bytes[CELL_KEY_BYTES / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return fail_errno(err, ERR_IO, "no random numbers for a cell's key");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    return OK;
}

/* The guard's, and through it the cell's. */
static _Noreturn void run_guard(struct watch *w, const char *dir, int fds[3][2], pid_t harness)
{
    struct cell_env env = *w->env;

    env.oracle = NULL; /* the truth stays behind */
    (void)close(fds[0][0]);
    (void)close(fds[1][0]);
    (void)close(fds[2][1]);
    w->channel.lines = fds[0][1];
    w->channel.replies = fds[2][0];
    cell_guard(w->cell, &env, dir, &w->channel, fds[1][1], harness);
}

static int start_child(struct watch *w, const char *dir)
{
    const pid_t harness = getpid();
    struct resident now;
    int fds[3][2];

    if (draw_key(w->channel.key, w->err) != OK || open_pipes(fds, w->err) != OK)
        return w->err->code;
    (void)fflush(NULL);
    w->guard = fork();
    if (w->guard == 0)
        run_guard(w, dir, fds, harness);
    const int why = errno;
    (void)close(fds[0][1]);
    (void)close(fds[1][1]);
    (void)close(fds[2][0]);
    w->lines = fds[0][0];
    w->errors = fds[1][0];
    w->replies = fds[2][1];
    if (w->guard < 0) {
        (void)close(w->lines);
        (void)close(w->errors);
        (void)close(w->replies);
        errno = why;
        return fail_errno(w->err, ERR_IO, "no process for a cell");
    }
    w->began_ns = clock_ns();
    w->deadline_ns = w->began_ns + (uint64_t)(cell_timeout_s(w->env) * 1e9);
    w->limit = cell_memory_limit(w->env);
    /* Pages shared with the harness count as the child's; only its growth is its own. It begins
       with what its guard has. */
    w->memory_before = resident_read(w->guard, &now) ? now.anonymous + now.shared : 0;
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
    (void)close(w->replies);
}

static void forget(struct watch *w)
{
    json_t *const all[] = { w->steps, w->last_step, w->facts,    w->end,
                            w->left,  w->outside,   w->temporary };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    scorer_free(&w->scorer);
    buffer_free(&w->words);
    mem_free(NULL, w->pending);
}

static void prepare(struct watch *w, const struct cell *cell, const struct cell_env *env,
                    struct error *err)
{
    *w = (struct watch){ .cell = cell,
                         .env = env,
                         .err = err,
                         .step = SIZE_MAX,
                         .all_seconds = NAN,
                         .kept.path = env->answers_path,
                         .steps = json_array(),
                         .left = json_array(),
                         .outside = json_array(),
                         .temporary = json_array() };
    w->scorer = (struct scorer){ .list = env->experiment->ops,
                                 .oracle = env->oracle,
                                 .seed = env->experiment->seed,
                                 .exact = (cell->method->ops->flags & INDEX_EXACT) != 0 };
}

int watch_open(struct watch **out, const struct cell *cell, const struct cell_env *env,
               struct error *err)
{
    struct watch *w = mem_alloc(NULL, sizeof *w);

    *out = NULL;
    if (!w)
        return fail(err, ERR_NO_MEMORY, "no memory for a cell");
    prepare(w, cell, env, err);
    int rc = scratch_make(env->scratch_dir, w->dir, sizeof w->dir, err);
    if (rc == OK && (rc = start_child(w, w->dir)) != OK)
        folder_remove(w->dir);
    if (rc != OK) {
        forget(w);
        mem_free(NULL, w);
        return rc;
    }
    *out = w;
    return OK;
}

void watch_end(struct watch *w)
{
    while (watch_pump(w))
        continue;
    reap(w);
    answers_close(&w->kept);
    folder_remove(w->dir);
}

void watch_free(struct watch *w)
{
    forget(w);
    mem_free(NULL, w);
}

/* A cell that is not run has an outcome all the same. */
static int not_run(const struct cell *cell, const struct cell_env *env, json_t **out,
                   struct error *err)
{
    struct watch *w = mem_alloc(NULL, sizeof *w);

    if (!w)
        return fail(err, ERR_NO_MEMORY, "no memory for a cell");
    prepare(w, cell, env, err);
    *out = watch_cells(w, "unsupported", cell->unsupported);
    watch_free(w);
    return OK;
}

int cell_run(const struct cell *cell, const struct cell_env *env, json_t **out, struct error *err)
{
    char error[TAIL_BYTES + 2000];
    struct watch *w;

    *out = NULL;
    if (cell->unsupported)
        return not_run(cell, env, out, err);
    int rc = watch_open(&w, cell, env, err);
    if (rc != OK)
        return rc;
    watch_end(w);
    const char *status = watch_outcome(w, error, sizeof error);
    if (env->interrupted && *env->interrupted && strcmp(status, "ok") != 0)
        rc = fail(err, ERR_INTERRUPTED, "interrupted");
    else if (!(*out = watch_cells(w, status, error)))
        rc = fail(err, ERR_NO_MEMORY, "no memory for a cell's result");
    watch_free(w);
    return rc;
}
