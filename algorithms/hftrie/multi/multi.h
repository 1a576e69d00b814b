/* multi.h - exact range search by tables over blocks of bits.
 *
 * The bits of a code are permuted and divided into four blocks of 16. The key of table j is the
 * first `bits` bits of block j; the table has a bucket for each key. If the t_j + 1 sum to r + 1,
 * then a code within r of a query differs from it in at least one key j by at most t_j bits, so the
 * buckets at these distances contain all answers. An entry of a bucket consists of 32 of the code's
 * other bits, in tables 1 to 3 of 40, so that a line of them is compared at once and few have to be
 * verified.
 *
 *   lines.c  a table's buckets, chains of lines     build.c   building all of them
 *   learn.c  assigning bits to blocks               insert.c, remove.c
 *   cost.c   choosing the t_j, or the scan          walk.c    searching buckets
 *   search.c range, nearest                         check.c   multi.c  the rest
 *
 * Rows are those of dense rows; a table has each distinct code once. Only table 0 refers to rows:
 * an entry of another table is looked up there by the bits of block 0. The row in table 0 is the
 * head of the list of its code's rows. */
#ifndef DRIFTLINE_HFTRIE_MULTI_MULTI_H
#define DRIFTLINE_HFTRIE_MULTI_MULTI_H

#include <stdatomic.h>

#include "algorithms/common/codes/code_device.h"
#include "algorithms/common/rows/dense_rows.h"
#include "algorithms/hftrie/hftrie.h"
#include "kernels/kernels.h"
#include "src/core/idmap.h"

#define MULTI_TABLES        4U
#define MULTI_BLOCK         16U /* bits */
#define MULTI_BITS_AT_LEAST 2U
#define MULTI_LINK          15U /* of a line: the number of its link */
#define MULTI_ENTRIES_0     15U /* per line of table 0 */
#define MULTI_ENTRIES       12U /* per line of another table */
#define MULTI_SAMPLES       16U /* rows whose distances to all others are measured, */
#define MULTI_NEAR          20U /* up to this one; beyond it, tables are rarely faster than scans */
#define MULTI_LEARN_AGAIN   4   /* with this many times the rows, other blocks may be more even */
#define MULTI_NONE          UINT32_MAX
/* In a link: the lines from there to the chain's end are consecutive. */
#define MULTI_RUN ((uint32_t)1 << 31)

/* entry[MULTI_LINK] is the link to the next line. A line of table 0 has 15 entries of 32 bits, one
   of another table 12 of 40, their last eight bits in bytes 48 + i. Only the first line of a chain
   may have fewer. */
struct multi_line {
    _Alignas(64) uint32_t entry[16];
};

struct multi_bucket {
    uint32_t first; /* a line, possibly with MULTI_RUN; undefined if n is 0 */
    uint32_t n;
};

struct multi_table {
    unsigned which;
    struct multi_bucket *buckets; /* 2^bits */
    struct multi_line *lines;
    struct multi_line *rows;     /* table 0: entry i of a line belongs to row rows[line].entry[i] */
    uint32_t capacity, used;     /* lines; those from `used` on were never used */
    uint32_t first_free, n_free; /* linked by entry[MULTI_LINK] */
    uint32_t loose;              /* lines added in front of chains since the lines were laid out */
};

/* The assignment of codes to buckets. */
struct multi_shape {
    unsigned bits; /* of a key; 0: no tables, and no rows */
    bool permuted;
    uint64_t (*spread)[256];        /* [8]: positions of the bits of byte i; NULL until learnt */
    uint16_t *masks;                /* the 2^bits masks by ascending number of bits */
    uint32_t ring[MULTI_BLOCK + 2]; /* masks with d bits are ring[d] .. ring[d + 1] - 1 */
};

struct multi {
    const struct kernels *kernels;
    struct dense_rows store;
    struct code_device *device; /* NULL: device = cpu */
    const struct hftrie_multi_costs *costs;
    struct multi_shape shape;
    struct multi_table table[MULTI_TABLES];
    size_t n_codes;     /* distinct */
    size_t most_codes;  /* the most since the tables were built */
    size_t grow_at;     /* number of codes from which longer keys are better */
    size_t learn_at;    /* number of rows at which to check whether other blocks are more even */
    struct idmap links; /* of the rows that share a code: their neighbours in its list */

    /* Share of entries within l bits of a query's entry, measured on pairs of rows. */
    float within[MULTI_TABLES][41];
    double evenness;   /* 1: as even as uniform keys; near 0: a few buckets have most codes */
    double walk_lines; /* lines of table 0 read to verify an entry of another table */
    /* Of sampled rows: how many other rows are within each distance, among near_rows. */
    uint32_t near[MULTI_SAMPLES][MULTI_NEAR + 1];
    size_t near_rows;

