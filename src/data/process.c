/* process.c - posix_spawn and a pipe; see process.h. */
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 200 };

extern char **environ;

/* Keeps the last bytes: programs explain themselves at the end. */
static void keep_output(struct process *p, const char *bytes, size_t n)
{
    size_t used = strlen(p->output), room = sizeof p->output - 1;
    for (size_t i = 0; i < n; i++) {
        if (used == room) {
            memmove(p->output, p->output + room / 2, room - room / 2);
            used = room - room / 2;
        }
        if (bytes[i])
            p->output[used++] = bytes[i] == '\r' ? '\n' : bytes[i];
    }
    p->output[used] = 0;
}

static int spawn(struct process *p, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int cause = posix_spawn_file_actions_init(&actions);
    if (cause)
        return cause;
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    if (p->directory)
        posix_spawn_file_actions_addchdir_np(&actions, p->directory);
    cause =
        posix_spawnp(pid, p->argv[0], &actions, NULL, (char *const *)(uintptr_t)p->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return cause;
}

static int follow(struct process *p, int in, pid_t pid, struct error *err)
{
    for (;;) {
        char bytes[4096];
        struct pollfd ready = { .fd = in, .events = POLLIN };
        int n = poll(&ready, 1, TICK_MS);
        if (p->tick && p->tick(p->context)) {
            kill(pid, SIGTERM);
            return fail(err, ERR_INTERRUPTED, "%s: interrupted", p->argv[0]);
        }
        if (n <= 0)
            continue;
        ssize_t got = read(in, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return OK;
        keep_output(p, bytes, (size_t)got);
    }
}

int process_run(struct process *p, struct error *err)
{
    int pipe_ends[2], status = 0;
    pid_t pid;
    p->output[0] = 0;
    if (pipe2(pipe_ends, O_CLOEXEC))
        return fail_errno(err, ERR_IO, "%s: cannot make a pipe", p->argv[0]);
    int cause = spawn(p, pipe_ends[1], &pid);
    close(pipe_ends[1]);
    if (cause) {
        close(pipe_ends[0]);
        errno = cause;
        return fail_errno(err, cause == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be run",
                          p->argv[0]);
    }
    int rc = follow(p, pipe_ends[0], pid, err);
    close(pipe_ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    size_t n = strlen(p->output);
    while (n && (p->output[n - 1] == '\n' || p->output[n - 1] == ' '))
        p->output[--n] = 0;
    return rc;
}

const char *process_last_line(const struct process *p)
{
    const char *newline = strrchr(p->output, '\n');
    return newline ? newline + 1 : p->output;
}
