/* test_wal_faults.c - commits whose calls fail, and commits by many threads. Memory that fails is
 * contract/test_faults. */
#include "tests/unit/durable/log.h"

/* Commits, rotates and deletes files; repeats what failed. acknowledged[]: in order. */
static size_t script(struct log_test *t, struct wal *j, struct faults *f, uint64_t *acknowledged)
{
    size_t n = 0;
    for (uint64_t i = 1; i <= 24; i++) {
        int rc = commit(j, 2 * i, 2);
        if (!rc) {
            acknowledged[n++] = 2 * i;
            acknowledged[n++] = 2 * i + 1;
        } else {
            assert_int_equal(rc, ERR_IO);
            assert_true(t->error.code == ERR_IO && strstr(t->error.text, t->dir));
            error_clear(&t->error);
        }
        uint64_t lsn;
        if (i % 6 == 0) {
            rc = wal_rotate(j, &lsn);
            assert_true(rc == OK || rc == ERR_IO);
            error_clear(&t->error);
            assert_int_equal(lsn, n);
        }
        if (i % 12 == 0)
            wal_forget(j, n > 20 ? 20 : n);
    }
    return n;
}

static void expect_these(struct log_test *t, const uint64_t *acknowledged, size_t n)
{
    static struct seen s;
    uint64_t last, torn;
    const uint64_t after = n > 20 ? 20 : n;
    assert_ok(replay(t, after, &s, &last, &torn), &t->error);
    assert_int_equal(s.count, n - after);
    assert_int_equal(last, n);
    for (size_t i = 0; i < s.count; i++)
        assert_int_equal(s.n[i], acknowledged[after + i]);
}

/* If any call fails, once or from then on, acknowledged records are present and
   refused ones are not. */
static void test_failing_calls(void **state)
{
    struct log_test t;
    uint64_t acknowledged[64];
    begin(&t);
    for (int forever = 0; forever < 2; forever++) {
        size_t i = 1;
        for (bool done = false; !done; i++) {
            struct faults faults = { .fail_at = i,
                                     .forever = forever,
                                     .code = i % 2 ? EIO : ENOSPC };
            const struct file_fault fault = { fail_nth, &faults };
            struct wal *j = NULL;
            const int rc = wal_open(&j, &t.env, WAL_SYNCED, 0, &fault);
            if (rc) {
                assert_code(rc, ERR_IO, &t.error);
                assert_null(j);
                assert_int_equal(mem_live(&t.mem), 0);
            } else {
                const size_t n = script(&t, j, &faults, acknowledged);
                done = faults.calls < i;
                assert_true(done ? n == 48 : true);
                assert_true(forever || n >= 46);
                /* A kill here, and continuing, have the same result. */
                if (!forever)
                    expect_these(&t, acknowledged, n);
                faults = (struct faults){ 0 };
                assert_ok(commit(j, 1000, 1), &t.error);
                acknowledged[n] = 1000;
                expect_these(&t, acknowledged, n + 1);
            }
            wal_close(j);
            test_dir_clear(t.dir);
        }
        assert_true(i > 50);
    }
    end(&t);
}

/* After a failed write that cannot be truncated, commits are refused until it can be, or until
   the log is rotated. */
