#include "algorithms/sharded/serve.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/durable/folder_claim.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"
#include "src/core/registry.h"

void server_open(struct server *s, const struct index_env *env)
{
    *s = (struct server){ .env = *env, .claim = -1 };
    s->env.error = &s->error;
}

void server_close(struct server *s)
{
    for (size_t i = 0; i < s->n; i++)
        copy_destroy(s->copies[i]);
    mem_free(s->env.mem, s->copies);
    if (s->claim >= 0)
        (void)close(s->claim);
    *s = (struct server){ .claim = -1 };
}

/* ---- creating */

static int put_copy(struct server *s, uint64_t shard, struct shard_copy *copy)
{
    const size_t before = s->n;
    if (shard >= BUCKETS_MAX ||
        !mem_grow(s->env.mem, &s->copies, &s->capacity, (size_t)shard + 1, sizeof *s->copies)) {
        copy_destroy(copy);
        return fail(&s->error, ERR_NO_MEMORY, "sharded: out of memory for a shard");
    }
    if (shard >= s->n)
        s->n = (size_t)shard + 1;
    for (size_t i = before; i < s->n; i++)
        s->copies[i] = NULL;
    copy_destroy(s->copies[shard]);
    s->copies[shard] = copy;
    return OK;
}

/* The copy's files stay. */
static void close_copy(struct server *s, uint64_t shard)
{
    if (shard >= s->n)
        return;
    copy_destroy(s->copies[shard]);
    s->copies[shard] = NULL;
}

static void drop(struct server *s, uint64_t shard)
{
    char folder[PATH_MAX];
    if (shard >= s->n || !s->copies[shard])
        return;
    (void)snprintf(folder, sizeof folder, "%s", s->copies[shard]->folder);
    close_copy(s, shard);
    log_remove_folder(folder);
}

static int create(struct server *s, uint64_t shard, struct wire_reader *r, struct wire *reply)
{
    char folder[PATH_MAX];
    struct shard_copy *copy = NULL;
    const uint64_t made = wire_take(r);
    struct index_env env = s->env;
    env.dim = (size_t)wire_take(r);
    env.element = (enum element)wire_take(r);
    env.metric = (enum metric)wire_take(r);
    env.expected_n = (size_t)wire_take(r);
    env.seed = wire_take(r);
    env.k_hint = (size_t)wire_take(r);
    const char *of = wire_take_text(r), *of_params = wire_take_text(r);
    const char *from = wire_take_text(r);
    if (r->failed)
        return server_damaged(s);
    const struct index_ops *ops = registry_find(s->env.shards->registry, of, &s->error);
    if (!ops)
        return s->error.code;
    if (path_print(folder, &s->error, "%s/shard-%" PRIu64, s->env.dir, shard))
        return ERR_ARGUMENT;
    close_copy(s, shard);
    int rc = s->claim >= 0 ? OK : folder_claim(s->env.dir, &s->claim, &s->error);
    if (rc == OK)
        rc = copy_new(&copy, &env, ops, of_params, folder);
    if (rc == OK)
        rc = made == COPY_RECOVERED ? copy_recover(copy) : copy_create(copy);
    if (rc == OK && made == COPY_LOADED)
        rc = copy_load(copy, from);
    if (rc == OK && (made == COPY_NEW || made == COPY_LOADED))
        rc = log_end_base(&copy->log, copy->sequence);
    if (rc != OK) {
        copy_destroy(copy);
        return rc;
    }
    wire_put(reply, copy->sequence);
    return put_copy(s, shard, copy);
}

/* ---- changes */

