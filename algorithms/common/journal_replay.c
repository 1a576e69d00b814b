/* journal_replay.c - the journal's reader. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "algorithms/common/journal.h"
#include "algorithms/common/journal_files.h"

struct replay {
    const struct index_env *env;
    const char *dir;
    uint64_t after;
    int (*apply)(void *to, const struct journal_record *);
    void *to;
    uint64_t expected; /* lsn of the next record */
    uint64_t torn_bytes;
    const struct store_fault *fault;
};

/* The record at p if it is whole and matches. */
static bool parse(const unsigned char *p, uint64_t n, struct journal_record *record)
{
    uint32_t length, crc;

    if (n < JOURNAL_RECORD)
        return false;
    memcpy(&length, p + JOURNAL_LENGTH, sizeof length);
    if (length > n - JOURNAL_RECORD)
        return false;
    memcpy(&crc, p + JOURNAL_CRC, sizeof crc);
    memcpy(&record->lsn, p + JOURNAL_LSN, sizeof record->lsn);
    record->op = p[JOURNAL_OP];
    record->payload = p + JOURNAL_RECORD;
    record->n = length;
    return crc == journal_crc(p, length);
}

/* Whether a sound later record lies anywhere in these bytes: then what comes before it was whole once.
   The lsn is looked at first, so few checksums are computed. */
static bool later_record(const unsigned char *p, uint64_t n, uint64_t expected)
{
    const uint64_t most = expected + n / JOURNAL_RECORD;
    struct journal_record record;

    for (uint64_t at = 0; at + JOURNAL_RECORD <= n; at++) {
        uint64_t lsn;
        memcpy(&lsn, p + at + JOURNAL_LSN, sizeof lsn);
        if (lsn > expected && lsn <= most && parse(p + at, n - at, &record))
            return true;
    }
    return false;
}

static int damaged(const struct replay *r, const char *path, uint64_t at)
{
    return fail(
        r->env->error, ERR_CORRUPT,
        "%s: byte %" PRIu64 ": record %" PRIu64
        " is damaged, and records after it are not; the index can be had as of record %" PRIu64
        " by moving the journal from there on away",
        path, at, r->expected, r->expected - 1);
}

/* Records up to the one before `limit`. *end: where the last one ends. */
static int apply_records(struct replay *r, const char *path, const unsigned char *bytes, uint64_t n,
                         uint64_t limit, uint64_t *end)
{
    uint64_t at = sizeof(struct journal_head);

    for (*end = at; r->expected < limit && at < n; *end = at) {
        struct journal_record record;
        if (!parse(bytes + at, n - at, &record) || record.lsn != r->expected)
            return limit != UINT64_MAX || later_record(bytes + at, n - at, r->expected)
                       ? damaged(r, path, at)
                       : OK;
        const int rc = record.lsn > r->after ? r->apply(r->to, &record) : OK;
        if (rc)
            return rc;
        r->expected++;
        at += JOURNAL_RECORD + record.n;
    }
    return OK;
}

static int cut_tail(struct replay *r, const char *path, uint64_t from, uint64_t size)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    const bool cut = fd >= 0 && !store_faulted(r->fault, "ftruncate") &&
                     ftruncate(fd, (off_t)from) == 0 && !store_faulted(r->fault, "fsync") &&
                     fsync(fd) == 0;
    const int rc =
        cut ? OK
            : fail_errno(r->env->error, ERR_IO,
                         "cannot cut the torn end of %s, from byte %" PRIu64 " on", path, from);

    if (fd >= 0)
        (void)close(fd);
    if (cut)
        r->torn_bytes += size - from;
    return rc;
}

/* limit: the first lsn of the next file, UINT64_MAX in the newest. */
static int replay_file(struct replay *r, const struct journal_file *file, uint64_t limit)
{
    char path[PATH_MAX];
    uint64_t end = 0;
    int rc = journal_path(path, r->dir, file->number, r->env->error);

    if (rc)
        return rc;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(r->env->error, ERR_IO, "cannot open %s", path);
    void *bytes = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        rc = fail_errno(r->env->error, ERR_IO, "cannot map %s", path);
    (void)close(fd);
    if (rc)
        return rc;
    (void)madvise(bytes, (size_t)file->bytes, MADV_SEQUENTIAL);
    rc = apply_records(r, path, bytes, file->bytes, limit, &end);
    (void)munmap(bytes, (size_t)file->bytes);
    if (!rc && limit != UINT64_MAX && r->expected < limit)
        rc = fail(r->env->error, ERR_CORRUPT,
                  "%s ends after record %" PRIu64 " at byte %" PRIu64
                  ", and the next file begins with %" PRIu64,
                  path, r->expected - 1, end, limit);
    if (!rc && limit == UINT64_MAX && end < file->bytes)
        rc = cut_tail(r, path, end, file->bytes);
    return rc;
}

/* Files without records: made ready for a rotation that a crash prevented. */
static int remove_headless(struct replay *r, struct journal_files *files)
{
    size_t kept = 0;

    for (size_t i = 0; i < files->n; i++) {
        char path[PATH_MAX];
        if (!files->list[i].headless) {
            files->list[kept++] = files->list[i];
            continue;
        }
        const int rc = journal_path(path, r->dir, files->list[i].number, r->env->error);
        if (rc)
            return rc;
        if (store_faulted(r->fault, "unlink") || unlink(path) != 0)
            return fail_errno(r->env->error, ERR_IO, "cannot remove %s", path);
        r->torn_bytes += files->list[i].bytes;
    }
    files->n = kept;
    return OK;
}

static int replay_files(struct replay *r, struct journal_files *files)
{
    int rc = remove_headless(r, files);

    for (size_t i = 0; !rc && i < files->n; i++) {
        const struct journal_file *f = &files->list[i];
        const uint64_t limit = i + 1 < files->n ? f[1].first_lsn : UINT64_MAX;
        char path[PATH_MAX];
        if (limit <= r->after + 1)
            continue;
        rc = journal_path(path, r->dir, f->number, r->env->error);
        /* Forgotten files leave no gap past `after`. */
        if (!rc && f->first_lsn > r->expected && f->first_lsn > r->after + 1)
            rc = fail(r->env->error, ERR_CORRUPT,
                      "%s begins with record %" PRIu64 ", expected %" PRIu64
                      "; a file of the journal is missing",
                      path, f->first_lsn, r->expected);
        else if (!rc && (f->first_lsn == 0 || f->first_lsn > limit))
            rc = fail(r->env->error, ERR_CORRUPT,
                      "%s begins with record %" PRIu64 ", the next file with %" PRIu64, path,
                      f->first_lsn, limit);
        if (!rc) {
            r->expected = f->first_lsn;
            rc = replay_file(r, f, limit);
        }
    }
    return rc;
}

int journal_replay(const struct index_env *env, const char *dir, uint64_t after,
                   int (*apply)(void *to, const struct journal_record *), void *to, uint64_t *last,
                   uint64_t *torn_bytes, const struct store_fault *fault)
{
    struct replay r = { .env = env,
                        .dir = dir,
                        .after = after,
                        .apply = apply,
                        .to = to,
                        .expected = after + 1,
                        .fault = fault };
    struct journal_files files;
    int rc = journal_files_list(&files, env, dir);

    if (rc)
        return rc;
    rc = replay_files(&r, &files);
    journal_files_free(&files);
    *last = r.expected - 1 > after ? r.expected - 1 : after;
    *torn_bytes = r.torn_bytes;
    return rc;
}
