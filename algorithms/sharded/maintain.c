/* maintain.c - maintenance: lost ranks are started again, buckets and shards that have grown are
 * divided, and buckets move from full shards to others. */
#include <math.h>
#include <string.h>

#include "algorithms/sharded/sharded.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* A part may have most of the rows, so a bucket may be divided again by the same call. */
enum { DIVISIONS_MAX = 8, PARTS_MAX = 64 };
/* A bucket of fewer rows is not divided, */
enum { SPLIT_ROWS_MIN = 64 };
/* nor one with fewer than this many times the mean of a bucket at first. */
static const double SPLIT_RATIO = 4;

static int no_memory(const struct sharded *s)
{
    return fail(s->base.env.error, ERR_NO_MEMORY, "sharded: out of memory for maintenance");
}

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

struct labels {
    uint64_t sequence;
    size_t n;
    const uint64_t *ids;
    const uint32_t *buckets;
};

static void put_labels(void *to, size_t rank, struct wire *w)
{
    const struct labels *l = to;
    (void)rank;
    wire_put(w, l->sequence);
    wire_put(w, l->n);
    wire_put_bytes(w, l->ids, l->n * sizeof *l->ids);
    wire_put_bytes(w, l->buckets, l->n * sizeof *l->buckets);
}

/* Rows picked from those that were read. */
struct picked {
    size_t n;
    uint64_t *ids;
    uint32_t *buckets;
    unsigned char *rows;
};

static bool picked_begin(struct sharded *s, struct picked *p, size_t n)
{
    struct mem *mem = s->base.env.mem;
    *p = (struct picked){ 0, mem_array(mem, n + 1, sizeof *p->ids),
                          mem_array(mem, n + 1, sizeof *p->buckets),
                          mem_array(mem, n + 1, sharded_row_bytes(s)) };
    return p->ids && p->buckets && p->rows;
}

static void picked_end(struct sharded *s, struct picked *p)
{
    mem_free(s->base.env.mem, p->ids);
    mem_free(s->base.env.mem, p->buckets);
    mem_free(s->base.env.mem, p->rows);
}

/* Those that stay in the shard come first, then, by moves = true, those that leave. */
static void pick(struct sharded *s, const struct shard_rows *from, size_t shard,
                 const uint32_t *buckets, bool moves, struct picked *p)
{
    const size_t row_bytes = sharded_row_bytes(s);
    p->n = 0;
    for (size_t i = 0; i < from->n; i++) {
        const bool leaves = s->placement.shard_of[buckets[i]] != shard;
        if (leaves != moves || (!leaves && buckets[i] == from->buckets[i]))
            continue;
        p->ids[p->n] = from->ids[i];
        p->buckets[p->n] = buckets[i];
        memcpy(p->rows + p->n++ * row_bytes, (const char *)from->rows + i * row_bytes, row_bytes);
    }
}

static int rehome_rows(struct sharded *s, size_t shard, const struct shard_rows *from,
                       size_t *moved)
{
    const struct vectors all = { from->rows, from->n, s->base.env.dim, s->base.env.element };
    uint32_t *buckets = mem_array(s->base.env.mem, from->n + 1, sizeof *buckets);
    struct picked p;
    int rc = picked_begin(s, &p, from->n) && buckets ? OK : no_memory(s);
    if (rc == OK && from->n > 0)
        rc = placement_find(s, all, from->ids, buckets);
    if (rc == OK)
        pick(s, from, shard, buckets, false, &p);
    if (rc == OK && p.n > 0) {
        struct labels labels = { ++s->shards[shard].sequence, p.n, p.ids, p.buckets };
        struct shard_call call = { .shard = shard, .put = put_labels, .to = &labels };
        rc = sharded_tell(s, REQUEST_RELABEL, &call, 1);
    }
    if (rc == OK)
        pick(s, from, shard, buckets, true, &p);
    if (rc == OK && p.n > 0) {
        const struct vectors v = { p.rows, p.n, s->base.env.dim, s->base.env.element };
        rc = sharded_move(s, shard, v, p.ids, p.buckets);
        *moved += rc == OK ? p.n : 0;
    }
    picked_end(s, &p);
    mem_free(s->base.env.mem, buckets);
    return rc;
}

int sharded_rehome(struct sharded *s, size_t shard, const uint64_t *want, size_t *moved)
{
    const bool before = s->unsettled;
    int rc = OK;
    s->unsettled = true;
    for (uint64_t after = 0; rc == OK && after != UINT64_MAX;) {
        struct shard_rows rows;
        rc = sharded_read_rows(s, shard, want, LOG_ROWS, &after, &rows);
        if (rc == OK)
            rc = rehome_rows(s, shard, &rows, moved);
        call_end(&rows.call);
    }
    s->unsettled = before || rc != OK;
    return rc;
}

