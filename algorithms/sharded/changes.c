/* changes.c - what all replicas of shards are asked: their requests, how the changes of a call are
 * divided among them, and how they are taken back. */
#include <string.h>

#include "algorithms/sharded/sharded.h"

/* ---- requests to replicas */

/* Rank 0 has the rows, so it reads no file. */
static void put_change(struct sharded *s, const struct shard_call *c, size_t rank, struct wire *w)
{
    const struct log_record *r = &c->record;
    const size_t row_bytes = sharded_row_bytes(s);
    const bool in_file = r->op == LOG_INSERT && c->in_file && rank > 0;
    wire_put(w, in_file);
    log_put(w, r, in_file ? 0 : row_bytes);
    if (!in_file)
        return;
    const struct row_origin *from = c->in_file->from;
    wire_put_text(w, from->path);
    wire_put(w, from->offset);
    wire_put(w, from->stride);
    wire_put(w, s->base.env.shards->files->hash(r->rows, r->n * row_bytes));
    wire_put_bytes(w, c->numbers, r->n * sizeof *c->numbers);
    s->counters.rows_from_files += r->n;
}

static void put_request(struct sharded *s, enum request_kind kind, struct call *call)
{
    if (kind == REQUEST_MAINTAIN)
        wire_put(&call->request, call->of->budget);
    else if (kind != REQUEST_FLUSH && kind != REQUEST_CHECKPOINT)
        put_change(s, call->of, call->rank, &call->request);
}

static int take_replies(struct sharded *s, enum request_kind kind, struct call *all, size_t n)
{
    const bool is_final = kind == REQUEST_TRAIN || kind == REQUEST_RELABEL;
    const bool logs = kind != REQUEST_MARK && kind != REQUEST_UNMARK;
    int rc = OK;
    for (size_t i = 0; i < n; i++) {
        struct shard_call *of = all[i].of;
        struct shard *shard = &s->shards[of->shard];
        if (all[i].code != OK)
            continue;
        of->done = true;
        if (all[i].reply.left >= sizeof of->found)
            of->found = wire_take(&all[i].reply);
        if (logs && of->record.sequence > shard->acknowledged)
            shard->acknowledged = of->record.sequence;
    }
    for (size_t i = 0; i < n; i++) {
        if (all[i].code == OK || all[i].lost)
            continue;
        if (all[i].of->done && is_final) { /* it lacks an operation that another replica has done */
            all[i].replica->up = false;
            continue;
        }
        all[i].of->failed = true;
        const int failed = call_check(s, &all[i]);
        rc = rc ? rc : failed;
    }
    return rc;
}

int sharded_tell(struct sharded *s, enum request_kind kind, struct shard_call *calls, size_t n)
{
    struct mem *mem = s->base.env.mem;
    struct call *all = mem_array(mem, n * sharded_replicas(s) + 1, sizeof *all);
    size_t m = 0;
    int rc = all ? OK : sharded_no_memory(s, "requests");
    for (size_t i = 0; i < n; i++) {
        struct shard_call *c = &calls[i];
        c->done = c->failed = false;
        for (size_t j = 0; rc == OK && j < sharded_replicas(s); j++) {
            struct replica *replica = &s->shards[c->shard].replicas[j];
            if (!replica->up)
                continue;
            call_begin(s, &all[m], replica->rank, kind, c->shard);
            all[m].of = c;
            all[m].replica = replica;
            put_request(s, kind, &all[m++]);
        }
    }
    if (rc == OK)
        rc = sharded_exchange(s, all, m, 0);
    if (rc == OK)
        rc = take_replies(s, kind, all, m);
    for (size_t i = 0; i < m; i++)
        call_end(&all[i]);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (!calls[i].done && !sharded_primary(s, calls[i].shard))
            rc = ERR_IO;
    mem_free(mem, all);
    return rc;
}

int sharded_tell_record(struct sharded *s, enum request_kind kind, size_t shard,
                        struct log_record r)
{
    struct shard_call call = { .shard = shard, .record = r };
    call.record.ends = true;
    call.record.sequence = ++s->shards[shard].sequence;
    return sharded_tell(s, kind, &call, 1);
}

/* ---- rows by shard */

void changes_free(struct sharded *s, struct changes *g)
{
    if (g)
        mem_group_free(&g->arrays);
    mem_free(s->base.env.mem, g);
}

static struct changes *changes_new(struct sharded *s, size_t n, size_t row_bytes)
{
    struct mem *mem = s->base.env.mem;
    struct changes *g = mem_zalloc(mem, sizeof *g);
    if (g) {
        g->arrays.mem = mem;
        g->first = mem_group_zalloc(&g->arrays, s->n_shards + 2, sizeof *g->first);
        g->ids = mem_group_array(&g->arrays, n + 1, sizeof *g->ids);
        g->numbers = mem_group_array(&g->arrays, n + 1, sizeof *g->numbers);
        g->buckets = mem_group_array(&g->arrays, n + 1, sizeof *g->buckets);
        g->rows = mem_group_array(&g->arrays, n + 1, row_bytes);
        g->calls = mem_group_zalloc(&g->arrays, s->n_shards, sizeof *g->calls);
    }
    if (g && !g->arrays.failed)
        return g;
    changes_free(s, g);
    (void)sharded_no_memory(s, "the rows of a call");
    return NULL;
}

static void add_call(struct sharded *s, struct changes *g, struct shard_call call)
{
    call.record.ends = true;
    call.record.sequence = ++s->shards[call.shard].sequence;
    g->calls[g->n_calls++] = call;
}

