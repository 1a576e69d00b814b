/* serve_rows.c - rows that a rank takes and gives, and what it reports of a copy. */
#include <stdio.h>

#include "algorithms/sharded/serve.h"
#include "src/core/mem.h"

/* A reply of this many bytes ends with the record that reached it. */
enum { REPLY_BYTES = 16 << 20 };

/* ---- insertion */

int server_insert_from_file(struct server *s, struct shard_copy *c, struct wire_reader *r,
                            struct log_record record)
{
    const size_t n = record.n;
    struct row_origin from = { 0 };
    struct row_request request = { .from = &from, .n = n, .row_bytes = copy_row_bytes(c) };
    const char *path = wire_take_text(r);
    from.offset = wire_take(r);
    from.stride = wire_take(r);
    request.hash = wire_take(r);
    request.numbers = wire_take_array(r, n, sizeof *request.numbers);
    if (r->failed || snprintf(from.path, sizeof from.path, "%s", path) >= (int)sizeof from.path)
        return server_damaged(s);
    const struct row_files *files = s->env.shards->files;
    void *rows = mem_array(c->env.mem, n + 1, copy_row_bytes(c));
    int rc = rows ? OK : copy_no_memory(c, n);
    if (rc == OK && !files)
        rc = fail(&s->error, ERR_NOT_FOUND, "sharded: this rank reads no files");
    if (rc == OK)
        rc = files->read(files->to, &request, rows, &s->error);
    record.rows = rows;
    if (rc == OK)
        rc = copy_do(c, &record, true, true);
    mem_free(c->env.mem, rows);
    return rc;
}

/* ---- rows */

int server_rows(struct shard_copy *c, struct wire_reader *r, struct wire *reply)
{
    struct picked_rows rows = { 0 };
    const size_t n_buckets = (size_t)wire_take(r), fit = REPLY_BYTES / (copy_row_bytes(c) + 16);
    const uint64_t *want = wire_take_array(r, n_buckets / 64 + 1, sizeof *want);
    const size_t most = (size_t)wire_take(r);
    uint64_t after = wire_take(r);
    const int rc = r->failed
                       ? fail(c->env.error, ERR_CORRUPT, "sharded: a request for rows is damaged")
                       : copy_read_rows(c, want, n_buckets, most < fit ? most : fit, &after, &rows);
    if (rc == OK) {
        wire_put(reply, after);
        wire_put(reply, rows.n);
        wire_put_bytes(reply, rows.ids, rows.n * sizeof *rows.ids);
        wire_put_bytes(reply, rows.buckets, rows.n * sizeof *rows.buckets);
        wire_put_bytes(reply, rows.rows, rows.n * rows.row_bytes);
    }
    copy_picked_free(&rows);
    return rc;
}

/* ---- records for another copy */

struct records {
    struct shard_copy *copy;
    uint64_t after; /* the other copy has done operations up to this one */
    bool whole;     /* it has nothing: the base is for it, too */
    struct wire wire;
    size_t n;
    uint64_t last;
};

/* Stops with ERR_INTERRUPTED, which is not reported. */
static int put_record(void *to, const struct log_record *r)
{
    struct records *records = to;
    if (records->wire.n >= REPLY_BYTES)
        return ERR_INTERRUPTED;
    records->last = r->lsn;
    if (!records->whole && r->sequence <= records->after)
        return OK;
    log_put(&records->wire, r, copy_row_bytes(records->copy));
    records->n++;
    return records->wire.failed ? copy_no_memory(records->copy, r->n) : OK;
}

int server_records(struct shard_copy *c, struct wire_reader *r, struct wire *reply)
{
    const uint64_t after = wire_take(r), lsn = wire_take(r);
    struct records records = { .copy = c,
                               .after = after,
                               .whole = after < c->log.base || after == 0,
                               .wire = { .mem = c->env.mem },
                               .last = lsn };
    int rc = r->failed
                 ? fail(c->env.error, ERR_CORRUPT, "sharded: a request for records is damaged")
                 : copy_flush(c);
    if (rc == OK)
        rc = log_read(&c->log, lsn, put_record, &records);
    const bool end = rc == OK;
    if (rc == OK || rc == ERR_INTERRUPTED) {
        rc = OK;
        wire_put(reply, records.whole);
        wire_put(reply, end ? UINT64_MAX : records.last);
        wire_put(reply, records.n);
        wire_put_bytes(reply, records.wire.bytes, records.wire.n);
    }
    wire_free(&records.wire);
    return rc;
}

int server_apply(struct shard_copy *c, struct wire_reader *r, struct wire *reply)
{
    const uint64_t n = wire_take(r);
    int rc = OK;
    for (uint64_t i = 0; rc == OK && i < n; i++) {
        struct log_record record;
        rc = log_take(r, &record, copy_row_bytes(c))
                 ? copy_apply(c, &record)
                 : fail(c->env.error, ERR_CORRUPT, "sharded: a record from a replica is damaged");
    }
    wire_put(reply, c->sequence);
    return rc;
}

/* ---- reports */

int server_report(struct shard_copy *c, struct wire_reader *r, struct wire *reply)
{
    const size_t n_buckets = (size_t)wire_take(r);
    struct memory_use use = { 0 };
    int rc = copy_flush(c);
    if (rc == OK && c->ops->memory)
        rc = c->ops->memory(c->index, &use);
    if (rc != OK)
        return rc;
    wire_put(reply, c->live.n);
    use.ids += idmap_bytes(&c->live) + idmap_bytes(&c->leaving);
    use.other += sizeof *c + c->sample_capacity;
    use.disk += log_bytes(&c->log);
    wire_put_bytes(reply, &use, sizeof use);
    uint64_t *counts = n_buckets ? wire_reserve(reply, n_buckets * sizeof *counts) : NULL;
    for (size_t i = 0; counts && i < n_buckets; i++)
        counts[i] = 0;
    uint64_t id, value;
    for (size_t at = 0; counts && idmap_next(&c->live, &at, &id, &value);)
        if (copy_bucket(value) < n_buckets)
            counts[copy_bucket(value)]++;
    return OK;
}

int server_check(struct shard_copy *c, struct wire *reply)
{
    const int rc = copy_check(c);
    uint64_t id, value;
    if (rc != OK)
        return rc;
    wire_put(reply, copy_digest(c));
    wire_put(reply, c->live.n);
    for (size_t at = 0; idmap_next(&c->live, &at, &id, &value);) {
        wire_put(reply, id);
        wire_put(reply, copy_bucket(value));
    }
    return OK;
}

int server_digest(struct shard_copy *c, struct wire *reply)
{
    const int rc = copy_flush(c);
    wire_put(reply, copy_digest(c));
    return rc;
}
