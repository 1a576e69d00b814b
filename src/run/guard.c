/* guard.c - see guard.h. */
#define _GNU_SOURCE
#include "src/run/guard.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/quote.h"
#include "src/run/child.h"
#include "src/run/measure/folder.h"
#include "src/run/measure/outside.h"
#include "src/run/measure/proc.h"

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

static void end_cell(struct guard *g)
{
    (void)kill(g->cell, SIGKILL);
    if (!g->ending)
        g->ending_ns = clock_ns();
    g->ending = true;
}

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

    if (number == SIGTERM && !g->cell_ended)
        end_cell(g);
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
        cell_child(cell, env, dir, channel, errors, own);
    }
    const int why = errno;
    (void)close(errors);
    (void)close(channel->replies);
    if (g.cell < 0) {
        (void)cell_send(channel, json_pack("{s:{s:i, s:o}}", "end", "code", ERR_IO, "error",
                                           quote_json(strerror(why))));
        _exit(0);
    }
    while (!g.cell_ended && !(g.ending && ms_since(g.ending_ns) > END_MS))
        wait_tick(&g);
    const uint64_t grace_ms = cell->method->ops->shards ? RANKS_GRACE_MS : GRACE_MS;
    (void)cell_send(channel, json_pack("{s:o}", "left", end_left(&g, grace_ms)));
    json_t *segments = outside_end_segments(g.cell);
    if (json_array_size(segments) > 0)
        (void)cell_send(channel, json_pack("{s:O}", "outside", segments));
    json_decref(segments);
    (void)cell_send(channel, json_pack("{s:o}", "temporary", outside_left(temporary, g.cell)));
    /* All processes of the cell have been reaped, so their processor time is complete. */
    (void)cell_send(
        channel, json_pack("{s:i, s:f}", "ended", g.state, "all_seconds", proc_children_seconds()));
    if (getppid() != harness)
        folder_remove(dir);
    _exit(0);
}
