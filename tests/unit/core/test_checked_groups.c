/* test_checked_groups.c - validation of the optional groups of operations: transactions, versions,
 * attributes. The fake method counts its calls and fails on demand. */
#include <float.h>
#include <math.h>

#include "tests/unit/core/fake_method.h"

static int fake_step(struct index *index)
{
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
    assert_true(result->work.distances == 0);
    return fake_release(index, version);
}

static int fake_insert_with(struct index *index, struct vectors v, const uint64_t *ids,
                            const int64_t *attributes, size_t *done)
{
    assert_int_equal(attributes[0], 3);
    return fake_insert(index, v, ids, done);
}

static int fake_where(struct index *index, const struct search_request *request,
                      const struct attribute_filter *filter, struct search_result *result)
{
    assert_true(filter->n > 0 && result->work.distances == 0);
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

/* A method provides all operations of a group or none. */
static void test_groups(void **state)
{
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
    fake_begin(b, c, INDEX_U8, INDEX_L2SQ, 8);
    *ops = with_groups();
    c->ops = ops;
    fake.code = OK;
}

/* Begin, commit and rollback are accepted only in this order, and do not nest. */
static void test_transactions_in_order(void **state)
{
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
    /* A failed begin starts no transaction; a failed commit ends none. */
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
    fake_end(&b, &c);
}

static int fake_save(struct index *index, const char *dir)
{
    return fake_step(index);
}

/* A transaction adds ids to the live set and removes them, as the index does. */
static void test_live_set_of_a_transaction(void **state)
{
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
        const struct vectors v = { rows, N, 8, INDEX_U8 }, one = { rows, 1, 8, INDEX_U8 };
        assert_ok(index_insert(&c, v, ids, NULL), &b.error);
        assert_ok(index_begin(&c), &b.error);
        assert_code(index_save(&c, "."), ERR_ARGUMENT, &b.error);
        assert_ok(index_remove(&c, ids, N, NULL), &b.error);
        assert_code(index_remove(&c, ids, 1, NULL), ERR_UNKNOWN_ID, &b.error);
        assert_ok(index_insert(&c, v, ids + N, NULL), &b.error);
        assert_code(index_insert(&c, one, ids + N, NULL), ERR_DUPLICATE_ID, &b.error);
        /* One id is inserted again; one is inserted and removed; one is inserted
           again and removed again. */
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
        fake_end(&b, &c);
    }
}

/* An index dropped inside a transaction is loaded with the ids of the last commit. */
static int fake_load(struct index **index, const struct index_env *env, const char *dir)
{
    return fake_create(index, env, NULL);
}

static void test_loading_after_a_crash(void **state)
{
    struct test_bench b;
    struct checked c, loaded;
    struct index_ops ops;
    const uint8_t rows[40] = { 0 };
    const uint64_t ids[] = { 1, 2, 3, 4, 5 };
    begin_with(&b, &c, &ops);
    ops.load = fake_load;
    assert_ok(index_insert(&c, (struct vectors){ rows, 3, 8, INDEX_U8 }, ids, NULL), &b.error);
    assert_ok(index_begin(&c), &b.error);
    assert_ok(index_remove(&c, ids, 2, NULL), &b.error);
    assert_ok(index_insert(&c, (struct vectors){ rows, 2, 8, INDEX_U8 }, ids + 3, NULL), &b.error);
    assert_ok(index_open_saved(&loaded, &ops, &b.env, ".", &c), &b.error);
    assert_int_equal(loaded.live.n, 3);
    for (size_t i = 0; i < 5; i++)
        assert_true(idmap_get(&loaded.live, ids[i], NULL) == (i < 3));
    assert_code(index_commit(&loaded, NULL), ERR_ARGUMENT, &b.error);
    index_close(&loaded);
    fake_end(&b, &c);
}

