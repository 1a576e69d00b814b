/* code_queries.c - requests divided into groups, groups into waves.
 *
 * Range results must be delivered by one thread. So a wave of as many groups as threads is
 * answered at once, then delivered, then the next: only one wave's answers are held, however long
 * the request. The queries that a method leaves to its device follow at the end. */
#include "algorithms/common/codes/code_queries.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/codes/code_device.h"
#include "algorithms/common/rows/work.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* State of a worker, kept from group to group. */
struct worker {
    void *scratch;
    struct code_answers answers[CODE_GROUP];
};

struct code_request {
    const struct index *index;
    const struct code_ops *ops;
    struct vectors queries;
    const void *knobs;
    const struct id_filter *filter;
    struct code_device *device;                   /* NULL: none, or none for this request */
    bool *later;                                  /* of each query; NULL without a device */
    size_t words;                                 /* of a query */
    size_t group, threads, n_groups, first_group; /* first_group: the first group of the wave */
    struct worker *workers;
    struct work *works; /* one per worker */

    unsigned radius;              /* range */
    struct range_result *range;   /* NULL: search */
    struct search_result *result; /* search */
    size_t k;                     /* 0: range */
};

/* ------------------------------------------------------------------------ workers */

static void close_workers(struct code_request *a)
{
    struct mem *mem = a->index->env.mem;
    for (size_t w = 0; w < a->threads; w++) {
        struct worker *worker = &a->workers[w];
        if (worker->scratch && a->ops->scratch_free)
            a->ops->scratch_free(mem, worker->scratch);
        mem_free(mem, worker->scratch);
        for (size_t i = 0; i < CODE_GROUP; i++) {
            mem_free(mem, worker->answers[i].ids);
            mem_free(mem, worker->answers[i].distances);
        }
    }
}

static int open_workers(struct code_request *a)
{
    const struct index_env *env = &a->index->env;
    for (size_t w = 0; w < a->threads; w++) {
        struct worker *worker = &a->workers[w];
        for (size_t i = 0; i < CODE_GROUP; i++)
            worker->answers[i] = (struct code_answers){ .mem = env->mem, .error = env->error };
        if (a->ops->scratch_bytes > 0 &&
            !(worker->scratch = mem_zalloc(env->mem, a->ops->scratch_bytes)))
            return fail(env->error, ERR_NO_MEMORY, "%s: out of memory, cannot search",
                        a->index->ops->name);
    }
    return OK;
}

/* Chooses the group size so that all threads have work. */
static void cut_into_groups(struct code_request *a, size_t threads)
{
    const size_t n = a->queries.n;
    a->group = (n + threads - 1) / threads;
    a->group = a->group < CODE_GROUP ? a->group : CODE_GROUP;
    a->n_groups = a->group > 0 ? (n + a->group - 1) / a->group : 0;
    a->threads = threads < a->n_groups ? threads : a->n_groups;
}

static int range_waves(struct code_request *);
static int search_groups(void *arg, size_t first, size_t end, size_t worker);

/* Answers the queries but those that are left to the device. With one thread the worker
   is on the stack, because a single query may take less time than an allocation. */
static int answer_here(struct code_request *a, struct work *work)
{
    struct mem *mem = a->index->env.mem;
    struct worker one;
    struct work one_work = { 0 };
    if (a->n_groups == 0)
        return OK;
    a->workers = &one;
    a->works = &one_work;
    if (a->threads > 1) {
        a->workers = mem_zalloc(mem, a->threads * sizeof *a->workers);
        a->works = a->workers ? mem_zalloc(mem, a->threads * sizeof *a->works) : NULL;
        if (!a->works) {
            mem_free(mem, a->workers);
            return fail(a->index->env.error, ERR_NO_MEMORY, "%s: out of memory, cannot search",
                        a->index->ops->name);
        }
    } else {
        memset(&one, 0, sizeof one);
    }
    int rc = open_workers(a);
    if (rc == OK)
        rc = a->range
                 ? range_waves(a)
                 : parallel_for(a->index->env.pool, a->threads, a->n_groups, 1, search_groups, a);
    close_workers(a);
    for (size_t w = 0; w < a->threads; w++)
        work_add(work, &a->works[w]);
    if (a->threads > 1) {
        mem_free(mem, a->workers);
        mem_free(mem, a->works);
    }
    return rc;
}

