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

static const struct hftrie *trie_of(const struct index *index)
{
    return (const struct hftrie *)index;
}

/* Whether so few ids are allowed that comparing each takes less than ns. */
static bool few_allowed(const struct multi *m, const struct id_filter *filter, double ns)
{
    if (!filter)
        return false;
    const double words = (double)filter->n_ids / 64;
    if (words * FILTER_WORD_NS * 4 > ns || words > (double)m->store.n / 16)
        return false;
    return code_filter_few(filter, (size_t)(ns / BY_ID_NS));
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

static int scan_range(const struct hftrie *h, struct code_group *g, const struct scanned *s,
                      unsigned radius, struct code_answers *answers)
{
    struct multi *m = h->state;
    struct code_group some = *g;
    struct code_answers of_some[CODE_GROUP];
    if (leave_to_device(g, s))
        return OK;
    some.queries = s->queries;
    some.n = s->n;
    for (size_t i = 0; i < s->n; i++)
        of_some[i] = answers[s->of[i]];
    const int rc = code_scan_range(&m->store, h->base.env.kernels, &some, radius, of_some);
    for (size_t i = 0; i < s->n; i++)
        answers[s->of[i]] = of_some[i];
    g->work = some.work;
    return rc;
}

static int scan_nearest(const struct hftrie *h, struct code_group *g, const struct scanned *s,
                        struct topk *nearest)
{
    struct multi *m = h->state;
    struct code_group some = *g;
    struct topk of_some[CODE_GROUP];
    if (leave_to_device(g, s))
        return OK;
    some.queries = s->queries;
    some.n = s->n;
    for (size_t i = 0; i < s->n; i++)
        of_some[i] = nearest[s->of[i]];
    const int rc = code_scan_nearest(&m->store, h->base.env.kernels, &some, of_some);
    for (size_t i = 0; i < s->n; i++)
        nearest[s->of[i]] = of_some[i];
    g->work = some.work;
    return rc;
}

static void count_queries(struct multi *m, size_t queries, size_t scans)
{
    atomic_fetch_add_explicit(&m->queries, queries, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->scans, scans, memory_order_relaxed);
}

int hftrie_multi_range(const struct index *index, struct code_group *g, unsigned radius,
                       struct code_answers *answers)
{
    const struct hftrie *h = trie_of(index);
    struct multi *m = h->state;
    struct multi_query queries[CODE_GROUP];
    struct scanned scanned = { .n = 0 };
    size_t n = 0;
    if (m->store.n == 0)
        return OK;
    const double limit_ns = MARGIN * hftrie_multi_scan_ns(m, g);
    const bool hopeless = is_hopeless(m, g, radius, limit_ns);
    for (size_t i = 0; i < g->n; i++) {
        struct multi_query *a = &queries[n];
        a->query = g->queries[i];
        a->p = multi_permute(m, a->query);
        a->answers = &answers[i];
        if (!hopeless && to_tables(h, g, a->p, radius, limit_ns, &a->plan))
            n++;
        else
            scan_for(&scanned, g, i);
    }
    count_queries(m, g->n, scanned.n);
    int rc = n ? hftrie_multi_walk(h, queries, n, radius, g->filter, &g->work) : OK;
    if (rc == OK && scanned.n > 0)
        rc = scan_range(h, g, &scanned, radius, answers);
    return rc;
}

/* Queries whose k nearest are not found yet. */
struct unfinished {
    size_t query[CODE_GROUP], n;
    double limit_ns[CODE_GROUP]; /* that the next radius may take */
};

/* A search for the k nearest of a group. */
struct nearest_search {
    const struct hftrie *h;
    struct code_group *group;
    struct topk *nearest;
    struct code_answers *found; /* the group's */
    double scan_ns, wanted;     /* wanted: k, by how many rows the filter excludes more */
    unsigned last;              /* radius */
};

/* Offers the answers of the queries that have k, or all codes, and keeps the others. */
static void finish_queries(struct nearest_search *s, struct unfinished *u)
{
    size_t left = 0;
    for (size_t i = 0; i < u->n; i++) {
        const struct code_answers *a = &s->found[u->query[i]];
        struct topk *to = &s->nearest[u->query[i]];
        if (a->n < to->k && s->last < CODE_BITS) {
            u->query[left] = u->query[i];
            u->limit_ns[left++] = u->limit_ns[i];
            continue;
        }
        for (size_t j = 0; j < a->n; j++)
            topk_push(to, (float)a->distances[j], a->ids[j]);
    }
    u->n = left;
}

/* Searches one radius for all unfinished queries; those for which it takes longer than they may go
   to `dropped`. Takes the time from what the others may spend. */
static int search_radius(struct nearest_search *s, unsigned radius, struct unfinished *u,
                         struct unfinished *dropped)
{
    struct multi_query queries[CODE_GROUP];
    struct code_group *g = s->group;
    size_t left = 0;
    for (size_t i = 0; i < u->n; i++) {
        const size_t q = u->query[i];
        struct multi_query *a = &queries[left];
        a->query = g->queries[q];
        a->p = multi_permute(s->h->state, a->query);
        a->answers = &s->found[q];
        if (is_hopeless(s->h->state, g, radius, u->limit_ns[i]) ||
            !to_tables(s->h, g, a->p, radius, u->limit_ns[i], &a->plan)) {
            dropped->query[dropped->n++] = q;
            continue;
        }
        s->found[q].n = 0;
        u->query[left] = q;
        u->limit_ns[left++] = u->limit_ns[i] - a->plan.ns;
    }
    u->n = left;
    if (left == 0)
        return OK;
    s->last = radius;
    const int rc = hftrie_multi_walk(s->h, queries, left, radius, g->filter, &g->work);
    if (rc == OK)
        finish_queries(s, u);
    return rc;
}

/* Radii of 3, 7, 11, ... while they cost little. The share of the k that one has added is taken for
   the chance that the next one finds all. */
static int try_short_radii(struct nearest_search *s, struct unfinished *u,
                           struct unfinished *dropped)
{
    size_t before[CODE_GROUP] = { 0 };
    int rc = OK;
    for (unsigned r = FIRST_RADIUS; rc == OK && u->n > 0; r += RADIUS_STEP) {
        for (size_t i = 0; i < u->n; i++) {
            const size_t q = u->query[i], now = s->found[q].n;
            const double chance = (double)(now - before[q]) / (double)s->nearest->k;
            u->limit_ns[i] = fmax(u->limit_ns[i], MARGIN * chance * s->scan_ns);
            before[q] = now;
        }
        rc = search_radius(s, r < CODE_BITS ? r : CODE_BITS, u, dropped);
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

static int try_likely_radii(struct nearest_search *s, struct unfinished *u,
                            struct unfinished *dropped)
{
    int rc = OK;
    while (rc == OK && u->n > 0) {
        double limit_ns = 0;
        const unsigned radius = likely_radius(s, &limit_ns);
        if (radius == 0)
            break;
        for (size_t i = 0; i < u->n; i++)
            u->limit_ns[i] = limit_ns;
        rc = search_radius(s, radius, u, dropped);
    }
    for (size_t i = 0; i < u->n; i++)
        dropped->query[dropped->n++] = u->query[i];
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

static int search_nearest(struct nearest_search *s)
{
    struct multi *m = s->h->state;
    struct unfinished all = { .n = s->group->n }, more = { .n = 0 }, rest = { .n = 0 };
    struct scanned scanned = { .n = 0 };
    for (size_t i = 0; i < all.n; i++) {
        all.query[i] = i;
        all.limit_ns[i] = NEAREST_SHARE * s->scan_ns;
    }
    int rc = try_short_radii(s, &all, &more);
    if (rc == OK)
        rc = try_likely_radii(s, &more, &rest);
    for (size_t i = 0; i < rest.n; i++)
        scan_for(&scanned, s->group, rest.query[i]);
    count_queries(m, s->group->n, scanned.n);
    return rc == OK && scanned.n > 0 ? scan_nearest(s->h, s->group, &scanned, s->nearest) : rc;
}

int hftrie_multi_nearest(const struct index *index, struct code_group *g, struct topk *nearest)
{
    const struct hftrie *h = trie_of(index);
    struct multi *m = h->state;
    const struct hftrie_knobs *k = g->knobs;
    if (m->store.n == 0)
        return OK;
    if (k->plan == HFTRIE_SCAN) {
        struct scanned all = { .n = 0 };
        for (size_t i = 0; i < g->n; i++)
            scan_for(&all, g, i);
        count_queries(m, g->n, g->n);
        return scan_nearest(h, g, &all, nearest);
    }
    struct nearest_search s = { .h = h,
                                .group = g,
                                .nearest = nearest,
                                .found = g->answers,
                                .scan_ns = hftrie_multi_scan_ns(m, g),
                                .wanted = rows_wanted(m, g->filter, nearest->k) };
    return search_nearest(&s);
}
