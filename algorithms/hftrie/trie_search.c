/* trie_search.c - range and nearest-neighbour search.
 *
 * A node's child differs from the query by so many bits of the chunks so far; those within the
 * radius are visited. Instead of one after the other, each at the price of some cache misses, they
 * are gathered: the nodes of a level that are next, and the leaves they lead to, are lists, and
 * whoever enters a list is fetched. The lists are short: where the next level's is full, it is worked
 * off first. Leaves are read a granule of each at a time, for only a granule says where the next is.
 */
#include "algorithms/hftrie/trie.h"
#include "kernels/kernels.h"

#define PENDING   4096U /* nodes, of all levels */
#define LEAVES    512U
#define LEAVES_IN 128U /* leaves that are read together, unless a node has more */

struct pending {
    uint32_t node;
    uint32_t spent; /* bits in which the chunks so far differ */
};

struct walk {
    const struct trie *t;
    uint64_t query;
    unsigned first, last; /* leaves whose chunks differ in that many bits */
    unsigned radius;      /* entries within it are found */
    bool beyond;          /* whether there may be leaves that differ in more */
    int rc;
    size_t read; /* codes compared */
    const struct id_filter *filter;
    struct code_answers *answers; /* of a range search, or else */
    struct topk *nearest;

    unsigned room, n_leaves; /* room: of a level's list */
    unsigned n_pending[TRIE_LEVELS_MAX];
    struct pending pending[PENDING]; /* [level * room + i] */
    uint32_t leaves[LEAVES];         /* first granules of those to read */
    uint32_t after[LEAVES];          /* granules that are next */
    const uint64_t *lines[LEAVES];
    uint8_t masks[LEAVES];
};

/* ------------------------------------------------------------------------ leaves */

static void found(struct walk *w, size_t slot)
{
    const uint64_t id = w->t->ids[slot];
    if (!id_filter_allows(w->filter, id))
        return;
    const unsigned distance = (unsigned)__builtin_popcountll(*trie_code(w->t, slot) ^ w->query);
    if (w->nearest) {
        topk_push(w->nearest, (float)distance, id);
        if (topk_limit(w->nearest) < (float)w->radius)
            w->radius = (unsigned)topk_limit(w->nearest);
    } else if (w->rc == OK) {
        w->rc = code_answer(w->answers, id, distance);
    }
}

/* What the granules' places marked in masks[] hold. Two passes: ids come from afar. */
static void report(struct walk *w, const uint32_t *granules, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (w->masks[i])
            __builtin_prefetch(w->t->ids + (size_t)granules[i] * TRIE_SLOTS);
    for (unsigned i = 0; i < n; i++)
        for (unsigned m = w->masks[i]; m; m &= m - 1)
            found(w, (size_t)granules[i] * TRIE_SLOTS + (unsigned)__builtin_ctz(m));
}

/* Compares n granules with the query; those next in their leaves go to `next`. Returns how many.
 * Without a branch a granule that is hard to foresee: only the first of a leaf may have places
 * empty. */
static unsigned read_granules(struct walk *w, const uint32_t *granules, unsigned n, bool first,
                              uint32_t *next)
{
    const struct trie *t = w->t;
    unsigned left = 0, any = 0, read = 0;
    for (unsigned i = 0; i < n; i++)
        w->lines[i] = (const uint64_t *)(const void *)(t->granules + granules[i]);
    t->kernels->hamming_b64_lines(w->query, w->lines, n, w->radius, w->masks);
    for (unsigned i = 0; i < n; i++) {
        const struct trie_granule *g = t->granules + granules[i];
        const unsigned filled = first ? trie_filled(t, granules[i]) : TRIE_SLOTS;
        const unsigned mask = w->masks[i] >> 1 & ((1U << filled) - 1); /* the first is no code */
        w->masks[i] = (uint8_t)mask;
        any |= mask;
        read += filled;
        const bool last = g->next == TRIE_NONE || (first && !mask && trie_equal(t, granules[i]));
        next[left] = g->next;
        __builtin_prefetch(last ? g : t->granules + g->next);
        left += !last;
    }
    if (any)
        report(w, granules, n);
    w->read += read;
    return left;
}

/* Reads one granule of each leaf in the list, until all are read whole. */
static void read_leaves(struct walk *w)
{
    uint32_t *granules = w->leaves, *next = w->after;
    bool first = true;
    for (unsigned n = w->n_leaves; n > 0; first = false) {
        n = read_granules(w, granules, n, first, next);
        uint32_t *swap = granules;
        granules = next;
        next = swap;
    }
    w->n_leaves = 0;
}

/* ------------------------------------------------------------------------ nodes */

