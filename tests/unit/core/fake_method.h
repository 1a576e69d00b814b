/* fake_method.h - for the tests of checked.h: a method that counts the calls that reach it and
 * applies only as many rows of a change as a test sets. */
#ifndef DRIFTLINE_TESTS_UNIT_CORE_FAKE_METHOD_H
#define DRIFTLINE_TESTS_UNIT_CORE_FAKE_METHOD_H

#include "tests/support/checked_calls.h"
#include "tests/support/testing.h"

/* Inserts and removes at most `take` rows. */
struct fake {
    struct index base;
    size_t calls, take; /* rows an insert or remove does before it fails */
    int code;
    bool lie; /* returns OK although fewer rows were done */
};

static struct fake fake;

static inline int fake_create(struct index **index, const struct index_env *env, const void *params)
{
    fake.base.env = *env;
    *index = &fake.base;
    return OK;
}

static inline void fake_destroy(struct index *index) {}

static inline int fake_change(size_t n, size_t *done)
{
    fake.calls++;
    *done = n < fake.take ? n : fake.take;
    if (fake.take == SIZE_MAX - 1)
        *done = n + 1;
    if (*done == n || fake.lie)
        return OK;
    return fail(fake.base.env.error, fake.code, "the fake had enough");
}

static inline int fake_insert(struct index *index, struct vectors v, const uint64_t *ids,
                              size_t *done)
{
    return fake_change(v.n, done);
}

static inline int fake_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    return fake_change(n, done);
}

static inline int fake_search(struct index *index, const struct search_request *request,
                              struct search_result *result)
{
    assert_true(result->work.distances == 0);
    fake.calls++;
    return OK;
}

static const struct index_space fake_spaces[] = {
    { INDEX_F32, INDEX_COS }, { INDEX_U8, INDEX_COS },      { INDEX_U8, INDEX_L2SQ },
    { INDEX_U8, INDEX_IP },   { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END
};
static const struct index_ops fake_ops = { .abi = INDEX_ABI,
                                           .name = "fake",
                                           .summary = "s",
                                           .source = "s",
                                           .spaces = fake_spaces,
                                           .create = fake_create,
                                           .destroy = fake_destroy,
                                           .insert = fake_insert,
                                           .remove = fake_remove,
                                           .search = fake_search };

/* Opens a test bench and an index of the fake method, with all counts at zero. */
static inline void fake_begin(struct test_bench *b, struct checked *c, enum element element,
                              enum metric metric, size_t dim)
{
    test_bench_begin(b, element, metric, dim, 1);
    fake = (struct fake){ .take = SIZE_MAX, .code = ERR_IO };
    assert_ok(index_open(c, &fake_ops, &b->env, NULL), &b->error);
}

static inline void fake_end(struct test_bench *b, struct checked *c)
{
    index_close(c);
    test_bench_end(b);
}

#endif