/* All rows of all shards, after a move that was broken off. */
static int rehome_all(struct sharded *s, size_t *moved)
{
    const size_t words = s->placement.n_buckets / 64 + 1;
    uint64_t *want = mem_array(s->base.env.mem, words, sizeof *want);
    int rc = want ? OK : no_memory(s);
    if (want)
        memset(want, 0xff, words * sizeof *want);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++)
        rc = sharded_rehome(s, i, want, moved);
    s->unsettled = rc != OK;
    mem_free(s->base.env.mem, want);
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
        out->sequence = wire_take(r);
        out->memory.vectors = wire_take(r);
        out->memory.codes = wire_take(r);
        out->memory.graph = wire_take(r);
        out->memory.ids = wire_take(r);
        out->memory.other = wire_take(r);
        out->memory.disk = wire_take(r);
        const uint64_t *own = wire_take_array(r, n, sizeof *own);
        for (size_t i = 0; own && i < n; i++)
            counts[i] += own[i];
    }
    call_end(&call);
    return rc;
}

/* ---- balance */

struct balance {
    uint64_t *counts; /* rows of each bucket */
    size_t room;
    uint8_t *divided; /* how often a bucket was divided by this call */
    size_t room_divided;
    size_t moved;
};

static int count_buckets(struct sharded *s, struct balance *b)
{
    struct mem *mem = s->base.env.mem;
    const size_t n = s->placement.n_buckets, before = b->room_divided;
    int rc = mem_grow(mem, &b->counts, &b->room, n + 1, sizeof *b->counts) &&
                     mem_grow(mem, &b->divided, &b->room_divided, n + 1, sizeof *b->divided)
                 ? OK
                 : no_memory(s);
    if (rc != OK)
        return rc;
    memset(b->counts, 0, (n + 1) * sizeof *b->counts);
    if (b->room_divided > before)
        memset(b->divided + before, 0, (b->room_divided - before) * sizeof *b->divided);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++) {
        const struct replica *primary = sharded_primary(s, i);
        struct shard_report report;
        rc = primary ? sharded_report(s, i, primary->rank, &report, b->counts) : ERR_IO;
        s->shards[i].rows = rc == OK ? (size_t)report.rows : s->shards[i].rows;
    }
    return rc;
}

static size_t total_rows(const struct sharded *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_shards; i++)
        n += s->shards[i].rows;
    return n;
}

/* The buckets that are to be divided, each into parts of half of what a bucket may have. */
static size_t buckets_to_split(const struct sharded *s, const struct balance *b,
                               struct bucket_split *out)
{
    const double first = (double)(s->params.buckets * s->params.shards);
    const double most = fmax(SPLIT_ROWS_MIN, SPLIT_RATIO * (double)total_rows(s) / first);
    size_t n = 0;
    if (s->params.placement == PLACE_HASH)
        return 0;
    for (size_t i = 0; i < s->placement.n_buckets; i++) {
        const double parts = ceil(2 * (double)b->counts[i] / most);
        if ((double)b->counts[i] > most && b->divided[i] < DIVISIONS_MAX)
            out[n++] =
                (struct bucket_split){ (uint32_t)i, parts < PARTS_MAX ? (size_t)parts : PARTS_MAX };
    }
    return n;
}

static int split_buckets(struct sharded *s, struct balance *b, size_t *n)
{
    struct mem *mem = s->base.env.mem;
    const size_t all = s->placement.n_buckets;
    struct bucket_split *splits = mem_array(mem, all + 1, sizeof *splits);
    bool *done = mem_zalloc(mem, all + 1);
    int rc = splits && done ? OK : no_memory(s);
    *n = rc == OK ? buckets_to_split(s, b, splits) : 0;
    if (*n > 0)
        rc = sharded_split_buckets(s, splits, *n, done, &b->moved);
    for (size_t i = 0; i < *n; i++) {
        uint8_t *divided = &b->divided[splits[i].bucket];
        *divided = done[i] ? *divided + 1 : DIVISIONS_MAX;
    }
    mem_free(mem, splits);
    mem_free(mem, done);
    return rc;
}

static size_t shard_to_split(const struct sharded *s)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; s->params.split_rows && i < s->n_shards; i++) {
        size_t buckets = 0;
        for (size_t j = 0; j < s->placement.n_buckets; j++)
            buckets += s->placement.shard_of[j] == i;
        if (s->shards[i].rows > (uint64_t)s->params.split_rows && buckets > 1 &&
            s->n_shards < SHARDS_MAX &&
            (best == SIZE_MAX || s->shards[i].rows > s->shards[best].rows))
            best = i;
    }
    return best;
}

