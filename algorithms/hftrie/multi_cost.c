/* multi_cost.c - thresholds by what their buckets hold, and when the scan is cheaper.
 *
 * From -1 each the thresholds are raised r + 1 times in all, each time that of the table whose next
 * ring of buckets costs least (as GPH's allocation does by estimates; ours counts what the buckets
 * have, which is their headers alone). A ring is counted only where even empty buckets would not
 * be dearer than the cheapest known. Counting ends where it would be more than a small share of the
 * scan, and with it the plan.
 */
#include "multi.h"

#define COUNTING_SHARE .04
#define CACHE_BYTES    ((size_t)12 << 20)

double multi_scan_ns(const struct multi *m, const struct hftrie_knobs *k, size_t n)
{
    const size_t codes = m->store.n;
    const double read = codes * sizeof(uint64_t) <= CACHE_BYTES ? k->cached_ns : k->read_ns;
    return (double)codes * (k->compare_ns + read / (double)n);
}

struct choosing {
    const struct multi *m;
    const struct hftrie_knobs *k;
    uint64_t p;
    unsigned radius;
    double counting_ns;        /* may still be spent on counting */
    double next[MULTI_TABLES]; /* cost of a table's next ring; below 0: not counted */
};

static uint32_t ring_size(const struct multi *m, unsigned d)
{
    return m->shape.ring[d + 1] - m->shape.ring[d];
}

/* Of ring d around the query in table j. */
static double ring_cost(const struct choosing *c, unsigned j, unsigned d)
{
    const struct multi *m = c->m;
    const struct multi_bucket *buckets = m->table[j].buckets;
    const uint32_t key = multi_key(m, j, c->p);
    uint32_t taken = 0;
    uint64_t n = 0, lines = 0;
    for (uint32_t i = m->shape.ring[d]; i < m->shape.ring[d + 1]; i++) {
        const uint32_t entries = buckets[key ^ m->shape.masks[i]].n;
        taken += entries > 0;
        n += entries;
        lines += (entries + MULTI_ENTRIES - 1) / MULTI_ENTRIES;
    }
    const unsigned left = c->radius - d < 32 ? c->radius - d : 32;
    const double candidates = (double)n * (double)m->within[j][left];
    const double each =
        c->k->candidate_ns + (j > 0 ? c->k->lookup_ns + m->walk_lines * c->k->line_ns : 0);
    return (double)taken * c->k->lookup_ns + (double)lines * c->k->line_ns + candidates * each;
}

/* The table whose next ring is cheapest. MULTI_TABLES: counting has become too dear. */
static unsigned cheapest(struct choosing *c, const int8_t *threshold)
{
    const struct multi *m = c->m;
    unsigned best = MULTI_TABLES;
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        if (c->next[j] >= 0 && (best == MULTI_TABLES || c->next[j] < c->next[best]))
            best = j;
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        const unsigned d = (unsigned)(threshold[j] + 1);
        const double least = (double)ring_size(m, d) * c->k->header_ns;
        if (c->next[j] >= 0 || (best < MULTI_TABLES && c->next[best] <= least))
            continue;
        c->counting_ns -= least;
        if (c->counting_ns < 0)
            return MULTI_TABLES;
        c->next[j] = least + ring_cost(c, j, d);
        if (best == MULTI_TABLES || c->next[j] < c->next[best])
            best = j;
    }
    return best;
}

/* What even empty buckets take. */
static double at_least(const struct multi *m, const struct hftrie_knobs *k, unsigned radius)
{
    double ns = k->query_ns;
    for (unsigned i = 0; i <= radius && i / MULTI_TABLES <= m->shape.bits; i++)
        ns += (double)ring_size(m, i / MULTI_TABLES) * k->header_ns;
    return ns;
}

bool multi_plan(const struct multi *m, const struct hftrie_knobs *k, uint64_t p, unsigned radius,
                double limit_ns, struct multi_plan *plan)
{
    struct choosing c = { .m = m,
                          .k = k,
                          .p = p,
                          .radius = radius,
                          .counting_ns = limit_ns * COUNTING_SHARE,
                          .next = { -1, -1, -1, -1 } };
    *plan = (struct multi_plan){ .threshold = { -1, -1, -1, -1 }, .ns = k->query_ns };
    if (at_least(m, k, radius) > limit_ns)
        return false;
    for (unsigned i = 0; i <= radius; i++) {
        const unsigned j = cheapest(&c, plan->threshold);
        if (j == MULTI_TABLES || (plan->ns += c.next[j]) > limit_ns)
            return false;
        c.next[j] = -1;
        /* All buckets of a table hold all codes. */
        if ((unsigned)++plan->threshold[j] == m->shape.bits)
            break;
    }
    return true;
}
