/* search.c - range and nearest-neighbour search.
 *
 * A child of a node is visited if its chunks so far differ from the query's in at most `radius`
 * bits. To overlap cache misses, nodes and leaves are not visited one by one but collected in
 * lists: the next nodes of each level, and the leaves they lead to, are prefetched when they are
 * added. The lists are short: if the next level's is full, it is processed first. Leaves are read
 * one granule of each at a time, because only a granule refers to the next one. */
#include "algorithms/hftrie/trie/trie.h"
#include "kernels/kernels.h"

#define PENDING 4096U /* nodes of the levels of the first word */
#define DEEP \
    4096U /* nodes of all further levels, of which each has space for one node's children */
#define LEAVES    512U
#define LEAVES_IN 128U /* leaves read together, unless a node has more */

struct pending {
    uint32_t node;
    uint32_t spent; /* bits in which the chunks so far differ */
};

struct trie_walk {
    const struct trie *t;
    const uint64_t *query;
    unsigned first, last; /* range of bits in which a leaf's chunks differ */
    unsigned radius;      /* for entries */
    bool beyond;          /* there may be leaves that differ in more bits */
    int rc;
    size_t read, read_whole; /* codes whose first word was compared, and their other words */
    const struct id_filter *filter;
    struct code_answers *answers; /* of a range search; NULL: nearest is set */
    struct topk *nearest;

    unsigned word_levels;        /* levels of a word of a code */
    unsigned capacity, n_leaves; /* capacity: of the list of such a level of the first word */
    unsigned n_pending[TRIE_LEVELS_MAX];
    struct pending pending[PENDING + DEEP]; /* list_of() */
    uint32_t leaves[LEAVES];                /* first granules of the leaves to read */
    uint32_t after[LEAVES];                 /* next granules */
    const uint64_t *lines[LEAVES];
    uint8_t masks[LEAVES];
};

/* ------------------------------------------------------------------------ leaves */

static unsigned distance_to(struct trie_walk *w, size_t slot)
{
    const unsigned first = (unsigned)__builtin_popcountll(*trie_code(w->t, slot) ^ *w->query);
    const unsigned words = w->t->words;
    if (words == 1)
        return first;
    w->read_whole++;
    return first + code_distance(w->query + 1, trie_rest(w->t, slot), words - 1);
}

/* The first word of the slot's code is within the radius. */
static void found(struct trie_walk *w, size_t slot)
{
    const uint64_t id = w->t->ids[slot];
    if (!index_filter_allows(w->filter, id))
        return;
    const unsigned distance = distance_to(w, slot);
    if (distance > w->radius)
        return;
    if (w->nearest) {
        topk_push(w->nearest, (float)distance, id);
        if (topk_limit(w->nearest) < (float)w->radius)
            w->radius = (unsigned)topk_limit(w->nearest);
    } else if (w->rc == OK) {
        w->rc = code_answer(w->answers, id, distance);
    }
}

/* Reports the places marked in masks[]. Two passes, because ids are prefetched. */
static void report(struct trie_walk *w, const uint32_t *granules, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (w->masks[i])
            __builtin_prefetch(w->t->ids + (size_t)granules[i] * TRIE_SLOTS);
    for (unsigned i = 0; i < n; i++)
        for (unsigned m = w->masks[i]; m; m &= m - 1)
            found(w, (size_t)granules[i] * TRIE_SLOTS + (unsigned)__builtin_ctz(m));
}

/* Compares n granules with the query; the next ones of their leaves go to `next`. Returns their
 * number. There is no hard-to-predict branch per granule: only the first granule of a leaf may have
 * empty places. */
