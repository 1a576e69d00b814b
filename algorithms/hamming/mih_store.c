/* mih_store.c - one file "mih.index": options and rows; tables are made again. And the check. */
#include <inttypes.h>

#include "algorithms/common/store_file.h"
#include "mih.h"
#include "src/core/mem.h"

#define FILE_NAME "mih.index"
#define VERSION   1

int mih_save(struct index *index, const char *dir)
{
    const struct mih *m = (const struct mih *)index;
    const struct store_identity identity = store_identity_of(&index->env, "mih", VERSION);
    const int64_t options[] = { m->params.tables, m->params.layout, m->params.key_bits };
    struct store_writer w;
    (void)store_begin(&w, dir, FILE_NAME, &identity, NULL, index->env.error);
    store_section(&w, "options");
    store_write(&w, options, sizeof options);
    code_store_save(&m->store, &w);
    return store_commit(&w);
}

static int take_rows(struct mih *m, const struct store_reader *r)
{
    const int rc = code_store_load(&m->store, r);
    for (size_t row = 0; rc == OK && row < m->store.n; row++) {
        if (!mih_file(m, m->store.codes[row], (uint32_t)row))
            return fail(m->base.env.error, ERR_NO_MEMORY, "mih: no memory to load %zu codes",
                        m->store.n);
        mih_tidy(m);
    }
    return rc;
}

static int take_all(struct index **index, const struct index_env *env, const struct store_reader *r)
{
    const int64_t *o = NULL;
    int rc = store_need_array(r, "options", 3, sizeof *o, &o);
    if (rc != OK)
        return rc;
    const struct mih_params params = { .tables = o[0], .layout = o[1], .key_bits = o[2] };
    if (params.tables < 1 || params.tables > MIH_TABLES_MAX || params.layout < MIH_COPIED ||
        params.layout > MIH_SLOTS || params.key_bits < 1 || params.key_bits > MIH_KEY_MAX)
        return store_corrupt(r, "options out of range");
    rc = mih_create(index, env, &params);
    if (rc == OK) {
        rc = take_rows((struct mih *)*index, r);
        if (rc != OK)
            mih_destroy(*index);
    }
    return rc;
}

int mih_load(struct index **index, const struct index_env *env, const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "mih", VERSION);
    struct store_reader r;
    int rc = store_open(&r, dir, FILE_NAME, &identity, env->error);
    if (rc != OK)
        return rc;
    rc = take_all(index, env, &r);
    store_close(&r);
    return rc;
}

/* ------------------------------------------------------------------------- check */

/* Each row is met once, under its code's key; seen: a bit a row, zero before. */
static int check_bucket(const struct mih *m, size_t table, uint32_t key, uint64_t *seen)
{
    struct error *err = m->base.env.error;
    const struct mih_table *t = &m->tables[table];
    const struct bucket b = t->buckets[key];
    const struct mih_run run = mih_run(m, b);
    if (run.n > run.capacity)
        return fail(err, ERR_INVARIANT,
                    "mih: table %zu, key %" PRIu32 ": %u entries in room for %u", table, key, run.n,
                    run.capacity);
    for (uint32_t i = 0; i < run.n; i++) {
        const uint32_t row = run.rows[i];
        const bool there = row < m->store.n;
        if (!there || mih_key(t, m->store.codes[row]) != key ||
            (run.codes && run.codes[i] != m->store.codes[row]) || (seen[row / 64] >> row % 64 & 1))
            return fail(err, ERR_INVARIANT,
                        "mih: table %zu, key %" PRIu32 ": entry %u is row %" PRIu32
                        ", which is not there, has another code, or stands twice",
                        table, key, i, row);
        if (run.capacity >= MIH_LONG && (row >= t->position_capacity || t->position[row] != i))
            return fail(err, ERR_INVARIANT,
                        "mih: table %zu, key %" PRIu32 ": row %" PRIu32 " is not where it is noted",
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
        const struct bucket b = t->buckets[key];
        if (b.n == 0)
            continue;
        const int rc = check_bucket(m, table, key, seen);
        if (rc != OK)
            return rc;
        rows += b.n;
        n_long += blocks_slab(&m->blocks, b.block)->capacity >= MIH_LONG;
        ++*blocks;
    }
    if (rows != m->store.n || n_long != t->n_long)
        return fail(m->base.env.error, ERR_INVARIANT,
                    "mih: table %zu has %zu rows and %zu long buckets; expected %zu and %zu", table,
                    rows, n_long, m->store.n, t->n_long);
    return OK;
}

int mih_check(const struct index *index, struct stat_sink *sink)
{
    const struct mih *m = (const struct mih *)index;
    size_t blocks = 0;
    (void)sink;
    int rc = code_store_check(&m->store, "mih", index->env.error);
    if (rc == OK)
        rc = blocks_check(&m->blocks, index->env.error);
    for (size_t i = 0; rc == OK && i < m->n_tables; i++) {
        uint64_t *seen = mem_zalloc(index->env.mem, (m->store.n / 64 + 1) * sizeof *seen);
        if (!seen)
            return fail(index->env.error, ERR_NO_MEMORY, "mih: no memory to check with");
        rc = check_table(m, i, seen, &blocks);
        mem_free(index->env.mem, seen);
    }
    if (rc == OK && blocks != m->blocks.n_used)
        rc = fail(index->env.error, ERR_INVARIANT, "mih: buckets have %zu blocks of %zu in use",
                  blocks, m->blocks.n_used);
    return rc;
}
