/* ranks.c - rank 0's side. Messages have the tag of their kind; a new rank first says who it is, and is
 * then told what to do. */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include "src/cluster/ranks.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "src/cluster/internal.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

static const double START_S = 60;

struct member {
    struct mpi_link *link; /* NULL: never started */
    bool lost, greeted;
    struct rank_hello hello;
    uint64_t heard_ns;
};

struct queued {
    struct rank_message message;
    struct queued *next;
};

struct group {
    struct rank_group base;
    struct cluster_ranks *of;
    const struct mpi_library *mpi;
    struct member *members; /* by rank; 0 is unused */
    size_t n;
    struct queued *arrived; /* in order */
    struct cluster_wait wait;
    struct cluster_listening listening;
    char host[RANK_HOST_BYTES];
    bool stuck; /* MPI must not be called */
};

/* ---- taking messages */

static void enqueue(struct group *g, size_t from, unsigned char *bytes, size_t n)
{
    struct queued *q = mem_zalloc(NULL, sizeof *q);
    if (!q) { /* as if the rank had not answered */
        mem_free(NULL, bytes);
        return;
    }
    q->message = (struct rank_message){ from, bytes, n };
    struct queued **end = &g->arrived;
    while (*end)
        end = &(*end)->next;
    *end = q;
}

static void take(struct group *g, size_t rank, int tag, size_t n)
{
    struct member *m = &g->members[rank];
    char why[MPI_WHY_BYTES];
    unsigned char *bytes = mem_alloc(NULL, n);
    if (!bytes || g->mpi->take(m->link, tag, bytes, n, why)) {
        mem_free(NULL, bytes);
        return;
    }
    m->heard_ns = clock_ns();
    if (tag == TAG_HELLO && n == sizeof m->hello) {
        memcpy(&m->hello, bytes, n);
        m->hello.host[RANK_HOST_BYTES - 1] = '\0';
        m->greeted = true;
    }
    if (tag == TAG_MESSAGE && !m->lost)
        enqueue(g, rank, bytes, n);
    else
        mem_free(NULL, bytes);
}

/* Takes what has arrived; returns whether anything has. */
static bool poll_ranks(struct group *g)
{
    const uint64_t now = clock_ns();
    bool any = false;
    cluster_polled(&g->listening, now);
    for (size_t i = 1; !g->stuck && i < g->n; i++) {
        int tag;
        size_t n;
        while (g->members[i].link && g->mpi->is_waiting(g->members[i].link, &tag, &n)) {
            take(g, i, tag, n);
            any = true;
        }
    }
    if (any)
        g->wait.since_ns = now;
    return any;
}

/* ---- the operations */

static bool is_here(const struct group *g, const struct member *m)
{
    return m->greeted && strcmp(m->hello.host, g->host) == 0;
}

static bool has_ended(const struct group *g, const struct member *m)
{
    return is_here(g, m) && kill((pid_t)m->hello.pid, 0) != 0 && errno == ESRCH;
}

/* On this machine, a process that has ended is noticed at once; that one is on another, is stopped, or has
   ended and another has its number now, by its silence. */
static bool is_gone(const struct group *g, const struct member *m)
{
    return has_ended(g, m) || cluster_is_silent(&g->listening, m->heard_ns, clock_ns());
}

static bool group_is_lost(struct rank_group *base, size_t rank)
{
    struct group *g = (struct group *)base;
    struct member *m = &g->members[rank];
    if (m->lost || g->stuck)
        return true;
    (void)poll_ranks(g);
    m->lost = is_gone(g, m);
    return m->lost;
}

static bool group_receive(struct rank_group *base, uint64_t wait_ns, struct rank_message *out)
{
    struct group *g = (struct group *)base;
    const uint64_t begin = clock_ns();
    g->wait.since_ns = begin;
    for (;;) {
        (void)poll_ranks(g);
        struct queued *q = g->arrived;
        if (q) {
            g->arrived = q->next;
            *out = q->message;
            mem_free(NULL, q);
            return true;
        }
        const uint64_t now = clock_ns();
        if (now - begin >= wait_ns)
            return false;
        cluster_wait_step(&g->wait, now);
    }
}

/* A rank may be sending, too, and does not receive until that is taken. */
static int group_send(struct rank_group *base, size_t to, const void *bytes, size_t n,
                      struct error *err)
{
    struct group *g = (struct group *)base;
    struct member *m = &g->members[to];
    struct mpi_send *send;
    char why[MPI_WHY_BYTES];
    if (m->lost || g->stuck)
        return OK;
    if (g->mpi->send(m->link, TAG_MESSAGE, bytes, n, &send, why))
        return fail(err, ERR_IO, "rank %zu: %s", to, why);
    for (size_t i = 1; !g->mpi->is_sent(send); i++) {
        const bool any = poll_ranks(g);
        if (i % 1024 == 0 && is_gone(g, m)) {
            m->lost = true; /* the send stays with MPI, which may still look at it */
            return fail(err, ERR_IO, "rank %zu is lost", to);
        }
        if (!any)
            cluster_wait_step(&g->wait, clock_ns());
    }
    return OK;
}

