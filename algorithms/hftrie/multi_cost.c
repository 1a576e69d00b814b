/* multi_cost.c - thresholds by what their buckets hold, and when the scan is cheaper.
 *
 * From -1 each the thresholds are raised r + 1 times in all, each time that of the table whose next
 * ring of buckets costs least (as GPH's allocation does by estimates; ours counts what the buckets
 * have, which is their headers alone). A ring is counted only where even empty buckets would not
 * be dearer than the cheapest known. Counting ends where it would be more than a small share of the
 * scan, and with it the plan.
 */
#include "multi.h"

#define COUNTING_SHARE .06
#define SURE           .95
#define EVEN           .9 /* what counting would tell is known */
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
    double mean;               /* entries of a bucket */
    double walk_lines;         /* of table 0, where a candidate of the others is looked for */
    double counting_ns;        /* may still be spent on counting */
    double next[MULTI_TABLES]; /* cost of a table's next ring; below 0: not counted */
};

static uint32_t ring_size(const struct multi *m, unsigned d)
{
    return m->shape.ring[d + 1] - m->shape.ring[d];
}

/* Of `taken` buckets with n entries at distance d. */
static double buckets_cost(const struct choosing *c, unsigned j, unsigned d, double taken, double n)
{
    const struct hftrie_knobs *k = c->k;
    const unsigned left = c->radius - d < 32 ? c->radius - d : 32;
    const double lines = n / MULTI_ENTRIES + taken / 2; /* the first is half full */
    const double each = k->candidate_ns + (j > 0 ? k->lookup_ns + c->walk_lines * k->line_ns : 0);
    return taken * k->lookup_ns + lines * k->line_ns + n * (double)c->m->within[j][left] * each;
}

/* Of ring d around the query in table j. */
static double ring_cost(const struct choosing *c, unsigned j, unsigned d)
{
    const struct multi *m = c->m;
    const struct multi_bucket *buckets = m->table[j].buckets;
    const uint32_t key = multi_key(m, j, c->p);
    uint32_t taken = 0, n = 0; /* there are less than 2^32 codes */
    for (uint32_t i = m->shape.ring[d]; i < m->shape.ring[d + 1]; i++) {
        const uint32_t entries = buckets[key ^ m->shape.masks[i]].n;
        taken += entries > 0;
        n += entries;
    }
    return buckets_cost(c, j, d, taken, n);
}

/* About the least that a ring can be expected to take, without a look at it: on even data its cost,
   on uneven a share. */
static double least_cost(const struct choosing *c, unsigned j, unsigned d)
{
    const double ring = ring_size(c->m, d), mean = c->mean < 1 ? 0 : c->mean;
    const double share = SURE * (double)c->m->evenness;
    return ring * c->k->header_ns + share * buckets_cost(c, j, d, mean > 0 ? ring : 0, ring * mean);
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
        if (c->next[j] >= 0 || (best < MULTI_TABLES && c->next[best] <= least_cost(c, j, d)))
            continue;
        const double counting = (double)ring_size(m, d) * c->k->header_ns;
        if (m->evenness >= EVEN) {
            c->next[j] = least_cost(c, j, d);
        } else {
            c->counting_ns -= counting;
            if (c->counting_ns < 0)
                return MULTI_TABLES;
            c->next[j] = counting + ring_cost(c, j, d);
        }
        if (best == MULTI_TABLES || c->next[j] < c->next[best])
            best = j;
    }
    return best;
}

static struct choosing choosing_for(const struct multi *m, const struct hftrie_knobs *k,
                                    unsigned radius, double limit_ns)
{
    return (struct choosing){ .m = m,
                              .k = k,
                              .radius = radius,
                              .mean = (double)m->n_codes / (double)((size_t)1 << m->shape.bits),
                              .walk_lines = m->walk_lines,
                              .counting_ns = limit_ns * COUNTING_SHARE,
                              .next = { -1, -1, -1, -1 } };
}

/* Rings raised in turn would be cheap enough, and those of all tables that far are counted soon
   enough. */
bool multi_promising(const struct multi *m, const struct hftrie_knobs *k, unsigned radius,
                     double limit_ns)
{
    if (limit_ns <= k->query_ns)
        return false;
    const struct choosing c = choosing_for(m, k, radius, limit_ns);
    double ns = k->query_ns, counting = 0;
    for (unsigned i = 0; i <= radius && ns <= limit_ns && i / MULTI_TABLES <= m->shape.bits; i++) {
        ns += least_cost(&c, i % MULTI_TABLES, i / MULTI_TABLES);
        if (i % MULTI_TABLES == 0)
            counting += MULTI_TABLES * (double)ring_size(m, i / MULTI_TABLES) * k->header_ns;
    }
    return ns <= limit_ns && (m->evenness >= EVEN || counting <= c.counting_ns);
}

bool multi_plan(const struct multi *m, const struct hftrie_knobs *k, uint64_t p, unsigned radius,
                double limit_ns, struct multi_plan *plan)
{
    struct choosing c = choosing_for(m, k, radius, limit_ns);
    const double own = (double)m->table[0].buckets[multi_key(m, 0, p)].n / MULTI_ENTRIES + 1;
    c.p = p;
    c.walk_lines = own > c.walk_lines ? own : c.walk_lines;
    *plan = (struct multi_plan){ .threshold = { -1, -1, -1, -1 }, .ns = k->query_ns };
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
