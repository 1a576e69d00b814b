/* test_ranks.c - indexes on several ranks: ranks that die, time-outs, recovery, messages. */
#include "tests/unit/sharded/cluster.h"

/* ---- lost ranks */

static void test_replicas_answer(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=4,ranks=3,replicas=2");
    cluster_insert(&c, 500, 0);
    thread_ranks_kill(&c.ranks, 1);
    assert_int_equal(cluster_search(&c, 10), 0);
    cluster_insert(&c, 100, 0);
    cluster_remove(&c, 50);
    assert_int_equal(cluster_search(&c, 10), 0);
    assert_int_equal(cluster_sharded(&c)->counters.lost, 1);
    cluster_maintain(&c);
    assert_true(cluster_sharded(&c)->counters.recovered > 0);
    /* What it missed is there: the other ranks can go. */
    thread_ranks_kill(&c.ranks, 2);
    assert_int_equal(cluster_search(&c, 10), 0);
    cluster_check(&c);
    cluster_close(&c);
}

/* Without replicas, answers are partial until the rank has recovered from its files. */
static void lose_and_recover(const char *options, bool checkpoint)
{
    struct cluster c;
    char path[PATH_MAX];
    uint64_t lsn;
    cluster_open(&c, options);
    cluster_insert(&c, 400, 0);
    cluster_insert(&c, 100, 0);
    cluster_remove(&c, 60);
    (void)snprintf(path, sizeof path, "%.3500s/rank-1/shard-1", c.bench.env.dir);
    assert_true(file_newest(path, "index-1-", UINT64_MAX, &lsn));
    assert_int_equal(lsn > 0, checkpoint);
    thread_ranks_kill(&c.ranks, 1);
    assert_int_equal(cluster_search(&c, 12), 12);
    assert_int_equal(cluster_sharded(&c)->counters.partial, 12);
    cluster_maintain(&c);
    assert_int_equal(cluster_search(&c, 12), 0);
    assert_int_equal(c.ranks.restarts, 1);
    cluster_check(&c);
    cluster_insert(&c, 30, 0);
    assert_int_equal(cluster_search(&c, 5), 0);
    cluster_close(&c);
}

static void test_recovery(void **state)
{
    lose_and_recover("shards=2,ranks=2", false);
    lose_and_recover("shards=2,ranks=2,checkpoint_rows=150", true);
}

/* The rank is dead, or dies after it has logged an insertion that fails for it: the rows are not there, and do not
   come back. */
static void test_insert_without_rank(void **state)
{
    for (size_t logs = 0; logs < 2; logs++) {
        struct cluster c;
        uint64_t ids[20];
        size_t done;
        cluster_open(&c, "shards=2,ranks=2");
        cluster_insert(&c, 50, 0);
        float *rows = cluster_rows(&c, 20, 0);
        for (size_t i = 0; i < 20; i++)
            ids[i] = 1000 + i;
        const struct vectors v = { rows, 20, DIM, INDEX_F32 };
        if (logs)
            c.ranks.dies_after = 1;
        else
            thread_ranks_kill(&c.ranks, 1);
        assert_code(index_insert(&c.index, v, ids, &done), ERR_IO, &c.bench.error);
        assert_int_equal(done, 0);
        cluster_maintain(&c);
        cluster_check(&c);
        assert_int_equal(cluster_search(&c, 6), 0);
        assert_ok(index_insert(&c.index, v, ids, &done), &c.bench.error);
        assert_ok(index_insert(&c.exact, v, ids, &done), &c.bench.error);
        cluster_check(&c);
        assert_int_equal(cluster_search(&c, 6), 0);
        free(rows);
        cluster_close(&c);
    }
}

/* The log of the other copy was compacted: all of its rows are sent. */
static void test_recovery_from_compacted(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=1,ranks=2,replicas=2");
    cluster_insert(&c, 100, 0);
    thread_ranks_kill(&c.ranks, 1);
    struct server *s = &cluster_sharded(&c)->local;
    for (size_t i = 0; i < 12; i++) {
        cluster_insert(&c, 4000, 0);
        cluster_remove(&c, 3990);
    }
    bool more;
    assert_ok(copy_maintain(s->copies[0], 0, &more), &c.bench.error);
    assert_true(s->copies[0]->log.base > 0);
    cluster_maintain(&c);
    cluster_check(&c);
    cluster_insert(&c, 10, 0);
    cluster_remove(&c, 5);
    cluster_check(&c);
    assert_int_equal(cluster_search(&c, 6), 0);
    cluster_close(&c);
}

static void test_rank_that_does_not_start(void **state)
{
    struct cluster c;
    bool more;
    cluster_open(&c, "shards=3,ranks=3,replicas=2");
    cluster_insert(&c, 100, 0);
    thread_ranks_kill(&c.ranks, 1);
    c.ranks.refuses_start = true;
    assert_code(index_maintain(&c.index, 0, &more), ERR_IO, &c.bench.error);
    assert_int_equal(cluster_search(&c, 6), 0);
    c.ranks.refuses_start = false;
    cluster_maintain(&c);
    cluster_check(&c);
    cluster_close(&c);
}

/* ---- time */

