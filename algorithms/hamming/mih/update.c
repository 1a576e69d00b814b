/* update.c - insertion and deletion: growing and shrinking buckets, and renumbering rows.
 *
 * Each operation accesses a few uncached places in every table, so batches prefetch in stages: each
 * stage reads what the stage before it prefetched. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "algorithms/hamming/mih/mih.h"
#include "src/core/mem.h"

/* Prefetch distance of each stage, in rows. */
#define AHEAD_IDS     32
#define AHEAD_CODES   24
#define AHEAD_BUCKETS 16
#define AHEAD_ENTRIES 8
#define LINE          ((size_t)64)
#define LINES_AHEAD   8 /* of a bucket's rows */

static bool is_long(const struct mih_run *run)
{
    return run->capacity >= MIH_LONG;
}

/* ------------------------------------------------------------------------- buckets */

/* Grows to all rows and one more. */
static bool grow_positions(struct mih *m, struct mih_table *t)
{
    return mem_grow(m->base.env.mem, &t->position, &t->position_capacity, m->codes.rows.n + 1,
                    sizeof *t->position);
}

static void drop_positions(struct mih *m, struct mih_table *t)
{
    mem_free(m->base.env.mem, t->position);
    t->position = NULL;
    t->position_capacity = 0;
}

static void leave_long(struct mih *m, struct mih_table *t)
{
    if (--t->n_long == 0)
        drop_positions(m, t);
}

static void copy_entries(const struct mih *m, const struct mih_run *from, struct mih_run *to)
{
    if (from->codes)
        memcpy(to->codes, from->codes, from->n * m->words * sizeof *to->codes);
    memcpy(to->rows, from->rows, from->n * sizeof *to->rows);
}

/* Moves the bucket's entries to a block for at least n. false: out of memory, nothing changed. */
static bool move_bucket(struct mih *m, struct mih_table *t, struct mih_bucket *b, uint32_t n)
{
    struct mih_bucket moved = { 0, b->n };
    const bool long_then = hamming_blocks_capacity_for(&m->blocks, n) >= MIH_LONG;
    const bool long_now =
        b->n > 0 && hamming_blocks_slab(&m->blocks, b->block)->capacity >= MIH_LONG;
    if ((long_then && !grow_positions(m, t)) || !hamming_blocks_take(&m->blocks, n, &moved.block)) {
        if (t->n_long == 0)
            drop_positions(m, t);
        return false;
    }
    struct mih_run to = mih_run(m, moved);
    if (b->n > 0) {
        const struct mih_run from = mih_run(m, *b);
        copy_entries(m, &from, &to);
        hamming_blocks_give_back(&m->blocks, b->block);
    }
    *b = moved;
    for (uint32_t i = 0; long_then && !long_now && i < to.n; i++)
        t->position[to.rows[i]] = i;
    if (long_then && !long_now)
        t->n_long++;
    if (long_now && !long_then)
        leave_long(m, t);
    return true;
}

/* Reserves one more entry in the code's bucket, and its position. false: out of memory. */
static bool reserve_entry(struct mih *m, struct mih_table *t, struct mih_bucket *b)
{
    return (t->n_long == 0 || grow_positions(m, t)) &&
           ((b->n > 0 && b->n < hamming_blocks_slab(&m->blocks, b->block)->capacity) ||
            move_bucket(m, t, b, b->n + 1));
}

/* Space must be reserved. */
static void append(struct mih *m, struct mih_table *t, const uint64_t *code, uint32_t row)
{
    struct mih_bucket *b = &t->buckets[mih_key(t, code)];
    b->n++;
    const struct mih_run run = mih_run(m, *b);
    if (run.codes)
        memcpy(run.codes + (b->n - 1) * m->words, code, m->words * sizeof *code);
    run.rows[b->n - 1] = row;
    if (is_long(&run))
        t->position[row] = b->n - 1;
}

/* The position of a row that is in the bucket. Continues to a multiple of 16, or to the block's
   end: a loop without early exit and remainder is vectorised and has no unpredictable branch. */
static uint32_t position_of(const struct mih_table *t, const struct mih_run *run, uint32_t row)
{
    if (is_long(run))
        return t->position[row];
    const uint32_t *rows = run->rows, n = run->n;
    uint32_t at = 0;
    if (run->capacity < 16) {
        for (uint32_t i = 0; i < n; i++)
            at = rows[i] == row ? i : at;
        return at;
    }
    for (uint32_t i = 0; i < n; i += 16)
        for (uint32_t j = i; j < i + 16; j++)
            at |= rows[j] == row && j < n ? j : 0;
    return at;
}

