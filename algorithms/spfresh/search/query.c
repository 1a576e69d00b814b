/* query.c - one query: finds the nearest heads, then reads and scans the postings worth opening.
 *
 * A query is inside the epoch from the graph search to its last posting. It takes no lock. */
#include <math.h>

#include "algorithms/spfresh/search/internal.h"
#include "src/core/mem.h"

/* Postings read at once; bounds the reader's buffers. With a deadline all are read at once, as the
   deadline is for the whole query. */
enum { READ_SOME = 128 };
/* For queries that may stop: postings read at once, of which those in vain are few; the heads found
   first. */
enum { READ_FEW = 8, HEADS_FIRST = 16 };

/* SPANN's query-aware pruning. Distances are ascending, so a prefix of the heads remains. */
size_t spfresh_worth_opening(const struct spfresh_knobs *knobs, float home, const float *distances,
                             size_t n)
{
    const double limit = fmax(knobs->max_dist_ratio, 1) * (double)home;

    while (knobs->max_dist_ratio > 0 && n > 0 && (double)distances[n - 1] > limit)
        n--;
    return n;
}

int spfresh_rerank(struct spfresh *s, struct spfresh_scan *scan, uint64_t start)
{
    const int rc = spfresh_codec_scan_end(scan);

    if (spfresh_has_row_file(s) && !scan->sampled)
        (void)spfresh_lap(s, SPFRESH_PHASE_RERANK, start);
    return rc;
}

void spfresh_count_query(struct spfresh *s, const struct spfresh_scan *scan, double checked,
                         struct work *work)
{
    work->distances += checked + scan->distances;
    work->estimates += scan->estimates;
    work->bytes_read += scan->bytes + scan->row_pages * POSTING_PAGE;
    work->scanned += scan->entries;
    if (scan->sampled)
        return;
    spfresh_count(&s->counters.queries, 1);
    spfresh_count(&s->counters.head_distances, (uint64_t)checked);
    spfresh_count(&s->counters.entries_scanned, (uint64_t)scan->entries);
    spfresh_count(&s->counters.duplicates, (uint64_t)scan->duplicates);
    spfresh_count(&s->counters.row_pages, (uint64_t)scan->row_pages);
}

/* Whether a query has found enough. */
struct stops {
    const struct spfresh_stopping *by; /* NULL: no query has */
    struct stop_state state;
    bool enough;
};

/* After the i-th posting. */
static int judge(const struct spfresh_scratch *x, struct spfresh_scan *scan, struct stops *stops,
                 size_t i)
{
    const float next = x->distances[i + 1 < x->n_heads ? i + 1 : i];
    const struct topk *nearest = spfresh_codec_nearest(scan);
    struct stop_trace *trace = stops->by->trace;
    int rc = OK;

    if (!trace) {
        stops->enough = stop_after(&stops->state, topk_limit(nearest), next) >= stops->by->score;
        return OK;
    }
    const double score = stop_after(&stops->state, stop_trace_kth(trace, nearest), next);
    rc = spfresh_codec_scan_end(scan);
    stops->enough = rc == OK && stop_trace_note(trace, &scan->top, score);
    return rc;
}

/* Adds the number of postings read to *done. */
static int scan_some(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                     size_t first, size_t n, const struct posting_read_options *options,
                     struct stops *stops, size_t *done)
{
    int rc = posting_read(x->reader, x->heads + first, n, options);
    size_t late = 0;

    for (size_t i = first; rc == OK && i < first + n; i++, ++*done) {
        const unsigned char *bytes = NULL;
        size_t n_bytes = 0;

        rc = posting_next(x->reader, &bytes, &n_bytes);
        late += rc == OK && !bytes;
        if (stops->enough)
            scan->bytes += (double)n_bytes; /* read in vain */
        else if (rc == OK && n_bytes > 0)
            rc = spfresh_codec_scan(scan, x->heads[i], x->distances[i], bytes, n_bytes);
        scan->bytes += (double)(-n_bytes % POSTING_PAGE); /* pages are read whole */
        if (rc == OK && stops->by && !stops->enough)
            rc = judge(x, scan, stops, i);
    }
    if (!scan->sampled)
        spfresh_count(&s->counters.postings_late, late);
    return rc;
}

/* Scans the postings of the heads that are worth opening, and takes the others out of x->heads. home:
   the distance of the nearest head. */
static int scan_postings(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                         const struct spfresh_knobs *knobs, float home, struct stops *stops)
{
    const struct posting_read_options options = {
        .bytes_at_most = (size_t)knobs->page_budget * POSTING_PAGE,
        .deadline_us = (uint64_t)ceil(knobs->latency_limit_ms * 1000),
    };
    const size_t n = spfresh_worth_opening(knobs, home, x->distances, x->n_heads);
    /* A query that may stop reads postings of files some at a time, others one after the other. */
    const bool files = s->params.store == POSTING_FILE || s->params.store == POSTING_ROCKSDB;
    const size_t few = files ? READ_FEW : 1;
    const size_t some = options.deadline_us > 0 ? n : stops->by ? few : READ_SOME;
    size_t done = 0;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n && !stops->enough; i += some)
        rc = scan_some(s, x, scan, i, n - i < some ? n - i : some, &options, stops, &done);
    if (!scan->sampled) {
        spfresh_count(&s->counters.postings_read, done);
        spfresh_count(&s->counters.postings_pruned, x->n_heads - n);
    }
    x->n_heads = done;
    return rc;
}

