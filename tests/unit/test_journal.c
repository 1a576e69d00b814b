/* test_journal.c - what was committed is replayed, whatever was torn, flipped, refused or shared. */
#include "tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "algorithms/common/crc32c.h"
#include "algorithms/common/folder_claim.h"
#include "algorithms/common/journal.h"
#include "algorithms/common/journal_files.h"

struct log_test {
    struct mem mem;
    struct error error;
    struct index_env env;
    char dir[PATH_MAX];
};

static void begin(struct log_test *t)
{
    memset(t, 0, sizeof *t);
    test_dir_make(t->dir);
    t->env = (struct index_env){ .mem = &t->mem, .error = &t->error, .dir = t->dir };
}

static void end(struct log_test *t)
{
    assert_int_equal(mem_live(&t->mem), 0);
    test_dir_remove(t->dir);
}

/* Record n's payload: n and then n % 50 bytes of n; op n % 7. */
static int append(struct journal *j, uint64_t n)
{
    unsigned char bytes[50];
    memset(bytes, (int)(n & 0xff), sizeof bytes);
    const struct journal_part parts[] = { { &n, sizeof n }, { bytes, n % 50 } };
    return journal_append(j, (uint8_t)(n % 7), parts, 2);
}

static int commit(struct journal *j, uint64_t first, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const int rc = append(j, first + i);
        if (rc)
            return rc;
    }
    return journal_commit(j);
}

/* Each in a batch of its own. */
static int commit_each(struct journal *j, uint64_t first, uint64_t n)
{
    int rc = OK;
    for (uint64_t i = 0; !rc && i < n; i++)
        rc = commit(j, first + i, 1);
    return rc;
}

static size_t record_bytes(uint64_t n)
{
    return JOURNAL_RECORD + 8 + n % 50;
}

/* Of a batch of records first .. first + n - 1. */
static size_t batch_bytes(uint64_t first, uint64_t n)
{
    size_t bytes = JOURNAL_BATCH;
    for (uint64_t i = 0; i < n; i++)
        bytes += record_bytes(first + i);
    return bytes;
}

enum { SEEN_MOST = 4096 };
struct seen {
    uint64_t lsn[SEEN_MOST], n[SEEN_MOST];
    size_t count, fail_at;
};

static int see(void *to, const struct journal_record *r)
{
    struct seen *s = to;
    uint64_t n;
    assert_true(r->n >= 8 && s->count < SEEN_MOST);
    memcpy(&n, r->payload, 8);
    assert_int_equal(r->n, 8 + n % 50);
    assert_int_equal(r->op, n % 7);
    for (size_t i = 8; i < r->n; i++)
        assert_int_equal(((const unsigned char *)r->payload)[i], n & 0xff);
    s->lsn[s->count] = r->lsn;
    s->n[s->count++] = n;
    return s->count == s->fail_at ? ERR_NO_MEMORY : OK;
}

static int replay(struct log_test *t, uint64_t after, struct seen *s, uint64_t *last,
                  uint64_t *torn)
{
    memset(s, 0, sizeof *s);
    return journal_replay(&t->env, t->dir, after, see, s, last, torn);
}

/* Records first .. first + n - 1, whose lsns begin with `lsn`. */
static void expect(struct log_test *t, uint64_t after, uint64_t first, size_t n, uint64_t torn)
{
    static struct seen s;
    uint64_t last, cut;
    assert_ok(replay(t, after, &s, &last, &cut), &t->error);
    assert_int_equal(s.count, n);
    assert_int_equal(cut, torn);
    assert_int_equal(last, after + n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s.lsn[i], after + 1 + i);
        assert_int_equal(s.n[i], first + i);
    }
}

static void file_path(const struct log_test *t, uint64_t number, char path[PATH_MAX])
{
    assert_ok(journal_path(path, t->dir, number, NULL), NULL);
}

