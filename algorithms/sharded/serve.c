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

/* ---- executing */

static int change(struct server *s, enum request_kind kind, struct shard_copy *c,
                  struct wire_reader *r, struct wire *reply)
{
    const bool in_file = wire_take(r) != 0;
    struct log_record record;
    size_t found;
    if (!log_take(r, &record, in_file ? 0 : copy_row_bytes(c)))
        return server_damaged(s);
    if (in_file)
        return server_insert_from_file(s, c, r, record);
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
        case REQUEST_ROWS: return server_rows(c, r, reply);
        case REQUEST_RECORDS: return server_records(c, r, reply);
        case REQUEST_APPLY: return server_apply(c, r, reply);
        case REQUEST_SAVE: return save(s, c, r);
        case REQUEST_REPORT: return server_report(c, r, reply);
        case REQUEST_CHECK: return server_check(c, reply);
        case REQUEST_DIGEST: return server_digest(c, reply);
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
