/* changes.c - the changes of a call by shard: their requests, and how they are taken back. */
#include <string.h>

#include "algorithms/sharded/changes.h"
#include "src/core/mem.h"

/* ---- requests */

static void put_change(void *to, size_t rank, struct wire *w)
{
    const struct change *c = to;
    const struct log_record *r = &c->record;
    const bool in_file = r->op == LOG_INSERT && c->in_file && rank > 0;
    wire_put(w, in_file);
    log_put(w, r, in_file ? 0 : c->row_bytes);
    if (!in_file)
        return;
    const struct row_origin *from = c->in_file->from;
    wire_put_text(w, from->path);
    wire_put(w, from->offset);
    wire_put(w, from->stride);
    wire_put(w, c->hash(r->rows, r->n * c->row_bytes));
    wire_put_bytes(w, c->numbers, r->n * sizeof *c->numbers);
    *c->from_file += r->n;
}

int changes_tell_one(struct sharded *s, enum request_kind kind, size_t shard, struct log_record r)
{
    r.ends = true;
    r.sequence = ++s->shards[shard].sequence;
    struct change c = { .record = r, .row_bytes = sharded_row_bytes(s) };
    struct shard_call call = {
        .shard = shard, .sequence = r.sequence, .put = put_change, .to = &c
    };
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
        g->changes = mem_group_zalloc(&g->arrays, s->n_shards, sizeof *g->changes);
        g->calls = mem_group_zalloc(&g->arrays, s->n_shards, sizeof *g->calls);
    }
    if (g && !g->arrays.failed)
        return g;
    changes_free(s, g);
    (void)sharded_no_memory(s, "the rows of a call");
    return NULL;
}

static void add_call(struct sharded *s, struct changes *g, size_t shard, struct change change)
{
    struct change *c = &g->changes[g->n_calls];
    *c = change;
    c->record.ends = true;
    c->record.sequence = ++s->shards[shard].sequence;
    c->from_file = &s->counters.rows_from_files;
    g->calls[g->n_calls++] = (struct shard_call){ .shard = shard, .to = c };
}

struct changes *changes_by_shard(struct sharded *s, struct vectors v, const uint64_t *ids,
                                 const uint32_t *buckets, const uint64_t *numbers)
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
        g->numbers[at] = numbers ? numbers[i] : 0;
        if (v.rows)
            memcpy(g->rows + at * row_bytes, (const char *)v.rows + i * row_bytes, row_bytes);
    }
    for (size_t i = 0; i < s->n_shards; i++) {
        const size_t at = g->first[i], n = g->first[i + 1] - at;
        if (n > 0)
            add_call(s, g, i,
                     (struct change){ .record = { .n = n,
                                                  .ids = g->ids + at,
                                                  .buckets = g->buckets + at,
                                                  .rows = g->rows + at * row_bytes },
                                      .row_bytes = row_bytes,
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
            add_call(s, g, i, (struct change){ .record = { .n = n, .ids = g->ids } });
    return g;
}

/* ---- asking, and taking back */

int changes_tell(struct sharded *s, enum request_kind kind, struct changes *g)
{
    const bool logs = kind != REQUEST_MARK && kind != REQUEST_UNMARK;
    for (size_t i = 0; i < g->n_calls; i++) {
        struct change *c = g->calls[i].to;
        c->record.op = kind == REQUEST_INSERT ? LOG_INSERT : LOG_REMOVE;
        g->calls[i].put = kind == REQUEST_FLUSH ? NULL : put_change;
        g->calls[i].sequence = logs ? c->record.sequence : 0;
    }
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
    for (size_t i = 0; g->redo == REQUEST_DISCARD && i < g->n_calls; i++) {
        struct change *c = g->calls[i].to;
        c->record.sequence = ++s->shards[g->calls[i].shard].sequence;
    }
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