static size_t file_bytes(const struct log_test *t, uint64_t number)
{
    char path[PATH_MAX];
    struct stat st;
    file_path(t, number, path);
    return stat(path, &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
}

static size_t read_file(const struct log_test *t, uint64_t number, unsigned char *bytes,
                        size_t most)
{
    char path[PATH_MAX];
    file_path(t, number, path);
    const int fd = open(path, O_RDONLY);
    const ssize_t n = read(fd, bytes, most);
    assert_true(fd >= 0 && n > 0 && (size_t)n < most);
    close(fd);
    return (size_t)n;
}

static void write_file(const struct log_test *t, uint64_t number, const unsigned char *bytes,
                       size_t n)
{
    char path[PATH_MAX];
    file_path(t, number, path);
    const int fd = open(path, O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0);
    close(fd);
}

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
static void test_crc32c(void **state)
{
    (void)state;
    unsigned char bytes[300] = { 0 };
    static uint32_t (*const of[])(uint32_t, const void *, size_t) = { crc32c, crc32c_plain };
    for (size_t k = 0; k < 2; k++) {
        memset(bytes, 0, 32);
        assert_int_equal(of[k](0, bytes, 32), 0x8a9136aa);
        memset(bytes, 0xff, 32);
        assert_int_equal(of[k](0, bytes, 32), 0x62a8ab43);
        for (size_t i = 0; i < 32; i++)
            bytes[i] = (unsigned char)i;
        assert_int_equal(of[k](0, bytes, 32), 0x46dd794e);
        for (size_t i = 0; i < 32; i++)
            bytes[i] = (unsigned char)(31 - i);
        assert_int_equal(of[k](0, bytes, 32), 0x113fdb5c);
        assert_int_equal(of[k](0, "123456789", 9), 0xe3069283);
        assert_int_equal(of[k](0, "", 0), 0);
    }
    struct rng r = rng_at(test_seed(), 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)rng_u64(&r);
    for (size_t n = 0; n < 200; n++) {
        const unsigned char *p = bytes + rng_below(&r, 90);
        const size_t first = rng_below(&r, n + 1);
        assert_int_equal(crc32c(0, p, n), crc32c_plain(0, p, n));
        assert_int_equal(crc32c(crc32c(0, p, first), p + first, n - first), crc32c(0, p, n));
    }
}

static void test_commit_and_replay(void **state)
{
    (void)state;
    struct log_test t;
    struct journal *j;
    begin(&t);
    expect(&t, 0, 0, 0, 0);
    for (int sync = JOURNAL_WRITTEN; sync <= JOURNAL_SYNCED; sync++) {
        test_dir_clear(t.dir);
        assert_ok(journal_open(&j, &t.env, sync, 0, NULL), &t.error);
        assert_ok(journal_commit(j), &t.error); /* nothing */
        assert_ok(commit(j, 1, 100), &t.error);
        assert_int_equal(journal_syncs(j), sync == JOURNAL_SYNCED);
        for (uint64_t i = 101; i <= 130; i++)
            assert_ok(commit(j, i, 1), &t.error);
        assert_int_equal(journal_syncs(j), sync == JOURNAL_SYNCED ? 31 : 0);
        assert_int_equal(journal_last(j), 130);
        assert_int_equal(journal_bytes(j), file_bytes(&t, 1));
        /* Abandoned, or not committed: not there. */
        assert_ok(append(j, 131), &t.error);
        journal_abandon(j);
        assert_ok(journal_commit(j), &t.error);
        assert_ok(append(j, 131), &t.error);
        journal_close(j);
        expect(&t, 0, 1, 130, 0);
        expect(&t, 90, 91, 40, 0);
        expect(&t, 130, 131, 0, 0);
        expect(&t, 200, 0, 0, 0);
        /* Another opening goes on in the same file, and writes nothing before its first commit. */
        const size_t before = file_bytes(&t, 1);
        assert_ok(journal_open(&j, &t.env, sync, 130, NULL), &t.error);
        assert_int_equal(journal_bytes(j), before);
        assert_int_equal(journal_last(j), 130);
        uint64_t lsn;
        assert_ok(journal_prepare(j), &t.error);
        assert_ok(journal_rotate(j, &lsn), &t.error);
        assert_int_equal(lsn, 130);
        assert_int_equal(file_bytes(&t, 1), before);
        assert_int_equal(file_bytes(&t, 2), SIZE_MAX);
        assert_ok(commit(j, 131, 5), &t.error);
        assert_int_equal(file_bytes(&t, 1), before + batch_bytes(131, 5));
        assert_int_equal(journal_bytes(j), file_bytes(&t, 1));
        assert_int_equal(file_bytes(&t, 2), SIZE_MAX);
        journal_close(j);
        expect(&t, 0, 1, 135, 0);
    }
    struct seen *s = calloc(1, sizeof *s);
    uint64_t last, torn;
    s->fail_at = 7;
    assert_int_equal(journal_replay(&t.env, t.dir, 0, see, s, &last, &torn), ERR_NO_MEMORY);
    assert_int_equal(s->count, 7);
    free(s);
    end(&t);
}

static void test_rotation(void **state)
{
    (void)state;
    struct log_test t;
    struct journal *j;
    uint64_t lsn;
    begin(&t);
    assert_ok(journal_open(&j, &t.env, JOURNAL_SYNCED, 0, NULL), &t.error);
    assert_ok(journal_rotate(j, &lsn), &t.error); /* without a record: the same file */
    assert_int_equal(lsn, 0);
    assert_int_equal(file_bytes(&t, 2), SIZE_MAX);
    for (uint64_t k = 0; k < 5; k++) {
        assert_ok(commit(j, 1 + 10 * k, 10), &t.error);
        if (k % 2)
            assert_ok(journal_prepare(j), &t.error);
        assert_ok(journal_rotate(j, &lsn), &t.error);
        assert_int_equal(lsn, 10 * (k + 1));
    }
    assert_ok(commit(j, 51, 10), &t.error);
    expect(&t, 0, 1, 60, 0);
    const uint64_t before = journal_bytes(j);
    journal_forget(j, 9);
    assert_int_equal(journal_bytes(j), before);
    journal_forget(j, 25);
    assert_int_equal(file_bytes(&t, 2), SIZE_MAX);
    assert_int_not_equal(file_bytes(&t, 3), SIZE_MAX);
    expect(&t, 25, 26, 35, 0);
    struct seen *s = malloc(sizeof *s);
    uint64_t torn;
    assert_code(replay(&t, 19, s, &lsn, &torn), ERR_CORRUPT, &t.error); /* 20 is missing */
    journal_forget(j, 1000);
    assert_int_equal(file_bytes(&t, 5), SIZE_MAX);
    expect(&t, 50, 51, 10, 0);
    assert_ok(journal_prepare(j), &t.error);
    journal_close(j);
    assert_int_equal(file_bytes(&t, 7), SIZE_MAX);
    /* Killed between making a file ready and writing its head, or half of it. */
    write_file(&t, 7, (const unsigned char *)"DLJRNL2", 7);
    assert_ok(replay(&t, 50, s, &lsn, &torn), &t.error);
    assert_int_equal(s->count, 10);
    assert_int_equal(torn, 7);
    assert_int_equal(file_bytes(&t, 7), 7);
    assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 60, NULL), &t.error);
    assert_ok(commit(j, 61, 3), &t.error);
    assert_int_equal(file_bytes(&t, 7), SIZE_MAX);
    assert_ok(journal_rotate(j, &lsn), &t.error);
    assert_ok(commit(j, 64, 3), &t.error);
    assert_ok(journal_rotate(j, &lsn), &t.error);
    assert_ok(commit(j, 67, 3), &t.error);
    journal_close(j);
    expect(&t, 50, 51, 19, 0);
    /* A file between two is gone. */
    char path[PATH_MAX];
    file_path(&t, 8, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(replay(&t, 50, s, &lsn, &torn), ERR_CORRUPT);
    assert_non_null(strstr(t.error.text, "record 64 is damaged or missing, and records up to 66"));
    error_clear(&t.error);
    expect(&t, 66, 67, 3, 0); /* not asked for */
    /* All of them can go where nothing was written since the opening. */
    assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 69, NULL), &t.error);
    journal_forget(j, 68);
    assert_int_not_equal(file_bytes(&t, 9), SIZE_MAX);
    journal_forget(j, 69);
    assert_int_equal(file_bytes(&t, 9), SIZE_MAX);
    assert_int_equal(journal_bytes(j), 0);
    assert_ok(commit(j, 70, 3), &t.error);
    journal_close(j);
    expect(&t, 69, 70, 3, 0);
    free(s);
    end(&t);
}

