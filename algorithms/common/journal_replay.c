/* journal_replay.c - the journal's reader: which records stand, and whether what does not stand may be missing.
 *
 * A power cut may leave any mix of the pages written since the last fsync: old, new or zero. So the log stands
 * up to the first batch that is not whole or does not follow the one before it, and what lies behind that
 * is dropped, sound or not: none of it was ever acknowledged as durable. If it was, then this is damage, not a
 * power cut: a later batch or head says up to which record the device had everything.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/common/journal.h"
#include "algorithms/common/journal_files.h"

struct replay {
    const struct index_env *env;
    const char *dir;
    uint64_t after;
    int (*apply)(void *to, const struct journal_record *);
    void *to;
    struct journal_files files;
    uint64_t expected; /* lsn of the next record */
    size_t file;       /* where the sound records end: file and byte */
    uint64_t at;
};

/* ------------------------------------------------------------------------------- records */

/* Whether the records fill the batch's bytes. */
static bool records_fit(const unsigned char *p, const struct journal_batch *b)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < b->records; i++) {
        uint32_t length;
        if (b->bytes - at < JOURNAL_RECORD)
            return false;
        memcpy(&length, p + at, sizeof length);
        at += JOURNAL_RECORD;
        if (length > b->bytes - at)
            return false;
        at += length;
    }
    return at == b->bytes;
}

static bool sound(const unsigned char *p, uint64_t n, struct journal_batch *b)
{
    return journal_batch_at(p, n, b) && b->crc == journal_crc(p, b->bytes) &&
           records_fit(p + JOURNAL_BATCH, b);
}

static int apply_batch(struct replay *r, const unsigned char *p, const struct journal_batch *b)
{
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->records; i++) {
        uint32_t length;
        memcpy(&length, p, sizeof length);
        const struct journal_record record = { r->expected, p[JOURNAL_OP], p + JOURNAL_RECORD,
                                               length };
        if (record.lsn > r->after)
            rc = r->apply(r->to, &record);
        r->expected++;
        p += JOURNAL_RECORD + length;
    }
    return rc;
}

/* The file's batches up to the record before `limit`, or to the first one that does not stand. */
static int apply_file(struct replay *r, const struct journal_file *file, uint64_t limit)
{
    const unsigned char *bytes;
    struct journal_batch b;
    uint32_t before = file->crc;
    int rc = journal_map(r->env, r->dir, file, &bytes);

    if (rc)
        return rc;
    r->expected = file->first_lsn;
    r->at = sizeof(struct journal_head);
    while (rc == OK && r->expected < limit && sound(bytes + r->at, file->bytes - r->at, &b) &&
           b.before == before && b.first_lsn == r->expected && b.records <= limit - r->expected) {
        rc = apply_batch(r, bytes + r->at + JOURNAL_BATCH, &b);
        before = b.crc;
        r->at += JOURNAL_BATCH + b.bytes;
    }
    journal_unmap(bytes, file->bytes);
    return rc;
}

/* ------------------------------------------------------------------------------- what does not stand */

/* The last record that a sound batch anywhere in these bytes calls durable; 0: none. The lsns are
   looked at first, so few checksums are computed. */
static uint64_t durable_in(const unsigned char *p, uint64_t n, uint64_t expected)
{
    uint64_t most = 0;
    struct journal_batch b;

    for (uint64_t at = 0; at + JOURNAL_BATCH <= n; at++)
        if (journal_batch_at(p + at, n - at, &b) && b.durable_lsn >= expected &&
            b.durable_lsn > most && b.durable_lsn < b.first_lsn && sound(p + at, n - at, &b))
            most = b.durable_lsn;
    return most;
}

/* The same of all that lies behind the sound records. *dropped: how many bytes that are. */
static int durable_behind(const struct replay *r, uint64_t *durable, uint64_t *dropped)
{
    *durable = *dropped = 0;
    for (size_t i = r->file; i < r->files.n; i++) {
        const struct journal_file *f = &r->files.list[i];
        const uint64_t from = i == r->file ? r->at : 0;
        const unsigned char *bytes;
        const int rc = journal_map(r->env, r->dir, f, &bytes);
        if (rc)
            return rc;
        const uint64_t found = bytes ? durable_in(bytes + from, f->bytes - from, r->expected) : 0;
        journal_unmap(bytes, f->bytes);
        if (found > *durable)
            *durable = found;
        if (from == 0 && !f->headless && f->durable_lsn > *durable)
            *durable = f->durable_lsn;
        *dropped += f->bytes - from;
    }
    return OK;
}

static int damaged(const struct replay *r, uint64_t durable)
{
    char path[PATH_MAX];
    const struct journal_file *f = &r->files.list[r->file];
    const int rc = journal_path(path, r->dir, f->number, r->env->error);

    if (rc)
        return rc;
    return fail(r->env->error, ERR_CORRUPT,
                "%s: byte %" PRIu64 ": record %" PRIu64
                " is damaged or missing, and records up to %" PRIu64
                " were on the device once; the index can be had as of record %" PRIu64
                " by moving the journal from there on away",
                path, r->at, r->expected, durable, r->expected - 1);
}

/* Says what a power cut took, for it may be more than the last update: in the log, since opening goes on. */
static void report(const struct replay *r, uint64_t dropped)
{
    char line[PATH_MAX + 160];

    if (!dropped || !r->env->log)
        return;
    (void)snprintf(line, sizeof line,
                   "%s: the last %" PRIu64
                   " bytes of the journal are not whole, and are dropped; record %" PRIu64
                   " is the last one",
                   r->dir, dropped, r->expected - 1);
    r->env->log(r->env->log_to, line);
}

/* ------------------------------------------------------------------------------- the files */

/* First lsn of the next file that has a head. */
static uint64_t next_first(const struct journal_files *files, size_t i)
{
    while (++i < files->n)
        if (!files->list[i].headless)
            return files->list[i].first_lsn;
    return UINT64_MAX;
}

static int out_of_order(const struct replay *r, const struct journal_file *f, uint64_t limit)
{
    char path[PATH_MAX];
    const int rc = journal_path(path, r->dir, f->number, r->env->error);

    return rc ? rc
              : fail(r->env->error, ERR_CORRUPT,
                     "%s begins with record %" PRIu64 ", the next file with %" PRIu64, path,
                     f->first_lsn, limit);
}

/* Up to the first record that is missing: in a file, or because its file is. */
static int replay_files(struct replay *r)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < r->files.n; i++) {
        const struct journal_file *f = &r->files.list[i];
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

int journal_replay(const struct index_env *env, const char *dir, uint64_t after,
                   int (*apply)(void *to, const struct journal_record *), void *to, uint64_t *last,
                   uint64_t *dropped_bytes)
{
    struct replay r = {
        .env = env, .dir = dir, .after = after, .apply = apply, .to = to, .expected = after + 1
    };
    uint64_t durable = 0;

    *dropped_bytes = 0;
    int rc = journal_files_list(&r.files, env, dir);
    if (rc == OK)
        rc = replay_files(&r);
    if (rc == OK)
        rc = durable_behind(&r, &durable, dropped_bytes);
    if (rc == OK && durable >= r.expected && durable > after)
        rc = damaged(&r, durable);
    if (rc == OK)
        report(&r, *dropped_bytes);
    journal_files_free(&r.files);
    *last = r.expected - 1 > after ? r.expected - 1 : after;
    return rc;
}