/* Takes heads whose postings the query has read out of those found. */
static int drop_read(struct spfresh *s, struct spfresh_scratch *x)
{
    size_t n = 0;

    if (!key_set_reserve(&x->opened, s->base.env.mem, x->opened.n + x->n_heads))
        return spfresh_no_memory(s, "out of memory searching");
    for (size_t i = 0; i < x->n_heads; i++) {
        if (key_set_find(&x->opened, x->heads[i]) < x->opened.n)
            continue;
        x->heads[n] = x->heads[i];
        x->distances[n++] = x->distances[i];
    }
    x->n_heads = n;
    return OK;
}

static void note_read(struct spfresh_scratch *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)key_set_add(&x->opened, x->heads[i]);
}

/* With target_recall: twice as many heads each time, as most queries need few. x has the first. */
static int scan_until_enough(struct spfresh *s, struct spfresh_scratch *x,
                             struct spfresh_scan *scan, const struct spfresh_knobs *knobs,
                             const struct spfresh_stopping *stopping, double *checked)
{
    const float home = spfresh_home(x);
    const size_t most = (size_t)knobs->nprobe;
    struct stops stops = { .by = stopping, .state = stop_begin(home) };
    int rc = OK;

    key_set_clear(&x->opened);
    for (size_t found = x->n_heads, asked = found; rc == OK;) {
        rc = drop_read(s, x);
        const size_t unread = x->n_heads;
        rc = rc == OK ? scan_postings(s, x, scan, knobs, home, &stops) : rc;
        if (rc == OK)
            note_read(x, x->n_heads);
        if (rc != OK || stops.enough || x->n_heads < unread || found < asked || asked >= most)
            break;
        asked = 2 * asked < most ? 2 * asked : most;
        rc = spfresh_nearest(s, x, scan->query, asked, (size_t)knobs->ef, (size_t)knobs->max_check,
                             checked);
        found = x->n_heads;
    }
    return rc;
}

bool spfresh_wants_more(const struct spfresh_scan *scan, const struct spfresh_knobs *knobs)
{
    return !scan->found && !(knobs->latency_limit_ms > 0) &&
           spfresh_codec_found(scan) < scan->top.k;
}

/* Twice as many heads each time. A search for all of them is exact, so at last none is left out. */
int spfresh_read_on(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                    const struct spfresh_knobs *knobs, double *checked)
{
    const struct posting_read_options options = { .bytes_at_most =
                                                      (size_t)knobs->page_budget * POSTING_PAGE };
    const size_t live = graph_live(s->graph);
    struct stops never = { 0 };
    int rc = OK;

    if (!scan->stops) {
        key_set_clear(&x->opened);
        rc = drop_read(s, x);
        if (rc == OK)
            note_read(x, x->n_heads);
    }
    for (size_t asked = x->opened.n; rc == OK && asked < live && spfresh_wants_more(scan, knobs);) {
        size_t done = 0;

        asked = asked > 0 ? 2 * asked : 1;
        rc = spfresh_nearest(s, x, scan->query, asked, (size_t)knobs->ef, 0, checked);
        if (rc == OK)
            rc = drop_read(s, x);
        for (size_t i = 0; rc == OK && i < x->n_heads && spfresh_wants_more(scan, knobs); i++)
            rc = scan_some(s, x, scan, i, 1, &options, &never, &done);
        note_read(x, done);
        if (!scan->sampled)
            spfresh_count(&s->counters.postings_read, done);
    }
    return rc;
}

int spfresh_query_run(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                      const struct spfresh_knobs *knobs, const struct spfresh_stopping *stopping,
                      struct work *work)
{
    double checked = 0;
    int rc = OK;

    if (!atomic_load(&s->built))
        return OK;
    scan->s = s;
    scan->scratch = x->codec;
    scan->rerank = (size_t)knobs->rerank;
    scan->stops = stopping;
    /* Few heads first where a query may stop, unless it has one deadline for all. */
    const bool few = stopping && !stopping->trace && !(knobs->latency_limit_ms > 0);
    const size_t heads = (size_t)(few && knobs->nprobe > HEADS_FIRST ? HEADS_FIRST : knobs->nprobe);
    struct stops never = { 0 };
    uint64_t at = spfresh_now(s);
    const unsigned ticket = epoch_enter(s->epoch);
    rc = spfresh_nearest(s, x, scan->query, heads, (size_t)knobs->ef, (size_t)knobs->max_check,
                         &checked);
    at = scan->sampled ? at : spfresh_lap(s, SPFRESH_PHASE_HEADS, at);
    if (rc == OK)
        rc = spfresh_codec_scan_begin(scan);
    if (rc == OK)
        rc = stopping ? scan_until_enough(s, x, scan, knobs, stopping, &checked)
                      : scan_postings(s, x, scan, knobs, spfresh_home(x), &never);
    if (rc == OK && spfresh_wants_more(scan, knobs))
        rc = spfresh_read_on(s, x, scan, knobs, &checked);
    at = scan->sampled ? at : spfresh_lap(s, SPFRESH_PHASE_POSTINGS, at);
    if (rc == OK)
        rc = spfresh_rerank(s, scan, at);
    epoch_leave(s->epoch, ticket);
    spfresh_count_query(s, scan, checked, work);
    return rc;
}
