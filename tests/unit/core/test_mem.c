/* test_mem.c - alignment, accounting, limits, injected failures, blocks that grow. */
#include "tests/support/testing.h"

#define BIG ((size_t)9 << 20) /* large enough for a mapping of its own */

static void test_alignment_and_account(void **state)
{
    struct mem mem = { 0 };
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 100000, BIG - 1, BIG, BIG + 1 };
    size_t before = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = mem_zalloc(&mem, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < sizes[i]; j += 1000)
            assert_int_equal(p[j], 0);
        memset(p, 0xab, sizes[i]);
        assert_true(mem_live(&mem) >= sizes[i] && mem_live(&mem) <= sizes[i] + 64 + 4096);
        assert_true(mem_peak(&mem) >= mem_live(&mem) && mem_peak(&mem) >= before);
        before = mem_peak(&mem);
        mem_free(&mem, p);
        assert_int_equal(mem_live(&mem), 0);
    }
    assert_int_equal(atomic_load(&mem.calls), sizeof sizes / sizeof *sizes);
    mem_free(&mem, NULL);
    void *uncounted = mem_alloc(NULL, 100);
    assert_non_null(uncounted);
    mem_free(NULL, uncounted);
    assert_int_equal(mem_live(NULL), 0);
}

static void test_overflow(void **state)
{
    struct mem mem = { 0 };
    assert_null(mem_alloc(&mem, SIZE_MAX));
    assert_null(mem_alloc(&mem, SIZE_MAX - 63));
    assert_null(mem_array(&mem, SIZE_MAX / 2, 3));
    assert_null(mem_array(&mem, (size_t)1 << 32, (size_t)1 << 32));
    int *array = NULL;
    size_t capacity = 0;
    assert_false(mem_grow(&mem, &array, &capacity, SIZE_MAX / 2, sizeof *array));
    assert_null(array);
    assert_int_equal(capacity, 0);
    assert_int_equal(mem_live(&mem), 0);
}

/* Resizes across the border between heap blocks and mapped blocks; the contents stay. */
static void test_resize(void **state)
{
    struct mem mem = { 0 };
    struct rng r = rng_at(test_seed(), 1);
    unsigned char *p = NULL;
    size_t have = 0;
    for (size_t i = 0; i < 60; i++) {
        const size_t want =
            rng_below(&r, 2) ? (size_t)rng_below(&r, 3 * BIG) : (size_t)rng_below(&r, 5000);
        p = mem_resize(&mem, p, want);
        assert_non_null(p);
        const size_t kept = have < want ? have : want;
        for (size_t j = 0; j < kept; j += 1 + kept / 97)
            assert_int_equal(p[j], (unsigned char)(j * 31));
        for (size_t j = 0; j < want; j++)
            p[j] = (unsigned char)(j * 31);
        have = want;
        assert_true(mem_live(&mem) >= have && mem_live(&mem) < have + 64 + 4096);
    }
    mem_free(&mem, p);
    assert_int_equal(mem_live(&mem), 0);
}

/* A mapping that grows a little at a time, and has to move, begins at a huge page all the time, so
   that all of it can be in huge pages. */
static void test_huge_pages(void **state)
{
    enum { HUGE = 2 << 20, STEPS = 40 };
    struct mem mem = { 0 };
    unsigned char *p = mem_alloc(&mem, BIG), *between[STEPS];
    const bool is_mapped = p && (uintptr_t)p % HUGE == 64; /* not under a sanitizer */

    assert_non_null(p);
    p[0] = 1;
    for (size_t i = 0, bytes = BIG; i < STEPS; i++, bytes += BIG / 8) {
        p = mem_resize(&mem, p, bytes);
        between[i] = mem_alloc(&mem, BIG);
        assert_true(p && between[i]);
        assert_true(!is_mapped || (uintptr_t)p % HUGE == 64);
        assert_int_equal(p[0], 1);
        p[bytes - 1] = 2;
    }
    for (size_t i = 0; i < STEPS; i++)
        mem_free(&mem, between[i]);
    mem_free(&mem, p);
    assert_int_equal(mem_live(&mem), 0);
}

