/* rows.c - rows by slot, in memory or in a file; a row is in the file when asteria_rows_write() returns.
 * Those of the buckets probed most are also in memory.
 *
 * Probe counts are halved each time, so that old accesses lose weight. Buckets are taken in the
 * order of their counts until the budget's frames are full. Other rows keep their frames until
 * these are needed: a row is demoted only if another is promoted.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/durable/folder_claim.h"
#include "src/core/mem.h"
#include "src/core/order.h"

static int open_file(struct asteria_rows *t, const struct asteria_params *params,
                     const struct file_fault *fault)
{
    const struct row_store_options options = { .kind = ROWS_SCRATCH,
                                               .uring = true,
                                               .fault = fault };
    const struct index_env *env = &t->env;
    const uint64_t hot = ((uint64_t)params->cache_mb << 20) / t->row_bytes;
    struct asteria_rows_file *f = t->file = mem_zalloc(env->mem, sizeof *f);

    if (!f)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the file of rows");
    f->claim = -1;
    f->frames_most = hot < UINT32_MAX ? (size_t)hot : (size_t)UINT32_MAX - 1;
    if (!env->dir)
        return fail(
            env->error, ERR_ARGUMENT,
            "asteria: storage = tiered needs a folder for the index, but none was given; use "
            "storage = memory");
    int rc = params->wal != LOGGED_NONE ? OK : folder_claim(env->dir, &f->claim, env->error);
    if (rc == OK)
        rc = row_store_open(&f->store, env, NULL, &options);
    if (rc == OK && !(f->own = row_reader_take(f->store)))
        rc = ERR_NO_MEMORY;
    return rc;
}

static void close_file(struct asteria_rows *t)
{
    struct asteria_rows_file *f = t->file;
    struct mem *mem = t->env.mem;

    row_reader_give(f->own);
    row_store_close(f->store);
    if (f->claim >= 0)
        (void)close(f->claim);
    mem_free(mem, f->free);
    mem_free(mem, f->frames);
    mem_free(mem, f->frame_of);
    mem_free(mem, f);
}

int asteria_rows_create(struct asteria_rows **out, const struct index_env *env,
                        const struct asteria_params *params, const struct file_fault *fault)
{
    struct asteria_rows *t = mem_zalloc(env->mem, sizeof *t);
    int rc = OK;

    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the rows' store");
    t->env = *env;
    t->row_bytes = index_row_bytes(env->element, env->dim);
    segmented_init(&t->rows, env->mem, t->row_bytes);
    if (params->storage == ASTERIA_ROWS_TIERED)
        rc = open_file(t, params, fault);
    if (rc == OK)
        *out = t;
    else
        asteria_rows_destroy(t);
    return rc;
}

void asteria_rows_destroy(struct asteria_rows *t)
{
    if (!t)
        return;
    if (t->file)
        close_file(t);
    segmented_free(&t->rows);
    mem_free(t->env.mem, t);
}

int asteria_rows_reserve(struct asteria_rows *t, size_t n)
{
    struct asteria_rows_file *f = t->file;

    if (f ? !mem_grow(t->env.mem, &f->frame_of, &f->slots_capacity, n, sizeof *f->frame_of)
          : n > t->rows.capacity && !segmented_grow(&t->rows, n))
        return fail(t->env.error, ERR_NO_MEMORY,
                    "asteria: out of memory for the rows of %zu slots of %zu bytes%s", n,
                    t->row_bytes, f ? "" : "; storage = tiered keeps them in a file");
    for (; f && f->slots < n; f->slots++)
        f->frame_of[f->slots] = 0;
    return OK;
}

/* -------------------------------------------------------------------------------- frames */

static size_t frames_left(const struct asteria_rows_file *f)
{
    return f->frames_most - f->n_frames + f->n_free;
}

/* The slot's frame, allocated if it has none and the budget and memory allow it; else NULL. Other frames
   may move. */
static unsigned char *frame_for(struct asteria_rows *t, uint32_t slot)
{
    struct asteria_rows_file *f = t->file;

    if (f->frame_of[slot] > 0)
        return asteria_rows_resident(t, slot);
    if (frames_left(f) == 0)
        return NULL;
    if (f->n_free == 0 && f->n_frames == f->frames_capacity) { /* doubles, up to the budget */
        const size_t twice = f->frames_capacity > 0 ? 2 * f->frames_capacity : 64;
        const size_t n = twice < f->frames_most ? twice : f->frames_most;

        if (!mem_fit(t->env.mem, &f->free, n, sizeof *f->free) ||
            !mem_fit(t->env.mem, &f->frames, n, t->row_bytes))
            return NULL;
        f->frames_capacity = n;
    }
    f->frame_of[slot] = 1 + (f->n_free > 0 ? f->free[--f->n_free] : (uint32_t)f->n_frames++);
    return asteria_rows_resident(t, slot);
}

