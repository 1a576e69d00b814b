/* search.h - what the parts of a search share. Private to search.c, probe.c, look.c, scan.c, scan_codes.c, filter.c,
 * reduce.c and range.c.
 *
 * A *quest* is one query in one view. A *seeker* is one thread's part in it: usually there is one; where there
 * are more threads than queries each seeks in some of the clusters, and what they found is put together.
 * Answers do not depend on how clusters were dealt out, nor on the order in which files came in.
 *
 *   1 what is allowed   2 quests and seekers   3 scratch   4 one file a step
 */
#ifndef DRIFTLINE_CHANNI_SEARCH_H
#define DRIFTLINE_CHANNI_SEARCH_H

#include <math.h>

#include "algorithms/channi/channi.h"

/* 1. What is allowed in answers (filter.c) */

struct allowed {
    const struct id_filter *ids;  /* NULL: any id */
    struct attribute_range range; /* where by_attribute */
    bool by_attribute;
    double share; /* of the live rows, estimated; 1: unknown */
};

static inline bool allowed_takes(const struct allowed *a, uint64_t id, uint32_t attribute)
{
    if (a->by_attribute)
        return attribute >= a->range.low && attribute <= a->range.high;
    return id_filter_allows(a->ids, id);
}

/* Estimates the share in a view that is held (NULL: the present one), from the filter's bits and the clusters'
   summaries. Outside the epoch. */
void allowed_begin(struct allowed *, struct channi *, const struct view *);
/* Whether the cluster's file may hold such a row: false spares reading it. */
bool allowed_may(const struct allowed *, const struct cluster *);

/* 2. Quests and seekers */

struct hit {
    uint64_t id;
    float distance;
};

struct hits {
    struct hit *hits;
    size_t n, capacity;
};

struct quest {
    struct channi *c;
    const struct view *view;
    const struct channi_knobs *knobs;
    const struct allowed *allowed; /* NULL: all rows */
    const unsigned char *query;
    size_t k;
    struct hits *hits; /* a range search's answers; NULL: the k nearest are wanted */
    float radius;      /* a range search's */
    size_t threads;
};

struct tally {
    double top, in, delta, estimates, bytes, scanned;
    uint64_t queries, deferred, touched, skipped, ood, stopped, row_reads, filter_exact, damaged;
    double looked, taken; /* rows that a filter was held to, and that it allowed */
};

struct seeker {
    const struct quest *q;
    struct channi_scratch *x;
    struct search_work *w;
    struct topk top;
    struct topk uppers; /* codes: least upper bounds of distances; graphs: a beam's width of rows */
    float ceiling;      /* no answer is farther, as was known when it began */
    bool in_vain;       /* the beam in the last cluster found nothing within beams_limit */
    float beams_limit;  /* graphs: the farthest of `uppers`, when the group under way began */
    bool coded;         /* clusters have codes */
    bool prepared;      /* w's query is this one */
    size_t rerank_left; /* SIZE_MAX: no bound */
    struct tally tally;
    int rc; /* the first failure in offering: no memory */
};

static inline const struct cluster *seek_cluster_at(const struct seeker *s, uint32_t cid)
{
    return s->q->view->layout->clusters[cid];
}

/* What a candidate must not exceed. */
static inline float seeker_limit(const struct seeker *s)
{
    if (s->q->hits)
        return s->q->radius;
    const float a = topk_limit(&s->top), b = topk_limit(&s->uppers), c = a < b ? a : b;
    return c < s->ceiling ? c : s->ceiling;
}

/* Graphs' beams end by what those of other clusters found; those that are wider than this do not. */
enum { BEAM_SHARED_MAX = 1024 };
/* The width of a beam. */
static inline size_t beam_width(const struct quest *q)
{
    const size_t ef = (size_t)q->knobs->in_ef;

    return ef < q->k ? q->k : ef;
}

static inline bool beams_share(const struct quest *q)
{
    return q->c->params.inside == INSIDE_GRAPH && !q->hits && q->knobs->patience > 0 &&
           beam_width(q) <= BEAM_SHARED_MAX;
}

/* 3. Scratch */

