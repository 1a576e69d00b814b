/* test_cell.c - cells that end well, crash, hang, leak or are interrupted: each has a
   status with its cause. */
#include <cblas.h>
#include <signal.h>

#include "tests/unit/run/cell.h"

static void test_a_cell_that_ends_well(void **state)
{
    struct stage s;
    json_t *cells = NULL;

    cell_begin(&s);
    assert_ok(cell_play(&s, &cells), &s.err);
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
    cell_end(&s);
}

static int crash_search(struct index *index, const struct search_request *q,
                        struct search_result *out)
{
    volatile int *nowhere = (volatile int *)(uintptr_t)(q->k - 2); /* k = 10: address 8 */

    fprintf(stderr, "about to crash\n");
    return *nowhere;
}

static int abort_search(struct index *index, const struct search_request *q,
                        struct search_result *out)
{
    _exit(7);
}

static int hang_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    while (clock_ns() > 0)
        pause();
    return OK;
}

static int leak_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    for (uint32_t i = 1; i; i++) {
        char *volatile leak = malloc(1 << 20); /* volatile: the compiler must not remove it */

        if (leak)
            memset(leak, (int)(i & 127) | 1, 1 << 20);
        clock_wait_until(clock_ns() + 500000);
    }
    return OK;
}

static int greedy_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    *done = 0;
    return mem_alloc(index->env.mem, (size_t)1 << 30)
               ? OK
               : fail(index->env.error, ERR_NO_MEMORY, "plain: out of memory for a gigabyte");
}

static int exit_in_stats(const struct index *index, struct stat_sink *sink)
{
    _exit(7);
}

static int failing_check(const struct index *index, struct stat_sink *sink)
{
    return fail(index->env.error, ERR_INVARIANT, "plain: a list is astray");
}

static int exit_in_create(struct index **index, const struct index_env *env, const void *params)
{
    _exit(7);
}

static void exit_in_destroy(struct index *index)
{
    _exit(7);
}

static int unexplained_insert(struct index *index, struct vectors v, const uint64_t *ids,
                              size_t *done)
{
    *done = 0;
    return 999;
}

/* The steps before the one that fails are kept. */
static void test_cells_that_fail(void **state)
{
    static const struct {
        const char *name;
        int (*search)(struct index *, const struct search_request *, struct search_result *);
        int (*insert)(struct index *, struct vectors, const uint64_t *, size_t *);
        double timeout_s;
        uint64_t memory_limit;
        const char *status, *words;
    } cases[] = {
        { "a crash", crash_search, NULL, 0, 0, "failed",
          TEST_IS_SANITIZED ? "operation 3 (search q"
                            : "operation 3 (search q|part=1|SIGSEGV|about to crash|crashed:" },
        { "a silent exit", abort_search, NULL, 0, 0, "failed", "status 7" },
        /* 2 s: enough to begin the search on a busy machine */
        { "a hang", hang_search, NULL, 2, 0, "timeout", "search q|2 s" },
        { "a leak", leak_search, NULL, 0, 48 << 20, "out-of-memory", "48 MiB" },
        { "a full account", NULL, greedy_insert, 0, 48 << 20, "out-of-memory",
          "insert load|a gigabyte" },
        { "a code without a reason", NULL, unexplained_insert, 0, 0, "failed",
          "insert load|999|fail(env->error" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stage s;

        print_message("           %s\n", cases[i].name);
        cell_begin(&s);
        s.ops.search = cases[i].search ? cases[i].search : s.ops.search;
        s.ops.insert = cases[i].insert ? cases[i].insert : s.ops.insert;
        s.options.timeout_s = cases[i].timeout_s;
        s.options.memory_limit = cases[i].memory_limit;
        expect(&s, cases[i].status, cases[i].words, 2);
    }
}

static pid_t harness;

static int suspending_train(struct index *index, struct vectors v)
{
    (void)kill(harness, SIGSTOP);
    (void)usleep(2500000);
    (void)kill(harness, SIGCONT);
    return OK;
}

/* The time of its suspension is not the cell's. */
static void test_a_suspended_harness(void **state)
{
    struct stage s;

    cell_begin(&s);
    harness = getpid();
    s.ops.train = suspending_train;
    s.options.timeout_s = 2;
    expect(&s, "ok", "", 4);
}

static void test_a_method_that_cannot_run(void **state)
{
    struct stage s;

    cell_begin(&s);
    s.cell.unsupported = "plain takes no codes";
    expect(&s, "unsupported", "takes no codes", 0);
}

static void test_an_interruption(void **state)
{
    struct stage s;
    json_t *cells = NULL;

    cell_begin(&s);
    s.ops.search = hang_search;
    s.interrupted = 1;
    assert_code(cell_play(&s, &cells), ERR_INTERRUPTED, &s.err);
    assert_null(cells);
    cell_end(&s);
}

/* A child must be able to use OpenBLAS after its parent computed ground truth with its threads. */
static int blas_train(struct index *index, struct vectors v)
{
    enum { N = 512 };
    float *a = calloc(N * N, sizeof *a), *b = calloc(N * N, sizeof *b);

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

#ifdef __SANITIZE_THREAD__
    print_message("the thread sanitizer allows no thread after a fork of several: skipped\n");
    skip();
#endif
    openblas_set_num_threads(2);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 64, 64, 64, 1, a, 64, a, 64, 0, b, 64);
    cell_begin(&s);
    s.experiment.threads = 2;
    s.ops.train = blas_train;
    s.options.timeout_s = 300;
    expect(&s, "ok", "", 4);
}