static void shrink(struct mih *m, struct mih_table *t, struct mih_bucket *b)
{
    const uint32_t capacity = hamming_blocks_slab(&m->blocks, b->block)->capacity;
    const uint32_t n = b->n + b->n / 4;
    if (b->n <= capacity / 2 && hamming_blocks_capacity_for(&m->blocks, n) < capacity)
        (void)move_bucket(m, t, b, n); /* on failure it keeps its block */
}

static void take_out(struct mih *m, struct mih_table *t, const uint64_t *code, uint32_t row)
{
    struct mih_bucket *b = &t->buckets[mih_key(t, code)];
    const struct mih_run run = mih_run(m, *b);
    const uint32_t at = position_of(t, &run, row), last = run.n - 1;
    if (run.codes)
        memmove(run.codes + at * m->words, run.codes + last * m->words,
                m->words * sizeof *run.codes);
    run.rows[at] = run.rows[last];
    if (is_long(&run))
        t->position[run.rows[at]] = at;
    b->n--;
    if (b->n > 0) {
        shrink(m, t, b);
        return;
    }
    hamming_blocks_give_back(&m->blocks, b->block);
    if (is_long(&run))
        leave_long(m, t);
}

/* Renumbers the store's last row, which is mostly the last entry of its buckets too. */
static void rename_row(struct mih *m, struct mih_table *t, const uint64_t *code, uint32_t from,
                       uint32_t to)
{
    const struct mih_run run = mih_run(m, t->buckets[mih_key(t, code)]);
    const uint32_t end = run.n - 1;
    const uint32_t at = run.rows[end] == from ? end : position_of(t, &run, from);
    run.rows[at] = to;
    if (is_long(&run))
        t->position[to] = at;
}

/* ------------------------------------------------------------------------- fetching ahead */

static void fetch_buckets(const struct mih *m, const uint64_t *code)
{
    for (size_t i = 0; i < m->n_tables; i++)
        __builtin_prefetch(&m->tables[i].buckets[mih_key(&m->tables[i], code)], 1);
}

/* Prefetches the place of the next entry. */
static void fetch_ends(const struct mih *m, const uint64_t *code)
{
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct mih_bucket b = m->tables[i].buckets[mih_key(&m->tables[i], code)];
        if (b.n == 0)
            continue;
        const struct mih_run run = mih_run(m, b);
        if (run.codes)
            __builtin_prefetch(run.codes + b.n * m->words, 1);
        __builtin_prefetch(run.rows + b.n, 1);
    }
}

/* Prefetches what rename_row() reads first. */
static void fetch_last_rows(const struct mih *m, const uint64_t *code)
{
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct mih_bucket b = m->tables[i].buckets[mih_key(&m->tables[i], code)];
        if (b.n > 0)
            __builtin_prefetch(mih_run(m, b).rows + b.n - 1, 1);
    }
}

/* Prefetches what finding and removing a row reads. */
static void fetch_rows(const struct mih *m, const uint64_t *code)
{
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct mih_bucket b = m->tables[i].buckets[mih_key(&m->tables[i], code)];
        if (b.n == 0)
            continue;
        const struct mih_run run = mih_run(m, b);
        if (run.codes)
            __builtin_prefetch(run.codes + (b.n - 1) * m->words, 1);
        if (is_long(&run))
            continue;
        const unsigned char *rows = (const unsigned char *)run.rows;
        for (size_t at = 0; at < b.n * sizeof *run.rows && at < LINES_AHEAD * LINE; at += LINE)
            __builtin_prefetch(rows + at, 1);
    }
}

static void fetch_for_insert(const struct mih *m, struct vectors v, const uint64_t *ids, size_t i)
{
    uint64_t copy[INDEX_CODE_WORDS_MAX];
    if (i + AHEAD_BUCKETS < v.n) {
        slot_table_prefetch(&m->codes.rows.slot_of, ids[i + AHEAD_BUCKETS]);
        fetch_buckets(m, code_at(v, i + AHEAD_BUCKETS, copy));
    }
    if (i + AHEAD_ENTRIES < v.n)
        fetch_ends(m, code_at(v, i + AHEAD_ENTRIES, copy));
}

/* The row that an id of the batch probably has. */
static bool guess(const struct mih *m, const uint64_t *ids, size_t i, size_t n, uint32_t *row)
{
    *row = i < n ? slot_table_guess(&m->codes.rows.slot_of, ids[i]) : UINT32_MAX;
    return *row < m->codes.rows.n;
}