/* How far the bucket is from the nearest one of the shard; 0 without centroids. */
static float distance_to_shard(const struct sharded *s, size_t bucket, size_t shard)
{
    const struct placement *p = &s->placement;
    const size_t dim = s->base.env.dim;
    float best = INFINITY;
    if (s->params.placement != PLACE_CLUSTER)
        return 0;
    for (size_t i = 0; i < p->n_buckets; i++)
        if (p->shard_of[i] == shard) {
            const float d = s->base.env.kernels->l2sq_f32(p->centroids + bucket * dim,
                                                          p->centroids + i * dim, dim);
            best = d < best ? d : best;
        }
    return best;
}

/* A bucket of the fullest shard whose move to the emptiest makes both more even: near ones first. */
static uint32_t bucket_to_move(const struct sharded *s, const struct balance *b, size_t *to)
{
    size_t full = 0, empty = 0;
    uint32_t best = BUCKETS_MAX;
    float nearest = INFINITY;
    for (size_t i = 1; i < s->n_shards; i++) {
        full = s->shards[i].rows > s->shards[full].rows ? i : full;
        empty = s->shards[i].rows < s->shards[empty].rows ? i : empty;
    }
    const double mean = (double)total_rows(s) / (double)s->n_shards;
    const size_t gap = s->shards[full].rows - s->shards[empty].rows;
    *to = empty;
    if ((double)s->shards[full].rows <= s->params.balance * mean || gap < 2)
        return best;
    for (size_t i = 0; i < s->placement.n_buckets; i++) {
        if (s->placement.shard_of[i] != full || b->counts[i] == 0 || b->counts[i] >= gap)
            continue;
        const float d = distance_to_shard(s, i, empty);
        if (best == BUCKETS_MAX || d < nearest ||
            (d <= nearest && b->counts[i] > b->counts[best])) {
            best = (uint32_t)i;
            nearest = d;
        }
    }
    return best;
}

static int move_bucket(struct sharded *s, uint32_t bucket, size_t to, size_t *moved)
{
    const size_t words = s->placement.n_buckets / 64 + 1, from = s->placement.shard_of[bucket];
    uint64_t *want = mem_zalloc(s->base.env.mem, words * sizeof *want);
    if (!want)
        return no_memory(s);
    want[bucket / 64] |= UINT64_C(1) << bucket % 64;
    s->placement.shard_of[bucket] = (uint32_t)to;
    const int rc = sharded_rehome(s, from, want, moved);
    mem_free(s->base.env.mem, want);
    return rc;
}

/* One step towards balance; *done: nothing is left to do. */
static int balance_step(struct sharded *s, struct balance *b, bool *done)
{
    size_t to;
    int rc = count_buckets(s, b);
    if (rc != OK)
        return rc;
    size_t n_split;
    rc = split_buckets(s, b, &n_split);
    if (rc != OK || n_split > 0)
        return rc;
    const size_t shard = shard_to_split(s);
    if (shard != SIZE_MAX)
        return sharded_split_shard(s, shard, b->counts, &b->moved);
    const uint32_t move = bucket_to_move(s, b, &to);
    *done = move == BUCKETS_MAX;
    return *done ? OK : move_bucket(s, move, to, &b->moved);
}

/* ---- the operation */

struct maintaining {
    uint64_t budget;
};

static void put_budget(void *to, size_t rank, struct wire *w)
{
    const struct maintaining *m = to;
    (void)rank;
    wire_put(w, m->budget);
}

static int maintain_shards(struct sharded *s, uint64_t budget, bool *more)
{
    struct maintaining m = { budget / s->n_shards + (budget > 0) };
    int rc = OK;
    for (size_t i = 0; rc == OK && i < s->n_shards; i++) {
        struct shard_call call = { .shard = i, .put = put_budget, .to = &m };
        rc = sharded_tell(s, REQUEST_MAINTAIN, &call, 1);
        *more |= rc == OK && call.found;
    }
    return rc;
}

/* A row that moves costs a comparison with each centroid; an insertion is the other method's work, and
   is not counted. */
static bool is_spent(const struct sharded *s, const struct balance *b, uint64_t budget)
{
    const uint64_t each = s->params.placement == PLACE_CLUSTER ? s->placement.n_buckets : 1;
    return budget > 0 && b->moved * each > budget;
}

int sharded_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct sharded *s = sharded_of(index);
    struct balance b = { 0 };
    bool done = false;
    *more = false;
    int rc = sharded_settle(s);
    if (rc == OK)
        rc = sharded_recover(s);
    if (rc == OK && s->unsettled)
        rc = rehome_all(s, &b.moved);
    if (rc == OK)
        rc = maintain_shards(s, budget, more);
    while (rc == OK && !done && s->of->remove && !is_spent(s, &b, budget))
        rc = balance_step(s, &b, &done);
    *more |= !done && s->of->remove;
    mem_free(index->env.mem, b.counts);
    mem_free(index->env.mem, b.divided);
    return rc;
}
