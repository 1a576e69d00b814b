/* test_rocksdb_faults.c - postings in RocksDB: damaged files, calls that fail. */
#include "tests/unit/postings/rocksdb_store.h"

#ifndef HAVE_ROCKSDB
int main(void)
{
    (void)puts("skipped: built without RocksDB");
    return 0;
}
#else

/* ---- damage */

/* Flips a byte in the middle of each file of the live database with this suffix. */
static size_t damage(const char *dir, const char *ending)
{
    char path[PATH_MAX + 300];
    DIR *d = opendir(dir);
    size_t damaged = 0;

    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        const char *dot = strrchr(e->d_name, '.');
        struct stat is;
        unsigned char byte;

        if (!dot || strcmp(dot, ending) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        const int fd = open(path, O_RDWR);
        assert_true(fd >= 0 && fstat(fd, &is) == 0);
        const off_t at = strcmp(ending, ".sst") == 0 ? 10 : is.st_size / 2;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
        damaged++;
    }
    (void)closedir(d);
    return damaged;
}

/* Every posting is read as it was written, or refused. */
static size_t count_refused(struct postings_bench *b)
{
    size_t refused = 0;

    for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
        const struct posting_read_options all = { 0 };
        const unsigned ticket = epoch_enter(b->epoch);
        const unsigned char *bytes;
        size_t n;

        assert_ok(posting_read(b->reader, &p, 1, &all), &b->bench.error);
        if (posting_next(b->reader, &bytes, &n) != OK) {
            char which[32];

            refused++;
            (void)snprintf(which, sizeof which, "posting %u", p);
            assert_int_equal(b->bench.error.code, ERR_CORRUPT);
            assert_non_null(strstr(b->bench.error.text, which));
            assert_non_null(strstr(b->bench.error.text, b->dir));
            error_clear(&b->bench.error);
        } else {
            assert_int_equal(n, b->model.length[p]);
            assert_true(n == 0 || memcmp(bytes, b->model.bytes[p], n) == 0);
        }
        epoch_leave(b->epoch, ticket);
    }
    return refused;
}

static void test_damage(void **state)
{
    static const char *const endings[] = { ".sst", ".blob" };

    for (size_t i = 0; i < 2; i++) {
        struct postings_bench b;
        struct rng r = rng_at(test_seed(), 13);
        char dir[PATH_MAX + 16];

        postings_begin(&b);
        postings_open(&b, &in_rocksdb);
        assert_ok(fill_some(&b, &r), &b.bench.error);
        assert_ok(snapshot(&b), &b.bench.error);
        postings_close(&b);
        (void)snprintf(dir, sizeof dir, "%s/rocks.1", b.dir);
        assert_true(damage(dir, endings[i]) > 0);
        assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
        assert_true(count_refused(&b) > 0);
        assert_code(posting_store_check(b.store), ERR_CORRUPT, &b.bench.error);
        postings_end(&b);
    }
}

/* A posting that the database has lost or shortened is refused, not returned shortened. */
static void test_lost_posting(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 19);
    size_t lost = 0;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    assert_ok(fill_some(&b, &r), &b.bench.error);
    struct rocks *rocks = rocks_of(b.store);
    for (uint32_t p = 0; p < MODEL_POSTINGS; p += 3) {
        char key[ROCKS_KEY_BYTES], *words = NULL;

        if (b.model.length[p] == 0)
            continue;
        rocks_key(p, key);
        if (p % 2)
            rocksdb_delete(rocks->db, rocks->writing, key, sizeof key, &words);
        else
            rocksdb_put(rocks->db, rocks->writing, key, sizeof key, (const char *)b.model.bytes[p],
                        b.model.length[p] - 1, &words);
        assert_null(words);
        lost++;
    }
    assert_true(lost > 4);
    assert_int_equal(count_refused(&b), lost);
    assert_code(posting_store_check(b.store), ERR_INVARIANT, &b.bench.error);
    /* The same after a checkpoint and a load. */
    assert_ok(snapshot(&b), &b.bench.error);
    postings_close(&b);
    assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
    assert_int_equal(count_refused(&b), lost);
    postings_end(&b);
}

static void test_missing_checkpoint(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 14);
    char path[PATH_MAX + 16];

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    assert_ok(fill_some(&b, &r), &b.bench.error);
    assert_ok(snapshot(&b), &b.bench.error);
    postings_close(&b);
    (void)snprintf(path, sizeof path, "%s/rocks.1", b.dir);
    test_dir_remove(path);
    assert_code(resume(&b, &in_rocksdb), ERR_CORRUPT, &b.bench.error);
    postings_end(&b);
}

