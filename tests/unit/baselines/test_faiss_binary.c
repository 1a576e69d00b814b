/* test_faiss_binary.c - faiss-factory over 64-bit codes: each index against a plain array at every
 * radius; the bugs of the hash indexes of FAISS 1.7.3 are avoided. */
#define _GNU_SOURCE /* mallinfo2 */
#include "tests/support/testing.h"

#ifndef HAVE_FAISS
int main(void)
{
    puts("skipped: built without FAISS");
    return 0;
}
#else

#include <malloc.h>
#include <sys/mman.h>

#include "tests/support/baseline_checks.h"

extern const struct index_ops faiss_factory_ops;

static void begin(struct baseline_test *t, const char *factory, size_t n)
{
    char params[64];
    (void)snprintf(params, sizeof params, "factory=%s", factory);
    baseline_begin(t, &faiss_factory_ops, params, INDEX_B64, INDEX_HAMMING, 64, n);
}

static void begin_filled(struct baseline_test *t, const char *factory, size_t n)
{
    begin(t, factory, n);
    baseline_spread_ids(t);
    if (strstr(factory, "IVF"))
        assert_ok(faiss_factory_ops.train(t->index, baseline_rows(t, 0, n)), &t->bench.error);
    baseline_insert(t, 0, n / 3);
    baseline_insert(t, n / 3, n);
}

/* ------------------------------------------------------------------------ range */

struct found {
    const struct baseline_test *t;
    uint64_t query;
    unsigned radius;
    bool *seen;
    size_t n;
};

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    const size_t row = baseline_row_of(f->t, id);
    assert_true(query == 0 && row < f->t->n && f->t->live[row] && !f->seen[row]);
    assert_int_equal(distance, __builtin_popcountll(f->t->b64[row] ^ f->query));
    assert_true(distance <= (float)f->radius);
    f->seen[row] = true;
    f->n++;
    return OK;
}

struct counts {
    size_t found, expected;
};

/* Counts the answers, each checked to be correct and unique, and the expected answers. */
static struct counts range(struct baseline_test *t, uint64_t query, unsigned radius,
                           const char *knobs)
{
    _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
    struct found f = { t, query, radius, calloc(t->n, sizeof *f.seen), 0 };
    assert_non_null(f.seen);
    baseline_options(faiss_factory_ops.knobs, knobs, options);
    const struct range_request request = { { &query, 1, 64, INDEX_B64 }, radius, options, NULL, 1 };
    struct range_result result = { .found = take, .to = &f };
    assert_ok(faiss_factory_ops.range(t->index, &request, &result), &t->bench.error);
    size_t expected = 0;
    for (size_t i = 0; i < t->n; i++)
        expected += t->live[i] && (unsigned)__builtin_popcountll(t->b64[i] ^ query) <= radius;
    /* NAN where the coarse quantizer does not count */
    assert_true(f.n <= expected && !(result.work.distances < (double)f.n));
    free(f.seen);
    return (struct counts){ f.n, expected };
}

/* Returns the number of expected answers. */
static size_t expect_range(struct baseline_test *t, uint64_t query, unsigned radius,
                           const char *knobs)
{
    const struct counts c = range(t, query, radius, knobs);
    assert_int_equal(c.found, c.expected);
    return c.found;
}

static void expect_every_radius(struct baseline_test *t, const char *knobs)
{
    for (unsigned radius = 0; radius <= 64; radius++) {
        const uint64_t query = radius % 3 ? t->b64[rng_below(&t->rng, t->n)] : rng_u64(&t->rng);
        (void)expect_range(t, query, radius, knobs);
    }
}

static void test_exact_at_every_radius(void **state)
{
    const struct {
        const char *factory, *knobs;
        bool remove;
    } rows[] = {
        { "BFlat", "", true },           { "BIVF9", "nprobe=9", true },
        { "BIVF9", "nprobe=50", true },  { "BIVF7_HNSW4", "nprobe=7", true },
        { "BHash9", "nflip=9", false },  { "BHash8x8", "nflip=8", false },
        { "BHash1", "nflip=1", false },  { "BHash5x9", "nflip=9", false },
        { "BHash7", "nflip=64", false }, /* as many as it has bits */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct baseline_test t;
        begin_filled(&t, rows[i].factory, 900);
        expect_every_radius(&t, rows[i].knobs);
        baseline_expect_exact(&t, rows[i].knobs, NULL);
        if (rows[i].remove) {
            baseline_remove(&t, 100, 500);
            expect_every_radius(&t, rows[i].knobs);
            baseline_insert(&t, 200, 300);
            expect_every_radius(&t, rows[i].knobs);
        }
        baseline_expect_same_after_reload(&t, rows[i].knobs);
        expect_every_radius(&t, rows[i].knobs);
        baseline_end(&t);
    }
}

