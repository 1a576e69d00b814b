/* search.h - shared by the parts of a search. Private to the folder, except for tests.
 *
 * A struct channi_query is one query in one view. A struct channi_query_context is one thread's
 * share of it. Usually there is one; with more threads than queries each thread scans some of the
 * clusters, and their results are merged. Answers depend neither on that division nor on the order
 * in which files arrive.
 *
 * 1 filters   2 queries and their contexts   3 one file per step */
#ifndef DRIFTLINE_CHANNI_SEARCH_SEARCH_H
#define DRIFTLINE_CHANNI_SEARCH_SEARCH_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/search/scratch.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/topk.h"

/* 1. Filters (probe.c) */

struct channi_allowed {
    const struct id_filter *ids;          /* NULL: any id */
    const struct attribute_filter *where; /* NULL: any attributes */
    double share;                         /* of the live rows, estimated; 1: unknown */
};

/* Estimates `share` in a referenced view (NULL: the newest one) from the filter's bits and the
   files' summaries of attributes. Called outside the epoch. */
void channi_allowed_begin(struct channi_allowed *, struct channi *, const struct channi_view *);

/* 2. Queries and their contexts */

struct channi_query {
    struct channi *c;
    const struct channi_view *view;
    const struct channi_knobs *knobs;
    const struct channi_allowed *allowed; /* NULL: all rows */
    const unsigned char *query;
    size_t k;
    struct range_hits *hits; /* answers of a range search; NULL: k-nearest search */
    double radius;           /* of a range search, squared */
    float radius_above;      /* no float up to the radius is greater */
    size_t threads;
    const double *stop_score; /* of target_recall; NULL: none */
    struct stop_trace *trace; /* of a query to learn from; NULL: none */
};

struct channi_search_counts { /* all are doubles, so that they are added in a loop */
#define FIELD(name) name
    double CHANNI_SEARCH_COUNTERS(FIELD);
#undef FIELD
    double estimates, bytes, scanned;
    double tested, taken; /* rows tested with the filter; rows it allowed */
};

struct channi_query_context {
    const struct channi_query *q;
    struct channi_scratch *x;
    struct channi_search_work *w;
    struct topk top;
    struct topk uppers; /* codes: smallest upper bounds; graphs: the best rows, one beam width */
    float ceiling;      /* bound on answers known at the start */
    bool in_vain;       /* the last cluster's beam found nothing within beams_limit */
    float beams_limit;  /* graphs: limit of `uppers` at the start of the group */
    bool coded;         /* clusters have codes */
    bool prepared;      /* w->prepared holds this query */
    struct channi_search_counts counts;
    int rc; /* first error of channi_scan_offer() */
};

static inline const struct channi_cluster *
channi_context_cluster(const struct channi_query_context *s, uint32_t cid)
{
    return s->q->view->layout->clusters[cid];
}

/* A candidate with a larger distance or lower bound cannot be an answer. */
static inline float channi_context_limit(const struct channi_query_context *s)
{
    if (s->q->hits)
        return s->q->radius_above;
    const float a = topk_limit(&s->top), b = topk_limit(&s->uppers), c = a < b ? a : b;
    return c < s->ceiling ? c : s->ceiling;
}

/* Beams in graphs stop early by the results of other clusters' beams, up to this beam width. */
enum { BEAM_SHARED_MAX = 1024 };
/* The width of a beam. */
static inline size_t channi_beam_width(const struct channi_query *q)
{
    const size_t ef = (size_t)q->knobs->in_ef;

    return ef < q->k ? q->k : ef;
}

static inline bool channi_beams_share(const struct channi_query *q)
{
    return q->c->params.cluster_index == INSIDE_GRAPH && !q->hits &&
           q->knobs->early_stop_steps > 0 && channi_beam_width(q) <= BEAM_SHARED_MAX;
}

/* A request. */
struct channi_search_batch {
    struct channi *c;
    const struct channi_view *view; /* of an old version, referenced; NULL: the newest view */
    const struct search_request *request;
    struct search_result *result;
    const struct channi_allowed *allowed;
    const double *stop_score; /* of target_recall; NULL: none */
    size_t threads;           /* of each query, if they are not grouped by cluster */
};

static inline struct channi_query channi_batch_query(const struct channi_search_batch *b,
                                                     const struct channi_view *view, size_t i)
{
    const struct search_request *r = b->request;

    return (struct channi_query){ .c = b->c,
                                  .view = view,
                                  .knobs = r->knobs,
                                  .allowed = b->allowed,
                                  .query =
                                      (const unsigned char *)r->queries.rows + i * b->c->row_bytes,
                                  .k = r->k,
                                  .threads = b->threads,
                                  .stop_score = b->stop_score };
}

/* Where the answers of query i go. */
static inline struct topk channi_batch_answers(const struct channi_search_batch *b, size_t i)
{
    const size_t k = b->request->k;

    return topk_begin(k, b->result->distances + i * k, b->result->ids + i * k);
}

/* 3. One file per step */

