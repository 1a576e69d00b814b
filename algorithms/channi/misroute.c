/* misroute.c - rows that an insertion of today would put elsewhere, and how large clusters are. */
#include <math.h>
#include <stdlib.h>

#include "algorithms/channi/stats.h"
#include "src/core/mem.h"

enum { MISROUTE_STREAM = 0x6d69, TRIES = 16 };

/* --------------------------------------------------------------------------------- sizes */

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void channi_sizes_of(uint32_t *live, size_t n, struct channi_sizes *out)
{
    double sum = 0, squares = 0, weighted = 0;

    *out = (struct channi_sizes){ .n = n };
    if (n == 0)
        return;
    qsort(live, n, sizeof *live, ascending);
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

/* ---------------------------------------------------------------------------------- rows */

/* `write` is held. */
static size_t draw(const struct channi *c, struct drawn *rows, size_t n)
{
    struct rng rng = rng_at(c->base.env.seed, MISROUTE_STREAM);
    const bool all = channi_live(c) <= n;
    const size_t tries = all ? c->n_slots : n * TRIES;
    size_t found = 0;

    for (size_t i = 0; i < tries && found < n && c->n_slots > 0; i++) {
        const size_t slot = all ? i : (size_t)rng_below(&rng, c->n_slots);

        if (c->ids[slot] != ID_NONE)
            rows[found++] = (struct drawn){ c->ids[slot], c->places[slot] };
    }
    return found;
}

struct view *channi_look(struct channi *c, struct drawn *rows, size_t *n)
{
    pthread_mutex_lock(&c->write);
    struct view *now = atomic_load(&c->now);

    (void)atomic_fetch_add(&now->refs, 1);
    if (rows)
        *n = draw(c, rows, *n);
    pthread_mutex_unlock(&c->write);
    return now;
}

static int by_place(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;

    if (x->place.cid != y->place.cid)
        return x->place.cid < y->place.cid ? -1 : 1;
    return x->place.row < y->place.row ? -1 : x->place.row > y->place.row;
}

struct misroute {
    struct channi *c;
    const struct layout *layout;
    struct channi_scratch *x;
    size_t rows, astray;
    double checked;
};

static int route_row(struct misroute *m, uint32_t cid, const void *row)
{
    uint32_t to;
    const int rc =
        channi_route(m->c, m->x, m->layout, row, (size_t)m->c->params.assign_ef, &to, &m->checked);

    m->rows += rc == OK;
    m->astray += rc == OK && to != cid;
    return rc;
}

/* The n drawn rows of one cluster. */
static int route_cluster(struct misroute *m, const struct drawn *rows, size_t n)
{
    const struct cluster *cl = m->layout->clusters[rows[0].place.cid];
    struct error unread = { 0 }, *before;
    struct whole whole;
    bool held = false;
    int rc = OK;

    if (cl->base && rows[0].place.row < cl->base_n) {
        before = error_divert(&unread); /* it is left out: no failure of ours */
        held = cache_whole(m->c->cache, cl->base, &whole) == OK;
        (void)error_divert(before);
    }
    for (size_t i = 0; rc == OK && i < n; i++) {
        const uint32_t row = rows[i].place.row;

        if (row >= cl->base_n)
            rc = route_row(m, cl->cid, delta_at(&cl->delta, row - cl->base_n).row);
        else if (held)
            rc = route_row(m, cl->cid, whole.image.rows + row * m->c->row_bytes);
    }
    if (held)
        cache_whole_done(m->c->cache, &whole);
    return rc;
}

int channi_misroute(struct channi *c, double *share, size_t *n_rows)
{
    struct drawn *rows = mem_array(c->base.env.mem, MISROUTE_ROWS, sizeof *rows);
    struct misroute m = { .c = c, .x = channi_scratch_take(c) };
    size_t n = MISROUTE_ROWS;
    int rc = OK;

    *share = 0;
    *n_rows = 0;
    if (!rows || !m.x) {
        mem_free(c->base.env.mem, rows);
        if (m.x)
            channi_scratch_give(c, m.x);
        return fail(c->base.env.error, ERR_NO_MEMORY,
                    "channi: out of memory to look for rows astray");
    }
    struct view *view = channi_look(c, rows, &n);
    m.layout = view->layout;
    qsort(rows, n, sizeof *rows, by_place);
    for (size_t i = 0, end; rc == OK && m.layout->routes && i < n; i = end) {
        for (end = i + 1; end < n && rows[end].place.cid == rows[i].place.cid;)
            end++;
        rc = route_cluster(&m, rows + i, end - i);
    }
    view_unref(c, view);
    channi_scratch_give(c, m.x);
    mem_free(c->base.env.mem, rows);
    *n_rows = m.rows;
    *share = m.rows ? (double)m.astray / (double)m.rows : 0;
    return rc;
}
