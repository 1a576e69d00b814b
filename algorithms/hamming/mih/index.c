/* index.c - creating and destroying an index. */
#include "algorithms/hamming/mih/mih.h"
#include "src/core/mem.h"

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

int mih_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
               const void *params)
{
    struct mih *m = code_index_create(ops, env, sizeof *m);
    if (!m)
        return ERR_NO_MEMORY;
    m->params = *(const struct mih_params *)params;
    if (m->params.key_bits == 0)
        m->params.key_bits = bits_for(env->expected_n ? env->expected_n : EXPECTED_ROWS);
    m->words = env->dim / 64;
    m->n_tables = (size_t)m->params.tables;
    mih_blocks_init(&m->blocks, env->mem,
                    sizeof(uint32_t) +
                        (m->params.layout == MIH_COPIED ? m->words * sizeof(uint64_t) : 0));
    if (!make_tables(m)) {
        const int rc = fail(env->error, ERR_NO_MEMORY, "mih: out of memory for tables of %d bits",
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
    mih_blocks_free(&m->blocks);
    code_index_free(&m->codes);
    mem_free(mem, m);
}
