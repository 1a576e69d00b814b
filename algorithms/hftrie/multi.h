/* multi.h - exact range search by tables over blocks of bits.
 *
 * The bits of a code are permuted and cut into four blocks of 16. Table j has a bucket for each
 * value of the first `bits` bits of block j, its key. Codes within r of a query differ from it, in
 * at least one key j, by at most t_j bits, if the t_j + 1 sum to r + 1: the buckets at such
 * distances hold all answers. An entry of a bucket is 32 of the code's other bits, so that sixteen
 * are compared at once and few are left to be verified.
 *
 *   multi_lines.c  a table's buckets, chains of lines     multi_build.c   all of them at once
 *   multi_learn.c  which bit goes where                   multi_insert.c, multi_remove.c
 *   multi_cost.c   the t_j, or the scan                   multi_walk.c    buckets looked through
 *   multi_search.c range, nearest                         multi_check.c   multi.c  the rest
 *
 * Rows are those of a code_store; a table has each distinct code once. Table 0 alone knows rows:
 * the others' entries lead to it by the bits of block 0. The row in table 0 is the head of its
 * code's rows, which are linked by `next` and `prev`.
 */
#ifndef DRIFTLINE_MULTI_H
#define DRIFTLINE_MULTI_H

#include <stdatomic.h>

#include "algorithms/common/code_store.h"
#include "hftrie.h"

#define MULTI_TABLES        4U
#define MULTI_BLOCK         16U /* bits */
#define MULTI_BITS_AT_LEAST 2U
#define MULTI_ENTRIES       15U /* of a line */
#define MULTI_LEARN_AGAIN   4   /* times as many rows: other blocks may be more even */
#define MULTI_NONE          UINT32_MAX
/* In a link: the lines from there to the chain's end follow one another. */
#define MULTI_RUN ((uint32_t)1 << 31)

/* entry[15] links to the next line; only a chain's first line may have fewer than 15 entries. */
struct multi_line {
    _Alignas(64) uint32_t entry[16];
};

struct multi_bucket {
    uint32_t first; /* line, perhaps with MULTI_RUN; of no meaning where n is 0 */
    uint32_t n;
};

struct multi_table {
    unsigned which;
    struct multi_bucket *buckets; /* 2^bits */
    struct multi_line *lines;
    struct multi_line *rows;     /* table 0: entry i of a line has row rows[line].entry[i] */
    uint32_t capacity, used;     /* lines; those from `used` on were never used */
    uint32_t first_free, n_free; /* linked by entry[15] */
    uint32_t loose;              /* lines put in front of a chain since lines were laid out */
};

/* Where codes belong. */
struct multi_shape {
    unsigned bits; /* of a key; 0: no tables, and no rows */
    bool permuted;
    uint64_t (*spread)[256];        /* [8]: where the bits of byte i go; NULL until learnt */
    uint16_t *masks;                /* the 2^bits masks by rising number of bits */
    uint32_t ring[MULTI_BLOCK + 2]; /* masks of d bits are ring[d] .. ring[d + 1] - 1 */
};

struct kernels;

struct multi {
    const struct kernels *kernels;
    struct code_store store;
    struct multi_shape shape;
    struct multi_table table[MULTI_TABLES];
    size_t n_codes;        /* distinct */
    size_t most_codes;     /* since the tables were built */
    size_t grow_at;        /* codes from which longer keys are better */
    size_t learn_at;       /* rows at which to look whether other blocks would be more even */
    uint32_t *next, *prev; /* of rows; NULL until a code comes twice */
    size_t links;          /* capacity of each */

    /* Share of entries within l bits of a query's, l < 32, as measured on pairs of rows. */
    float within[MULTI_TABLES][33];
    double evenness;   /* 1: buckets are as even as chance makes them; near 0: a few have most */
    double walk_lines; /* lines of table 0 that verifying an entry of the others takes */

    atomic_ullong queries, scans, lookups, lines, candidates, verified;
};

/* The permuted code. */
static inline uint64_t multi_permute(const struct multi *m, uint64_t code)
{
    if (!m->shape.permuted)
        return code;
    uint64_t p = 0;
    for (unsigned i = 0; i < 8; i++)
        p |= m->shape.spread[i][code >> 8 * i & 255];
    return p;
}

/* All of a permuted code p below: */

static inline uint32_t multi_key(const struct multi *m, unsigned table, uint64_t p)
{
    return (uint32_t)(p >> MULTI_BLOCK * table) & (((uint32_t)1 << m->shape.bits) - 1);
}

/* The blocks in an entry: 1 and 2; 0 and 2; 0 and 3; 0 and 1. */
static inline uint32_t multi_entry(unsigned table, uint64_t p)
{
    switch (table) {
        case 0: return (uint32_t)(p >> 16);
        case 1: return (uint32_t)((p & 0xffff) | (p >> 32 & 0xffff) << 16);
        case 2: return (uint32_t)((p & 0xffff) | (p >> 48) << 16);
        default: return (uint32_t)p;
    }
}

