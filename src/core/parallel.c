/* parallel.c - threads that sleep until a range is to be split; the caller works as well. */
#include "src/core/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/core/error.h"
#include "src/core/mem.h"

struct parallel_job {
    int (*work)(void *arg, size_t first, size_t end, size_t worker);
    void *arg;
    size_t n, chunk;
    atomic_size_t next; /* first row that no thread has taken */
    atomic_int code;    /* of the first chunk that failed */
};

struct pool {
    size_t threads; /* including the caller; the pool itself starts threads - 1 */
    atomic_bool busy;
    struct parallel_job job;

    pthread_mutex_t lock; /* protects the fields below */
    pthread_cond_t start, done;
    uint64_t round; /* counts jobs, so that a sleeping thread recognises a new one */
    size_t places;  /* workers that may still join this round */
    size_t joined;  /* worker numbers assigned in this round */
    size_t running;
    bool stop;

    size_t started; /* handles in use */
    pthread_t handles[];
};

static void run_chunks(struct parallel_job *job, size_t worker)
{
    while (atomic_load_explicit(&job->code, memory_order_relaxed) == OK) {
        const size_t first = atomic_fetch_add(&job->next, job->chunk);
        if (first >= job->n)
            return;
        const size_t end = job->n - first < job->chunk ? job->n : first + job->chunk;
        const int rc = job->work(job->arg, first, end, worker);
        int none = OK;
        if (rc != OK)
            atomic_compare_exchange_strong(&job->code, &none, rc);
    }
}

static void *sleeper(void *arg)
{
    struct pool *pool = arg;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->round == seen)
            pthread_cond_wait(&pool->start, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->round;
        if (pool->places == 0)
            continue;
        pool->places--;
        pool->running++;
        const size_t worker = ++pool->joined;
        pthread_mutex_unlock(&pool->lock);
        run_chunks(&pool->job, worker);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct pool *pool_create(size_t threads)
{
    if (threads == 0 || threads > SIZE_MAX / 2 / sizeof(pthread_t))
        return NULL;
    struct pool *pool = mem_zalloc(NULL, sizeof *pool + (threads - 1) * sizeof(pthread_t));
    if (!pool)
        return NULL;
    pool->threads = threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (; pool->started < threads - 1; pool->started++) {
        if (pthread_create(&pool->handles[pool->started], NULL, sleeper, pool) != 0) {
            pool_destroy(pool);
            return NULL;
        }
    }
    return pool;
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->started; i++)
        pthread_join(pool->handles[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->lock);
    mem_free(NULL, pool);
}

size_t pool_threads(const struct pool *pool)
{
    return pool->threads;
}

static int run_alone(size_t n, size_t chunk,
                     int (*work)(void *arg, size_t first, size_t end, size_t worker), void *arg)
{
    int rc = OK;
    for (size_t first = 0; first < n && rc == OK; first += chunk)
        rc = work(arg, first, n - first < chunk ? n : first + chunk, 0);
    return rc;
}

int parallel_for(struct pool *pool, size_t threads, size_t n, size_t chunk,
                 int (*work)(void *arg, size_t first, size_t end, size_t worker), void *arg)
{
    if (n == 0)
        return OK;
    if (chunk == 0 || chunk > n)
        chunk = chunk ? n : 1;
    const size_t chunks = (n - 1) / chunk + 1;
    size_t use = threads < pool->threads ? threads : pool->threads;
    use = use < chunks ? use : chunks;
    /* Several threads may search at once. A caller that finds the pool busy works alone. */
    bool was_free = false;
    if (use <= 1 || !atomic_compare_exchange_strong(&pool->busy, &was_free, true))
        return run_alone(n, chunk, work, arg);

    struct parallel_job *job = &pool->job;
    pthread_mutex_lock(&pool->lock);
    job->work = work;
    job->arg = arg;
    job->n = n;
    job->chunk = chunk;
    atomic_store(&job->next, 0);
    atomic_store(&job->code, OK);
    pool->places = use - 1;
    pool->joined = 0;
    pool->round++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);

    run_chunks(job, 0);

    pthread_mutex_lock(&pool->lock);
    pool->places = 0; /* a thread that wakes after this finds no work */
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    const int rc = atomic_load(&job->code);
    pthread_mutex_unlock(&pool->lock);
    atomic_store(&pool->busy, false);
    return rc;
}
