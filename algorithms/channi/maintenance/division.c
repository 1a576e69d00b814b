/* division.c - shared by compactions, splits and merges. */
#include <math.h>
#include <string.h>

#include "algorithms/channi/maintenance/internal.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"

bool channi_rewrite_begin(struct channi *c, uint32_t cid, enum channi_job_kind kind,
                          struct channi_taken *w, bool *busy, int *rc)
{
    unsigned ticket;
    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;
    const bool due = cid < layout->n_clusters && layout->clusters[cid] &&
                     channi_needs(c, layout->clusters[cid]) == kind;

    channi_leave(c, ticket);
    *rc = OK;
    if (!due)
        return false;
    *busy = !channi_take(c, &cid, 1, w);
    if (!*busy && channi_needs(c, w->clusters[0]) == kind)
        *rc = channi_gather(c, w);
    return !*busy;
}

void channi_find_roots(const struct channi *c, const struct channi_taken *w, uint32_t *roots,
                       uint32_t *live)
{
    const struct channi_members *m = &w->members;
    float least[WORK_MOST]; /* -1: it is the root */

    for (size_t i = 0; i < w->n; i++) {
        least[i] = INFINITY;
        live[i] = 0;
    }
    for (uint32_t i = 0; i < m->n; i++) {
        const uint32_t from = m->rows[i].from;
        const struct channi_cluster *cl = w->clusters[from];

        if (m->rows[i].dead != 0)
            continue;
        live[from]++;
        if (least[from] < 0)
            continue;
        const float d = m->rows[i].number == cl->base->root
                            ? -1
                            : rows_distance(&c->base.env, m->rows[i].bytes, cl->site);
        if (d < least[from]) {
            least[from] = d;
            roots[from] = i;
        }
    }
}

int channi_cloud_make(struct channi_cloud *x, const struct channi *c,
                      const struct channi_members *m)
{
    const size_t dim = c->base.env.dim;

    *x = (struct channi_cloud){ .dim = dim, .memory.mem = c->base.env.mem };
    x->rows = mem_group_array(&x->memory, m->n_live, dim * sizeof *x->rows);
    x->member = mem_group_array(&x->memory, m->n_live, sizeof *x->member);
    if (x->memory.failed) {
        mem_group_free(&x->memory);
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot convert %zu rows", m->n_live);
    }
    for (size_t i = 0; i < m->n && x->n < m->n_live; i++)
        if (m->rows[i].dead == 0) {
            rows_to_floats(&c->base.env, m->rows[i].bytes, 1, x->rows + x->n * dim);
            x->member[x->n++] = (uint32_t)i;
        }
    return OK;
}

/* Works in chunks of dimensions, so that the sums in double fit on the stack. */
void channi_cloud_mean(const struct channi_cloud *x, const uint32_t *rows, size_t n, float *mean)
{
    double sum[256];

    for (size_t first = 0; first < x->dim; first += 256) {
        const size_t len = x->dim - first < 256 ? x->dim - first : 256;

        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < n; i++) {
            const float *row = x->rows + (rows ? rows[i] : i) * x->dim + first;
            for (size_t j = 0; j < len; j++)
                sum[j] += (double)row[j];
        }
        for (size_t j = 0; j < len; j++)
            mean[first + j] = (float)(sum[j] / (double)(n ? n : 1));
    }
}

uint32_t channi_cloud_nearest(const struct channi *c, const struct channi_cloud *x,
                              const uint32_t *rows, size_t n, const float *point)
{
    const struct kernels *k = c->base.env.kernels;
    uint32_t best = rows ? rows[0] : 0;
    float least = INFINITY;

    for (size_t i = 0; i < n; i++) {
        const uint32_t at = rows ? rows[i] : (uint32_t)i;
        const float d = k->l2sq_f32(x->rows + at * x->dim, point, x->dim);
        if (d < least) {
            least = d;
            best = at;
        }
    }
    return best;
}

int channi_choose_root(const struct channi *c, const struct channi_members *m, uint32_t *member,
                       double *cost)
{
    struct channi_cloud x;
    int rc = channi_cloud_make(&x, c, m);

    if (rc != OK)
        return rc;
    float *mean = mem_group_array(&x.memory, x.dim, sizeof *mean);
    if (mean) {
        channi_cloud_mean(&x, NULL, x.n, mean);
        *member = x.member[channi_cloud_nearest(c, &x, NULL, x.n, mean)];
        *cost += (double)x.n;
    } else {
        rc = CHANNI_NO_MEMORY(&c->base.env, ", cannot choose a root");
    }
    mem_group_free(&x.memory);
    return rc;
}

int channi_replace_by_one(struct channi *c, struct channi_taken *w, struct channi_part *part)
{
    const struct channi_members *m = &w->members;
    const struct channi_replacement r = { .parts = part, .n_parts = 1, .threads = 1 };
    uint32_t *rows = mem_array(c->base.env.mem, m->n, sizeof *rows);

    if (!rows)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot rewrite %zu rows", m->n);
    part->rows = rows;
    part->go_on = true;
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < m->n; i++)
            if ((m->rows[i].from != part->successor_of) == others)
                rows[part->n++] = (uint32_t)i;
    const int rc = channi_replace(c, w, &r);
    mem_free(c->base.env.mem, rows);
    return rc;
}
