/* check.c - checks the invariants of trie.h, and counts statistics. */
#include <inttypes.h>

#include "algorithms/hftrie/trie/trie.h"

#define BROKEN(t, ...) fail((t)->error, ERR_INVARIANT, "hftrie: " __VA_ARGS__)

/* ------------------------------------------------------------------------ walking */

/* A position in the trie: the reference there, and the bits that lead to it, then zeros. */
struct trie_place {
    uint32_t ref;
    unsigned level;
    uint64_t *prefix; /* as many words as a code; of the walk, which changes it */
};

/* Calls each(to, place) for all nodes and leaves, a node before its children, in the order of the
 * codes. Stops at the first result that is not OK. */
static int for_each(const struct trie *t, struct trie_place p,
                    int (*each)(const struct trie *, struct trie_place, void *to), void *to)
{
    if (p.ref == TRIE_NONE)
        return OK;
    int rc = each(t, p, to);
    if (rc != OK || !trie_is_node(p.ref))
        return rc;
    uint64_t *word = p.prefix + t->bits * p.level / 64;
    const uint64_t outer = *word;
    for (uint32_t i = 0; rc == OK && i < t->fan; i++) {
        *word = outer | (uint64_t)i << (-(t->bits * (p.level + 1)) & 63);
        rc = for_each(t, (struct trie_place){ trie_children(t, p.ref)[i], p.level + 1, p.prefix },
                      each, to);
    }
    *word = outer;
    return rc;
}

/* `prefix`: zeros. */
static struct trie_place root_of(const struct trie *t, uint64_t prefix[INDEX_CODE_WORDS_MAX])
{
    return (struct trie_place){ t->root, 0, prefix };
}

/* ------------------------------------------------------------------------ checking */

struct census {
    size_t nodes, granules, codes;
};

static bool belongs(const struct trie *t, struct trie_place p, size_t slot)
{
    const unsigned bits = t->bits * p.level;
    for (unsigned w = 0; w < bits / 64; w++)
        if (trie_word(t, slot, w) != p.prefix[w])
            return false;
    return bits % 64 == 0 ||
           (trie_word(t, slot, bits / 64) ^ p.prefix[bits / 64]) >> (64 - bits % 64) == 0;
}

static bool equal(const struct trie *t, size_t a, size_t b)
{
    for (unsigned w = 0; w < t->words; w++)
        if (trie_word(t, a, w) != trie_word(t, b, w))
            return false;
    return true;
}

static int check_granule(const struct trie *t, struct trie_place p, uint32_t granule)
{
    const uint32_t filled = trie_filled(t, granule), n = trie_leaf_size(t, p.ref);
    for (uint32_t i = 0; i < filled; i++) {
        const uint32_t slot = granule * TRIE_SLOTS + i;
        uint32_t at = UINT32_MAX;
        if (!belongs(t, p, slot))
            return BROKEN(t, "code %016" PRIx64 " is in the leaf of %016" PRIx64 ", level %u",
                          *trie_code(t, slot), *p.prefix, p.level);
        if (n > t->capacity && !equal(t, slot, (size_t)p.ref * TRIE_SLOTS))
            return BROKEN(t, "a leaf holds %" PRIu32 " codes, which are not all equal", n);
        if (!slot_table_get(&t->slot_of, t->ids, t->ids[slot], &at) || at != slot)
            return BROKEN(t,
                          "slot %" PRIu32 " holds id %" PRIu64 ", which the table has at %" PRIu32,
                          slot, t->ids[slot], at);
    }
    return OK;
}

static int check_leaf(const struct trie *t, struct trie_place p, struct census *c)
{
    uint32_t before = TRIE_NONE;
    size_t n = 0;
    if (p.ref >= t->n_granules || !(t->granules[p.ref].before & TRIE_HEAD) ||
        trie_leaf_size(t, p.ref) == 0)
        return BROKEN(t, "granule %" PRIu32 " of %" PRIu32 " does not begin a leaf", p.ref,
                      t->n_granules);
    for (uint32_t g = p.ref; g != TRIE_NONE; before = g, g = t->granules[g].next) {
        if (g >= t->n_granules || (before != TRIE_NONE && t->granules[g].before != before))
            return BROKEN(t, "granule %" PRIu32 " does not know who is before it", g);
        const int rc = check_granule(t, p, g);
        if (rc != OK)
            return rc;
        n += trie_filled(t, g);
        c->granules++;
    }
    c->codes += n;
    if (n != trie_leaf_size(t, p.ref))
        return BROKEN(t, "a leaf of %" PRIu32 " codes holds %zu", trie_leaf_size(t, p.ref), n);
    return OK;
}

