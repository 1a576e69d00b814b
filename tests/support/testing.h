/* testing.h - what every test program includes: cmocka, a seed that can be replayed, small random
 * data, an env.
 *
 *     static void test_sums(void **state)
 *     {
 *         struct rng r = rng_at(test_seed(), 1);
 *         ...
 *     }
 *
 *     int main(void)
 *     {
 *         return test_run_all("sums", test_sums);
 *     }
 *
 * The program has many such files; run.c calls the main() of one.
 * A failing group ends with the line that runs it again with the same seed.
 */
#ifndef DRIFTLINE_TESTS_SUPPORT_TESTING_H
#define DRIFTLINE_TESTS_SUPPORT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* is ours, of error.h; cmocka's remains as fail_msg() */
#undef fail_msg
#define fail_msg(...)                                 \
    do {                                              \
        print_error("[  ERROR   ] --- " __VA_ARGS__); \
        print_error("\n");                            \
        _fail(__FILE__, __LINE__);                    \
    } while (0)

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "src/base/clock.h"
#include "src/core/error.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"
#include "tests/run/run.h"

/* Each test file defines it; the Makefile gives each another name. */
int main(void);

/* Whether what is sampled is to be run whole: `make nightly`. */
static inline bool test_is_long(void)
{
    const char *tier = getenv("DRIFTLINE_TEST_TIER");
    return tier && strcmp(tier, "long") == 0;
}

/* Whether a sanitizer makes the program many times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_IS_SANITIZED true
#else
#define TEST_IS_SANITIZED false
#endif
#ifdef __SANITIZE_THREAD__
#define TEST_IS_THREAD_SANITIZED true
#else
#define TEST_IS_THREAD_SANITIZED false
#endif

/* How much smaller or shorter than usual a slow test is in the short tier under a sanitizer, which
   costs ten times the time. */
static inline size_t test_scale(void)
{
    return !TEST_IS_SANITIZED || test_is_long() ? 1 : TEST_IS_THREAD_SANITIZED ? 8 : 4;
}

/* Of calls that fail one after another, the one after number `at`: the next, or as above
   ever fewer. */
static inline size_t test_next_fault(size_t at)
{
    return at + 1 + (test_scale() > 1 ? at / 4 : 0);
}

/* DRIFTLINE_SEED, or a fixed one: a test is to be random over the years, not over the day. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("DRIFTLINE_SEED");
    return given && *given ? strtoull(given, NULL, 0) : UINT64_C(20240229);
}

static inline int test_verdict(int failed)
{
    static const char *const chosen[] = { "DRIFTLINE_TEST_PLUGIN", "DRIFTLINE_TEST_SETTINGS",
                                          "DRIFTLINE_TEST_METHOD" };
    if (!failed)
        return 0;
    fprintf(stderr, "seed %" PRIu64 ": rerun with DRIFTLINE_SEED=%" PRIu64 " ", test_seed(),
            test_seed());
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        if (getenv(chosen[i]))
            fprintf(stderr, "%s='%s' ", chosen[i], getenv(chosen[i]));
    fprintf(stderr, "%s\n", test_command());
    return 1;
}

/* tests: an array of struct CMUnitTest. CMOCKA_TEST_FILTER picks some of them: "test_sums*". */
#define test_run(name, tests) \
    (test_filter(), test_verdict(cmocka_run_group_tests_name(name, tests, NULL, NULL)))

static inline void test_filter(void)
{
    const char *pattern = getenv("CMOCKA_TEST_FILTER");
    if (pattern && *pattern)
        cmocka_set_test_filter(pattern);
}

/* The same of functions, whose names the tests have. */
#define test_run_all(name, ...)                                                         \
    test_run_functions(name, #__VA_ARGS__, (const CMUnitTestFunction[]){ __VA_ARGS__ }, \
                       sizeof((CMUnitTestFunction[]){ __VA_ARGS__ }) / sizeof(CMUnitTestFunction))

/* names: of the n functions, with ", " between them. */
static inline int test_run_functions(const char *group, const char *names,
                                     const CMUnitTestFunction *functions, size_t n)
{
    char *list = strdup(names), *rest = NULL, *name = strtok_r(list, ", ", &rest);
    struct CMUnitTest *tests = calloc(n, sizeof *tests);
    for (size_t i = 0; i < n; i++, name = strtok_r(NULL, ", ", &rest))
        tests[i] = (struct CMUnitTest){ name, functions[i], NULL, NULL, NULL };
    test_filter();
    const int verdict = test_verdict(_cmocka_run_group_tests(group, tests, n, NULL, NULL));
    free(tests);
    free(list);
    return verdict;
}

