/* mih.c - options, creation and reports of multi-index hashing. */
#include "mih.h"

#include "src/core/mem.h"

#define EXPECTED_ROWS (UINT64_C(1) << 20) /* where env does not say */

static const struct index_space spaces[] = { { ELEMENT_B64, METRIC_HAMMING }, INDEX_SPACES_END };

static const struct param params_table[] = {
    PARAM_INT(struct mih_params, tables, 4, 1, MIH_TABLES_MAX,
              "blocks a code is cut into, a table each: more flip fewer bits, and read more codes"),
    PARAM_CHOICE(
        struct mih_params, layout, MIH_COPIED, "copied|slots",
        "what buckets hold: codes, read in a row, or numbers of rows, a third of the memory"),
    PARAM_INT(struct mih_params, key_bits, 0, 0, MIH_KEY_MAX,
              "bits of a block that make a key, at most; 0: log2 of the rows expected"),
    PARAM_END
};

static const struct param no_options[] = { PARAM_END };

static int64_t bits_for(uint64_t rows)
{
    int64_t bits = 1;
    while (bits < MIH_KEY_MAX && rows >> (bits + 1))
        bits++;
    return bits;
}

/* Blocks as even as can be: of 64 bits in 3, 22 21 21. */
static bool make_tables(struct mih *m)
{
    struct mem *mem = m->base.env.mem;
    unsigned shift = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        struct mih_table *t = &m->tables[i];
        const unsigned width = (unsigned)(64 / m->n_tables + (i < 64 % m->n_tables));
        t->shift = shift;
        t->bits = width < m->params.key_bits ? width : (unsigned)m->params.key_bits;
        shift += width;
        t->buckets = mem_zalloc(mem, sizeof *t->buckets << t->bits);
        if (!t->buckets)
            return false;
    }
    return true;
}

int mih_create(struct index **index, const struct index_env *env, const void *params)
{
    struct mih *m = mem_zalloc(env->mem, sizeof *m);
    if (!m)
        return fail(env->error, ERR_NO_MEMORY, "mih: no memory for an index");
    m->base.ops = &mih_ops;
    m->base.env = *env;
    m->params = *(const struct mih_params *)params;
    if (m->params.key_bits == 0)
        m->params.key_bits = bits_for(env->expected_n ? env->expected_n : EXPECTED_ROWS);
    m->n_tables = (size_t)m->params.tables;
    code_store_init(&m->store, env->mem);
    blocks_init(&m->blocks, env->mem,
                sizeof(uint32_t) + (m->params.layout == MIH_COPIED ? sizeof(uint64_t) : 0));
    if (!make_tables(m)) {
        const int rc = fail(env->error, ERR_NO_MEMORY, "mih: no memory for tables of %d bits",
                            (int)m->tables[0].bits);
        mih_destroy(&m->base);
        return rc;
    }
    *index = &m->base;
    return OK;
}

void mih_destroy(struct index *index)
{
    struct mih *m = (struct mih *)index;
    struct mem *mem = index->env.mem;
    for (size_t i = 0; i < m->n_tables; i++) {
        mem_free(mem, m->tables[i].buckets);
        mem_free(mem, m->tables[i].position);
    }
    blocks_free(&m->blocks);
    code_store_free(&m->store);
    mem_free(mem, m);
}

static int mih_stats(const struct index *index, struct stat_sink *sink)
{
    const struct mih *m = (const struct mih *)index;
    sink->value(sink->to, "rows", (double)m->store.n);
    sink->value(sink->to, "key_bits", (double)m->params.key_bits);
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct mih_table *t = &m->tables[i];
        size_t used = 0;
        uint32_t longest = 0;
        for (size_t key = 0; key >> t->bits == 0; key++) {
            const uint32_t n = t->buckets[key].n;
            used += n > 0;
            longest = n > longest ? n : longest;
        }
        sink->cell(sink->to, "tables", i, "bits", (double)t->bits);
        sink->cell(sink->to, "tables", i, "buckets", (double)used);
        sink->cell(sink->to, "tables", i, "longest", (double)longest);
        sink->cell(sink->to, "tables", i, "long_buckets", (double)t->n_long);
    }
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
    *use = (struct memory_use){ .vectors = code_store_codes_bytes(&m->store),
                                .codes = copied ? blocks_bytes(&m->blocks) : 0,
                                .graph = tables + (copied ? 0 : blocks_bytes(&m->blocks)),
                                .ids = code_store_ids_bytes(&m->store),
                                .other = sizeof *m };
    return OK;
}

const struct index_ops mih_ops = {
    .abi = INDEX_ABI,
    .name = "mih",
    .summary = "multi-index hashing of 64-bit codes, exact",
    .source = "Norouzi, Punjani, Fleet: Fast Exact Search in Hamming Space with Multi-Index "
              "Hashing (TPAMI 2014)",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = params_table,
    .params_bytes = sizeof(struct mih_params),
    .knobs = no_options,
    .create = mih_create,
    .destroy = mih_destroy,
    .insert = mih_insert,
    .remove = mih_remove,
    .search = mih_search,
    .range = mih_range,
    .save = mih_save,
    .load = mih_load,
    .stats = mih_stats,
    .memory = mih_memory,
    .check = mih_check,
};