/* A crash may leave any part of the last batch. Replay leaves it where it is, so that an index can be
   opened where nothing can be written; the next commit cuts it off. */
static void test_torn(void **state)
{
    (void)state;
    struct log_test t;
    struct journal *j;
    unsigned char bytes[4096];
    begin(&t);
    assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 0, NULL), &t.error);
    assert_ok(commit_each(j, 1, 18), &t.error);
    assert_ok(commit(j, 19, 2), &t.error);
    journal_close(j);
    const size_t n = read_file(&t, 1, bytes, sizeof bytes), whole = n - batch_bytes(19, 2);
    for (size_t length = whole; length < n; length++) {
        test_dir_clear(t.dir);
        write_file(&t, 1, bytes, length);
        expect(&t, 0, 1, 18, length - whole);
        assert_int_equal(file_bytes(&t, 1), length);
        /* The machine may have put zeros where the rest should be. */
        unsigned char zeros[4096] = { 0 };
        memcpy(zeros, bytes, length);
        write_file(&t, 1, zeros, n);
        expect(&t, 0, 1, 18, n - whole);
        assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 18, NULL), &t.error);
        assert_ok(commit(j, 19, 1), &t.error);
        journal_close(j);
        assert_int_equal(file_bytes(&t, 1), whole + batch_bytes(19, 1));
        expect(&t, 0, 1, 19, 0);
    }
    test_dir_clear(t.dir);
    for (size_t length = 0; length <= sizeof(struct journal_head); length++) {
        write_file(&t, 1, bytes, length);
        expect(&t, 0, 1, 0, length < sizeof(struct journal_head) ? length : 0);
    }
    end(&t);
}

