/* report.c - statistics, memory, and the invariants of an index with its copies. */
#include <inttypes.h>

#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"

/* Reports do not change an index, but they send requests. */
static struct sharded *asked(const struct index *index)
{
    return (struct sharded *)(uintptr_t)index;
}

/* ---- statistics */

/* Rows of shards that no rank answers for. */
static size_t rows_missing(const struct sharded *s)
{
    size_t rows = 0;
    for (size_t i = 0; i < s->n_shards; i++)
        rows += sharded_any_up(s, i) ? 0 : s->shards[i].rows;
    return rows;
}

static void count(const struct sharded *s, struct stat_sink *sink)
{
    const struct counters *c = &s->counters;
    const struct {
        const char *name;
        double value;
    } all[] = {
        { "shards", (double)s->n_shards },
        { "ranks", (double)s->params.ranks },
        { "buckets", (double)s->placement.n_buckets },
        { "round_trip_ns", (double)s->round_trip_ns },
        { "queries", (double)c->queries },
        { "shards_asked", (double)c->asked },
        { "partial_answers", (double)c->partial },
        { "requests", (double)c->requests },
        { "sent_bytes", (double)c->sent_bytes },
        { "received_bytes", (double)c->received_bytes },
        { "rows_from_files", (double)c->rows_from_files },
        { "moved_rows", (double)c->moved_rows },
        { "bucket_splits", (double)c->bucket_splits },
        { "shard_splits", (double)c->shard_splits },
        { "ranks_lost", (double)c->lost },
        { "copies_recovered", (double)c->recovered },
        { "late_replies", (double)c->late },
        { "rows_missing", (double)rows_missing(s) },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sink->value(sink->to, all[i].name, all[i].value);
}

int sharded_stats(const struct index *index, struct stat_sink *sink)
{
    const struct sharded *s = (const struct sharded *)index;
    count(s, sink);
    for (size_t i = 0; sink->cell && i < s->n_shards; i++) {
        size_t buckets = 0;
        for (size_t b = 0; b < s->placement.n_buckets; b++)
            buckets += s->placement.shard_of[b] == i;
        sink->cell(sink->to, "shards", i, "live", (double)s->shards[i].rows);
        sink->cell(sink->to, "shards", i, "buckets", (double)buckets);
        sink->cell(sink->to, "shards", i, "rank", (double)s->shards[i].replicas[0].rank);
    }
    return OK;
}

/* ---- memory */

int sharded_memory(const struct index *index, struct memory_use *use)
{
    struct sharded *s = asked(index);
    const struct bucket_placement *p = &s->placement;
    *use = (struct memory_use){ 0 };
    int rc = sharded_finish_pending(s);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++)
        for (size_t j = 0; rc == OK && j < sharded_replicas(s); j++) {
            const struct replica *replica = &s->shards[i].replicas[j];
            struct shard_report report = { 0 };
            if (!replica->up)
                continue;
            rc = sharded_report(s, i, replica->rank, &report, NULL);
            use->vectors += report.memory.vectors;
            use->codes += report.memory.codes;
            use->graph += report.memory.graph;
            use->ids += report.memory.ids;
            use->other += report.memory.other;
            use->disk += report.memory.disk;
        }
    size_t each = sizeof *p->shard_of;
    if (p->starts)
        each += sizeof *p->starts + sizeof *p->by_start;
    if (p->centroids)
        each += index->env.dim * sizeof *p->centroids + sizeof *p->norms;
    use->other += sizeof *s + s->room_shards * sizeof *s->shards + p->room * each;
    return rc;
}

/* ---- invariants */

static int broken(const struct sharded *s, const char *what, size_t shard, uint64_t id)
{
    return fail(s->base.env.error, ERR_INVARIANT, "sharded: shard %zu, id %" PRIu64 ": %s", shard,
                id, what);
}

/* Each id is in one shard, in a bucket of that shard. */
static int check_ids(struct sharded *s, size_t shard, struct wire_reader *r, struct idmap *seen)
{
    const struct bucket_placement *p = &s->placement;
    const uint64_t n = wire_take(r);
    const bool by_id = s->params.placement != PLACE_CLUSTER;
    if (n != s->shards[shard].rows)
        return fail(s->base.env.error, ERR_INVARIANT,
                    "sharded: shard %zu has %" PRIu64 " rows, but %zu are counted", shard, n,
                    s->shards[shard].rows);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t id = wire_take(r);
        const uint32_t bucket = (uint32_t)wire_take(r);
        uint32_t own = bucket;
        const struct vectors none = { NULL, 1, s->base.env.dim, s->base.env.element };
        if (idmap_get(seen, id, NULL))
            return broken(s, "it is in another shard, too", shard, id);
        if (!idmap_put(seen, id, shard))
            return sharded_no_memory(s, "a check");
        if (bucket >= p->n_buckets)
            return broken(s, "its bucket does not exist", shard, id);
        if (!s->misassigned && p->shard_of[bucket] != shard)
            return broken(s, "its bucket belongs to another shard", shard, id);
        if (by_id && placement_find(s, none, &id, &own) != OK)
            return s->base.env.error->code;
        if (!s->misassigned && own != bucket)
            return broken(s, "it belongs to another bucket", shard, id);
    }
    return OK;
}

static int check_shard(struct sharded *s, size_t shard, struct idmap *seen)
{
    uint64_t digest = 0;
    bool first = true;
    int rc = OK;
    for (size_t j = 0; rc == OK && j < sharded_replicas(s); j++) {
        const struct replica *replica = &s->shards[shard].replicas[j];
        struct call call;
        if (!replica->up)
            continue;
        call_begin(s, &call, replica->rank, REQUEST_CHECK, shard);
        rc = sharded_ask(s, &call);
        const uint64_t its = wire_take(&call.reply);
        if (rc == OK && first)
            rc = check_ids(s, shard, &call.reply, seen);
        if (rc == OK && !first && its != digest)
            rc = fail(s->base.env.error, ERR_INVARIANT,
                      "sharded: the replicas of shard %zu have different rows", shard);
        digest = its;
        first = false;
        call_end(&call);
    }
    return rc;
}

int sharded_check(const struct index *index, struct stat_sink *sink)
{
    struct sharded *s = asked(index);
    struct idmap seen;
    (void)sink;
    idmap_init(&seen, index->env.mem);
    int rc = sharded_finish_pending(s);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++)
        rc = check_shard(s, i, &seen);
    idmap_free(&seen);
    return rc;
}
