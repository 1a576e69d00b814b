/* test_wal.c - committed records are replayed after torn writes and flipped bits; a
   folder has one index. */
#include "tests/unit/durable/log.h"

static void commit_and_replay(struct log_test *t, enum wal_sync sync)
{
    struct wal_batch batch = { 0 };
    struct wal *j;
    assert_ok(wal_open(&j, &t->env, sync, 0, NULL), &t->error);
    assert_ok(wal_commit(j, &batch), &t->error); /* an empty commit */
    assert_ok(commit(j, 1, 100), &t->error);
    assert_int_equal(wal_syncs(j), sync == WAL_SYNCED);
    for (uint64_t i = 101; i <= 130; i++)
        assert_ok(commit(j, i, 1), &t->error);
    assert_int_equal(wal_syncs(j), sync == WAL_SYNCED ? 31 : 0);
    assert_int_equal(wal_last(j), 130);
    assert_int_equal(wal_bytes(j), file_bytes(t, 1));
    /* Records that were abandoned are not replayed. */
    assert_ok(append(j, &batch, 131), &t->error);
    wal_abandon(j, &batch);
    assert_ok(wal_commit(j, &batch), &t->error);
    wal_close(j);
    expect(t, 0, 1, 130, 0);
    expect(t, 90, 91, 40, 0);
    expect(t, 130, 131, 0, 0);
    expect(t, 200, 0, 0, 0);
}

/* A second opening continues in the same file, and writes nothing before its first commit. */
static void go_on(struct log_test *t, enum wal_sync sync)
{
    struct wal *j;
    uint64_t lsn;
    const size_t before = file_bytes(t, 1);
    assert_ok(wal_open(&j, &t->env, sync, 130, NULL), &t->error);
    assert_int_equal(wal_bytes(j), before);
    assert_int_equal(wal_last(j), 130);
    assert_ok(wal_prepare(j), &t->error);
    assert_ok(wal_rotate(j, &lsn), &t->error);
    assert_int_equal(lsn, 130);
    assert_int_equal(file_bytes(t, 1), before);
    assert_int_equal(file_bytes(t, 2), SIZE_MAX);
    assert_ok(commit(j, 131, 5), &t->error);
    assert_int_equal(file_bytes(t, 1), before + batch_bytes(131, 5));
    assert_int_equal(wal_bytes(j), file_bytes(t, 1));
    assert_int_equal(file_bytes(t, 2), SIZE_MAX);
    wal_close(j);
    expect(t, 0, 1, 135, 0);
}

static void test_commit_and_replay(void **state)
{
    struct log_test t;
    struct seen *s = calloc(1, sizeof *s);
    uint64_t last, torn;
    begin(&t);
    expect(&t, 0, 0, 0, 0);
    for (int sync = WAL_WRITTEN; sync <= WAL_SYNCED; sync++) {
        test_dir_clear(t.dir);
        commit_and_replay(&t, sync);
        go_on(&t, sync);
    }
    s->fail_at = 7;
    assert_int_equal(wal_replay(&t.env, t.dir, 0, see, s, &last, &torn), ERR_NO_MEMORY);
    assert_int_equal(s->count, 7);
    free(s);
    end(&t);
}

/* Records 1 to 60 are in six files; files with records up to 50 only are deleted. */
static void rotate_and_forget(struct log_test *t, struct seen *s)
{
    struct wal *j;
    uint64_t lsn, torn;
    assert_ok(wal_open(&j, &t->env, WAL_SYNCED, 0, NULL), &t->error);
    assert_ok(wal_rotate(j, &lsn), &t->error); /* without a new record: the same file */
    assert_int_equal(lsn, 0);
    assert_int_equal(file_bytes(t, 2), SIZE_MAX);
    for (uint64_t k = 0; k < 5; k++) {
        assert_ok(commit(j, 1 + 10 * k, 10), &t->error);
        if (k % 2)
            assert_ok(wal_prepare(j), &t->error);
        assert_ok(wal_rotate(j, &lsn), &t->error);
        assert_int_equal(lsn, 10 * (k + 1));
    }
    assert_ok(commit(j, 51, 10), &t->error);
    expect(t, 0, 1, 60, 0);
    const uint64_t before = wal_bytes(j);
    wal_forget(j, 9);
    assert_int_equal(wal_bytes(j), before);
    wal_forget(j, 25);
    assert_int_equal(file_bytes(t, 2), SIZE_MAX);
    assert_int_not_equal(file_bytes(t, 3), SIZE_MAX);
    expect(t, 25, 26, 35, 0);
    assert_code(replay(t, 19, s, &lsn, &torn), ERR_CORRUPT, &t->error); /* 20 is missing */
    wal_forget(j, 1000);
    assert_int_equal(file_bytes(t, 5), SIZE_MAX);
    expect(t, 50, 51, 10, 0);
    assert_ok(wal_prepare(j), &t->error);
    wal_close(j);
    assert_int_equal(file_bytes(t, 7), SIZE_MAX);
}