/* r flipped bits in m blocks: one block has at most r / m of them. Codes are chosen such that one
   flip less misses some. */
static void test_flips_that_make_it_exact(void **state)
{
    const struct {
        const char *factory;
        unsigned hashes, bits;
    } rows[] = {
        { "BHash4x16", 4, 16 }, { "BHash3x20", 3, 20 }, { "BHash8x8", 8, 8 }, { "BHash16x4", 16, 4 }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const unsigned m = rows[i].hashes;
        for (unsigned radius = 0; radius / m <= 2; radius++) {
            enum { N = 300 };
            struct baseline_test t;
            char knobs[32];
            begin(&t, rows[i].factory, N);
            const uint64_t query = rng_u64(&t.rng);
            for (size_t row = 0; row < N; row++) {
                t.b64[row] = query;
                /* spreads the flips evenly over the blocks */
                for (unsigned flip = 0; flip < radius + (row % 3 == 2); flip++)
                    t.b64[row] ^= UINT64_C(1)
                                  << (flip % m * rows[i].bits + (flip / m + row) % rows[i].bits);
            }
            baseline_insert(&t, 0, N);
            (void)snprintf(knobs, sizeof knobs, "nflip=%u", radius / m);
            assert_true(expect_range(&t, query, radius, knobs) >= N / 2);
            if (radius / m > 0) {
                (void)snprintf(knobs, sizeof knobs, "nflip=%u", radius / m - 1);
                const struct counts c = range(&t, query, radius, knobs);
                assert_true(c.found < c.expected);
            }
            baseline_end(&t);
        }
    }
}

/* ------------------------------------------------------------------ inputs that FAISS refuses */

static void test_refusals(void **state)
{
    static const char *const none[] = { "BHash0",    "BHash-3",   "BHash64", "BHash4x0", "BHash0x4",
                                        "BHash5x16", "BHash1x64", "BIVF0",   "BIVF-1",   "Flat" };
    struct baseline_test t;
    begin(&t, "BFlat", 10);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
        char params[64];
        struct index *made = NULL;
        (void)snprintf(params, sizeof params, "factory=%s", none[i]);
        baseline_options(faiss_factory_ops.params, params, options);
        assert_code(faiss_factory_ops.create(&made, &t.bench.env, options), ERR_CONFIG,
                    &t.bench.error);
        assert_null(made);
    }
    baseline_end(&t);

    static const char *const cannot[] = { "BHash8", "BHash4x8", "BHNSW8" };
    for (size_t i = 0; i < sizeof cannot / sizeof *cannot; i++) {
        size_t done = 1;
        uint64_t ids[10];
        float distances[10];
        begin_filled(&t, cannot[i], 100);
        assert_code(faiss_factory_ops.remove(t.index, t.ids, 5, &done), ERR_UNSUPPORTED,
                    &t.bench.error);
        assert_int_equal(done, 0);
        const struct id_filter filter = baseline_filter(&t, 2);
        assert_code(baseline_try_search(&t, t.b64, 1, 10, "", &filter, ids, distances, NULL),
                    ERR_UNSUPPORTED, &t.bench.error);
        assert_code(baseline_try_search(&t, t.b64, 1, 10, "nprobe=3", NULL, ids, distances, NULL),
                    ERR_ARGUMENT, &t.bench.error);
        baseline_end(&t);
    }
}

/* ------------------------------------------------------------------------ files */

/* All rows in one bucket, with a number of rows that is a power of two. */
static void test_equal_codes_are_saved(void **state)
{
    static const char *const factories[] = { "BHash8", "BHash4x8", "BHash1x3" };
    for (size_t i = 0; i < sizeof factories / sizeof *factories; i++) {
        static const size_t sizes[] = { 1, 2, 3, 4, 7, 8, 16, 32 };
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const size_t n = sizes[s];
            struct baseline_test t;
            char dir[PATH_MAX];
            test_dir_make(dir);
            begin(&t, factories[i], n + 3);
            for (size_t row = 1; row < n; row++)
                t.b64[row] = t.b64[0];
            baseline_insert(&t, 0, n);
            for (int again = 0; again < 2; again++) {
                assert_ok(faiss_factory_ops.save(t.index, dir), &t.bench.error);
                assert_ok(faiss_factory_ops.check(t.index, NULL), &t.bench.error);
                assert_int_equal(expect_range(&t, t.b64[0], 0, ""), n);
                faiss_factory_ops.destroy(t.index);
                assert_ok(faiss_factory_ops.load(&t.index, &t.bench.env, dir), &t.bench.error);
                assert_ok(faiss_factory_ops.check(t.index, NULL), &t.bench.error);
                assert_int_equal(expect_range(&t, t.b64[0], 0, ""), n);
            }
            baseline_insert(&t, n, n + 3);
            for (size_t row = 0; row < n + 3; row++)
                assert_true(expect_range(&t, t.b64[row], 0, "") >= 1);
            baseline_end(&t);
            test_dir_remove(dir);
        }
    }
}