static void test_versions(void **state)
{
    struct test_bench b;
    struct checked c;
    struct index_ops ops;
    uint64_t version = 0, ids[2];
    float distances[2];
    const uint8_t query[8] = { 0 };
    struct search_request request = { { query, 1, 8, INDEX_U8 }, 2, NULL, NULL, 1 };
    struct search_result result = { ids, distances, { .distances = 5 }, NULL };
    begin_with(&b, &c, &ops);
    assert_code(index_release(&c, 7), ERR_NOT_FOUND, &b.error);
    assert_ok(index_snapshot(&c, &version), &b.error);
    assert_ok(index_snapshot(&c, NULL), &b.error);
    assert_int_equal(version, 7);
    assert_code(index_release(&c, 6), ERR_NOT_FOUND, &b.error);
    /* Pinned twice, so it must be released twice. */
    assert_ok(index_release(&c, 7), &b.error);
    assert_ok(index_release(&c, 7), &b.error);
    assert_code(index_release(&c, 7), ERR_NOT_FOUND, &b.error);
    const size_t calls = fake.calls;
    assert_ok(index_search_as_of(&c, 7, &request, &result), &b.error);
    request.k = 0;
    assert_code(index_search_as_of(&c, 7, &request, &result), ERR_ARGUMENT, &b.error);
    assert_int_equal(fake.calls, calls + 1);
    ops.txn = NULL;
    assert_code(index_search_as_of(&c, 7, &request, &result), ERR_UNSUPPORTED, &b.error);
    fake_end(&b, &c);
}

/* Conditions on these values. */
static const int64_t condition_values[] = { 5, 4, 4, 6, INDEX_ATTRIBUTE_NONE };
static const struct {
    struct attribute_condition condition;
    int code;
} conditions[] = {
    { { 0, INDEX_ATTRIBUTE_RANGE, 1, 2 }, OK },
    { { 1, INDEX_ATTRIBUTE_RANGE, 2, 2 }, OK },
    { { 1, INDEX_ATTRIBUTE_IN, 2, 2 }, OK },
    { { 1, INDEX_ATTRIBUTE_IN, 0, 0 }, OK },
    { { 1, INDEX_ATTRIBUTE_NOT_IN, 3, 1 }, OK },
    { { 0, INDEX_ATTRIBUTE_MISSING, 0, 0 }, OK },
    { { 2, INDEX_ATTRIBUTE_RANGE, 1, 2 }, ERR_ARGUMENT },       /* no such field */
    { { 0, INDEX_ATTRIBUTE_MISSING + 1, 1, 2 }, ERR_ARGUMENT }, /* no such test */
    { { 0, INDEX_ATTRIBUTE_RANGE, 0, 2 }, ERR_ARGUMENT },       /* 5 .. 4 */
    { { 0, INDEX_ATTRIBUTE_RANGE, 0, 1 }, ERR_ARGUMENT },
    { { 0, INDEX_ATTRIBUTE_RANGE, 3, 2 }, ERR_ARGUMENT },
    { { 0, INDEX_ATTRIBUTE_IN, 1, 2 }, ERR_ARGUMENT }, /* not distinct */
    { { 0, INDEX_ATTRIBUTE_IN, 0, 2 }, ERR_ARGUMENT }, /* not ascending */
    { { 0, INDEX_ATTRIBUTE_IN, 4, 1 }, ERR_ARGUMENT },
    { { 0, INDEX_ATTRIBUTE_MISSING, 1, 1 }, ERR_ARGUMENT },
};

