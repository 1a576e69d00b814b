/* serve.c - the side of a rank that rank 0 has started. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/cluster/internal.h"
#include "src/cluster/ranks.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/ranks/shards.h"

enum { BEAT_US = 1000000 };

/* The thread that works holds the lock while it calls MPI; a second one lets rank 0 hear of the rank
   while it does not. */
struct rank {
    struct rank_group base;
    const struct mpi_library *mpi;
    struct mpi_link *parent;
    pid_t daemon; /* the process that started this one: it ends when rank 0 does */
    pthread_mutex_t lock;
    pthread_t beats;
    bool ending; /* by the lock */
    struct cluster_wait wait;
};

static bool rank_is_lost(struct rank_group *base, size_t other)
{
    struct rank *r = (struct rank *)base;
    return other == 0 && getppid() != r->daemon;
}

static int send_tag(struct rank *r, int tag, const void *bytes, size_t n, struct error *err)
{
    struct mpi_send *send = NULL;
    char why[MPI_WHY_BYTES];
    bool sent = false;
    (void)pthread_mutex_lock(&r->lock);
    const int rc = r->mpi->send(r->parent, tag, bytes, n, &send, why);
    sent = rc == 0 && r->mpi->is_sent(send);
    (void)pthread_mutex_unlock(&r->lock);
    if (rc)
        return fail(err, ERR_IO, "rank: %s", why);
    r->wait.since_ns = clock_ns();
    while (!sent && !rank_is_lost(&r->base, 0)) {
        cluster_wait_step(&r->wait, clock_ns());
        (void)pthread_mutex_lock(&r->lock);
        sent = r->mpi->is_sent(send);
        (void)pthread_mutex_unlock(&r->lock);
    }
    return OK;
}

static int rank_send(struct rank_group *base, size_t to, const void *bytes, size_t n,
                     struct error *err)
{
    (void)to;
    return send_tag((struct rank *)base, TAG_MESSAGE, bytes, n, err);
}

static bool look(struct rank *r, struct rank_message *out)
{
    int tag;
    size_t n;
    char why[MPI_WHY_BYTES];
    bool got = false;
    (void)pthread_mutex_lock(&r->lock);
    if (r->mpi->is_waiting(r->parent, &tag, &n)) {
        *out = (struct rank_message){ 0, mem_alloc(NULL, n), n };
        got = out->bytes && r->mpi->take(r->parent, tag, out->bytes, n, why) == 0;
        if (!got)
            mem_free(NULL, out->bytes);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return got;
}

static bool rank_receive(struct rank_group *base, uint64_t wait_ns, struct rank_message *out)
{
    struct rank *r = (struct rank *)base;
    const uint64_t begin = clock_ns();
    r->wait.since_ns = begin;
    for (;;) {
        if (look(r, out))
            return true;
        const uint64_t now = clock_ns();
        if (now - begin >= wait_ns)
            return false;
        cluster_wait_step(&r->wait, now);
    }
}

static const struct rank_group_ops rank_ops = { NULL, rank_send, rank_receive, rank_is_lost, NULL };

static void *beat(void *of)
{
    struct rank *r = of;
    struct mpi_send *send = NULL;
    for (bool ending = false; !ending;) {
        char why[MPI_WHY_BYTES];
        (void)usleep(BEAT_US);
        (void)pthread_mutex_lock(&r->lock);
        if (!send || r->mpi->is_sent(send)) {
            send = NULL;
            (void)r->mpi->send(r->parent, TAG_ALIVE, "", 0, &send, why);
        }
        ending = r->ending;
        (void)pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

/* ---- starting */

/* What rank 0 says at first; the caller frees it. */
static int take_orders(struct rank *r, struct rank_message *m, struct error *err)
{
    struct rank_hello hello = { .pid = getpid() };
    (void)gethostname(hello.host, sizeof hello.host - 1);
    const int rc = send_tag(r, TAG_HELLO, &hello, sizeof hello, err);
    while (rc == OK && !rank_receive(&r->base, BEAT_US * UINT64_C(1000), m))
        if (rank_is_lost(&r->base, 0))
            return fail(err, ERR_IO, "rank: rank 0 has ended");
    if (rc == OK && (m->n < sizeof(struct rank_orders) ||
                     (m->n > sizeof(struct rank_orders) && m->bytes[m->n - 1] != '\0')))
        return fail(err, ERR_CORRUPT, "rank: the first message is damaged");
    return rc;
}

static int serve(struct rank *r, struct registry *registry, const struct kernels *kernels,
                 const struct row_files *files, struct error *err)
{
    struct rank_message m = { 0 };
    int rc = take_orders(r, &m, err);
    if (rc != OK)
        return rc;
    struct rank_orders *orders = (struct rank_orders *)(void *)m.bytes;
    const char *const end = (const char *)m.bytes + m.n;
    for (const char *at = (const char *)(orders + 1); rc == OK && at < end; at += strlen(at) + 1)
        rc = registry_load_plugin(registry, at, err);
    const struct index_ops *ops = rc == OK ? registry_find(registry, orders->method, err) : NULL;
    if (rc == OK && (!ops || !ops->shards))
        rc = fail(err, ERR_UNSUPPORTED, "rank: method \"%s\" has nothing to serve", orders->method);
    if (rc == OK)
        rc = path_make_folders(orders->folder, 0700, err);
    struct mem account = { 0 };
    struct pool *pool = pool_create((size_t)orders->threads);
    if (rc == OK && !pool)
        rc = fail(err, ERR_NO_MEMORY, "rank: cannot start %zu threads", (size_t)orders->threads);
    r->wait.crowded = orders->crowded;
    const struct shard_env shards = { .registry = registry, .files = files };
    const struct index_env env = { .mem = &account,
                                   .pool = pool,
                                   .kernels = kernels,
                                   .error = err,
                                   .dir = orders->folder,
                                   .device = "cpu",
                                   .clock_ns = clock_ns,
                                   .shards = &shards };
    if (rc == OK)
        rc = ops->shards->serve(&env, &r->base);
    if (pool)
        pool_destroy(pool);
    mem_free(NULL, m.bytes);
    return rc;
}

int cluster_serve(struct registry *registry, const struct kernels *kernels,
                  const struct row_files *files, struct error *err)
{
    struct rank r = { .base.ops = &rank_ops, .daemon = getppid() };
    char why[MPI_WHY_BYTES];
    /* A rank ends when rank 0 does, not by what is typed there. */
    (void)signal(SIGINT, SIG_IGN);
    (void)prctl(PR_SET_TIMERSLACK, 1000);
    r.mpi = cluster_load("rank", err);
    if (!r.mpi)
        return ERR_UNSUPPORTED;
    if (!getenv("PMIX_RANK"))
        return fail(err, ERR_UNSUPPORTED,
                    "rank: a run starts its ranks itself; this command is not for users");
    if (r.mpi->begin(why) || r.mpi->parent(&r.parent, why))
        return fail(err, ERR_UNSUPPORTED, "rank: %s", why);
    (void)pthread_mutex_init(&r.lock, NULL);
    if (pthread_create(&r.beats, NULL, beat, &r))
        return fail_errno(err, ERR_IO, "rank: a thread cannot be started");
    const int rc = serve(&r, registry, kernels, files, err);
    (void)pthread_mutex_lock(&r.lock);
    r.ending = true;
    (void)pthread_mutex_unlock(&r.lock);
    (void)pthread_join(r.beats, NULL);
    return rc;
}