static int check_node(const struct trie *t, struct trie_place p, struct census *c)
{
    size_t codes = 0, children = 0, inner = 0;
    c->nodes++;
    if ((p.ref & ~TRIE_NODE) >= t->n_nodes || p.level >= t->levels)
        return BROKEN(t, "node %" PRIu32 " of %" PRIu32 " at level %u", p.ref & ~TRIE_NODE,
                      t->n_nodes, p.level);
    for (uint32_t i = 0; i < t->fan; i++) {
        const uint32_t child = trie_children(t, p.ref)[i];
        children += child != TRIE_NONE;
        inner += trie_is_node(child);
        if (child < t->n_granules)
            codes += trie_leaf_size(t, child);
    }
    const struct trie_node *is = trie_node(t, p.ref);
    if (is->codes != codes || is->children != children || is->inner != inner)
        return BROKEN(t,
                      "a node counts %" PRIu32 " codes, %u children, %u nodes; there are %zu, %zu, "
                      "%zu",
                      is->codes, is->children, is->inner, codes, children, inner);
    if (inner == 0 && (children < 2 || codes <= t->merge_at))
        return BROKEN(t, "a node of %zu leaves with %zu codes should be a leaf", children, codes);
    return OK;
}

static int check_place(const struct trie *t, struct trie_place p, void *census)
{
    return trie_is_node(p.ref) ? check_node(t, p, census) : check_leaf(t, p, census);
}

int hftrie_trie_check(const struct hftrie *h)
{
    const struct trie *t = trie_of(h);
    struct census c = { 0 };
    uint64_t prefix[INDEX_CODE_WORDS_MAX] = { 0 };
    if (t->n_granules > t->granules_capacity || t->n_granules > t->ids_capacity ||
        (t->words > 1 && t->n_granules > t->rest_capacity) || t->n_nodes > t->refs_capacity ||
        t->n_nodes > t->nodes_capacity)
        return BROKEN(t, "%" PRIu32 " granules and %" PRIu32 " nodes do not fit", t->n_granules,
                      t->n_nodes);
    const int rc = for_each(t, root_of(t, prefix), check_place, &c);
    if (rc != OK)
        return rc;
    if (c.codes != t->n || t->slot_of.n != t->n)
        return BROKEN(t, "%zu codes, but leaves hold %zu and the table %zu", t->n, c.codes,
                      t->slot_of.n);
    if (c.granules != t->n_granules || c.nodes != t->n_nodes || t->spare != TRIE_NONE)
        return BROKEN(t, "of %" PRIu32 " granules %zu are used, of %" PRIu32 " nodes %zu",
                      t->n_granules, c.granules, t->n_nodes, c.nodes);
    return OK;
}

/* ------------------------------------------------------------------------ statistics */

struct level_count {
    size_t nodes, leaves, codes, largest;
};

static int count_place(const struct trie *t, struct trie_place p, void *levels)
{
    struct level_count *l = (struct level_count *)levels + p.level;
    if (trie_is_node(p.ref)) {
        l->nodes++;
        return OK;
    }
    const size_t n = trie_leaf_size(t, p.ref);
    l->leaves++;
    l->codes += n;
    l->largest = n > l->largest ? n : l->largest;
    return OK;
}

static void report_levels(const struct level_count *levels, size_t depth, struct stat_sink *sink)
{
    for (size_t i = 0; i <= depth; i++) {
        const struct level_count *l = &levels[i];
        sink->cell(sink->to, "levels", i, "nodes", (double)l->nodes);
        sink->cell(sink->to, "levels", i, "leaves", (double)l->leaves);
        sink->cell(sink->to, "levels", i, "codes", (double)l->codes);
        sink->cell(sink->to, "levels", i, "codes_per_leaf",
                   l->leaves ? (double)l->codes / (double)l->leaves : 0);
        sink->cell(sink->to, "levels", i, "largest_leaf", (double)l->largest);
    }
}

void hftrie_trie_stats(const struct hftrie *h, struct stat_sink *sink)
{
    const struct trie *t = trie_of(h);
    struct level_count levels[TRIE_LEVELS_MAX + 1] = { 0 };
    uint64_t prefix[INDEX_CODE_WORDS_MAX] = { 0 };
    size_t depth = 0, leaves = 0;
    (void)for_each(t, root_of(t, prefix), count_place, levels);
    for (size_t i = 0; i <= t->levels; i++) {
        leaves += levels[i].leaves;
        depth = levels[i].leaves ? i : depth;
    }
    sink->value(sink->to, "rows", (double)t->n);
    sink->value(sink->to, "nodes", (double)t->n_nodes);
    sink->value(sink->to, "leaves", (double)leaves);
    sink->value(sink->to, "depth", (double)depth);
    sink->value(sink->to, "granules", (double)t->n_granules);
    sink->value(sink->to, "splits", (double)t->splits);
    sink->value(sink->to, "merges", (double)t->merges);
    report_levels(levels, depth, sink);
}
