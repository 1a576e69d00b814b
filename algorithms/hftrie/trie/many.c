/* many.c - range search of 64-bit codes for several queries that visit mostly the same leaves: each
 * node and each line of codes is fetched once for all of them.
 *
 * As in search.c, nodes and leaves are collected in lists. With a node, the list has for each query
 * the number of bits in which its chunks differ so far, one byte per query, so that a child is
 * tested for all queries in a few instructions; with a leaf, it has the queries that visit it. */
#include "algorithms/hftrie/trie/trie.h"
#include "kernels/kernels.h"

#define PENDING    1024U /* nodes of all levels */
#define FAN_MAX    16U
#define LEAVES     144U
#define LEAVES_IN  (LEAVES - FAN_MAX)
#define LEVELS_PUT 24U /* on deeper levels, steps are computed each time */
/* Added for a query that must not visit a child: exceeds 64 together with any distance. */
#define UNWANTED 100

struct pending {
    uint32_t node;
    uint8_t spent[CODE_GROUP];
};

/* The bits in which a level's chunks differ, by the child's chunk. */
struct steps {
    uint8_t bits[FAN_MAX][CODE_GROUP];
};

struct crowd {
    const struct trie *t;
    struct code_group *group;
    unsigned radius, capacity, n_steps;
    int rc;
    size_t read;

    struct steps steps[LEVELS_PUT];
    unsigned n_pending[TRIE_LEVELS_MAX];
    struct pending pending[PENDING];

    unsigned n_leaves;
    uint32_t leaves[LEAVES]; /* next granules; TRIE_NONE: the leaf is finished */
    uint8_t filled[LEAVES];
    bool equal[LEAVES], hit[LEAVES]; /* hit: a query has found something in it */
    unsigned n_wanted[CODE_GROUP];
    uint8_t wanted[CODE_GROUP][LEAVES]; /* per query, positions in leaves[] */
    const uint64_t *lines[LEAVES];
    uint8_t masks[LEAVES];
};

/* ------------------------------------------------------------------------ leaves */

static void answer(struct crowd *c, size_t q, uint32_t granule, unsigned mask)
{
    const struct trie *t = c->t;
    for (; mask && c->rc == OK; mask &= mask - 1) {
        const unsigned place = (unsigned)__builtin_ctz(mask);
        const uint64_t id = t->ids[(size_t)granule * TRIE_SLOTS + place];
        if (!index_filter_allows(c->group->filter, id))
            continue;
        const uint64_t code = t->granules[granule].codes[place];
        c->rc = code_answer(&c->group->answers[q], id,
                            (unsigned)__builtin_popcountll(code ^ c->group->queries[q]));
    }
}

/* Reads the next granules of the leaves that a query visits. */
static void read_wanted(struct crowd *c, size_t q)
{
    const struct trie *t = c->t;
    const unsigned n = c->n_wanted[q];
    uint8_t *wanted = c->wanted[q];
    unsigned left = 0;
    for (unsigned i = 0; i < n; i++)
        c->lines[i] = (const uint64_t *)(const void *)(t->granules + c->leaves[wanted[i]]);
    t->kernels->hamming_b64_lines(c->group->queries[q], c->lines, n, c->radius, c->masks);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t filled = c->filled[wanted[i]];
        const unsigned mask = c->masks[i] >> 1 & ((1U << filled) - 1); /* word 0 is not a code */
        c->read += filled;
        if (mask) {
            answer(c, q, c->leaves[wanted[i]], mask);
            c->hit[wanted[i]] = true;
        }
        wanted[left] = wanted[i];
        left += mask || !c->equal[wanted[i]];
    }
    c->n_wanted[q] = left;
}

/* Moves each leaf to its next granule; returns how many leaves are finished. */
static unsigned advance(struct crowd *c)
{
    unsigned ended = 0;
    for (unsigned i = 0; i < c->n_leaves; i++) {
        if (c->leaves[i] == TRIE_NONE)
            continue;
        const bool read = c->equal[i] && !c->hit[i];
        c->leaves[i] = read ? TRIE_NONE : c->t->granules[c->leaves[i]].next;
        if (c->leaves[i] == TRIE_NONE)
            ended++;
        else
            __builtin_prefetch(c->t->granules + c->leaves[i]);
    }
    return ended;
}

static void drop_ended(struct crowd *c)
{
    for (size_t q = 0; q < c->group->n; q++) {
        unsigned left = 0;
        for (unsigned i = 0; i < c->n_wanted[q]; i++) {
            c->wanted[q][left] = c->wanted[q][i];
            left += c->leaves[c->wanted[q][i]] != TRIE_NONE;
        }
        c->n_wanted[q] = left;
    }
}

static void read_leaves(struct crowd *c)
{
    for (unsigned i = 0; i < c->n_leaves; i++)
        c->equal[i] = trie_equal(c->t, c->leaves[i]);
    for (unsigned left = c->n_leaves; left > 0;) {
        for (unsigned i = 0; i < c->n_leaves; i++)
            if (c->leaves[i] != TRIE_NONE)
                c->filled[i] = (uint8_t)trie_filled(c->t, c->leaves[i]);
        for (size_t q = 0; q < c->group->n; q++)
            if (c->n_wanted[q] > 0)
                read_wanted(c, q);
        const unsigned ended = advance(c);
        if (ended > 0)
            drop_ended(c);
        left -= ended;
    }
    c->n_leaves = 0;
}

