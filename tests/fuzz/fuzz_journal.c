/* fuzz_journal.c - a write-ahead log that was written, then damaged: it is replayed without a gap
 * or refused with a message, and batches committed after a replay are present at the next one.
 *
 *   byte 0: number of steps   then steps of 2 bytes: kind, amount
 *   then edits of 8 bytes: kind, file, position (2 bytes), value (4 bytes)
 *   steps: 0 a commit of some records   1 a long record   2 a new file   3 closed and opened again
 *   edits: 0 a flipped bit   1 four bytes   2 cut   3 a page of zeros   4 checksums of batches are
 *   recomputed   5 the file is removed
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/durable/wal.h"
#include "algorithms/common/durable/wal_files_internal.h"
#include "src/core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { STEPS_MOST = 24, EDITS_MOST = 16, FILE_MOST = 1 << 16, EDIT = 8 };

struct fuzz {
    struct mem mem;
    struct error error;
    struct index_env env;
    char dir[64];
    uint64_t records; /* written */
    struct wal *journal;
};

#define EXPECT(f, holds)                                          \
    do {                                                          \
        if (!(holds)) {                                           \
            fprintf(stderr, "%s: %s\n", #holds, (f)->error.text); \
            abort();                                              \
        }                                                         \
    } while (0)

static int append(struct fuzz *f, uint64_t n, size_t bytes)
{
    static const unsigned char filler[6000];
    const struct wal_part parts[] = { { &n, sizeof n }, { filler, bytes } };

    return wal_append(f->journal, (uint8_t)(n & 3), parts, 2);
}

static void open_journal(struct fuzz *f, uint64_t last)
{
    EXPECT(f, wal_open(&f->journal, &f->env, WAL_WRITTEN, last, NULL) == OK);
}

static void do_step(struct fuzz *f, uint8_t what, uint8_t how_much)
{
    const size_t n = what % 4 == 0 ? 1 + how_much % 8 : what % 4 == 1;
    uint64_t lsn;

    for (size_t i = 0; i < n; i++)
        EXPECT(f, append(f, ++f->records, what % 4 == 1 ? 20 * (size_t)how_much : how_much) == OK);
    if (n)
        EXPECT(f, wal_commit(f->journal) == OK);
    if (what % 4 == 2)
        EXPECT(f, wal_rotate(f->journal, &lsn) == OK && lsn == f->records);
    if (what % 4 == 3) {
        wal_close(f->journal);
        open_journal(f, f->records);
    }
}

/* ------------------------------------------------------------------------------- edits */

static void seal(unsigned char *bytes, size_t n)
{
    struct wal_batch_head b;

    for (size_t at = sizeof(struct wal_head); at < n && wal_batch_at(bytes + at, n - at, &b);
         at += WAL_BATCH_HEAD + (size_t)b.bytes) {
        b.sum = wal_sum(bytes + at, b.bytes);
        memcpy(bytes + at, &b.sum, sizeof b.sum);
    }
}

static size_t change(unsigned char *bytes, size_t n, uint8_t what, size_t at, uint32_t value)
{
    at = n ? at % n : 0;
    if (what == 0 && n)
        bytes[at] ^= (unsigned char)(1U << value % 8);
    if (what == 1 && at + sizeof value <= n)
        memcpy(bytes + at, &value, sizeof value);
    if (what == 2)
        return at;
    if (what == 3)
        memset(bytes + at, 0, n - at < 4096 ? n - at : 4096);
    if (what == 4)
        seal(bytes, n);
    return n;
}

static void edit(struct fuzz *f, const uint8_t *e)
{
    static unsigned char bytes[FILE_MOST];
    char path[PATH_MAX];
    uint16_t at;
    uint32_t value;

    memcpy(&at, e + 2, sizeof at);
    memcpy(&value, e + 4, sizeof value);
    EXPECT(f, wal_path(path, f->dir, 1 + e[1] % 4, NULL) == OK);
    const int fd = open(path, O_RDWR);
    if (fd < 0)
        return;
    const ssize_t got = pread(fd, bytes, sizeof bytes, 0);
    const size_t n = change(bytes, got > 0 ? (size_t)got : 0, e[0] % 6, at, value);
    EXPECT(f, pwrite(fd, bytes, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0);
    close(fd);
    if (e[0] % 6 == 5)
        unlink(path);
}

/* ------------------------------------------------------------------------------- replay */

struct seen {
    uint64_t next, last_value;
};

static int see(void *to, const struct wal_record *r)
{
    struct seen *s = to;

    if (r->lsn != s->next++)
        abort();
    if (r->n >= sizeof s->last_value)
        memcpy(&s->last_value, r->payload, sizeof s->last_value);
    return OK;
}

static int replay(struct fuzz *f, uint64_t *last, uint64_t *value)
{
    struct seen s = { .next = 1 };
    uint64_t dropped;
    const int rc = wal_replay(&f->env, f->dir, 0, see, &s, last, &dropped);

    EXPECT(f, rc == f->error.code && (rc == OK || *f->error.text));
    EXPECT(f, rc == OK || rc == ERR_CORRUPT || rc == ERR_VERSION);
    EXPECT(f, rc != OK || *last == s.next - 1);
    *value = s.last_value;
    return rc;
}

static void go_on(struct fuzz *f)
{
    const uint64_t mark = UINT64_C(0x1122334455667788);
    uint64_t last, again, value;

    if (replay(f, &last, &value) != OK)
        return;
    open_journal(f, last);
    EXPECT(f, append(f, mark, 3) == OK && wal_commit(f->journal) == OK);
    wal_close(f->journal);
    EXPECT(f, replay(f, &again, &value) == OK && again == last + 1 && value == mark);
}

static void clear(const char *dir)
{
    char path[PATH_MAX];

    for (uint64_t number = 1; number < STEPS_MOST + 4; number++)
        if (wal_path(path, dir, number, NULL) == OK)
            (void)unlink(path);
    (void)rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz f = { .records = 0 };
    const size_t most = bytes ? data[0] % STEPS_MOST : 0;
    size_t at = 1;

    (void)snprintf(f.dir, sizeof f.dir, "/dev/shm/driftline-fuzz-%ld", (long)getpid());
    (void)mkdir(f.dir, 0700);
    f.env = (struct index_env){ .mem = &f.mem, .error = &f.error, .dir = f.dir };
    open_journal(&f, 0);
    for (size_t i = 0; i < most && at + 2 <= bytes; i++, at += 2)
        do_step(&f, data[at], data[at + 1]);
    wal_close(f.journal);
    for (size_t i = 0; i < EDITS_MOST && at + EDIT <= bytes; i++, at += EDIT)
        edit(&f, data + at);
    go_on(&f);
    clear(f.dir);
    EXPECT(&f, mem_live(&f.mem) == 0);
    return 0;
}