    atomic_ullong queries, scans, lookups, lines, candidates, verified;
};

/* A row's neighbours in the list of the rows of its code; MULTI_NONE: it is the first, or the last. */
struct multi_link {
    uint32_t prev, next;
};

static inline struct multi_link multi_link_of(const struct multi *m, uint32_t row)
{
    uint64_t link;
    if (m->links.n == 0 || !idmap_get(&m->links, row, &link))
        return (struct multi_link){ MULTI_NONE, MULTI_NONE };
    return (struct multi_link){ (uint32_t)(link >> 32), (uint32_t)link };
}

static inline bool multi_is_head(const struct multi *m, size_t row)
{
    return multi_link_of(m, (uint32_t)row).prev == MULTI_NONE;
}

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

/* The following take a permuted code p. */

static inline uint32_t multi_key(const struct multi *m, unsigned table, uint64_t p)
{
    return (uint32_t)(p >> MULTI_BLOCK * table) & (((uint32_t)1 << m->shape.bits) - 1);
}

static inline unsigned multi_entry_bits(unsigned table)
{
    return table == 0 ? 32 : 40;
}

/* Entries per line. */
static inline uint32_t multi_entries(unsigned table)
{
    return table == 0 ? MULTI_ENTRIES_0 : MULTI_ENTRIES;
}

/* The blocks in an entry, by table: 1 and 2; 0, 2 and half of 3; 0, 3 and half of 1; 0, 1 and half
   of 2. */
static inline uint64_t multi_entry(unsigned table, uint64_t p)
{
    switch (table) {
        case 0: return p >> 16 & 0xffffffff;
        case 1: return (p & 0xffff) | (p >> 32 & 0xffffff) << 16;
        case 2: return (p & 0xffff) | (p >> 48) << 16 | (p >> 16 & 0xff) << 32;
        default: return p & 0xffffffffff;
    }
}

/* The bits of the code that key and entry contain, the others 0. */
static inline uint64_t multi_part(unsigned table, uint32_t key, uint64_t entry)
{
    const uint64_t low = entry & 0xffff, high = entry >> 16, k = (uint64_t)key << 16 * table;
    switch (table) {
        case 0: return entry << 16 | k;
        case 1: return low | high << 32 | k;
        case 2: return low | (high & 0xffff) << 48 | (high >> 16) << 16 | k;
        default: return entry | k;
    }
}

static inline uint64_t multi_line_get(const struct multi_line *line, unsigned table, unsigned i)
{
    const uint8_t *more = (const uint8_t *)(line->entry + MULTI_ENTRIES);
    return table == 0 ? line->entry[i] : line->entry[i] | (uint64_t)more[i] << 32;
}

static inline void multi_line_set(struct multi_line *line, unsigned table, unsigned i,
                                  uint64_t entry)
{
    line->entry[i] = (uint32_t)entry;
    if (table != 0)
        ((uint8_t *)(line->entry + MULTI_ENTRIES))[i] = (uint8_t)(entry >> 32);
}

static inline const struct multi *multi_of(const struct hftrie *h)
{
    return h->state;
}

/* Entries in the first line of a chain of n. */
static inline uint32_t multi_fill(unsigned table, uint32_t n)
{
    return 1 + (table == 0 ? (n - 1) % MULTI_ENTRIES_0 : (n - 1) % MULTI_ENTRIES);
}

static inline size_t multi_lines_of(unsigned table, size_t n)
{
    n += multi_entries(table) - 1;
    return table == 0 ? n / MULTI_ENTRIES_0 : n / MULTI_ENTRIES;
}

/* lines.c. The position of an entry. */
struct multi_place {
    uint32_t line, at;
};

/* A search for the entry of a row in table 0, or for any equal one in another table. */
struct multi_probe {
    uint32_t which, key, row; /* row: in table 0; MULTI_NONE: any row whose code is `code` */
    uint64_t entry, code;
    uint32_t link, left; /* the next line, and the entries from it on */
    uint32_t n;          /* entries of the bucket at the time of the search */
    bool found, waits;
    struct multi_place place;
};
#define MULTI_PROBES 320U /* most probes at once */

/* Reserves at least n more lines. false: out of memory. */
bool hftrie_multi_lines_reserve(struct multi *, struct multi_table *, size_t n);
/* Adds an entry in reserved space; `row` is used in table 0 only. */
void hftrie_multi_lines_add(struct multi *, struct multi_table *, uint32_t key, uint64_t entry,
                            uint32_t row);
/* Finds the entry of a probe whose which, key, entry, row and code are set. */
bool hftrie_multi_lines_find(const struct multi *, const struct multi_probe *,
                             struct multi_place *);