/* ---- starting */

static int instruct(struct group *g, size_t rank, const char *dir, struct error *err)
{
    const struct registry *registry = g->of->registry;
    struct rank_orders orders = { .threads = g->of->threads, .crowded = g->wait.crowded };
    char real[PATH_MAX], why[MPI_WHY_BYTES], *bytes = NULL;
    struct mpi_send *send;
    size_t n = 0;
    (void)snprintf(orders.method, sizeof orders.method, "%s", g->of->ops->name);
    if (path_print(orders.folder, err, "%s/rank-%zu", dir, rank))
        return err->code;
    FILE *out = open_memstream(&bytes, &n);
    if (!out)
        return fail(err, ERR_NO_MEMORY, "rank %zu: out of memory", rank);
    (void)fwrite(&orders, sizeof orders, 1, out);
    for (size_t i = 0; i < registry->n_plugins; i++) {
        const char *path = registry->plugins[i].path;
        fprintf(out, "%s%c", realpath(path, real) ? real : path, 0);
    }
    int rc = fclose(out) ? fail(err, ERR_NO_MEMORY, "rank %zu: out of memory", rank) : OK;
    if (!rc && g->mpi->send(g->members[rank].link, TAG_HELLO, bytes, n, &send, why))
        rc = fail(err, ERR_IO, "rank %zu: %s", rank, why);
    while (!rc && !g->mpi->is_sent(send))
        (void)poll_ranks(g);
    free(bytes);
    return rc;
}

/* Whether more ranks than cores are on this machine. */
static bool is_crowded(const struct group *g)
{
    size_t here = 1;
    for (size_t i = 1; i < g->n; i++)
        here += is_here(g, &g->members[i]);
    return here * g->of->threads > (size_t)get_nprocs();
}

static int await_hello(struct group *g, size_t first, size_t n, struct error *err)
{
    const uint64_t begin = clock_ns();
    for (size_t i = first; i < first + n;) {
        (void)poll_ranks(g);
        if (g->members[i].greeted) {
            i++;
            continue;
        }
        if (clock_seconds(clock_ns() - begin) > START_S)
            return fail(err, ERR_IO, "rank %zu did not start within %.0f seconds", i, START_S);
        const struct timespec pause = { 0, 200000 };
        (void)nanosleep(&pause, NULL);
    }
    return OK;
}

/* Left to the thread that starts the rank if it does not return in time. */
struct starting {
    const struct mpi_library *mpi;
    char program[PATH_MAX], why[MPI_WHY_BYTES];
    struct mpi_link *link;
    int rc;
};

static void *start_in_thread(void *of)
{
    struct starting *s = of;
    s->rc = s->mpi->start(s->program, CLUSTER_RANK_COMMAND, &s->link, s->why);
    return NULL;
}

/* Runs the function in a thread, for at most so long. ETIMEDOUT: the thread runs still, with what
   it was given; another number: it was not started. */
static int run_within(double seconds, void *(*run)(void *), void *of)
{
    struct timespec until;
    pthread_t thread;
    const int rc = pthread_create(&thread, NULL, run, of);
    if (rc)
        return rc;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)seconds;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return 0;
    (void)pthread_detach(thread);
    return ETIMEDOUT;
}

/* One at a time: with several, one in some two hundred never came out of PMIx_Init() (Open MPI 4.1.4). If
   one does not start, MPI is stuck in this process, and nothing more is asked of it. */
static int start_one(struct group *g, size_t rank, const char *program, struct error *err)
{
    struct starting *s = mem_zalloc(NULL, sizeof *s);
    if (!s)
        return fail(err, ERR_NO_MEMORY, "ranks: out of memory to start one");
    s->mpi = g->mpi;
    (void)snprintf(s->program, sizeof s->program, "%s", program);
    const int started = run_within(START_S, start_in_thread, s);
    if (started == ETIMEDOUT) {
        g->of->mpi = NULL;
        g->stuck = true;
        return fail(err, ERR_IO, "ranks: Open MPI did not start one within %.0f seconds", START_S);
    }
    errno = started;
    const int rc = started ? fail_errno(err, ERR_IO, "ranks: a thread cannot be started")
                   : s->rc ? fail(err, ERR_IO, "ranks: %s", s->why)
                           : OK;
    g->members[rank].link = s->link;
    mem_free(NULL, s);
    return rc;
}

