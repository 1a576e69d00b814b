/* cell_child.c - see cell_child.h. */
#define _GNU_SOURCE
#include "cell_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crash.h"
#include "outside.h"
#include "quote.h"
#include "replay.h"
#include "scratch.h"
#include "sysinfo.h"

uint64_t cell_memory_limit(const struct cell_env *env)
{
    if (env->options && env->options->memory_limit)
        return env->options->memory_limit;
    if (env->experiment->memory_limit)
        return env->experiment->memory_limit;
    return sysinfo_memory_bytes() / 5 * 4;
}

double cell_timeout_s(const struct cell_env *env)
{
    if (env->options && env->options->timeout_s > 0)
        return env->options->timeout_s;
    return env->experiment->timeout_s > 0 ? env->experiment->timeout_s : 1800;
}

int cell_send(int fd, json_t *json_taken)
{
    char *text = json_dumps(json_taken, JSON_COMPACT);
    size_t left = text ? strlen(text) : 0, at = 0;

    json_decref(json_taken);
    if (!text)
        return -1;
    text[left++] = '\n'; /* over the terminator: the length is known */
    while (left > 0) {
        const ssize_t n = write(fd, text + at, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
        left -= (size_t)n;
    }
    free(text);
    return left == 0 ? 0 : -1;
}

static json_t *point_json(size_t point)
{
    return point == REPLAY_ALL_POINTS ? json_null() : json_integer((json_int_t)point);
}

/* Where lines go, and which files this process may write to, as far as is known. */
struct sender {
    int lines;
    const char *dir;
    json_t *known;
    size_t steps, operations; /* sent so far; of the workload */
};

static void on_begin(void *to, size_t op, size_t point)
{
    const struct sender *s = to;

    (void)cell_send(s->lines, json_pack("{s:{s:I, s:o}}", "begin", "step", (json_int_t)op, "point",
                                        point_json(point)));
}

/* After steps, when no clock runs, for when all is over the index and its files are gone. A look
   takes half a millisecond, and workloads have thousands of steps: the 1st, 2nd, 4th, 8th and so
   on, and the one after the last operation. */
static void look_outside(struct sender *s, size_t step)
{
    s->steps++;
    if ((s->steps & (s->steps - 1)) != 0 && step < s->operations)
        return;
    json_t *found = outside_look(s->known, s->dir);

    if (json_array_size(found) > 0)
        (void)cell_send(s->lines, json_pack("{s:O}", "outside", found));
    json_decref(found);
}

static int on_step(void *to, size_t point, json_t *step, struct error *err)
{
    struct sender *s = to;
    const size_t number = (size_t)json_integer_value(json_object_get(step, "index"));

    if (cell_send(s->lines, json_pack("{s:o, s:o}", "point", point_json(point), "step", step)) != 0)
        return fail_errno(err, ERR_IO, "a step could not be handed to the parent process");
    look_outside(s, number);
    return OK;
}

static void settle_process(int errors, const char *dir, pid_t parent)
{
    const struct rlimit no_core = { 0, 0 };
    const int nothing = open("/dev/null", O_RDWR);

    (void)setpgid(0, 0);
    /* The child must not outlive a parent that was killed, nor one that was killed before this
       line. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (nothing >= 0) {
        (void)dup2(nothing, STDIN_FILENO);
        (void)dup2(nothing, STDOUT_FILENO);
    }
    (void)dup2(errors, STDERR_FILENO);
    scratch_mark(dir);
    crash_handlers_install();
}

void cell_child(const struct cell *cell, const struct cell_env *env, const char *dir, int lines,
                int errors, pid_t parent)
{
    char real[PATH_MAX];
    struct sender sender = { .lines = lines,
                             .dir = realpath(dir, real) ? real : dir,
                             .operations = env->experiment->ops->n };
    const struct experiment *x = env->experiment;
    const struct replay_env replay = {
        .experiment = x,
        .list = x->ops,
        .cell = cell,
        .oracle = env->oracle,
        .kernels = env->kernels,
        .threads = x->threads,
        .memory_limit = cell_memory_limit(env),
        .dir = dir,
        .begin = on_begin,
        .step_take = on_step,
        .to = &sender,
    };
    struct error err = { 0 };

    settle_process(errors, dir, parent);
    sender.known = outside_writable();
    (void)cell_send(lines, json_pack("{s:I}", "pid", (json_int_t)getpid()));
    (void)cell_send(lines, json_pack("{s:o}", "facts", replay_settle_threads(x->threads)));
    const int rc = replay_run(&replay, &err);
    (void)cell_send(lines,
                    json_pack("{s:{s:i, s:o}}", "end", "code", rc, "error", quote_json(err.text)));
    /* No exit handlers: libraries of the parent are not the child's to close. */
    _exit(0);
}
