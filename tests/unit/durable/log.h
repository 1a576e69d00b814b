/* log.h - a write-ahead log in its own folder, its expected records, and injected call failures. */
#ifndef DRIFTLINE_TESTS_UNIT_DURABLE_LOG_H
#define DRIFTLINE_TESTS_UNIT_DURABLE_LOG_H
#include "tests/support/testing.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/wal.h"
#include "algorithms/common/durable/wal_files_internal.h"

struct log_test {
    struct mem mem;
    struct error error;
    struct index_env env;
    char dir[PATH_MAX];
};

static inline void begin(struct log_test *t)
{
    memset(t, 0, sizeof *t);
    test_dir_make(t->dir);
    t->env = (struct index_env){ .mem = &t->mem, .error = &t->error, .dir = t->dir };
}

static inline void end(struct log_test *t)
{
    assert_int_equal(mem_live(&t->mem), 0);
    test_dir_remove(t->dir);
}

/* Record n: its payload is n and then n % 50 bytes of n; its op is n % 7. */
static inline int append(struct wal *j, struct wal_batch *batch, uint64_t n)
{
    unsigned char bytes[50];
    memset(bytes, (int)(n & 0xff), sizeof bytes);
    const struct wal_part parts[] = { { &n, sizeof n }, { bytes, n % 50 } };
    return wal_append(j, batch, (uint8_t)(n % 7), parts, 2);
}

static inline int commit(struct wal *j, uint64_t first, uint64_t n)
{
    struct wal_batch batch = { 0 };

    for (uint64_t i = 0; i < n; i++) {
        const int rc = append(j, &batch, first + i);
        if (rc)
            return rc;
    }
    return wal_commit(j, &batch);
}

/* Commits each record in a batch of its own. */
static inline int commit_each(struct wal *j, uint64_t first, uint64_t n)
{
    int rc = OK;
    for (uint64_t i = 0; !rc && i < n; i++)
        rc = commit(j, first + i, 1);
    return rc;
}

static inline size_t record_bytes(uint64_t n)
{
    return WAL_RECORD + 8 + n % 50;
}

/* The size of a batch of records first .. first + n - 1. */
static inline size_t batch_bytes(uint64_t first, uint64_t n)
{
    size_t bytes = WAL_BATCH_HEAD;
    for (uint64_t i = 0; i < n; i++)
        bytes += record_bytes(first + i);
    return bytes;
}

enum { SEEN_MOST = 4096 };
struct seen {
    uint64_t lsn[SEEN_MOST], n[SEEN_MOST];
    size_t count, fail_at;
};

static inline int see(void *to, const struct wal_record *r)
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

static inline int replay(struct log_test *t, uint64_t after, struct seen *s, uint64_t *last,
                         uint64_t *torn)
{
    memset(s, 0, sizeof *s);
    return wal_replay(&t->env, t->dir, after, see, s, last, torn);
}

/* Expects records first .. first + n - 1, with lsns from `lsn` on. */
static inline void expect(struct log_test *t, uint64_t after, uint64_t first, size_t n,
                          uint64_t torn)
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

static inline void log_file(const struct log_test *t, uint64_t number, char path[PATH_MAX])
{
    assert_ok(wal_path(path, t->dir, number, NULL), NULL);
}

static inline size_t file_bytes(const struct log_test *t, uint64_t number)
{
    char path[PATH_MAX];
    struct stat st;
    log_file(t, number, path);
    return stat(path, &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
}

static inline size_t read_file(const struct log_test *t, uint64_t number, unsigned char *bytes,
                               size_t most)
{
    char path[PATH_MAX];
    log_file(t, number, path);
    const int fd = open(path, O_RDONLY);
    const ssize_t n = read(fd, bytes, most);
    assert_true(fd >= 0 && n > 0 && (size_t)n < most);
    close(fd);
    return (size_t)n;
}

static inline void write_file(const struct log_test *t, uint64_t number, const unsigned char *bytes,
                              size_t n)
{
    char path[PATH_MAX];
    log_file(t, number, path);
    const int fd = open(path, O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0);
    close(fd);
}

struct faults {
    size_t calls, fail_at;
    bool forever;
    const char *only;
    int code;
};

static inline int fail_nth(void *to, const char *call)
{
    struct faults *f = to;
    if (f->only && strcmp(f->only, call) != 0)
        return 0;
    f->calls++;
    return f->calls == f->fail_at || (f->forever && f->calls > f->fail_at) ? f->code : 0;
}

#endif
