/* child.c - see child.h. */
#define _GNU_SOURCE
#include "src/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/core/mem.h"
#include "src/data/readers/bytes.h"
#include "src/run/crash.h"
#include "src/run/measure/folder.h"
#include "src/run/measure/outside.h"
#include "src/run/measure/proc.h"
#include "src/run/measure/threads.h"
#include "src/run/replay/replay.h"
#include "src/run/scratch.h"

uint64_t cell_memory_limit(const struct cell_env *env)
{
    if (env->options && env->options->memory_limit)
        return env->options->memory_limit;
    if (env->experiment->memory_limit)
        return env->experiment->memory_limit;
    return mem_of_machine() / 5 * 4;
}

double cell_timeout_s(const struct cell_env *env)
{
    if (env->options && env->options->timeout_s > 0)
        return env->options->timeout_s;
    return env->experiment->timeout_s > 0 ? env->experiment->timeout_s : 1800;
}

/* Sends one line. Returns a value other than 0 if the pipe is closed. */
static int send_line(const struct cell_channel *to, json_t *json_taken)
{
    if (to->take) {
        const int rc = to->take(to->to, json_taken);
        json_decref(json_taken);
        return rc;
    }
    char *text = json_dumps(json_taken, JSON_COMPACT), *line = NULL;
    const int n = text ? asprintf(&line, "%s %s\n", to->key, text) : -1;
    const int rc = n > 0 ? bytes_put(to->lines, line, (size_t)n) : -1;

    json_decref(json_taken);
    free(text);
    if (n > 0)
        free(line);
    return rc;
}