/* Includes the rows that will be the last by then, and move. */
static void fetch_for_remove(const struct mih *m, const uint64_t *ids, size_t i, size_t n)
{
    const struct dense_rows *s = &m->codes.rows;
    uint32_t row;
    if (i + AHEAD_IDS < n)
        slot_table_prefetch(&m->codes.rows.slot_of, ids[i + AHEAD_IDS]);
    if (guess(m, ids, i + AHEAD_CODES, n, &row)) {
        __builtin_prefetch(dense_rows_code(s, row), 1);
        __builtin_prefetch(m->codes.rows.ids + row, 1);
    }
    if (guess(m, ids, i + AHEAD_BUCKETS, n, &row)) {
        fetch_buckets(m, dense_rows_code(s, row));
        if (m->codes.rows.n > AHEAD_BUCKETS) {
            fetch_buckets(m, dense_rows_code(s, m->codes.rows.n - 1 - AHEAD_BUCKETS));
            slot_table_prefetch(&m->codes.rows.slot_of,
                                m->codes.rows.ids[m->codes.rows.n - 1 - AHEAD_BUCKETS]);
        }
    }
    if (guess(m, ids, i + AHEAD_ENTRIES, n, &row)) {
        fetch_rows(m, dense_rows_code(s, row));
        if (m->codes.rows.n > AHEAD_ENTRIES)
            fetch_last_rows(m, dense_rows_code(s, m->codes.rows.n - 1 - AHEAD_ENTRIES));
    }
}

/* ------------------------------------------------------------------------- operations */

/* The bucket whose block moved is found by the key of its first row. */
static void block_moved(void *owner, uint32_t from, uint32_t to)
{
    struct mih *m = owner;
    const struct mih_run run = mih_run(m, (struct mih_bucket){ to, 1 });
    const uint64_t *code = dense_rows_code(&m->codes.rows, run.rows[0]);
    size_t i = 0;
    struct mih_bucket *b = &m->tables[0].buckets[mih_key(&m->tables[0], code)];
    while (b->n == 0 || b->block != from) {
        i++;
        assert(i < m->n_tables);
        b = &m->tables[i].buckets[mih_key(&m->tables[i], code)];
    }
    b->block = to;
}

void mih_tidy(struct mih *m)
{
    hamming_blocks_compact(&m->blocks, block_moved, m);
}

bool mih_file(struct mih *m, const uint64_t *code, uint32_t row)
{
    unsigned begun = 0; /* tables whose bucket got a block and has no entry yet */
    for (size_t i = 0; i < m->n_tables; i++) {
        struct mih_table *t = &m->tables[i];
        struct mih_bucket *b = &t->buckets[mih_key(t, code)];
        if (reserve_entry(m, t, b)) {
            begun |= (unsigned)(b->n == 0) << i;
            continue;
        }
        for (; begun; begun &= begun - 1) {
            const struct mih_table *other = &m->tables[__builtin_ctz(begun)];
            hamming_blocks_give_back(&m->blocks, other->buckets[mih_key(other, code)].block);
        }
        return false;
    }
    for (size_t i = 0; i < m->n_tables; i++)
        append(m, &m->tables[i], code, row);
    return true;
}

int mih_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct mih *m = (struct mih *)index;
    *done = 0;
    if (!dense_rows_reserve(&m->codes.rows, ids, v.n, index->env.expected_n))
        return fail(index->env.error, ERR_NO_MEMORY, "mih: out of memory for %zu more codes", v.n);
    for (; *done < v.n; ++*done) {
        uint64_t copy[INDEX_CODE_WORDS_MAX];
        const uint64_t *code = code_at(v, *done, copy);
        fetch_for_insert(m, v, ids, *done);
        if (!mih_file(m, code, (uint32_t)m->codes.rows.n))
            return fail(index->env.error, ERR_NO_MEMORY, "mih: out of memory for code %zu of %zu",
                        *done, v.n);
        (void)dense_rows_add(&m->codes.rows, code, ids[*done]);
        mih_tidy(m);
    }
    return OK;
}

int mih_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct mih *m = (struct mih *)index;
    for (*done = 0; *done < n; ++*done) {
        uint32_t row;
        fetch_for_remove(m, ids, *done, n);
        if (!dense_rows_find(&m->codes.rows, ids[*done], &row))
            return fail(index->env.error, ERR_UNKNOWN_ID, "mih: id %" PRIu64 " is not stored",
                        ids[*done]);
        const uint32_t last = (uint32_t)m->codes.rows.n - 1;
        for (size_t i = 0; i < m->n_tables; i++) {
            take_out(m, &m->tables[i], dense_rows_code(&m->codes.rows, row), row);
            if (row != last)
                rename_row(m, &m->tables[i], dense_rows_code(&m->codes.rows, last), last, row);
        }
        dense_rows_remove(&m->codes.rows, row);
        mih_tidy(m);
    }
    return OK;
}
