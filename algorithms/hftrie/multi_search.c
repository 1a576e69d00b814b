/* multi_search.c - range and nearest: which queries of a group go to the tables, and which are
 * scanned for, together.
 */
#include <math.h>
#include <string.h>

#include "algorithms/common/code_scan.h"
#include "multi.h"
#include "src/core/mem.h"

#define MARGIN         .8 /* of the scan: what the model must see in the tables */
#define NEAREST_SHARE  .1 /* of the scan: what may be spent on radii that prove too short */
#define FIRST_RADIUS   3U
#define RADIUS_STEP    4U  /* one threshold each more */
#define FILTER_WORD_NS .25 /* reading 64 ids of a filter */
#define BY_ID_NS       40  /* finding an allowed id's code */

static const struct hftrie *trie_of(const struct index *index)
{
    return (const struct hftrie *)index;
}

/* Whether so few ids are allowed that looking at each takes less than ns. */
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
                      unsigned radius, double limit_ns, struct multi_plan *plan)
{
    const struct multi *m = h->state;
    const struct hftrie_knobs *k = g->knobs;
    if (k->plan == HFTRIE_TABLES)
        return multi_plan(m, k, p, radius, INFINITY, plan);
    return multi_plan(m, k, p, radius, limit_ns, plan) && !few_allowed(m, g->filter, plan->ns);
}

static bool is_hopeless(const struct multi *m, const struct code_group *g, unsigned radius,
                        double limit_ns)
{
    const struct hftrie_knobs *k = g->knobs;
    return k->plan == HFTRIE_SCAN ||
           (k->plan == HFTRIE_AUTO && !multi_promising(m, k, radius, limit_ns));
}

/* Queries of a group that are scanned for, brought together. */
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

int multi_range(const struct index *index, struct code_group *g, unsigned radius,
                struct code_answers *answers)
{
    const struct hftrie *h = trie_of(index);
    struct multi *m = h->state;
    struct multi_asked asked[CODE_GROUP];
    struct scanned scanned = { .n = 0 };
    size_t n = 0;
    if (m->store.n == 0)
        return OK;
    const double limit_ns = MARGIN * multi_scan_ns(m, g->knobs, g->n);
    if (is_hopeless(m, g, radius, limit_ns)) {
        count_queries(m, g->n, g->n);
        return code_scan_range(&m->store, m->kernels, g, radius, answers);
    }
    for (size_t i = 0; i < g->n; i++) {
        struct multi_asked *a = &asked[n];
        a->query = g->queries[i];
        a->p = multi_permute(m, a->query);
        a->answers = &answers[i];
        if (to_tables(h, g, a->p, radius, limit_ns, &a->plan))
            n++;
        else
            scan_for(&scanned, g, i);
    }
    count_queries(m, g->n, scanned.n);
    int rc = n ? multi_walk(h, asked, n, radius, g->filter, &g->work) : OK;
    if (rc == OK && scanned.n > 0)
        rc = scan_range(h, g, &scanned, radius, answers);
    return rc;
}

/* A query whose k nearest are still looked for. */
struct seeking {
    size_t query;
    double budget_ns; /* left for radii that may prove too short */
};

/* Those that have k answers, or all there are, are done; the others stay. Returns how many. */
static size_t settle(const struct code_answers *found, unsigned radius, struct seeking *seeking,
                     size_t n, struct topk *nearest)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        const struct code_answers *a = &found[seeking[i].query];
        struct topk *to = &nearest[seeking[i].query];
        if (a->n < to->k && radius < CODE_BITS) {
            seeking[left++] = seeking[i];
            continue;
        }
        for (size_t j = 0; j < a->n; j++)
            topk_push(to, (float)a->distances[j], a->ids[j]);
    }
    return left;
}

/* One radius for all that still seek; those it is too dear for are to be scanned for. */
static int seek(const struct hftrie *h, struct code_group *g, unsigned radius,
                struct seeking *seeking, size_t *n, struct scanned *scanned,
                struct code_answers *found, struct topk *nearest)
{
    struct multi_asked asked[CODE_GROUP];
    size_t left = 0;
    for (size_t i = 0; i < *n; i++) {
        const size_t q = seeking[i].query;
        struct multi_asked *a = &asked[left];
        a->query = g->queries[q];
        a->p = multi_permute(h->state, a->query);
        a->answers = &found[q];
        found[q].n = 0;
        if (is_hopeless(h->state, g, radius, seeking[i].budget_ns) ||
            !to_tables(h, g, a->p, radius, seeking[i].budget_ns, &a->plan)) {
            scan_for(scanned, g, q);
            continue;
        }
        seeking[left] = seeking[i];
        seeking[left++].budget_ns -= a->plan.ns;
    }
    const int rc = left ? multi_walk(h, asked, left, radius, g->filter, &g->work) : OK;
    *n = rc == OK ? settle(found, radius, seeking, left, nearest) : 0;
    return rc;
}

int multi_nearest(const struct index *index, struct code_group *g, struct topk *nearest)
{
    const struct hftrie *h = trie_of(index);
    struct multi *m = h->state;
    const struct hftrie_knobs *k = g->knobs;
    struct seeking seeking[CODE_GROUP];
    struct scanned scanned = { .n = 0 };
    struct code_answers found[CODE_GROUP];
    size_t n = m->store.n > 0 ? g->n : 0;
    int rc = OK;
    for (size_t i = 0; i < n; i++) {
        seeking[i] = (struct seeking){ i, NEAREST_SHARE * multi_scan_ns(m, k, g->n) };
        found[i] = (struct code_answers){ .mem = index->env.mem, .error = index->env.error };
    }
    const size_t asked = n;
    if (k->plan == HFTRIE_SCAN && n > 0) {
        count_queries(m, n, n);
        return code_scan_nearest(&m->store, m->kernels, g, nearest);
    }
    for (unsigned radius = FIRST_RADIUS; rc == OK && n > 0; radius += RADIUS_STEP)
        rc = seek(h, g, radius < CODE_BITS ? radius : CODE_BITS, seeking, &n, &scanned, found,
                  nearest);
    count_queries(m, asked, scanned.n);
    if (rc == OK && scanned.n > 0)
        rc = scan_nearest(h, g, &scanned, nearest);
    for (size_t i = 0; i < asked; i++) {
        mem_free(index->env.mem, found[i].ids);
        mem_free(index->env.mem, found[i].distances);
    }
    return rc;
}
