/* search.c - range and nearest: decides which queries of a group use the tables, and which are
 * answered together by a scan, or by the device. */
#include <math.h>
#include <string.h>

#include "algorithms/common/codes/code_scan.h"
#include "algorithms/hftrie/multi/multi.h"
#include "src/core/mem.h"

/* The tables are used if their expected cost is below this share of the scan's. */
#define MARGIN .8
/* Share of the scan's cost that may be spent on radii that prove too short. */
#define NEAREST_SHARE  .1
#define FIRST_RADIUS   3U
#define RADIUS_STEP    4U  /* raises each threshold by one */
#define SAMPLE_ROWS    64U /* by which the share of allowed rows is estimated */
#define FILTER_WORD_NS .25 /* reading 64 ids of a filter */
#define BY_ID_NS       40  /* finding an allowed id's code */

/* Whether so few ids are allowed that comparing each takes less than ns. */
static bool few_allowed(const struct multi *m, const struct id_filter *filter, double ns)
{
    if (!filter)
        return false;
    const double words = (double)filter->n_ids / 64;
    if (words * FILTER_WORD_NS * 4 > ns || words > (double)m->store.n / 16)
        return false;
    const size_t few = (size_t)(ns / BY_ID_NS);
    return index_filter_count(filter, few + 1) <= few;
}

static bool to_tables(const struct hftrie *h, const struct code_group *g, uint64_t p,
                      unsigned radius, double limit_ns, struct hftrie_multi_plan *plan)
{
    const struct multi *m = h->state;
    const struct hftrie_knobs *k = g->knobs;
    if (k->plan == HFTRIE_TABLES)
        return hftrie_multi_plan(m, p, radius, INFINITY, plan);
    return hftrie_multi_plan(m, p, radius, limit_ns, plan) && !few_allowed(m, g->filter, plan->ns);
}

static bool is_hopeless(const struct multi *m, const struct code_group *g, unsigned radius,
                        double limit_ns)
{
    const struct hftrie_knobs *k = g->knobs;
    return k->plan == HFTRIE_SCAN ||
           (k->plan == HFTRIE_AUTO && !hftrie_multi_promising(m, radius, limit_ns));
}

/* Queries of a group that are answered by one scan. */
struct scanned {
    uint64_t queries[CODE_GROUP];
    size_t of[CODE_GROUP], n;
};

static void scan_for(struct scanned *s, const struct code_group *g, size_t query)
{
    s->queries[s->n] = g->queries[query];
    s->of[s->n++] = query;
}

/* Leaves the scanned queries to the device, if there is one. */
static bool leave_to_device(const struct code_group *g, const struct scanned *s)
{
    for (size_t i = 0; g->later && i < s->n; i++)
        g->later[s->of[i]] = true;
    return g->later != NULL;
}

static int scan(const struct hftrie *h, struct code_group *g, const struct scanned *s)
{
    const struct multi *m = h->state;
    struct code_group some = *g;
    struct code_answers answers[CODE_GROUP];
    struct topk nearest[CODE_GROUP];
    if (leave_to_device(g, s))
        return OK;
    some.queries = s->queries;
    some.n = s->n;
    some.answers = answers;
    some.nearest = g->nearest ? nearest : NULL;
    for (size_t i = 0; i < s->n; i++)
        if (g->nearest)
            nearest[i] = g->nearest[s->of[i]];
        else
            answers[i] = g->answers[s->of[i]];
    const int rc = code_scan(&m->store, h->base.env.kernels, &some);
    for (size_t i = 0; i < s->n; i++)
        if (g->nearest)
            g->nearest[s->of[i]] = nearest[i];
        else
            g->answers[s->of[i]] = answers[i];
    g->work = some.work;
    return rc;
}

static struct multi_query query_of(const struct multi *m, const struct code_group *g, size_t i)
{
    return (struct multi_query){ .query = g->queries[i],
                                 .p = multi_permute(m, g->queries[i]),
                                 .answers = &g->answers[i] };
}

static int range(const struct hftrie *h, struct code_group *g, struct scanned *scanned)
{
    struct multi *m = h->state;
    int rc = OK;
    const double limit_ns = MARGIN * hftrie_multi_scan_ns(m, g);
    const bool hopeless = is_hopeless(m, g, g->radius, limit_ns);
    for (size_t i = 0; rc == OK && i < g->n; i++) {
        struct multi_query q = query_of(m, g, i);
        if (!hopeless && to_tables(h, g, q.p, g->radius, limit_ns, &q.plan))
            rc = hftrie_multi_walk(h, &q, g->radius, g->filter, &g->work);
        else
            scan_for(scanned, g, i);
    }
    return rc;
}

/* ------------------------------------------------------------------------ k nearest */

/* A search for the k nearest of a query. */
struct nearest_search {
    const struct hftrie *h;
    struct code_group *group;
    struct multi_query query;
    size_t k;
    double scan_ns, wanted; /* wanted: k, by how many rows the filter excludes more */
    unsigned last;          /* radius */
};

static bool is_complete(const struct nearest_search *s)
{
    return s->query.answers->n >= s->k || s->last == CODE_BITS;
}

