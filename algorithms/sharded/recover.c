/* recover.c - lost ranks are started again. A copy is made from its folder's log and checkpoint, if
 * they are there, and gets what it has missed from another copy of its shard. */
#include <inttypes.h>
#include <stdio.h>

#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"

/* A copy that is being recovered. */
struct recovering {
    size_t shard, replica;
    uint64_t sequence; /* what it has */
};

static struct replica *replica_of(struct sharded *s, const struct recovering *r)
{
    return &s->shards[r->shard].replicas[r->replica];
}

/* Ranks that are lost but were not asked since. */
static void notice_lost(struct sharded *s)
{
    for (size_t rank = 1; rank < (size_t)s->params.ranks; rank++) {
        struct call call;
        struct error unreported = { 0 };
        if (!s->is_up[rank] || !s->group->ops->is_lost(s->group, rank))
            continue;
        struct error *before = error_divert(&unreported);
        call_begin(s, &call, rank, REQUEST_PING, 0);
        (void)sharded_ask(s, &call);
        call_end(&call);
        (void)error_divert(before);
    }
}

static int restart(struct sharded *s, size_t rank)
{
    const int rc = s->group->ops->start(s->group, rank, 1, s->base.env.dir, s->base.env.error);
    s->is_up[rank] = rc == OK;
    return rc;
}

/* ---- one copy */

/* From its folder, or empty. */
static int recreate(struct sharded *s, struct recovering *r)
{
    struct error why = { 0 };
    struct error *before = error_divert(&why);
    const size_t rank = replica_of(s, r)->rank;
    int rc = sharded_create_copy(s, r->shard, rank, COPY_RECOVERED, NULL, &r->sequence);
    (void)error_divert(before);
    if (rc == OK || !s->is_up[rank] || rc == ERR_NO_MEMORY)
        return rc == OK ? OK : fail(s->base.env.error, rc, "%s", why.text);
    return sharded_create_copy(s, r->shard, rank, COPY_NEW, NULL, &r->sequence);
}

static int apply(struct sharded *s, struct recovering *r, struct wire_reader *records, uint64_t n)
{
    struct call call;
    call_begin(s, &call, replica_of(s, r)->rank, REQUEST_APPLY, r->shard);
    wire_put(&call.request, n);
    wire_put_bytes(&call.request, records->at, records->left);
    const int rc = sharded_ask(s, &call);
    call_end(&call);
    return rc;
}

/* Sends it what the other copy has done since. If that copy's log no longer reaches back so far, all
   rows are sent. */
static int catch_up(struct sharded *s, struct recovering *r, const struct replica *from)
{
    int rc = OK;
    for (uint64_t lsn = 0; rc == OK && lsn != UINT64_MAX;) {
        struct call call;
        call_begin(s, &call, from->rank, REQUEST_RECORDS, r->shard);
        wire_put(&call.request, r->sequence);
        wire_put(&call.request, lsn);
        rc = sharded_ask(s, &call);
        const bool whole = wire_take(&call.reply) != 0;
        if (rc == OK && whole && lsn == 0)
            rc = sharded_create_copy(s, r->shard, replica_of(s, r)->rank, COPY_NEW, NULL,
                                     &r->sequence);
        lsn = wire_take(&call.reply);
        const uint64_t n = wire_take(&call.reply);
        if (rc == OK && n > 0)
            rc = apply(s, r, &call.reply, n);
        call_end(&call);
    }
    if (rc == OK) {
        replica_of(s, r)->up = true;
        s->counters.recovered++;
    }
    return rc;
}

/* ---- all copies */

static bool has_up(const struct sharded *s, size_t shard)
{
    for (size_t j = 0; j < sharded_replicas(s); j++)
        if (s->shards[shard].replicas[j].up)
            return true;
    return false;
}

/* Of a shard without another copy, the one that has most is what is left. */
static int take_most(struct sharded *s, struct recovering *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t best = i;
        struct shard_report report;
        if (has_up(s, all[i].shard))
            continue;
        for (size_t j = i + 1; j < n; j++)
            if (all[j].shard == all[i].shard && all[j].sequence > all[best].sequence)
                best = j;
        struct replica *replica = replica_of(s, &all[best]);
        const int rc = sharded_report(s, all[i].shard, replica->rank, &report, NULL);
        if (rc != OK)
            return rc;
        replica->up = true;
        s->counters.recovered++;
        if (report.rows != s->shards[all[i].shard].rows && s->base.env.log) {
            char line[200];
            (void)snprintf(line, sizeof line,
                           "sharded: shard %zu has %" PRIu64 " of %zu rows after its rank was lost",
                           all[i].shard, report.rows, s->shards[all[i].shard].rows);
            s->base.env.log(s->base.env.log_to, line);
        }
        s->shards[all[i].shard].rows = (size_t)report.rows;
    }
    return OK;
}

static int recover_copies(struct sharded *s, struct recovering *all, size_t n)
{
    int rc = OK;
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = recreate(s, &all[i]);
    if (rc == OK)
        rc = take_most(s, all, n);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (!replica_of(s, &all[i])->up)
            rc = catch_up(s, &all[i], sharded_primary(s, all[i].shard));
    return rc;
}

int sharded_recover(struct sharded *s)
{
    struct mem *mem = s->base.env.mem;
    size_t n = 0;
    int rc = OK;
    if (!s->group)
        return OK;
    notice_lost(s);
    for (size_t i = 0; i < s->n_shards; i++)
        for (size_t j = 0; j < sharded_replicas(s); j++)
            n += !s->shards[i].replicas[j].up;
    for (size_t rank = 1; rc == OK && rank < (size_t)s->params.ranks; rank++)
        if (!s->is_up[rank])
            rc = restart(s, rank);
    if (n == 0 || rc != OK)
        return rc;
    struct recovering *all = mem_zalloc(mem, n * sizeof *all);
    if (!all)
        return fail(s->base.env.error, ERR_NO_MEMORY, "sharded: out of memory for a recovery");
    n = 0;
    for (size_t i = 0; i < s->n_shards; i++)
        for (size_t j = 0; j < sharded_replicas(s); j++)
            if (!s->shards[i].replicas[j].up)
                all[n++] = (struct recovering){ i, j, 0 };
    rc = recover_copies(s, all, n);
    mem_free(mem, all);
    return rc;
}
