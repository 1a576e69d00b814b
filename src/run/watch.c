/* watch.c - see watch.h. Starts a cell and its guard, reads their output, and ends the
   cell at its limits. */
#define _GNU_SOURCE
#include "src/run/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/core/mem.h"
#include "src/run/measure/folder.h"
#include "src/run/measure/memory.h"
#include "src/run/scratch.h"

enum { POLL_MS = 25, READ_BYTES = 65536 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void drain(struct cell_watch *w, int *fd,
                  void (*take)(struct cell_watch *, const char *, size_t))
{
    char bytes[READ_BYTES];
    const ssize_t n = read(*fd, bytes, sizeof bytes);

    if (n > 0)
        take(w, bytes, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

/* ---- 1. limits */

/* The method's process may stop its parent, the guard, with SIGSTOP, so the guard is continued, and
   killed if it does not end in time. */
static void insist(const struct cell_watch *w)
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

/* Anonymous memory of the child, its files in memory and its child processes. The last two are
   updated once per second only, because that reads many files of /proc. */
static uint64_t memory_now(struct cell_watch *w)
{
    enum { SCAN_MS = 1000 };
    struct resident now;
    const bool seen = memory_resident_read(w->child, &now);

    if (clock_ns() - w->scanned_ns >= (uint64_t)SCAN_MS * 1000000) {
        struct memory_files files;

        memory_files_read(w->child, &files);
        w->scanned_ns = clock_ns();
        w->files_bytes = files.nameless + files.named;
        w->others_bytes = memory_others(w->guard, w->child);
    }
    if (!seen)
        return w->others_bytes;
    if (now.threads > w->threads)
        w->threads = now.threads;
    return now.anonymous + (now.shared > w->files_bytes ? now.shared : w->files_bytes) +
           w->others_bytes;
}

/* Of a longer time between two looks the rest is none of the cell's: the harness was suspended, or scored
   the cell's answers. */
static void count_time(struct cell_watch *w)
{
    enum { MOST_NS = 10 * POLL_MS * 1000000 };
    const uint64_t now = clock_ns(), passed = now - w->looked_ns;

    w->used_ns += passed < MOST_NS ? passed : MOST_NS;
    w->looked_ns = now;
}

static void check_limits(struct cell_watch *w)
{
    count_time(w);
    if (w->status)
        return;
    if (w->env->interrupted && *w->env->interrupted)
        watch_end_as(w, "interrupted", "interrupted");
    else if ((double)w->used_ns >= cell_timeout_s(w->env) * 1e9)
        watch_end_as(w, "timeout", "the cell took longer than %.6g s (--timeout)",
                     cell_timeout_s(w->env));
    else if (w->child && memory_now(w) > w->memory_before + w->limit)
        watch_end_as(w, "out-of-memory", "grew past %.6g MiB (--memory-limit)",
                     (double)w->limit / 1048576);
}

static bool has_ended(const struct cell_watch *w)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_PID, (id_t)w->guard, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

bool watch_pump(struct cell_watch *w)
{
    struct pollfd fds[2] = { { w->lines, POLLIN, 0 }, { w->errors, POLLIN, 0 } };

    if (w->lines < 0 && w->errors < 0)
        return false;
    /* Checked before the pipes are read, so that the last output is not lost. */
    const bool over = has_ended(w);
    const int n = poll(fds, 2, over ? 0 : POLL_MS);
    if (n > 0 && fds[0].revents)
        drain(w, &w->lines, watch_take_lines);
    if (n > 0 && fds[1].revents)
        drain(w, &w->errors, watch_take_tail);
    check_limits(w);
    insist(w);
    /* A process that could not be killed may keep the pipes open, so reading stops when the guard
       has ended. */
    return !(n == 0 && over);
}

/* ---- 2. start and end of the child */

static int draw_key(char key[CELL_KEY_BYTES + 1], struct error *err)
{
    unsigned char bytes[CELL_KEY_BYTES / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return fail_errno(err, ERR_IO, "cannot get random bytes for the key of a cell");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    return OK;
}

/* Runs in the guard's process, which forks the cell. */
static _Noreturn void run_guard(struct cell_watch *w, int fds[3][2], pid_t harness)
{
    struct cell_env env = *w->env;

    env.oracle = NULL; /* the cell must not read the ground truth */
    (void)close(fds[0][0]);
    (void)close(fds[1][0]);
    (void)close(fds[2][1]);
    w->channel.lines = fds[0][1];
    w->channel.replies = fds[2][0];
    cell_guard(w->cell, &env, w->dir, &w->channel, fds[1][1], harness);
}

/* Three pipes: lines, errors, replies. fds[i][0] is the reading end, fds[i][1] the writing end. */
static int start_child(struct cell_watch *w)
{
    const pid_t harness = getpid();
    struct resident now;
    int fds[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
    int rc = draw_key(w->channel.key, w->err);

    for (size_t i = 0; i < 3 && rc == OK; i++)
        if (pipe2(fds[i], O_CLOEXEC) != 0)
            rc = fail_errno(w->err, ERR_IO, "cannot make a pipe to a cell");
    w->lines = fds[0][0]; /* watch_free() closes these three */
    w->errors = fds[1][0];
    w->replies = fds[2][1];
    if (rc == OK) {
        (void)fflush(NULL);
        w->guard = fork();
        if (w->guard == 0)
            run_guard(w, fds, harness);
        if (w->guard < 0)
            rc = fail_errno(w->err, ERR_IO, "cannot fork a process for the run of a cell");
    }
    close_fd(&fds[0][1]);
    close_fd(&fds[1][1]);
    close_fd(&fds[2][0]);
    w->began_ns = clock_ns();
    w->looked_ns = w->began_ns;
    w->limit = cell_memory_limit(w->env);
    /* Pages that the child shares with the harness are counted as the child's. So the limit applies
       to its growth from the memory of the guard, from which it is forked. */
    if (rc == OK)
        w->memory_before = memory_resident_read(w->guard, &now) ? now.anonymous + now.shared : 0;
    return rc;
}

static void reap(struct cell_watch *w)
{
    int state = 0;

    while (waitpid(w->guard, &state, 0) < 0 && errno == EINTR) {
    }
    if (!w->ended) { /* the guard itself was killed, and the cell with it, unless it took care */
        w->state = state;
        scratch_end_marked(w->dir, w->left);
    }
}

struct cell_watch *watch_new(const struct cell *cell, const struct cell_env *env, struct error *err)
{
    struct cell_watch *w = mem_alloc(NULL, sizeof *w);

    if (!w) {
        fail(err, ERR_NO_MEMORY, "out of memory for a cell");
        return NULL;
    }
    *w = (struct cell_watch){ .cell = cell,
                              .env = env,
                              .err = err,
                              .lines = -1,
                              .errors = -1,
                              .replies = -1,
                              .step = SIZE_MAX,
                              .recall = NAN,
                              .all_seconds = NAN,
                              .kept.path = env->files[CELL_ANSWERS],
                              .steps = json_array(),
                              .left = json_array(),
                              .outside = json_array(),
                              .temporary = json_array(),
                              .opened.fd = -1,
                              .read = json_array() };
    w->scorer = (struct scorer){ .list = env->experiment->ops,
                                 .oracle = env->oracle,
                                 .seed = env->experiment->seed,
                                 .exact = (cell->method->ops->flags & INDEX_EXACT) != 0 };
    return w;
}

void watch_free(struct cell_watch *w)
{
    json_t *const all[] = { w->steps, w->last_step, w->facts,     w->end,
                            w->left,  w->outside,   w->temporary, w->read };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
    close_fd(&w->lines);
    close_fd(&w->errors);
    close_fd(&w->replies);
    scorer_free(&w->scorer);
    buffer_free(&w->words);
    mem_free(NULL, w->pending);
    mem_free(NULL, w);
}

int watch_start(struct cell_watch *w)
{
    const struct cell_env *env = w->env;
    int rc = scratch_make(env->scratch_dir, w->dir, sizeof w->dir, w->err);

    if (rc != OK)
        return rc;
    if (env->stored_dir)
        folder_watch_begin(&w->opened, env->stored_dir, ".answers");
    if ((rc = start_child(w)) == OK)
        return OK;
    folder_remove(w->dir);
    folder_watch_end(&w->opened, w->read);
    return rc;
}

void watch_end(struct cell_watch *w)
{
    while (watch_pump(w))
        continue;
    reap(w);
    folder_watch_end(&w->opened, w->read);
    answers_file_close(&w->kept);
    folder_remove(w->dir);
}
