/* test_core_checked.c - the validation itself, with a method that records what reaches it. Which
 * calls are refused for every method is tests/contract/'s; here are the corners and the
 * bookkeeping. */
#include "tests/testing.h"

#include "src/core/checked.h"

/* Takes what it is told to take. */
struct fake {
    struct index base;
    size_t calls, take; /* rows an insert or remove does before it fails */
    int code;
    bool lie; /* says OK all the same */
};

static struct fake fake;

static int fake_create(struct index **index, const struct index_env *env, const void *params)
{
    (void)params;
    fake.base.env = *env;
    *index = &fake.base;
    return OK;
}

static void fake_destroy(struct index *index)
{
    (void)index;
}

static int change(size_t n, size_t *done)
{
    fake.calls++;
    *done = n < fake.take ? n : fake.take;
    if (fake.take == SIZE_MAX - 1)
        *done = n + 1;
    if (*done == n || fake.lie)
        return OK;
    return fail(fake.base.env.error, fake.code, "the fake had enough");
}

static int fake_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    (void)index;
    (void)ids;
    return change(v.n, done);
}

static int fake_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    (void)index;
    (void)ids;
    return change(n, done);
}

static int fake_search(struct index *index, const struct search_request *request,
                       struct search_result *result)
{
    (void)index;
    (void)request;
    assert_true(result->work.distances == 0);
    fake.calls++;
    return OK;
}

static const struct index_space spaces[] = {
    { ELEMENT_F32, METRIC_COS }, { ELEMENT_U8, METRIC_COS },      { ELEMENT_U8, METRIC_L2SQ },
    { ELEMENT_U8, METRIC_IP },   { ELEMENT_B64, METRIC_HAMMING }, INDEX_SPACES_END
};
static const struct index_ops fake_ops = { .abi = INDEX_ABI,
                                           .name = "fake",
                                           .summary = "s",
                                           .source = "s",
                                           .spaces = spaces,
                                           .create = fake_create,
                                           .destroy = fake_destroy,
                                           .insert = fake_insert,
                                           .remove = fake_remove,
                                           .search = fake_search };

static void begin(struct test_bench *b, struct checked *c, enum element element, enum metric metric,
                  size_t dim)
{
    test_bench_begin(b, element, metric, dim, 1);
    fake = (struct fake){ .take = SIZE_MAX, .code = ERR_IO };
    assert_ok(index_open(c, &fake_ops, &b->env, NULL), &b->error);
}

static void end(struct test_bench *b, struct checked *c)
{
    index_close(c);
    test_bench_end(b);
}

/* Each component of each row is looked at, at any length and address. */
static void test_finite(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 1);
    for (size_t dim = 1; dim < 70; dim++) {
        struct test_bench b;
        struct checked c;
        begin(&b, &c, ELEMENT_F32, METRIC_COS, dim);
        unsigned char *rows = malloc(3 * dim * sizeof(float) + 1);
        assert_non_null(rows);
        float row[70 * 3];
        test_fill_f32(&r, row, 3, dim, 0, 1);
        row[0] = 3.4e38F; /* large and finite */
        memcpy(rows + 1, row, 3 * dim * sizeof(float));
        const struct vectors v = { rows + 1, 3, dim, ELEMENT_F32 };
        assert_ok(index_admit_vectors(&c, v, "test"), &b.error);
        for (size_t j = 0; j < 3 * dim; j++) {
            static const float bad[] = { NAN, INFINITY, -INFINITY };
            const float x = bad[rng_below(&r, 3)];
            memcpy(rows + 1, row, 3 * dim * sizeof(float));
            memcpy(rows + 1 + j * sizeof x, &x, sizeof x);
            assert_int_equal(index_admit_vectors(&c, v, "test"), ERR_NOT_FINITE);
            char place[64];
            (void)snprintf(place, sizeof place, "row %zu: component %zu is", j / dim, j % dim);
            if (!strstr(b.error.text, place))
                fail_msg("expected \"%s\" in \"%s\"", place, b.error.text);
            error_clear(&b.error);
        }
        memset(row + dim, 0, dim * sizeof *row);
        row[dim] = -0.0F;
        memcpy(rows + 1, row, 3 * dim * sizeof(float));
        assert_code(index_admit_vectors(&c, v, "test"), ERR_ZERO_VECTOR, &b.error);
        row[dim + rng_below(&r, dim)] = 1e-45F; /* the smallest there is */
        memcpy(rows + 1, row, 3 * dim * sizeof(float));
        assert_ok(index_admit_vectors(&c, v, "test"), &b.error);
        free(rows);
        end(&b, &c);
    }
}

