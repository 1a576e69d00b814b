/* gnuplot.c - see gnuplot.h. */
#define _GNU_SOURCE
#include "gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "whole_file.h"

enum { LIMIT_S = 120, TICK_MS = 50, PRINTED_BYTES = 8192 };

/* Where PATH has it. Entries that are not absolute would be looked up in the result's folder, which
   may be another's. */
static bool find_gnuplot(char path[PATH_MAX])
{
    const char *from = getenv("PATH");

    for (; from && *from; from += strcspn(from, ":"), from += *from == ':') {
        const int length = (int)strcspn(from, ":");
        if (*from == '/' && snprintf(path, PATH_MAX, "%.*s/gnuplot", length, from) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* The environment without what changes gnuplot: GNUTERM, GNUPLOT_LIB and the like. A new array of
   borrowed strings. */
static char **plain_environment(void)
{
    size_t n = 0;

    while (environ[n])
        n++;
    char **plain = calloc(n + 1, sizeof *plain), **to = plain;
    for (size_t i = 0; plain && i < n; i++)
        if (strncmp(environ[i], "GNUTERM=", 8) != 0 && strncmp(environ[i], "GNUPLOT", 7) != 0)
            *to++ = environ[i];
    return plain;
}

_Noreturn static void become_gnuplot(const char *program, const char *dir, char *script,
                                     char **environment, int out, pid_t parent)
{
    char *const arguments[] = { (char[]){ "gnuplot" }, (char[]){ "--default-settings" }, script,
                                NULL };
    const int nothing = open("/dev/null", O_RDONLY);

    /* Not of the terminal's group: Ctrl-C is the harness's, which then ends this process. */
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    if (chdir(dir) == 0)
        (void)execve(program, arguments, environment);
    const char *why = strerror(errno);
    (void)!write(STDERR_FILENO, why, strlen(why));
    _exit(1);
}

/* Reads until gnuplot closes its output; keeps the beginning. OK, or why it is to be ended. */
static int read_output(int in, char *printed, size_t *n, const volatile int *interrupted)
{
    const uint64_t limit_ns = clock_ns() + LIMIT_S * UINT64_C(1000000000);
    char rest[1024];

    for (;;) {
        struct pollfd ready = { .fd = in, .events = POLLIN };

        if (interrupted && *interrupted)
            return ERR_INTERRUPTED;
        if (clock_ns() > limit_ns)
            return ERR_IO;
        if (poll(&ready, 1, TICK_MS) <= 0)
            continue;
        const bool full = *n == PRINTED_BYTES;
        const ssize_t got =
            read(in, full ? rest : printed + *n, full ? sizeof rest : PRINTED_BYTES - *n);
        if (got == 0)
            return OK;
        if (got > 0 && !full)
            *n += (size_t)got;
    }
}

static int say_why(const char *dir, const char *file, int rc, const char *printed, size_t n,
                   struct error *error)
{
    char log[PATH_MAX];
    struct error unwritten = { 0 };

    if (rc == ERR_INTERRUPTED)
        return fail(error, rc, "interrupted while %s/%s.gp was drawn", dir, file);
    if (snprintf(log, sizeof log, "%s/%s.log", dir, file) < (int)sizeof log)
        (void)write_whole_file(log, printed, n, &unwritten);
    if (rc)
        return fail(error, rc, "gnuplot took longer than %d s on %s/%s.gp and was ended", LIMIT_S,
                    dir, file);
    return fail(error, ERR_IO, "gnuplot failed on %s/%s.gp; its output is in %s", dir, file, log);
}

int gnuplot_run(const char *dir, const char *file, const volatile int *interrupted,
                struct error *error)
{
    char program[PATH_MAX], script[NAME_MAX + 1], printed[PRINTED_BYTES];
    const pid_t parent = getpid();
    int ends[2], status = 0;
    size_t n = 0;

    if (!find_gnuplot(program))
        return fail(
            error, ERR_NOT_FOUND,
            "there is no gnuplot in PATH; `make deps` installs it, --no-plots goes without");
    (void)snprintf(script, sizeof script, "%s.gp", file);
    char **environment = plain_environment();
    if (!environment || pipe2(ends, O_CLOEXEC) != 0) {
        free(environment);
        return fail_errno(error, ERR_IO, "cannot run gnuplot in %s", dir);
    }
    const pid_t pid = fork();
    if (pid == 0)
        become_gnuplot(program, dir, script, environment, ends[1], parent);
    (void)close(ends[1]);
    free(environment);
    if (pid < 0) {
        (void)close(ends[0]);
        return fail_errno(error, ERR_IO, "no process for gnuplot");
    }
    const int rc = read_output(ends[0], printed, &n, interrupted);
    (void)close(ends[0]);
    if (rc)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!rc && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return OK;
    return say_why(dir, file, rc, printed, n, error);
}