static void test_time_out(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=3,ranks=3");
    cluster_insert(&c, 300, 0);
    c.knobs.timeout_ms = 1500; /* the others reply sooner, on a busy machine too */
    thread_ranks_silence(&c.ranks, 2, true);
    assert_int_equal(cluster_search(&c, 5), 5);
    assert_true(cluster_sharded(&c)->is_up[2]);
    thread_ranks_silence(&c.ranks, 2, false);
    /* The late reply is not taken for that of a later search. */
    c.knobs.timeout_ms = 0;
    assert_int_equal(cluster_search(&c, 5), 0);
    assert_int_equal(cluster_search(&c, 1), 0);
    assert_int_equal(cluster_sharded(&c)->counters.late, 1);
    cluster_close(&c);
}

static uint64_t slow_ns;

static uint64_t slow_clock(void)
{
    return slow_ns;
}

/* Nothing arrives, and each wait takes a microsecond longer than it should. */
static bool wait_in_vain(struct rank_group *group, uint64_t wait_ns, struct rank_message *out)
{
    slow_ns += wait_ns + 1000;
    return false;
}

static void test_time_out_ends_in_time(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=3,ranks=3");
    cluster_insert(&c, 300, 0);
    const struct rank_group_ops *real = c.ranks.group.ops;
    struct rank_group_ops slow = *real;
    slow.receive = wait_in_vain;
    cluster_sharded(&c)->base.env.clock_ns = slow_clock;
    for (uint64_t ms = 1; ms <= 101; ms += 25) {
        c.knobs.timeout_ms = (double)ms;
        c.ranks.group.ops = &slow;
        const uint64_t begin = slow_ns;
        assert_int_equal(cluster_search(&c, 1), 1);
        c.ranks.group.ops = real;
        assert_in_range(slow_ns - begin, ms * 1000000, ms * 1000000 + 10000);
    }
    c.knobs.timeout_ms = 0;
    assert_int_equal(cluster_search(&c, 5), 0);
    cluster_close(&c);
}

/* ---- messages */

/* Each prefix of a request is refused, and leaves the copy as it was. */
static void test_damaged_requests(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=1,placement=hash");
    cluster_insert(&c, 40, 0);
    struct sharded *s = cluster_sharded(&c);
    struct call call;
    call_begin(s, &call, 0, REQUEST_INSERT, 0);
    const uint64_t ids[2] = { 9001, 9002 };
    const uint32_t buckets[2] = { 0, 1 };
    const float rows[2 * DIM] = { 1 };
    const struct log_record record = { .op = LOG_INSERT,
                                       .sequence = 77,
                                       .ends = true,
                                       .n = 2,
                                       .ids = ids,
                                       .buckets = buckets,
                                       .rows = rows };
    wire_put(&call.request, 0); /* the rows are in the record */
    log_put(&call.request, &record, sizeof rows / 2);
    for (size_t n = 0; n < call.request.n - 8; n += 8) {
        struct wire reply = { .mem = &c.bench.mem };
        server_execute(&s->local, call.request.bytes + 8, n, &reply);
        struct wire_reader r = { reply.bytes, reply.n, false };
        assert_int_not_equal(wire_take(&r), OK);
        assert_non_null(wire_take_text(&r));
        wire_free(&reply);
    }
    call_end(&call);
    cluster_check(&c);
    assert_int_equal(cluster_search(&c, 3), 0);
    cluster_close(&c);
}

static void test_refused_options(void **state)
{
    static const struct {
        const char *options;
        int code;
        const char *sentence;
    } wrong[] = {
        { "replicas=2,ranks=1", ERR_ARGUMENT, "each replica is on another rank" },
        { "of=sharded", ERR_ARGUMENT, "a shard cannot contain shards" },
        { "of=flatt", ERR_NOT_FOUND, "flat" },
        { "of=hftrie", ERR_UNSUPPORTED, "does not take f32 rows" },
        { "of_params=nothing=1", ERR_CONFIG, "nothing" },
        { "of=divf,of_params=clusters", ERR_CONFIG, "name=value" },
    };
    struct cluster c;
    cluster_open(&c, "shards=1");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sharded_params params;
        struct index *index;
        const struct index_ops *ops = c.index.ops;
        param_defaults(ops->params, &params);
        const char *inner = strstr(wrong[i].options, "of_params=");
        if (inner) { /* its value has a sign of the syntax in it */
            (void)snprintf(params.of_params, sizeof params.of_params, "%s", inner + 10);
            if (strncmp(wrong[i].options, "of=divf", 7) == 0)
                (void)snprintf(params.of, sizeof params.of, "divf");
        } else {
            assert_ok(
                copy_options(ops->params, &params, wrong[i].options, "the test", &c.bench.error),
                &c.bench.error);
        }
        assert_int_equal(ops->create(&index, &c.bench.env, &params), wrong[i].code);
        assert_non_null(strstr(c.bench.error.text, wrong[i].sentence));
        error_clear(&c.bench.error);
    }
    cluster_close(&c);
}

int main(void)
{
    return test_run_all("sharded ranks", test_replicas_answer, test_recovery,
                        test_insert_without_rank, test_recovery_from_compacted,
                        test_rank_that_does_not_start, test_time_out, test_time_out_ends_in_time,
                        test_damaged_requests, test_refused_options);
}
