/* process.c - see process.h. posix_spawn() cannot implement `bound`, so the code calls fork(). */
#define _GNU_SOURCE
#include "src/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/clock.h"

enum { TICK_MS = 200 };

extern char **environ;

/* Appends to the output and drops its oldest half when it is full. */
static void keep_output(struct process *p, const char *bytes, size_t n)
{
    size_t used = strlen(p->output), space = sizeof p->output - 1;
    for (size_t i = 0; i < n; i++) {
        if (used == space) {
            memmove(p->output, p->output + space / 2, space - space / 2);
            used = space - space / 2;
        }
        if (bytes[i])
            p->output[used++] = bytes[i] == '\r' ? '\n' : bytes[i];
    }
    p->output[used] = 0;
}

/* Finds the path of an executable program; false if there is none. */
static bool find_program(const char *name, char path[PATH_MAX])
{
    if (strchr(name, '/'))
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && access(path, X_OK) == 0;
    for (const char *from = getenv("PATH"); from && *from;) {
        const int length = (int)strcspn(from, ":");
        if (*from == '/' && snprintf(path, PATH_MAX, "%.*s/%s", length, from, name) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
        from += length + (from[length] == ':');
    }
    return false;
}

static bool is_unset(const struct process *p, const char *entry)
{
    for (const char *const *name = p->unset; name && *name; name++)
        if (strncmp(entry, *name, strlen(*name)) == 0)
            return true;
    return false;
}

/* A new array of strings that environ owns; NULL: out of memory. */
static char **make_environment(const struct process *p)
{
    size_t n = 0;

    while (environ[n])
        n++;
    char **kept = calloc(n + 1, sizeof *kept), **to = kept;
    for (size_t i = 0; kept && i < n; i++)
        if (!is_unset(p, environ[i]))
            *to++ = environ[i];
    return kept;
}

/* The data that the parent and the child share. */
struct launch {
    char program[PATH_MAX];
    char **environment;
    /* Pipes. The child writes errno to the second if it cannot start the program. */
    int output[2], failure[2];
    pid_t parent;
};

/* Runs in the child. Calls only functions that are safe after fork() in a process with threads. */
_Noreturn static void become_program(const struct process *p, const struct launch *l)
{
    const int nothing = open("/dev/null", O_RDWR);

    if (p->bound) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != l->parent)
            _exit(1);
    }
    (void)signal(SIGPIPE, SIG_DFL);
    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(l->output[1], STDOUT_FILENO);
    (void)dup2(p->without_stderr ? nothing : l->output[1], STDERR_FILENO);
    if (!p->directory || chdir(p->directory) == 0)
        (void)execve(l->program, (char *const *)(uintptr_t)p->argv, l->environment);
    const int why = errno;
    (void)!write(l->failure[1], &why, sizeof why);
    _exit(127);
}

static void close_pipe(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            (void)close(ends[i]);
}

static int start(const struct process *p, struct launch *l, pid_t *pid, struct error *err)
{
    int why = 0;

    if (pipe2(l->output, O_CLOEXEC) != 0 || pipe2(l->failure, O_CLOEXEC) != 0)
        return fail_errno(err, ERR_IO, "%s: cannot make a pipe", p->argv[0]);
    if (!(l->environment = make_environment(p)))
        return fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot run it", p->argv[0]);
    if ((*pid = fork()) == 0)
        become_program(p, l);
    if (*pid < 0)
        return fail_errno(err, ERR_IO, "%s: cannot fork a process for it", p->argv[0]);
    (void)close(l->output[1]);
    (void)close(l->failure[1]);
    l->output[1] = l->failure[1] = -1;
    /* A successful execve() closes the pipe, and read() then returns 0. */
    if (read(l->failure[0], &why, sizeof why) != sizeof why)
        return OK;
    (void)waitpid(*pid, NULL, 0);
    errno = why;
    return fail_errno(err, ERR_IO, "%s: cannot be run", p->argv[0]);
}

/* Reads until the program closes its output. An error means that the program must be ended. */
static int follow(struct process *p, int in, struct error *err)
{
    const uint64_t limit_ns = clock_ns() + p->limit_s * UINT64_C(1000000000);

    for (;;) {
        char bytes[4096];
        struct pollfd ready = { .fd = in, .events = POLLIN };
        const int n = poll(&ready, 1, TICK_MS);

        if (p->tick && p->tick(p->context))
            return fail(err, ERR_INTERRUPTED, "%s: interrupted", p->argv[0]);
        if (p->limit_s && clock_ns() > limit_ns)
            return fail(err, ERR_IO, "%s took longer than %u s and was ended", p->argv[0],
                        p->limit_s);
        if (n <= 0)
            continue;
        const ssize_t got = read(in, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return OK;
        keep_output(p, bytes, (size_t)got);
    }
}

int process_run(struct process *p, struct error *err)
{
    struct launch l = { .output = { -1, -1 }, .failure = { -1, -1 }, .parent = getpid() };
    int status = 0;
    pid_t pid = -1;

    p->output[0] = '\0';
    if (!find_program(p->argv[0], l.program))
        return fail(err, ERR_NOT_FOUND, "%s: there is no such program in PATH", p->argv[0]);
    int rc = start(p, &l, &pid, err);
    const bool started = rc == OK;
    if (started)
        rc = follow(p, l.output[0], err);
    if (started && rc != OK)
        (void)kill(p->bound ? -pid : pid, p->bound ? SIGKILL : SIGTERM);
    close_pipe(l.output);
    close_pipe(l.failure);
    free(l.environment);
    while (started && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    for (size_t n = strlen(p->output); n && strchr("\n ", p->output[n - 1]);)
        p->output[--n] = '\0';
    return rc;
}

const char *process_last_line(const struct process *p)
{
    const char *newline = strrchr(p->output, '\n');
    return newline ? newline + 1 : p->output;
}