static inline int channi_search_no_memory(const struct channi *c)
{
    return CHANNI_NO_MEMORY(&c->base.env, " searching");
}

/* scratch.c: begins a context with its scratch, and that scratch's work or another one: several
   contexts of a thread share the rest. top: NULL: the context's own, in the work's arrays. */
int channi_context_begin(struct channi_query_context *, const struct channi_query *,
                         struct channi_scratch *, struct channi_search_work *,
                         const struct topk *top);
/* Adds to the index's counters and to `work`. */
void channi_search_counts_add(struct channi_search_counts *to, const struct channi_search_counts *);
void channi_search_counts_report(struct channi *, const struct channi_search_counts *,
                                 struct work *);

/* probe.c: runs one query: chooses clusters, their order, and when to stop; sorts its answers,
   and adds what it cost to the counts. topk: NULL: for a range search. */
int channi_query_answer(const struct channi_query *, struct channi_scratch *, const struct topk *,
                        struct channi_search_counts *);
/* Its two halves, after the build, for a query that channi_batch_pays() accepts. choose: lists n
   clusters in w->cids, then n_ood clusters of outliers. *all: these are all clusters. scan:
   searches clusters so chosen. */
int channi_query_choose(struct channi_query_context *, size_t *n, size_t *n_ood, bool *all);
int channi_query_scan(struct channi_query_context *, const uint32_t *cids, size_t n);

/* scan_clusters.c: scans n clusters. The second form stops at a route too far for `eps`, after
   early_stop_clusters fruitless clusters, or at stop_score; routes are ascending. */
int channi_scan_clusters(struct channi_query_context *, const uint32_t *cids, size_t n);
int channi_scan_clusters_until(struct channi_query_context *, const uint32_t *cids,
                               const float *routes, size_t n);
/* Ends the fetch: unpins all clusters. */
void channi_scan_unpin(struct channi_query_context *);
/* Whether candidates are reranked while their clusters are pinned. */
bool channi_scan_reranks_pinned(const struct channi *);

/* The parts of channi_scan_clusters(), for batch.c, which reads the files itself. */
/* Lists the files of n <= CHANNI_SCAN_STEP clusters in w->bases and w->of, in place of those listed
   before, and scans the deltas that do not wait for their file. */
enum { CHANNI_SCAN_STEP = 64 };
int channi_scan_begin_step(struct channi_query_context *, const uint32_t *cids, size_t n);
/* Begins the group whose first file is w->bases[first]. Returns its end. */
size_t channi_scan_begin_group(struct channi_query_context *, size_t first);
/* Scans a file, and its delta if that waits for it. */
int channi_scan_file(struct channi_query_context *, const struct channi_cluster *,
                     const struct channi_image *);

/* scan.c: scans a cluster's delta, and its file. */
void channi_scan_delta(struct channi_query_context *, const struct channi_cluster *);
int channi_scan_image(struct channi_query_context *, const struct channi_cluster *,
                      const struct channi_image *);

/* scratch.c: whether all rows of the file are visible: none was deleted or born since. */
bool channi_scan_sees_all(const struct channi_cluster *, const struct channi_image *);
/* Whether row `row` of the file is visible in the view and allowed. */
bool channi_scan_takes(struct channi_query_context *, const struct channi_cluster *,
                       const struct channi_image *, uint32_t row);
/* Whether the filter allows it; counts. */
bool channi_scan_allows(struct channi_query_context *, uint64_t id, struct channi_record);
float channi_scan_distance(const struct channi_query_context *, const void *row);
/* Adds a row to the answers. A candidate's bound is in `uppers` already. */
void channi_scan_offer(struct channi_query_context *, float distance, uint64_t id);

/* scan_codes.c */
int channi_scan_codes(struct channi_query_context *, const struct channi_cluster *,
                      const struct channi_image *);
/* The same for the first n rows of the cluster's delta, which have these codes. */
int channi_scan_delta_codes(struct channi_query_context *, const struct channi_cluster *,
                            const struct channi_delta_codes *, uint32_t n);
/* Prefetches the first bytes that a scan of this image reads. */
void channi_scan_codes_ahead(const struct quantizer *, const struct channi_image *);
/* Reranks the candidates by exact distances. Their rows in memory are pinned until then. */
int channi_scan_candidates(struct channi_query_context *);

/* batch.c: searches many queries, grouped by cluster. pays: whether it may be used. Outside the
   epoch. */
bool channi_batch_pays(const struct channi_search_batch *);
int channi_batch_run(struct channi_search_batch *, size_t threads);

/* target.c: the score at which a search with the request's target_recall stops. Learns it if no
   search with this k and these knobs has. Outside the epoch. ERR_NO_MEMORY, or why a file cannot be
   read. */
int channi_stop_score(struct channi *, const struct search_request *, double *score);
/* The scores learnt last no longer fit the index; learns them again if so. Outside the epoch.
   renew: as above, the scores stay as they were. */
bool channi_stop_is_due(struct channi *);
int channi_stop_renew(struct channi *);

#endif