static int group_start(struct rank_group *base, size_t first, size_t n, const char *dir,
                       struct error *err)
{
    struct group *g = (struct group *)base;
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    const size_t all = first + n > g->n ? first + n : g->n;
    struct member *members = mem_resize(NULL, g->members, all * sizeof *members);
    int rc = g->stuck ? fail(err, ERR_IO, "ranks: Open MPI is stuck in this process") : OK;
    if (members)
        g->members = members;
    else
        rc = fail(err, ERR_NO_MEMORY, "ranks: out of memory for %zu", n);
    program[length > 0 ? length : 0] = '\0';
    if (rc == OK && access(program, X_OK) != 0)
        rc = fail(err, ERR_IO, "ranks: %s: the program was replaced while it runs", program);
    for (size_t i = g->n; rc == OK && i < all; i++)
        members[i] = (struct member){ 0 };
    g->n = rc == OK ? all : g->n;
    for (size_t i = first; rc == OK && i < first + n; i++) {
        g->mpi->unlink(members[i].link);
        members[i] = (struct member){ .heard_ns = clock_ns() };
    }
    for (size_t i = first; rc == OK && i < first + n; i++)
        rc = start_one(g, i, program, err);
    if (rc == OK)
        rc = await_hello(g, first, n, err);
    g->wait.crowded = is_crowded(g);
    for (size_t i = first; rc == OK && i < first + n; i++)
        rc = instruct(g, i, dir, err);
    g->of->base.started += n;
    return rc;
}

/* ---- ending */

/* A message with the number 0 ends a rank; one that does not end soon is killed, if it is here. */
static void group_close(struct rank_group *base)
{
    struct group *g = (struct group *)base;
    static const double PATIENCE_S = 2;
    const uint64_t end = 0, begin = clock_ns();
    struct error unreported = { 0 };
    for (size_t i = 1; i < g->n; i++)
        if (g->members[i].link && !group_is_lost(base, i))
            (void)group_send(base, i, &end, sizeof end, &unreported);
    for (size_t i = 1; i < g->n; i++) {
        const struct member *m = &g->members[i];
        const bool here = is_here(g, m);
        while (here && !has_ended(g, m) && clock_seconds(clock_ns() - begin) < PATIENCE_S) {
            const struct timespec pause = { 0, 1000000 };
            (void)poll_ranks(g);
            (void)nanosleep(&pause, NULL);
        }
        if (here && !has_ended(g, m))
            (void)kill((pid_t)m->hello.pid, SIGKILL);
    }
    for (size_t i = 1; !g->stuck && i < g->n; i++)
        g->mpi->unlink(g->members[i].link);
    for (struct queued *q = g->arrived, *next; q; q = next) {
        next = q->next;
        mem_free(NULL, q->message.bytes);
        mem_free(NULL, q);
    }
    mem_free(NULL, g->members);
    mem_free(NULL, g);
}

static const struct rank_group_ops group_ops = { group_start, group_send, group_receive,
                                                 group_is_lost, group_close };

/* MPI is started once in a process. */
static int open_group(struct ranks *base, struct rank_group **out, struct error *err)
{
    struct cluster_ranks *of = (struct cluster_ranks *)base;
    char why[MPI_WHY_BYTES];
    struct group *g = mem_zalloc(NULL, sizeof *g);
    *out = NULL;
    if (!g)
        return fail(err, ERR_NO_MEMORY, "ranks: out of memory");
    *g = (struct group){ .base.ops = &group_ops, .of = of };
    g->mpi = cluster_load("ranks", err);
    int rc = g->mpi ? OK : ERR_UNSUPPORTED;
    if (rc == OK && g->mpi->begin(why))
        rc = fail(err, ERR_UNSUPPORTED, "ranks: %s", why);
    if (rc != OK) {
        mem_free(NULL, g);
        return rc;
    }
    of->mpi = g->mpi;
    (void)gethostname(g->host, sizeof g->host - 1);
    *out = &g->base;
    return OK;
}

struct cluster_ranks cluster_ranks_of(const struct index_ops *ops, const struct registry *registry,
                                      size_t threads)
{
    return (struct cluster_ranks){
        .base.open = open_group, .ops = ops, .registry = registry, .threads = threads
    };
}

/* In a thread, for MPI may wait for ranks that have died. */
static void *end_mpi(void *of)
{
    const struct mpi_library *mpi = of;
    mpi->end();
    return NULL;
}

void cluster_ranks_end(struct cluster_ranks *r)
{
    static const double PATIENCE_S = 3;
    if (r->mpi)
        (void)run_within(PATIENCE_S, end_mpi, (void *)(uintptr_t)r->mpi);
    r->mpi = NULL;
}
