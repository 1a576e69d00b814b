/* batch.c - searches many queries at once, grouped by cluster: a file is read once for all queries
 * of a part that need it, and scanned for one after the other while it is in the processor's cache.
 *
 *   1  Clusters are chosen for each query.
 *   2  Queries are sorted by their nearest cluster and cut into parts, which threads take as they
 *      become free.
 *   3  A part is done in rounds. A round is one group of clusters of each query, as scan_groups()
 *      has them: the limits of a query's earlier groups hold for the next one. The round's clusters
 *      are visited by order_u64 cid, each for all its queries.
 *
 * Within a group the order of clusters does not matter (search.h), so answers equal those of single
 * searches bit for bit. Codes whose rows are in memory must rerank before the clusters of a group
 * are unpinned, so there a part's queries run one after the other, in the sorted order.
 *
 * A query with fewer than k answers goes on singly. Filters, `eps`, early_stop_clusters and
 * target_recall decide on the next cluster by the answers so far; such queries are searched singly. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

/* BATCH: queries that share a view and their memory, some 5 KB each. PARTS: parts per thread, if
   there are several, so that the last one is short. GRAIN: queries of a chunk of step 1. */
enum { BATCH = 1024, PARTS = 2, GRAIN = 8, BATCH_LEAST = 16 };

struct batch {
    struct channi_search_batch *b;
    const struct channi_view *view;
    size_t first, n; /* this batch's queries of the request */
    size_t width;    /* most clusters of a query */
    struct mem_group memory;
    uint32_t *cids;    /* n x width */
    uint32_t *n_cids;  /* n */
    uint64_t *order;   /* nearest cluster and query, sorted */
    size_t part;       /* queries of a part */
    size_t pinned_max; /* bytes that a part pins at once */
};

/* ------------------------------------------------------------------------ 1. choosing clusters */

static int choose(void *arg, size_t first, size_t end, size_t worker)
{
    struct batch *b = arg;
    struct channi_scratch *x = scratch_pool_take(&b->b->c->scratch);
    struct channi_search_counts counts = { 0 };
    int rc = x ? OK : channi_search_no_memory(b->b->c);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const struct channi_query q = channi_batch_query(b->b, b->view, b->first + i);
        struct channi_query_context s;
        size_t n = 0, n_ood = 0;
        bool all;

        rc = channi_context_begin(&s, &q, x, &x->work, NULL);
        if (rc == OK)
            rc = channi_query_choose(&s, &n, &n_ood, &all);
        if (rc != OK)
            break;
        n += n_ood;
        memcpy(b->cids + i * b->width, s.w->cids, n * sizeof *b->cids);
        b->n_cids[i] = (uint32_t)n;
        b->order[i] = (uint64_t)(n > 0 ? s.w->cids[0] : UINT32_MAX) << 32 | i;
        s.counts.queries++;
        channi_search_counts_add(&counts, &s.counts);
    }
    scratch_pool_give(&b->b->c->scratch, x);
    channi_search_counts_report(b->b->c, &counts, &b->b->result->work);
    return rc;
}

/* ---------------------------------------------------------------- 3. a part, query by query */

/* Ends query i. It goes on alone if it has fewer than k answers and there are more clusters. */
static int end_one(const struct batch *b, struct channi_query_context *s, struct channi_scratch *x,
                   uint32_t i, struct channi_search_counts *counts)
{
    topk_sort(&s->top);
    channi_search_counts_add(counts, &s->counts);
    if (s->top.n == s->top.k || b->n_cids[i] >= b->view->layout->n_clusters)
        return OK;
    const struct channi_query q = channi_batch_query(b->b, b->view, b->first + i);
    const struct topk top = channi_batch_answers(b->b, b->first + i);
    const double queries = counts->queries;
    const int rc = channi_query_answer(&q, x, &top, counts);

    counts->queries = queries; /* it was counted when its clusters were chosen */
    return rc;
}

static int run_singly(struct batch *b, struct channi_scratch *x, size_t first, size_t end,
                      struct channi_search_counts *counts)
{
    int rc = OK;

    for (size_t j = first; rc == OK && j < end; j++) {
        const uint32_t i = (uint32_t)b->order[j];
        const struct channi_query q = channi_batch_query(b->b, b->view, b->first + i);
        const struct topk top = channi_batch_answers(b->b, b->first + i);
        struct channi_query_context s;

        rc = channi_context_begin(&s, &q, x, &x->work, &top);
        if (rc == OK)
            rc = channi_query_scan(&s, b->cids + i * b->width, b->n_cids[i]);
        if (rc == OK)
            rc = end_one(b, &s, x, i, counts);
    }
    return rc;
}

