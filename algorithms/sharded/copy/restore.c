/* restore.c - copies of shards from logs and checkpoints, and the rows that move between them. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/common/io/files.h"
#include "algorithms/sharded/copy/copy.h"
#include "src/core/path_print.h"

/* ---- replaying records */

bool copy_picked_make(struct picked_rows *p, struct mem *mem, size_t n, size_t row_bytes)
{
    *p = (struct picked_rows){ .row_bytes = row_bytes, .arrays = { .mem = mem } };
    p->ids = mem_group_array(&p->arrays, n + 1, sizeof *p->ids);
    p->buckets = mem_group_array(&p->arrays, n + 1, sizeof *p->buckets);
    p->rows = mem_group_array(&p->arrays, n + 1, row_bytes);
    return !p->arrays.failed;
}

void copy_picked_free(struct picked_rows *p)
{
    mem_group_free(&p->arrays);
}

void copy_picked_add(struct picked_rows *p, uint64_t id, uint32_t bucket, const void *rows,
                     size_t i)
{
    p->ids[p->n] = id;
    p->buckets[p->n] = bucket;
    memcpy(p->rows + p->n * p->row_bytes, (const char *)rows + i * p->row_bytes, p->row_bytes);
    p->n++;
}

void copy_pick_live(const struct shard_copy *c, const struct log_record *r, const uint64_t *want,
                    size_t n_buckets, struct picked_rows *p)
{
    for (size_t i = 0; r->op == LOG_INSERT && i < r->n; i++) {
        uint64_t value;
        if (!idmap_get(&c->live, r->ids[i], &value) || value >> BUCKET_BITS != r->lsn)
            continue;
        const uint32_t bucket = copy_bucket(value);
        if (!want || (bucket < n_buckets && want[bucket / 64] >> bucket % 64 & 1))
            copy_picked_add(p, r->ids[i], bucket, r->rows, i);
    }
}

/* A sample of more than LOG_ROWS rows has several records, but training needs it whole: it is collected.
   Rows of an insertion that are there already are left out. */
static int replay(struct shard_copy *c, const struct log_record *r, bool logs, bool index)
{
    const size_t row_bytes = copy_row_bytes(c), bytes = r->n * row_bytes;
    struct log_record its = *r;
    struct picked_rows fresh = { 0 };
    int rc = OK;
    if (r->op == LOG_TRAIN && (!r->ends || c->sample_bytes > 0)) {
        if (!mem_grow(c->env.mem, &c->sample, &c->sample_capacity, c->sample_bytes + bytes, 1))
            return copy_no_memory(c, r->n);
        memcpy(c->sample + c->sample_bytes, r->rows, bytes);
        c->sample_bytes += bytes;
        if (!r->ends)
            return OK;
        its.rows = c->sample;
        its.n = c->sample_bytes / row_bytes;
        c->sample_bytes = 0;
    }
    if (r->op == LOG_INSERT) {
        if (!copy_picked_make(&fresh, c->env.mem, r->n, row_bytes))
            rc = copy_no_memory(c, r->n);
        for (size_t i = 0; rc == OK && i < r->n; i++)
            if (!idmap_get(&c->live, r->ids[i], NULL))
                copy_picked_add(&fresh, r->ids[i], r->buckets[i], r->rows, i);
        its.ids = fresh.ids;
        its.buckets = fresh.buckets;
        its.rows = fresh.rows;
        its.n = fresh.n;
    }
    if (rc == OK)
        rc = copy_do(c, &its, logs, index);
    copy_picked_free(&fresh);
    return rc;
}

int copy_apply(struct shard_copy *c, const struct log_record *r)
{
    return replay(c, r, true, true);
}

/* ---- checkpoints and recovery */

/* The index as of a record of the present log: a folder that has this name is complete. */
static void checkpoint_folder(const struct shard_copy *c, uint64_t lsn, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/index-%" PRIu64 "-%" PRIu64, c->folder, c->log.number, lsn);
}

int copy_checkpoint(struct shard_copy *c)
{
    char path[PATH_MAX], old[PATH_MAX], fresh[PATH_MAX];
    int rc = copy_flush(c);
    const uint64_t lsn = wal_last(c->log.wal);
    if (!c->ops->save || !c->ops->load || rc != OK || c->checkpoint == lsn)
        return rc;
    checkpoint_folder(c, lsn, path);
    checkpoint_folder(c, c->checkpoint, old);
    rc = path_print(fresh, c->env.error, "%s/index.new", c->folder);
    if (rc != OK)
        return rc;
    log_remove_folder(fresh);
    log_remove_folder(path);
    if (mkdir(fresh, 0700) != 0)
        return fail_errno(c->env.error, ERR_IO, "sharded: %s cannot be made", fresh);
    rc = c->ops->save(c->index, fresh);
    if (rc == OK && rename(fresh, path) != 0)
        rc = fail_errno(c->env.error, ERR_IO, "sharded: %s cannot be renamed", fresh);
    log_remove_folder(rc == OK ? old : fresh);
    c->checkpoint = rc == OK ? lsn : c->checkpoint;
    return rc;
}

/* Loads the index of a checkpoint that belongs to the log. Without one that can be loaded, makes an empty
   index: all rows are in the log. A log that ends before its checkpoint has lost records. */
