/* query.c - shared by single searches and batches. */
#include <math.h>

#include "algorithms/spfresh/search/internal.h"

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
        top->ids[i] = ID_NONE;
        top->distances[i] = INFINITY;
    }
    top->n = to;
}

void spfresh_add_work(struct work *to, const struct work *work)
{
    to->distances += work->distances;
    to->estimates += work->estimates;
    to->bytes_read += work->bytes_read;
    to->scanned += work->scanned;
}
