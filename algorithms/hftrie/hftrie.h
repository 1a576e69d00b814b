/* hftrie.h - codes in a trie of bit chunks (the paper's standard and fast search), or in
 * several tables over blocks of bits (multi, of 64-bit codes), exact at every radius.
 *
 * method.c has the options and the table of operations. Each operation calls the body that `mode`
 * chose: trie.h (standard, fast) or multi.h. The bodies are independent of each other. */
#ifndef DRIFTLINE_HFTRIE_H
#define DRIFTLINE_HFTRIE_H

#include "algorithms/common/codes/code_queries.h"
#include "algorithms/common/durable/logged.h"
#include "src/core/index.h"

enum hftrie_mode { HFTRIE_STANDARD, HFTRIE_FAST, HFTRIE_MULTI };

struct hftrie_params {
    int64_t mode;                      /* enum hftrie_mode */
    int64_t chunk_bits, leaf_capacity; /* trie: 1 2 4 8; codes per leaf before it splits */
    bool permute;                      /* multi: learn the blocks of bits from the codes */
    int64_t device;                    /* multi: CUDA_CPU or CUDA_CUDA */
    int64_t wal, checkpoint_mb;
};

/* How multi answers a query: as the cost model prefers, or always in the same way. */
enum hftrie_plan { HFTRIE_AUTO, HFTRIE_TABLES, HFTRIE_SCAN };

struct hftrie_knobs {
    int64_t plan; /* enum hftrie_plan */
};

struct hftrie;

/* The functions of a body; arguments as in index.h, checked, codes aligned. */
struct hftrie_body {
    int (*create)(struct hftrie *);   /* sets h->state; on failure frees everything */
    void (*destroy)(struct hftrie *); /* frees what create() made */
    int (*insert)(struct hftrie *, const uint64_t *codes, const uint64_t *ids, size_t n,
                  size_t *done);
    int (*remove)(struct hftrie *, const uint64_t *ids, size_t n, size_t *done);
    bool (*has)(const struct hftrie *, uint64_t id);
    /* The sections of a file. load() fills an empty body, whose answers are then the same. */
    void (*save)(const struct hftrie *, struct store_writer *);
    int (*load)(struct hftrie *, const struct store_reader *);
    void (*stats)(const struct hftrie *, struct stat_sink *);
    void (*memory)(const struct hftrie *, struct memory_use *); /* adds to it */
    int (*check)(const struct hftrie *);
    void (*inspect)(const struct hftrie *, const struct structure_sink *); /* in the root node */
    int (*maintain)(struct hftrie *, uint64_t budget, bool *more);         /* may be NULL */
    struct code_ops search;
};

extern const struct hftrie_body hftrie_trie;  /* trie.c */
extern const struct hftrie_body hftrie_multi; /* multi.c */

struct hftrie {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct hftrie_params params;
    const struct hftrie_body *body;
    void *state; /* the body's: struct trie or struct multi */
};

extern const struct index_ops hftrie_ops;

#endif
