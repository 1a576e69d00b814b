/* hftrie.h - 64-bit codes in a trie of bit chunks (standard and fast search, as its source has it),
 * or in several tables over blocks of bits (multi), exact at every radius.
 *
 * hftrie.c reads the options and has the table of operations; each goes to the body that `mode`
 * chose: trie.h (standard, fast) or multi.h. The bodies know nothing of each other.
 */
#ifndef DRIFTLINE_HFTRIE_H
#define DRIFTLINE_HFTRIE_H

#include "algorithms/common/code_queries.h"
#include "src/core/index.h"

enum hftrie_mode { HFTRIE_STANDARD, HFTRIE_FAST, HFTRIE_MULTI };

struct hftrie_params {
    int64_t mode;                      /* enum hftrie_mode */
    int64_t chunk_bits, leaf_capacity; /* trie: 1 2 4 8; codes a leaf holds before it splits */
    bool permute;                      /* multi: blocks of bits as learnt from the codes */
};

/* What answers a query of multi: what the cost model thinks cheaper, or always the same. */
enum hftrie_plan { HFTRIE_AUTO, HFTRIE_TABLES, HFTRIE_SCAN };

/* Of multi: whether it may scan, and what its cost model reckons with, in ns. */
struct hftrie_knobs {
    int64_t plan;              /* enum hftrie_plan */
    double query_ns;           /* a query, whatever it asks for */
    double header_ns;          /* reading how many entries a bucket has */
    double lookup_ns;          /* a bucket that is not empty */
    double line_ns;            /* a line of it */
    double candidate_ns;       /* an entry that is to be verified */
    double compare_ns;         /* scan: a code with a query */
    double read_ns, cached_ns; /* scan: reading a code; where all stay in the last cache */
};

struct hftrie;
struct store_reader;
struct store_writer;

/* What a body does; arguments as in index.h, checked, codes aligned. */
struct hftrie_body {
    int (*create)(struct hftrie *);   /* fills h->state; undoes itself where it fails */
    void (*destroy)(struct hftrie *); /* of what create() made */
    int (*insert)(struct hftrie *, const uint64_t *codes, const uint64_t *ids, size_t n,
                  size_t *done);
    int (*remove)(struct hftrie *, const uint64_t *ids, size_t n, size_t *done);
    /* Sections of the body's own, none called "params"; load() fills an empty body, and answers are
       then the same. */
    void (*save)(const struct hftrie *, struct store_writer *);
    int (*load)(struct hftrie *, const struct store_reader *);
    void (*stats)(const struct hftrie *, struct stat_sink *);
    void (*memory)(const struct hftrie *, struct memory_use *); /* adds to it */
    int (*check)(const struct hftrie *);
    int (*maintain)(struct hftrie *, uint64_t budget, bool *more); /* may be NULL */
    struct code_ops search;
};

extern const struct hftrie_body hftrie_trie;  /* trie.c */
extern const struct hftrie_body hftrie_multi; /* multi.c */

struct hftrie {
    struct index base;
    struct hftrie_params params;
    const struct hftrie_body *body;
    void *state; /* the body's: struct trie or struct multi */
};

extern const struct index_ops hftrie_ops;

int hftrie_create(struct index **, const struct index_env *, const void *params);
void hftrie_destroy(struct index *);
int hftrie_save(struct index *, const char *dir);
int hftrie_load(struct index **, const struct index_env *, const char *dir);

#endif