/* --------------------------------------------------------------- 3. a part, cluster by cluster */

struct member {
    struct channi_query q;
    struct channi_query_context s;
    struct channi_search_work w;
    const uint32_t *cids; /* of the steps to come */
    size_t n_cids;
    size_t first, end; /* the group of this round, of s.w->of */
};

struct part {
    struct channi *c;
    struct channi_scratch *x;
    struct member *members;
    size_t n;
    uint64_t *visits; /* of a round: cid and member, sorted */
    size_t n_visits, visits_capacity;
    struct channi_base *bases[CHANNI_SCAN_STEP];
    size_t starts[CHANNI_SCAN_STEP + 1]; /* visits of each */
    size_t pinned_max;
};

/* Gives each member that is not done its next group. false: all are done. */
static int next_groups(struct part *p, bool *any)
{
    size_t n = 0;

    *any = false;
    for (size_t i = 0; i < p->n; i++) {
        struct member *m = &p->members[i];

        m->first = m->end;
        while (m->first == m->s.w->n_bases && m->n_cids > 0) {
            const size_t step = m->n_cids < CHANNI_SCAN_STEP ? m->n_cids : CHANNI_SCAN_STEP;
            const int rc = channi_scan_begin_step(&m->s, m->cids, step);

            if (rc != OK)
                return rc;
            m->cids += step;
            m->n_cids -= step;
            m->first = 0;
        }
        m->end = channi_scan_begin_group(&m->s, m->first);
        n += m->end - m->first;
    }
    p->n_visits = 0;
    if (!mem_grow(p->c->base.env.mem, &p->visits, &p->visits_capacity, n, sizeof *p->visits))
        return channi_search_no_memory(p->c);
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = p->members[i].first; j < p->members[i].end; j++)
            p->visits[p->n_visits++] = (uint64_t)p->members[i].s.w->of[j] << 32 | i;
    qsort(p->visits, p->n_visits, sizeof *p->visits, order_u64);
    *any = n > 0;
    return OK;
}

static const struct channi_cluster *cluster_at(const struct part *p, size_t visit)
{
    return channi_context_cluster(&p->members[0].s, (uint32_t)(p->visits[visit] >> 32));
}

/* Lists the next clusters to be pinned together, from visit `at` on. Returns their number. */
static size_t list_clusters(struct part *p, size_t at)
{
    size_t n = 0, bytes = 0;

    while (at < p->n_visits && n < CHANNI_SCAN_STEP) {
        struct channi_base *base = cluster_at(p, at)->base;
        const uint64_t cid = p->visits[at] >> 32;

        bytes += base->hot_bytes;
        if (n > 0 && bytes > p->pinned_max)
            break;
        p->starts[n] = at;
        p->bases[n++] = base;
        while (at < p->n_visits && p->visits[at] >> 32 == cid)
            at++;
    }
    p->starts[n] = at;
    return n;
}

static int run_round(struct part *p)
{
    struct channi_fetch *fetch = p->x->fetch;
    int rc = OK;

    for (size_t at = 0; rc == OK && at < p->n_visits;) {
        const struct channi_image *image;
        const size_t n = list_clusters(p, at);
        size_t i;

        rc = channi_fetch_ask(fetch, p->bases, n);
        while (rc == OK && channi_fetch_next(fetch, &i, &image, &rc))
            for (size_t j = p->starts[i]; rc == OK && j < p->starts[i + 1]; j++)
                rc = channi_scan_file(&p->members[(uint32_t)p->visits[j]].s,
                                      cluster_at(p, p->starts[i]), image);
        channi_fetch_done(fetch);
        at = p->starts[n];
    }
    return rc;
}

static int run_grouped(struct batch *b, struct channi_scratch *x, size_t first, size_t end,
                       struct channi_search_counts *counts)
{
    struct channi *c = b->b->c;
    struct mem *mem = c->base.env.mem;
    const size_t n = end - first;
    struct part p = { .c = c,
                      .x = x,
                      .members = mem_zalloc(mem, n * sizeof *p.members),
                      .pinned_max = b->pinned_max };
    bool any = true;
    int rc = p.members ? OK : channi_search_no_memory(c);

