/* proc.c - see proc.h. */
#define _GNU_SOURCE
#include "src/run/measure/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { START_FIELD = 22, NAME_BYTES = 80 };

struct status {
    char state;
    pid_t parent;
    uint64_t start;
};

bool proc_read(pid_t pid, const char *name, char *text, size_t bytes, size_t *n)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)(pid ? pid : getpid()), name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, text, bytes - 1);
    if (fd >= 0)
        (void)close(fd);
    *n = got > 0 ? (size_t)got : 0;
    text[*n] = '\0';
    return got >= 0;
}

static bool read_status(pid_t pid, struct status *out)
{
    char text[1024], *at;
    size_t n;
    long parent = 0;

    *out = (struct status){ 0 };
    /* The name in parentheses may contain ')' itself, so the fields start after the last one. */
    if (!proc_read(pid, "stat", text, sizeof text, &n) || !(at = strrchr(text, ')')) ||
        sscanf(at + 1, " %c %ld", &out->state, &parent) != 2)
        return false;
    out->parent = (pid_t)parent;
    at += 2;
    for (int field = 3; at && field < START_FIELD; field++)
        at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
    if (at)
        out->start = strtoull(at, NULL, 10);
    return at != NULL;
}

static bool runs(const struct status *s)
{
    return s->state != 'Z' && s->state != 'X';
}

bool proc_start(pid_t pid, uint64_t *ticks)
{
    struct status s;
    const bool there = read_status(pid, &s) && runs(&s);

    *ticks = s.start;
    return there;
}

bool proc_runs(pid_t pid)
{
    uint64_t unused;

    return proc_start(pid, &unused);
}

/* Adds the children that one thread of `parent` has forked. false: this kernel does not list them,
   or the list is too long. */
static bool add_children(pid_t parent, const char *thread, pid_t *pids, size_t most, size_t *n)
{
    char name[64], text[8192], *at = text, *end;
    size_t bytes;
    struct status s;

    (void)snprintf(name, sizeof name, "task/%s/children", thread);
    if (!proc_read(parent, name, text, sizeof text, &bytes))
        return false;
    for (long pid; *n < most && (pid = strtol(at, &end, 10)) > 0; at = end)
        if (read_status((pid_t)pid, &s) && runs(&s))
            pids[(*n)++] = (pid_t)pid;
    return bytes + 1 < sizeof text; /* else the list is truncated */
}

static bool list_children(pid_t parent, pid_t *pids, size_t most, size_t *n)
{
    char path[64];
    bool whole = true;

    (void)snprintf(path, sizeof path, "/proc/%ld/task", (long)parent);
    DIR *threads = opendir(path);
    *n = 0;
    for (struct dirent *e; threads && whole && (e = readdir(threads));)
        if (e->d_name[0] != '.')
            whole = add_children(parent, e->d_name, pids, most, n);
    if (threads)
        (void)closedir(threads);
    return threads && whole;
}

static size_t list_all(pid_t parent, pid_t *pids, size_t most)
{
    DIR *all = opendir("/proc");
    size_t n = 0;

    for (struct dirent *e; all && n < most && (e = readdir(all));) {
        const pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        struct status s;

        if (pid > 0 && read_status(pid, &s) && runs(&s) && (!parent || s.parent == parent))
            pids[n++] = pid;
    }
    if (all)
        (void)closedir(all);
    return n;
}

size_t proc_list(pid_t parent, pid_t *pids, size_t most)
{
    size_t n;

    return parent && list_children(parent, pids, most, &n) ? n : list_all(parent, pids, most);
}

static double used_seconds(int whose)
{
    struct rusage use;

    if (getrusage(whose, &use) != 0)
        return 0;
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

double proc_own_seconds(void)
{
    return used_seconds(RUSAGE_SELF);
}

double proc_children_seconds(void)
{
    return used_seconds(RUSAGE_CHILDREN);
}

/* Adds what one thread has waited. false: unknown. */
static bool add_waited(const char *task, double *sum)
{
    char name[64], text[128];
    size_t n;
    double waited;

    (void)snprintf(name, sizeof name, "task/%.20s/schedstat", task);
    /* running, waiting, slices */
    if (!proc_read(getpid(), name, text, sizeof text, &n) || sscanf(text, "%*s %lf", &waited) != 1)
        return false;
    *sum += waited;
    return true;
}

double proc_waited_ns(bool all)
{
    DIR *threads = all ? opendir("/proc/self/task") : NULL;
    char own[32];
    bool known = false;
    double sum = 0;

    (void)snprintf(own, sizeof own, "%ld", (long)gettid());
    if (!all)
        known = add_waited(own, &sum);
    for (struct dirent *e; threads && (e = readdir(threads));)
        known |= e->d_name[0] != '.' && add_waited(e->d_name, &sum);
    if (threads)
        (void)closedir(threads);
    return known ? sum : NAN;
}

void proc_name(pid_t pid, char *text, size_t bytes)
{
    char command[NAME_BYTES];
    size_t n;

    /* Each argument ends with a zero byte. */
    (void)proc_read(pid, "cmdline", command, sizeof command, &n);
    for (size_t i = 0; i + 1 < n; i++)
        if (command[i] == '\0')
            command[i] = ' ';
    if (n == 0 && proc_read(pid, "comm", command, sizeof command, &n))
        command[strcspn(command, "\n")] = '\0';
    (void)snprintf(text, bytes, "%ld (%s)", (long)pid, command);
}

static bool link_is(int folder, const char *name, const char *path, bool below)
{
    char target[PATH_MAX];
    const size_t length = strlen(path);
    const ssize_t n = readlinkat(folder, name, target, sizeof target - 1);

    if (n < 0)
        return false;
    target[n] = '\0';
    return strncmp(target, path, length) == 0 &&
           (target[length] == '\0' || (below && target[length] == '/'));
}

bool proc_holds(pid_t pid, const char *path, bool below)
{
    char fds[64], cwd[64];
    bool holds;

    (void)snprintf(cwd, sizeof cwd, "/proc/%ld/cwd", (long)pid);
    holds = below && link_is(AT_FDCWD, cwd, path, below);
    (void)snprintf(fds, sizeof fds, "/proc/%ld/fd", (long)pid);
    DIR *open_files = holds ? NULL : opendir(fds);
    for (struct dirent *e; open_files && !holds && (e = readdir(open_files));)
        holds = link_is(dirfd(open_files), e->d_name, path, below);
    if (open_files)
        (void)closedir(open_files);
    return holds;
}
