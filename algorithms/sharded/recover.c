/* recover.c - lost ranks are started again. A copy is made from its folder's log and checkpoint, and gets
 * what it has missed from another copy of its shard. Without another one it answers only if it has every
 * operation that was acknowledged: else the shard stays down, and the files as they are. */
#include <inttypes.h>

#include "algorithms/sharded/sharded.h"

/* The copies of a shard that are not up. */
struct recovering {
    size_t shard;
    bool known[REPLICAS_MAX];        /* it was made from its files, */
    uint64_t sequence[REPLICAS_MAX]; /* which have operations up to this one */
    struct error why;                /* the first that could not be */
};

/* ---- one copy */

static int apply(struct sharded *s, size_t shard, size_t rank, struct wire_reader *records,
                 uint64_t n)
{
    struct call call;
    call_begin(s, &call, rank, REQUEST_APPLY, shard);
    wire_put(&call.request, n);
    wire_put_bytes(&call.request, records->at, records->left);
    const int rc = sharded_ask(s, &call);
    call_end(&call);
    return rc;
}

/* Sends a copy what another one has done since operation `after`. If that one's log does not go back so far,
   or for 0, the copy is made anew, and all rows are sent. */
static int send_records(struct sharded *s, size_t shard, size_t to, size_t from, uint64_t after)
{
    int rc = OK;
    for (uint64_t lsn = 0; rc == OK && lsn != UINT64_MAX;) {
        struct call call;
        call_begin(s, &call, from, REQUEST_RECORDS, shard);
        wire_put(&call.request, after);
        wire_put(&call.request, lsn);
        rc = sharded_ask(s, &call);
        const bool whole = wire_take(&call.reply) != 0;
        if (rc == OK && whole && lsn == 0)
            rc = sharded_create_copy(s, shard, to, COPY_REPLICA, NULL, NULL);
        lsn = wire_take(&call.reply);
        const uint64_t n = wire_take(&call.reply);
        if (rc == OK && n > 0)
            rc = apply(s, shard, to, &call.reply, n);
        call_end(&call);
    }
    return rc;
}

/* If the two copies have different rows after it, the one that caught up is made anew. */
static int catch_up(struct sharded *s, size_t shard, struct replica *to, size_t from,
                    uint64_t after)
{
    for (;; after = 0) {
        uint64_t mine, its;
        int rc = send_records(s, shard, to->rank, from, after);
        if (rc == OK)
            rc = sharded_ask_word(s, to->rank, REQUEST_DIGEST, shard, &mine);
        if (rc == OK)
            rc = sharded_ask_word(s, from, REQUEST_DIGEST, shard, &its);
        if (rc != OK)
            return rc;
        if (mine == its)
            break;
        if (after == 0)
            return fail(s->base.env.error, ERR_INVARIANT,
                        "sharded: shard %zu: rank %zu has other rows than rank %zu, whose rows it "
                        "was given",
                        shard, to->rank, from);
    }
    to->up = true;
    s->counters.recovered++;
    return OK;
}

/* ---- a shard */

static void read_files(struct sharded *s, struct recovering *r)
{
    for (size_t j = 0; j < sharded_replicas(s); j++) {
        const struct replica *replica = &s->shards[r->shard].replicas[j];
        struct error why = { 0 };
        if (replica->up || !s->is_up[replica->rank])
            continue;
        struct error *before = error_divert(&why);
        r->known[j] = sharded_create_copy(s, r->shard, replica->rank, COPY_RECOVERED, NULL,
                                          &r->sequence[j]) == OK;
        (void)error_divert(before);
        if (!r->known[j] && r->why.code == OK)
            r->why = why;
    }
}

