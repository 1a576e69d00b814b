#include "tests/unit/sharded/thread_ranks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "kernels/kernels.h"
#include "src/base/clock.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

static _Thread_local size_t own_rank;

size_t thread_ranks_own(void)
{
    return own_rank;
}

/* ---- boxes; the caller has the lock */

static void kill_rank(struct thread_rank *r)
{
    r->all->deaths += !r->killed;
    r->killed = true;
    (void)pthread_cond_broadcast(&r->all->changed);
}

static void put(struct thread_ranks *t, struct thread_box *box, size_t from, const void *bytes,
                size_t n)
{
    struct thread_message *m = mem_zalloc(NULL, sizeof *m);
    m->message = (struct rank_message){ from, mem_alloc(NULL, n), n };
    memcpy(m->message.bytes, bytes, n);
    if (box->last)
        box->last->next = m;
    else
        box->first = m;
    box->last = m;
    (void)pthread_cond_broadcast(&t->changed);
}

static bool is_silent(const struct thread_ranks *t, const struct thread_message *m)
{
    return t->silent[m->message.from];
}

static bool get(struct thread_ranks *t, struct thread_box *box, struct rank_message *out)
{
    struct thread_message **at = &box->first, *before = NULL;
    while (*at && is_silent(t, *at)) {
        before = *at;
        at = &(*at)->next;
    }
    struct thread_message *m = *at;
    if (!m)
        return false;
    *at = m->next;
    if (box->last == m)
        box->last = before;
    *out = m->message;
    mem_free(NULL, m);
    return true;
}

static void empty(struct thread_box *box)
{
    for (struct thread_message *m = box->first, *next; m; m = next) {
        next = m->next;
        mem_free(NULL, m->message.bytes);
        mem_free(NULL, m);
    }
    *box = (struct thread_box){ 0 };
}

static bool has_died(struct thread_ranks *t)
{
    const bool news = t->noticed != t->deaths;
    t->noticed = t->deaths;
    return news;
}

/* rank: whose box it is; NULL: rank 0's, which does not wait once a rank has died. */
static bool receive(struct thread_ranks *t, struct thread_box *box, uint64_t wait_ns,
                    const struct thread_rank *rank, struct rank_message *out)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    const uint64_t ns = (uint64_t)until.tv_nsec + wait_ns;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    (void)pthread_mutex_lock(&t->lock);
    bool got = get(t, box, out);
    while (!got && wait_ns > 0 && !(rank ? rank->killed : has_died(t)) &&
           pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0)
        got = get(t, box, out);
    (void)pthread_mutex_unlock(&t->lock);
    return got;
}

/* ---- a rank's side */

static int rank_send(struct rank_group *base, size_t to, const void *bytes, size_t n,
                     struct error *err)
{
    struct thread_rank *r = (struct thread_rank *)base;
    (void)pthread_mutex_lock(&r->all->lock);
    if (r->all->dies_after == r->number) {
        r->all->dies_after = 0;
        kill_rank(r);
    }
    if (!r->killed)
        put(r->all, &r->all->box, r->number, bytes, n);
    (void)pthread_mutex_unlock(&r->all->lock);
    return OK;
}

