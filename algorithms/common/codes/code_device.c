#include "algorithms/common/codes/code_device.h"

#include <pthread.h>
#include <string.h>

#include "algorithms/common/codes/code_scan.h"
#include "src/core/device/copy.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

#define QUERIES_A_CALL  ((size_t)1024)
#define MATCHES_A_CALL  ((size_t)4 << 20)
#define RANGE_CAPACITY  ((size_t)256)     /* matches of a query, until one has more */
#define COMPARISONS_MIN ((size_t)1 << 20) /* the processor takes some 100 us for as many */

struct code_device {
    const struct index_env *env;
    const char *method;
    struct dense_rows *store;
    struct cuda cuda;
    struct device_codes *codes; /* NULL: none yet */
    struct cuda_copy copy;
    pthread_mutex_t lock; /* held during a call; guards what follows */
    size_t capacity;      /* matches of a query of a range search */
    uint32_t found[QUERIES_A_CALL];
    struct device_match *matches; /* n_matches */
    size_t n_matches;
};

int code_device_open(struct code_device **out, struct dense_rows *store,
                     const struct index_env *env, const char *method)
{
    struct code_device *d = mem_zalloc(env->mem, sizeof *d);
    *out = NULL;
    if (store->row_bytes != sizeof(uint64_t)) {
        mem_free(env->mem, d);
        return fail(env->error, ERR_UNSUPPORTED,
                    "%s: device = cuda takes codes of 64 bits, not of %zu; use device = cpu",
                    method, env->dim);
    }
    if (!d)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory for a device's copy", method);
    const int rc = cuda_open(&d->cuda, method, "device", env->error);
    if (rc != OK) {
        mem_free(env->mem, d);
        return rc;
    }
    d->env = env;
    d->method = method;
    d->store = store;
    d->capacity = RANGE_CAPACITY;
    pthread_mutex_init(&d->lock, NULL);
    store->copy = &d->copy;
    *out = d;
    return OK;
}

/* The next call copies all codes. */
static void drop_codes(struct code_device *d)
{
    if (d->codes)
        d->cuda.library.ops->codes->destroy(d->codes);
    d->codes = NULL;
    d->copy = (struct cuda_copy){ 0 };
}

void code_device_close(struct code_device *d)
{
    if (!d)
        return;
    d->store->copy = NULL;
    drop_codes(d);
    cuda_close(&d->cuda);
    pthread_mutex_destroy(&d->lock);
    mem_free(d->env->mem, d->matches);
    mem_free(d->env->mem, d);
}

bool code_device_takes(const struct code_device *d, size_t queries, size_t k)
{
    return d && d->store->n > 0 && queries >= COMPARISONS_MIN / d->store->n + 1 &&
           k <= DEVICE_MAX_K;
}

static int put(void *to, size_t first, size_t n)
{
    struct code_device *d = to;
    return d->cuda.library.ops->codes->put(d->codes, first, d->store->codes + first, n);
}

/* Copies what has changed since the last call, and makes room for the matches of n queries. */
static int prepare(struct code_device *d, size_t n, size_t capacity)
{
    const struct device_code_ops *ops = d->cuda.library.ops->codes;
    int rc = d->codes ? 0 : ops->create(d->cuda.session, &d->codes);
    if (rc == 0)
        rc = cuda_copy_bring(&d->copy, d->store->n, put, d);
    if (rc == 0 &&
        !mem_grow(d->env->mem, &d->matches, &d->n_matches, n * capacity, sizeof *d->matches))
        return fail(d->env->error, ERR_NO_MEMORY, "%s: out of memory for %zu matches", d->method,
                    n * capacity);
    return cuda_check(&d->cuda, rc, d->method, d->env->error);
}

static void count(const struct code_device *d, size_t queries, struct work *work)
{
    const double computed = (double)queries * (double)d->store->n;
    work->distances += computed;
    work->scanned += computed;
    work->bytes_read += computed * sizeof *d->store->codes;
}

static size_t queries_a_call(size_t left, size_t capacity)
{
    size_t n = MATCHES_A_CALL / capacity;
    n = n > QUERIES_A_CALL ? QUERIES_A_CALL : n;
    n = n > left ? left : n;
    return n > 0 ? n : 1;
}

/* ------------------------------------------------------------------------ range */

static int deliver(const struct code_device *d, size_t i, uint32_t number,
                   struct range_result *result)
{
    const struct device_match *matches = d->matches + i * d->capacity;
    int rc = OK;
    for (size_t j = 0; rc == OK && j < d->found[i]; j++)
        rc = result->found(result->to, number, d->store->ids[matches[j].position],
                           (float)matches[j].distance);
    return rc;
}