    for (; rc == OK && p.n < n; p.n++) {
        const uint32_t i = (uint32_t)b->order[first + p.n];
        const struct topk top = channi_batch_answers(b->b, b->first + i);
        struct member *m = &p.members[p.n];

        m->q = channi_batch_query(b->b, b->view, b->first + i);
        m->cids = b->cids + i * b->width;
        m->n_cids = b->n_cids[i];
        rc = channi_context_begin(&m->s, &m->q, x, &m->w, &top);
    }
    while (rc == OK && any) {
        rc = next_groups(&p, &any);
        if (rc == OK)
            rc = run_round(&p);
    }
    for (size_t i = 0; i < p.n; i++) {
        struct member *m = &p.members[i];

        if (rc == OK)
            rc = channi_scan_candidates(&m->s);
        if (rc == OK)
            rc = end_one(b, &m->s, x, (uint32_t)b->order[first + i], counts);
        channi_search_work_free(mem, &m->w);
    }
    mem_free(mem, p.members);
    mem_free(mem, p.visits);
    return rc;
}

static int run_parts(void *arg, size_t first, size_t end, size_t worker)
{
    struct batch *b = arg;
    struct channi *c = b->b->c;
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    struct channi_search_counts counts = { 0 };
    int rc = x ? OK : channi_search_no_memory(c);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const size_t from = i * b->part, to = b->n - from < b->part ? b->n : from + b->part;

        rc = (channi_scan_reranks_pinned(c) ? run_singly : run_grouped)(b, x, from, to, &counts);
    }
    scratch_pool_give(&c->scratch, x);
    channi_search_counts_report(b->b->c, &counts, &b->b->result->work);
    return rc;
}

/* ------------------------------------------------------------------------------- the request */

/* Called inside the epoch, which holds for the pool's threads as well. */
static int run_batch(struct batch *b, size_t threads)
{
    struct pool *pool = b->b->c->base.env.pool;
    const struct channi_layout *layout = b->view->layout;
    const struct channi_knobs *knobs = b->b->request->knobs;
    const size_t all = layout->n_clusters, nprobe = (size_t)knobs->nprobe,
                 ood = (size_t)knobs->ood_probe;
    const size_t parts = threads > 1 ? PARTS * threads : 1;

    b->width = (nprobe < all ? nprobe : all) + (ood < all ? ood : all);
    b->part = (b->n + parts - 1) / parts;
    b->cids = mem_group_array(&b->memory, b->n, b->width * sizeof *b->cids);
    b->n_cids = mem_group_array(&b->memory, b->n, sizeof *b->n_cids);
    b->order = mem_group_array(&b->memory, b->n, sizeof *b->order);
    if (b->memory.failed)
        return channi_search_no_memory(b->b->c);
    int rc = parallel_for(pool, threads, b->n, GRAIN, choose, b);
    if (rc == OK)
        qsort(b->order, b->n, sizeof *b->order, order_u64);
    if (rc == OK)
        rc = parallel_for(pool, threads, (b->n + b->part - 1) / b->part, 1, run_parts, b);
    return rc;
}

bool channi_batch_pays(const struct channi_search_batch *b)
{
    const struct channi_knobs *knobs = b->request->knobs;
    unsigned ticket;
    const struct channi_view *now = channi_enter(b->c, &ticket);
    const bool built = (b->view ? b->view : now)->layout->routes;

    channi_leave(b->c, ticket);
    return b->request->queries.n >= BATCH_LEAST && !b->allowed && built && !(knobs->eps > 0) &&
           knobs->early_stop_clusters == 0 && !b->stop_score;
}

int channi_batch_run(struct channi_search_batch *a, size_t threads)
{
    struct channi *c = a->c;
    const size_t n = a->request->queries.n;
    struct channi_cache_counts cache;
    struct batch b = { .b = a, .memory.mem = c->base.env.mem };
    int rc = OK;

    channi_cache_counts(c->cache, &cache);
    b.pinned_max = (size_t)cache.budget_bytes / 2 / threads;
    for (size_t first = 0; rc == OK && first < n; first += b.n) {
        unsigned ticket;
        const struct channi_view *now = channi_enter(c, &ticket);

        b.view = a->view ? a->view : now;
        b.first = first;
        b.n = n - first < BATCH ? n - first : BATCH;
        rc = run_batch(&b, threads);
        mem_group_free(&b.memory);
        channi_leave(c, ticket);
    }
    return rc;
}