/* Makes group g of queries, copied to `copy`, because the caller's may be unaligned. */
static struct code_group group_at(const struct code_request *a, size_t g, struct worker *worker,
                                  uint64_t *copy)
{
    const size_t first = g * a->group, left = a->queries.n - first;
    const size_t n = left < a->group ? left : a->group;
    memcpy(copy, (const uint64_t *)a->queries.rows + first * a->words, n * a->words * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        worker->answers[i].n = 0;
    return (struct code_group){ .queries = copy,
                                .words = a->words,
                                .n = n,
                                .knobs = a->knobs,
                                .filter = a->filter,
                                .radius = a->radius,
                                .later = a->later ? a->later + first : NULL,
                                .scratch = worker->scratch,
                                .answers = worker->answers };
}

/* ------------------------------------------------------------------------ the device */

static int choose_device(struct code_request *a)
{
    struct code_device *device = a->ops->device ? a->ops->device(a->index) : NULL;
    if (a->filter || !code_device_takes(device, a->queries.n, a->k))
        return OK;
    a->device = device;
    a->later = mem_zalloc(a->index->env.mem, a->queries.n * sizeof *a->later);
    return a->later ? OK
                    : fail(a->index->env.error, ERR_NO_MEMORY, "%s: out of memory, cannot search",
                           a->index->ops->name);
}

/* Asks the device for the queries that were left to it. */
static int ask_device(struct code_request *a)
{
    struct mem *mem = a->index->env.mem;
    if (!a->later)
        return OK;
    uint64_t *queries = mem_array(mem, a->queries.n, sizeof *queries);
    uint32_t *numbers = mem_array(mem, a->queries.n, sizeof *numbers);
    int rc = OK;
    if (queries && numbers) {
        size_t n = 0;
        for (size_t i = 0; i < a->queries.n; i++) {
            if (!a->later[i])
                continue;
            memcpy(&queries[n], (const uint64_t *)a->queries.rows + i, sizeof *queries);
            numbers[n++] = (uint32_t)i;
        }
        const struct code_queries left = { queries, numbers, n };
        rc = a->range ? code_device_range(a->device, &left, a->radius, a->range)
                      : code_device_nearest(a->device, &left, a->k, a->threads, a->result);
    } else {
        rc = fail(a->index->env.error, ERR_NO_MEMORY, "%s: out of memory, cannot search",
                  a->index->ops->name);
    }
    mem_free(mem, queries);
    mem_free(mem, numbers);
    return rc;
}

static int run(struct code_request *a, size_t threads, struct work *work)
{
    cut_into_groups(a, threads);
    int rc = choose_device(a);

    if (rc == OK)
        rc = answer_here(a, work);
    if (rc == OK)
        rc = ask_device(a);
    mem_free(a->index->env.mem, a->later);
    return rc;
}

/* ------------------------------------------------------------------------ range */

static int range_group(struct code_request *a, size_t g, size_t w)
{
    uint64_t copy[CODE_GROUP * INDEX_CODE_WORDS_MAX];
    struct worker *worker = &a->workers[w];
    struct code_group group = group_at(a, g, worker, copy);
    const int rc = a->ops->answer(a->index, &group);
    work_add(&a->works[w], &group.work);
    return rc;
}

/* Group first_group + i of the wave uses worker i, whichever thread runs it: its answers must stay
   there until they are delivered. */
static int range_of_wave(void *arg, size_t first, size_t end, size_t worker)
{
    struct code_request *a = arg;
    (void)worker;
    int rc = OK;
    for (size_t i = first; rc == OK && i < end; i++)
        rc = range_group(a, a->first_group + i, i);
    return rc;
}

static int deliver(const struct code_request *a, size_t g, const struct code_answers *answers,
                   struct range_result *result)
{
    const size_t first = g * a->group, left = a->queries.n - first;
    int rc = OK;
    for (size_t q = 0; q < (left < a->group ? left : a->group); q++)
        for (size_t i = 0; rc == OK && i < answers[q].n; i++)
            rc = result->found(result->to, first + q, answers[q].ids[i],
                               (float)answers[q].distances[i]);
    return rc;
}

static int range_waves(struct code_request *a)
{
    int rc = OK;
    for (; rc == OK && a->first_group < a->n_groups; a->first_group += a->threads) {
        const size_t left = a->n_groups - a->first_group;
        const size_t wave = left < a->threads ? left : a->threads;
        rc = parallel_for(a->index->env.pool, a->threads, wave, 1, range_of_wave, a);
        for (size_t i = 0; rc == OK && i < wave; i++)
            rc = deliver(a, a->first_group + i, a->workers[i].answers, a->range);
    }
    return rc;
}

int code_range(struct index *index, const struct range_request *request,
               struct range_result *result, const struct code_ops *ops)
{
    struct code_request a = { .index = index,
                              .ops = ops,
                              .queries = request->queries,
                              .words = request->queries.dim / 64,
                              .knobs = request->knobs,
                              .filter = request->filter,
                              .range = result };

    if (request->radius < 0)
        return OK;
    a.radius = (unsigned)fmin(request->radius, (double)index->env.dim);
    return run(&a, request->threads, &result->work);
}

/* ------------------------------------------------------------------------ the k nearest */

static int search_group(struct code_request *a, size_t g, size_t w)
{
    uint64_t copy[CODE_GROUP * INDEX_CODE_WORDS_MAX];
    struct topk nearest[CODE_GROUP];
    struct code_group group = group_at(a, g, &a->workers[w], copy);
    const size_t n = group.n;
    for (size_t i = 0; i < n; i++) {
        const size_t at = (g * a->group + i) * a->k;
        nearest[i] = topk_begin(a->k, a->result->distances + at, a->result->ids + at);
    }
    group.nearest = nearest;
    const int rc = a->ops->answer(a->index, &group);
    for (size_t i = 0; i < n; i++)
        topk_sort(&nearest[i]);
    work_add(&a->works[w], &group.work);
    return rc;
}

static int search_groups(void *arg, size_t first, size_t end, size_t worker)
{
    int rc = OK;
    for (size_t g = first; rc == OK && g < end; g++)
        rc = search_group(arg, g, worker);
    return rc;
}

int code_search(struct index *index, const struct search_request *request,
                struct search_result *result, const struct code_ops *ops)
{
    struct code_request a = { .index = index,
                              .ops = ops,
                              .queries = request->queries,
                              .words = request->queries.dim / 64,
                              .knobs = request->knobs,
                              .filter = request->filter,
                              .result = result,
                              .radius = (unsigned)index->env.dim,
                              .k = request->k };
    return run(&a, request->threads, &result->work);
}
