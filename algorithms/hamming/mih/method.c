/* method.c - multi-index hashing as a method: options, reports, files, table. */
#include "algorithms/hamming/mih/mih.h"

#include "src/core/mem.h"

/* ------------------------------------------------------------------------------ create, destroy */

#define EXPECTED_ROWS (UINT64_C(1) << 20) /* if env gives no number */

static int64_t bits_for(uint64_t rows)
{
    int64_t bits = 1;
    while (bits < MIH_KEY_MAX && rows >> (bits + 1))
        bits++;
    return bits;
}

/* Blocks as equal as possible: 64 bits in 3 blocks are 22 21 21. Keys that are shorter than their
   blocks are at the blocks' beginnings. */
static bool make_tables(struct mih *m)
{
    struct mem *mem = m->base.env.mem;
    const size_t bits = m->base.env.dim;
    unsigned shift = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        struct mih_table *t = &m->tables[i];
        const unsigned width = (unsigned)(bits / m->n_tables + (i < bits % m->n_tables));
        t->shift = shift;
        t->bits = width < m->params.key_bits ? width : (unsigned)m->params.key_bits;
        shift += width;
        t->buckets = mem_zalloc(mem, sizeof *t->buckets << t->bits);
        if (!t->buckets)
            return false;
    }
    return true;
}

/* Steps of at most a quarter from 64 on; a cache line of codes from 16 on, so that blocks are
   whole lines. */
static struct block_kind kind_of(const struct mih *m)
{
    const size_t code = m->params.layout == MIH_COPIED ? m->words * sizeof(uint64_t) : 0;
    return (struct block_kind){ .entry_bytes = (uint32_t)(sizeof(uint32_t) + code),
                                .bits = 32,
                                .capacities = { 1,   2,   4,   8,   16,  32,  48,  64,
                                                80,  96,  112, 128, 160, 192, 224, 256,
                                                320, 384, 448, 512, 640, 768, 896, 1024 } };
}

static void mih_destroy(struct index *index)
{
    struct mih *m = (struct mih *)index;
    struct mem *mem = index->env.mem;
    for (size_t i = 0; i < m->n_tables; i++) {
        mem_free(mem, m->tables[i].buckets);
        mem_free(mem, m->tables[i].position);
    }
    hamming_blocks_free(&m->blocks);
    code_index_free(&m->codes);
    mem_free(mem, m);
}

static int mih_create(struct index **index, const struct index_ops *ops,
                      const struct index_env *env, const void *params)
{
    struct mih *m = code_index_create(ops, env, sizeof *m);
    if (!m)
        return ERR_NO_MEMORY;
    m->params = *(const struct mih_params *)params;
    if (m->params.key_bits == 0)
        m->params.key_bits = bits_for(env->expected_n ? env->expected_n : EXPECTED_ROWS);
    m->words = env->dim / 64;
    m->n_tables = (size_t)m->params.tables;
    m->kind = kind_of(m);
    hamming_blocks_init(&m->blocks, env->mem, &m->kind);
    if (!make_tables(m)) {
        const int rc = fail(env->error, ERR_NO_MEMORY, "mih: out of memory for tables of %d bits",
                            (int)m->tables[0].bits);
        mih_destroy(&m->base);
        return rc;
    }
    *index = &m->base;
    return OK;
}

static const struct param param_table[] = {
    PARAM_INT(struct mih_params, tables, 4, 1, MIH_TABLES_MAX,
              "blocks that a code is divided into, one table each. More: fewer flipped bits, more "
              "codes read"),
    PARAM_CHOICE(struct mih_params, layout, MIH_COPIED, "copied|slots",
                 "what buckets hold: copies of the codes, which are read in sequence, or row "
                 "numbers, which take a third of the memory"),
    PARAM_INT(struct mih_params, key_bits, 0, 0, MIH_KEY_MAX,
              "bits of a block that form a key, at most; 0: log2 of the rows expected"),
    LOGGED_OPTIONS(struct mih_params), PARAM_END
};

/* The number of buckets with rows; *largest: the rows of the largest one. */
static size_t used_buckets(const struct mih_table *t, uint32_t *largest)
{
    size_t used = 0;
    *largest = 0;
    for (size_t key = 0; key >> t->bits == 0; key++) {
        const uint32_t n = t->buckets[key].n;
        used += n > 0;
        *largest = n > *largest ? n : *largest;
    }
    return used;
}

