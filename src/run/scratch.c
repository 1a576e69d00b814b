/* scratch.c - see scratch.h. */
#define _GNU_SOURCE
#include "src/run/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/quote.h"
#include "src/run/measure/folder.h"
#include "src/run/measure/proc.h"

enum { PROCESSES_MAX = 1 << 16, MARK_FD = 200, ENDS_WITHIN_MS = 1000, TICK_MS = 5, ROUNDS_MAX = 8 };

int scratch_make(const char *parent, char *dir, size_t bytes, struct error *err)
{
    uint64_t start;

    (void)proc_start(getpid(), &start);
    if (snprintf(dir, bytes, "%s/cell-%ld-%" PRIu64 "-XXXXXX", parent, (long)getpid(), start) >=
            (int)bytes ||
        !mkdtemp(dir))
        return fail_errno(err, ERR_IO, "%s: cannot create a folder in it", parent);
    return OK;
}

int scratch_lock(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)flock(fd, LOCK_SH);
    return fd;
}

static bool is_locked(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

    if (fd >= 0)
        (void)close(fd);
    return locked;
}

/* The descriptor gets a high number, because a method may close low ones that it has not opened. */
void scratch_mark(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY);

    if (fd >= 0 && fcntl(fd, F_DUPFD, MARK_FD) >= 0)
        (void)close(fd);
}

/* Whether `name` is of a folder made by scratch_make() whose owner no longer runs. */
static bool is_ownerless(const char *name)
{
    long pid;
    uint64_t start, now;
    int end = 0;

    return sscanf(name, "cell-%ld-%" SCNu64 "-%n", &pid, &start, &end) == 2 && end > 0 && pid > 0 &&
           (!proc_start((pid_t)pid, &now) || now != start);
}

/* Kills a process and polls until it has ended: it is not a child, so waitpid() is not possible. */
static void end_process(pid_t pid)
{
    if (kill(pid, SIGKILL) != 0)
        return;
    for (int ms = 0; ms < ENDS_WITHIN_MS && proc_runs(pid); ms += TICK_MS)
        clock_sleep_until(clock_ns() + TICK_MS * UINT64_C(1000000));
}

/* A marked process has the folder itself open. A shell whose working folder it is, or a viewer of a
   file in it, has not, and is spared. left: receives the names; may be NULL. */
static size_t end_marked_once(const char *dir, pid_t *pids, json_t *left)
{
    const size_t n = proc_list(0, pids, PROCESSES_MAX);
    size_t ended = 0;

    for (size_t i = 0; i < n; i++)
        if (pids[i] != getpid() && proc_holds(pids[i], dir, false)) {
            char name[160];

            proc_name(pids[i], name, sizeof name);
            (void)json_array_append_new(left, quote_json(name));
            end_process(pids[i]);
            ended++;
        }
    return ended;
}

/* A list of processes may miss one that was just forked, so it is repeated until none is found. */
static size_t end_marked(const char *dir, json_t *left)
{
    pid_t *pids = malloc(PROCESSES_MAX * sizeof *pids);
    size_t ended = 0, now = pids ? 1 : 0;

    for (int round = 0; now > 0 && round < ROUNDS_MAX; round++) {
        now = end_marked_once(dir, pids, left);
        ended += now;
    }
    free(pids);
    return ended;
}

void scratch_end_marked(const char *dir, json_t *left)
{
    char real[PATH_MAX];

    if (realpath(dir, real))
        (void)end_marked(real, left);
}

void scratch_sweep(const char *parent, size_t *folders, size_t *processes)
{
    char real[PATH_MAX], dir[PATH_MAX];
    DIR *all = realpath(parent, real) ? opendir(real) : NULL;

    *folders = *processes = 0;
    for (struct dirent *e; all && (e = readdir(all));) {
        if (!is_ownerless(e->d_name) ||
            snprintf(dir, sizeof dir, "%s/%s", real, e->d_name) >= (int)sizeof dir ||
            is_locked(dir))
            continue;
        *processes += end_marked(dir, NULL);
        folder_remove(dir);
        ++*folders;
    }
    if (all)
        (void)closedir(all);
}