/* The bits that key and entry tell, the others 0. */
static inline uint64_t multi_part(unsigned table, uint32_t key, uint32_t entry)
{
    const uint64_t e = entry, low = e & 0xffff, high = e >> 16, k = (uint64_t)key << 16 * table;
    switch (table) {
        case 0: return e << 16 | k;
        case 1: return low | high << 32 | k;
        case 2: return low | high << 48 | k;
        default: return e | k;
    }
}

static inline const struct multi *multi_of(const struct hftrie *h)
{
    return h->state;
}

/* Entries of the first line of a chain of n. */
static inline uint32_t multi_fill(uint32_t n)
{
    return (n - 1) % MULTI_ENTRIES + 1;
}

static inline size_t multi_lines_of(size_t n)
{
    return (n + MULTI_ENTRIES - 1) / MULTI_ENTRIES;
}

/* multi_lines.c. Where an entry is. */
struct multi_place {
    uint32_t line, at;
};

/* One of many entries looked for at once. */
struct multi_probe {
    uint32_t which, key, entry, row; /* row: of table 0; MULTI_NONE: any whose code is `code` */
    uint64_t code;
    uint32_t link, left; /* the next line, and entries from it on */
    uint32_t n;          /* of the bucket, when it was looked through */
    bool found, waits;
    struct multi_place place;
};
#define MULTI_PROBES 320U /* at once, at most */

/* Room for n more lines at least. false: no memory. */
bool multi_lines_reserve(struct multi *, struct multi_table *, size_t n);
/* Into reserved room; row counts for table 0. */
void multi_lines_add(struct multi *, struct multi_table *, uint32_t key, uint32_t entry,
                     uint32_t row);
/* Where an entry is that has this row, or, in another table than 0, any equal one. */
bool multi_lines_find(const struct multi *, const struct multi_table *, uint32_t key,
                      uint32_t entry, uint32_t row, struct multi_place *);
/* As find, for n probes whose which, key, entry, row and code are set and whose buckets have been
   fetched ahead. */
void multi_lines_probe(const struct multi *, struct multi_probe *, size_t n);
void multi_lines_take(struct multi_table *, uint32_t key, struct multi_place);
/* Lays lines of a chain side by side in as little memory as they take, and some to spare. false: no
   memory for it, nothing has changed. */
bool multi_lines_lay(struct multi *, struct multi_table *);
void multi_lines_free(struct multi *, struct multi_table *);

/* The row, a head, that has this code; p is the permuted one. */
bool multi_find_code(const struct multi *, uint64_t code, uint64_t p, uint32_t *row);

/* multi_build.c. Builds tables anew for the rows there are. `wanted`: rows there will be. Links are
   kept, or, if `fresh`, rows are linked where codes are equal. false: no memory, nothing changed. */
bool multi_build(struct hftrie *, size_t wanted, bool fresh);
void multi_empty(struct multi *); /* gives back what tables and links hold */
/* Room in links for n rows, if there are links. */
bool multi_links_reserve(struct multi *, size_t n);
/* Makes links where there are none. */
bool multi_links_begin(struct multi *);
/* Links row, whose code `head` has. */
void multi_link(struct multi *, uint32_t head, uint32_t row);

/* multi_learn.c. Learns a permutation from the rows: fills order[i], the bit that goes to place i of
   the permuted code. false: those as they stand are about as even. */
bool multi_learn(const struct multi *, uint64_t seed, uint8_t order[64]);
void multi_spread(const uint8_t order[64], uint64_t spread[8][256]);
/* Mean entries of the bucket that an entry of the table is in. */
double multi_crowding(const struct multi *, unsigned table);
/* Fills within, evenness and walk_lines. */
void multi_measure(struct multi *, uint64_t seed);

int multi_insert(struct hftrie *, const uint64_t *codes, const uint64_t *ids, size_t n,
                 size_t *done);
int multi_remove(struct hftrie *, const uint64_t *ids, size_t n, size_t *done);

/* multi_cost.c */
struct multi_plan {
    int8_t threshold[MULTI_TABLES]; /* the t_j; -1: the table is left out */
    double ns;                      /* what it will take */
};
/* What a scan takes for each query of a group of n. */
double multi_scan_ns(const struct multi *, const struct hftrie_knobs *, size_t n);
/* Whether it is worth while to plan: false where any query is likely to be better scanned for. */
bool multi_promising(const struct multi *, const struct hftrie_knobs *, unsigned radius,
                     double limit_ns);
/* A plan for p and a radius that takes less than limit_ns; false: none was found. */
bool multi_plan(const struct multi *, const struct hftrie_knobs *, uint64_t p, unsigned radius,
                double limit_ns, struct multi_plan *);

/* multi_walk.c. Queries of a group, and what is found for them. */
struct multi_asked {
    uint64_t query, p;
    struct multi_plan plan;
    struct code_answers *answers;
};
int multi_walk(const struct hftrie *, const struct multi_asked *, size_t n, unsigned radius,
               const struct id_filter *, struct work *);

/* multi_search.c */
int multi_range(const struct index *, struct code_group *, unsigned radius,
                struct code_answers *answers);
int multi_nearest(const struct index *, struct code_group *, struct topk *nearest);

int multi_check(const struct hftrie *);

#endif