void asteria_rows_demote(struct asteria_rows *t, const uint32_t *slots, size_t n)
{
    struct asteria_rows_file *f = t->file;

    for (size_t i = 0; f && i < n; i++) {
        if (f->frame_of[slots[i]] == 0)
            continue;
        f->free[f->n_free++] = f->frame_of[slots[i]] - 1;
        f->frame_of[slots[i]] = 0;
    }
}

/* ------------------------------------------------------------------------------- writing */

/* The slots have no live row, so a failure halfway damages none. */
int asteria_rows_write(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n)
{
    const unsigned char *row = rows;
    const void *each[FETCH_MOST];
    int rc = OK;

    for (size_t i = 0; !t->file && i < n; i++)
        memcpy(segmented_at(&t->rows, slots[i]), row + i * t->row_bytes, t->row_bytes);
    for (size_t i = 0, some; t->file && rc == OK && i < n; i += some) {
        some = n - i < FETCH_MOST ? n - i : FETCH_MOST;
        for (size_t j = 0; j < some; j++)
            each[j] = row + (i + j) * t->row_bytes;
        rc = row_store_put(t->file->store, slots + i, each, some);
    }
    return rc;
}

/* Rows just written are likely to be read soon, for maintenance of their bucket and
   neighbours. If there is no memory for a frame, the row is still in the file. A frame must
   always equal the file. */
void asteria_rows_written(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n,
                          bool all)
{
    const unsigned char *row = rows;

    if (!all)
        asteria_rows_demote(t, slots, n);
    for (size_t i = 0; all && t->file && i < n; i++) {
        unsigned char *frame = frame_for(t, slots[i]);
        if (frame)
            memcpy(frame, row + i * t->row_bytes, t->row_bytes);
    }
}

/* ------------------------------------------------------------------------------- reading */

int asteria_rows_get_many(struct asteria_rows *t, const uint32_t *slots, size_t n,
                          const void **rows)
{
    const void *read[FETCH_MOST];
    uint32_t cold[FETCH_MOST];
    size_t n_cold = 0;

    for (size_t i = 0; i < n; i++)
        if (!(rows[i] = asteria_rows_resident(t, slots[i])))
            cold[n_cold++] = slots[i];
    if (n_cold == 0)
        return OK;
    const int rc = row_reader_read(t->file->own, cold, n_cold, read);
    for (size_t i = n; rc == OK && i-- > 0;)
        if (!rows[i])
            rows[i] = read[--n_cold];
    return rc;
}

int asteria_rows_get(const struct asteria_rows *t, uint32_t slot, void *to, const void **row)
{
    *row = asteria_rows_resident(t, slot);
    if (*row)
        return OK;
    *row = to;
    return row_store_get(t->file->store, &slot, 1, to);
}

uint64_t asteria_rows_resident_bytes(const struct asteria_rows *t)
{
    const struct asteria_rows_file *f = t->file;

    if (!f)
        return segmented_bytes(&t->rows);
    return (uint64_t)f->frames_capacity * (t->row_bytes + sizeof *f->free) +
           (uint64_t)f->slots_capacity * sizeof *f->frame_of + row_store_resident(f->store);
}

uint64_t asteria_rows_disk_bytes(const struct asteria_rows *t)
{
    return t->file ? row_store_disk(t->file->store) : 0;
}

uint64_t asteria_rows_reads(const struct asteria_rows *t)
{
    return t->file ? row_store_reads(t->file->store) : 0;
}

/* --------------------------------------------------------------------------------- the hot set */

/* Cold rows are read many at once. */
int asteria_rows_promote(struct asteria_rows *t, const uint32_t *slots, size_t n)
{
    const void *rows[FETCH_MOST];
    uint32_t cold[FETCH_MOST];
    size_t left = t->file ? frames_left(t->file) : 0;
    int rc = OK;

    for (size_t i = 0; i < n && rc == OK && left > 0;) {
        size_t some = 0;

        for (; i < n && some < FETCH_MOST && some < left; i++)
            if (!asteria_rows_resident(t, slots[i]))
                cold[some++] = slots[i];
        left -= some;
        rc = asteria_rows_get_many(t, cold, some, rows);
        for (size_t j = 0; rc == OK && j < some; j++) {
            unsigned char *frame = frame_for(t, cold[j]);
            if (!frame)
                return fail(t->env.error, ERR_NO_MEMORY, "asteria: out of memory for hot rows");
            memcpy(frame, rows[j], t->row_bytes);
        }
    }
    return rc;
}