static unsigned read_granules(struct trie_walk *w, const uint32_t *granules, unsigned n, bool first,
                              uint32_t *next)
{
    const struct trie *t = w->t;
    unsigned left = 0, any = 0, read = 0;
    for (unsigned i = 0; i < n; i++)
        w->lines[i] = (const uint64_t *)(const void *)(t->granules + granules[i]);
    t->kernels->hamming_b64_lines(*w->query, w->lines, n, w->radius, w->masks);
    for (unsigned i = 0; i < n; i++) {
        const struct trie_granule *g = t->granules + granules[i];
        const unsigned filled = first ? trie_filled(t, granules[i]) : TRIE_SLOTS;
        const unsigned mask = w->masks[i] >> 1 & ((1U << filled) - 1); /* word 0 is not a code */
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

/* Reads one granule of each leaf in the list, until all leaves are finished. */
static void read_leaves(struct trie_walk *w)
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

static struct pending *list_of(struct trie_walk *w, unsigned level)
{
    return w->pending + (level < w->word_levels ? level * w->capacity
                                                : PENDING + (level - w->word_levels) * w->t->fan);
}

static unsigned space_of(const struct trie_walk *w, unsigned level)
{
    return level < w->word_levels ? w->capacity : w->t->fan;
}

/* Adds a node's children that must be visited to the lists, which have space. */
static void expand(struct trie_walk *w, struct pending p, unsigned level, struct pending *below)
{
    const struct trie *t = w->t;
    const struct trie_reach *r = &t->reach;
    const unsigned left = w->last - p.spent;
    const unsigned furthest = left < r->furthest ? left : r->furthest;
    const uint32_t chunk = trie_chunk(t, w->query, level);
    const uint32_t *children = trie_children(t, p.node);
    const uint64_t further = level + 1 < t->levels ? w->query[t->bits * (level + 1) / 64] : 0;
    unsigned nearest = 0;
    w->beyond |= furthest < r->furthest;
    if (trie_node(t, p.node)->inner == 0 && w->first > p.spent)
        nearest = w->first - p.spent; /* its children are all leaves, and nearer ones were
                                         read before */
    for (unsigned d = nearest; d <= furthest; d++) {
        for (unsigned i = r->start[d]; i < r->start[d + 1]; i++) {
            const uint32_t child = children[chunk ^ r->order[i]];
            if (child == TRIE_NONE)
                continue;
            if (trie_is_node(child)) {
                __builtin_prefetch(trie_children(t, child) + trie_chunk_in(t, further, level + 1));
                below[w->n_pending[level + 1]++] = (struct pending){ child, p.spent + d };
            } else if (p.spent + d >= w->first) {
                __builtin_prefetch(t->granules + child);
                w->leaves[w->n_leaves++] = child;
            }
        }
    }
}

/* Processes a level's list and everything below it. */
static void visit(struct trie_walk *w, unsigned level)
{
    const struct pending *list = list_of(w, level);
    struct pending *below = list_of(w, level + 1);
    const unsigned space = space_of(w, level + 1);
    const uint32_t fan = w->t->fan;
    for (unsigned i = 0; i < w->n_pending[level]; i++) {
        if (level + 1 < w->t->levels && w->n_pending[level + 1] + fan > space)
            visit(w, level + 1);
        if (w->n_leaves + fan > (fan > LEAVES_IN ? LEAVES : LEAVES_IN))
            read_leaves(w);
        expand(w, list[i], level, below);
    }
    w->n_pending[level] = 0;
    if (level + 1 < w->t->levels && w->n_pending[level + 1] > 0)
        visit(w, level + 1);
}

static void walk(struct trie_walk *w)
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

/* The lists are large, so only the other members and their lengths are set. */
static void walk_begin(struct trie_walk *w, const struct hftrie *h, const struct code_group *group)
{
    w->t = trie_of(h);
    w->word_levels = 64 / w->t->bits;
    w->capacity = PENDING / w->word_levels;
    w->filter = group->filter;
    w->read = w->read_whole = 0;
    w->beyond = false;
    w->rc = OK;
    w->n_leaves = 0;
    for (unsigned l = 0; l < w->t->levels; l++)
        w->n_pending[l] = 0;
    w->answers = NULL;
    w->nearest = NULL;
}

static void walk_end(const struct trie_walk *w, struct code_group *group)
{
    group->work.distances += (double)w->read;
    group->work.scanned += (double)w->read;
    group->work.bytes_read +=
        (double)((w->read + w->read_whole * (w->t->words - 1)) * sizeof(uint64_t));
}

/* ------------------------------------------------------------------------ searches */

/* Visits leaves by the number of bits in which their chunks differ, a lower bound for their
 * entries. When the k-th nearest is as near, no other leaf has nearer ones. */
static void walk_nearest(struct trie_walk *w)
{
    w->beyond = true;
    for (unsigned bits = 0; w->beyond && bits <= w->radius; bits++) {
        w->first = w->last = bits;
        w->beyond = false;
        walk(w);
    }
}

int hftrie_trie_answer(const struct index *index, struct code_group *group)
{
    const struct hftrie *h = (const struct hftrie *)index;
    struct trie_walk w;
    if (!group->nearest && hftrie_trie_crowded(trie_of(h), group))
        return hftrie_trie_range_many(trie_of(h), group);
    walk_begin(&w, h, group);
    for (size_t q = 0; w.rc == OK && q < group->n; q++) {
        w.query = code_query(group, q);
        w.radius = group->radius;
        if (group->nearest) {
            w.nearest = &group->nearest[q];
            walk_nearest(&w);
        } else {
            w.answers = &group->answers[q];
            w.first = 0;
            w.last = group->radius;
            walk(&w);
        }
    }
    walk_end(&w, group);
    return w.rc;
}