static void test_uncut(void **state)
{
    struct log_test t;
    struct wal *j;
    uint64_t lsn;
    struct faults faults = { .fail_at = 1, .forever = true, .only = "ftruncate", .code = EIO };
    const struct file_fault fault = { fail_nth, &faults };
    begin(&t);
    assert_ok(wal_open(&j, &t.env, WAL_WRITTEN, 0, &fault), &t.error);
    assert_ok(commit(j, 1, 3), &t.error);
    /* At the file size limit only the first bytes of the batch are written. */
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = was;
    small.rlim_cur = file_bytes(&t, 1) + batch_bytes(4, 1) + 3;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(commit(j, 4, 2), ERR_IO);
    assert_non_null(strstr(t.error.text, "File too large"));
    error_clear(&t.error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(commit(j, 6, 1), ERR_IO);
    assert_non_null(strstr(t.error.text, "cannot be truncated"));
    error_clear(&t.error);
    assert_int_equal(wal_last(j), 3);
    assert_ok(wal_rotate(j, &lsn), &t.error);
    assert_int_equal(lsn, 3);
    assert_ok(commit(j, 4, 10), &t.error);
    expect(&t, 0, 1, 13, 0);
    /* The same, but the file can be truncated later. */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_cur = file_bytes(&t, 2) + batch_bytes(4, 1) + 3;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_code(commit(j, 14, 20), ERR_IO, &t.error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_code(commit(j, 14, 20), ERR_IO, &t.error);
    faults.forever = false;
    assert_ok(commit(j, 14, 20), &t.error);
    expect(&t, 0, 1, 33, 0);
    wal_close(j);
    end(&t);
}

/* ------------------------------------------------------------------------------- threads */

enum { THREADS = 6, COMMITS = 40 };

/* Before each sync waits until all threads that have not ended are in a commit, and then a little, so
   that others commit in the meantime; fails every 7th. */
struct slow {
    atomic_size_t syncs, committing, ended;
    atomic_bool all_started;
    bool fails;
};

struct committer {
    struct wal *j;
    struct slow *slow;
    uint64_t first;
    size_t failed;
};

/* Batches of three, to show that the records of a batch stay together. */
static void *commit_many(void *arg)
{
    struct committer *c = arg;
    for (uint64_t i = 0; i < COMMITS; i++) {
        atomic_fetch_add(&c->slow->committing, 1);
        if (commit(c->j, c->first + 3 * i, 3) != OK)
            c->failed++;
        atomic_fetch_sub(&c->slow->committing, 1);
    }
    atomic_fetch_add(&c->slow->ended, 1);
    return NULL;
}

static int slow_sync(void *to, const char *call)
{
    struct slow *s = to;
    if (strcmp(call, "fsync") != 0)
        return 0;
    while (atomic_load(&s->all_started) &&
           atomic_load(&s->committing) + atomic_load(&s->ended) < THREADS)
        usleep(200);
    usleep(2000);
    const size_t n = atomic_fetch_add(&s->syncs, 1) + 1;
    return s->fails && n % 7 == 0 ? EIO : 0;
}

static void run_threads(bool fails)
{
    struct log_test t;
    struct wal *j;
    struct slow slow = { .fails = fails };
    const struct file_fault fault = { slow_sync, &slow };
    pthread_t threads[THREADS];
    struct committer committers[THREADS];
    uint64_t last, torn, lsn;
    begin(&t);
    assert_ok(wal_open(&j, &t.env, WAL_SYNCED, 0, &fault), &t.error);
    for (size_t i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){ j, &slow, i * 1000, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, commit_many, &committers[i]), 0);
    }
    atomic_store(&slow.all_started, true);
    for (int i = 0; i < 5; i++) {
        usleep(5000);
        assert_ok(wal_rotate(j, &lsn), fails ? NULL : &t.error);
    }
    size_t failed = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        failed += committers[i].failed;
    }
    error_clear(&t.error);
    static struct seen s;
    assert_ok(replay(&t, 0, &s, &last, &torn), &t.error);
    assert_int_equal(s.count, 3 * (THREADS * COMMITS - failed));
    assert_true(fails ? failed > 0 : failed == 0);
    uint64_t next[THREADS] = { 0 };
    for (size_t i = 0; i < s.count; i += 3) {
        const size_t who = (size_t)(s.n[i] / 1000);
        assert_true(s.n[i] % 1000 >= next[who]); /* the commits of a thread are in its order */
        next[who] = s.n[i] % 1000 + 3;
        assert_true(s.n[i + 1] == s.n[i] + 1 && s.n[i + 2] == s.n[i] + 2);
    }
    /* Group commit: far fewer syncs than commits. */
    if (!fails)
        assert_true(wal_syncs(j) < THREADS * COMMITS / 2);
    wal_close(j);
    end(&t);
}

static void test_group_commit(void **state)
{
    run_threads(false);
}

static void test_group_commit_failing(void **state)
{
    run_threads(true);
}

int main(void)
{
    return test_run_all("wal_faults", test_failing_calls, test_uncut, test_group_commit,
                        test_group_commit_failing);
}