/* -------------------------------------------------------------------------------- choice */

struct rank {
    uint64_t order; /* falls with the probes, then ascends with the bucket's number among all */
    struct asteria_bucket *bucket;
    uint32_t probed;
};

struct refresh {
    struct asteria *a;
    struct rank *ranks; /* all buckets, those of the first generation first */
    size_t n;
    uint64_t *wanted; /* one bit per slot */
    uint32_t *cold;   /* wanted slots not in memory, by falling probe count of their bucket */
    size_t n_cold, n_wanted, most;
};

/* Ranks the buckets; returns the sum of their probes. */
static uint64_t rank_buckets(struct refresh *t)
{
    uint64_t sum = 0;

    t->n = 0;
    for (unsigned g = 0; g < 2; g++)
        for (size_t i = 0; t->a->generations[g] && i < t->a->generations[g]->n; i++) {
            struct asteria_bucket *b = &t->a->generations[g]->buckets[i];
            const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

            sum += probed;
            t->ranks[t->n] = (struct rank){ (uint64_t)~probed << 32 | t->n, b, probed };
            t->n++;
        }
    return sum;
}

/* Adds the bucket's live rows until all frames are taken. */
static void want(struct refresh *t, const struct asteria_bucket *b)
{
    for (uint32_t i = 0; i < b->n && t->n_wanted < t->most; i++) {
        const uint32_t slot = b->slots[i];

        if (!bucket_is_alive(b, i))
            continue;
        t->wanted[slot / 64] |= UINT64_C(1) << slot % 64;
        t->n_wanted++;
        if (!asteria_rows_resident(t->a->rows, slot))
            t->cold[t->n_cold++] = slot;
    }
}

static int refresh(struct refresh *t, uint64_t budget, bool *unfinished)
{
    struct asteria_rows *rows = t->a->rows;

    /* Unchanged counts: there was no search since, and the rows are in place. */
    if (rank_buckets(t) == rows->file->tended)
        return OK;
    qsort(t->ranks, t->n, sizeof *t->ranks, order_u64);
    for (size_t i = 0; i < t->n && t->ranks[i].probed > 0; i++)
        want(t, t->ranks[i].bucket);
    *unfinished = budget > 0 && t->n_cold > budget;
    if (*unfinished)
        t->n_cold = (size_t)budget;
    for (uint32_t slot = 0; slot < t->a->n_slots && frames_left(rows->file) < t->n_cold; slot++)
        if (!(t->wanted[slot / 64] >> slot % 64 & 1))
            asteria_rows_demote(rows, &slot, 1);
    const int rc = asteria_rows_promote(rows, t->cold, t->n_cold);
    if (rc != OK || *unfinished)
        return rc;
    rows->file->tended = 0;
    for (size_t i = 0; i < t->n; i++) {
        atomic_store_explicit(&t->ranks[i].bucket->probed, t->ranks[i].probed / 2,
                              memory_order_relaxed);
        rows->file->tended += t->ranks[i].probed / 2;
    }
    return OK;
}

int asteria_rows_refresh_hot_set(struct asteria *a, uint64_t budget, bool *more)
{
    const struct asteria_rows_file *f = a->rows->file;
    const struct asteria_generation *one = a->generations[0], *two = a->generations[1];
    struct mem_group g = { .mem = a->base.env.mem };
    struct refresh t = { .a = a };
    bool unfinished = false;

    if (!f || f->frames_most == 0)
        return OK;
    t.most = f->frames_most;
    t.ranks = mem_group_array(&g, (one ? one->n : 0) + (two ? two->n : 0), sizeof *t.ranks);
    t.wanted = mem_group_zalloc(&g, a->n_slots / 64 + 1, sizeof *t.wanted);
    t.cold = mem_group_array(&g, a->live < t.most ? a->live : t.most, sizeof *t.cold);
    const int rc = g.failed ? fail(a->base.env.error, ERR_NO_MEMORY,
                                   "asteria: out of memory, cannot choose hot rows")
                            : refresh(&t, budget, &unfinished);
    mem_group_free(&g);
    *more |= unfinished;
    return rc;
}