/* Where the file's batches of one record begin, from the one of record `first` on. */
static size_t place_of(uint64_t first, uint64_t k)
{
    size_t at = sizeof(struct journal_head);
    for (uint64_t i = first; i < k; i++)
        at += batch_bytes(i, 1);
    return at;
}

/* One bit of two files of 12 records each. What the device had once is missed; what nobody knows to have been
   there is a tail. */
static void expect_flip(struct log_test *t, uint64_t file, size_t at, uint64_t lsn, struct seen *s)
{
    char says[64];
    uint64_t last, torn;
    const int rc = replay(t, 0, s, &last, &torn);
    const bool head = at < sizeof(struct journal_head);
    /* A record of the second file but the last is called durable by the one after it. */
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
    (void)state;
    struct log_test t;
    struct journal *j;
    unsigned char bytes[4096];
    struct seen *s = malloc(sizeof *s);
    struct rng r = rng_at(test_seed(), 2);
    uint64_t last;
    begin(&t);
    assert_ok(journal_open(&j, &t.env, JOURNAL_SYNCED, 0, NULL), &t.error);
    assert_ok(commit_each(j, 1, 12), &t.error);
    assert_ok(journal_rotate(j, &last), &t.error);
    assert_ok(commit_each(j, 13, 12), &t.error);
    journal_close(j);
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
    /* Damage before what is asked for does not matter. */
    const size_t n = read_file(&t, 1, bytes, sizeof bytes);
    bytes[100] ^= 1;
    write_file(&t, 1, bytes, n);
    expect(&t, 12, 13, 12, 0);
    free(s);
    end(&t);
}

/* A log of the format before is refused by name. */
static void test_older_format(void **state)
{
    (void)state;
    struct log_test t;
    struct seen *s = malloc(sizeof *s);
    uint64_t last, torn;
    begin(&t);
    write_file(&t, 1, (const unsigned char *)"DLJRNL1\0 and the rest of a head", 32);
    assert_int_equal(replay(&t, 0, s, &last, &torn), ERR_VERSION);
    assert_non_null(strstr(t.error.text, "journal.000001 was written by an older version"));
    free(s);
    end(&t);
}

struct faults {
    size_t calls, fail_at;
    bool forever;
    const char *only;
    int code;
};

static int fail_nth(void *to, const char *call)
{
    struct faults *f = to;
    if (f->only && strcmp(f->only, call) != 0)
        return 0;
    f->calls++;
    return f->calls == f->fail_at || (f->forever && f->calls > f->fail_at) ? f->code : 0;
}