enum { SCAN_BLOCK = 256 };

/* A row that its code's bounds leave. */
struct candidate {
    uint64_t
        id; /* where rows are in the file; else it is looked up when the row is measured, as few are */
    float lower, estimate;
    uint32_t source, row;
};

/* Where candidates' rows are: in memory, pinned, as their ids; or `rows` NULL: in the file. */
struct source {
    const struct base *base;
    const unsigned char *rows;
    const uint64_t *ids;
};

struct search_work {
    struct mem *mem;
    uint32_t *cids; /* clusters to be probed */
    float *routes;
    size_t cids_capacity, routes_capacity;
    struct base **bases; /* asked for since all were unpinned, and what cluster each is of */
    uint32_t *of;
    const struct image **images; /* ... as far as they came, in groups */
    size_t n_bases, bases_capacity, of_capacity, images_capacity;
    uint32_t *seen; /* by cid: == stamp */
    uint32_t stamp;
    size_t seen_capacity;
    unsigned char *prepared; /* codes: the query */
    float *turned, *floats;
    struct candidate *candidates;
    uint64_t *order; /* of candidates */
    struct source *sources;
    size_t n_candidates, candidates_capacity, order_capacity, n_sources, sources_capacity;
    float *upper_distances, *own_distances;
    uint64_t *upper_ids, *own_ids;
    size_t upper_distances_capacity, upper_ids_capacity, own_distances_capacity, own_ids_capacity;
    unsigned char *rows; /* read by themselves */
    size_t rows_capacity;
    struct hits hits;
    float distances[SCAN_BLOCK];
    uint32_t integers[SCAN_BLOCK], at[SCAN_BLOCK];
};

/* 4. One file a step */

int seek_no_memory(const struct channi *);
/* What a failure to read means: OK where a damaged file is left out of answers, else rc. */
int seek_damaged(struct seeker *, int rc);

/* search.c: begins a seeker with its scratch; the top is its own, of the work's arrays, unless given. */
int seeker_begin(struct seeker *, const struct quest *, struct channi_scratch *,
                 const struct topk *top);
/* Adds to the counters, and to `work`. */
void tally_add(struct tally *to, const struct tally *);
void tally_report(struct channi *, const struct tally *, struct work *);

/* probe.c: all of one query: which clusters, in what order, until when. */
int quest_run(struct seeker *);

/* look.c: n clusters. In steps: all of them. In turn: until one's route is too far, as `eps` says, or as many as
   `idle` says brought nothing; routes are ascending. */
int look_in_steps(struct seeker *, const uint32_t *cids, size_t n);
int look_in_turn(struct seeker *, const uint32_t *cids, const float *routes, size_t n);
/* What was asked for is no longer needed. */
void look_unpin(struct seeker *);

/* scan.c */
void scan_delta(struct seeker *, const struct cluster *);
int scan_image(struct seeker *, const struct cluster *, const struct image *);
/* Whether no row of the file died or came since: none has to be asked. */
bool scan_sees_all(const struct cluster *, const struct image *);
/* Of row `row` of the file: seen in the view and allowed. */
bool scan_takes(struct seeker *, const struct cluster *, const struct image *, uint32_t row);
float scan_distance(const struct seeker *, const void *row);
/* An answer, or none; a candidate's bound is among the uppers already. */
void scan_offer(struct seeker *, float distance, uint64_t id);

/* scan_codes.c */
int scan_codes(struct seeker *, const struct cluster *, const struct image *);
/* Brings what a scan of this one reads first. */
void scan_codes_ahead(const struct quantizer *, const struct image *);
/* Exact distances of candidates. Where rows are in memory they are pinned until then. */
int scan_candidates(struct seeker *);

/* reduce.c: what `n` seekers found becomes `to`'s: answers, bounds, candidates, tallies. */
int reduce_seekers(struct seeker *to, struct seeker *, size_t n);
/* The k least of lists that are each ascending by (distance, id), and of to's own, which stay a heap.
   heads: n, scratch. */
void reduce_sorted(struct topk *to, const struct topk *lists, size_t n, size_t *heads);

#endif
