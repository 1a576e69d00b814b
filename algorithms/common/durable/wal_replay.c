/* wal_replay.c - the log's reader: finds the valid records, and decides whether the others may
 * be missing.
 *
 * A power cut may leave any mix of the pages written since the last fsync: old, new or zero. So the
 * log is valid up to the first batch that is incomplete or does not follow the one before it. All
 * that follows is dropped, intact or not: it was never acknowledged as durable. If a later batch or
 * head shows that the device once had the missing records, the file is damaged instead. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/common/durable/wal.h"
#include "algorithms/common/durable/wal_files_internal.h"

struct wal_replay {
    const struct index_env *env;
    const char *dir;
    uint64_t after;
    int (*apply)(void *to, const struct wal_record *);
    void *to;
    struct wal_files files;
    uint64_t expected; /* lsn of the next record */
    size_t file;       /* end of the valid records: file and byte */
    uint64_t at;
};

/* ------------------------------------------------------------------------------- records */

/* Whether the records fill the batch's bytes exactly. */
static bool records_fit(const unsigned char *p, const struct wal_batch_head *b)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < b->records; i++) {
        uint32_t length;
        if (b->bytes - at < WAL_RECORD)
            return false;
        memcpy(&length, p + at, sizeof length);
        at += WAL_RECORD;
        if (length > b->bytes - at)
            return false;
        at += length;
    }
    return at == b->bytes;
}

static bool sound(const unsigned char *p, uint64_t n, struct wal_batch_head *b)
{
    return wal_batch_at(p, n, b) && b->sum == wal_sum(p, b->bytes) &&
           records_fit(p + WAL_BATCH_HEAD, b);
}

static int apply_batch(struct wal_replay *r, const unsigned char *p, const struct wal_batch_head *b)
{
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->records; i++) {
        uint32_t length;
        memcpy(&length, p, sizeof length);
        const struct wal_record record = { r->expected, p[WAL_OP], p + WAL_RECORD, length,
                                           i + 1 == b->records };
        if (record.lsn > r->after)
            rc = r->apply(r->to, &record);
        r->expected++;
        p += WAL_RECORD + length;
    }
    return rc;
}

/* Applies the file's batches up to the record before `limit`, or to the first invalid batch. */
static int apply_file(struct wal_replay *r, const struct wal_file *file, uint64_t limit)
{
    const unsigned char *bytes;
    struct wal_batch_head b;
    uint32_t before = file->sum;
    int rc = wal_map(r->env, r->dir, file, &bytes);

    if (rc)
        return rc;
    r->expected = file->first_lsn;
    r->at = sizeof(struct wal_head);
    while (rc == OK && r->expected < limit && sound(bytes + r->at, file->bytes - r->at, &b) &&
           b.before == before && b.first_lsn == r->expected && b.records <= limit - r->expected) {
        rc = apply_batch(r, bytes + r->at + WAL_BATCH_HEAD, &b);
        before = b.sum;
        r->at += WAL_BATCH_HEAD + b.bytes;
    }
    wal_unmap(bytes, file->bytes);
    return rc;
}

/* ---------------------------------------------------------------------- after the valid records */

/* The highest lsn that any valid batch in these bytes records as durable; 0: none. Tests lsns
   first, so that few checksums are computed. */
static uint64_t durable_in(const unsigned char *p, uint64_t n, uint64_t expected)
{
    uint64_t most = 0;
    struct wal_batch_head b;

    for (uint64_t at = 0; at + WAL_BATCH_HEAD <= n; at++)
        if (wal_batch_at(p + at, n - at, &b) && b.durable_lsn >= expected && b.durable_lsn > most &&
            b.durable_lsn < b.first_lsn && sound(p + at, n - at, &b))
            most = b.durable_lsn;
    return most;
}