/* Searches one radius, if that takes at most *limit_ns, from which it takes the time. */
static int search_radius(struct nearest_search *s, unsigned radius, double *limit_ns,
                         bool *searched)
{
    const struct code_group *g = s->group;
    *searched = !is_hopeless(s->h->state, g, radius, *limit_ns) &&
                to_tables(s->h, g, s->query.p, radius, *limit_ns, &s->query.plan);
    if (!*searched)
        return OK;
    *limit_ns -= s->query.plan.ns;
    s->last = radius;
    s->query.answers->n = 0;
    return hftrie_multi_walk(s->h, &s->query, radius, g->filter, &s->group->work);
}

/* Radii of 3, 7, 11, ... while they cost little. The share of the k that one has added is taken for
   the chance that the next one finds all. */
static int try_short_radii(struct nearest_search *s)
{
    double limit_ns = NEAREST_SHARE * s->scan_ns;
    size_t before = 0;
    bool searched = true;
    int rc = OK;
    for (unsigned r = FIRST_RADIUS; rc == OK && searched && !is_complete(s); r += RADIUS_STEP) {
        const size_t now = s->query.answers->n;
        const double chance = (double)(now - before) / (double)s->k;
        limit_ns = fmax(limit_ns, MARGIN * chance * s->scan_ns);
        before = now;
        rc = search_radius(s, r < CODE_BITS ? r : CODE_BITS, &limit_ns, &searched);
    }
    return rc;
}

/* The radius, above the last one, that is expected to save most of the scan's time: its chance to
   find k, as many as sampled rows have within it, times that time, less its own. 0: none saves
   any. */
static unsigned likely_radius(const struct nearest_search *s, double *limit_ns)
{
    const struct multi *m = s->h->state;
    const unsigned tried = hftrie_multi_samples_with(m, s->wanted, s->last);
    unsigned best = 0;
    double most = 0;
    for (unsigned r = s->last + 1; r <= MULTI_NEAR; r++) {
        const unsigned with = hftrie_multi_samples_with(m, s->wanted, r) - tried;
        if (with == 0)
            continue;
        const double gain = MARGIN * with / (MULTI_SAMPLES - tried + 1) * s->scan_ns;
        const double ns = hftrie_multi_expected_ns(m, r);
        if (gain - ns > most) {
            most = gain - ns;
            best = r;
            *limit_ns = gain;
        }
    }
    return best;
}

static int try_likely_radii(struct nearest_search *s)
{
    int rc = OK;
    for (bool searched = true; rc == OK && searched && !is_complete(s);) {
        double limit_ns = 0;
        const unsigned radius = likely_radius(s, &limit_ns);
        if (radius == 0)
            return OK;
        rc = search_radius(s, radius, &limit_ns, &searched);
    }
    return rc;
}

/* How many nearest rows are expected to contain k that the filter allows. */
static double rows_wanted(const struct multi *m, const struct id_filter *filter, size_t k)
{
    size_t allowed = 0;
    for (size_t i = 0; filter && i < SAMPLE_ROWS; i++)
        allowed += index_filter_allows(filter, m->store.ids[i * m->store.n / SAMPLE_ROWS]);
    return filter ? (double)k * SAMPLE_ROWS / ((double)allowed + 1) : (double)k;
}

static void offer(struct topk *to, const struct code_answers *found)
{
    for (size_t i = 0; i < found->n; i++)
        topk_push(to, (float)found->distances[i], found->ids[i]);
}

static int nearest(const struct hftrie *h, struct code_group *g, struct scanned *scanned)
{
    const struct multi *m = h->state;
    const struct hftrie_knobs *k = g->knobs;
    int rc = OK;
    const double scan_ns = hftrie_multi_scan_ns(m, g),
                 wanted = rows_wanted(m, g->filter, g->nearest->k);
    for (size_t i = 0; rc == OK && i < g->n; i++) {
        struct nearest_search s = { .h = h,
                                    .group = g,
                                    .query = query_of(m, g, i),
                                    .k = g->nearest[i].k,
                                    .scan_ns = scan_ns,
                                    .wanted = wanted };
        if (k->plan != HFTRIE_SCAN)
            rc = try_short_radii(&s);
        if (rc == OK && k->plan != HFTRIE_SCAN)
            rc = try_likely_radii(&s);
        if (is_complete(&s))
            offer(&g->nearest[i], s.query.answers);
        else
            scan_for(scanned, g, i);
    }
    return rc;
}

int hftrie_multi_answer(const struct index *index, struct code_group *g)
{
    const struct hftrie *h = (const struct hftrie *)index;
    struct multi *m = h->state;
    struct scanned scanned = { .n = 0 };
    if (m->store.n == 0)
        return OK;
    const int rc = g->nearest ? nearest(h, g, &scanned) : range(h, g, &scanned);
    atomic_fetch_add_explicit(&m->queries, g->n, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->scans, scanned.n, memory_order_relaxed);
    return rc == OK && scanned.n > 0 ? scan(h, g, &scanned) : rc;
}