/* Commits, rotations and forgetting; what failed is done again. acknowledged[]: in order. */
static size_t script(struct log_test *t, struct journal *j, struct faults *f,
                     uint64_t *acknowledged)
{
    size_t n = 0;
    for (uint64_t i = 1; i <= 24; i++) {
        int rc = append(j, 2 * i);
        assert_ok(rc ? rc : append(j, 2 * i + 1), &t->error);
        rc = journal_commit(j);
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
            rc = journal_rotate(j, &lsn);
            assert_true(rc == OK || rc == ERR_IO);
            error_clear(&t->error);
            assert_int_equal(lsn, n);
        }
        if (i % 12 == 0)
            journal_forget(j, n > 20 ? 20 : n);
    }
    (void)f;
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

/* Whichever call fails, once or from then on: what was acknowledged is there, what was refused is
   not. */
static void test_failing_calls(void **state)
{
    (void)state;
    struct log_test t;
    uint64_t acknowledged[64];
    begin(&t);
    for (int forever = 0; forever < 2; forever++) {
        size_t i = 1;
        for (bool done = false; !done; i++) {
            struct faults faults = { .fail_at = i,
                                     .forever = forever,
                                     .code = i % 2 ? EIO : ENOSPC };
            const struct store_fault fault = { fail_nth, &faults };
            struct journal *j = NULL;
            const int rc = journal_open(&j, &t.env, JOURNAL_SYNCED, 0, &fault);
            if (rc) {
                assert_code(rc, ERR_IO, &t.error);
                assert_null(j);
                assert_int_equal(mem_live(&t.mem), 0);
            } else {
                const size_t n = script(&t, j, &faults, acknowledged);
                done = faults.calls < i;
                assert_true(done ? n == 48 : true);
                assert_true(forever || n >= 46);
                /* A kill at this point, and going on, give the same. */
                if (!forever)
                    expect_these(&t, acknowledged, n);
                faults = (struct faults){ 0 };
                assert_ok(commit(j, 1000, 1), &t.error);
                acknowledged[n] = 1000;
                expect_these(&t, acknowledged, n + 1);
            }
            journal_close(j);
            test_dir_clear(t.dir);
        }
        assert_true(i > 50);
    }
    end(&t);
}

/* A failed write that cannot be cut back: refused until it can be, or until the journal is rotated. */
static void test_uncut(void **state)
{
    (void)state;
    struct log_test t;
    struct journal *j;
    uint64_t lsn;
    struct faults faults = { .fail_at = 1, .forever = true, .only = "ftruncate", .code = EIO };
    const struct store_fault fault = { fail_nth, &faults };
    begin(&t);
    assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 0, &fault), &t.error);
    assert_ok(commit(j, 1, 3), &t.error);
    /* A file as large as it may be: the first bytes of the batch are written, and no more. */
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
    assert_non_null(strstr(t.error.text, "cannot be cut back"));
    error_clear(&t.error);
    assert_int_equal(journal_last(j), 3);
    assert_ok(journal_rotate(j, &lsn), &t.error);
    assert_int_equal(lsn, 3);
    assert_ok(commit(j, 4, 10), &t.error);
    expect(&t, 0, 1, 13, 0);
    /* The same, and the file can be cut later. */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_cur = file_bytes(&t, 2) + batch_bytes(4, 1) + 3;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_code(commit(j, 14, 20), ERR_IO, &t.error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_code(commit(j, 14, 20), ERR_IO, &t.error);
    faults.forever = false;
    assert_ok(commit(j, 14, 20), &t.error);
    expect(&t, 0, 1, 33, 0);
    journal_close(j);
    end(&t);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct log_test t;
    begin(&t);
    bool done = false;
    for (size_t i = 1; !done; i++) {
        struct journal *j = NULL;
        t.mem.fail_at = atomic_load(&t.mem.calls) + i;
        t.mem.failed = false;
        int rc = journal_open(&j, &t.env, JOURNAL_WRITTEN, 0, NULL);
        if (!rc) {
            rc = commit(j, 1, 30);
            if (rc) {
                assert_code(rc, ERR_NO_MEMORY, &t.error);
                assert_ok(commit(j, 1, 30), &t.error);
            }
            uint64_t lsn;
            rc = journal_rotate(j, &lsn);
            if (rc) {
                assert_code(rc, ERR_NO_MEMORY, &t.error);
                assert_ok(journal_rotate(j, &lsn), &t.error);
            }
            done = !t.mem.failed;
            t.mem.fail_at = 0;
            expect(&t, 0, 1, 30, 0);
        } else {
            assert_code(rc, ERR_NO_MEMORY, &t.error);
        }
        journal_close(j);
        assert_int_equal(mem_live(&t.mem), 0);
        test_dir_clear(t.dir);
    }
    end(&t);
}

