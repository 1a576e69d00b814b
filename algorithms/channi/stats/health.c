/* health.c - how well the clusters fit the rows: cluster sizes, the share of rows that an insertion
 * today would assign to another cluster, and what maintenance has to do. */
#include <math.h>
#include <stdlib.h>

#include "algorithms/channi/search/route.h"
#include "algorithms/channi/stats/stats.h"
#include "src/core/mem.h"
#include "src/core/order.h"

enum { MISASSIGNED_STREAM = 0x6d69, TRIES = 16 };

void channi_sizes_of(uint32_t *live, size_t n, struct channi_sizes *out)
{
    double sum = 0, squares = 0, weighted = 0;

    *out = (struct channi_sizes){ .n = n };
    if (n == 0)
        return;
    qsort(live, n, sizeof *live, order_u32);
    for (size_t i = 0; i < n; i++) {
        const double x = live[i];

        sum += x;
        squares += x * x;
        weighted += (double)(i + 1) * x;
        out->empty += live[i] == 0;
    }
    const double count = (double)n, variance = squares / count - sum / count * (sum / count);
    out->mean = sum / count;
    out->cv = sum > 0 && variance > 0 ? sqrt(variance) / out->mean : 0;
    out->gini = sum > 0 ? 2 * weighted / (count * sum) - (count + 1) / count : 0;
    out->p99 = live[(n * 99 + 99) / 100 - 1];
    out->max = live[n - 1];
}

/* Samples up to n live rows, drawn by the index's seed; all rows if there are fewer. A row is given by its cid in
   the upper half and its number in the lower one. `write` is held. */
static size_t draw(const struct channi *c, uint64_t *rows, size_t n)
{
    struct rng rng = rng_at(c->base.env.seed, MISASSIGNED_STREAM);
    const bool all = channi_live(c) <= n;
    const size_t tries = all ? c->n_slots : n * TRIES;
    size_t found = 0;

    for (size_t i = 0; i < tries && found < n && c->n_slots > 0; i++) {
        const size_t slot = all ? i : (size_t)rng_below(&rng, c->n_slots);

        if (c->ids[slot] != INDEX_NO_ID)
            rows[found++] = (uint64_t)c->places[slot].cid << 32 | c->places[slot].row;
    }
    return found;
}

struct misassignment {
    struct channi *c;
    const struct channi_layout *layout;
    struct channi_scratch *x;
    size_t rows, misassigned;
    double checked;
};

static int route_row(struct misassignment *m, uint32_t cid, const void *row)
{
    uint32_t to;
    const int rc =
        channi_route(m->c, m->x, m->layout, row, (size_t)m->c->params.assign_ef, &to, &m->checked);

    m->rows += rc == OK;
    m->misassigned += rc == OK && to != cid;
    return rc;
}

/* Routes the n sampled rows of one cluster. */
static int route_cluster(struct misassignment *m, const uint64_t *rows, size_t n)
{
    const struct channi_cluster *cl = m->layout->clusters[rows[0] >> 32];
    struct error unread = { 0 }, *before;
    struct channi_whole_file whole;
    bool held = false;
    int rc = OK;

    if (cl->base && (uint32_t)rows[0] < cl->base_n) {
        before = error_divert(&unread); /* an unreadable file is skipped, not an error */
        held = channi_cache_whole(m->c->cache, cl->base, &whole) == OK;
        (void)error_divert(before);
    }
    for (size_t i = 0; rc == OK && i < n; i++) {
        const uint32_t row = (uint32_t)rows[i];

        if (row >= cl->base_n)
            rc = route_row(m, cl->cid, channi_delta_at(&cl->delta, row - cl->base_n).row);
        else if (held)
            rc = route_row(m, cl->cid, whole.image.rows + row * m->c->row_bytes);
    }
    if (held)
        channi_cache_whole_done(m->c->cache, &whole);
    return rc;
}

int channi_misassigned(struct channi *c, double *share, size_t *n_rows)
{
    uint64_t rows[MISASSIGNED_ROWS];
    struct misassignment m = { .c = c, .x = scratch_pool_take(&c->scratch) };
    int rc = OK;

    if (!m.x)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot count misassigned rows");
    pthread_mutex_lock(&c->write); /* view and places of one moment */
    struct channi_view *view = channi_view_now(c);
    const size_t n = draw(c, rows, MISASSIGNED_ROWS);
    pthread_mutex_unlock(&c->write);
    m.layout = view->layout;
    qsort(rows, n, sizeof *rows, order_u64);
    for (size_t i = 0, end; rc == OK && m.layout->routes && i < n; i = end) {
        for (end = i + 1; end < n && rows[end] >> 32 == rows[i] >> 32;)
            end++;
        rc = route_cluster(&m, rows + i, end - i);
    }
    channi_view_unref(c, view);
    scratch_pool_give(&c->scratch, m.x);
    *n_rows = m.rows;
    *share = m.rows ? (double)m.misassigned / (double)m.rows : 0;
    return rc;
}

void channi_health_report(struct channi *c, const struct channi_layout *layout,
                          void (*number)(void *to, const char *name, double value), void *to)
{
    static const char *const names[][JOB_KINDS] = {
        { "pending_compact", "pending_split", "pending_merge" },
        { "running_compact", "running_split", "running_merge" },
    };
    size_t pending[JOB_KINDS] = { 0 }, over = 0, under = 0;
    uint64_t backlog_bytes = 0;
    struct channi_cluster *cl;

    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));) {
        struct channi_latch *latch = segmented_at(&c->latches, cl->cid);
        const unsigned queued = atomic_load(&latch->queued);
        const uint32_t live = atomic_load(&cl->live);

        if (cl->kind == CLUSTER_DEFERRED)
            continue;
        over += live > c->split_max;
        under += live < c->merge_min;
        for (unsigned kind = 0; kind < JOB_KINDS; kind++)
            pending[kind] += queued >> kind & 1;
        if (queued)
            backlog_bytes += (cl->base ? cl->base->file_bytes : 0) + atomic_load(&cl->delta.bytes);
    }
    for (unsigned kind = 0; kind < JOB_KINDS; kind++)
        number(to, names[0][kind], (double)pending[kind]);
    for (unsigned kind = 0; kind < JOB_KINDS; kind++)
        number(to, names[1][kind], (double)atomic_load(&c->jobs.running[kind]));
    number(to, "clusters_over_split_max", (double)over);
    number(to, "clusters_below_merge_min", (double)under);
    number(to, "backlog_bytes", (double)backlog_bytes);
}
