/* scan_clusters.c - scans a list of clusters: their deltas, and their files as they arrive.
 *
 * Clusters are scanned in steps. The files of a step are requested at once, and deltas are scanned
 * while they are read. With `eps`, early_stop_clusters or target_recall a step is one cluster,
 * because each may be the last; the files of the next ones are requested ahead. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/search/search.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Clusters per step; their files are pinned together. */
enum { STEP = CHANNI_SCAN_STEP };
/* Rows that a beam measures, about, for each place of its width. */
enum { ROWS_PER_PLACE = 8 };
/* Clusters in the first group of a step. A group's candidates are reranked before the
   next group. */
enum { GROUP = 4 };
/* A delta of at most 1 / FEW_NEW of the file's rows is skipped if the file had no answers. */
enum { FEW_NEW = 4 };

/* --------------------------------------------------------------------------- some clusters */

/* Whether the cluster's file may hold an allowed row; if not, it need not be read. For ids no
   summary helps: a cluster of some hundred rows has ids from the whole range, and a filter that
   allows one row in a thousand allows one in nearly every cluster. So neither the range of ids nor
   a Bloom filter would save a read. */
static bool may_allow(const struct channi_allowed *a, const struct channi_cluster *cl)
{
    for (size_t i = 0; a->where && i < a->where->n; i++) {
        const struct attribute_condition *c = &a->where->conditions[i];

        if (!channi_summary_may(&cl->base->columns[c->field], cl->base->n, c, a->where->values))
            return false;
    }
    return true;
}

/* Appends the files of n clusters to w->bases, and nothing else. */
static int list_files(struct channi_query_context *s, const uint32_t *cids, size_t n)
{
    struct channi_search_work *w = s->w;
    const size_t before = w->n_bases;

    if (!CHANNI_WORK_FIT(w, bases, before + n) || !CHANNI_WORK_FIT(w, of, before + n) ||
        !CHANNI_WORK_FIT(w, images, before + n))
        return channi_search_no_memory(s->q->c);
    for (size_t i = 0; i < n; i++) {
        const struct channi_cluster *cl = channi_context_cluster(s, cids[i]);

        if (s->q->allowed && !may_allow(s->q->allowed, cl)) {
            s->counts.clusters_skipped++;
        } else {
            w->of[w->n_bases] = cids[i];
            w->images[w->n_bases] = NULL;
            w->bases[w->n_bases++] = cl->base;
        }
    }
    return OK;
}

bool channi_scan_reranks_pinned(const struct channi *c)
{
    return c->params.cluster_index == INSIDE_CODES && !c->params.cold_rows;
}

void channi_scan_unpin(struct channi_query_context *s)
{
    channi_fetch_done(s->x->fetch);
    s->w->n_bases = 0;
}

/* Waits until the requested file `at` is in w->images; takes all others that are there, too. */
static int await(struct channi_query_context *s, size_t at)
{
    struct channi_search_work *w = s->w;
    int rc = OK;

    while (rc == OK && (!w->images[at] || channi_fetch_ready(s->x->fetch))) {
        const struct channi_image *image = NULL;
        size_t i = at;

        (void)channi_fetch_next(s->x->fetch, &i, &image, &rc); /* there is one: `at` at least */
        w->images[i] = image;
    }
    return rc;
}

/* With shared beams, a delta is scanned after its file. */
static bool deltas_wait(const struct channi_query_context *s)
{
    return channi_beams_share(s->q) && !s->q->allowed;
}

int channi_scan_file(struct channi_query_context *s, const struct channi_cluster *cl,
                     const struct channi_image *image)
{
    s->in_vain = false;
    const int rc = channi_scan_image(s, cl, image);
    if (rc != OK || !deltas_wait(s))
        return rc;
    /* Counts the rows that this version sees, so that answers from a snapshot do not change when
       the delta grows. */
    const uint32_t few = cl->base_n / FEW_NEW;
    const bool is_small = channi_delta_count(&cl->delta) <= few ||
                          atomic_load_explicit(channi_delta_at(&cl->delta, few).born,
                                               memory_order_acquire) > s->q->view->version;
    if (!s->in_vain || !is_small)
        channi_scan_delta(s, cl);
    return s->rc;
}

static int scan_nth(struct channi_query_context *s, const struct channi_search_work *w, size_t i)
{
    if (s->coded && i + 1 < w->n_bases && w->images[i + 1])
        channi_scan_codes_ahead(s->q->c->quantizer, w->images[i + 1]);
    return channi_scan_file(s, channi_context_cluster(s, w->of[i]), w->images[i]);
}

/* ------------------------------------------------------------------------- several threads */