static void want(struct crowd *c, uint32_t leaf, const uint8_t *spent)
{
    __builtin_prefetch(c->t->granules + leaf);
    for (size_t q = 0; q < c->group->n; q++) {
        c->wanted[q][c->n_wanted[q]] = (uint8_t)c->n_leaves;
        c->n_wanted[q] += spent[q] <= c->radius;
    }
    c->hit[c->n_leaves] = false;
    c->leaves[c->n_leaves++] = leaf;
}

/* ------------------------------------------------------------------------ nodes */

static void make_steps(const struct crowd *c, unsigned level, struct steps *steps)
{
    const struct trie *t = c->t;
    for (uint32_t x = 0; x < t->fan; x++)
        for (size_t q = 0; q < CODE_GROUP; q++) {
            const uint32_t chunk =
                q < c->group->n ? trie_chunk(t, &c->group->queries[q], level) : 0;
            const unsigned bits = (unsigned)__builtin_popcount(chunk ^ x);
            const bool follows = q < c->group->n && bits <= t->reach.furthest;
            steps->bits[x][q] = (uint8_t)(follows ? bits : UNWANTED);
        }
}

static void expand(struct crowd *c, const struct pending *p, unsigned level,
                   const struct steps *steps)
{
    const struct trie *t = c->t;
    const uint32_t *children = trie_children(t, p->node);
    for (uint32_t x = 0; x < t->fan; x++) {
        if (children[x] == TRIE_NONE)
            continue;
        uint8_t spent[CODE_GROUP], least = UINT8_MAX;
        for (size_t q = 0; q < CODE_GROUP; q++) {
            const uint8_t sum = (uint8_t)(p->spent[q] + steps->bits[x][q]);
            spent[q] = sum < UNWANTED ? sum : UNWANTED;
            least = spent[q] < least ? spent[q] : least;
        }
        if (least > c->radius)
            continue;
        if (!trie_is_node(children[x])) {
            want(c, children[x], spent);
            continue;
        }
        __builtin_prefetch(trie_children(t, children[x]));
        struct pending *next = &c->pending[(level + 1) * c->capacity + c->n_pending[level + 1]++];
        next->node = children[x];
        for (size_t q = 0; q < CODE_GROUP; q++)
            next->spent[q] = spent[q];
    }
}

/* Processes a level's list and everything below it. */
static void visit(struct crowd *c, unsigned level)
{
    struct steps deep;
    const struct steps *steps = level < LEVELS_PUT ? &c->steps[level] : &deep;
    if (level >= LEVELS_PUT)
        make_steps(c, level, &deep);
    else if (c->n_steps == level)
        make_steps(c, c->n_steps++, &c->steps[level]);
    for (unsigned i = 0; i < c->n_pending[level]; i++) {
        if (level + 1 < c->t->levels && c->n_pending[level + 1] + c->t->fan > c->capacity)
            visit(c, level + 1);
        if (c->n_leaves > LEAVES_IN)
            read_leaves(c);
        expand(c, &c->pending[level * c->capacity + i], level, steps);
    }
    c->n_pending[level] = 0;
    if (level + 1 < c->t->levels && c->n_pending[level + 1] > 0)
        visit(c, level + 1);
}

/* ------------------------------------------------------------------------ */

/* The share of leaves that a query visits if codes are uniform and all leaves are equally deep. */
static double share_visited(const struct trie *t, unsigned radius)
{
    double leaves = 1, share = 0, chance = 1;
    int bits = 0;
    for (double nodes = 1; nodes <= (double)t->n_nodes; nodes = nodes * t->fan + 1)
        bits += (int)t->bits;
    for (int i = 0; i < bits; i++)
        leaves *= 2;
    for (int d = 0; d <= (int)radius && d <= bits; d++) {
        share += chance / leaves;
        chance *= (double)(bits - d) / (d + 1);
    }
    return share;
}

bool hftrie_trie_crowded(const struct trie *t, const struct code_group *group)
{
    const bool each_its_own = t->reach.furthest < t->bits; /* in fast search queries share
                                                              few leaves */
    return t->words == 1 && trie_is_node(t->root) && t->fan <= FAN_MAX && !each_its_own &&
           share_visited(t, group->radius) * (double)group->n >= 2;
}

int hftrie_trie_range_many(const struct trie *t, struct code_group *group)
{
    struct crowd c;
    c.t = t;
    c.group = group;
    c.radius = group->radius;
    c.capacity = PENDING / t->levels; /* of 64 bits, at most 64 levels */
    c.rc = OK;
    c.read = 0;
    c.n_steps = c.n_leaves = 0;
    for (size_t q = 0; q < CODE_GROUP; q++)
        c.n_wanted[q] = 0;
    for (unsigned l = 0; l < t->levels; l++)
        c.n_pending[l] = 0;
    c.pending[0].node = t->root;
    for (size_t q = 0; q < CODE_GROUP; q++)
        c.pending[0].spent[q] = 0;
    c.n_pending[0] = 1;
    visit(&c, 0);
    read_leaves(&c);
    group->work.distances += (double)c.read;
    group->work.scanned += (double)c.read;
    group->work.bytes_read += (double)(c.read * sizeof *c.lines[0]);
    return c.rc;
}