/* Whether `name` is one of the names in `only`, which spaces separate; NULL or "": all are. */
static inline bool test_is_chosen(const char *only, const char *name)
{
    const size_t n = strlen(name);
    if (!only || !*only)
        return true;
    for (const char *at = strstr(only, name); at; at = strstr(at + 1, name))
        if ((at == only || at[-1] == ' ') && (!at[n] || at[n] == ' '))
            return true;
    return false;
}

/* rc is OK, or the test fails with the sentence. */
#define assert_ok(rc, err) test_assert_ok((rc), (err), #rc, __FILE__, __LINE__)
/* rc is the code, or the test fails naming both; then the error is cleared. */
#define assert_code(rc, code, err) test_assert_code((rc), (code), (err), #rc, __FILE__, __LINE__)

static inline void test_assert_ok(int rc, const struct error *err, const char *what,
                                  const char *file, int line)
{
    if (rc == OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, error_name(rc),
            err && err->code ? err->text : "no sentence");
    _fail(file, line);
}

static inline void test_assert_code(int rc, int code, struct error *err, const char *what,
                                    const char *file, int line)
{
    if (rc != code || (err && rc != OK && (err->code != code || !err->text[0]))) {
        fprintf(stderr, "%s: expected %s, got %s: %s\n", what, error_name(code), error_name(rc),
                err && err->code ? err->text : "no sentence");
        _fail(file, line);
    }
    error_clear(err);
}

/* n x dim around `clusters` centres (0: one at the origin), centres of deviation 1, points of
 * `spread` about them. */
static inline void test_fill_f32(struct rng *r, float *rows, size_t n, size_t dim, size_t clusters,
                                 double spread)
{
    float *centres = calloc((clusters ? clusters : 1) * dim, sizeof *centres);
    assert_non_null(centres);
    for (size_t i = 0; i < clusters * dim; i++)
        centres[i] = (float)rng_normal(r);
    for (size_t i = 0; i < n; i++) {
        const float *centre = centres + (clusters ? rng_below(r, clusters) : 0) * dim;
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] = centre[j] + (float)(spread * rng_normal(r));
    }
    free(centres);
}

static inline void test_normalise_f32(float *rows, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < dim; j++)
            sum += (double)rows[i * dim + j] * rows[i * dim + j];
        for (size_t j = 0; j < dim && sum > 0; j++)
            rows[i * dim + j] = (float)(rows[i * dim + j] / sqrt(sum));
    }
}

static inline void test_fill_u8(struct rng *r, uint8_t *rows, size_t n, size_t dim, size_t clusters,
                                double spread)
{
    float *f = malloc((n * dim + 1) * sizeof *f);
    assert_non_null(f);
    test_fill_f32(r, f, n, dim, clusters, spread);
    for (size_t i = 0; i < n * dim; i++) {
        const float x = 128 + 40 * f[i];
        rows[i] = (uint8_t)(x < 1 ? 1 : x > 255 ? 255 : x);
    }
    free(f);
}

/* Codes at a few bits' distance from `clusters` centres; 0: uniform. */
static inline void test_fill_b64(struct rng *r, uint64_t *codes, size_t n, size_t clusters)
{
    uint64_t centres[64];
    clusters = clusters > 64 ? 64 : clusters;
    for (size_t i = 0; i < clusters; i++)
        centres[i] = rng_u64(r);
    for (size_t i = 0; i < n; i++)
        codes[i] = clusters
                       ? centres[rng_below(r, clusters)] ^ (rng_u64(r) & rng_u64(r) & rng_u64(r))
                       : rng_u64(r);
}

/* A filter of attributes: field 0 is from low to high. It lives as long as the block. */
#define ONE_RANGE(low, high)                                                                     \
    ((struct attribute_filter){ &(struct attribute_condition){ 0, INDEX_ATTRIBUTE_RANGE, 0, 2 }, \
                                1, (const int64_t[]){ low, high } })

/* Changes the options in the text, such as "a=1,b=x", with that between them. */
static inline void test_change_options(const struct param *table, const char *text,
                                       const char *between, void *out)
{
    struct error err = { 0 };
    char copy[256], *rest = NULL;
    assert_true(snprintf(copy, sizeof copy, "%s", text) < (int)sizeof copy);
    for (char *pair = strtok_r(copy, between, &rest); pair; pair = strtok_r(NULL, between, &rest)) {
        char *value = strchr(pair, '=');
        assert_non_null(value);
        *value++ = '\0';
        const struct param_value given = { .kind = VALUE_TEXT, .text = value };
        assert_ok(param_set(table, out, pair, given, "the test", &err), &err);
    }
}

