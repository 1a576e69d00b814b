/* test_external.c - the method external with its reference client: allocation failures, many blocks
 * per call, statistics, the seals of the shared memory, and the table that starts no program. */
#define _GNU_SOURCE
#include "tests/support/testing.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "algorithms/external/external.h"

#define CLIENT "build/external-client"

static struct index *open_client(const struct test_bench *bench)
{
    struct external_params params = { .timeout_s = 60 };
    struct index *index = NULL;
    (void)snprintf(params.command, sizeof params.command, "%s", CLIENT);
    assert_ok(external_ops.create(&index, &bench->env, &params), bench->env.error);
    return index;
}

static void bench_begin(struct test_bench *bench, size_t dim)
{
    test_bench_begin(bench, INDEX_F32, INDEX_L2SQ, dim, 1);
    bench->env.clock_ns = clock_ns;
}

/* Whether this process has a child, a zombie included. */
static bool has_child(void)
{
    siginfo_t info = { .si_pid = 0 };
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void take_value(void *to, const char *name, double value)
{
    double *found = to;
    found[0] = strcmp(name, "rows") == 0 ? value : found[0];
    found[1] = strcmp(name, "call_overhead_ns") == 0 ? value : found[1];
    found[2] = strcmp(name, "client_bytes") == 0 ? value : found[2];
}

/* Rows and answers of several blocks; row i is (i, 0 ...). */
static void test_blocks(void **state)
{
    enum { N = 9000, DIM = 256, QUERIES = 300, K = 1500 };
    struct test_bench bench;
    bench_begin(&bench, DIM);
    struct index *index = open_client(&bench);
    float *rows = calloc((size_t)N * DIM, sizeof *rows);
    uint64_t *ids = calloc(N, sizeof *ids), *found = calloc((size_t)QUERIES * K, sizeof *found);
    float *far = calloc((size_t)QUERIES * K, sizeof *far);
    size_t done = 0;
    assert_true(rows && ids && found && far);
    for (size_t i = 0; i < N; i++) {
        ids[i] = 7 * i;
        rows[i * DIM] = (float)i;
    }
    assert_ok(external_ops.insert(index, (struct vectors){ rows, N, DIM, INDEX_F32 }, ids, &done),
              bench.env.error);
    assert_int_equal(done, N);
    const struct external_knobs knobs = { 0 };
    const struct search_request request = {
        { rows + 2000 * DIM, QUERIES, DIM, INDEX_F32 }, K, &knobs, NULL, 1
    };
    struct search_result result = { .ids = found, .distances = far };
    assert_ok(external_ops.search(index, &request, &result), bench.env.error);
    assert_true(result.work.distances == (double)N * QUERIES);
    for (size_t q = 0; q < QUERIES; q++) {
        assert_int_equal(found[q * K], 7 * (2000 + q));
        assert_int_equal(found[q * K + 1], 7 * (2000 + q - 1));
        assert_true(far[q * K + K - 1] == 750.F * 750.F);
    }
    double values[3] = { 0 };
    struct stat_sink sink = { .value = take_value, .to = values };
    assert_ok(external_ops.stats(index, &sink), bench.env.error);
    assert_true(values[0] == N && values[1] > 0 && values[2] > (double)N * DIM * sizeof(float));
    assert_ok(external_ops.check(index, NULL), bench.env.error);
    external_ops.destroy(index);
    assert_false(has_child());
    free(rows);
    free(ids);
    free(found);
    free(far);
    test_bench_end(&bench);
}

/* The client's memory cannot be cut away from under the harness. */
static void test_sealed(void **state)
{
    struct test_bench bench;
    bench_begin(&bench, 4);
    struct index *index = open_client(&bench);
    const struct external *x = (const struct external *)index;
    char path[100], target[100] = { 0 };
    int file = -1;
    for (int fd = 0; fd < 20 && file < 0; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)x->client.pid, fd);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "driftline-external"))
            file = open(path, O_RDWR | O_CLOEXEC);
    }
    assert_true(file >= 0);
    assert_true(ftruncate(file, 0) == -1);
    assert_true(fcntl(file, F_GET_SEALS) & F_SEAL_SHRINK);
    (void)close(file);
    external_ops.destroy(index);
    test_bench_end(&bench);
}

/* A dead client is an error of each later call, not of the process. */
static void test_dead_client(void **state)
{
    struct test_bench bench;
    bench_begin(&bench, 2);
    struct index *index = open_client(&bench);
    struct external *x = (struct external *)index;
    const float row[2] = { 1, 2 };
    const uint64_t id = 5;
    size_t done = 9;
    assert_int_equal(kill(x->client.pid, SIGKILL), 0);
    for (int i = 0; i < 2; i++) {
        assert_code(
            external_ops.insert(index, (struct vectors){ row, 1, 2, INDEX_F32 }, &id, &done),
            ERR_BASELINE, bench.env.error);
        assert_int_equal(done, 0);
    }
    external_ops.destroy(index);
    assert_false(has_child());
    test_bench_end(&bench);
}

/* Every allocation fails once; nothing leaks and no process is left. */
static void test_allocations(void **state)
{
    struct test_bench bench;
    bool hit = true;
    bench_begin(&bench, 2);
    bench.env.clock_ns = NULL; /* without pings, for speed */
    for (size_t at = 1; hit; at++) {
        struct external_params params = { .command = CLIENT, .timeout_s = 60 };
        struct index *index = NULL;
        const float row[2] = { 1, 2 };
        const uint64_t id = at;
        size_t done = 0;
        atomic_store(&bench.mem.calls, 0);
        atomic_store(&bench.mem.failed, false);
        bench.mem.fail_at = at;
        int rc = external_ops.create(&index, &bench.env, &params);
        if (rc == OK)
            rc = external_ops.insert(index, (struct vectors){ row, 1, 2, INDEX_F32 }, &id, &done);
        hit = atomic_load(&bench.mem.failed);
        assert_int_equal(rc, hit ? ERR_NO_MEMORY : OK);
        error_clear(bench.env.error);
        bench.mem.fail_at = 0;
        if (index)
            external_ops.destroy(index);
        assert_int_equal(mem_live(&bench.mem), 0);
        assert_false(has_child());
        assert_true(at < 100);
    }
    test_bench_end(&bench);
}

static void test_locked(void **state)
{
    struct test_bench bench;
    struct external_params params = { .command = CLIENT, .timeout_s = 60 };
    struct index *index = NULL;
    bench_begin(&bench, 2);
    assert_code(external_locked_ops.create(&index, &bench.env, &params), ERR_CONFIG,
                bench.env.error);
    assert_code(external_locked_ops.load(&index, &bench.env, "x"), ERR_CONFIG, bench.env.error);
    assert_false(has_child());
    test_bench_end(&bench);
}

int main(void)
{
    return test_run_all("external", test_blocks, test_sealed, test_dead_client, test_allocations,
                        test_locked);
}