/* Codes and queries that end at an unreadable page. */
static void test_codes_at_the_end_of_a_page(void **state)
{
    static const char *const factories[] = { "BHash12", "BHash4x16", "BHash8x8", "BHash3x21",
                                             "BFlat",   "BIVF2",     "BHNSW8" };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    uint64_t *codes = (uint64_t *)(void *)(pages + page) - 40;
    for (size_t i = 0; i < sizeof factories / sizeof *factories; i++) {
        struct baseline_test t;
        size_t done;
        begin(&t, factories[i], 40);
        memcpy(codes, t.b64, 40 * sizeof *codes);
        const struct vectors rows = { codes, 40, 64, INDEX_B64 };
        if (strstr(factories[i], "IVF"))
            assert_ok(faiss_factory_ops.train(t.index, rows), &t.bench.error);
        assert_ok(faiss_factory_ops.insert(t.index, rows, t.ids, &done), &t.bench.error);
        memset(t.live, true, 40);
        uint64_t ids[40];
        float distances[40];
        baseline_search(&t, codes, 40, 1, "", NULL, ids, distances);
        for (size_t q = 0; q < 40; q++)
            assert_float_equal(distances[q], 0, 0);
        if (!strstr(factories[i], "HNSW"))
            assert_ok(baseline_try_range(&t, codes + 39, 0, ""), &t.bench.error);
        baseline_end(&t);
    }
    (void)munmap(pages, 2 * page);
}

/* ------------------------------------------------------------------------ reports */

static size_t heap_bytes(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_memory_is_what_malloc_gave(void **state)
{
    enum { N = 24000, BATCH = 3000 };
    static const char *const factories[] = { "BFlat",     "BHash16", "BHash4x16",
                                             "BHash2x30", "BIVF64",  "BHNSW8" };
    for (size_t i = 0; i < sizeof factories / sizeof *factories; i++) {
        struct baseline_test t;
        struct memory_use use;
        begin(&t, factories[i], N);
        test_fill_b64(&t.rng, t.b64, N, 0);
        if (strstr(factories[i], "IVF"))
            assert_ok(faiss_factory_ops.train(t.index, baseline_rows(&t, 0, 4000)), &t.bench.error);
        const size_t before = heap_bytes();
        size_t done;
        for (size_t first = 0; first < N; first += BATCH)
            assert_ok(faiss_factory_ops.insert(t.index, baseline_rows(&t, first, first + BATCH),
                                               t.ids + first, &done),
                      &t.bench.error);
        const size_t taken = heap_bytes() - before;
        assert_ok(faiss_factory_ops.memory(t.index, &use), &t.bench.error);
        const double told = (double)(use.vectors + use.ids + use.graph + use.other);
        if (taken > 0 && fabs(told - (double)taken) > .05 * (double)taken)
            fail_msg("%s: told %.0f bytes, malloc gave %zu", factories[i], told, taken);
        baseline_end(&t);
    }
}

static void test_stats_of_hashes(void **state)
{
    struct baseline_test t;
    begin(&t, "BHash4x16", 200);
    for (size_t i = 0; i < 200; i++)
        t.b64[i] = i % 4 | (i % 2) << 16;
    baseline_insert(&t, 0, 200);
    assert_float_equal(baseline_stat(&t, "n_vectors"), 200, 0);
    assert_float_equal(baseline_stat(&t, "tables"), 4, 0);
    assert_float_equal(baseline_stat(&t, "buckets"), 4 + 2 + 1 + 1, 0);
    assert_float_equal(baseline_stat(&t, "largest_bucket"), 200, 0);
    /* Each row is returned once, however many tables contain it. */
    uint64_t ids[3];
    float distances[3];
    const struct work w = baseline_search(&t, t.b64, 1, 3, "", NULL, ids, distances);
    assert_float_equal(w.distances, 200, 0);
    baseline_end(&t);
}

int main(void)
{
    return test_run_all("faiss binary", test_exact_at_every_radius, test_flips_that_make_it_exact,
                        test_refusals, test_equal_codes_are_saved, test_codes_at_the_end_of_a_page,
                        test_memory_is_what_malloc_gave, test_stats_of_hashes);
}
#endif