/* Killed between creating a file and writing its header, or in the middle of the header. Records 61
   to 69 then go to three files. */
static void go_on_after_half_a_head(struct log_test *t, struct seen *s)
{
    struct wal *j;
    uint64_t lsn, torn;
    write_file(t, 7, (const unsigned char *)"DLJRNL4", 7);
    assert_ok(replay(t, 50, s, &lsn, &torn), &t->error);
    assert_int_equal(s->count, 10);
    assert_int_equal(torn, 7);
    assert_int_equal(file_bytes(t, 7), 7);
    assert_ok(wal_open(&j, &t->env, WAL_WRITTEN, 60, NULL), &t->error);
    assert_ok(commit(j, 61, 3), &t->error);
    assert_int_equal(file_bytes(t, 7), SIZE_MAX);
    assert_ok(wal_rotate(j, &lsn), &t->error);
    assert_ok(commit(j, 64, 3), &t->error);
    assert_ok(wal_rotate(j, &lsn), &t->error);
    assert_ok(commit(j, 67, 3), &t->error);
    wal_close(j);
    expect(t, 50, 51, 19, 0);
}

static void a_file_between_two_is_gone(struct log_test *t, struct seen *s)
{
    char path[PATH_MAX];
    uint64_t lsn, torn;
    log_file(t, 8, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(replay(t, 50, s, &lsn, &torn), ERR_CORRUPT);
    assert_non_null(strstr(t->error.text, "record 64 is damaged or missing, and records up to 66"));
    error_clear(&t->error);
    expect(t, 66, 67, 3, 0); /* not requested */
}

/* If nothing was written since the opening, all files can be deleted. */
static void all_files_can_go(struct log_test *t)
{
    struct wal *j;
    assert_ok(wal_open(&j, &t->env, WAL_WRITTEN, 69, NULL), &t->error);
    wal_forget(j, 68);
    assert_int_not_equal(file_bytes(t, 9), SIZE_MAX);
    wal_forget(j, 69);
    assert_int_equal(file_bytes(t, 9), SIZE_MAX);
    assert_int_equal(wal_bytes(j), 0);
    assert_ok(commit(j, 70, 3), &t->error);
    wal_close(j);
    expect(t, 69, 70, 3, 0);
}

static void test_rotation(void **state)
{
    struct log_test t;
    struct seen *s = malloc(sizeof *s);
    begin(&t);
    rotate_and_forget(&t, s);
    go_on_after_half_a_head(&t, s);
    a_file_between_two_is_gone(&t, s);
    all_files_can_go(&t);
    free(s);
    end(&t);
}

/* A crash may leave any part of the last batch. Replay does not remove it, so that an index can be
   opened on a read-only file system; the next commit cuts it off. */
static void test_torn(void **state)
{
    struct log_test t;
    struct wal *j;
    unsigned char bytes[4096];
    begin(&t);
    assert_ok(wal_open(&j, &t.env, WAL_WRITTEN, 0, NULL), &t.error);
    assert_ok(commit_each(j, 1, 18), &t.error);
    assert_ok(commit(j, 19, 2), &t.error);
    wal_close(j);
    const size_t n = read_file(&t, 1, bytes, sizeof bytes), whole = n - batch_bytes(19, 2);
    for (size_t length = whole; length < n; length++) {
        test_dir_clear(t.dir);
        write_file(&t, 1, bytes, length);
        expect(&t, 0, 1, 18, length - whole);
        assert_int_equal(file_bytes(&t, 1), length);
        /* The file system may have left zeros in place of the rest. */
        unsigned char zeros[4096] = { 0 };
        memcpy(zeros, bytes, length);
        write_file(&t, 1, zeros, n);
        expect(&t, 0, 1, 18, n - whole);
        assert_ok(wal_open(&j, &t.env, WAL_WRITTEN, 18, NULL), &t.error);
        assert_ok(commit(j, 19, 1), &t.error);
        wal_close(j);
        assert_int_equal(file_bytes(&t, 1), whole + batch_bytes(19, 1));
        expect(&t, 0, 1, 19, 0);
    }
    test_dir_clear(t.dir);
    for (size_t length = 0; length <= sizeof(struct wal_head); length++) {
        write_file(&t, 1, bytes, length);
        expect(&t, 0, 1, 0, length < sizeof(struct wal_head) ? length : 0);
    }
    end(&t);
}

/* The offset of record k's batch in a file that begins with record `first`, at
   one record per batch. */
static size_t place_of(uint64_t first, uint64_t k)
{
    size_t at = sizeof(struct wal_head);
    for (uint64_t i = first; i < k; i++)
        at += batch_bytes(i, 1);
    return at;
}

/* Flips one bit in two files of 12 records each. A record known to be durable is reported as
   missing; any other is taken for a torn tail. */
static void expect_flip(struct log_test *t, uint64_t file, size_t at, uint64_t lsn, struct seen *s)
{
    char says[64];
    uint64_t last, torn;
    const int rc = replay(t, 0, s, &last, &torn);
    const bool head = at < sizeof(struct wal_head);
    /* In the second file each record but the last is known to be durable from the one after it. */
    const bool known = file == 1 || lsn < 24;
    if (!known) {
        assert_ok(rc, &t->error);
        assert_int_equal(last, 23);
        assert_int_equal(torn, batch_bytes(24, 1));
        return;
    }
    if (rc != ERR_CORRUPT || !strstr(t->error.text, t->dir))
        fail_msg("file %d, byte %zu: %s: %s", (int)file, at, error_name(rc), t->error.text);
    if (head)
        (void)snprintf(says, sizeof says, "record %d is", (int)lsn);
    else
        (void)snprintf(says, sizeof says, "byte %zu: record %d is",
                       place_of(file == 1 ? 1 : 13, lsn), (int)lsn);
    if (!strstr(t->error.text, says) || s->count != lsn - 1)
        fail_msg("byte %zu: expected \"%s\" in: %s", at, says, t->error.text);
    error_clear(&t->error);
}

static void test_flipped(void **state)
{
    struct log_test t;
    struct wal *j;
    unsigned char bytes[4096];
    struct seen *s = malloc(sizeof *s);
    struct rng r = rng_at(test_seed(), 2);
    uint64_t last;
    begin(&t);
    assert_ok(wal_open(&j, &t.env, WAL_SYNCED, 0, NULL), &t.error);
    assert_ok(commit_each(j, 1, 12), &t.error);
    assert_ok(wal_rotate(j, &last), &t.error);
    assert_ok(commit_each(j, 13, 12), &t.error);
    wal_close(j);
    for (uint64_t file = 1; file <= 2; file++) {
        const size_t n = read_file(&t, file, bytes, sizeof bytes);
        const uint64_t first = file == 1 ? 1 : 13;
        uint64_t lsn = first;
        for (size_t i = 0; i < n; i++) {
            const unsigned char was = bytes[i];
            bytes[i] ^= (unsigned char)(1U << rng_below(&r, 8));
            write_file(&t, file, bytes, n);
            if (i >= place_of(first, lsn + 1))
                lsn++;
            expect_flip(&t, file, i, lsn, s);
            bytes[i] = was;
            write_file(&t, file, bytes, n);
            expect(&t, 0, 1, 24, 0);
        }
    }
    /* Damage before the requested records does not matter. */
    const size_t n = read_file(&t, 1, bytes, sizeof bytes);
    bytes[100] ^= 1;
    write_file(&t, 1, bytes, n);
    expect(&t, 12, 13, 12, 0);
    free(s);
    end(&t);
}

/* A log of the previous format is refused with a message that names the format. */
static void test_older_format(void **state)
{
    struct log_test t;
    struct seen *s = malloc(sizeof *s);
    uint64_t last, torn;
    begin(&t);
    write_file(&t, 1, (const unsigned char *)"DLJRNL2\0 and the rest of a head", 32);
    assert_int_equal(replay(&t, 0, s, &last, &torn), ERR_VERSION);
    assert_non_null(strstr(t.error.text, "journal.000001 was written by an older version"));
    free(s);
    end(&t);
}

/* ------------------------------------------------------------------------------- claims */

static void test_claims(void **state)
{
    struct log_test t;
    struct stat file;
    int fd, other;
    char says[64];
    begin(&t);
    assert_ok(folder_claim(t.dir, &fd, &t.error), &t.error);
    /* The process's number takes the place of the largest: the size of an index does not depend on it. */
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(file.st_size, strlen("-9223372036854775808\n"));
    assert_int_equal(folder_claim(t.dir, &other, &t.error), ERR_IO);
    (void)snprintf(says, sizeof says, "this process, %ld", (long)getpid());
    assert_non_null(strstr(t.error.text, says));
    assert_non_null(strstr(t.error.text, t.dir));
    error_clear(&t.error);
    close(fd);
    /* Another process holds the claim until it is killed. */
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        const char done = folder_claim(t.dir, &fd, NULL) == OK ? 'y' : 'n';
        (void)!write(ready[1], &done, 1);
        pause();
        _exit(0);
    }
    char done = 0;
    assert_int_equal(read(ready[0], &done, 1), 1);
    assert_int_equal(done, 'y');
    assert_int_equal(folder_claim(t.dir, &other, &t.error), ERR_IO);
    (void)snprintf(says, sizeof says, "process %ld", (long)child);
    assert_non_null(strstr(t.error.text, says));
    error_clear(&t.error);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    assert_ok(folder_claim(t.dir, &fd, &t.error), &t.error);
    close(fd);
    assert_code(folder_claim("/nowhere/at/all", &fd, &t.error), ERR_IO, &t.error);
    end(&t);
}

int main(void)
{
    return test_run_all("wal", test_commit_and_replay, test_rotation, test_torn, test_flipped,
                        test_older_format, test_claims);
}