static bool rank_receive(struct rank_group *base, uint64_t wait_ns, struct rank_message *out)
{
    struct thread_rank *r = (struct thread_rank *)base;
    struct thread_ranks *t = r->all;
    bool got = receive(t, &r->box, wait_ns, r, out);
    if (!got)
        return false;
    (void)pthread_mutex_lock(&t->lock);
    if (t->death.rank == r->number && t->death.requests > 0 && --t->death.requests == 0) {
        if (t->death.replies_not)
            t->dies_after = r->number;
        else
            kill_rank(r);
    }
    if (r->killed) {
        mem_free(NULL, out->bytes);
        got = false;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return got;
}

static bool rank_is_lost(struct rank_group *base, size_t other)
{
    struct thread_rank *r = (struct thread_rank *)base;
    (void)pthread_mutex_lock(&r->all->lock);
    const bool killed = r->killed;
    (void)pthread_mutex_unlock(&r->all->lock);
    return killed;
}

static const struct rank_group_ops rank_ops = { NULL, rank_send, rank_receive, rank_is_lost, NULL };

static void *run(void *of)
{
    struct thread_rank *r = of;
    own_rank = r->number;
    struct mem account = { 0 };
    struct error error = { 0 };
    struct pool *pool = pool_create(1);
    const struct shard_env shards = { .registry = r->all->registry };
    const struct index_env env = { .mem = &account,
                                   .pool = pool,
                                   .kernels = kernels_select(ISA_AVX512),
                                   .error = &error,
                                   .dir = r->folder,
                                   .device = "cpu",
                                   .clock_ns = clock_ns,
                                   .shards = &shards };
    r->rc = r->all->ops->shards->serve(&env, &r->base);
    pool_destroy(pool);
    if (r->rc != OK || mem_live(&account) > 0) {
        fprintf(stderr, "rank %zu ended with %d, %zu bytes are still allocated: %s\n", r->number,
                r->rc, mem_live(&account), error.text);
        abort();
    }
    return NULL;
}

/* ---- rank 0's side */

static struct thread_ranks *ranks_of(struct rank_group *group)
{
    return (struct thread_ranks *)((char *)group - offsetof(struct thread_ranks, group));
}

static void end(struct thread_ranks *t, struct thread_rank *r)
{
    if (!r->started)
        return;
    (void)pthread_mutex_lock(&t->lock);
    kill_rank(r);
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(r->thread, NULL);
    empty(&r->box);
    r->started = false;
}

static int group_start(struct rank_group *group, size_t first, size_t n, const char *dir,
                       struct error *err)
{
    struct thread_ranks *t = ranks_of(group);
    if (t->refuses_start)
        return fail(err, ERR_IO, "ranks: the test refuses to start any");
    for (size_t i = first; i < first + n; i++) {
        struct thread_rank *r = &t->ranks[i];
        end(t, r);
        *r = (struct thread_rank){ .base.ops = &rank_ops, .all = t, .number = i, .started = true };
        (void)snprintf(r->folder, sizeof r->folder, "%s/rank-%zu", dir, i);
        if (mkdir(r->folder, 0700) != 0 && errno == EEXIST)
            t->restarts++;
        if (pthread_create(&r->thread, NULL, run, r))
            return fail(err, ERR_IO, "ranks: no thread");
    }
    return OK;
}

static int group_send(struct rank_group *group, size_t to, const void *bytes, size_t n,
                      struct error *err)
{
    struct thread_ranks *t = ranks_of(group);
    (void)pthread_mutex_lock(&t->lock);
    if (!t->ranks[to].killed)
        put(t, &t->ranks[to].box, 0, bytes, n);
    (void)pthread_mutex_unlock(&t->lock);
    return OK;
}

static bool group_receive(struct rank_group *group, uint64_t wait_ns, struct rank_message *out)
{
    struct thread_ranks *t = ranks_of(group);
    return receive(t, &t->box, wait_ns, NULL, out);
}

static bool group_is_lost(struct rank_group *group, size_t rank)
{
    struct thread_ranks *t = ranks_of(group);
    (void)pthread_mutex_lock(&t->lock);
    const bool lost = rank > 0 && (t->ranks[rank].killed || !t->ranks[rank].started);
    (void)pthread_mutex_unlock(&t->lock);
    return lost;
}

static void group_close(struct rank_group *group)
{
    struct thread_ranks *t = ranks_of(group);
    for (size_t i = 1; i < THREAD_RANKS_MAX; i++)
        end(t, &t->ranks[i]);
    empty(&t->box);
}

static const struct rank_group_ops group_ops = { group_start, group_send, group_receive,
                                                 group_is_lost, group_close };

static int open_group(struct ranks *base, struct rank_group **out, struct error *err)
{
    struct thread_ranks *t = (struct thread_ranks *)base;
    t->group.ops = &group_ops;
    *out = &t->group;
    return OK;
}

/* ---- the test's side */

void thread_ranks_begin(struct thread_ranks *t, const struct index_ops *ops,
                        const struct registry *registry)
{
    *t = (struct thread_ranks){ .base.open = open_group, .ops = ops, .registry = registry };
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
}

void thread_ranks_end(struct thread_ranks *t)
{
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->changed);
}

void thread_ranks_kill(struct thread_ranks *t, size_t rank)
{
    end(t, &t->ranks[rank]);
}

void thread_ranks_silence(struct thread_ranks *t, size_t rank, bool silent)
{
    (void)pthread_mutex_lock(&t->lock);
    t->silent[rank] = silent;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}