/* ------------------------------------------------------------------------------- power cuts */

enum { PAGE = 4096, IMAGE_MOST = 10 * PAGE, IMAGE_FILES = 2 };

/* A file as the device had it at the last fsync, as the system had it when the power went, and, where an
   update failed in between, as it was then. A page that was not synced is on the device in any of these
   versions, or zero. */
struct image {
    unsigned char synced[IMAGE_MOST], stale[IMAGE_MOST], written[IMAGE_MOST];
    size_t synced_n, stale_n, written_n;
};

static size_t image_read(const struct log_test *t, uint64_t number, unsigned char *bytes)
{
    memset(bytes, 0, IMAGE_MOST);
    return read_file(t, number, bytes, IMAGE_MOST);
}

/* Writes the file with the unsynced pages' versions by the digits of `choice`, base 4, and the size by one
   more digit: as written, as synced, or cut after a page between. What is left of `choice`. */
static size_t image_write(const struct log_test *t, uint64_t number, const struct image *image,
                          size_t choice)
{
    unsigned char bytes[IMAGE_MOST] = { 0 };
    const size_t first = image->synced_n / PAGE;
    const size_t end = (image->written_n + PAGE - 1) / PAGE;

    memcpy(bytes, image->synced, image->synced_n);
    for (size_t page = first; page < end; page++, choice /= 4) {
        const unsigned char *const from[] = { image->written, image->synced, image->stale };
        if (choice % 4 < 3)
            memcpy(bytes + page * PAGE, from[choice % 4] + page * PAGE, PAGE);
        else if (page > first) /* the first one has synced bytes */
            memset(bytes + page * PAGE, 0, PAGE);
    }
    const size_t middle = (first + end) / 2 * PAGE;
    const size_t n = choice % 3 == 0                                         ? image->written_n
                     : choice % 3 == 1                                       ? image->synced_n
                     : middle > image->synced_n && middle < image->written_n ? middle
                                                                             : image->written_n;
    char path[PATH_MAX];
    file_path(t, number, path);
    (void)unlink(path);
    if (n || choice % 2)
        write_file(t, number, bytes, n);
    return choice / 3;
}

/* How many choices there are. */
static size_t image_choices(const struct image *image)
{
    size_t choices = 3;
    for (size_t page = image->synced_n / PAGE; page * PAGE < image->written_n; page++)
        choices *= 4;
    return choices;
}

/* After a power cut: the log opens, its records are 1 ... n for an n of `ends`, at least `least`; it goes on,
   and what is committed then is there after. */
static void expect_opens(struct log_test *t, const uint64_t *ends, size_t n_ends, uint64_t least,
                         size_t choice)
{
    static struct seen s;
    struct journal *j;
    uint64_t last = 0, dropped;
    const int rc = replay(t, 0, &s, &last, &dropped);

    if (rc)
        fail_msg("choice %zu: %s", choice, t->error.text);
    bool allowed = last >= least && s.count == last;
    for (size_t i = 0; allowed && i < s.count; i++)
        allowed = s.n[i] == i + 1;
    bool end_of_batch = false;
    for (size_t i = 0; i < n_ends; i++)
        end_of_batch = end_of_batch || ends[i] == last;
    if (!allowed || !end_of_batch)
        fail_msg("choice %zu: %zu records, the last one %" PRIu64, choice, s.count, last);
    const uint64_t next = last + 1;
    assert_ok(journal_open(&j, &t->env, JOURNAL_SYNCED, last, NULL), &t->error);
    assert_ok(commit(j, next, 5), &t->error);
    journal_close(j);
    expect(t, 0, 1, (size_t)next + 4, 0);
}

/* Every subset of the unsynced pages of a batch that was not acknowledged, over those of one that failed before
   it at the same place, each page old, new, stale or zero, the size old, new or between. */
