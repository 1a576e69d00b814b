/* trie.h - the trie of bit chunks: its state, its invariants, and the functions shared by its
 * files.
 *
 * A node of level l distinguishes codes by their l-th chunk, counted from the most significant
 * bits; its 2^chunk_bits children are nodes, leaves or nothing. A leaf contains the codes
 * themselves in a chain of granules. A reference to a child has 32 bits; a leaf is identified by
 * its first granule and has no other record.
 *
 * A granule is a cache line: seven codes, the next granule of its leaf, and the granule before it
 * or, for a leaf's first, the number of codes in the leaf. A search needs only this line of it.
 * Codes have slots, 7 granule + place; their ids are in a separate array, by slot. Of a code of
 * more than 64 bits the granule has the first word, and a third array the others, by slot: a search
 * reads them only where the first word is within the radius.
 *
 * Invariants
 * - Granules 0 .. n_granules-1 are each in one leaf. The last granule takes a freed one's place, so
 *   memory stays dense; its leaf is found by one of its codes.
 * - Only a leaf's first granule may be partly filled: its first (n-1) % 7 + 1 places.
 * - A leaf has at most `capacity` codes, or any number of equal codes.
 * - slot_of maps each id to its slot.
 * - A node's `codes` counts the codes in leaves that are its children, `inner` its children that
 *   are nodes. If `inner` is 0, the node has two leaves or more, with more than merge_at codes.
 * - Nodes 0 .. n_nodes-1 are all in use, by the same rule as granules.
 */
#ifndef DRIFTLINE_HFTRIE_TRIE_TRIE_H
#define DRIFTLINE_HFTRIE_TRIE_TRIE_H

#include "algorithms/hftrie/hftrie.h"
#include "src/core/slot_table.h"

#define TRIE_SLOTS      7U              /* codes per granule */
#define TRIE_CODES_MAX  (TRIE_HEAD - 2) /* in all, because all may be in one leaf */
#define TRIE_LEVELS_MAX INDEX_CODE_BITS_MAX
#define TRIE_BITS_MAX   8U
#define TRIE_FAN_MAX    256U
#define TRIE_NONE       UINT32_MAX
#define TRIE_NODE       0x80000000U /* bit of a reference: a node's number; else a granule's */
/* Bit of `before`: the granule is a leaf's first; the other bits are the leaf's size. */
#define TRIE_HEAD  0x80000000U
#define TRIE_SPARE UINT32_MAX /* value of `before`: in no leaf, while leaves are rearranged */

struct trie_granule {
    uint32_t next, before;
    uint64_t codes[TRIE_SLOTS];
};
_Static_assert(sizeof(struct trie_granule) == 64, "hamming_b64_lines() reads lines of 64 bytes");

struct trie_node {
    uint32_t codes;
    uint16_t children, inner;
};

/* The children of a node by the distance d between their chunk and the query's: the query's chunk
 * XOR order[i] for start[d] <= i < start[d + 1]. */
struct trie_reach {
    uint8_t order[TRIE_FAN_MAX];
    uint16_t start[TRIE_BITS_MAX + 2];
    unsigned furthest; /* greatest distance visited: chunk_bits, or 1 if search is fast */
};

struct trie {
    struct mem *mem;
    struct error *error;
    const struct kernels *kernels;
    unsigned words;        /* of a code */
    unsigned bits, levels; /* bits * levels = 64 * words */
    uint32_t fan, capacity, merge_at;
    struct trie_reach reach;

    size_t n; /* codes */
    uint32_t root;
    struct trie_granule *granules;
    uint64_t *ids;                          /* by slot */
    uint64_t *rest;                         /* words - 1 per slot; NULL if that is 0 */
    uint32_t n_granules, expected_granules; /* expected: for env's expected number of rows, or 0 */
    size_t granules_capacity, ids_capacity, rest_capacity; /* in granules */
    uint32_t spare;                                        /* linked; TRIE_NONE: none */

    uint32_t *refs; /* children of node i: refs[i * fan + chunk] */
    struct trie_node *nodes;
    uint32_t n_nodes;
    size_t refs_capacity, nodes_capacity; /* in nodes */

    struct slot_table slot_of;
    size_t most; /* the most ids in the table since it was last packed */
    uint64_t splits, merges;
};

static inline struct trie *trie_of(const struct hftrie *h)
{
    return h->state;
}

/* A chunk is in one word, as 64 is a multiple of its bits. */
static inline uint32_t trie_chunk_in(const struct trie *t, uint64_t word, unsigned level)
{
    return (uint32_t)(word >> (-(t->bits * (level + 1)) & 63)) & (t->fan - 1);
}

static inline uint32_t trie_chunk(const struct trie *t, const uint64_t *code, unsigned level)
{
    return trie_chunk_in(t, code[t->bits * level / 64], level);
}

static inline bool trie_is_node(uint32_t ref)
{
    return ref >= TRIE_NODE && ref != TRIE_NONE;
}