static void test_attributes(void **state)
{
    struct test_bench b;
    struct checked c;
    struct index_ops ops;
    uint64_t ids[2] = { 5, 6 };
    float distances[2];
    const uint8_t rows[16] = { 0 };
    const int64_t attributes[] = { 3, -1, INDEX_ATTRIBUTE_NONE, INT64_MAX };
    const struct id_filter filter = { ids, 60 };
    const struct vectors v = { rows, 2, 8, INDEX_U8 };
    struct search_request request = { { rows, 1, 8, INDEX_U8 }, 2, NULL, NULL, 1 };
    struct search_result result = { ids, distances, { .distances = 5 }, NULL };
    begin_with(&b, &c, &ops);
    c.index->env.n_attributes = 2;
    assert_ok(index_insert_with(&c, v, ids, attributes, NULL), &b.error);
    assert_code(index_insert_with(&c, v, ids, attributes, NULL), ERR_DUPLICATE_ID, &b.error);
    const size_t calls = fake.calls;
    const struct attribute_filter fine = { &conditions[0].condition, 1, condition_values };
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        const struct attribute_condition both[] = { conditions[0].condition,
                                                    conditions[i].condition };
        const struct attribute_filter filter_of = { both, 2, condition_values };
        const int rc = index_search_where(&c, &request, &filter_of, &result);
        if (conditions[i].code == OK)
            assert_ok(rc, &b.error);
        else
            assert_code(rc, conditions[i].code, &b.error);
    }
    assert_code(index_search_where(&c, &request, NULL, &result), ERR_ARGUMENT, &b.error);
    request.filter = &filter;
    assert_code(index_search_where(&c, &request, &fine, &result), ERR_ARGUMENT, &b.error);
    request.filter = NULL;
    request.k = 0;
    assert_code(index_search_where(&c, &request, &fine, &result), ERR_ARGUMENT, &b.error);
    assert_int_equal(fake.calls, calls + 6);
    c.index->env.n_attributes = 0;
    const uint64_t more[] = { 8, 9 };
    assert_code(index_insert_with(&c, v, more, attributes, NULL), ERR_ARGUMENT, &b.error);
    assert_code(index_search_where(&c, &request, &fine, &result), ERR_ARGUMENT, &b.error);
    ops.attributes = NULL;
    assert_code(index_insert_with(&c, v, more, attributes, NULL), ERR_UNSUPPORTED, &b.error);
    assert_ok(index_insert_with(&c, v, more, NULL, NULL), &b.error);
    request.k = 2;
    assert_code(index_search_where(&c, &request, &fine, &result), ERR_UNSUPPORTED, &b.error);
    fake_end(&b, &c);
}

struct fake_params {
    int64_t limit, size;
    double share;
    bool fast;
};

static const struct param fake_param_table[] = {
    PARAM_INT(struct fake_params, limit, 4, 1, 9, "may change", .old_name = "bound", .live = true),
    PARAM_INT(struct fake_params, size, 5, 1, 9, "may not"),
    PARAM_REAL(struct fake_params, share, .5, 0, 1, "may change", .live = true),
    PARAM_BOOL(struct fake_params, fast, true, "may change", .live = true),
    PARAM_END,
};

static struct fake_params given; /* to the fake, by its last set_params() */

static int fake_set(struct index *index, const void *params)
{
    const int rc = fake_step(index);
    if (rc == OK)
        given = *(const struct fake_params *)params;
    return rc;
}

static struct param_setting setting(const char *name, double number)
{
    return (struct param_setting){ name, { .kind = VALUE_NUMBER, .number = number } };
}

/* A table has live options exactly if it has the operation. */
static void test_live_tables(void **state)
{
    struct error err = { 0 };
    struct index_ops ops = fake_ops;
    ops.params = fake_param_table;
    ops.params_bytes = sizeof(struct fake_params);
    assert_code(index_ops_check(&ops, &err), ERR_VERSION, &err);
    ops.set_params = fake_set;
    assert_ok(index_ops_check(&ops, &err), &err);
    ops.params = NULL;
    assert_int_equal(index_ops_check(&ops, &err), ERR_VERSION);
    assert_non_null(strstr(err.text, "none of its params is live"));
}

static void refuse(struct checked *c, struct fake_params *params, int code,
                   const struct param_setting *settings, size_t n, const char *text)
{
    const struct fake_params was = *params;
    const size_t calls = fake.calls;
    assert_int_equal(index_set(c, params, settings, n), code);
    if (!strstr(c->error->text, text))
        fail_msg("\"%s\" lacks \"%s\"", c->error->text, text);
    error_clear(c->error);
    assert_memory_equal(params, &was, sizeof was);
    assert_int_equal(fake.calls, calls);
}