/* ---- calls that fail */

/* Simulated faults of our reads and writes of files under `within`: half of the
   requested bytes, after an interruption, and at most `left` bytes in all. RocksDB's
   threads run through here too. */
static struct {
    _Atomic(const char *) within; /* NULL: none */
    atomic_bool interrupted;
    atomic_size_t left;
} disk;

static bool is_within(int fd)
{
    const char *within = atomic_load(&disk.within);
    char link[64], path[PATH_MAX];

    if (!within)
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, within);
}

static bool is_interrupted(void)
{
    const bool now = !atomic_load(&disk.interrupted);

    atomic_store(&disk.interrupted, now);
    if (now)
        errno = EINTR;
    return now;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (is_within(fd)) {
        if (is_interrupted())
            return -1;
        const size_t left = atomic_load(&disk.left);

        n = n > 1 ? n / 2 : n;
        n = n < left ? n : left;
        atomic_fetch_sub(&disk.left, n);
        if (n == 0) {
            errno = ENOSPC;
            return -1;
        }
    }
    return syscall(SYS_write, fd, bytes, n);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    if (is_within(fd) && is_interrupted())
        return -1;
    return syscall(SYS_read, fd, bytes, n);
}

/* Resuming copies files, in pieces if need be; a full disk is reported. */
static void test_copying(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 20);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    assert_ok(fill_some(&b, &r), &b.bench.error);
    assert_ok(snapshot(&b), &b.bench.error);
    postings_close(&b);
    atomic_store(&disk.within, "/rocks");
    atomic_store(&disk.left, 10);
    assert_int_equal(resume(&b, &in_rocksdb), ERR_IO);
    assert_non_null(strstr(b.bench.error.text, "disk is full"));
    assert_non_null(strstr(b.bench.error.text, strerror(ENOSPC)));
    error_clear(&b.bench.error);
    atomic_store(&disk.left, SIZE_MAX);
    assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
    atomic_store(&disk.within, NULL);
    expect_all(&b, &b.model);
    postings_end(&b);
}

/* Updates of which at most one fails, and two snapshots; *then: contents of the last snapshot. */
static void update_failing(struct postings_bench *b, struct model *then)
{
    struct rng r = rng_at(test_seed(), 15);
    size_t failed = 0;

    for (int j = 0; j < 30; j++) {
        const int rc = random_update(b, &r);

        if (rc != OK) {
            failed++;
            assert_non_null(strstr(b->bench.error.text, "disk is full"));
            assert_code(rc, ERR_IO, &b->bench.error);
        }
        if (j == 15 || j == 25) {
            const int saved = snapshot(b);

            if (saved == OK)
                model_copy(then, &b->model);
            else
                assert_code(saved, ERR_IO, &b->bench.error);
        }
    }
    assert_true(failed <= 1);
}

/* Every call of ours fails once. A failed update leaves the posting unchanged, a failed snapshot
   leaves the previous one, and a drop succeeds all the same, before and after a snapshot. */
static void test_failing_calls(void **state)
{
    struct postings_bench b;
    struct model then = { 0 };
    bool done = false;

    postings_begin(&b);
    for (size_t i = 1; !done; i++) {
        struct faults faults = { .fail_at = i };
        const struct file_fault fault = { fail_nth, &faults };
        struct posting_options options = in_rocksdb;

        options.fault = &fault;
        model_clear(&b.model);
        model_clear(&then);
        if (posting_store_open(&b.store, &b.bench.env, b.epoch, &options, NULL) != OK) {
            assert_code(b.bench.error.code, ERR_IO, &b.bench.error);
            continue;
        }
        assert_ok(posting_reader_create(&b.reader, b.store), &b.bench.error);
        update_failing(&b, &then);
        done = !faults.hit;
        faults.fail_at = 0;
        expect_all(&b, &b.model);
        assert_ok(posting_store_check(b.store), &b.bench.error);
        postings_close(&b);
        assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
        expect_all(&b, &then);
        assert_ok(posting_store_check(b.store), &b.bench.error);
        postings_close(&b);
        test_dir_clear(b.dir);
    }
    model_clear(&then);
    postings_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_lost_posting),
        cmocka_unit_test(test_missing_checkpoint),
        cmocka_unit_test(test_copying),
        cmocka_unit_test(test_failing_calls),
    };
    return test_run("posting_rocksdb_faults", tests);
}
#endif