static void test_power_cut_in_a_batch(void **state)
{
    (void)state;
    struct log_test t;
    struct journal *j;
    static struct image image;
    struct faults faults = { .only = "fsync", .fail_at = 3, .code = EIO };
    const struct store_fault fault = { fail_nth, &faults };
    begin(&t);
    assert_ok(journal_open(&j, &t.env, JOURNAL_SYNCED, 0, &fault), &t.error);
    assert_ok(commit(j, 1, 20), &t.error);
    assert_ok(commit(j, 21, 20), &t.error);
    image.synced_n = image_read(&t, 1, image.synced);
    /* The same lengths, so that the records of both lie at the same places, and other values. */
    assert_code(commit(j, 41 + 50 * 256, 400), ERR_IO, &t.error);
    assert_ok(commit(j, 41 + 50 * 256, 400), &t.error);
    image.stale_n = image_read(&t, 1, image.stale);
    journal_close(j);
    test_dir_clear(t.dir);
    write_file(&t, 1, image.synced, image.synced_n);
    assert_ok(journal_open(&j, &t.env, JOURNAL_SYNCED, 40, NULL), &t.error);
    assert_ok(commit(j, 41, 400), &t.error);
    journal_close(j);
    image.written_n = image_read(&t, 1, image.written);
    assert_int_equal(image.stale_n, image.written_n);
    const uint64_t ends[] = { 40, 440 };
    size_t whole = 0;
    for (size_t choice = 0; choice < image_choices(&image); choice++) {
        static struct seen s;
        uint64_t last, dropped;
        image_write(&t, 1, &image, choice);
        const int rc = replay(&t, 0, &s, &last, &dropped);
        assert_ok(rc, &t.error);
        /* The batch that failed, whole: its caller was told of an error, and nothing came after it. */
        if (last == 440 && s.n[40] != 41)
            continue;
        whole += last == 440;
        expect_opens(&t, ends, 2, 40, choice);
    }
    assert_int_equal(whole, 1); /* where all pages and the size are new */
    end(&t);
}

/* A batch of an update that failed lies behind one of its successor, sound and with the lsn that is next. */
static void test_stale_batch(void **state)
{
    (void)state;
    struct log_test t;
    struct journal *j;
    unsigned char failed[4096], bytes[4096];
    size_t n = 0;
    begin(&t);
    for (uint64_t k = 0; k < 2; k++) {
        test_dir_clear(t.dir);
        assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 0, NULL), &t.error);
        assert_ok(commit(j, 1, 3), &t.error);
        assert_ok(commit(j, k ? 4 : 4 + 350, 3), &t.error);
        assert_ok(commit(j, k ? 7 : 7 + 350, 3), &t.error);
        journal_close(j);
        n = read_file(&t, 1, k ? bytes : failed, sizeof bytes);
    }
    const size_t at = n - batch_bytes(7, 3);
    memcpy(bytes + at, failed + at, n - at);
    write_file(&t, 1, bytes, n);
    expect(&t, 0, 1, 6, n - at);
    end(&t);
}

/* The same of commits that were not to be synced, over two files: the older one synced when the newer one began,
   or not, where that sync failed. */
static void run_power_cut_in_two_files(bool sync_fails)
{
    struct log_test t;
    struct journal *j;
    static struct image images[IMAGE_FILES];
    struct faults faults = { .only = "fsync", .fail_at = sync_fails, .forever = true, .code = EIO };
    const struct store_fault fault = { fail_nth, &faults };
    uint64_t ends[80], lsn;
    size_t n_ends = 0;
    begin(&t);
    memset(images, 0, sizeof images);
    assert_ok(journal_open(&j, &t.env, JOURNAL_WRITTEN, 0, &fault), &t.error);
    ends[n_ends++] = 0;
    for (size_t file = 0; file < IMAGE_FILES; file++) {
        for (int i = 0; i < 7; i++) {
            const uint64_t first = ends[n_ends - 1] + 1;
            assert_ok(commit(j, first, 30), &t.error);
            ends[n_ends++] = first + 29;
        }
        images[file].written_n = image_read(&t, file + 1, images[file].written);
        if (file == 0)
            assert_ok(journal_rotate(j, &lsn), &t.error);
        error_clear(&t.error);
        if (file == 0 && !sync_fails)
            images[0].synced_n = image_read(&t, 1, images[0].synced);
        memcpy(images[file].stale, images[file].synced, IMAGE_MOST);
    }
    journal_close(j);
    const uint64_t least = sync_fails ? 0 : lsn;
    const size_t choices = image_choices(&images[0]) * image_choices(&images[1]);
    struct rng r = rng_at(test_seed(), 9);
    for (size_t i = 0; i < 3000; i++) {
        const size_t choice = i < 1000 ? i : rng_below(&r, choices);
        test_dir_clear(t.dir);
        const size_t rest = image_write(&t, 1, &images[0], choice);
        image_write(&t, 2, &images[1], rest);
        expect_opens(&t, ends, n_ends, least, choice);
    }
    end(&t);
}

