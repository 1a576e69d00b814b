/* plant.h - for the tests of job_queue.h: an index whose maintenance jobs log their execution. */
#ifndef DRIFTLINE_TESTS_UNIT_CONCURRENCY_PLANT_H
#define DRIFTLINE_TESTS_UNIT_CONCURRENCY_PLANT_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "algorithms/common/concurrency/job_queue.h"
#include "src/core/mem.h"
#include "tests/support/testing.h"

enum { LOG = 4096, PATIENCE_S = 600 };

/* TAKE: only logged. FAIL, BUSY: as many times as `left`. SPAWN: queues `left` TAKEs. WAIT: ends
   once it may. */
enum kind { TAKE, FAIL, BUSY, SPAWN, WAIT };

struct task {
    uint32_t kind, id, left;
};

/* An index whose jobs log their execution. */
struct plant {
    struct index base;
    struct test_bench bench;
    struct job_queue queue;
    pthread_mutex_t lock; /* of all fields below */
    pthread_cond_t logged;
    uint32_t log[LOG];
    size_t n, taken, chores, at_chores;
    uint32_t to_find; /* TAKEs with ids 1000 on; under the queue's lock */
    size_t found;
    bool may_end; /* a WAIT */
    int chores_fail;
    double limit; /* of the last job */
    int nice;     /* of the thread that did it */
    int policy;
    atomic_uint_fast64_t failures;
};

static const struct index_ops plant_ops = { .name = "plant" };

static inline struct plant *plant_of(const struct index *index)
{
    return (struct plant *)(uintptr_t)index;
}

static inline void note(struct plant *p, uint32_t id, double limit)
{
    pthread_mutex_lock(&p->lock);
    assert_true(p->n < LOG);
    p->log[p->n++] = id;
    p->limit = limit;
    p->nice = getpriority(PRIO_PROCESS, 0);
    p->policy = sched_getscheduler(0);
    pthread_cond_broadcast(&p->logged);
    pthread_mutex_unlock(&p->lock);
}

static inline int run_take(struct index *index, const void *job, struct job_run *run)
{
    const struct task *t = job;

    note(plant_of(index), t->id, run->limit);
    run->cost = 10;
    return OK;
}

static inline int run_fail(struct index *index, const void *job, struct job_run *run)
{
    const struct task *t = job;

    note(plant_of(index), t->id, run->limit);
    return t->left == 0 ? OK : fail(index->env.error, ERR_IO, "job %u: the disk is full", t->id);
}

static inline int run_busy(struct index *index, const void *job, struct job_run *run)
{
    const struct task *t = job;

    note(plant_of(index), t->id, run->limit);
    run->busy = t->left > 0;
    return OK;
}

static inline int run_spawn(struct index *index, const void *job, struct job_run *run)
{
    const struct task *t = job;

    note(plant_of(index), t->id, run->limit);
    for (uint32_t i = 0; i < t->left; i++)
        assert_true(job_queue_push(&plant_of(index)->queue,
                                   &(struct task){ .kind = TAKE, .id = 100 * t->id + i }, 0));
    return OK;
}

static inline int run_wait(struct index *index, const void *job, struct job_run *run)
{
    struct plant *p = plant_of(index);

    note(p, ((const struct task *)job)->id, run->limit);
    pthread_mutex_lock(&p->lock);
    while (!p->may_end)
        pthread_cond_wait(&p->logged, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return OK;
}

static inline int run_task(struct index *index, const void *job, struct job_run *run)
{
    static int (*const kinds[])(struct index *, const void *,
                                struct job_run *) = { run_take, run_fail, run_busy, run_spawn,
                                                      run_wait };

    return kinds[((const struct task *)job)->kind](index, job, run);
}

static inline void taken(struct index *index, const void *job)
{
    struct plant *p = plant_of(index);

    pthread_mutex_lock(&p->lock);
    p->taken++;
    pthread_mutex_unlock(&p->lock);
}

static inline void again(struct index *index, const void *job, uint64_t after)
{
    struct task t = *(const struct task *)job;

    t.left--;
    assert_true(job_queue_push(&plant_of(index)->queue, &t, after));
}

static inline bool find(struct index *index, void *job)
{
    struct plant *p = plant_of(index);

    if (p->to_find == 0)
        return false;
    p->to_find--;
    *(struct task *)job = (struct task){ .kind = TAKE, .id = 1000 + (uint32_t)p->found++ };
    return true;
}

static inline size_t findable(const struct index *index)
{
    return plant_of(index)->to_find;
}

static inline int chores(struct index *index)
{
    struct plant *p = plant_of(index);

    pthread_mutex_lock(&p->lock);
    assert_int_equal(p->at_chores++, 0);
    p->chores++;
    pthread_cond_broadcast(&p->logged);
    p->at_chores--;
    const int rc = p->chores_fail;
    pthread_mutex_unlock(&p->lock);
    return rc == OK ? OK : fail(index->env.error, rc, "no checkpoint");
}

static inline struct plant *begin_with(size_t threads)
{
    struct plant *p = calloc(1, sizeof *p);

    assert_non_null(p);
    const struct job_queue_config config = { .run = run_task,
                                             .job_bytes = sizeof(struct task),
                                             .taken = taken,
                                             .again = again,
                                             .chores = chores,
                                             .find = find,
                                             .findable = findable,
                                             .failures = &p->failures };
    test_bench_begin(&p->bench, INDEX_F32, INDEX_L2SQ, 4, threads);
    p->base = (struct index){ &plant_ops, p->bench.env };
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->logged, NULL);
    job_queue_init(&p->queue, &p->base, &config);
    return p;
}

/* After job_queue_free(). */
static inline void end_without_queue(struct plant *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->logged);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
    free(p);
}

static inline void end(struct plant *p)
{
    job_queue_free(&p->queue);
    end_without_queue(p);
}

static inline void push(struct plant *p, uint32_t kind, uint32_t id, uint32_t left)
{
    assert_true(job_queue_push(&p->queue, &(struct task){ kind, id, left }, 0));
}

/* Runs jobs, and checks whether any are left. */
static inline void work(struct plant *p, uint64_t cost, size_t jobs, bool more)
{
    const struct job_queue_bounds bounds = { cost, jobs, 1 };
    bool left = !more;

    job_queue_work(&p->queue, &bounds, &left);
    assert_int_equal(left, more);
}

static inline void expect_log(const struct plant *p, const uint32_t *ids, size_t n)
{
    assert_int_equal(p->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p->log[i], ids[i]);
}

#endif