/* Asks for queries [first, first + n), and delivers those before the first one that has found more
   than there was room for, for which there is room then. *done: how many. */
static int range_call(struct code_device *d, const struct code_queries *q, size_t first, size_t n,
                      unsigned radius, struct range_result *result, size_t *done)
{
    int rc = prepare(d, n, d->capacity);
    if (rc == OK)
        rc = cuda_check(&d->cuda,
                        d->cuda.library.ops->codes->range(d->codes, d->store->n, q->queries + first,
                                                          n, radius, d->capacity, d->found,
                                                          d->matches),
                        d->method, d->env->error);
    size_t i = 0;
    for (; rc == OK && i < n && d->found[i] <= d->capacity; i++)
        rc = deliver(d, i, q->numbers[first + i], result);
    if (rc == OK && i < n)
        d->capacity = d->found[i];
    *done = i;
    return rc;
}

int code_device_range(struct code_device *d, const struct code_queries *q, unsigned radius,
                      struct range_result *result)
{
    int rc = OK;
    pthread_mutex_lock(&d->lock);
    for (size_t first = 0, done = 0; rc == OK && first < q->n; first += done)
        rc = range_call(d, q, first, queries_a_call(q->n - first, d->capacity), radius, result,
                        &done);
    if (rc != OK)
        drop_codes(d); /* they may be lost with the device */
    pthread_mutex_unlock(&d->lock);
    count(d, q->n, &result->work);
    return rc;
}

/* ------------------------------------------------------------------------ the k nearest */

struct choice {
    const struct code_device *d;
    const struct code_queries *queries;
    struct search_result *result;
    size_t first, k, capacity;
};

/* The k nearest among the matches of queries [first, end) of the call; with more matches than there
   is room for, all codes are compared here. */
static int choose(void *arg, size_t first, size_t end, size_t worker)
{
    const struct choice *c = arg;
    const struct code_device *d = c->d;
    int rc = OK;
    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const size_t query = c->first + i, at = c->queries->numbers[query] * c->k;
        struct topk nearest = topk_begin(c->k, c->result->distances + at, c->result->ids + at);
        const struct device_match *matches = d->matches + i * c->capacity;
        if (d->found[i] > c->capacity) {
            struct code_group one = { .queries = c->queries->queries + query,
                                      .n = 1,
                                      .nearest = &nearest };
            rc = code_scan(d->store, d->env->kernels, &one);
        } else {
            for (size_t j = 0; j < d->found[i]; j++)
                topk_push(&nearest, (float)matches[j].distance, d->store->ids[matches[j].position]);
        }
        topk_sort(&nearest);
    }
    return rc;
}

static int nearest_call(struct choice *c, struct code_device *d, size_t n, size_t threads)
{
    int rc = prepare(d, n, c->capacity);
    if (rc == OK)
        rc = cuda_check(&d->cuda,
                        d->cuda.library.ops->codes->nearest(d->codes, d->store->n,
                                                            c->queries->queries + c->first, n, c->k,
                                                            c->capacity, d->found, d->matches),
                        d->method, d->env->error);
    return rc == OK ? parallel_for(d->env->pool, threads, n, 16, choose, c) : rc;
}

int code_device_nearest(struct code_device *d, const struct code_queries *q, size_t k,
                        size_t threads, struct search_result *result)
{
    struct choice c = {
        .d = d, .queries = q, .result = result, .k = k, .capacity = 8 * k + RANGE_CAPACITY
    };
    int rc = OK;
    pthread_mutex_lock(&d->lock);
    for (size_t n; rc == OK && c.first < q->n; c.first += n) {
        n = queries_a_call(q->n - c.first, c.capacity);
        rc = nearest_call(&c, d, n, threads);
    }
    if (rc != OK)
        drop_codes(d);
    pthread_mutex_unlock(&d->lock);
    count(d, q->n, &result->work);
    return rc;
}

void code_device_stats(const struct code_device *d, struct stat_sink *sink)
{
    if (!d)
        return;
    cuda_stats(&d->cuda, sink);
    if (d->codes)
        sink->value(sink->to, "device_bytes", (double)d->cuda.library.ops->codes->bytes(d->codes));
}

size_t code_device_bytes(const struct code_device *d)
{
    return d ? sizeof *d + d->n_matches * sizeof *d->matches : 0;
}