/* Reads one line from the harness; NULL if the pipe is closed. */
static json_t *read_reply(const struct cell_channel *from)
{
    char line[2048];
    size_t n = 0;

    while (n < sizeof line) {
        const ssize_t got = read(from->replies, line + n, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return NULL;
        if (line[n] == '\n')
            return json_loadb(line, n, 0, NULL);
        n++;
    }
    return NULL;
}

struct sender {
    const struct cell_channel *channel;
    const char *dir;
    /* files that this process can write to, found so far (outside.h); NULL: it is the harness's own */
    json_t *known;
    size_t steps, operations; /* steps sent so far; operations of the workload */
};

/* Called between steps, outside the clock: at the end of the cell the index and its files no longer
   exist. A search takes half a millisecond and a workload may have thousands of steps, so only
   steps 1, 2, 4, 8 ... and the last one are followed by a search. */
static void look_outside(struct sender *s, size_t step)
{
    s->steps++;
    if (!s->known || ((s->steps & (s->steps - 1)) != 0 && step < s->operations))
        return;
    json_t *found = outside_new(s->known, s->dir);

    if (json_array_size(found) > 0)
        (void)send_line(s->channel, json_pack("{s:O}", "outside", found));
    json_decref(found);
}

static int on_message(void *to, json_t *message_taken)
{
    struct sender *s = to;
    const long long step = field_integer(json_object_get(message_taken, "step"), "index", -1);
    const int rc = send_line(s->channel, message_taken);

    if (step >= 0 && rc == 0)
        look_outside(s, (size_t)step);
    return rc;
}

/* Scores the answers, or sends them and waits for the harness to score them. */
static int on_score(void *to, const struct answers *a, double *recall, struct error *err)
{
    const struct sender *s = to;
    const int lines = s->channel->lines;
    double unused;
    if (s->channel->scorer)
        return scorer_take(s->channel->scorer, a, recall ? recall : &unused, err);
    int rc =
        send_line(s->channel, json_pack("{s:{s:i, s:I, s:b, s:I, s:I, s:b}}", "answers", "pass",
                                        (int)a->pass, "op", (json_int_t)a->op, "concurrent",
                                        a->concurrent, "queries", (json_int_t)a->n, "ids",
                                        (json_int_t)a->n_ids, "range", a->starts != NULL));

    if (rc == 0)
        rc = bytes_put(lines, a->positions, a->n * sizeof *a->positions);
    if (rc == 0 && a->starts)
        rc = bytes_put(lines, a->starts, (a->n + 1) * sizeof *a->starts);
    if (rc == 0)
        rc = bytes_put(lines, a->ids, a->n_ids * sizeof *a->ids);
    json_t *reply = rc == 0 ? read_reply(s->channel) : NULL;
    if (!reply)
        return fail(err, ERR_IO, "cannot send answers to the harness process");
    const int code = (int)json_integer_value(json_object_get(reply, "code"));
    if (recall)
        *recall = field_number(reply, "recall");
    if (code != OK)
        fail(err, code, "%s", field_text(reply, "error", ""));
    json_decref(reply);
    return code;
}

static int on_held(void *to, double ns, enum replay_order *order, struct error *err)
{
    const struct sender *s = to;
    const int rc = send_line(s->channel, json_pack("{s:{s:o}}", "ready", "ns", json_number(ns)));
    json_t *reply = rc == 0 ? read_reply(s->channel) : NULL;

    if (!reply)
        return fail(err, ERR_IO, "the harness process sent no order");
    *order = (enum replay_order)json_integer_value(json_object_get(reply, "order"));
    json_decref(reply);
    return OK;
}

static void settle_process(int errors, const char *dir, pid_t parent)
{
    const struct rlimit no_core = { 0, 0 };
    const int nothing = open("/dev/null", O_RDWR);

    (void)setpgid(0, 0);
    /* The child must not outlive its parent. The parent may already have ended before prctl(). */
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

void cell_replay(const struct cell *cell, const struct cell_env *env, const char *dir,
                 const struct cell_channel *channel, pid_t guard)
{
    char real[PATH_MAX];
    struct replay_use use = { 0 };
    struct sender sender = { .channel = channel,
                             .dir = realpath(dir, real) ? real : dir,
                             .operations = env->experiment->ops->n };
    const struct experiment *x = env->experiment;
    const struct replay_env replay = {
        .cell = cell,
        .asked = env,
        .memory_limit = cell_memory_limit(env),
        .dir = dir,
        .family = guard,
        .held = on_held,
        .tell = on_message,
        .ticks = env->progress != NULL,
        .score = env->save_dir ? NULL : on_score,
        .to = &sender,
    };
    struct error err = { 0 };

    if (!channel->take) {
        sender.known = outside_writable();
        (void)send_line(channel, json_pack("{s:I}", "pid", (json_int_t)getpid()));
    }
    (void)send_line(channel, json_pack("{s:o}", "facts", threads_set(x->threads)));
    const int rc = replay_run(&replay, &use, &err);
    (void)send_line(channel, json_pack("{s:{s:i, s:o, s:f, s:I, s:I, s:s?}}", "end", "code", rc,
                                       "error", quote_json(err.text), "own_seconds",
                                       proc_own_seconds() + use.children_seconds, "ranks",
                                       (json_int_t)use.ranks, "left_bytes",
                                       (json_int_t)use.left_bytes, "changed", threads_changed()));
    json_decref(sender.known);
}

/* ---- the guard */

/* A process that ends by itself within GRACE_MS after the cell is not reported as left running.
   Open MPI's daemons, and the ranks on other machines, need longer. END_MS limits the wait for a
   killed process, which may be in an uninterruptible call. */
enum {
    GRACE_MS = 50,
    RANKS_GRACE_MS = 5000,
    END_MS = 3000,
    TICK_MS = 10,
    NAMED_MAX = 16,
    CHILDREN_MAX = 256
};

struct guard {
    pid_t harness, cell;
    sigset_t awaited; /* SIGCHLD and SIGTERM, both blocked */
    bool ending;      /* SIGKILL has been sent to the cell */
    uint64_t ending_ns;
    bool cell_ended;
    int state; /* the cell's wait status */
};

/* Reaps the children that have ended. Returns false if there are no others. */
static bool reap(struct guard *g)
{
    int state;
    pid_t pid;

    while ((pid = waitpid(-1, &state, WNOHANG)) > 0)
        if (pid == g->cell) {
            g->cell_ended = true;
            g->state = state;
        }
    return pid == 0;
}

/* Waits for SIGCHLD or SIGTERM; once the cell is ending, at most TICK_MS. */
static void wait_tick(struct guard *g)
{
    const struct timespec tick = { 0, TICK_MS * 1000000 };
    /* Without a timeout while the cell runs, so that the guard does not disturb it. */
    const int number = sigtimedwait(&g->awaited, NULL, g->ending || g->cell_ended ? &tick : NULL);

    if (number == SIGTERM && !g->cell_ended) {
        (void)kill(g->cell, SIGKILL);
        g->ending_ns = g->ending ? g->ending_ns : clock_ns();
        g->ending = true;
    }
    (void)reap(g);
}

static uint64_t ms_since(uint64_t start_ns)
{
    return (clock_ns() - start_ns) / 1000000;
}

/* Orphans of the cell are children of this process. Killing one may orphan others, and a list of
   processes may miss one that was just forked. Only waitpid() shows reliably that none are left. */
static json_t *end_left(struct guard *g, uint64_t grace_ms)
{
    json_t *left = json_array(), *named = json_object();
    const uint64_t start = clock_ns();
    pid_t pids[CHILDREN_MAX];
    char name[160];

    while (reap(g) && ms_since(start) < grace_ms + END_MS) {
        const bool spared = ms_since(start) < grace_ms;
        const size_t n = spared ? 0 : proc_list(getpid(), pids, CHILDREN_MAX);

        for (size_t i = 0; i < n; i++) {
            proc_name(pids[i], name, sizeof name);
            if (!json_object_get(named, name) && json_object_size(named) < NAMED_MAX) {
                (void)json_object_set_new(named, name, json_true());
                (void)json_array_append_new(left, quote_json(name));
            }
            (void)kill(pids[i], SIGKILL);
        }
        wait_tick(g);
    }
    json_decref(named);
    return left;
}

static void become_guard(struct guard *g)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    if (getppid() != g->harness)
        (void)raise(SIGTERM); /* blocked, so it takes effect in wait_tick() */
}

_Noreturn void cell_guard(const struct cell *cell, const struct cell_env *env, const char *dir,
                          const struct cell_channel *channel, int errors, pid_t harness)
{
    struct guard g = { .harness = harness };
    const pid_t own = getpid();
    sigset_t before;

    (void)sigemptyset(&g.awaited);
    (void)sigaddset(&g.awaited, SIGCHLD);
    (void)sigaddset(&g.awaited, SIGTERM);
    (void)signal(SIGCHLD, SIG_DFL); /* if ignored, children would leave no status */
    (void)sigprocmask(SIG_BLOCK, &g.awaited, &before);
    become_guard(&g);
    json_t *temporary = outside_temporary();
    g.cell = fork();
    if (g.cell == 0) {
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        settle_process(errors, dir, own);
        cell_replay(cell, env, dir, channel, own);
        _exit(0); /* not exit(): handlers that the harness has registered must not run here */
    }
    const int why = errno;
    (void)close(errors);
    (void)close(channel->replies);
    if (g.cell < 0) {
        (void)send_line(channel, json_pack("{s:{s:i, s:o}}", "end", "code", ERR_IO, "error",
                                           quote_json(strerror(why))));
        _exit(0);
    }
    while (!g.cell_ended && !(g.ending && ms_since(g.ending_ns) > END_MS))
        wait_tick(&g);
    const uint64_t grace_ms = cell->method->ops->shards ? RANKS_GRACE_MS : GRACE_MS;
    (void)send_line(channel, json_pack("{s:o}", "left", end_left(&g, grace_ms)));
    json_t *segments = outside_end_segments(g.cell);
    if (json_array_size(segments) > 0)
        (void)send_line(channel, json_pack("{s:O}", "outside", segments));
    json_decref(segments);
    (void)send_line(channel, json_pack("{s:o}", "temporary", outside_left(temporary, g.cell)));
    /* All processes of the cell have been reaped, so their processor time is complete. */
    (void)send_line(
        channel, json_pack("{s:i, s:f}", "ended", g.state, "all_seconds", proc_children_seconds()));
    if (getppid() != harness)
        folder_remove(dir);
    _exit(0);
}