/* A wrong option never reaches the method, and a failure changes nothing. */
static void test_live_options(void **state)
{
    struct test_bench b;
    struct checked c;
    struct index_ops ops = with_groups();
    struct fake_params params, was;
    memset(&params, 0, sizeof params);
    fake_begin(&b, &c, INDEX_U8, INDEX_L2SQ, 4);
    param_defaults(fake_param_table, &params);
    const struct param_setting limit = setting("limit", 7);
    refuse(&c, &params, ERR_UNSUPPORTED, &limit, 1, "cannot change options while its index lives");
    ops.params = fake_param_table;
    ops.params_bytes = sizeof params;
    ops.set_params = fake_set;
    c.ops = &ops;
    fake.code = OK;
    const struct {
        struct param_setting second;
        int code;
        const char *text;
    } wrong[] = {
        { setting("limt", 1), ERR_UNSUPPORTED, "no option \"limt\"; did you mean \"limit\"?" },
        { setting("siez", 1), ERR_UNSUPPORTED, "no option \"siez\"" },
        { setting("size", 1), ERR_UNSUPPORTED, "option \"size\" is fixed at creation" },
        { setting("share", 2), ERR_CONFIG, "\"share\" must be 0 .. 1, not 2" },
        { setting("fast", 1), ERR_CONFIG, "\"fast\" must be true or false" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse(&c, &params, wrong[i].code, (struct param_setting[]){ limit, wrong[i].second }, 2,
               wrong[i].text);
    assert_ok(index_set(&c, &params, (struct param_setting[]){ limit, setting("share", .25) }, 2),
              &b.error);
    assert_true(params.limit == 7 && params.size == 5 && params.share == .25 && params.fast);
    assert_memory_equal(&given, &params, sizeof params);
    const struct param_setting old = setting("bound", 2);
    assert_ok(index_set(&c, &params, &old, 1), &b.error);
    assert_true(given.limit == 2 && given.share == .25);
    was = params;
    fake.code = ERR_ARGUMENT;
    assert_code(index_set(&c, &params, &limit, 1), ERR_ARGUMENT, &b.error);
    assert_memory_equal(&params, &was, sizeof was);
    fake.code = OK;
    assert_ok(index_begin(&c), &b.error);
    refuse(&c, &params, ERR_ARGUMENT, &limit, 1, "a transaction is open");
    fake_end(&b, &c);
}

/* Numbers of reals ascend as they do. */
static void test_reals(void **state)
{
    static const double ascending[] = {
        -INFINITY, -DBL_MAX, -1.5, -1, -DBL_MIN, -4e-324, 0,
        4e-324,    DBL_MIN,  1,    2,  1e300,    DBL_MAX, INFINITY
    };
    const size_t n = sizeof ascending / sizeof *ascending;

    for (size_t i = 0; i < n; i++) {
        const int64_t number = index_attribute_of_real(ascending[i]);

        assert_true(number != INDEX_ATTRIBUTE_NONE);
        assert_true(index_attribute_to_real(number) == ascending[i]);
        assert_true(i == 0 || number > index_attribute_of_real(ascending[i - 1]));
    }
    assert_true(index_attribute_of_real(-0.0) == index_attribute_of_real(0.0));
    assert_true(index_attribute_of_real(NAN) == INDEX_ATTRIBUTE_NONE);
    assert_true(isnan(index_attribute_to_real(INDEX_ATTRIBUTE_NONE)));
}

int main(void)
{
    return test_run_all("core_checked_groups", test_groups, test_transactions_in_order,
                        test_live_set_of_a_transaction, test_loading_after_a_crash, test_versions,
                        test_attributes, test_live_tables, test_live_options, test_reals);
}