static void test_other_elements(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    uint8_t bytes[6] = { 0, 0, 1, 0, 0, 0 };
    begin(&b, &c, ELEMENT_U8, METRIC_COS, 3);
    assert_code(index_admit_vectors(&c, (struct vectors){ bytes, 2, 3, ELEMENT_U8 }, "x"),
                ERR_ZERO_VECTOR, &b.error);
    assert_ok(index_admit_vectors(&c, (struct vectors){ bytes, 1, 3, ELEMENT_U8 }, "x"), &b.error);
    end(&b, &c);
    begin(&b, &c, ELEMENT_U8, METRIC_L2SQ, 3);
    assert_ok(index_admit_vectors(&c, (struct vectors){ bytes, 2, 3, ELEMENT_U8 }, "x"), &b.error);
    end(&b, &c);
    begin(&b, &c, ELEMENT_B64, METRIC_HAMMING, 64);
    assert_ok(index_admit_vectors(&c, (struct vectors){ bytes, 0, 64, ELEMENT_B64 }, "x"),
              &b.error);
    end(&b, &c);
}

static void test_refused_spaces(void **state)
{
    (void)state;
    static const struct {
        enum element element;
        enum metric metric;
        size_t dim;
    } rows[] = {
        { ELEMENT_F32, METRIC_L2SQ, 3 },     { ELEMENT_F32, METRIC_COS, 0 },
        { ELEMENT_U8, METRIC_COS, 65536 },   { ELEMENT_B64, METRIC_COS, 64 },
        { ELEMENT_B64, METRIC_HAMMING, 32 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_bench b;
        struct checked c;
        test_bench_begin(&b, rows[i].element, rows[i].metric, rows[i].dim, 1);
        assert_code(index_open(&c, &fake_ops, &b.env, NULL), ERR_DIMENSION, &b.error);
        end(&b, &c);
    }
}

/* The live set follows what was done, not what was asked. */
static void test_live_set(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    const uint8_t rows[40] = { 0 };
    const uint64_t ids[] = { 30, 10, 20, 5, 40 };
    size_t done = 9;
    begin(&b, &c, ELEMENT_U8, METRIC_L2SQ, 8);
    const struct vectors v = { rows, 5, 8, ELEMENT_U8 };
    fake.take = 3;
    assert_code(index_insert(&c, v, ids, &done), ERR_IO, &b.error);
    assert_int_equal(done, 3);
    assert_int_equal(c.live.n, 3);
    assert_true(idmap_get(&c.live, 20, NULL) && !idmap_get(&c.live, 5, NULL));
    /* The rest may come again, the whole may not. */
    fake.take = SIZE_MAX;
    assert_code(index_insert(&c, v, ids, NULL), ERR_DUPLICATE_ID, &b.error);
    assert_ok(index_insert(&c, (struct vectors){ rows, 2, 8, ELEMENT_U8 }, ids + 3, NULL),
              &b.error);
    assert_int_equal(c.live.n, 5);
    fake.take = 1;
    assert_code(index_remove(&c, ids, 5, &done), ERR_IO, &b.error);
    assert_int_equal(done, 1);
    assert_int_equal(c.live.n, 4);
    fake.take = SIZE_MAX;
    assert_code(index_remove(&c, ids, 5, &done), ERR_UNKNOWN_ID, &b.error);
    assert_ok(index_remove(&c, ids + 1, 4, &done), &b.error);
    assert_int_equal(c.live.n, 0);
    /* A method that miscounts is found out. */
    fake.take = 2;
    fake.lie = true;
    assert_code(index_insert(&c, v, ids, &done), ERR_INVARIANT, &b.error);
    assert_int_equal(c.live.n, 2);
    fake.take = SIZE_MAX - 1;
    const uint64_t more[] = { 70, 71, 72 };
    assert_code(index_insert(&c, (struct vectors){ rows, 2, 8, ELEMENT_U8 }, more, &done),
                ERR_INVARIANT, &b.error);
    assert_int_equal(c.live.n, 2);
    /* What is refused does not reach the method; nor does nothing. */
    const size_t calls = fake.calls;
    assert_code(index_insert(&c, v, ids, &done), ERR_DUPLICATE_ID, &b.error);
    assert_ok(index_insert(&c, (struct vectors){ NULL, 0, 8, ELEMENT_U8 }, NULL, &done), &b.error);
    assert_int_equal(fake.calls, calls);
    end(&b, &c);
}

/* Admission and notes apart from the operation, as the replay does it. */
static void test_admit_and_note(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    const uint8_t rows[40] = { 0 };
    const uint64_t ids[] = { 1, 2, 3, 2 };
    begin(&b, &c, ELEMENT_U8, METRIC_L2SQ, 8);
    const struct vectors v = { rows, 3, 8, ELEMENT_U8 };
    assert_ok(index_admit_insert(&c, v, ids), &b.error);
    assert_int_equal(c.live.n, 0);
    assert_ok(index_note_inserted(&c, ids, 2), &b.error);
    assert_code(index_admit_insert(&c, v, ids), ERR_DUPLICATE_ID, &b.error);
    assert_code(index_admit_remove(&c, ids, 3), ERR_UNKNOWN_ID, &b.error);
    assert_code(index_admit_remove(&c, ids + 1, 3), ERR_DUPLICATE_ID, &b.error);
    assert_ok(index_admit_remove(&c, ids, 2), &b.error);
    index_note_removed(&c, ids, 1);
    assert_int_equal(c.live.n, 1);
    assert_int_equal(fake.calls, 0);
    end(&b, &c);
}

/* What a method does not have is said with the same code for all. */
static void test_missing_capabilities(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c, loaded;
    begin(&b, &c, ELEMENT_U8, METRIC_L2SQ, 8);
    struct index_ops bare = fake_ops;
    bare.remove = NULL;
    c.ops = &bare;
    const uint64_t id = 1;
    struct range_result found = { .found = NULL };
    const struct range_request request = { .radius = 1 };
    assert_code(index_remove(&c, &id, 1, NULL), ERR_UNSUPPORTED, &b.error);
    assert_code(index_train(&c, (struct vectors){ NULL, 0, 8, ELEMENT_U8 }), ERR_UNSUPPORTED,
                &b.error);
    assert_code(index_range(&c, &request, &found), ERR_UNSUPPORTED, &b.error);
    assert_code(index_maintain(&c, 0, NULL), ERR_UNSUPPORTED, &b.error);
    assert_code(index_save(&c, "."), ERR_UNSUPPORTED, &b.error);
    assert_code(index_open_saved(&loaded, &bare, &b.env, ".", &c), ERR_UNSUPPORTED, &b.error);
    assert_ok(index_check(&c, NULL), &b.error);
    end(&b, &c);
}

/* ---- transactions, versions, attributes: the fake counts its calls and fails on demand */

static int fake_step(struct index *index)
{
    (void)index;
    fake.calls++;
    return fake.code == OK ? OK : fail(fake.base.env.error, fake.code, "the fake will not");
}

static int fake_commit(struct index *index, uint64_t *version)
{
    *version = 7;
    return fake_step(index);
}

static int fake_release(struct index *index, uint64_t version)
{
    assert_int_equal(version, 7);
    return fake_step(index);
}

static int fake_as_of(struct index *index, uint64_t version, const struct search_request *request,
                      struct search_result *result)
{
    (void)request;
    assert_true(result->work.distances == 0);
    return fake_release(index, version);
}

static int fake_insert_with(struct index *index, struct vectors v, const uint64_t *ids,
                            const uint32_t *attributes, size_t *done)
{
    assert_int_equal(attributes[0], 3);
    return fake_insert(index, v, ids, done);
}

static int fake_where(struct index *index, const struct search_request *request,
                      struct attribute_range range, struct search_result *result)
{
    (void)request;
    assert_true(range.low <= range.high && result->work.distances == 0);
    return fake_step(index);
}

static const struct index_txn_ops fake_txn = { .begin = fake_step,
                                               .commit = fake_commit,
                                               .rollback = fake_step,
                                               .snapshot = fake_commit,
                                               .release = fake_release,
                                               .search_as_of = fake_as_of };
static const struct index_attribute_ops fake_attributes = { fake_insert_with, fake_where };

static struct index_ops with_groups(void)
{
    struct index_ops ops = fake_ops;
    ops.txn = &fake_txn;
    ops.attributes = &fake_attributes;
    return ops;
}

/* A group is given whole or not at all. */
static void test_groups(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct index_ops ops = with_groups();
    struct index_txn_ops txn = fake_txn;
    struct index_attribute_ops attributes = fake_attributes;
    assert_ok(index_ops_check(&ops, &err), &err);
    txn.release = NULL;
    ops.txn = &txn;
    assert_code(index_ops_check(&ops, &err), ERR_VERSION, &err);
    ops.txn = NULL;
    attributes.search = NULL;
    ops.attributes = &attributes;
    assert_code(index_ops_check(&ops, &err), ERR_VERSION, &err);
}

static void begin_with(struct test_bench *b, struct checked *c, struct index_ops *ops)
{
    begin(b, c, ELEMENT_U8, METRIC_L2SQ, 8);
    *ops = with_groups();
    c->ops = ops;
    fake.code = OK;
}

/* Begin, commit and rollback in their order only, and not inside one another. */
static void test_transactions_in_order(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    struct index_ops ops;
    uint64_t version = 0;
    begin_with(&b, &c, &ops);
    assert_code(index_commit(&c, &version), ERR_ARGUMENT, &b.error);
    assert_code(index_rollback(&c), ERR_ARGUMENT, &b.error);
    assert_int_equal(fake.calls, 0);
    assert_ok(index_begin(&c), &b.error);
    assert_code(index_begin(&c), ERR_ARGUMENT, &b.error);
    assert_code(index_snapshot(&c, &version), ERR_ARGUMENT, &b.error);
    assert_int_equal(fake.calls, 1);
    assert_ok(index_commit(&c, &version), &b.error);
    assert_int_equal(version, 7);
    assert_ok(index_begin(&c), &b.error);
    assert_ok(index_rollback(&c), &b.error);
    assert_code(index_rollback(&c), ERR_ARGUMENT, &b.error);
    /* A begin that failed began nothing; a commit that failed ended nothing. */
    fake.code = ERR_NO_MEMORY;
    assert_code(index_begin(&c), ERR_NO_MEMORY, &b.error);
    assert_code(index_rollback(&c), ERR_ARGUMENT, &b.error);
    fake.code = OK;
    assert_ok(index_begin(&c), &b.error);
    fake.code = ERR_IO;
    assert_code(index_commit(&c, NULL), ERR_IO, &b.error);
    assert_code(index_rollback(&c), ERR_IO, &b.error);
    fake.code = OK;
    assert_ok(index_commit(&c, NULL), &b.error);
    ops.txn = NULL;
    assert_code(index_begin(&c), ERR_UNSUPPORTED, &b.error);
    assert_code(index_commit(&c, NULL), ERR_UNSUPPORTED, &b.error);
    assert_code(index_rollback(&c), ERR_UNSUPPORTED, &b.error);
    assert_code(index_snapshot(&c, NULL), ERR_UNSUPPORTED, &b.error);
    assert_code(index_release(&c, 7), ERR_UNSUPPORTED, &b.error);
    end(&b, &c);
}

static int fake_save(struct index *index, const char *dir)
{
    (void)dir;
    return fake_step(index);
}

/* Ids are taken and given back by a transaction as they are by the index. */
static void test_live_set_of_a_transaction(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    struct index_ops ops;
    enum { N = 400 };
    static uint64_t ids[2 * N];
    static const uint8_t rows[2 * N * 8] = { 0 };
    for (size_t i = 0; i < 2 * N; i++)
        ids[i] = i * 3;
    for (int commit = 0; commit < 2; commit++) {
        begin_with(&b, &c, &ops);
        ops.save = fake_save;
        const struct vectors v = { rows, N, 8, ELEMENT_U8 }, one = { rows, 1, 8, ELEMENT_U8 };
        assert_ok(index_insert(&c, v, ids, NULL), &b.error);
        assert_ok(index_begin(&c), &b.error);
        assert_code(index_save(&c, "."), ERR_ARGUMENT, &b.error);
        assert_ok(index_remove(&c, ids, N, NULL), &b.error);
        assert_code(index_remove(&c, ids, 1, NULL), ERR_UNKNOWN_ID, &b.error);
        assert_ok(index_insert(&c, v, ids + N, NULL), &b.error);
        assert_code(index_insert(&c, one, ids + N, NULL), ERR_DUPLICATE_ID, &b.error);
        /* One comes back, one comes and goes, one comes back and goes again. */
        assert_ok(index_insert(&c, one, ids, NULL), &b.error);
        assert_ok(index_remove(&c, ids + N, 1, NULL), &b.error);
        assert_ok(index_insert(&c, one, ids + 1, NULL), &b.error);
        assert_ok(index_remove(&c, ids + 1, 1, NULL), &b.error);
        assert_int_equal(c.live.n, N);
        assert_ok(commit ? index_commit(&c, NULL) : index_rollback(&c), &b.error);
        assert_int_equal(c.live.n, N);
        for (size_t i = 0; i < 2 * N; i++)
            assert_true(idmap_get(&c.live, ids[i], NULL) == (commit ? i == 0 || i > N : i < N));
        assert_ok(index_save(&c, "."), &b.error);
        end(&b, &c);
    }
}

/* What an index dropped inside a transaction comes back with: the last commit's ids. */
static int fake_load(struct index **index, const struct index_env *env, const char *dir)
{
    (void)dir;
    return fake_create(index, env, NULL);
}

static void test_loading_after_a_crash(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c, loaded;
    struct index_ops ops;
    const uint8_t rows[40] = { 0 };
    const uint64_t ids[] = { 1, 2, 3, 4, 5 };
    begin_with(&b, &c, &ops);
    ops.load = fake_load;
    assert_ok(index_insert(&c, (struct vectors){ rows, 3, 8, ELEMENT_U8 }, ids, NULL), &b.error);
    assert_ok(index_begin(&c), &b.error);
    assert_ok(index_remove(&c, ids, 2, NULL), &b.error);
    assert_ok(index_insert(&c, (struct vectors){ rows, 2, 8, ELEMENT_U8 }, ids + 3, NULL),
              &b.error);
    assert_ok(index_open_saved(&loaded, &ops, &b.env, ".", &c), &b.error);
    assert_int_equal(loaded.live.n, 3);
    for (size_t i = 0; i < 5; i++)
        assert_true(idmap_get(&loaded.live, ids[i], NULL) == (i < 3));
    assert_code(index_commit(&loaded, NULL), ERR_ARGUMENT, &b.error);
    index_close(&loaded);
    end(&b, &c);
}

static void test_versions(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    struct index_ops ops;
    uint64_t version = 0, ids[2];
    float distances[2];
    const uint8_t query[8] = { 0 };
    struct search_request request = { { query, 1, 8, ELEMENT_U8 }, 2, NULL, NULL, 1 };
    struct search_result result = { ids, distances, { .distances = 5 } };
    begin_with(&b, &c, &ops);
    assert_code(index_release(&c, 7), ERR_NOT_FOUND, &b.error);
    assert_ok(index_snapshot(&c, &version), &b.error);
    assert_ok(index_snapshot(&c, NULL), &b.error);
    assert_int_equal(version, 7);
    assert_code(index_release(&c, 6), ERR_NOT_FOUND, &b.error);
    /* Pinned twice, released twice. */
    assert_ok(index_release(&c, 7), &b.error);
    assert_ok(index_release(&c, 7), &b.error);
    assert_code(index_release(&c, 7), ERR_NOT_FOUND, &b.error);
    const size_t calls = fake.calls;
    assert_ok(index_search_as_of(&c, 7, &request, &result), &b.error);
    request.k = 0;
    assert_code(index_search_as_of(&c, 7, &request, &result), ERR_ARGUMENT, &b.error);
    request.k = 2;
    result.ids = NULL;
    assert_code(index_search_as_of(&c, 7, &request, &result), ERR_ARGUMENT, &b.error);
    assert_int_equal(fake.calls, calls + 1);
    ops.txn = NULL;
    assert_code(index_search_as_of(&c, 7, &request, &result), ERR_UNSUPPORTED, &b.error);
    end(&b, &c);
}

static void test_attributes(void **state)
{
    (void)state;
    struct test_bench b;
    struct checked c;
    struct index_ops ops;
    uint64_t ids[2] = { 5, 6 };
    float distances[2];
    const uint8_t rows[16] = { 0 };
    const uint32_t attributes[] = { 3, ATTRIBUTE_NONE };
    const struct id_filter filter = { ids, 60 };
    const struct vectors v = { rows, 2, 8, ELEMENT_U8 };
    struct search_request request = { { rows, 1, 8, ELEMENT_U8 }, 2, NULL, NULL, 1 };
    struct search_result result = { ids, distances, { .distances = 5 } };
    begin_with(&b, &c, &ops);
    assert_ok(index_insert_with(&c, v, ids, attributes, NULL), &b.error);
    assert_code(index_insert_with(&c, v, ids, attributes, NULL), ERR_DUPLICATE_ID, &b.error);
    const size_t calls = fake.calls;
    static const struct {
        struct attribute_range range;
        int code;
    } cases[] = {
        { { 0, 0 }, OK },
        { { 4, ATTRIBUTE_NONE - 1 }, OK },
        { { 5, 4 }, ERR_ARGUMENT },
        { { 5, ATTRIBUTE_NONE }, ERR_ARGUMENT },
        { { ATTRIBUTE_NONE, ATTRIBUTE_NONE }, ERR_ARGUMENT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int rc = index_search_where(&c, &request, cases[i].range, &result);
        if (cases[i].code == OK)
            assert_ok(rc, &b.error);
        else
            assert_code(rc, cases[i].code, &b.error);
    }
    request.filter = &filter;
    assert_code(index_search_where(&c, &request, cases[0].range, &result), ERR_ARGUMENT, &b.error);
    request.filter = NULL;
    request.k = 0;
    assert_code(index_search_where(&c, &request, cases[0].range, &result), ERR_ARGUMENT, &b.error);
    assert_int_equal(fake.calls, calls + 2);
    ops.attributes = NULL;
    const uint64_t more[] = { 8, 9 };
    assert_code(index_insert_with(&c, v, more, attributes, NULL), ERR_UNSUPPORTED, &b.error);
    assert_ok(index_insert_with(&c, v, more, NULL, NULL), &b.error);
    request.k = 2;
    assert_code(index_search_where(&c, &request, cases[0].range, &result), ERR_UNSUPPORTED,
                &b.error);
    end(&b, &c);
}

static int fake_range(struct index *index, const struct range_request *request,
                      struct range_result *result)
{
    (void)index;
    (void)request;
    (void)result;
    fake.calls++;
    return OK;
}

static int take_nothing(void *to, size_t query, uint64_t id, float distance)
{
    (void)to;
    (void)query;
    (void)id;
    (void)distance;
    return OK;
}

/* A radius the metric has no distance at is refused before the method sees it. */
static void test_radius(void **state)
{
    (void)state;
    static const struct {
        enum element element;
        enum metric metric;
        double radius;
        bool fine;
    } cases[] = {
        { ELEMENT_B64, METRIC_HAMMING, 0, true },
        { ELEMENT_B64, METRIC_HAMMING, 64, true },
        { ELEMENT_B64, METRIC_HAMMING, -1, false },
        { ELEMENT_B64, METRIC_HAMMING, 65, false },
        { ELEMENT_B64, METRIC_HAMMING, 1.5, false },
        { ELEMENT_B64, METRIC_HAMMING, NAN, false },
        { ELEMENT_B64, METRIC_HAMMING, HUGE_VAL, false },
        { ELEMENT_U8, METRIC_L2SQ, 0, true },
        { ELEMENT_U8, METRIC_L2SQ, 2.5, true },
        { ELEMENT_U8, METRIC_L2SQ, HUGE_VAL, true },
        { ELEMENT_U8, METRIC_L2SQ, -0.5, false },
        { ELEMENT_U8, METRIC_L2SQ, NAN, false },
        { ELEMENT_U8, METRIC_COS, -1, false },
        { ELEMENT_U8, METRIC_IP, -1, true },
        { ELEMENT_U8, METRIC_IP, NAN, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool codes = cases[i].element == ELEMENT_B64;
        const uint64_t query = UINT64_C(0x0102030405060708);
        struct test_bench b;
        struct checked c;
        begin(&b, &c, cases[i].element, cases[i].metric, codes ? 64 : 8);
        struct index_ops ops = fake_ops;
        ops.range = fake_range;
        c.ops = &ops;
        struct range_result found = { .found = take_nothing };
        const struct range_request request = {
            .queries = { &query, 1, codes ? 64 : 8, cases[i].element }, .radius = cases[i].radius
        };
        const int rc = index_range(&c, &request, &found);
        if (rc != (cases[i].fine ? OK : ERR_ARGUMENT) || fake.calls != cases[i].fine)
            fail_msg("case %zu: %s: %s", i, error_name(rc), b.error.text);
        end(&b, &c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite),
        cmocka_unit_test(test_other_elements),
        cmocka_unit_test(test_refused_spaces),
        cmocka_unit_test(test_live_set),
        cmocka_unit_test(test_admit_and_note),
        cmocka_unit_test(test_missing_capabilities),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_transactions_in_order),
        cmocka_unit_test(test_live_set_of_a_transaction),
        cmocka_unit_test(test_loading_after_a_crash),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_radius),
    };
    return test_run("core_checked", tests);
}