/* Puts a node's children, as far as they are wanted, on the lists, which have room. */
static void expand(struct walk *w, struct pending p, unsigned level)
{
    const struct trie *t = w->t;
    const struct trie_reach *r = &t->reach;
    const unsigned left = w->last - p.spent;
    const unsigned furthest = left < r->furthest ? left : r->furthest;
    const uint32_t chunk = trie_chunk(t, w->query, level);
    const uint32_t *children = trie_children(t, p.node);
    unsigned nearest = 0;
    w->beyond |= furthest < r->furthest;
    if (trie_node(t, p.node)->inner == 0 && w->first > p.spent)
        nearest = w->first - p.spent; /* only leaves, so nearer ones were read before */
    for (unsigned d = nearest; d <= furthest; d++) {
        for (unsigned i = r->start[d]; i < r->start[d + 1]; i++) {
            const uint32_t child = children[chunk ^ r->order[i]];
            if (child == TRIE_NONE)
                continue;
            if (trie_is_node(child)) {
                __builtin_prefetch(trie_children(t, child) + trie_chunk(t, w->query, level + 1));
                w->pending[(level + 1) * w->room + w->n_pending[level + 1]++] =
                    (struct pending){ child, p.spent + d };
            } else if (p.spent + d >= w->first) {
                __builtin_prefetch(t->granules + child);
                w->leaves[w->n_leaves++] = child;
            }
        }
    }
}

/* Works off a level's list and all that comes of it. */
static void visit(struct walk *w, unsigned level)
{
    const uint32_t fan = w->t->fan;
    for (unsigned i = 0; i < w->n_pending[level]; i++) {
        if (level + 1 < w->t->levels && w->n_pending[level + 1] + fan > w->room)
            visit(w, level + 1);
        if (w->n_leaves + fan > (fan > LEAVES_IN ? LEAVES : LEAVES_IN))
            read_leaves(w);
        expand(w, w->pending[level * w->room + i], level);
    }
    w->n_pending[level] = 0;
    if (level + 1 < w->t->levels && w->n_pending[level + 1] > 0)
        visit(w, level + 1);
}

static void walk(struct walk *w)
{
    const struct trie *t = w->t;
    if (t->root == TRIE_NONE)
        return;
    if (trie_is_node(t->root)) {
        w->pending[0] = (struct pending){ t->root, 0 };
        w->n_pending[0] = 1;
        visit(w, 0);
    } else if (w->first == 0) {
        w->leaves[w->n_leaves++] = t->root;
    }
    read_leaves(w);
}

/* Its lists are large: only what is before them, and their lengths, are set. */
static void walk_begin(struct walk *w, const struct hftrie *h, const struct code_group *group)
{
    w->t = trie_of(h);
    w->room = PENDING / w->t->levels;
    w->filter = group->filter;
    w->read = 0;
    w->beyond = false;
    w->rc = OK;
    w->n_leaves = 0;
    for (unsigned l = 0; l < w->t->levels; l++)
        w->n_pending[l] = 0;
    w->answers = NULL;
    w->nearest = NULL;
}

static void walk_end(const struct walk *w, struct code_group *group)
{
    group->work.distances += (double)w->read;
    group->work.scanned += (double)w->read;
    group->work.bytes_read += (double)(w->read * sizeof(uint64_t));
}

/* ------------------------------------------------------------------------ searches */

int trie_range(const struct index *index, struct code_group *group, unsigned radius,
               struct code_answers *answers)
{
    const struct hftrie *h = (const struct hftrie *)index;
    struct walk w;
    if (trie_crowded(trie_of(h), group, radius))
        return trie_range_many(trie_of(h), group, radius, answers);
    walk_begin(&w, h, group);
    w.first = 0;
    w.last = w.radius = radius;
    for (size_t q = 0; w.rc == OK && q < group->n; q++) {
        w.query = group->queries[q];
        w.answers = &answers[q];
        walk(&w);
    }
    walk_end(&w, group);
    return w.rc;
}

/* Leaves in the order of the bits their chunks differ in, which an entry of theirs differs in at
 * least: when the k-th is as near, no other leaf has nearer ones. */
int trie_nearest(const struct index *index, struct code_group *group, struct topk *nearest)
{
    struct walk w;
    walk_begin(&w, (const struct hftrie *)index, group);
    for (size_t q = 0; q < group->n; q++) {
        w.query = group->queries[q];
        w.nearest = &nearest[q];
        w.radius = CODE_BITS;
        w.beyond = true;
        for (unsigned bits = 0; w.beyond && bits <= w.radius; bits++) {
            w.first = w.last = bits;
            w.beyond = false;
            walk(&w);
        }
    }
    walk_end(&w, group);
    return w.rc;
}