/* Whether a scan of the files first .. end - 1 takes several threads less time than one. */
static bool sharing_pays(const struct channi_query_context *s, size_t first, size_t end)
{
    const struct channi *c = s->q->c;
    const bool beams = c->params.cluster_index == INSIDE_GRAPH;
    const size_t most = beams ? ROWS_PER_PLACE * channi_beam_width(s->q) : SIZE_MAX;
    const double row_bytes = s->coded ? c->quantizer->code_bytes : (double)c->row_bytes;
    double bytes = 0;

    for (size_t i = first; i < end; i++) {
        const size_t n = channi_context_cluster(s, s->w->of[i])->base_n;

        bytes += (double)(n < most ? n : most) * row_bytes;
    }
    return s->q->threads > 1 && end - first > 1 && bytes >= (double)c->share_bytes;
}

struct team {
    const struct channi_query_context *leader;
    size_t first;
    struct channi_query_context *members; /* by worker; x NULL: it got no work */
};

static int member_begin(struct channi_query_context *m, const struct channi_query_context *leader)
{
    struct channi *c = leader->q->c;
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    const int rc =
        x ? channi_context_begin(m, leader->q, x, &x->work, NULL) : channi_search_no_memory(c);

    if (rc != OK) {
        scratch_pool_give(&c->scratch, x);
        m->x = NULL;
    }
    m->ceiling = channi_context_limit(leader);
    m->beams_limit = leader->beams_limit;
    return rc;
}

static int member_work(void *arg, size_t first, size_t end, size_t worker)
{
    const struct team *t = arg;
    struct channi_query_context *m = &t->members[worker];
    int rc = m->x ? OK : member_begin(m, t->leader);

    for (; rc == OK && first < end; first++)
        rc = scan_nth(m, t->leader->w, t->first + first);
    return rc;
}

/* Appends candidates and their sources to those of `to`. */
static bool append_candidates(struct channi_search_work *to, const struct channi_search_work *from)
{
    if (!CHANNI_WORK_FIT(to, candidates, to->n_candidates + from->n_candidates) ||
        !CHANNI_WORK_FIT(to, sources, to->n_sources + from->n_sources) ||
        (from->cold && !CHANNI_WORK_FIT(to, cold, to->n_candidates + from->n_candidates)))
        return false;
    if (from->cold && from->n_candidates > 0)
        memcpy(to->cold + to->n_candidates, from->cold, from->n_candidates * sizeof *from->cold);
    for (size_t i = 0; i < from->n_candidates; i++) {
        struct channi_candidate *c = &to->candidates[to->n_candidates++];

        *c = from->candidates[i];
        c->source += (uint32_t)to->n_sources;
    }
    if (from->n_sources > 0)
        memcpy(to->sources + to->n_sources, from->sources, from->n_sources * sizeof *from->sources);
    to->n_sources += from->n_sources;
    return true;
}

static void offer_all(struct topk *to, const struct topk *from)
{
    for (size_t i = 0; i < from->n; i++)
        topk_push(to, from->distances[i], from->ids[i]);
}

/* Scans the files first .. end - 1, which have arrived, with several threads. */
static int scan_together(struct channi_query_context *s, size_t first, size_t end)
{
    struct channi *c = s->q->c;
    const size_t n = end - first, threads = s->q->threads < n ? s->q->threads : n;
    struct team t = { .leader = s, .first = first };

    t.members = mem_zalloc(s->w->mem, threads * sizeof *t.members);
    if (!t.members)
        return channi_search_no_memory(c);
    int rc = parallel_for(c->base.env.pool, threads, n, 1, member_work, &t);
    for (size_t i = 0; i < threads; i++) {
        const struct channi_query_context *m = &t.members[i];

        if (rc == OK && m->w) { /* it was begun */
            offer_all(&s->top, &m->top);
            offer_all(&s->uppers, &m->uppers);
            channi_search_counts_add(&s->counts, &m->counts);
            rc = append_candidates(s->w, m->w) ? OK : channi_search_no_memory(c);
        }
        scratch_pool_give(&c->scratch, m->x);
    }
    mem_free(s->w->mem, t.members);
    return rc;
}

/* ------------------------------------------------------------------------------- a step */

/* Begins the group whose first file is `first`, in a step of the files from .. n - 1. Returns its
   end. Independent of the number of threads. */
static size_t begin_group(struct channi_query_context *s, size_t from, size_t n, size_t first)
{
    size_t end = n;

    s->beams_limit = channi_beams_share(s->q) ? topk_limit(&s->uppers) : INFINITY;

    if (channi_beams_share(s->q))
        end = first + 1 + (first - from) / 2;
    else if (channi_scan_reranks_pinned(s->q->c))
        end = first == from ? from + GROUP : from + 4 * (first - from);
    return end < n ? end : n;
}

/* Scans the requested files from .. n - 1 in groups: the results of the nearest clusters give a limit
   that saves most distances in the others. One thread scans a file while the next ones are read. */
static int scan_groups(struct channi_query_context *s, size_t from, size_t n)
{
    const bool measured = channi_scan_reranks_pinned(s->q->c);
    int rc = OK;

    for (size_t first = from, end; rc == OK && first < n; first = end) {
        end = begin_group(s, from, n, first);
        const bool together = sharing_pays(s, first, end);
        for (size_t i = first; rc == OK && i < end; i++) {
            rc = await(s, i);
            if (rc == OK && !together)
                rc = scan_nth(s, s->w, i);
        }
        if (rc == OK && together)
            rc = scan_together(s, first, end);
        if (rc == OK && measured)
            rc = channi_scan_candidates(s);
    }
    return rc;
}