static int insert_from_file(struct server *s, struct shard_copy *c, struct wire_reader *r,
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

static int change(struct server *s, enum request_kind kind, struct shard_copy *c,
                  struct wire_reader *r, struct wire *reply)
{
    const bool in_file = wire_take(r) != 0;
    struct log_record record;
    size_t found;
    if (!log_take(r, &record, in_file ? 0 : copy_row_bytes(c)))
        return server_damaged(s);
    if (in_file)
        return insert_from_file(s, c, r, record);
    if (kind == REQUEST_UNMARK) {
        copy_unmark(c, &record);
        return OK;
    }
    if (kind != REQUEST_MARK)
        return copy_do(c, &record, true, true);
    const int rc = copy_mark(c, &record, &found);
    wire_put(reply, found);
    return rc;
}

static int maintain(struct server *s, struct shard_copy *c, struct wire_reader *r,
                    struct wire *reply)
{
    const uint64_t budget = wire_take(r);
    bool more = false;
    if (r->failed)
        return server_damaged(s);
    const int rc = copy_maintain(c, budget, &more);
    wire_put(reply, more);
    return rc;
}

static int save(struct server *s, struct shard_copy *c, struct wire_reader *r)
{
    const char *folder = wire_take_text(r);
    return folder ? copy_save(c, folder) : server_damaged(s);
}

/* ---- rows */

/* A reply of this many bytes ends with the record that reached it. */
enum { REPLY_BYTES = 16 << 20 };

static int take_rows(struct server *s, struct shard_copy *c, struct wire_reader *r,
                     struct wire *reply)
{
    struct picked_rows rows = { 0 };
    const size_t n_buckets = (size_t)wire_take(r), fit = REPLY_BYTES / (copy_row_bytes(c) + 16);
    const uint64_t *want = wire_take_array(r, n_buckets / 64 + 1, sizeof *want);
    const size_t most = (size_t)wire_take(r);
    uint64_t after = wire_take(r);
    const int rc = r->failed
                       ? server_damaged(s)
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

static int take_records(struct server *s, struct shard_copy *c, struct wire_reader *r,
                        struct wire *reply)
{
    const uint64_t after = wire_take(r), lsn = wire_take(r);
    struct records records = { .copy = c,
                               .after = after,
                               .whole = after < c->log.base || after == 0,
                               .wire = { .mem = c->env.mem },
                               .last = lsn };
    int rc = r->failed ? server_damaged(s) : copy_flush(c);
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

static int apply(struct server *s, struct shard_copy *c, struct wire_reader *r)
{
    const uint64_t n = wire_take(r);
    int rc = OK;
    for (uint64_t i = 0; rc == OK && i < n; i++) {
        struct log_record record;
        rc = log_take(r, &record, copy_row_bytes(c)) ? copy_apply(c, &record) : server_damaged(s);
    }
    return rc;
}

/* ---- reports */

static int report(struct shard_copy *c, struct wire_reader *r, struct wire *reply)
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

static int check(struct shard_copy *c, struct wire *reply)
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

static int digest(struct shard_copy *c, struct wire *reply)
{
    const int rc = copy_flush(c);
    wire_put(reply, copy_digest(c));
    return rc;
}

/* ---- executing */

static int execute(struct server *s, struct wire_reader *r, struct wire *reply)
{
    const enum request_kind kind = (enum request_kind)wire_take(r);
    const uint64_t shard = wire_take(r);
    switch (kind) {
        case REQUEST_CREATE: return create(s, shard, r, reply);
        case REQUEST_SEARCH: return server_search(s, r, reply);
        case REQUEST_RANGE: return server_range(s, r, reply);
        case REQUEST_PING: return OK;
        case REQUEST_DROP: drop(s, shard); return OK;
        default: break;
    }
    struct shard_copy *c = server_copy(s, shard);
    if (!c)
        return s->error.code;
    switch (kind) {
        case REQUEST_TRAIN:
        case REQUEST_INSERT:
        case REQUEST_MARK:
        case REQUEST_UNMARK:
        case REQUEST_DISCARD:
        case REQUEST_RELABEL: return change(s, kind, c, r, reply);
        case REQUEST_FLUSH: return copy_flush(c);
        case REQUEST_MAINTAIN: return maintain(s, c, r, reply);
        case REQUEST_CHECKPOINT: return copy_checkpoint(c);
        case REQUEST_ROWS: return take_rows(s, c, r, reply);
        case REQUEST_RECORDS: return take_records(s, c, r, reply);
        case REQUEST_APPLY: return apply(s, c, r);
        case REQUEST_SAVE: return save(s, c, r);
        case REQUEST_REPORT: return report(c, r, reply);
        case REQUEST_CHECK: return check(c, reply);
        case REQUEST_DIGEST: return digest(c, reply);
        default: return server_damaged(s);
    }
}

void server_execute(struct server *s, const void *request, size_t n, struct wire *reply)
{
    struct wire_reader r = { request, n, false };
    const size_t begin = reply->n;
    error_clear(&s->error);
    /* A change that was made must not go unreported for lack of memory. */
    if (!wire_make_room(reply, sizeof s->error.text + 128))
        return;
    wire_put(reply, OK);
    const int rc = execute(s, &r, reply);
    if (rc == OK || reply->failed)
        return;
    reply->n = begin;
    wire_put(reply, (uint64_t)rc);
    wire_put_text(reply, s->error.text);
    error_clear(&s->error);
}

/* ---- the loop of a rank */

int sharded_serve(const struct index_env *env, struct rank_group *group)
{
    static const uint64_t wait_ns = 1000000000;
    struct server server;
    struct wire reply = { .mem = env->mem };
    int rc = OK;
    server_open(&server, env);
    while (rc == OK && !group->ops->is_lost(group, 0)) {
        struct rank_message m;
        if (!group->ops->receive(group, wait_ns, &m))
            continue;
        struct wire_reader r = { m.bytes, m.n, false };
        const uint64_t number = wire_take(&r);
        reply.n = 0;
        reply.failed = false;
        if (number > 0) {
            wire_put(&reply, number);
            server_execute(&server, r.at, r.left, &reply);
        }
        mem_free(NULL, m.bytes);
        if (number == 0)
            break;
        if (reply.failed || reply.n > RANK_MESSAGE_BYTES_MAX) {
            wire_free(&reply);
            wire_put(&reply, number);
            wire_put(&reply, ERR_NO_MEMORY);
            wire_put_text(&reply, "sharded: out of memory for a reply");
        }
        rc = group->ops->send(group, 0, reply.bytes, reply.n, env->error);
    }
    wire_free(&reply);
    server_close(&server);
    return rc;
}
