/* test_rocksdb.c - postings in RocksDB against a plain model, resumed from checkpoints, from damaged
 * files, and with calls that fail. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/postings/histories.h"

#ifndef HAVE_ROCKSDB
int main(void)
{
    (void)puts("skipped: built without RocksDB");
    return 0;
}
#else

#include "algorithms/common/postings/rocksdb_internal.h"

static const struct posting_options in_rocksdb = { .kind = POSTING_ROCKSDB };

static size_t count_checkpoints(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += strncmp(e->d_name, "rocks.", 6) == 0;
    (void)closedir(dir);
    return n;
}

static void test_histories(void **state)
{
    for (uint64_t round = 0; round < 4; round++) {
        struct posting_options options = in_rocksdb;

        options.direct = round == 3;
        run_round(&options, round);
    }
}

static void test_failing_memory(void **state)
{
    run_failing_memories(&in_rocksdb);
}

/* Appends beyond the limit of a chain, in the memtable and over a flush,
   with truncations in between. */
static void test_long_chains(void **state)
{
    struct postings_bench b;
    unsigned char bytes[100];
    struct rng r = rng_at(test_seed(), 5);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    for (size_t i = 0; i < 100; i++) {
        const size_t length = b.model.length[7];
        const size_t keep = i % 9 == 8 ? length / 2 : length;

        random_bytes(&r, bytes, sizeof bytes);
        assert_ok(posting_splice(b.store, 7, keep, bytes, i % 100), &b.bench.error);
        model_splice(&b.model, 7, keep, bytes, i % 100);
        if (i % 13 == 12)
            assert_ok(snapshot(&b), &b.bench.error);
        expect_all(&b, &b.model);
    }
    const struct rocks *rocks = rocks_of(b.store);
    assert_true(rocks_entry(rocks, 7)->chain <= ROCKS_CHAIN);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

/* Changes after the last snapshot end with the process; the files of older
   snapshots are removed too. */
static void test_resume(void **state)
{
    struct postings_bench b;
    struct model then = { 0 };
    struct rng r = rng_at(test_seed(), 11);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    for (size_t round = 0; round < 5; round++) {
        run_history(&b, &r, 40);
        assert_ok(snapshot(&b), &b.bench.error);
        model_copy(&then, &b.model);
        assert_int_equal(count_checkpoints(b.dir), 1);
        run_history(&b, &r, 40);
        postings_close(&b);
        assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
        model_copy(&b.model, &then);
        expect_all(&b, &b.model);
        assert_ok(posting_store_check(b.store), &b.bench.error);
    }
    model_clear(&then);
    postings_end(&b);
}

/* A snapshot that did not become durable leaves the previous one. */
static void test_release(void **state)
{
    static struct store_writer w;
    struct postings_bench b;
    struct model then = { 0 };
    struct rng r = rng_at(test_seed(), 12);

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    run_history(&b, &r, 40);
    assert_ok(snapshot(&b), &b.bench.error);
    model_copy(&then, &b.model);
    run_history(&b, &r, 40);
    assert_ok(store_begin(&w, b.dir, "other", &identity, NULL, &b.bench.error), &b.bench.error);
    assert_ok(posting_store_freeze(b.store, &w), &b.bench.error);
    assert_int_equal(count_checkpoints(b.dir), 2);
    store_abort(&w);
    posting_store_ended(b.store, DURABLE_NOTHING);
    assert_int_equal(count_checkpoints(b.dir), 1);
    run_history(&b, &r, 10);
    postings_close(&b);
    assert_ok(resume(&b, &in_rocksdb), &b.bench.error);
    model_copy(&b.model, &then);
    expect_all(&b, &b.model);
    model_clear(&then);
    postings_end(&b);
}

/* ---- deadline, counts, threads */

static void test_deadline(void **state)
{
    struct postings_bench b;
    struct posting_counts counts;
    const unsigned char *bytes;
    uint32_t some[64];
    size_t n, late = 0;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    for (uint32_t p = 0; p < 64; p++) {
        some[p] = p;
        assert_ok(posting_splice(b.store, p, 0, &p, sizeof p), &b.bench.error);
    }
    const unsigned ticket = epoch_enter(b.epoch);
    assert_ok(posting_read(b.reader, some, 64, &(struct posting_read_options){ 0, 1500000 }),
              &b.bench.error);
    for (size_t i = 0; i < 64; i++) {
        if (i == 20)
            (void)usleep(1600000);
        assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
        late += bytes == NULL;
        assert_true(bytes ? n == sizeof(uint32_t) : n == 0);
    }
    /* Two groups were fetched before the deadline; the rest is abandoned. */
    assert_int_equal(late, 32);
    assert_code(posting_next(b.reader, &bytes, &n), ERR_ARGUMENT, &b.bench.error);
    assert_ok(posting_read(b.reader, some, 64, &(struct posting_read_options){ 0, 0 }),
              &b.bench.error);
    for (size_t i = 0; i < 64; i++) {
        assert_ok(posting_next(b.reader, &bytes, &n), &b.bench.error);
        assert_non_null(bytes);
    }
    epoch_leave(b.epoch, ticket);
    posting_store_counts(b.store, &counts);
    assert_int_equal(counts.late, 32);
    postings_end(&b);
}

static void test_counts(void **state)
{
    struct postings_bench b;
    struct posting_counts counts;
    struct rng r = rng_at(test_seed(), 16);
    static unsigned char bytes[100000];

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    random_bytes(&r, bytes, sizeof bytes);
    for (uint32_t p = 0; p < 20; p++)
        assert_ok(posting_splice(b.store, p, 0, bytes, sizeof bytes), &b.bench.error);
    posting_store_counts(b.store, &counts);
    assert_int_equal(counts.bytes_given, 20 * sizeof bytes);
    assert_int_equal(counts.bytes_written, 0);
    assert_true(posting_store_resident(b.store) > 20 * sizeof bytes); /* in the memtable */
    assert_ok(snapshot(&b), &b.bench.error);
    posting_store_counts(b.store, &counts);
    assert_true(counts.bytes_written >= 20 * sizeof bytes);
    assert_true(counts.bytes_written < 22 * sizeof bytes);
    /* The database and its checkpoint share files. */
    assert_true(posting_store_disk(b.store) >= 20 * sizeof bytes);
    assert_true(posting_store_disk(b.store) < 22 * sizeof bytes);
    postings_end(&b);
}

struct beside {
    struct postings_bench *b;
    atomic_bool stop;
    size_t reads;
};

/* Every posting is one byte value, repeated, so that its bytes and its length show whether they
   are of one version. */
static void *read_beside(void *to)
{
    struct beside *beside = to;
    struct postings_bench *b = beside->b;
    struct posting_reader *reader;
    uint32_t all[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

    if (posting_reader_create(&reader, b->store) != OK)
        return to;
    while (!atomic_load(&beside->stop)) {
        const unsigned ticket = epoch_enter(b->epoch);
        const unsigned char *bytes;
        size_t n;

        (void)posting_read(reader, all, 8, NULL);
        for (size_t i = 0; i < 8; i++) {
            if (posting_next(reader, &bytes, &n) != OK)
                return to;
            for (size_t j = 1; j < n; j++)
                if (bytes[j] != bytes[0])
                    return to;
        }
        epoch_leave(b->epoch, ticket);
        beside->reads++;
    }
    posting_reader_destroy(reader);
    return NULL;
}

/* Postings are emptied, dropped and filled again: no reader finds a damaged posting. */
static void test_beside_drops(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 18);
    unsigned char bytes[200] = { 0 };
    pthread_t thread;
    void *wrong;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    struct beside beside = { .b = &b };
    assert_int_equal(pthread_create(&thread, NULL, read_beside, &beside), 0);
    for (size_t i = 0; i < 300000; i++) {
        const uint32_t p = (uint32_t)rng_below(&r, 2);

        if (i % 4 == 0)
            posting_drop(b.store, p);
        else
            assert_ok(posting_splice(b.store, p, 0, bytes, i % 4 == 2 ? 0 : 200), &b.bench.error);
    }
    atomic_store(&beside.stop, true);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_ok(b.bench.error.code, &b.bench.error);
    assert_null(wrong);
    assert_true(beside.reads > 0);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

static void test_beside_updates(void **state)
{
    struct postings_bench b;
    struct rng r = rng_at(test_seed(), 17);
    unsigned char bytes[200];
    pthread_t thread;
    void *wrong;

    postings_begin(&b);
    postings_open(&b, &in_rocksdb);
    struct beside beside = { .b = &b };
    assert_int_equal(pthread_create(&thread, NULL, read_beside, &beside), 0);
    for (size_t i = 0; i < 3000; i++) {
        const uint32_t p = (uint32_t)rng_below(&r, 8);
        const size_t length = posting_length(b.store, p);
        const bool append = rng_below(&r, 3) > 0 && length > 0;
        const unsigned char byte = append ? b.model.bytes[p][0] : (unsigned char)rng_u64(&r);
        const size_t keep = append ? (size_t)rng_below(&r, length + 1) : 0, n = 1 + (i % 200);

        memset(bytes, byte, sizeof bytes);
        assert_ok(posting_splice(b.store, p, keep, bytes, n), &b.bench.error);
        model_splice(&b.model, p, keep, bytes, n);
        if (i % 500 == 499)
            assert_ok(snapshot(&b), &b.bench.error);
    }
    atomic_store(&beside.stop, true);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    expect_all(&b, &b.model);
    assert_ok(posting_store_check(b.store), &b.bench.error);
    postings_end(&b);
}

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
    return test_run_all("posting_rocksdb", test_histories, test_failing_memory, test_long_chains,
                        test_resume, test_release, test_deadline, test_counts, test_beside_drops,
                        test_beside_updates, test_damage, test_lost_posting,
                        test_missing_checkpoint, test_failing_calls);
}
#endif
