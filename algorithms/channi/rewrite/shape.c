/* shape.c - how the live rows of a cluster lie about its site.
 *
 * Where data drift, rows of a place that has no cluster come to the nearest one, however far it is.
 * While they are too few for a split by size, searches for them go to other clusters, whose sites
 * are nearer. So three shapes are recognised. Ordinary clusters have none:
 *   - the rows have left the site. A random member is about twice as far (squared) from the others
 *     as their mean is; here the site is more than LEFT times as far;
 *   - the rows may lie in places apart: a share of 1 / FAR_SHARE is more than FAR times as far from
 *     the site as the nearest such share. This is so on a line, too; a split decides (split.c);
 *   - the rows that came since the file was written lie beyond those before: three quarters of them are farther from the
 *     site than all those, or their median is more than BEYOND times as far (squared). Vectors of many dimensions
 *     and of unit length are never so far from each other that the two other shapes show. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/rewrite/internal.h"
#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"
#include "src/core/order.h"

enum { LEFT = 4, FAR = 3, FAR_SHARE = 8, BEYOND = 2 };
/* At least so many rows before, so many since, and together: by chance 3 in 100 such clusters look so at most; at
   least so many of each where medians are compared. */
enum { BEYOND_FEW = 4, BEYOND_TOGETHER = 12, BEYOND_MANY = 16 };

struct shape {
    float *squared; /* n: distances to the site; then dim floats each: a row, the site */
    double *shift;  /* dim: sum of the rows less the site */
    size_t n;
    size_t n_before; /* rows of a file, which come first until they are sorted together */
};

/* Dead rows serve old versions only. */
static void look(const struct channi_replacing *x, const struct channi_making *p, struct shape *s)
{
    const size_t dim = x->env.dim;
    float *row = s->squared + p->part->n, *site = row + dim;
    size_t n_since = 0;

    rows_to_floats(&x->c->base.env, p->cl->site, 1, site);
    for (size_t i = 0; i < p->part->n; i++) {
        const uint32_t at = p->part->rows[i];

        if (x->m->rows[at].dead)
            continue;
        const float squared = rows_distance(&x->c->base.env, x->m->rows[at].bytes, p->cl->site);
        const bool since = x->m->rows[at].number >= x->w->clusters[x->m->rows[at].from]->base_n;
        s->squared[since ? p->part->n - ++n_since : s->n_before++] = squared;
        rows_to_floats(&x->c->base.env, x->m->rows[at].bytes, 1, row);
        for (size_t j = 0; j < dim; j++)
            s->shift[j] += (double)row[j] - (double)site[j];
    }
    memmove(s->squared + s->n_before, s->squared + p->part->n - n_since,
            n_since * sizeof *s->squared);
    s->n = s->n_before + n_since;
}

static bool may_be_apart(struct shape *s, size_t merge_min)
{
    size_t far = 0;

    qsort(s->squared, s->n, sizeof *s->squared, order_f32);
    while (far < s->n && s->squared[s->n - 1 - far] > FAR * FAR * s->squared[s->n / FAR_SHARE])
        far++;
    return far >= merge_min && far >= s->n / FAR_SHARE && far > 0;
}

static bool are_beyond(struct shape *s)
{
    const size_t n = s->n_before, n_since = s->n - n;
    float *since = s->squared + n;

    if (n < BEYOND_FEW || n_since < BEYOND_FEW || s->n < BEYOND_TOGETHER)
        return false;
    qsort(s->squared, n, sizeof *s->squared, order_f32);
    qsort(since, n_since, sizeof *since, order_f32);
    return since[n_since / 4] > s->squared[n - 1] ||
           (n >= BEYOND_MANY && n_since >= BEYOND_MANY &&
            since[n_since / 2] > BEYOND * s->squared[n / 2]);
}

static void judge(const struct channi_replacing *x, struct channi_cluster *cl, struct shape *s)
{
    double sum = 0, squares = 0, shift = 0;

    for (size_t i = 0; i < s->n; i++) {
        sum += sqrt((double)s->squared[i]);
        squares += (double)s->squared[i];
    }
    for (size_t j = 0; j < x->env.dim; j++)
        shift += s->shift[j] * s->shift[j];
    cl->mean_d = (float)(sum / (double)s->n);
    /* The sum of squares about the mean is that about the site, less n times the squared shift of
       the mean. */
    if (squares > LEFT * (squares - shift / (double)s->n))
        atomic_store(&cl->shape, SHAPE_LEFT);
    else if (are_beyond(s))
        atomic_store(&cl->shape, SHAPE_BEYOND);
    else
        atomic_store(&cl->shape, may_be_apart(s, x->c->merge_min) ? SHAPE_APART : SHAPE_USUAL);
}

int channi_measure(const struct channi_replacing *x, const struct channi_making *p)
{
    struct mem *mem = x->c->base.env.mem;
    const size_t dim = x->env.dim;
    struct shape s = { .squared = mem_array(mem, p->part->n + 2 * dim, sizeof *s.squared),
                       .shift = mem_array(mem, dim, sizeof *s.shift) };
    const bool got = s.squared && s.shift;

    if (got) {
        memset(s.shift, 0, dim * sizeof *s.shift);
        look(x, p, &s);
        if (s.n > 0)
            judge(x, p->cl, &s);
    }
    mem_free(mem, s.squared);
    mem_free(mem, s.shift);
    return got ? OK : channi_replacing_no_memory(x);
}