static int stays_down(struct sharded *s, const struct recovering *r, size_t best)
{
    const struct shard *shard = &s->shards[r->shard];
    if (r->why.code != OK)
        return fail(s->base.env.error, r->why.code,
                    "sharded: shard %zu, of %zu rows, stays down, and its files as they are: %s",
                    r->shard, shard->rows, r->why.text);
    if (best == REPLICAS_MAX)
        return fail(s->base.env.error, ERR_IO,
                    "sharded: shard %zu, of %zu rows, stays down: none of its ranks was started",
                    r->shard, shard->rows);
    return fail(
        s->base.env.error, ERR_CORRUPT,
        "sharded: shard %zu, of %zu rows, stays down, and its files as they are: of %" PRIu64
        " operations rank %zu has %" PRIu64,
        r->shard, shard->rows, shard->acknowledged, shard->replicas[best].rank, r->sequence[best]);
}

/* The copy that has most answers for the shard, if it has all. */
static int take_whole(struct sharded *s, const struct recovering *r)
{
    struct shard *shard = &s->shards[r->shard];
    size_t best = REPLICAS_MAX;
    for (size_t j = 0; j < sharded_replicas(s); j++)
        if (r->known[j] && (best == REPLICAS_MAX || r->sequence[j] > r->sequence[best]))
            best = j;
    for (size_t j = 0; best == REPLICAS_MAX && shard->acknowledged == 0 && j < sharded_replicas(s);
         j++)
        if (s->is_up[shard->replicas[j].rank] &&
            sharded_create_copy(s, r->shard, shard->replicas[j].rank, COPY_NEW, NULL, NULL) == OK)
            best = j;
    if (best == REPLICAS_MAX || r->sequence[best] < shard->acknowledged)
        return stays_down(s, r, best);
    shard->replicas[best].up = true;
    s->counters.recovered++;
    return OK;
}

static int recover_shard(struct sharded *s, size_t shard)
{
    struct recovering r = { .shard = shard };
    int rc = OK;
    read_files(s, &r);
    if (r.why.code == ERR_NO_MEMORY)
        return fail(s->base.env.error, r.why.code, "%s", r.why.text);
    if (!sharded_any_up(s, shard))
        rc = take_whole(s, &r);
    for (size_t j = 0; rc == OK && j < sharded_replicas(s); j++) {
        struct replica *replica = &s->shards[shard].replicas[j];
        const struct replica *from = sharded_any_up(s, shard);
        if (!replica->up && s->is_up[replica->rank])
            rc = from ? catch_up(s, shard, replica, from->rank, r.sequence[j])
                      : stays_down(s, &r, REPLICAS_MAX);
    }
    return rc;
}

/* A shard with another number of rows than were acknowledged does not answer. */
static int check_rows(struct sharded *s, size_t shard)
{
    const struct replica *primary = sharded_any_up(s, shard);
    struct shard_report report;
    const int rc = primary ? sharded_report(s, shard, primary->rank, &report, NULL) : OK;
    if (!primary || rc != OK || report.rows == s->shards[shard].rows)
        return rc;
    for (size_t j = 0; j < sharded_replicas(s); j++)
        s->shards[shard].replicas[j].up = false;
    return fail(s->base.env.error, ERR_CORRUPT,
                "sharded: shard %zu has %" PRIu64 " of %zu rows, and is down", shard, report.rows,
                s->shards[shard].rows);
}

int sharded_recover(struct sharded *s)
{
    int rc = OK;
    for (size_t rank = 1; rank < (size_t)s->params.ranks; rank++) {
        if (s->group->ops->is_lost(s->group, rank)) /* it may not have been asked since */
            sharded_lose_rank(s, rank);
        if (s->is_up[rank])
            continue;
        const int started =
            s->group->ops->start(s->group, rank, 1, s->base.env.dir, s->base.env.error);
        s->is_up[rank] = started == OK;
        rc = rc ? rc : started;
    }
    for (size_t i = 0; i < s->n_shards; i++) {
        bool all_up = true;
        for (size_t j = 0; j < sharded_replicas(s); j++)
            all_up &= s->shards[i].replicas[j].up;
        const int recovered = all_up ? OK : recover_shard(s, i);
        rc = rc ? rc : recovered;
    }
    const int pending = sharded_finish_pending(s);
    rc = rc ? rc : pending;
    for (size_t i = 0; pending == OK && i < s->n_shards; i++) {
        const int checked = check_rows(s, i);
        rc = rc ? rc : checked;
    }
    return rc;
}
