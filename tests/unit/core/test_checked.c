/* test_checked.c - the validation layer, with a method that records which calls reach it. Refusals
 * that hold for every method are tested in tests/contract/; here are corner cases and the live set.
 * test_checked_groups.c has transactions, versions and attributes. */
#include "tests/unit/core/fake_method.h"

/* Every component of every row is checked, at any length and alignment. */
static void test_finite(void **state)
{
    struct rng r = rng_at(test_seed(), 1);
    for (size_t dim = 1; dim < 70; dim++) {
        struct test_bench b;
        struct checked c;
        fake_begin(&b, &c, INDEX_F32, INDEX_COS, dim);
        unsigned char *rows = malloc(3 * dim * sizeof(float) + 1);
        assert_non_null(rows);
        float row[70 * 3];
        test_fill_f32(&r, row, 3, dim, 0, 1);
        row[0] = 9e18F; /* large, and its square is finite */
        memcpy(rows + 1, row, 3 * dim * sizeof(float));
        const struct vectors v = { rows + 1, 3, dim, INDEX_F32 };
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
        row[dim + rng_below(&r, dim)] = 1.1e-19F; /* small, and its square is normal */
        memcpy(rows + 1, row, 3 * dim * sizeof(float));
        assert_ok(index_admit_vectors(&c, v, "test"), &b.error);
        free(rows);
        fake_end(&b, &c);
    }
}

