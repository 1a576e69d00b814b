/* test_cell.c - a cell ends well, crashes, hangs, leaks, is interrupted: each is a recorded
   status with its cause. */
#include <dirent.h>
#include <sys/types.h>

#include <cblas.h>

#include "harness/cell.h"
#include "harness/clock.h"
#include "harness/meter.h"
#include "plain.h"
#include "workload.h"

struct stage {
    struct index_ops ops;
    struct method_spec method;
    struct experiment experiment;
    struct run_options options;
    struct plain_knobs knobs[2];
    struct point points[2];
    struct cell cell;
    struct oracle oracle;
    struct pool *pool;
    char dir[PATH_MAX];
    volatile int interrupted;
    struct error err;
};

static struct op_list *small_list(void)
{
    struct rng r = rng_at(test_seed(), 7);
    struct workload w;

    workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 300, 20, 12);
    workload_train(&w, 0, 100);
    workload_insert(&w, 0, 300, 0, 20, "load");
    workload_search(&w, 10, 1, "q");
    return workload_finish(&w);
}

static void stage_begin(struct stage *s, size_t threads)
{
    memset(s, 0, sizeof *s);
    s->ops = plain_ops;
    s->method = (struct method_spec){ .name = (char *)(uintptr_t) "plain",
                                      .label = (char *)(uintptr_t) "plain",
                                      .ops = &s->ops };
    s->experiment = (struct experiment){
        .seed = 1, .threads = threads, .warmup = true, .ops = small_list(), .timeout_s = 60
    };
    for (int i = 0; i < 2; i++) {
        s->knobs[i].part = 1 + i;
        s->points[i] = (struct point){ (char *)(uintptr_t)(i ? "part=2" : "part=1"), &s->knobs[i],
                                       json_pack("{s:i}", "part", 1 + i) };
    }
    s->cell = (struct cell){ .method = &s->method,
                             .points = s->points,
                             .n_points = 2,
                             .element = ELEMENT_F32,
                             .repeat = 3,
                             .seed = 4 };
    s->pool = pool_create(2);
    test_dir_make(s->dir);
    assert_ok(oracle_make(&s->oracle, s->experiment.ops, kernels_select(ISA_AVX512), s->pool, NULL,
                          NULL, NULL, &s->err),
              &s->err);
}

static int stage_run(struct stage *s, json_t **cells)
{
    const struct cell_env env = { .experiment = &s->experiment,
                                  .options = &s->options,
                                  .oracle = &s->oracle,
                                  .kernels = kernels_select(ISA_AVX512),
                                  .scratch_dir = s->dir,
                                  .interrupted = &s->interrupted };
    return cell_run(&s->cell, &env, cells, &s->err);
}

static size_t entries(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void stage_end(struct stage *s)
{
    assert_int_equal(entries(s->dir), 0); /* the cell's own folder is gone, however it ended */
    for (int i = 0; i < 2; i++)
        json_decref(s->points[i].knobs_json);
    oracle_free(&s->oracle);
    pool_destroy(s->pool);
    op_list_free(s->experiment.ops);
    test_dir_remove(s->dir);
}

static const char *text_at(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? text : "";
}

/* Runs a stage that must end with this status and an error that holds each of the words. */
static void expect(struct stage *s, const char *status, const char *const *words, size_t steps)
{
    json_t *cells = NULL;

    assert_ok(stage_run(s, &cells), &s->err);
    const json_t *cell = json_array_get(cells, 0);
    if (strcmp(text_at(cell, "status"), status) != 0)
        print_error("error: %s\n", text_at(cell, "error"));
    assert_string_equal(text_at(cell, "status"), status);
    for (; *words; words++)
        if (!strstr(text_at(cell, "error"), *words)) {
            print_error("\"%s\" is not in: %s\n", *words, text_at(cell, "error"));
            _fail(__FILE__, __LINE__);
        }
    assert_int_equal(json_array_size(json_object_get(cell, "steps")), steps);
    json_decref(cells);
    stage_end(s);
}

static void test_a_cell_that_ends_well(void **state)
{
    struct stage s;
    json_t *cells = NULL;

    (void)state;
    stage_begin(&s, 1);
    assert_ok(stage_run(&s, &cells), &s.err);
    assert_int_equal(json_array_size(cells), 2);
    for (size_t p = 0; p < 2; p++) {
        const json_t *cell = json_array_get(cells, p), *steps = json_object_get(cell, "steps");

        assert_string_equal(text_at(cell, "status"), "ok");
        assert_string_equal(text_at(cell, "point"), p ? "part=2" : "part=1");
        assert_int_equal(json_integer_value(json_object_get(cell, "repeat")), 3);
        assert_true(json_is_null(json_object_get(cell, "error")));
        assert_int_equal(json_array_size(steps), 4);
        assert_int_equal(json_is_true(json_object_get(json_array_get(steps, 1), "shared")), p == 1);
        assert_false(json_is_true(json_object_get(json_array_get(steps, 2), "shared")));
    }
    json_decref(cells);
    stage_end(&s);
}

static int crash_search(struct index *index, const struct search_request *q,
                        struct search_result *out)
{
    volatile int *nowhere = (volatile int *)(uintptr_t)(q->k - 2); /* k = 10: address 8 */

    (void)index;
    (void)out;
    fprintf(stderr, "about to crash\n");
    return *nowhere;
}

static void test_a_crash(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, 1);
    s.ops.search = crash_search;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    expect(&s, "failed", (const char *const[]){ "operation 3 (search q", NULL }, 2);
#else
    expect(&s, "failed",
           (const char *const[]){ "operation 3 (search q", "SIGSEGV", "about to crash",
                                  "crashed:", NULL },
           2);
#endif
}