/* Where a cell ends in a call outside an operation, its error names the call, not the operation before it. */
static void test_calls_that_are_no_operation(void **state)
{
    static const struct {
        int (*create)(struct index **, const struct index_env *, const void *);
        int (*stats)(const struct index *, struct stat_sink *);
        int (*check)(const struct index *, struct stat_sink *);
        void (*destroy)(struct index *);
        const char *words;
        size_t steps;
    } cases[] = {
        { exit_in_create, NULL, NULL, NULL, "create(): the process ended", 0 },
        { NULL, exit_in_stats, NULL, NULL, "stats() after operation 1 (", 0 },
        { NULL, NULL, failing_check, NULL, "check() after operation 1 (|a list is astray", 1 },
        { NULL, NULL, NULL, exit_in_destroy, "destroy() at the end: the process ended", 4 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stage s;

        cell_begin(&s);
        s.ops.create = cases[i].create ? cases[i].create : s.ops.create;
        s.ops.stats = cases[i].stats ? cases[i].stats : s.ops.stats;
        s.ops.check = cases[i].check ? cases[i].check : s.ops.check;
        s.ops.destroy = cases[i].destroy ? cases[i].destroy : s.ops.destroy;
        expect(&s, "failed", cases[i].words, cases[i].steps);
    }
}

/* With a single query nothing is left to calibrate on. The search still has one step, and the cell
   is not taken for a forged one. */
static void test_calibrated_by_one_query(void **state)
{
    struct workload w = stage_workload(8, 300, 1, 12, 0);
    struct stage s;
    json_t *cells = NULL;

    workload_insert(&w, 0, 300, 0, 0, "load");
    workload_search(&w, 10, 1, "one");
    workload_search(&w, 10, 1, "again");
    cell_begin_with(&s, workload_finish(&w));
    s.method.calibrate_recall = .9;
    assert_ok(cell_play(&s, &cells), &s.err);
    const json_t *cell = json_array_get(cells, 0);
    assert_int_equal(json_array_size(cells), 1);
    assert_string_equal(text_at(cell, "error"), "");
    assert_string_equal(text_at(cell, "status"), "ok");
    assert_int_equal(json_array_size(json_object_get(cell, "steps")), 4);
    json_decref(cells);
    cell_end(&s);
}

static void forgetful_destroy(struct index *index)
{
    struct mem *mem = index->env.mem;

    (void)mem_alloc(mem, 1000);
    reference_destroy(index);
}

static int rooted_search(struct index *index, const struct search_request *q,
                         struct search_result *out)
{
    const int rc = reference_search(index, q, out);

    for (size_t i = 0; i < q->queries.n * q->k; i++)
        out->distances[i] = sqrtf(out->distances[i]);
    return rc;
}

/* Plays the stage's cells and ends it; the first has this warning alone. */
static void expect_warning(struct stage *s, const char *words)
{
    json_t *cells = NULL;

    assert_ok(cell_play(s, &cells), &s->err);
    const json_t *warnings = json_object_get(json_array_get(cells, 0), "warnings");
    assert_int_equal(json_array_size(warnings), 1);
    assert_non_null(strstr(json_string_value(json_array_get(warnings, 0)), words));
    json_decref(cells);
    cell_end(s);
}

/* Two points have the same fault. */
static void test_a_fault_of_answers_is_named_once(void **state)
{
    struct stage s;

    cell_begin(&s);
    s.ops.search = rooted_search;
    expect_warning(&s, "search q: distances");
}

static void test_what_destroy_leaves(void **state)
{
    struct stage s;

    cell_begin(&s);
    s.ops.destroy = forgetful_destroy;
    expect_warning(&s, "after destroy()");
}

/* The harness reads the state of processes and files between operations. That time
   must not be charged to the method: a method that does almost nothing gets no
   warning after many operations. */
static void test_many_operations(void **state)
{
    enum { OPERATIONS = 400 };
    struct workload w = stage_workload(9, OPERATIONS, 20, 12, 0);
    struct stage s;
    json_t *cells = NULL;

    for (size_t i = 0; i < OPERATIONS; i++)
        workload_insert(&w, i, 1, 0, 0, "load");
    workload_search(&w, 10, 1, "q");
    cell_begin_with(&s, workload_finish(&w));
    assert_ok(cell_play(&s, &cells), &s.err);
    const json_t *warnings = json_object_get(json_array_get(cells, 0), "warnings");
    if (json_array_size(warnings) > 0)
        fail_msg("%s", json_string_value(json_array_get(warnings, 0)));
    json_decref(cells);
    cell_end(&s);
}

int main(void)
{
    return test_run_all(
        "cell", test_a_cell_that_ends_well, test_cells_that_fail, test_a_suspended_harness,
        test_a_method_that_cannot_run, test_an_interruption, test_openblas_after_a_fork,
        test_calls_that_are_no_operation, test_a_fault_of_answers_is_named_once,
        test_what_destroy_leaves, test_calibrated_by_one_query, test_many_operations);
}
