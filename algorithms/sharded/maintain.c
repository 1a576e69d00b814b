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

/* ---- rows that are in the wrong shard */

/* All rows of all shards, after a move that was broken off. */
static int rehome_all(struct sharded *s, size_t *moved)
{
    uint64_t *want = placement_bits(s, s->placement.n_buckets);
    int rc = want ? OK : ERR_NO_MEMORY;
    for (size_t i = 0; want && i < s->placement.n_buckets; i++)
        placement_bit_set(want, i);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++)
        rc = sharded_rehome(s, i, want, moved);
    s->misassigned = rc != OK;
    mem_free(s->base.env.mem, want);
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
                 : sharded_no_memory(s, "maintenance");
    if (rc != OK)
        return rc;
    memset(b->counts, 0, (n + 1) * sizeof *b->counts);
    if (b->room_divided > before)
        memset(b->divided + before, 0, (b->room_divided - before) * sizeof *b->divided);
    for (size_t i = 0; rc == OK && i < s->n_shards; i++) {
        const struct replica *primary = sharded_primary(s, i);
        struct shard_report report;
        rc = primary ? sharded_report(s, i, primary->rank, &report, b->counts) : ERR_IO;
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
                (struct bucket_split){ .bucket = (uint32_t)i,
                                       .parts = parts < PARTS_MAX ? (size_t)parts : PARTS_MAX };
    }
    return n;
}

static int split_buckets(struct sharded *s, struct balance *b, size_t *n)
{
    struct mem *mem = s->base.env.mem;
    const size_t all = s->placement.n_buckets;
    struct bucket_split *splits = mem_array(mem, all + 1, sizeof *splits);
    int rc = splits ? OK : sharded_no_memory(s, "maintenance");
    *n = rc == OK ? buckets_to_split(s, b, splits) : 0;
    if (*n > 0)
        rc = sharded_split_buckets(s, splits, *n, &b->moved);
    for (size_t i = 0; i < *n; i++) {
        uint8_t *divided = &b->divided[splits[i].bucket];
        *divided = splits[i].done ? *divided + 1 : DIVISIONS_MAX;
    }
    mem_free(mem, splits);
    return rc;
}

/* Rows of one bucket stay together. */
static size_t shard_to_split(const struct sharded *s, const struct balance *b)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; s->params.split_rows && i < s->n_shards; i++) {
        size_t buckets = 0;
        for (size_t j = 0; j < s->placement.n_buckets; j++)
            buckets += s->placement.shard_of[j] == i && b->counts[j] > 0;
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
    const struct bucket_placement *p = &s->placement;
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
    const size_t from = s->placement.shard_of[bucket];
    uint64_t *want = placement_bits(s, s->placement.n_buckets);
    if (!want)
        return ERR_NO_MEMORY;
    placement_bit_set(want, bucket);
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
    const size_t shard = shard_to_split(s, b);
    if (shard != SIZE_MAX)
        return sharded_split_shard(s, shard, b->counts, &b->moved);
    const uint32_t move = bucket_to_move(s, b, &to);
    *done = move == BUCKETS_MAX;
    return *done ? OK : move_bucket(s, move, to, &b->moved);
}

/* ---- the operation */

static int maintain_shards(struct sharded *s, uint64_t budget, bool *more)
{
    const uint64_t each = budget / s->n_shards + (budget > 0);
    int rc = OK;
    for (size_t i = 0; rc == OK && i < s->n_shards; i++) {
        struct shard_call call = { .shard = i, .budget = each };
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
    int rc = sharded_finish_pending(s);
    if (rc == OK)
        rc = sharded_recover(s);
    if (rc == OK && s->misassigned)
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
