/* cost.c - choosing thresholds by the contents of buckets, and deciding when the scan is cheaper.
 *
 * All thresholds start at -1 and are raised r + 1 times in total, each time for the table whose
 * next ring of buckets costs least. (GPH allocates by estimates; here the entries of the buckets
 * are counted, which reads only their headers.) A ring is counted only if even with empty buckets
 * it would not cost more than the cheapest known one. If counting would exceed a small share of the
 * scan's cost, counting and the plan are given up. */
#include "algorithms/hftrie/multi/multi.h"

#define COUNTING_SHARE .06
#define SURE           .95
#define EVEN           .9 /* from this evenness on, counts are known without counting */
#define CACHE_BYTES    ((size_t)12 << 20)

const struct hftrie_multi_costs hftrie_multi_costs = {
    .query = 250,
    .header = 2.5,
    .lookup = 8,
    .line = 6,
    .candidate = 40,
    .compare = { [ISA_SCALAR] = 2, [ISA_AVX2] = .3, [ISA_AVX512] = .06 },
    .read = .1,
    .cached = .035,
    .device = .0008,
    .call = 50000
};

double hftrie_multi_scan_ns(const struct multi *m, const struct code_group *g)
{
    const struct hftrie_multi_costs *cost = m->costs;
    const size_t codes = m->store.n;
    if (g->later)
        return (double)codes * cost->device + (g->n < CODE_GROUP ? cost->call / (double)g->n : 0);
    const double read = codes * sizeof(uint64_t) <= CACHE_BYTES ? cost->cached : cost->read;
    return (double)codes * (cost->compare[m->kernels->isa] + read / (double)g->n);
}

struct choosing {
    const struct multi *m;
    uint64_t p;
    unsigned radius;
    double mean;               /* entries per bucket */
    double walk_lines;         /* lines of table 0 that are read to find a candidate of
                                  another table */
    double counting_ns;        /* time left for counting */
    double next[MULTI_TABLES]; /* cost of a table's next ring; below 0: not counted */
};

static uint32_t ring_size(const struct multi *m, unsigned d)
{
    return m->shape.ring[d + 1] - m->shape.ring[d];
}

/* The cost of `taken` buckets with n entries in all at distance d. */
static double buckets_cost(const struct choosing *c, unsigned j, unsigned d, double taken, double n)
{
    const struct hftrie_multi_costs *cost = c->m->costs;
    const unsigned most = multi_entry_bits(j), left = c->radius - d < most ? c->radius - d : most;
    const double lines = n / multi_entries(j) + taken / 2; /* the first line of a chain is half full
                                                           on average */
    const double each = cost->candidate + (j > 0 ? cost->lookup + c->walk_lines * cost->line : 0);
    return taken * cost->lookup + lines * cost->line + n * (double)c->m->within[j][left] * each;
}

/* The cost of ring d around the query in table j. */
static double ring_cost(const struct choosing *c, unsigned j, unsigned d)
{
    const struct multi *m = c->m;
    const struct multi_bucket *buckets = m->table[j].buckets;
    const uint32_t key = multi_key(m, j, c->p);
    uint32_t taken = 0, n = 0; /* there are fewer than 2^32 codes */
    for (uint32_t i = m->shape.ring[d]; i < m->shape.ring[d + 1]; i++) {
        const uint32_t entries = buckets[key ^ m->shape.masks[i]].n;
        taken += entries > 0;
        n += entries;
    }
    return buckets_cost(c, j, d, taken, n);
}

/* A low estimate of a ring's cost without counting: on even data the expected cost, on uneven data
   a share of it. */
static double least_cost(const struct choosing *c, unsigned j, unsigned d)
{
    const struct hftrie_multi_costs *cost = c->m->costs;
    const double ring = ring_size(c->m, d), mean = c->mean < 1 ? 0 : c->mean;
    const double share = SURE * (double)c->m->evenness;
    return ring * cost->header + share * buckets_cost(c, j, d, mean > 0 ? ring : 0, ring * mean);
}

/* The table whose next ring is cheapest. MULTI_TABLES: counting has become too expensive. */
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
        const double counting = (double)ring_size(m, d) * m->costs->header;
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

static struct choosing choosing_for(const struct multi *m, unsigned radius, double limit_ns)
{
    return (struct choosing){ .m = m,
                              .radius = radius,
                              .mean = (double)m->n_codes / (double)((size_t)1 << m->shape.bits),
                              .walk_lines = m->walk_lines,
                              .counting_ns = limit_ns * COUNTING_SHARE,
                              .next = { -1, -1, -1, -1 } };
}

double hftrie_multi_expected_ns(const struct multi *m, unsigned radius)
{
    const struct choosing c = choosing_for(m, radius, 0);
    double ns = m->costs->query;
    for (unsigned i = 0; i <= radius && i / MULTI_TABLES <= m->shape.bits; i++)
        ns += least_cost(&c, i % MULTI_TABLES, i / MULTI_TABLES);
    return ns;
}

/* Whether rings raised in turn would be cheap enough, and counting those rings in all tables
   fast enough. */
bool hftrie_multi_promising(const struct multi *m, unsigned radius, double limit_ns)
{
    if (limit_ns <= m->costs->query || hftrie_multi_expected_ns(m, radius) > limit_ns)
        return false;
    double counting = 0;
    for (unsigned d = 0; MULTI_TABLES * d <= radius && d <= m->shape.bits; d++)
        counting += MULTI_TABLES * (double)ring_size(m, d) * m->costs->header;
    return m->evenness >= EVEN || counting <= limit_ns * COUNTING_SHARE;
}

bool hftrie_multi_plan(const struct multi *m, uint64_t p, unsigned radius, double limit_ns,
                       struct hftrie_multi_plan *plan)
{
    struct choosing c = choosing_for(m, radius, limit_ns);
    const double own = (double)m->table[0].buckets[multi_key(m, 0, p)].n / multi_entries(0) + 1;
    c.p = p;
    c.walk_lines = own > c.walk_lines ? own : c.walk_lines;
    *plan = (struct hftrie_multi_plan){ .threshold = { -1, -1, -1, -1 }, .ns = m->costs->query };
    for (unsigned i = 0; i <= radius; i++) {
        const unsigned j = cheapest(&c, plan->threshold);
        if (j == MULTI_TABLES || (plan->ns += c.next[j]) > limit_ns)
            return false;
        c.next[j] = -1;
        /* All buckets of a table contain all codes. */
        if ((unsigned)++plan->threshold[j] == m->shape.bits)
            break;
    }
    return true;
}
