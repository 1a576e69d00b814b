/* trie.h - the trie of bit chunks: its state, what must hold of it, and what its files call of each
 * other.
 *
 * A node of level l tells codes apart by their l-th chunk, counted from the most significant bits;
 * its 2^chunk_bits children are nodes, leaves or nothing. A leaf is where the codes themselves are:
 * a chain of granules. Child references have 32 bits, so a leaf is named by its first granule, and
 * there is no record of it elsewhere.
 *
 * A granule is a cache line: seven codes, which granule is next in its leaf, and which is before it
 * or, for a leaf's first, how many codes the leaf holds. One line read is all a search needs of it.
 * Codes have slots, 7 granule + place; their ids are in an array of their own, by slot.
 *
 * Invariants
 * - Granules 0 .. n_granules-1 are each in one leaf. A freed one's place is taken by the last, so
 *   memory is dense whatever was deleted; the last one's own leaf is found by one of its codes.
 * - Only a leaf's first granule may be partly filled: its first (n-1) % 7 + 1 places.
 * - A leaf holds at most `capacity` codes, or codes that are all equal, however many.
 * - slot_of maps each id to its slot.
 * - A node's `codes` counts those in leaves that are its children, `inner` its children that are
 *   nodes. A node without any has two leaves or more, with more than merge_at codes.
 * - Nodes 0 .. n_nodes-1 are all in use, by the same rule as granules.
 */
#ifndef DRIFTLINE_HFTRIE_TRIE_H
#define DRIFTLINE_HFTRIE_TRIE_H

#include "algorithms/hftrie/hftrie.h"
#include "src/core/slot_table.h"

#define TRIE_SLOTS      7U              /* of a granule */
#define TRIE_CODES_MAX  (TRIE_HEAD - 2) /* in all, for all may be in one leaf */
#define TRIE_LEVELS_MAX 64U
#define TRIE_FAN_MAX    256U
#define TRIE_NONE       UINT32_MAX
#define TRIE_NODE       0x80000000U /* in a reference: a node's number; else a granule's */
#define TRIE_HEAD       0x80000000U /* in before: a leaf's first granule, and the leaf's size */
#define TRIE_SPARE      UINT32_MAX  /* in before: in no leaf, while leaves are rearranged */

struct trie_granule {
    uint32_t next, before;
    uint64_t codes[TRIE_SLOTS];
};
_Static_assert(sizeof(struct trie_granule) == 64, "hamming_b64_lines() reads lines of 64 bytes");

struct trie_node {
    uint32_t codes;
    uint16_t children, inner;
};

/* The children of a node by the distance of their chunk from the query's: it is order[i] for the
 * i-th, and those at distance d are order[start[d]] .. order[start[d + 1] - 1]. */
struct trie_reach {
    uint8_t order[TRIE_FAN_MAX];
    uint16_t start[TRIE_LEVELS_MAX + 2];
    unsigned furthest; /* distances beyond are not visited: chunk_bits, or 1 where search is fast */
};

struct trie {
    struct mem *mem;
    struct error *error;
    const struct kernels *kernels;
    unsigned bits, levels; /* bits * levels = 64 */
    uint32_t fan, capacity, merge_at;
    struct trie_reach reach;

    size_t n; /* codes */
    uint32_t root;
    struct trie_granule *granules;
    uint64_t *ids;                          /* by slot */
    uint32_t n_granules, expected_granules; /* expected: for the rows env expects, or 0 */
    size_t granules_capacity, ids_capacity; /* granules */
    uint32_t spare;                         /* chain of them; TRIE_NONE */

    uint32_t *refs; /* node i's children: refs[i * fan + chunk] */
    struct trie_node *nodes;
    uint32_t n_nodes;
    size_t refs_capacity, nodes_capacity; /* nodes */

    struct slot_table slot_of;
    size_t most; /* ids the table held at most since it was packed */
    uint64_t splits, merges;
};

