/* test_load_clock.c - late, skipped and missed operations are counted right, to the operation. A
 * binary of its own, because it takes the place of the clock: time passes where the method stalls. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "src/workload/op_sequence.h"
#include "tests/unit/run/stage.h"

#define MS UINT64_C(1000000)

static atomic_uint_fast64_t now_ns = 1000 * MS;
static atomic_size_t calls; /* of the method, while a load runs */
/* A call of the method takes `each_ns`, call number stall_at of a load stall_ns. */
static uint64_t each_ns, stall_ns;
static size_t stall_at, stall_every;

/* A reading takes 20 ns, so that a loop that waits ends. */
int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, t);
    const uint64_t now = atomic_fetch_add(&now_ns, 20);
    *t = (struct timespec){ (time_t)(now / (1000 * MS)), (long)(now % (1000 * MS)) };
    return 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left)
{
    assert_int_equal(clock, CLOCK_MONOTONIC);
    assert_int_equal(flags, TIMER_ABSTIME);
    atomic_store(&now_ns, (uint64_t)t->tv_sec * 1000 * MS + (uint64_t)t->tv_nsec);
    return 0;
}

static void take_time(void)
{
    const size_t call = atomic_fetch_add(&calls, 1);
    const bool stalls = call == stall_at || (stall_every && call % stall_every == 0);

    atomic_fetch_add(&now_ns, stalls ? stall_ns : each_ns);
}

static int slow_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    take_time();
    return reference_search(index, q, out);
}

static int slow_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    if (v.n == 1)
        take_time();
    return reference_insert(index, v, ids, done);
}

enum { WARM = 20 }; /* queries that warm up: as many as there are, up to 32 */

/* A workload of 300 rows and this mix, with its replay. */
struct timed_mix {
    struct stage s;
    struct op_list *list;
};

typedef int insert_rows(struct index *, struct vectors, const uint64_t *, size_t *);

static void run_mix_with(struct timed_mix *t, struct op_options m, insert_rows *insert)
{
    struct workload w = stage_workload(11, 400, WARM, 12, 300);

    m.k = 5;
    m.threads = 1;
    m.repeated = true;
    assert_ok(workload_mix(&w, m, 300, m.shares[MIX_INSERT] > 0 ? 100 : 0, &w.err), &w.err);
    t->list = workload_finish(&w);
    stage_begin(&t->s, t->list);
    t->s.ops.search = slow_search;
    t->s.ops.insert = insert;
    atomic_store(&calls, 0);
    assert_ok(stage_run(&t->s), &t->s.err);
    assert_string_equal(text_at(step_at(&t->s, 1), "status"), "ok");
}

static void run_mix(struct timed_mix *t, struct op_options m)
{
    run_mix_with(t, m, slow_insert);
}

static double counted(const struct timed_mix *t, const char *kind, const char *what)
{
    return number_at(json_object_get(step_at(&t->s, 1), "stats"), kind, what);
}

/* Ten searches, 10 ms apart, of 1 ms each; the third takes 60 ms. */
static struct op_options ten_searches(void)
{
    static const double searches[MIX_KINDS] = { 1, 0, 0, 0 };

    each_ns = 1 * MS;
    stall_ns = 60 * MS;
    stall_at = WARM + 2;
    stall_every = 0;
    return (struct op_options){ .shares = searches, .rate = 100, .seconds = .1 };
}

static void expect_near(double is, double expected)
{
    if (!(is >= expected * .99 && is <= expected * 1.01))
        fail_msg("%g, not %g", is, expected);
}

/* The stall lasts from 20 to 80 ms. Searches 3, 4 and 5 are then 50, 40 and 30 ms late: over the
   limit. Search 6 is 20 ms late, and ends within it. */
static void test_skipped(void **state)
{
    struct op_options m = ten_searches();
    struct timed_mix t;

    m.limit_ms = 25;
    run_mix(&t, m);
    assert_true(counted(&t, "search", "done") == 7);
    assert_true(counted(&t, "search", "skipped") == 3);
    assert_true(counted(&t, "search", "late") == 1);
    assert_true(counted(&t, "search", "missed") == 0);
    assert_true(counted(&t, "all", "skipped") == 3);
    expect_near(counted(&t, "search", "max_ns"), 60e6);
    expect_near(counted(&t, "search", "lag_max_ns"), 20e6);
    stage_close(&t.s);
}

/* Without a limit none is skipped: each waits for those before it. */
static void test_late(void **state)
{
    struct timed_mix t;

    run_mix(&t, ten_searches());
    assert_true(counted(&t, "search", "done") == 10);
    assert_true(isnan(counted(&t, "search", "skipped")));
    assert_true(isnan(counted(&t, "search", "late")));
    expect_near(counted(&t, "search", "max_ns"), 60e6);
    expect_near(counted(&t, "search", "lag_max_ns"), 50e6);
    /* 1 1 60 51 42 33 24 15 6 1 */
    expect_near(counted(&t, "search", "mean_ns"), 23.4e6);
    expect_near(counted(&t, "search", "p50_ns"), 15e6);
    stage_close(&t.s);
}