static void test_grow(void **state)
{
    struct mem mem = { 0 };
    uint32_t *array = NULL;
    size_t capacity = 0, growths = 0;
    for (size_t n = 1; n <= 100000; n++) {
        const size_t old = capacity;
        assert_true(mem_grow(&mem, &array, &capacity, n, sizeof *array));
        growths += capacity != old;
        array[n - 1] = (uint32_t)n;
    }
    assert_true(growths < 20);
    for (size_t n = 1; n <= 100000; n++)
        assert_int_equal(array[n - 1], n);
    const uint32_t *before = array;
    const size_t had = capacity;
    mem.fail_at = atomic_load(&mem.calls) + 1;
    assert_false(mem_grow(&mem, &array, &capacity, had + 1, sizeof *array));
    assert_ptr_equal(array, before);
    assert_int_equal(capacity, had);
    assert_int_equal(array[500], 501);
    mem_free(&mem, array);
    assert_int_equal(mem_live(&mem), 0);
}

static void test_injected(void **state)
{
    struct mem mem = { .fail_at = 3 };
    void *p[5];
    for (size_t i = 0; i < 5; i++)
        p[i] = mem_alloc(&mem, 10);
    assert_true(p[0] && p[1] && !p[2] && p[3] && p[4]);
    assert_true(atomic_load(&mem.failed));
    mem.fail_at = 7;
    mem.fail_after = true;
    atomic_store(&mem.failed, false);
    assert_non_null(p[2] = mem_alloc(&mem, 10));
    assert_false(atomic_load(&mem.failed));
    assert_null(mem_resize(&mem, p[2], 20));
    assert_null(mem_strdup(&mem, "x"));
    assert_null(mem_zalloc(&mem, 1));
    for (size_t i = 0; i < 5; i++)
        mem_free(&mem, p[i]);
    assert_int_equal(mem_live(&mem), 0);
}

/* After a failure a group gives nothing more; it frees what it gave, and can be used anew. */
static void test_group(void **state)
{
    struct mem mem = { .fail_at = 3 };
    struct mem_group g = { .mem = &mem };

    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < MEM_GROUP_MOST; i++) {
            void *array = mem_group_array(&g, i, 100);

            assert_true((array != NULL) == (again || i < 2));
            assert_true(g.failed == !array);
        }
        assert_int_equal(g.n, again ? MEM_GROUP_MOST : 2);
        assert_int_equal(atomic_load(&mem.calls), again ? 3 + MEM_GROUP_MOST : 3);
        mem_group_free(&g);
        assert_int_equal(mem_live(&mem), 0);
    }
    for (int again = 0; again < 2; again++) { /* the second has the first one's bytes */
        unsigned char *zeros = mem_group_zalloc(&g, 10, 20);

        assert_non_null(zeros);
        for (size_t i = 0; i < 200; i++)
            assert_int_equal(zeros[i], 0);
        memset(zeros, 7, 200);
        mem_group_free(&g);
    }
    mem.fail_at = atomic_load(&mem.calls) + 1;
    assert_null(mem_group_zalloc(&g, 10, 20));
    assert_true(g.failed);
}

static void test_limit(void **state)
{
    struct mem mem = { .limit_bytes = BIG + 10000 };
    void *p = mem_alloc(&mem, BIG);
    assert_non_null(p);
    assert_null(mem_alloc(&mem, 20000));
    assert_null(mem_resize(&mem, p, BIG + 20000));
    const size_t live = mem_live(&mem);
    void *q = mem_alloc(&mem, 1000);
    assert_non_null(q);
    mem_free(&mem, q);
    assert_int_equal(mem_live(&mem), live);
    assert_true(mem_peak(&mem) <= mem.limit_bytes);
    mem_free(&mem, p);
    char *text = mem_strdup(&mem, "hello");
    assert_string_equal(text, "hello");
    mem_free(&mem, text);
    assert_int_equal(mem_live(&mem), 0);
}

static int churn(void *arg, size_t first, size_t end, size_t worker)
{
    void *p = mem_alloc(arg, first % 777);
    void *q = p ? mem_resize(arg, p, first % 1555) : NULL;
    mem_free(arg, q);
    return q ? OK : ERR_NO_MEMORY;
}

static void test_threads(void **state)
{
    struct mem mem = { 0 };
    struct pool *pool = pool_create(4);
    assert_int_equal(parallel_for(pool, 4, 20000, 1, churn, &mem), OK);
    assert_int_equal(mem_live(&mem), 0);
    assert_int_equal(atomic_load(&mem.calls), 40000);
    pool_destroy(pool);
}

int main(void)
{
    return test_run_all("core_mem", test_alignment_and_account, test_overflow, test_resize,
                        test_huge_pages, test_grow, test_injected, test_group, test_limit,
                        test_threads);
}