static void test_power_cut_in_two_files(void **state)
{
    (void)state;
    run_power_cut_in_two_files(false);
    run_power_cut_in_two_files(true);
}

/* ------------------------------------------------------------------------------- threads */

enum { THREADS = 6, COMMITS = 40 };

struct committer {
    struct journal *j;
    uint64_t first;
    size_t failed;
};

/* Batches of three, so that records of a batch can be seen to stay together. */
static void *commit_many(void *arg)
{
    struct committer *c = arg;
    for (uint64_t i = 0; i < COMMITS; i++)
        if (commit(c->j, c->first + 3 * i, 3) != OK)
            c->failed++;
    return NULL;
}

/* Sleeps before each sync, so that others commit meanwhile; fails every 7th. */
struct slow {
    atomic_size_t syncs;
    bool fails;
};

static int slow_sync(void *to, const char *call)
{
    struct slow *s = to;
    if (strcmp(call, "fsync") != 0)
        return 0;
    usleep(2000);
    const size_t n = atomic_fetch_add(&s->syncs, 1) + 1;
    return s->fails && n % 7 == 0 ? EIO : 0;
}

static void run_threads(bool fails)
{
    struct log_test t;
    struct journal *j;
    struct slow slow = { .fails = fails };
    const struct store_fault fault = { slow_sync, &slow };
    pthread_t threads[THREADS];
    struct committer committers[THREADS];
    uint64_t last, torn, lsn;
    begin(&t);
    assert_ok(journal_open(&j, &t.env, JOURNAL_SYNCED, 0, &fault), &t.error);
    for (size_t i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){ j, i * 1000, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, commit_many, &committers[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        usleep(5000);
        assert_ok(journal_rotate(j, &lsn), fails ? NULL : &t.error);
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
        assert_true(s.n[i] % 1000 >= next[who]); /* a thread's commits in its order */
        next[who] = s.n[i] % 1000 + 3;
        assert_true(s.n[i + 1] == s.n[i] + 1 && s.n[i + 2] == s.n[i] + 2);
    }
    /* Shared: far fewer syncs than commits. */
    if (!fails)
        assert_true(journal_syncs(j) < THREADS * COMMITS / 2);
    journal_close(j);
    end(&t);
}

static void test_group_commit(void **state)
{
    (void)state;
    run_threads(false);
}

static void test_group_commit_failing(void **state)
{
    (void)state;
    run_threads(true);
}

/* ------------------------------------------------------------------------------- claims */

static void test_claims(void **state)
{
    (void)state;
    struct log_test t;
    int fd, other;
    char says[64];
    begin(&t);
    assert_ok(folder_claim(t.dir, &fd, &t.error), &t.error);
    assert_int_equal(folder_claim(t.dir, &other, &t.error), ERR_IO);
    (void)snprintf(says, sizeof says, "this process, %ld", (long)getpid());
    assert_non_null(strstr(t.error.text, says));
    assert_non_null(strstr(t.error.text, t.dir));
    error_clear(&t.error);
    close(fd);
    /* Another process holds it, until it is killed. */
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_commit_and_replay),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_older_format),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_uncut),
        cmocka_unit_test(test_power_cut_in_a_batch),
        cmocka_unit_test(test_stale_batch),
        cmocka_unit_test(test_power_cut_in_two_files),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_group_commit),
        cmocka_unit_test(test_group_commit_failing),
        cmocka_unit_test(test_claims),
    };
    return test_run("journal", tests);
}
