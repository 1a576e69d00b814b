/* device_pair.h - a method with device = cuda, on the emulated device, beside the same one on the
 * processor: the same answers after any history, and a device that fails. */
#ifndef DRIFTLINE_TESTS_SUPPORT_DEVICE_PAIR_H
#define DRIFTLINE_TESTS_SUPPORT_DEVICE_PAIR_H

#include "tests/support/baselines.h"
#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { PAIR_ROWS = 5000, PAIR_QUERIES = 430, PAIR_ANSWERS = 22200, PAIR_ROW_BYTES = 96 };

struct device_pair {
    struct test_bench bench;
    const struct index_ops *ops;
    struct index *here, *there; /* without and with the device */
    _Alignas(64) char params[BASELINE_OPTIONS_BYTES], knobs[256],
        queries[PAIR_QUERIES * PAIR_ROW_BYTES];
    void (*draw)(struct device_pair *, void *rows, size_t n);
    size_t n_queries;
    struct rng rng;
    uint64_t next, live[PAIR_ROWS];
    size_t n, compared;
};

/* options: of both, as "soft_k=2;bits=4". */
static inline void pair_begin(struct device_pair *p, const struct index_ops *ops,
                              struct index_space space, size_t dim, const char *options,
                              size_t n_queries,
                              void (*draw)(struct device_pair *, void *rows, size_t n),
                              uint64_t stream)
{
    char with_device[200];
    *p = (struct device_pair){
        .ops = ops, .n_queries = n_queries, .draw = draw, .rng = rng_at(test_seed(), stream)
    };
    test_bench_begin(&p->bench, space.element, space.metric, dim, 2);
    assert_true(ops->params_bytes <= sizeof p->params && ops->knobs_bytes <= sizeof p->knobs &&
                index_row_bytes(space.element, dim) <= PAIR_ROW_BYTES);
    param_defaults(ops->knobs, p->knobs);
    baseline_options(ops->params, options, p->params);
    assert_ok(ops->create(&p->here, &p->bench.env, p->params), &p->bench.error);
    (void)snprintf(with_device, sizeof with_device, "%s;device=cuda", options);
    baseline_options(ops->params, with_device, p->params);
    assert_ok(ops->create(&p->there, &p->bench.env, p->params), &p->bench.error);
}

static inline void pair_end(struct device_pair *p)
{
    p->ops->destroy(p->here);
    p->ops->destroy(p->there);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

static inline struct vectors pair_rows(const struct device_pair *p, const void *rows, size_t n)
{
    return (struct vectors){ rows, n, p->bench.env.dim, p->bench.env.element };
}

static inline void pair_train(struct device_pair *p, size_t n)
{
    static _Alignas(64) char rows[PAIR_ROWS * PAIR_ROW_BYTES];
    p->draw(p, rows, n);
    assert_ok(p->ops->train(p->here, pair_rows(p, rows, n)), &p->bench.error);
    assert_ok(p->ops->train(p->there, pair_rows(p, rows, n)), &p->bench.error);
}

/* In batches of `batch` rows. */
static inline void pair_insert(struct device_pair *p, size_t n, size_t batch)
{
    static _Alignas(64) char rows[PAIR_ROWS * PAIR_ROW_BYTES];
    size_t done;
    for (size_t left = n; left > 0; left -= batch) {
        batch = batch < left ? batch : left;
        p->draw(p, rows, batch);
        for (size_t i = 0; i < batch; i++)
            p->live[p->n + i] = p->next++;
        const struct vectors v = pair_rows(p, rows, batch);
        assert_ok(p->ops->insert(p->here, v, p->live + p->n, &done), &p->bench.error);
        assert_ok(p->ops->insert(p->there, v, p->live + p->n, &done), &p->bench.error);
        p->n += batch;
    }
}

static inline void pair_remove(struct device_pair *p, size_t n)
{
    size_t done;
    for (; n > 0; n--) {
        const size_t at = rng_below(&p->rng, p->n);
        assert_ok(p->ops->remove(p->here, &p->live[at], 1, &done), &p->bench.error);
        assert_ok(p->ops->remove(p->there, &p->live[at], 1, &done), &p->bench.error);
        p->live[at] = p->live[--p->n];
    }
    assert_ok(p->ops->check(p->there, NULL), &p->bench.error);
}

static inline int pair_ask(struct device_pair *p, struct index *index, size_t k, uint64_t *ids,
                           float *distances)
{
    const struct search_request request = { pair_rows(p, p->queries, p->n_queries), k, p->knobs,
                                            NULL, 2 };
    struct search_result result = { .ids = ids, .distances = distances };
    return p->ops->search(index, &request, &result);
}

/* Of the queries that were drawn last. slack: 0: ids and distances are equal bit for bit; else the
   distances alone, within it. */
static inline void pair_compare(struct device_pair *p, size_t k, float slack)
{
    static uint64_t ids[2][PAIR_ANSWERS];
    static float distances[2][PAIR_ANSWERS];
    const size_t n = p->n_queries * k;
    assert_true(n <= PAIR_ANSWERS);
    assert_ok(pair_ask(p, p->here, k, ids[0], distances[0]), &p->bench.error);
    assert_ok(pair_ask(p, p->there, k, ids[1], distances[1]), &p->bench.error);
    if (slack == 0) {
        assert_memory_equal(ids[0], ids[1], n * sizeof *ids[0]);
        assert_memory_equal(distances[0], distances[1], n * sizeof *distances[0]);
    }
    for (size_t i = 0; slack > 0 && i < n; i++) {
        assert_true((ids[0][i] == INDEX_NO_ID) == (ids[1][i] == INDEX_NO_ID));
        assert_true(ids[0][i] == INDEX_NO_ID || fabsf(distances[0][i] - distances[1][i]) < slack);
    }
}

static inline void pair_draw_queries(struct device_pair *p)
{
    p->draw(p, p->queries, p->n_queries);
}

/* Fails the first call to the device in a request, then a later one, until a request makes fewer
   calls: each is an error with the device's sentence, and leaves the index sound; after each seventh
   the answers are compared. step: calls from one to the next; more and more if it grows. memory:
   whether the first failure is of memory; they alternate. Returns how many failed. */
static inline size_t pair_fail(struct device_pair *p, struct emulated_device *device,
                               int (*ask)(struct device_pair *),
                               void (*compare)(struct device_pair *), size_t step, bool grows,
                               bool memory)
{
    size_t failed = 0;
    for (size_t at = 1;; at += step + (grows ? rng_below(&p->rng, at / 3 + 1) : 0)) {
        pair_remove(p, 1);
        device->calls = 0;
        device->failure = memory ? 2 : 700;
        device->fail_at = at;
        const int rc = ask(p);
        device->calls = device->fail_at = 0;
        if (rc == OK)
            return failed;
        failed++;
        assert_int_equal(rc, memory ? ERR_NO_MEMORY : ERR_BASELINE);
        assert_non_null(
            strstr(p->bench.error.text, memory ? "out of memory" : "illegal memory access"));
        error_clear(&p->bench.error);
        assert_ok(p->ops->check(p->there, NULL), &p->bench.error);
        if (failed % 7 == 0)
            compare(p);
        memory = !memory;
    }
}

/* A saved index has its device again. */
static inline void pair_reload(struct device_pair *p)
{
    char dir[PATH_MAX];
    test_dir_make(dir);
    assert_ok(p->ops->save(p->there, dir), &p->bench.error);
    p->ops->destroy(p->there);
    assert_ok(p->ops->load(&p->there, &p->bench.env, dir), &p->bench.error);
    test_dir_remove(dir);
}

#endif