static inline struct trie *trie_of(const struct hftrie *h)
{
    return h->state;
}

static inline uint32_t trie_chunk(const struct trie *t, uint64_t code, unsigned level)
{
    return (uint32_t)(code >> (64 - t->bits * (level + 1))) & (t->fan - 1);
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

/* Places filled in a granule. */
static inline uint32_t trie_filled(const struct trie *t, uint32_t granule)
{
    const uint32_t before = t->granules[granule].before;
    return before & TRIE_HEAD ? ((before & ~TRIE_HEAD) - 1) % TRIE_SLOTS + 1 : TRIE_SLOTS;
}

/* Whether it is because they are equal that a leaf holds so many codes: then one speaks for all. */
static inline bool trie_equal(const struct trie *t, uint32_t leaf)
{
    return trie_leaf_size(t, leaf) > t->capacity;
}

static inline uint64_t *trie_code(const struct trie *t, size_t slot)
{
    return &t->granules[slot / TRIE_SLOTS].codes[slot % TRIE_SLOTS];
}

/* The nodes on the way from the root to a leaf, or to where one would be. */
struct trie_path {
    uint32_t nodes[TRIE_LEVELS_MAX]; /* references; [l] is of level l */
    unsigned depth;
};

/* trie_arena.c */
/* Room for that many granules and nodes more. false: out of memory or of numbers. */
bool trie_reserve(struct trie *, size_t granules, size_t nodes);
void trie_free_all(struct trie *);      /* the arrays of a trie that is empty, or about to go */
void trie_give_back(struct trie *);     /* what deletions have left unused, once it is much */
uint32_t trie_take_node(struct trie *); /* reference of a node without children; reserved */
/* Takes the last node's number from it, gives it that of `node`, which nothing refers to any more.
   A path that knows of it is mended. */
void trie_free_node(struct trie *, uint32_t node_ref, struct trie_path *);
/* The place of a leaf, or of nothing, that a code belongs to; `path` may be NULL. */
uint32_t *trie_find(const struct trie *, uint64_t code, struct trie_path *path);
/* Adds an entry to the leaf *leaf, or makes it one where it is TRIE_NONE; returns its slot. Room
   is reserved; the table is the caller's. */
uint32_t trie_append(struct trie *, uint32_t *leaf, uint64_t code, uint64_t id);
void trie_free_granule(struct trie *, uint32_t granule); /* in no leaf any more */
/* Takes the entries of a leaf's granule to other leaves, to[chunk of level], or to[0] alone where
   `spread` is not set; the granule becomes a spare one. Returns the next in its leaf. */
uint32_t trie_scatter(struct trie *, uint32_t granule, unsigned level, bool spread, uint32_t *to);
void trie_free_spares(struct trie *);

/* The operations, as struct hftrie_body has them. */
int trie_insert(struct hftrie *, const uint64_t *codes, const uint64_t *ids, size_t n,
                size_t *done);
int trie_remove(struct hftrie *, const uint64_t *ids, size_t n, size_t *done);
int trie_range(const struct index *, struct code_group *, unsigned radius,
               struct code_answers *answers);
/* trie_many.c: range search of a group together, and whether its queries share enough leaves. */
bool trie_crowded(const struct trie *, const struct code_group *, unsigned radius);
int trie_range_many(const struct trie *, struct code_group *, unsigned radius,
                    struct code_answers *answers);
int trie_nearest(const struct index *, struct code_group *, struct topk *nearest);
void trie_save(const struct hftrie *, struct store_writer *);
int trie_load(struct hftrie *, const struct store_reader *);
int trie_check(const struct hftrie *);
void trie_stats(const struct hftrie *, struct stat_sink *);

/* Says what is where, a line a node, leaf and code, in the order of the codes: for debugging. */
void trie_print(const struct trie *, void (*line)(void *to, const char *text), void *to);

#endif
