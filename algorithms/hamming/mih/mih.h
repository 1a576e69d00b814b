/* mih.h - multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012 and TPAMI 2014): state, its
 * invariants, and the functions shared by its files.
 *
 *   method.c options, creation, reports, files   update.c insertion, deletion   search.c
 *   check.c
 *
 * A code is divided into `tables` blocks of bits. Each table stores rows by a key: the bits of its
 * block, or as many of them as a key has.
 *
 * Invariant: each row of the store is once in each table, in the bucket of its code's key. If codes
 * are copied, entry i of a bucket consists of codes[i] and rows[i], else of rows[i] alone. A bucket
 * whose block holds MIH_LONG entries or more is long: position[row] is the row's position in it, so
 * that deletion takes the same time however many rows share a key. */
#ifndef DRIFTLINE_HAMMING_MIH_MIH_H
#define DRIFTLINE_HAMMING_MIH_MIH_H

#include "algorithms/common/codes/code_index.h"
#include "algorithms/hamming/blocks.h"
#include "src/core/index.h"

#define MIH_TABLES_MAX 16
#define MIH_KEY_MAX    24
#define MIH_LONG       512U

enum mih_layout { MIH_COPIED, MIH_SLOTS };

struct mih_params {
    int64_t tables, layout, key_bits, wal, checkpoint_mb;
};

struct mih_bucket {
    uint32_t block, n; /* block: undefined if n is 0 */
};

struct mih_table {
    struct mih_bucket *buckets; /* 2^bits */
    unsigned shift, bits;       /* position and length of a key in the code, in bits */
    uint32_t *position;         /* of rows in long buckets; NULL if there are none */
    size_t position_capacity, n_long;
};

struct mih {
    union {
        struct index base;
        struct code_index codes; /* without places: each table has its own */
    };
    struct mih_params params; /* key_bits: never 0 */
    struct block_kind kind;
    struct blocks blocks; /* of buckets */
    size_t words;         /* of a code */
    size_t n_tables;
    struct mih_table tables[MIH_TABLES_MAX];
};

/* A bucket's entries; valid until it grows or shrinks. */
struct mih_run {
    uint64_t *codes; /* n x words; NULL if not copied */
    uint32_t *rows;
    uint32_t n, capacity;
};

/* A key may begin in one word of the code and end in the next. */
static inline uint32_t mih_key(const struct mih_table *t, const uint64_t *code)
{
    const unsigned at = t->shift % 64;
    uint64_t bits = code[t->shift / 64] >> at;
    if (at + t->bits > 64)
        bits |= code[t->shift / 64 + 1] << (64 - at);
    return (uint32_t)(bits & ((UINT64_C(1) << t->bits) - 1));
}

/* n > 0. */
static inline struct mih_run mih_run(const struct mih *m, struct mih_bucket b)
{
    const struct slab *slab = hamming_blocks_slab(&m->blocks, b.block);
    unsigned char *memory = hamming_blocks_at(slab, b.block);
    struct mih_run run = { .n = b.n, .capacity = slab->capacity };
    if (m->params.layout == MIH_COPIED) {
        run.codes = (uint64_t *)(void *)memory;
        memory += (size_t)slab->capacity * m->words * sizeof *run.codes;
    }
    run.rows = (uint32_t *)(void *)memory;
    return run;
}

extern const struct index_ops mih_ops;

int mih_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int mih_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
/* Adds a row of the store to all tables, none of which has it. false: out of memory, and it is
   in none. */
bool mih_file(struct mih *, const uint64_t *code, uint32_t row);
/* Compacts blocks. To be called after the store has added or removed the row. */
void mih_tidy(struct mih *);

extern const struct code_ops mih_code_ops; /* search.c */

int mih_check(const struct index *, struct stat_sink *);

#endif