struct changes *changes_by_shard(struct sharded *s, struct vectors v, const uint64_t *ids,
                                 const uint32_t *buckets, const struct row_request *in_file)
{
    const size_t row_bytes = v.rows ? sharded_row_bytes(s) : 0;
    struct changes *g = changes_new(s, v.n, row_bytes);
    if (!g)
        return NULL;
    size_t *first = g->first + 1; /* counts, then places; shifted by one shard */
    for (size_t i = 0; i < v.n; i++)
        first[s->placement.shard_of[buckets[i]]]++;
    for (size_t i = 0, at = 0; i < s->n_shards; i++) {
        const size_t n = first[i];
        first[i] = at;
        at += n;
    }
    for (size_t i = 0; i < v.n; i++) {
        const size_t at = first[s->placement.shard_of[buckets[i]]]++;
        g->ids[at] = ids[i];
        g->buckets[at] = buckets[i];
        g->numbers[at] = in_file ? in_file->numbers[i] : 0;
        if (v.rows)
            memcpy(g->rows + at * row_bytes, (const char *)v.rows + i * row_bytes, row_bytes);
    }
    for (size_t i = 0; i < s->n_shards; i++) {
        const size_t at = g->first[i], n = g->first[i + 1] - at;
        if (n > 0)
            add_call(s, g,
                     (struct shard_call){ .shard = i,
                                          .record = { .n = n,
                                                      .ids = g->ids + at,
                                                      .buckets = g->buckets + at,
                                                      .rows = g->rows + at * row_bytes },
                                          .in_file = in_file,
                                          .numbers = g->numbers + at });
    }
    return g;
}

struct changes *changes_of_ids(struct sharded *s, size_t shard, const uint64_t *ids, size_t n)
{
    struct changes *g = changes_new(s, n, 0);
    if (!g)
        return NULL;
    if (n > 0)
        memcpy(g->ids, ids, n * sizeof *ids);
    for (size_t i = 0; i < s->n_shards; i++)
        if (shard == SIZE_MAX || shard == i)
            add_call(s, g, (struct shard_call){ .shard = i, .record = { .n = n, .ids = g->ids } });
    return g;
}

/* ---- asking, and taking back */

int changes_tell(struct sharded *s, enum request_kind kind, struct changes *g)
{
    for (size_t i = 0; i < g->n_calls; i++)
        g->calls[i].record.op = kind == REQUEST_INSERT ? LOG_INSERT : LOG_REMOVE;
    return sharded_tell(s, kind, g->calls, g->n_calls);
}

static void keep(struct sharded *s, struct changes *g, enum request_kind redo)
{
    g->redo = redo;
    g->next = s->undo;
    s->undo = g;
}

/* Only what is not done stays: new rows may have the same ids. */
static int undo(struct sharded *s, struct changes *g)
{
    size_t left = 0;
    for (size_t i = 0; g->redo == REQUEST_DISCARD && i < g->n_calls; i++)
        g->calls[i].record.sequence = ++s->shards[g->calls[i].shard].sequence;
    const int rc = changes_tell(s, g->redo, g);
    for (size_t i = 0; i < g->n_calls; i++)
        if (!g->calls[i].done || g->calls[i].failed)
            g->calls[left++] = g->calls[i];
    g->n_calls = left;
    return rc;
}

/* Whether the rest must be asked for again. A rank that is lost has forgotten its marks, but may find
   rows in its log. */
static bool is_left(const struct changes *g, int rc)
{
    return g->n_calls > 0 &&
           (g->redo == REQUEST_DISCARD ? rc != ERR_UNSUPPORTED : rc == ERR_NO_MEMORY);
}

/* Whether a rank that is up has failed, and not only ranks that are lost. */
static bool is_refused(const struct changes *g, int rc)
{
    bool failed = rc == ERR_NO_MEMORY;
    for (size_t i = 0; i < g->n_calls; i++)
        failed |= g->calls[i].failed;
    return failed;
}

void changes_take_back(struct sharded *s, struct changes *g, enum request_kind redo)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    g->redo = redo;
    if (is_left(g, undo(s, g)))
        keep(s, g, redo);
    else
        changes_free(s, g);
    (void)error_divert(before);
}

void changes_finish(struct sharded *s, struct changes *g)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    size_t left = 0;
    for (size_t i = 0; i < g->n_calls; i++)
        if (g->calls[i].found > 0)
            g->calls[left++] = g->calls[i];
    g->n_calls = left;
    (void)changes_tell(s, REQUEST_FLUSH, g);
    left = 0;
    for (size_t i = 0; i < g->n_calls; i++)
        if (!g->calls[i].done)
            g->calls[left++] = g->calls[i];
    g->n_calls = left;
    if (left > 0)
        keep(s, g, REQUEST_DISCARD);
    else
        changes_free(s, g);
    (void)error_divert(before);
}

int sharded_finish_pending(struct sharded *s)
{
    for (struct changes **at = &s->undo, *g = *at; g; g = *at) {
        struct error why = { 0 };
        struct error *before = error_divert(&why);
        const int rc = undo(s, g);
        (void)error_divert(before);
        if (is_left(g, rc)) {
            if (is_refused(g, rc))
                return fail(s->base.env.error, rc, "%s", why.text);
            at = &g->next;
            continue;
        }
        *at = g->next;
        changes_free(s, g);
    }
    return OK;
}

void sharded_forget_undo(struct sharded *s)
{
    while (s->undo) {
        struct changes *g = s->undo;
        s->undo = g->next;
        changes_free(s, g);
    }
}