/* The same for n probes, whose buckets have been prefetched. */
void hftrie_multi_lines_probe(const struct multi *, struct multi_probe *, size_t n);
void hftrie_multi_lines_take(struct multi_table *, uint32_t key, struct multi_place);
/* Makes the lines of each chain contiguous, in as little memory as they need plus some spare lines.
   false: out of memory, nothing has changed. */
bool hftrie_multi_lines_lay(struct multi *, struct multi_table *);
/* The same of the tables that have many loose or free lines. */
void hftrie_multi_lines_tidy(struct multi *);
void hftrie_multi_lines_free(struct multi *, struct multi_table *);

/* Finds the head row of this code; p is the permuted code. */
bool hftrie_multi_find_code(const struct multi *, uint64_t code, uint64_t p, uint32_t *row);

/* build.c. Rebuilds the tables for the current rows. `wanted`: the number of rows expected. Links
   are kept, or, if `fresh`, made again. false: out of memory, nothing changed. */
bool hftrie_multi_build(struct hftrie *, size_t wanted, bool fresh);
void hftrie_multi_empty(struct multi *); /* frees tables and links */
/* Needs no memory if the row has a link, or now gets none. */
void hftrie_multi_set_link(struct multi *, uint32_t row, struct multi_link);
/* Puts a row behind the head of its code. false: out of memory. */
bool hftrie_multi_link(struct multi *, uint32_t head, uint32_t row);

/* learn.c. Learns a permutation from the rows: order[i] is the bit that goes to place i of the
   permuted code. false: the current one is about as even. */
bool hftrie_multi_learn(const struct multi *, uint64_t seed, uint8_t order[64]);
void hftrie_multi_spread(const uint8_t order[64], uint64_t spread[8][256]);
/* Mean number of entries in the bucket of an entry of the table. */
double hftrie_multi_crowding(const struct multi *, unsigned table);
/* Sets within, evenness, walk_lines, near and near_rows. */
void hftrie_multi_measure(struct multi *, uint64_t seed);
/* How many of the MULTI_SAMPLES rows are expected to have n others within the radius. */
unsigned hftrie_multi_samples_with(const struct multi *, double n, unsigned radius);

int hftrie_multi_insert(struct hftrie *, const uint64_t *codes, const uint64_t *ids, size_t n,
                        size_t *done);
int hftrie_multi_remove(struct hftrie *, const uint64_t *ids, size_t n, size_t *done);

/* cost.c. The costs that plans are chosen by, in ns. docs/methods/hftrie.md says how they were
   measured. */
struct hftrie_multi_costs {
    double query;                   /* per query */
    double header;                  /* reading the number of entries of a bucket */
    double lookup;                  /* a bucket that is not empty */
    double line;                    /* a cache line of 12 or 15 codes */
    double candidate;               /* verifying a code that is near enough */
    double compare[ISA_AVX512 + 1]; /* scan: a code and a query, by instruction set */
    double read;                    /* scan: reading a code, once for a group of queries */
    double cached;                  /* the same where all codes fit the last-level cache */
    double device;                  /* scan by a device: comparing a code */
    double call;                    /* scan by a device: a call */
};
extern const struct hftrie_multi_costs hftrie_multi_costs;

struct hftrie_multi_plan {
    int8_t threshold[MULTI_TABLES]; /* the t_j; -1: the table is not used */
    double ns;                      /* expected time */
};
/* Expected time of a scan for each query of a group, by the device where queries can be left to it. A call
   of the device answers all groups of a request; its fixed cost is that of a group that is not full. */
double hftrie_multi_scan_ns(const struct multi *, const struct code_group *);
/* Low estimate of the time at the radius, for queries like the rows. */
double hftrie_multi_expected_ns(const struct multi *, unsigned radius);
/* Whether planning pays: false if a scan is likely to be better for any query. */
bool hftrie_multi_promising(const struct multi *, unsigned radius, double limit_ns);
/* Makes a plan for p and a radius that takes less than limit_ns; false: none was found. */
bool hftrie_multi_plan(const struct multi *, uint64_t p, unsigned radius, double limit_ns,
                       struct hftrie_multi_plan *);

/* walk.c. A query, with its plan and its answers. */
struct multi_query {
    uint64_t query, p;
    struct hftrie_multi_plan plan;
    struct code_answers *answers;
};
int hftrie_multi_walk(const struct hftrie *, const struct multi_query *, unsigned radius,
                      const struct id_filter *, struct work *);

/* search.c */
int hftrie_multi_answer(const struct index *, struct code_group *);

int hftrie_multi_check(const struct hftrie *);

#endif