static int load_checkpoint(struct shard_copy *c, uint64_t *lsn)
{
    struct error none = { 0 };
    char name[64], path[PATH_MAX];
    uint64_t at;
    *lsn = 0;
    (void)snprintf(name, sizeof name, "index-%" PRIu64 "-", c->log.number);
    if (!c->ops->load || !file_newest(c->folder, name, UINT64_MAX, &at) || at == 0)
        return copy_make_index(c, NULL);
    checkpoint_folder(c, at, path);
    if (at > wal_last(c->log.wal))
        return fail(c->env.error, ERR_CORRUPT,
                    "sharded: %s: record %" PRIu64
                    " is the last one, but the checkpoint has %" PRIu64,
                    c->log.path, wal_last(c->log.wal), at);
    struct error *before = error_divert(&none);
    const int rc = copy_make_index(c, path);
    (void)error_divert(before);
    if (rc != OK)
        return rc == ERR_NO_MEMORY ? fail(c->env.error, rc, "%s", none.text)
                                   : copy_make_index(c, NULL);
    *lsn = c->checkpoint = at;
    return OK;
}

struct recovery {
    struct shard_copy *copy;
    uint64_t index_from; /* the index has the records up to this one */
};

static int recover_record(void *to, const struct log_record *r)
{
    const struct recovery *recovery = to;
    return replay(recovery->copy, r, false, r->lsn > recovery->index_from);
}

int copy_recover(struct shard_copy *c)
{
    struct recovery recovery = { .copy = c };
    int rc = log_open(&c->log, &c->env, c->folder);
    if (rc == OK)
        rc = load_checkpoint(c, &recovery.index_from);
    return rc ? rc : log_read(&c->log, 0, recover_record, &recovery);
}

/* ---- reading rows */

struct row_reading {
    const struct shard_copy *copy;
    const uint64_t *want;
    size_t n_buckets, most;
    struct picked_rows *out;
    uint64_t last;
};

/* Stops with ERR_INTERRUPTED, which is not reported. */
static int read_record(void *to, const struct log_record *r)
{
    struct row_reading *reading = to;
    if (reading->out->n >= reading->most)
        return ERR_INTERRUPTED;
    copy_pick_live(reading->copy, r, reading->want, reading->n_buckets, reading->out);
    reading->last = r->lsn;
    return OK;
}

int copy_read_rows(struct shard_copy *c, const uint64_t *want, size_t n_buckets, size_t most,
                   uint64_t *after, struct picked_rows *out)
{
    struct row_reading reading = { c, want, n_buckets, most, out, *after };
    int rc = copy_flush(c);
    const size_t space = most < c->live.n ? most + LOG_ROWS : c->live.n;
    if (!copy_picked_make(out, c->env.mem, space, copy_row_bytes(c)) && rc == OK)
        rc = copy_no_memory(c, space);
    if (rc == OK)
        rc = log_read(&c->log, *after, read_record, &reading);
    *after = rc == ERR_INTERRUPTED ? reading.last : UINT64_MAX;
    return rc == ERR_INTERRUPTED ? OK : rc;
}

/* ---- maintenance */

struct keeping {
    const struct shard_copy *copy;
    struct row_log fresh;
    struct idmap live;         /* as the copy's, by the records of the fresh log */
    struct picked_rows picked; /* of a record */
};

/* Writes what is to stay of a record to the fresh log. */
static int keep_live(void *to, const struct log_record *r)
{
    struct keeping *k = to;
    struct log_record kept = *r;
    kept.sequence = k->copy->sequence;
    if (r->op == LOG_TRAIN)
        return log_write(&k->fresh, &kept);
    k->picked.n = 0;
    copy_pick_live(k->copy, r, NULL, 0, &k->picked);
    kept.ids = k->picked.ids;
    kept.buckets = k->picked.buckets;
    kept.rows = k->picked.rows;
    kept.n = k->picked.n;
    const int rc = kept.n > 0 ? log_write(&k->fresh, &kept) : OK;
    for (size_t i = 0; rc == OK && i < kept.n; i++)
        (void)idmap_put(&k->live, kept.ids[i],
                        wal_last(k->fresh.wal) << BUCKET_BITS | kept.buckets[i]);
    return rc;
}

static int compact(struct shard_copy *c)
{
    struct keeping k = { .copy = c };
    char checkpoint[PATH_MAX];
    checkpoint_folder(c, c->checkpoint, checkpoint);
    idmap_init(&k.live, c->env.mem);
    int rc = copy_picked_make(&k.picked, c->env.mem, LOG_ROWS, copy_row_bytes(c)) &&
                     idmap_reserve(&k.live, c->live.n)
                 ? log_create(&k.fresh, &c->env, c->folder, c->log.number + 1)
                 : copy_no_memory(c, c->live.n);
    if (rc == OK)
        rc = log_read(&c->log, 0, keep_live, &k);
    if (rc == OK)
        rc = log_replace(&c->log, &k.fresh, c->sequence);
    if (rc == OK) {
        const struct idmap old = c->live;
        c->live = k.live;
        k.live = old;
    } else {
        log_discard(&k.fresh);
    }
    if (rc == OK && c->checkpoint > 0) {
        log_remove_folder(checkpoint);
        c->checkpoint = 0;
    }
    idmap_free(&k.live);
    copy_picked_free(&k.picked);
    return rc;
}

int copy_maintain(struct shard_copy *c, uint64_t budget, bool *more)
{
    const uint64_t live = c->live.n * (copy_row_bytes(c) + sizeof(uint64_t)), small = 1 << 20;
    *more = false;
    int rc = copy_flush(c);
    if (rc == OK && log_bytes(&c->log) > 2 * live + small)
        rc = compact(c);
    if (rc == OK && c->ops->maintain)
        rc = c->ops->maintain(c->index, budget, more);
    return rc;
}