/* A stall from 50 ms past the end at 100 ms: four searches were due meanwhile, the last two of them
   within the limit of 70 ms. */
static void test_missed(void **state)
{
    for (int limited = 0; limited < 2; limited++) {
        struct op_options m = ten_searches();
        struct timed_mix t;

        stall_at = WARM + 5;
        stall_ns = 100 * MS;
        m.limit_ms = limited ? 75 : 0;
        run_mix(&t, m);
        assert_true(counted(&t, "search", "done") == 6);
        assert_true(counted(&t, "search", "missed") == (limited ? 2 : 4));
        if (limited)
            assert_true(counted(&t, "search", "skipped") == 2);
        /* 1 five times, 100, and 90 80 70 60, or 70 60 */
        expect_near(counted(&t, "search", "mean_ns"), limited ? 235e6 / 8 : 40.5e6);
        stage_close(&t.s);
    }
}

/* Operations are counted by kind, and a change that was skipped is made afterwards. */
static void test_kinds(void **state)
{
    struct op_options m = ten_searches();
    struct timed_mix t;

    m.shares = (double[MIX_KINDS]){ .5, .5 };
    m.limit_ms = 25;
    m.seconds = .4;
    run_mix(&t, m);
    const double searches = counted(&t, "search", "done") + counted(&t, "search", "skipped");
    const double inserts = counted(&t, "insert", "done") + counted(&t, "insert", "skipped");
    assert_true(searches + inserts == 40);
    assert_true(inserts == (double)t.list->ops[1].n);
    assert_true(counted(&t, "all", "skipped") == 3);
    assert_true(counted(&t, "all", "late") == 1);
    const json_t *step = step_at(&t.s, 1);
    assert_true(number_at(step, "stats", "changes_after") == counted(&t, "insert", "skipped"));
    assert_true(number_at(step, "live", NULL) == 300 + inserts);
    assert_true(number_at(step, "recall", "mean") == 1);
    assert_true(number_at(step, "throughput_recall", "mean") == 1);
    stage_close(&t.s);
}

/* The searches that run alone are those of the load, without its insertions, which stall: the load
   begins after them, with the same operations. */
static int stalling_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    if (v.n == 1)
        atomic_fetch_add(&now_ns, 8 * MS);
    return reference_insert(index, v, ids, done);
}

static void test_alone(void **state)
{
    struct op_options m = ten_searches();
    struct timed_mix t;

    stall_at = SIZE_MAX;
    m.shares = (double[MIX_KINDS]){ .8, .2 };
    m.rate = 200;
    m.seconds = 1.5;
    m.alone = true;
    run_mix_with(&t, m, stalling_insert);
    assert_true(counted(&t, "alone", "done") == counted(&t, "search", "done"));
    assert_true(counted(&t, "all", "done") == 300);
    assert_true(number_at(step_at(&t.s, 1), "stats", "changes_after") == 0);
    expect_near(counted(&t, "alone", "p99_ns"), 1e6);
    /* An insertion of 8 ms delays the search that is due 5 ms after it. */
    const double jitter = number_at(step_at(&t.s, 1), "stats", "jitter");
    expect_near(jitter * counted(&t, "alone", "p99_ns"), counted(&t, "search", "p99_ns"));
    assert_true(jitter > 3.9);
    stage_close(&t.s);
}

/* In a burst, each operation waits for those before it in the burst. */
static void test_burst(void **state)
{
    struct op_options m = ten_searches();
    struct timed_mix t;

    stall_at = SIZE_MAX;
    m.arrivals = MIX_BURST;
    m.burst = 5;
    run_mix(&t, m);
    assert_true(counted(&t, "search", "done") == 10);
    expect_near(counted(&t, "search", "max_ns"), 5e6);
    expect_near(counted(&t, "search", "mean_ns"), 3e6);
    stage_close(&t.s);
}

static void test_recorded(void **state)
{
    const uint64_t due_ns[] = { 5 * MS, 5 * MS, 6 * MS, 90 * MS };
    struct op_options m = ten_searches();
    struct timed_mix t;

    stall_at = SIZE_MAX;
    m.arrivals = MIX_RECORDED;
    m.due_ns = due_ns;
    m.n_due = 4;
    m.rate = m.seconds = 0;
    run_mix(&t, m);
    assert_true(counted(&t, "search", "done") == 4);
    /* 1 2 2 1 */
    expect_near(counted(&t, "search", "mean_ns"), 1.5e6);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(step_at(&t.s, 1), "stats"), "loop")),
        "paced");
    stage_close(&t.s);
}

/* A search takes 1 ms, each tenth 11 ms: 500 per second on average. The bisection ends between the
   largest rate that held and the smallest that did not. */
