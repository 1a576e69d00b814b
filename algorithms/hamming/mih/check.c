/* check.c - the invariants between changes. */
#include <inttypes.h>

#include "algorithms/hamming/mih/mih.h"
#include "src/core/mem.h"

/* Each row must occur once, in the bucket of its code's key; seen: a bit per row, zero before. */
static int check_bucket(const struct mih *m, size_t table, uint32_t key, uint64_t *seen)
{
    struct error *err = m->base.env.error;
    const struct mih_table *t = &m->tables[table];
    const struct mih_bucket b = t->buckets[key];
    const struct mih_run run = mih_run(m, b);
    if (run.n > run.capacity)
        return fail(err, ERR_INVARIANT, "mih: table %zu, key %" PRIu32 ": %u entries, capacity %u",
                    table, key, run.n, run.capacity);
    for (uint32_t i = 0; i < run.n; i++) {
        const uint32_t row = run.rows[i];
        const bool there = row < m->codes.rows.n;
        if (!there || mih_key(t, dense_rows_code(&m->codes.rows, row)) != key ||
            (run.codes && code_distance(run.codes + i * m->words,
                                        dense_rows_code(&m->codes.rows, row), m->words) != 0) ||
            (seen[row / 64] >> row % 64 & 1))
            return fail(err, ERR_INVARIANT,
                        "mih: table %zu, key %" PRIu32 ": entry %u is row %" PRIu32
                        ", which is not there, has another code, or occurs twice",
                        table, key, i, row);
        if (run.capacity >= MIH_LONG && (row >= t->position_capacity || t->position[row] != i))
            return fail(err, ERR_INVARIANT,
                        "mih: table %zu, key %" PRIu32 ": row %" PRIu32
                        " is not at its recorded position",
                        table, key, row);
        seen[row / 64] |= UINT64_C(1) << row % 64;
    }
    return OK;
}

static int check_table(const struct mih *m, size_t table, uint64_t *seen, size_t *blocks)
{
    const struct mih_table *t = &m->tables[table];
    size_t rows = 0, n_long = 0;
    for (uint32_t key = 0; key >> t->bits == 0; key++) {
        const struct mih_bucket b = t->buckets[key];
        if (b.n == 0)
            continue;
        const int rc = check_bucket(m, table, key, seen);
        if (rc != OK)
            return rc;
        rows += b.n;
        n_long += hamming_blocks_slab(&m->blocks, b.block)->capacity >= MIH_LONG;
        ++*blocks;
    }
    if (rows != m->codes.rows.n || n_long != t->n_long)
        return fail(m->base.env.error, ERR_INVARIANT,
                    "mih: table %zu has %zu rows and %zu long buckets; expected %zu and %zu", table,
                    rows, n_long, m->codes.rows.n, t->n_long);
    return OK;
}

int mih_check(const struct index *index, struct stat_sink *sink)
{
    const struct mih *m = (const struct mih *)index;
    size_t blocks = 0;
    (void)sink;
    int rc = dense_rows_check(&m->codes.rows, "mih", index->env.error);
    if (rc == OK)
        rc = hamming_blocks_check(&m->blocks, "mih", index->env.error);
    for (size_t i = 0; rc == OK && i < m->n_tables; i++) {
        uint64_t *seen = mem_zalloc(index->env.mem, (m->codes.rows.n / 64 + 1) * sizeof *seen);
        if (!seen)
            return fail(index->env.error, ERR_NO_MEMORY, "mih: out of memory, cannot check");
        rc = check_table(m, i, seen, &blocks);
        mem_free(index->env.mem, seen);
    }
    if (rc == OK && blocks != m->blocks.n_used)
        rc = fail(index->env.error, ERR_INVARIANT, "mih: buckets have %zu blocks of %zu in use",
                  blocks, m->blocks.n_used);
    return rc;
}
