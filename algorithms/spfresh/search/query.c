/* query.c - one query: finds the nearest heads, then reads and scans the postings worth opening.
 *
 * A query is inside the epoch from the graph search to its last posting. It takes no lock. */
#include <math.h>

#include "algorithms/spfresh/search/internal.h"
#include "src/core/mem.h"

/* Postings read at once; bounds the reader's buffers. With a deadline all are read at once, as the
   deadline is for the whole query. */
enum { READ_SOME = 128 };

/* SPANN's query-aware pruning. Distances are ascending, so a prefix of the heads remains. */
size_t spfresh_worth_opening(const struct spfresh_knobs *knobs, const float *distances, size_t n)
{
    if (knobs->max_dist_ratio > 0)
        while (n > 1 && (double)distances[n - 1] > knobs->max_dist_ratio * (double)distances[0])
            n--;
    return n;
}

int spfresh_rerank(struct spfresh *s, struct spfresh_scan *scan, uint64_t start)
{
    const int rc = spfresh_codec_scan_end(scan);

    if (spfresh_has_row_file(s))
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
    spfresh_count(&s->counters.queries, 1);
    spfresh_count(&s->counters.head_distances, (uint64_t)checked);
    spfresh_count(&s->counters.entries_scanned, (uint64_t)scan->entries);
    spfresh_count(&s->counters.duplicates, (uint64_t)scan->duplicates);
    spfresh_count(&s->counters.row_pages, (uint64_t)scan->row_pages);
}

void spfresh_finish_top(struct topk *top)
{
    size_t to = 0;

    topk_sort(top);
    for (size_t i = 0; i < top->n; i++) {
        bool again = false;

        for (size_t j = to; j-- > 0 && top->distances[j] == top->distances[i] && !again;)
            again = top->ids[j] == top->ids[i];
        if (again)
            continue;
        top->ids[to] = top->ids[i];
        top->distances[to++] = top->distances[i];
    }
    for (size_t i = to; i < top->n; i++) {
        top->ids[i] = INDEX_NO_ID;
        top->distances[i] = INFINITY;
    }
    top->n = to;
}

static int scan_some(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                     size_t first, size_t n, const struct posting_read_options *options)
{
    int rc = posting_read(x->reader, x->heads + first, n, options);
    size_t late = 0;

    for (size_t i = first; rc == OK && i < first + n; i++) {
        const unsigned char *bytes = NULL;
        size_t n_bytes = 0;

        rc = posting_next(x->reader, &bytes, &n_bytes);
        late += rc == OK && !bytes;
        if (rc == OK && n_bytes > 0)
            rc = spfresh_codec_scan(scan, x->heads[i], x->distances[i], bytes, n_bytes);
        scan->bytes += (double)(-n_bytes % POSTING_PAGE); /* pages are read whole */
    }
    spfresh_count(&s->counters.postings_late, late);
    return rc;
}

static int scan_postings(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                         const struct spfresh_knobs *knobs)
{
    const struct posting_read_options options = {
        .bytes_at_most = (size_t)knobs->page_budget * POSTING_PAGE,
        .deadline_us = (uint64_t)ceil(knobs->latency_limit_ms * 1000),
    };
    const size_t n = spfresh_worth_opening(knobs, x->distances, x->n_heads);
    const size_t some = options.deadline_us > 0 ? n : READ_SOME;
    int rc = spfresh_codec_scan_begin(scan);

    for (size_t i = 0; rc == OK && i < n; i += some)
        rc = scan_some(s, x, scan, i, n - i < some ? n - i : some, &options);
    spfresh_count(&s->counters.postings_read, n);
    spfresh_count(&s->counters.postings_pruned, x->n_heads - n);
    x->n_heads = n;
    return rc;
}

/* Keeps of the heads found those whose postings the query has not read, and notes them as read. */
static int keep_unread(struct spfresh *s, struct spfresh_scratch *x)
{
    size_t n = 0;

    if (!key_set_reserve(&x->opened, s->base.env.mem, x->opened.n + x->n_heads))
        return spfresh_no_memory(s, "out of memory searching");
    for (size_t i = 0; i < x->n_heads; i++) {
        const size_t before = x->opened.n;

        if (key_set_add(&x->opened, x->heads[i]) < before)
            continue;
        x->heads[n] = x->heads[i];
        x->distances[n++] = x->distances[i];
    }
    x->n_heads = n;
    return OK;
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
    size_t asked = x->n_heads;

    key_set_clear(&x->opened);
    int rc = keep_unread(s, x);
    while (rc == OK && asked < live && spfresh_wants_more(scan, knobs)) {
        asked = asked > 0 ? 2 * asked : 1;
        rc = spfresh_nearest(s, x, scan->query, asked, (size_t)knobs->ef, 0, checked);
        if (rc == OK)
            rc = keep_unread(s, x);
        for (size_t i = 0; rc == OK && i < x->n_heads && spfresh_wants_more(scan, knobs); i++)
            rc = scan_some(s, x, scan, i, 1, &options);
        spfresh_count(&s->counters.postings_read, x->n_heads);
    }
    return rc;
}

int spfresh_query_run(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                      const struct spfresh_knobs *knobs, struct work *work)
{
    double checked = 0;
    int rc = OK;

    if (!atomic_load(&s->built))
        return OK;
    scan->s = s;
    scan->scratch = x->codec;
    scan->rerank = (size_t)knobs->rerank;
    uint64_t at = spfresh_now(s);
    const unsigned ticket = epoch_enter(s->epoch);
    rc = spfresh_nearest(s, x, scan->query, (size_t)knobs->nprobe, (size_t)knobs->ef,
                         (size_t)knobs->max_check, &checked);
    at = spfresh_lap(s, SPFRESH_PHASE_HEADS, at);
    if (rc == OK)
        rc = scan_postings(s, x, scan, knobs);
    if (rc == OK && spfresh_wants_more(scan, knobs))
        rc = spfresh_read_on(s, x, scan, knobs, &checked);
    at = spfresh_lap(s, SPFRESH_PHASE_POSTINGS, at);
    if (rc == OK)
        rc = spfresh_rerank(s, scan, at);
    epoch_leave(s->epoch, ticket);
    spfresh_count_query(s, scan, checked, work);
    return rc;
}