/* Scans the deltas that do not wait for their file. */
static int scan_deltas(struct channi_query_context *s, const uint32_t *cids, size_t n)
{
    s->counts.clusters_touched += (double)n;
    for (size_t i = 0; i < n && !deltas_wait(s); i++)
        channi_scan_delta(s, channi_context_cluster(s, cids[i]));
    return s->rc;
}

int channi_scan_begin_step(struct channi_query_context *s, const uint32_t *cids, size_t n)
{
    s->w->n_bases = 0;
    const int rc = list_files(s, cids, n);
    return rc == OK ? scan_deltas(s, cids, n) : rc;
}

/* Where all clusters are one group, the nearest is a group of its own: its limit saves work in the
   others, which are not visited in their order. */
size_t channi_scan_begin_group(struct channi_query_context *s, size_t first)
{
    const size_t end = begin_group(s, 0, s->w->n_bases, first);

    return first == 0 && end > 1 ? 1 : end;
}

/* Requests the files of n clusters. */
static int request(struct channi_query_context *s, const uint32_t *cids, size_t n)
{
    const struct channi_search_work *w = s->w;
    const size_t from = w->n_bases;
    const int rc = list_files(s, cids, n);

    return rc == OK ? channi_fetch_ask(s->x->fetch, w->bases + from, w->n_bases - from) : rc;
}

/* ---------------------------------------------------------------------------------- a list */

/* After a cluster, before the one whose route is `next`: whether target_recall is reached. For
   learning, notes the score and the answers found. */
static int judge(struct channi_query_context *s, struct stop_state *stop, float next, bool *enough)
{
    struct stop_trace *t = s->q->trace;
    const int rc = t ? channi_scan_candidates(s) : OK;

    if (rc == OK && t)
        *enough = stop_trace_note(t, &s->top, stop_after(stop, stop_trace_kth(t, &s->top), next));
    else if (s->q->stop_score)
        *enough = stop_after(stop, channi_context_limit(s), next) >= *s->q->stop_score;
    return rc;
}

/* Scans one cluster after another, until a route is too far, the last few had no answers, or enough
   is found. The files of the next `prefetch` clusters are read meanwhile. */
int channi_scan_clusters_until(struct channi_query_context *s, const uint32_t *cids,
                               const float *routes, size_t n)
{
    const size_t ahead = (size_t)s->q->c->params.prefetch, most = ahead < STEP ? STEP : ahead + 1,
                 patience = s->q->knobs->early_stop_clusters > 0
                                ? (size_t)s->q->knobs->early_stop_clusters
                                : SIZE_MAX;
    const double eps = s->q->knobs->eps;
    struct stop_state stop = stop_begin(n > 0 ? routes[0] : 0);
    size_t idle = 0, asked = 0, end = 0, at = 0; /* at: the next file; asked, end: clusters */
    bool enough = false;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n; i++) {
        const float limit = channi_context_limit(s);
        const bool too_far = eps > 0 && limit < INFINITY &&
                             (double)routes[i] > (1 + eps) * (1 + eps) * (double)limit;

        if (enough || too_far || idle >= patience) {
            s->counts.stopped_early++;
            s->counts.clusters_in_vain += (double)(asked - i);
            break;
        }
        if (i == end) { /* as many files as may be pinned at once were scanned */
            channi_scan_unpin(s);
            at = 0;
            end = i + most < n ? i + most : n;
        }
        const size_t until = i + ahead < end ? i + ahead + 1 : end;
        if (until > asked)
            rc = request(s, cids + asked, until - asked);
        asked = until > asked ? until : asked;
        if (rc == OK)
            rc = scan_deltas(s, cids + i, 1);
        if (rc == OK && at < s->w->n_bases && s->w->of[at] == cids[i]) {
            rc = scan_groups(s, at, at + 1);
            at++;
        }
        if (rc == OK)
            rc = judge(s, &stop, i + 1 < n ? routes[i + 1] : INFINITY, &enough);
        idle = channi_context_limit(s) < limit || limit == INFINITY ? 0 : idle + 1;
    }
    return rc;
}

int channi_scan_clusters(struct channi_query_context *s, const uint32_t *cids, size_t n)
{
    int rc = OK;

    for (size_t i = 0, m; rc == OK && i < n; i += m) {
        const size_t from = s->w->n_bases;

        m = n - i < STEP ? n - i : STEP;
        rc = request(s, cids + i, m);
        if (rc == OK)
            rc = scan_deltas(s, cids + i, m);
        if (rc == OK)
            rc = scan_groups(s, from, s->w->n_bases);
        channi_scan_unpin(s);
    }
    return rc;
}