static void test_find_rate(void **state)
{
    struct op_options m = ten_searches();
    struct timed_mix t;
    double held = 0, failed = INFINITY;
    const json_t *one;
    size_t i;

    stall_at = SIZE_MAX;
    stall_every = 10;
    stall_ns = 11 * MS;
    m.rate = m.seconds = 0;
    m.operations = 200;
    m.find_p99_ms = 20;
    run_mix(&t, m);
    const json_t *stats = json_object_get(step_at(&t.s, 1), "stats");
    const json_t *tried = json_object_get(stats, "tried_rates");
    assert_int_equal(json_array_size(tried), MIX_TRIALS - 1);
    json_array_foreach(tried, i, one) {
        const double rate = number_at(one, "rate", NULL);
        const bool holds = json_is_true(json_object_get(one, "holds"));

        assert_true(holds == (number_at(one, "p99_ns", NULL) <= 20e6));
        held = holds && rate > held ? rate : held;
        failed = !holds && rate < failed ? rate : failed;
    }
    assert_true(held > 250 && held < 500 * 1.01);
    assert_true(failed == INFINITY || (held < failed && failed - held < 2));
    assert_true(number_at(stats, "found_rate", NULL) == held);
    assert_true(number_at(stats, "rate", NULL) == held);
    assert_true(counted(&t, "all", "done") == 200);
    assert_true(counted(&t, "all", "p99_ns") <= 20e6 * 1.01);
    stage_close(&t.s);
    /* No rate holds: each tenth search alone is over the limit. */
    m.find_p99_ms = 10;
    run_mix(&t, m);
    stats = json_object_get(step_at(&t.s, 1), "stats");
    assert_true(isnan(number_at(stats, "found_rate", NULL)));
    assert_non_null(strstr(text_at(step_at(&t.s, 1), "note"), "no rate was found"));
    stage_close(&t.s);
}

/* Half of the rate of a closed loop, whose operations take 1 ms each; a tenth of them are
   insertions, which are made in both trials. */
static void test_share_of_rate(void **state)
{
    struct op_options m = ten_searches();
    struct timed_mix t;

    stall_at = SIZE_MAX;
    stall_every = 0;
    m.rate = m.seconds = 0;
    m.shares = (double[MIX_KINDS]){ .9, .1 };
    m.operations = 240;
    m.find_share = .5;
    m.alone = true;
    run_mix(&t, m);
    const json_t *stats = json_object_get(step_at(&t.s, 1), "stats");
    expect_near(number_at(stats, "rate", NULL), 500);
    assert_string_equal(text_at(stats, "loop"), "paced");
    assert_true(counted(&t, "all", "done") == 240);
    assert_true(counted(&t, "alone", "done") == counted(&t, "search", "done"));
    expect_near(number_at(stats, "jitter", NULL), 1);
    assert_true(number_at(stats, "changes_after", NULL) == 0);
    assert_true(number_at(step_at(&t.s, 1), "live", NULL) == (double)t.list->ops[1].live_after);
    stage_close(&t.s);
    /* Both trials end after .1 s, and the changes that are left are made. */
    m.seconds = .1;
    run_mix(&t, m);
    stats = json_object_get(step_at(&t.s, 1), "stats");
    expect_near(number_at(stats, "rate", NULL), 500);
    assert_true(counted(&t, "all", "done") == 50);
    assert_true(number_at(stats, "changes_after", NULL) > 0);
    assert_true(number_at(step_at(&t.s, 1), "live", NULL) == (double)t.list->ops[1].live_after);
    stage_close(&t.s);
}

/* Rows arrive at 1000 per second and are inserted ten at a time. A call takes 1 ms, the third 35. */
static int timed_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    take_time();
    return reference_insert(index, v, ids, done);
}

static void test_arriving_rows(void **state)
{
    struct workload w = stage_workload(13, 400, WARM, 12, 0);
    struct stage s;

    struct view *rows = workload_rows(&w, 0, 100);
    const struct op_options note = { .batch = 10, .rate = 1000 };
    assert_ok(record_insert(w.recorder, &note, rows, &w.err), &w.err);
    view_drop(rows);
    stage_begin(&s, workload_finish(&w));
    s.ops.insert = timed_insert;
    each_ns = 1 * MS;
    stall_ns = 35 * MS;
    stall_at = 2;
    stall_every = 0;
    atomic_store(&calls, 0);
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 0);
    /* Those of the fourth, fifth and sixth batch wait: 1 1 35 26 17 8 1 1 1 1 */
    expect_near(number_at(step, "latency_ns", "max"), 35e6);
    expect_near(number_at(step, "latency_ns", "mean"), 9.2e6);
    expect_near(number_at(step, "stats", "lag_max_ns"), 25e6);
    assert_true(number_at(step, "stats", "backlog_max") == 35);
    assert_true(number_at(step, "stats", "calls") == 10);
    expect_near(number_at(step, "seconds", NULL), 44e-3);
    stage_close(&s);
}

int main(void)
{
    return test_run_all("load_clock", test_skipped, test_late, test_missed, test_kinds, test_alone,
                        test_burst, test_recorded, test_find_rate, test_share_of_rate,
                        test_arriving_rows);
}
