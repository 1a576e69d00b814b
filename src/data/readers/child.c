/* child.c - runs a forked child with limits and a pipe; see child.h. */
#define _GNU_SOURCE
#include "src/data/readers/child.h"
#include "src/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 100, READ_BYTES = 1 << 16 };

/* Memory of the process that RLIMIT_DATA already counts. The limit is set relative to it, as
   sanitizers reserve terabytes. */
static size_t data_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* If a limit cannot be set, a lower one is in force already. */
static void set_limits(const struct child_process *c)
{
    const rlim_t cpu_s = (rlim_t)ceil(c->cpu_s), data = (rlim_t)(data_bytes() + c->memory_bytes);
    /* The soft limit sends SIGXCPU, which identifies the cause; the hard limit kills. */
    const struct rlimit core = { 0, 0 }, cpu = { cpu_s, cpu_s + 1 }, memory = { data, data };
    (void)setrlimit(RLIMIT_CORE, &core);
    if (c->cpu_s > 0)
        (void)setrlimit(RLIMIT_CPU, &cpu);
    if (c->memory_bytes)
        (void)setrlimit(RLIMIT_DATA, &memory);
}

static _Noreturn void be_child(const struct child_process *c, int out, pid_t parent)
{
    /* The parent's handlers must not run in the child. */
    static const int ours[] = { SIGINT, SIGTERM, SIGALRM, SIGXCPU, SIGSEGV,
                                SIGBUS, SIGFPE,  SIGILL,  SIGABRT };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        (void)signal(ours[i], SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    set_limits(c);
    c->work(c->context, out);
    _exit(0);
}

static int keep_output(struct child_process *c, size_t *capacity, int in, bool *ended,
                       struct error *err)
{
    const size_t most = c->output_bytes + READ_BYTES + 1;
    if (most > CHILD_OUTPUT_BYTES_MAX || !mem_grow(NULL, &c->output, capacity, most, 1))
        return fail(err, ERR_NO_MEMORY, "sent more than memory holds");
    const ssize_t n = read(in, c->output + c->output_bytes, READ_BYTES);
    if (n < 0 && errno != EINTR)
        return fail_errno(err, ERR_IO, "cannot be read from");
    c->output_bytes += n > 0 ? (size_t)n : 0;
    c->output[c->output_bytes] = '\0';
    *ended = n == 0;
    return OK;
}

static int follow(struct child_process *c, int in, struct error *err)
{
    size_t capacity = 0;
    for (bool ended = false; !ended;) {
        struct pollfd ready = { .fd = in, .events = POLLIN };
        const int n = poll(&ready, 1, TICK_MS);
        if (c->tick && c->tick(c->context))
            return fail(err, ERR_INTERRUPTED, "was interrupted");
        const int rc = n > 0 ? keep_output(c, &capacity, in, &ended, err) : OK;
        if (rc)
            return rc;
    }
    return OK;
}

static int judge(const struct child_process *c, int status, struct error *err)
{
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return OK;
    if (WIFEXITED(status))
        return fail(err, ERR_CORRUPT, "ended by itself with status %d", WEXITSTATUS(status));
    const int number = WTERMSIG(status);
    if (number == SIGINT || number == SIGTERM)
        return fail(err, ERR_INTERRUPTED, "was interrupted");
    if (number == SIGXCPU)
        return fail(err, ERR_CORRUPT, "took more than %.0f s of processor time", ceil(c->cpu_s));
    return fail(err, ERR_CORRUPT, "crashed (SIG%s)",
                sigabbrev_np(number) ? sigabbrev_np(number) : "?");
}

int child_run(struct child_process *c, struct error *err)
{
    int ends[2];
    const pid_t parent = getpid();
    c->output = NULL;
    c->output_bytes = 0;
    c->status = 0;
    if (pipe2(ends, O_CLOEXEC))
        return fail_errno(err, ERR_IO, "cannot get a pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        be_child(c, ends[1], parent);
    }
    int rc = pid < 0 ? fail_errno(err, ERR_IO, "cannot be forked") : OK;
    close(ends[1]);
    if (!rc)
        rc = follow(c, ends[0], err);
    close(ends[0]);
    if (pid > 0 && rc)
        (void)kill(pid, SIGKILL);
    while (pid > 0 && waitpid(pid, &c->status, 0) < 0 && errno == EINTR)
        continue;
    return rc ? rc : judge(c, c->status, err);
}