static inline uint32_t *trie_children(const struct trie *t, uint32_t node_ref)
{
    return t->refs + (size_t)(node_ref & ~TRIE_NODE) * t->fan;
}

static inline struct trie_node *trie_node(const struct trie *t, uint32_t node_ref)
{
    return t->nodes + (node_ref & ~TRIE_NODE);
}

static inline uint32_t trie_leaf_size(const struct trie *t, uint32_t leaf)
{
    return t->granules[leaf].before & ~TRIE_HEAD;
}

/* Places in use in a granule. */
static inline uint32_t trie_filled(const struct trie *t, uint32_t granule)
{
    const uint32_t before = t->granules[granule].before;
    return before & TRIE_HEAD ? ((before & ~TRIE_HEAD) - 1) % TRIE_SLOTS + 1 : TRIE_SLOTS;
}

/* Whether all codes of the leaf are equal, which is the case if it exceeds its capacity: then one
   comparison serves for all. */
static inline bool trie_equal(const struct trie *t, uint32_t leaf)
{
    return trie_leaf_size(t, leaf) > t->capacity;
}

static inline uint64_t *trie_code(const struct trie *t, size_t slot)
{
    return &t->granules[slot / TRIE_SLOTS].codes[slot % TRIE_SLOTS];
}

/* Words 1 .. words - 1 of a slot's code. */
static inline uint64_t *trie_rest(const struct trie *t, size_t slot)
{
    return t->rest + slot * (t->words - 1);
}

static inline uint64_t trie_word(const struct trie *t, size_t slot, unsigned word)
{
    return word == 0 ? *trie_code(t, slot) : trie_rest(t, slot)[word - 1];
}

/* The whole code of a slot, valid until the slot changes; `copy` is where a longer one is put
   together. */
static inline const uint64_t *trie_whole(const struct trie *t, size_t slot,
                                         uint64_t copy[INDEX_CODE_WORDS_MAX])
{
    if (t->words == 1)
        return trie_code(t, slot);
    for (unsigned w = 0; w < t->words; w++)
        copy[w] = trie_word(t, slot, w);
    return copy;
}

/* The nodes on the path from the root to a leaf, or to where one would be. */
struct trie_path {
    uint32_t nodes[TRIE_LEVELS_MAX]; /* references, by level */
    unsigned depth;
};

/* arena.c */
/* Reserves that many more granules and nodes. false: out of memory or of numbers. */
bool hftrie_trie_reserve(struct trie *, size_t granules, size_t nodes);
void hftrie_trie_free_all(struct trie *);      /* frees the arrays of a trie that is empty or
                                              being destroyed */
void hftrie_trie_give_back(struct trie *);     /* frees memory left unused by deletions, once it
                                              is much */
uint32_t hftrie_trie_take_node(struct trie *); /* returns a node without children, which must
                                                  be reserved */
/* Frees `node`, to which nothing may refer any more: the last node gets its number. Updates *path
   if that node is on it. */
void hftrie_trie_free_node(struct trie *, uint32_t node_ref, struct trie_path *);
/* The place of the leaf, or of nothing, to which a code belongs; `path` may be NULL. */
uint32_t *hftrie_trie_find(const struct trie *, const uint64_t *code, struct trie_path *path);
/* Adds an entry to the leaf *leaf, or makes one if it is TRIE_NONE; returns its slot. Space must be
   reserved; the caller updates slot_of. */
uint32_t hftrie_trie_append(struct trie *, uint32_t *leaf, const uint64_t *code, uint64_t id);
/* Sets words 1 .. words - 1 of a slot's code, of which there are some. Returns the slot. */
uint32_t hftrie_trie_set_rest(const struct trie *, uint32_t slot, const uint64_t *rest);
void hftrie_trie_free_granule(struct trie *, uint32_t granule); /* it must be in no leaf */
/* Moves the entries of a leaf's granule to other leaves: to[chunk at level], or all to to[0] unless
   `spread`. The granule becomes spare. Returns the next granule of the leaf. */
uint32_t hftrie_trie_scatter(struct trie *, uint32_t granule, unsigned level, bool spread,
                             uint32_t *to);
void hftrie_trie_free_spares(struct trie *);

/* The operations, as in struct hftrie_body. */
int hftrie_trie_insert(struct hftrie *, const uint64_t *codes, const uint64_t *ids, size_t n,
                       size_t *done);
int hftrie_trie_remove(struct hftrie *, const uint64_t *ids, size_t n, size_t *done);
int hftrie_trie_answer(const struct index *, struct code_group *);
/* many.c: range search of a group together, and whether its queries share enough leaves. */
bool hftrie_trie_crowded(const struct trie *, const struct code_group *);
int hftrie_trie_range_many(const struct trie *, struct code_group *);
void hftrie_trie_save(const struct hftrie *, struct store_writer *);
int hftrie_trie_load(struct hftrie *, const struct store_reader *);
int hftrie_trie_check(const struct hftrie *);
void hftrie_trie_stats(const struct hftrie *, struct stat_sink *);

#endif