/* The same of options that have their defaults. */
static inline void test_set_options(const struct param *table, const char *text,
                                    const char *between, void *out)
{
    param_defaults(table, out);
    test_change_options(table, text, between, out);
}

/* An env with an account, a pool and an error of its own. */
struct test_bench {
    struct mem mem;
    struct error error;
    struct pool *pool;
    struct index_env env;
};

static inline void test_bench_begin(struct test_bench *b, enum element element, enum metric metric,
                                    size_t dim, size_t threads)
{
    memset(b, 0, sizeof *b);
    b->pool = pool_create(threads);
    assert_non_null(b->pool);
    b->env = (struct index_env){ .dim = dim,
                                 .element = element,
                                 .metric = metric,
                                 .seed = test_seed(),
                                 .k_hint = 10,
                                 .mem = &b->mem,
                                 .pool = b->pool,
                                 .kernels = kernels_select(ISA_AVX512),
                                 .error = &b->error,
                                 .device = "cpu",
                                 .clock_ns = clock_ns };
}

static inline void test_bench_end(struct test_bench *b)
{
    pool_destroy(b->pool);
    b->pool = NULL;
}

/* Of the allocations from now on the at-th fails (1: the next), with `on` every later one, too. */
static inline void test_fail_allocation(struct mem *mem, size_t at, bool on)
{
    atomic_store(&mem->failed, false);
    mem->fail_after = on;
    mem->fail_at = atomic_load(&mem->calls) + at;
}

/* No allocation fails any more. Returns whether one did. */
static inline bool test_allocations_succeed(struct mem *mem)
{
    mem->fail_at = 0;
    mem->fail_after = false;
    return atomic_load(&mem->failed);
}

/* A fresh folder under TMPDIR, which the runner removes; for running by hand
 * test_dir_remove() does. */
static inline void test_dir_make(char path[PATH_MAX])
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(path, PATH_MAX, "%s/driftline-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
}

/* The same in memory, where there is a file system for it: for many folders and many syncs. Under
 * DRIFTLINE_TEST_MEMORY, which the runner removes. */
static inline void test_dir_make_in_memory(char path[PATH_MAX])
{
    const char *memory = getenv("DRIFTLINE_TEST_MEMORY");
    (void)snprintf(path, PATH_MAX, "%s/driftline-test-XXXXXX",
                   memory && *memory ? memory : "/dev/shm");
    if (!mkdtemp(path))
        test_dir_make(path);
}

/* Removes what is in the folder. Not by a shell: some tests use a folder for each of hundreds
   of cases. */
static inline void test_dir_clear(const char *path)
{
    char inner[PATH_MAX];
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(dirfd(dir), e->d_name, 0) == 0)
            continue;
        const int n = snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        assert_true(n > 0 && (size_t)n < sizeof inner);
        test_dir_clear(inner);
        (void)rmdir(inner);
    }
    (void)closedir(dir);
}

static inline void test_dir_remove(const char *path)
{
    test_dir_clear(path);
    if (rmdir(path) != 0)
        fprintf(stderr, "could not remove %s\n", path);
}

struct test_stat_wanted {
    const char *name;
    double value;
};

static inline void test_stat_value(void *to, const char *name, double value)
{
    struct test_stat_wanted *wanted = to;
    if (strcmp(name, wanted->name) == 0)
        wanted->value = value;
}

static inline void test_stat_cell(void *to, const char *table, size_t row, const char *column,
                                  double value)
{
}

/* A value of stats(); NAN if there is none of that name. */
static inline double test_stat(const struct index *index, const char *name)
{
    struct test_stat_wanted wanted = { name, NAN };
    struct stat_sink sink = { test_stat_value, test_stat_cell, &wanted };
    assert_int_equal(index->ops->stats(index, &sink), OK);
    return wanted.value;
}

/* For qsort(): ascending. */
static inline int test_by_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline int test_by_float(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static inline int test_by_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* An answer as brute force gives it. */
struct test_truth {
    float distance;
    uint64_t id;
};

/* For qsort(): nearest first, the smaller id first among equals. */
static inline int test_truth_order(const void *a, const void *b)
{
    const struct test_truth *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

#endif