static int abort_search(struct index *index, const struct search_request *q,
                        struct search_result *out)
{
    (void)index;
    (void)q;
    (void)out;
    _exit(7);
}

static void test_a_silent_exit(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, 1);
    s.ops.search = abort_search;
    expect(&s, "failed", (const char *const[]){ "status 7", NULL }, 2);
}

static int hang_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    (void)index;
    (void)q;
    (void)out;
    while (clock_ns() > 0)
        pause();
    return OK;
}

static void test_a_hang(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, 1);
    s.ops.search = hang_search;
    s.options.timeout_s = .4;
    expect(&s, "timeout", (const char *const[]){ "search q", "0.4 s", NULL }, 2);
}

static int leak_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    (void)index;
    (void)q;
    (void)out;
    for (uint32_t i = 1; i; i++) {
        char *leak = malloc(1 << 20);

        if (leak)
            memset(leak, (int)(i & 127) | 1, 1 << 20);
        clock_wait_until(clock_ns() + 500000);
    }
    return OK;
}

static void test_a_leak(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, 1);
    s.ops.search = leak_search;
    s.options.memory_limit = 48 << 20;
    expect(&s, "out-of-memory", (const char *const[]){ "48 MiB", NULL }, 2);
}

static int greedy_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    (void)v;
    (void)ids;
    *done = 0;
    return mem_alloc(index->env.mem, (size_t)1 << 30)
               ? OK
               : fail(index->env.error, ERR_NO_MEMORY, "plain: no memory for a gigabyte");
}

static void test_an_account_that_is_full(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, 1);
    s.ops.insert = greedy_insert;
    s.options.memory_limit = 48 << 20;
    expect(&s, "out-of-memory", (const char *const[]){ "insert load", "a gigabyte", NULL }, 2);
}

static void test_an_interruption(void **state)
{
    struct stage s;
    json_t *cells = NULL;

    (void)state;
    stage_begin(&s, 1);
    s.ops.search = hang_search;
    s.interrupted = 1;
    assert_code(stage_run(&s, &cells), ERR_INTERRUPTED, &s.err);
    assert_null(cells);
    stage_end(&s);
}

static void test_a_method_that_cannot_run(void **state)
{
    struct stage s;

    (void)state;
    stage_begin(&s, 1);
    s.cell.unsupported = "plain takes no codes";
    expect(&s, "unsupported", (const char *const[]){ "takes no codes", NULL }, 0);
}

/* A child must be able to use OpenBLAS after the truth did, in the parent, with threads. */
static int blas_train(struct index *index, struct vectors v)
{
    enum { N = 512 };
    float *a = calloc(N * N, sizeof *a), *b = calloc(N * N, sizeof *b);

    (void)index;
    (void)v;
    a[0] = 3;
    for (int i = 0; i < 20; i++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, a, N, 0, b, N);
    const int rc = b[0] == 9 ? OK : fail(index->env.error, ERR_INVARIANT, "wrong product");
    free(a);
    free(b);
    return rc;
}

static void test_openblas_after_a_fork(void **state)
{
    struct stage s;
    float a[64 * 64] = { 0 }, b[64 * 64];

    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("the thread sanitizer allows no thread after a fork of several: skipped\n");
    skip();
#endif
    openblas_set_num_threads(2);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 64, 64, 64, 1, a, 64, a, 64, 0, b, 64);
    stage_begin(&s, 2);
    s.ops.train = blas_train;
    s.options.timeout_s = 20;
    expect(&s, "ok", (const char *const[]){ NULL }, 4);
}

/* What a method leaves running dies with the cell, and does not keep it waiting. */
static int forking_train(struct index *index, struct vectors v)
{
    FILE *note = fopen(getenv("TEST_CELL_NOTE"), "w");

    (void)index;
    (void)v;
    assert_non_null(note);
    const pid_t left = fork();
    if (left == 0) {
        sleep(30);
        _exit(0);
    }
    fprintf(note, "%ld", (long)left);
    fclose(note);
    return OK;
}

/* Gone, or a corpse that nobody has buried yet. */
static bool is_dead(long pid)
{
    char path[64], text[256] = "";

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return true;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return strstr(text, ") Z ") != NULL || strstr(text, ") X ") != NULL;
}

static void test_a_grandchild(void **state)
{
    struct stage s;
    const uint64_t start = clock_ns();

    (void)state;
    char dir[PATH_MAX], note[PATH_MAX + 8];
    long pid = 0;

    test_dir_make(dir);
    snprintf(note, sizeof note, "%s/note", dir);
    setenv("TEST_CELL_NOTE", note, 1);
    stage_begin(&s, 1);
    s.ops.train = forking_train;
    expect(&s, "ok", (const char *const[]){ NULL }, 4);
    assert_true(clock_seconds(clock_ns() - start) < 10);
    FILE *f = fopen(note, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pid), 1);
    fclose(f);
    for (int i = 0; i < 100 && !is_dead(pid); i++)
        clock_wait_until(clock_ns() + 10000000);
    assert_true(is_dead(pid));
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cell_that_ends_well),
        cmocka_unit_test(test_a_crash),
        cmocka_unit_test(test_a_silent_exit),
        cmocka_unit_test(test_a_hang),
        cmocka_unit_test(test_a_leak),
        cmocka_unit_test(test_an_account_that_is_full),
        cmocka_unit_test(test_an_interruption),
        cmocka_unit_test(test_a_method_that_cannot_run),
        cmocka_unit_test(test_openblas_after_a_fork),
        cmocka_unit_test(test_a_grandchild),
    };
    return test_run("cell", tests);
}