static int mih_stats(const struct index *index, struct stat_sink *sink)
{
    const struct mih *m = (const struct mih *)index;
    sink->value(sink->to, "rows", (double)m->codes.rows.n);
    sink->value(sink->to, "key_bits", (double)m->params.key_bits);
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct mih_table *t = &m->tables[i];
        uint32_t largest;
        const size_t used = used_buckets(t, &largest);
        sink->cell(sink->to, "tables", i, "bits", (double)t->bits);
        sink->cell(sink->to, "tables", i, "buckets", (double)used);
        sink->cell(sink->to, "tables", i, "longest", (double)largest);
        sink->cell(sink->to, "tables", i, "long_buckets", (double)t->n_long);
    }
    return OK;
}

/* Shows the tables: how even their buckets are. */
static int mih_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct mih *m = (const struct mih *)index;

    if (!sink->enter(sink->to, "mih", 0))
        return OK;
    sink->number(sink->to, "rows", (double)m->codes.rows.n);
    sink->number(sink->to, "live", (double)m->codes.rows.n);
    sink->ids(sink->to, "ids", m->codes.rows.ids, m->codes.rows.n);
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct mih_table *t = &m->tables[i];
        uint32_t largest;
        if (!sink->enter(sink->to, "table", i))
            continue;
        const size_t used = used_buckets(t, &largest);
        sink->number(sink->to, "first_bit", t->shift);
        sink->number(sink->to, "bits", t->bits);
        sink->number(sink->to, "buckets", (double)((size_t)1 << t->bits));
        sink->number(sink->to, "buckets_used", (double)used);
        sink->number(sink->to, "mean_bucket",
                     used > 0 ? (double)m->codes.rows.n / (double)used : 0);
        sink->number(sink->to, "largest_bucket", largest);
        sink->number(sink->to, "long_buckets", (double)t->n_long);
        sink->leave(sink->to);
    }
    sink->leave(sink->to);
    return OK;
}

static int mih_memory(const struct index *index, struct memory_use *use)
{
    const struct mih *m = (const struct mih *)index;
    const bool copied = m->params.layout == MIH_COPIED;
    size_t tables = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        tables += (sizeof *m->tables[i].buckets << m->tables[i].bits) +
                  m->tables[i].position_capacity * sizeof *m->tables[i].position;
    *use = (struct memory_use){ .vectors = dense_rows_bytes(&m->codes.rows),
                                .codes = copied ? hamming_blocks_bytes(&m->blocks) : 0,
                                .graph = tables + (copied ? 0 : hamming_blocks_bytes(&m->blocks)),
                                .ids = dense_rows_ids_bytes(&m->codes.rows),
                                .other = sizeof *m,
                                .disk = logged_bytes(index) };
    return OK;
}

/* Save and load: options and rows in one file, "mih.index"; tables are rebuilt. */

static int fill(struct index *index)
{
    struct mih *m = (struct mih *)index;
    for (size_t row = 0; row < m->codes.rows.n; row++) {
        if (!mih_file(m, dense_rows_code(&m->codes.rows, row), (uint32_t)row))
            return fail(m->base.env.error, ERR_NO_MEMORY,
                        "mih: out of memory, cannot load %zu codes", m->codes.rows.n);
        mih_tidy(m);
    }
    return OK;
}

static const struct code_method method = { .logged = { .ops = &mih_ops,
                                                       .version = 1,
                                                       .params = offsetof(struct mih, params),
                                                       .create = mih_create,
                                                       .destroy = mih_destroy,
                                                       .insert = mih_insert,
                                                       .remove = mih_remove,
                                                       CODE_INDEX_FILE },
                                           .queries = &mih_code_ops,
                                           .fill = fill };

LOGGED_CALLS(&method.logged)

const struct index_ops mih_ops = {
    .abi = INDEX_ABI,
    .name = "mih",
    .summary = "multi-index hashing of codes, exact",
    .source = "Norouzi, Punjani, Fleet: Fast Exact Search in Hamming Space with Multi-Index "
              "Hashing (TPAMI 2014)",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH | INDEX_WIDE_CODES,
    .params = param_table,
    .params_bytes = sizeof(struct mih_params),
    CODE_INDEX_OPERATIONS,
    .stats = mih_stats,
    .memory = mih_memory,
    .check = mih_check,
    .inspect = mih_inspect,
};