/* A row whose squared length f32 does not hold is refused by row and component. */
static void test_lengths(void **state)
{
    static const struct {
        float row[3];
        const char *expected; /* NULL: it fits */
    } cases[] = {
        { { 1, -1e19F, 2 },
          "row 1: component 1 is -1e+19: the squared length of the row is too large" },
        { { 0, 3.4e38F, 0 }, "component 1 is 3.4e+38: the squared length of the row is too large" },
        { { 8e18F, 1, 8e18F }, "component 0 is 8e+18" },
        { { 1e-45F, 0, 2e-20F },
          "component 2 is 2e-20: the squared length of the row is too small" },
        { { 0, 9e18F, 1e-30F }, NULL },
        { { 0, 2e-19F, 0 }, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float *row = cases[i].row, rows[6] = { 1, 2, 3, row[0], row[1], row[2] };
        const struct vectors v = { rows, 2, 3, INDEX_F32 };
        const char *expected = cases[i].expected;
        struct test_bench b;
        struct checked c;
        fake_begin(&b, &c, INDEX_F32, INDEX_COS, 3);
        assert_int_equal(index_admit_vectors(&c, v, "test"), expected ? ERR_NOT_FINITE : OK);
        if (expected && !strstr(b.error.text, expected))
            fail_msg("expected \"%s\" in \"%s\"", expected, b.error.text);
        error_clear(&b.error);
        fake_end(&b, &c);
    }
}

static void test_refused_spaces(void **state)
{
    static const struct {
        enum element element;
        enum metric metric;
        size_t dim;
    } rows[] = {
        { INDEX_F32, INDEX_L2SQ, 3 },     { INDEX_F32, INDEX_COS, 0 },
        { INDEX_U8, INDEX_COS, 65536 },   { INDEX_B64, INDEX_COS, 64 },
        { INDEX_B64, INDEX_HAMMING, 32 }, { INDEX_B64, INDEX_HAMMING, 128 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_bench b;
        struct checked c;
        test_bench_begin(&b, rows[i].element, rows[i].metric, rows[i].dim, 1);
        assert_code(index_open(&c, &fake_ops, &b.env, NULL), ERR_DIMENSION, &b.error);
        fake_end(&b, &c);
    }
}

/* A method says by a flag whether it takes codes of more than 64 bits. */
static void test_wide_codes(void **state)
{
    static const struct {
        size_t dim;
        uint32_t flags;
        const char *why; /* NULL: taken */
    } cases[] = {
        { 64, 0, NULL },
        { 256, INDEX_WIDE_CODES, NULL },
        { 1024, INDEX_WIDE_CODES, NULL },
        { 256, 0, "takes codes of 64 bits, not of 256; hamming-scan, mih and hftrie take longer" },
        { 1088, INDEX_WIDE_CODES, "codes of 1088 bits; expected a multiple of 64, at most 1024" },
        { 96, INDEX_WIDE_CODES, "codes of 96 bits; expected a multiple of 64" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_bench b;
        struct checked c;
        struct index_ops ops = fake_ops;
        ops.flags |= cases[i].flags;
        test_bench_begin(&b, INDEX_B64, INDEX_HAMMING, cases[i].dim, 1);
        const int rc = index_open(&c, &ops, &b.env, NULL);
        assert_int_equal(rc, cases[i].why ? ERR_DIMENSION : OK);
        if (cases[i].why && !strstr(b.error.text, cases[i].why))
            fail_msg("%zu bits: %s", cases[i].dim, b.error.text);
        fake_end(&b, &c);
    }
}

/* The live set follows the rows that the method changed, not those that were requested. */
static void test_live_set(void **state)
{
    struct test_bench b;
    struct checked c;
    const uint8_t rows[40] = { 0 };
    const uint64_t ids[] = { 30, 10, 20, 5, 40 };
    size_t done = 9;
    fake_begin(&b, &c, INDEX_U8, INDEX_L2SQ, 8);
    const struct vectors v = { rows, 5, 8, INDEX_U8 };
    fake.take = 3;
    assert_code(index_insert(&c, v, ids, &done), ERR_IO, &b.error);
    assert_int_equal(done, 3);
    assert_int_equal(c.live.n, 3);
    assert_true(idmap_get(&c.live, 20, NULL) && !idmap_get(&c.live, 5, NULL));
    /* The rows that failed may be inserted again; the whole batch may not. */
    fake.take = SIZE_MAX;
    assert_code(index_insert(&c, v, ids, NULL), ERR_DUPLICATE_ID, &b.error);
    assert_ok(index_insert(&c, (struct vectors){ rows, 2, 8, INDEX_U8 }, ids + 3, NULL), &b.error);
    assert_int_equal(c.live.n, 5);
    fake.take = 1;
    assert_code(index_remove(&c, ids, 5, &done), ERR_IO, &b.error);
    assert_int_equal(done, 1);
    assert_int_equal(c.live.n, 4);
    fake.take = SIZE_MAX;
    assert_code(index_remove(&c, ids, 5, &done), ERR_UNKNOWN_ID, &b.error);
    assert_ok(index_remove(&c, ids + 1, 4, &done), &b.error);
    assert_int_equal(c.live.n, 0);
    /* A method that returns OK but changed fewer rows is detected. */
    fake.take = 2;
    fake.lie = true;
    assert_code(index_insert(&c, v, ids, &done), ERR_INVARIANT, &b.error);
    assert_int_equal(c.live.n, 2);
    fake.take = SIZE_MAX - 1;
    const uint64_t more[] = { 70, 71, 72 };
    assert_code(index_insert(&c, (struct vectors){ rows, 2, 8, INDEX_U8 }, more, &done),
                ERR_INVARIANT, &b.error);
    assert_int_equal(c.live.n, 2);
    /* A refused call does not reach the method, nor does an empty one. */
    const size_t calls = fake.calls;
    assert_code(index_insert(&c, v, ids, &done), ERR_DUPLICATE_ID, &b.error);
    assert_ok(index_insert(&c, (struct vectors){ NULL, 0, 8, INDEX_U8 }, NULL, &done), &b.error);
    assert_int_equal(fake.calls, calls);
    fake_end(&b, &c);
}

/* Each missing capability is reported with the same code. */
static void test_missing_capabilities(void **state)
{
    struct test_bench b;
    struct checked c, loaded;
    fake_begin(&b, &c, INDEX_U8, INDEX_L2SQ, 8);
    struct index_ops bare = fake_ops;
    bare.remove = NULL;
    c.ops = &bare;
    const uint64_t id = 1;
    struct range_result found = { .found = NULL };
    const struct range_request request = { .radius = 1 };
    assert_code(index_remove(&c, &id, 1, NULL), ERR_UNSUPPORTED, &b.error);
    assert_code(index_train(&c, (struct vectors){ NULL, 0, 8, INDEX_U8 }), ERR_UNSUPPORTED,
                &b.error);
    assert_code(index_range(&c, &request, &found), ERR_UNSUPPORTED, &b.error);
    assert_code(index_maintain(&c, 0, NULL), ERR_UNSUPPORTED, &b.error);
    assert_code(index_save(&c, "."), ERR_UNSUPPORTED, &b.error);
    assert_code(index_open_saved(&loaded, &bare, &b.env, ".", &c), ERR_UNSUPPORTED, &b.error);
    assert_ok(index_check(&c, NULL), &b.error);
    fake_end(&b, &c);
}

/* A radius for which the metric has no distance. */
static void test_radius(void **state)
{
    static const struct {
        enum metric metric;
        double radius;
        bool fine;
    } cases[] = {
        { INDEX_HAMMING, 0, true },         { INDEX_HAMMING, 64, true },
        { INDEX_HAMMING, -1, false },       { INDEX_HAMMING, 65, false },
        { INDEX_HAMMING, 1.5, false },      { INDEX_HAMMING, NAN, false },
        { INDEX_HAMMING, HUGE_VAL, false }, { INDEX_L2SQ, 0, true },
        { INDEX_L2SQ, 2.5, true },          { INDEX_L2SQ, HUGE_VAL, true },
        { INDEX_L2SQ, -0.5, false },        { INDEX_L2SQ, NAN, false },
        { INDEX_COS, -1, false },           { INDEX_IP, -1, true },
        { INDEX_IP, NAN, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *fault = index_radius_fault(
            cases[i].metric, cases[i].metric == INDEX_HAMMING ? 64 : 8, cases[i].radius);
        if (!fault != cases[i].fine)
            fail_msg("case %zu: %s", i, fault ? fault : "no fault");
    }
}

int main(void)
{
    return test_run_all("core_checked", test_finite, test_lengths, test_refused_spaces,
                        test_wide_codes, test_live_set, test_missing_capabilities, test_radius);
}
