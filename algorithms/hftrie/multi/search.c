/* search.c - range and nearest: decides which queries of a group use the tables, and which are
 * answered together by a scan. */
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
        return hftrie_multi_plan(m, k, p, radius, INFINITY, plan);
    return hftrie_multi_plan(m, k, p, radius, limit_ns, plan) &&
           !few_allowed(m, g->filter, plan->ns);
}

static bool is_hopeless(const struct multi *m, const struct code_group *g, unsigned radius,
                        double limit_ns)
{
    const struct hftrie_knobs *k = g->knobs;
    return k->plan == HFTRIE_SCAN ||
           (k->plan == HFTRIE_AUTO && !hftrie_multi_promising(m, k, radius, limit_ns));
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

static int scan_range(const struct hftrie *h, struct code_group *g, const struct scanned *s,
                      unsigned radius, struct code_answers *answers)
{
    struct multi *m = h->state;
    struct code_group some = *g;
    struct code_answers of_some[CODE_GROUP];
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
    const double limit_ns = MARGIN * hftrie_multi_scan_ns(m, g->knobs, g->n);
    if (is_hopeless(m, g, radius, limit_ns)) {
        count_queries(m, g->n, g->n);
        return code_scan_range(&m->store, m->kernels, g, radius, answers);
    }
    for (size_t i = 0; i < g->n; i++) {
        struct multi_query *a = &queries[n];
        a->query = g->queries[i];
        a->p = multi_permute(m, a->query);
        a->answers = &answers[i];
        if (to_tables(h, g, a->p, radius, limit_ns, &a->plan))
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

/* A query whose k nearest are not found yet. */
struct unfinished {
    size_t query;
    double budget_ns; /* left for radii that may prove too short */
};

/* Finishes the queries that have k answers, or all codes, and keeps the others. Returns
   their number. */
static size_t finish_queries(const struct code_answers *found, unsigned radius,
                             struct unfinished *unfinished, size_t n, struct topk *nearest)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        const struct code_answers *a = &found[unfinished[i].query];
        struct topk *to = &nearest[unfinished[i].query];
        if (a->n < to->k && radius < CODE_BITS) {
            unfinished[left++] = unfinished[i];
            continue;
        }
        for (size_t j = 0; j < a->n; j++)
            topk_push(to, (float)a->distances[j], a->ids[j]);
    }
    return left;
}

/* Searches one radius for all unfinished queries; those for which it is too expensive are scheduled
   for the scan. */
static int search_radius(const struct hftrie *h, struct code_group *g, unsigned radius,
                         struct unfinished *unfinished, size_t *n, struct scanned *scanned,
                         struct code_answers *found, struct topk *nearest)
{
    struct multi_query queries[CODE_GROUP];
    size_t left = 0;
    for (size_t i = 0; i < *n; i++) {
        const size_t q = unfinished[i].query;
        struct multi_query *a = &queries[left];
        a->query = g->queries[q];
        a->p = multi_permute(h->state, a->query);
        a->answers = &found[q];
        found[q].n = 0;
        if (is_hopeless(h->state, g, radius, unfinished[i].budget_ns) ||
            !to_tables(h, g, a->p, radius, unfinished[i].budget_ns, &a->plan)) {
            scan_for(scanned, g, q);
            continue;
        }
        unfinished[left] = unfinished[i];
        unfinished[left++].budget_ns -= a->plan.ns;
    }
    const int rc = left ? hftrie_multi_walk(h, queries, left, radius, g->filter, &g->work) : OK;
    *n = rc == OK ? finish_queries(found, radius, unfinished, left, nearest) : 0;
    return rc;
}

int hftrie_multi_nearest(const struct index *index, struct code_group *g, struct topk *nearest)
{
    const struct hftrie *h = trie_of(index);
    struct multi *m = h->state;
    const struct hftrie_knobs *k = g->knobs;
    struct unfinished unfinished[CODE_GROUP];
    struct scanned scanned = { .n = 0 };
    struct code_answers found[CODE_GROUP];
    size_t n = m->store.n > 0 ? g->n : 0;
    int rc = OK;
    for (size_t i = 0; i < n; i++) {
        unfinished[i] = (struct unfinished){ i, NEAREST_SHARE * hftrie_multi_scan_ns(m, k, g->n) };
        found[i] = (struct code_answers){ .mem = index->env.mem, .error = index->env.error };
    }
    const size_t queries = n;
    if (k->plan == HFTRIE_SCAN && n > 0) {
        count_queries(m, n, n);
        return code_scan_nearest(&m->store, m->kernels, g, nearest);
    }
    for (unsigned radius = FIRST_RADIUS; rc == OK && n > 0; radius += RADIUS_STEP)
        rc = search_radius(h, g, radius < CODE_BITS ? radius : CODE_BITS, unfinished, &n, &scanned,
                           found, nearest);
    count_queries(m, queries, scanned.n);
    if (rc == OK && scanned.n > 0)
        rc = scan_nearest(h, g, &scanned, nearest);
    for (size_t i = 0; i < queries; i++) {
        mem_free(index->env.mem, found[i].ids);
        mem_free(index->env.mem, found[i].distances);
    }
    return rc;
}
