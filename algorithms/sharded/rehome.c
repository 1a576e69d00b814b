/* rehome.c - rows that are in another shard, or under another bucket, than the placement says now; what the
 * copy of a shard reports. */
#include "algorithms/sharded/sharded.h"

/* ---- rows that are in the wrong shard */

int sharded_read_rows(struct sharded *s, size_t shard, const uint64_t *want, size_t most,
                      uint64_t *after, struct shard_rows *out)
{
    const struct replica *primary = sharded_primary(s, shard);
    const size_t n_buckets = s->placement.n_buckets;
    *out = (struct shard_rows){ 0 };
    if (!primary)
        return ERR_IO;
    call_begin(s, &out->call, primary->rank, REQUEST_ROWS, shard);
    struct wire *w = &out->call.request;
    wire_put(w, n_buckets);
    wire_put_bytes(w, want, (n_buckets / 64 + 1) * sizeof *want);
    wire_put(w, most);
    wire_put(w, *after);
    const int rc = sharded_ask(s, &out->call);
    if (rc != OK)
        return rc;
    struct wire_reader *r = &out->call.reply;
    *after = wire_take(r);
    out->n = (size_t)wire_take(r);
    out->ids = wire_take_array(r, out->n, sizeof *out->ids);
    out->buckets = wire_take_array(r, out->n, sizeof *out->buckets);
    out->rows = wire_take_array(r, out->n, sharded_row_bytes(s));
    if (r->failed)
        return fail(s->base.env.error, ERR_CORRUPT, "sharded: rows of rank %zu are damaged",
                    primary->rank);
    return OK;
}

/* Those that stay in the shard come first, then, by moves = true, those that leave. */
static void pick(struct sharded *s, const struct shard_rows *from, size_t shard,
                 const uint32_t *buckets, bool moves, struct picked_rows *p)
{
    p->n = 0;
    for (size_t i = 0; i < from->n; i++) {
        const bool leaves = s->placement.shard_of[buckets[i]] != shard;
        if (leaves == moves && (leaves || buckets[i] != from->buckets[i]))
            copy_picked_add(p, from->ids[i], buckets[i], from->rows, i);
    }
}

static int rehome_rows(struct sharded *s, size_t shard, const struct shard_rows *from,
                       size_t *moved)
{
    const struct vectors all = { from->rows, from->n, s->base.env.dim, s->base.env.element };
    uint32_t *buckets = mem_array(s->base.env.mem, from->n + 1, sizeof *buckets);
    struct picked_rows p;
    int rc = OK;
    if (!copy_picked_make(&p, s->base.env.mem, from->n, sharded_row_bytes(s)) || !buckets)
        rc = sharded_no_memory(s, "rows that move");
    if (rc == OK && from->n > 0)
        rc = placement_find(s, all, from->ids, buckets);
    if (rc == OK)
        pick(s, from, shard, buckets, false, &p);
    if (rc == OK && p.n > 0)
        rc = sharded_tell_record(
            s, REQUEST_RELABEL, shard,
            (struct log_record){ .op = LOG_RELABEL, .n = p.n, .ids = p.ids, .buckets = p.buckets });
    if (rc == OK)
        pick(s, from, shard, buckets, true, &p);
    if (rc == OK && p.n > 0) {
        const struct vectors v = { p.rows, p.n, s->base.env.dim, s->base.env.element };
        rc = sharded_move(s, shard, v, p.ids, p.buckets);
        *moved += rc == OK ? p.n : 0;
    }
    copy_picked_free(&p);
    mem_free(s->base.env.mem, buckets);
    return rc;
}

int sharded_rehome(struct sharded *s, size_t shard, const uint64_t *want, size_t *moved)
{
    const bool before = s->misassigned;
    size_t rank = RANKS_MAX;
    int rc = OK;
    s->misassigned = true;
    for (uint64_t after = 0; rc == OK && after != UINT64_MAX;) {
        struct shard_rows rows;
        const struct replica *primary = sharded_primary(s, shard);
        /* Records of another replica have other numbers. */
        if (primary && primary->rank != rank) {
            rank = primary->rank;
            after = 0;
        }
        rc = sharded_read_rows(s, shard, want, SIZE_MAX, &after, &rows);
        if (rc == OK)
            rc = rehome_rows(s, shard, &rows, moved);
        call_end(&rows.call);
    }
    s->misassigned = before || rc != OK;
    return rc;
}

/* ---- reports */

int sharded_report(struct sharded *s, size_t shard, size_t rank, struct shard_report *out,
                   uint64_t *counts)
{
    const size_t n = counts ? s->placement.n_buckets : 0;
    struct call call;
    call_begin(s, &call, rank, REQUEST_REPORT, shard);
    wire_put(&call.request, n);
    const int rc = sharded_ask(s, &call);
    if (rc == OK) {
        struct wire_reader *r = &call.reply;
        out->rows = wire_take(r);
        wire_take_struct(r, &out->memory, sizeof out->memory);
        const uint64_t *own = wire_take_array(r, n, sizeof *own);
        for (size_t i = 0; own && i < n; i++)
            counts[i] += own[i];
    }
    call_end(&call);
    return rc;
}