/* The same for all bytes after the valid records. *dropped: their number. */
static int durable_behind(const struct wal_replay *r, uint64_t *durable, uint64_t *dropped)
{
    *durable = *dropped = 0;
    for (size_t i = r->file; i < r->files.n; i++) {
        const struct wal_file *f = &r->files.list[i];
        const uint64_t from = i == r->file ? r->at : 0;
        const unsigned char *bytes;
        const int rc = wal_map(r->env, r->dir, f, &bytes);
        if (rc)
            return rc;
        const uint64_t found = bytes ? durable_in(bytes + from, f->bytes - from, r->expected) : 0;
        wal_unmap(bytes, f->bytes);
        if (found > *durable)
            *durable = found;
        if (from == 0 && !f->headless && f->durable_lsn > *durable)
            *durable = f->durable_lsn;
        *dropped += f->bytes - from;
    }
    return OK;
}

static int damaged(const struct wal_replay *r, uint64_t durable)
{
    char path[PATH_MAX];
    const struct wal_file *f = &r->files.list[r->file];
    const int rc = wal_path(path, r->dir, f->number, r->env->error);

    if (rc)
        return rc;
    return fail(r->env->error, ERR_CORRUPT,
                "%s: byte %" PRIu64 ": record %" PRIu64
                " is damaged or missing, and records up to %" PRIu64
                " were on the device once; to open the index as of record %" PRIu64
                ", move the log from there on away",
                path, r->at, r->expected, durable, r->expected - 1);
}

/* Reports what a power cut took, which may be more than the last update. Only logged, because
   the index opens. */
static void report(const struct wal_replay *r, uint64_t dropped)
{
    char line[PATH_MAX + 160];

    if (!dropped || !r->env->log)
        return;
    (void)snprintf(line, sizeof line,
                   "%s: the last %" PRIu64
                   " bytes of the log are incomplete and are dropped; record %" PRIu64
                   " is the last one",
                   r->dir, dropped, r->expected - 1);
    r->env->log(r->env->log_to, line);
}

/* ------------------------------------------------------------------------------- the files */

/* First lsn of the next file with a valid head. */
static uint64_t next_first(const struct wal_files *files, size_t i)
{
    while (++i < files->n)
        if (!files->list[i].headless)
            return files->list[i].first_lsn;
    return UINT64_MAX;
}

static int out_of_order(const struct wal_replay *r, const struct wal_file *f, uint64_t limit)
{
    char path[PATH_MAX];
    const int rc = wal_path(path, r->dir, f->number, r->env->error);

    return rc ? rc
              : fail(r->env->error, ERR_CORRUPT,
                     "%s begins with record %" PRIu64 ", the next file with %" PRIu64, path,
                     f->first_lsn, limit);
}

/* Replays up to the first missing record, in a file or because a file is missing. */
static int replay_files(struct wal_replay *r)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < r->files.n; i++) {
        const struct wal_file *f = &r->files.list[i];
        const uint64_t limit = next_first(&r->files, i);
        if (limit <= r->after + 1)
            r->file = i + 1;
        if (f->headless || limit <= r->after + 1)
            continue;
        if (f->first_lsn > limit)
            return out_of_order(r, f, limit);
        if (f->first_lsn > r->expected)
            break;
        r->file = i;
        rc = apply_file(r, f, limit);
        if (r->expected < limit)
            break;
    }
    return rc;
}

int wal_replay(const struct index_env *env, const char *dir, uint64_t after,
               int (*apply)(void *to, const struct wal_record *), void *to, uint64_t *last,
               uint64_t *dropped_bytes)
{
    struct wal_replay r = {
        .env = env, .dir = dir, .after = after, .apply = apply, .to = to, .expected = after + 1
    };
    uint64_t durable = 0;

    *dropped_bytes = 0;
    int rc = wal_files_list(&r.files, env, dir);
    if (rc == OK)
        rc = replay_files(&r);
    if (rc == OK)
        rc = durable_behind(&r, &durable, dropped_bytes);
    if (rc == OK && durable >= r.expected && durable > after)
        rc = damaged(&r, durable);
    if (rc == OK)
        report(&r, *dropped_bytes);
    wal_files_free(&r.files);
    *last = r.expected - 1 > after ? r.expected - 1 : after;
    return rc;
}
