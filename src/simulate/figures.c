/* figures.c - strong scaling, weak scaling, and throughput by vectors: what was measured as points,
 * predictions as lines. plots/predicted.gp draws them. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/figure/gnuplot.h"
#include "src/figure/plot.h"
#include "src/simulate/simulate.h"

static const struct figure_kind predicted_kind = {
    .name = "predicted", .x = "", .y = "qps", .traits = FIGURE_HAS_LOG_X | FIGURE_HAS_LOG_Y
};

/* The end of a series' name, by which plots/predicted_lines.gp draws it. */
enum series { MEASURED, PREDICTED, MORE, SERIES };
static const char *const endings[SERIES] = { "measured", "predicted", "more machines" };

struct drawing {
    const struct simulate *s;
    const struct simulate_wish *wish;
    struct simulate_costs costs;
    struct figure figure;
    enum series series; /* that is added now: gnuplot has all of one kind together */
    int rc;
};

static void add_point(struct drawing *d, const char *panel, const char *name, double x, double y,
                      double low, double high)
{
    char series[440];
    (void)snprintf(series, sizeof series, "%s, %s", name, endings[d->series]);
    d->rc = d->rc ? d->rc : figure_add(&d->figure, panel, series, name, x, "", y, low, high);
}

/* What was measured, or the prediction for it. */
static void add_run(struct drawing *d, const char *panel, const char *name, double x,
                    const struct simulate_run *r)
{
    if (d->series == MEASURED)
        add_point(d, panel, name, x, r->qps, r->qps_low, r->qps_high);
    if (d->series == PREDICTED)
        add_point(d, panel, name, x, simulate_run_answer(d->s, r).qps, NAN, NAN);
}

static void add_wished(struct drawing *d, const char *panel, const char *name, double x,
                       size_t method, double shards, double rows)
{
    const struct simulate_question q =
        simulate_wished(d->s, d->wish, &d->costs, method, shards, rows);
    if (d->series == MORE)
        add_point(d, panel, name, x, q.batch / simulate_batch_time_s(&q), NAN, NAN);
}

/* ---- by ranks */

/* All vectors on more ranks, or (weak) as many more vectors. Runs with a rank for each shard. */
static void add_by_ranks(struct drawing *d, size_t method, bool weak)
{
    const char *name = d->s->methods[method].name;
    const struct simulate_list *shards = &d->wish->shards;
    double all = 0, ranks = 0; /* the most of the runs */
    for (const struct simulate_run *r = d->s->runs; r < d->s->runs + d->s->n_runs; r++)
        if (r->method == method) {
            all = fmax(all, r->rows);
            ranks = fmax(ranks, r->ranks);
        }
    const double each = all / ranks;
    for (size_t i = 0; i < d->s->n_runs; i++) {
        const struct simulate_run *r = &d->s->runs[i];
        const double rows = weak ? each * r->ranks : all;
        if (r->method == method && r->shards == r->ranks && fabs(r->rows / rows - 1) < .01)
            add_run(d, "", name, r->ranks, r);
    }
    for (size_t i = 0; i < shards->n; i++)
        add_wished(d, "", name, shards->at[i], method, shards->at[i],
                   weak ? each * shards->at[i] : all);
}

/* ---- by vectors */

static void add_vectors(struct drawing *d, size_t method)
{
    static const double step = 1.7782794100389228; /* four for each power of ten */
    enum { STEPS = 200 };
    const struct simulate_method *m = &d->s->methods[method];
    const struct simulate_list *shards = &d->wish->shards;
    const double most = d->wish->vectors.at[d->wish->vectors.n - 1];
    for (size_t i = 0; i < shards->n; i++) {
        double rows = m->curve.at[0].rows * shards->at[i];
        char name[64];
        (void)snprintf(name, sizeof name, "%g shard%s", shards->at[i],
                       shards->at[i] > 1 ? "s" : "");
        for (size_t j = 0; j < d->s->n_runs; j++) {
            const struct simulate_run *r = &d->s->runs[j];
            if (r->method == method && r->shards == shards->at[i] && r->ranks == r->shards)
                add_run(d, m->name, name, r->rows, r);
        }
        for (int j = 0; j < STEPS && rows <= most * 1.001; j++, rows *= step)
            add_wished(d, m->name, name, rows, method, shards->at[i], rows);
    }
}

/* ---- drawing */

struct spec {
    const char *file, *title, *x_name;
    enum { STRONG, WEAK, BY_VECTORS } kind;
};

static const struct spec specs[] = {
    { "strong-scaling", "All vectors on more ranks", "ranks", STRONG },
    { "weak-scaling", "As many vectors per rank on more ranks", "ranks", WEAK },
    { "vectors", "Queries per second by vectors", "vectors", BY_VECTORS },
};

static int draw(struct drawing *d, const struct spec *spec, const json_t *result, const char *dir,
                const char *plots, const volatile int *interrupted, json_t *letters,
                struct error *err)
{
    struct figure *f = &d->figure;
    *f = (struct figure){ .kind = &predicted_kind,
                          .file = strdup(spec->file),
                          .title = strdup(spec->title),
                          .x_name = strdup(spec->x_name),
                          .y_name = strdup("qps") };
    d->rc = f->file && f->title && f->x_name && f->y_name ? OK : ERR_NO_MEMORY;
    for (d->series = MEASURED; !d->rc && d->series < SERIES; d->series++)
        for (size_t m = 0; m < d->s->n_methods; m++)
            if (spec->kind == BY_VECTORS)
                add_vectors(d, m);
            else
                add_by_ranks(d, m, spec->kind == WEAK);
    int rc = d->rc ? fail(err, d->rc, "out of memory for the figure %s", spec->file) : OK;
    if (!rc)
        rc = figure_write(f, result, dir, plots, FIGURE_PAGE, letters, err);
    if (!rc)
        rc = gnuplot_run(dir, spec->file, interrupted, err);
    figure_free(f);
    return rc;
}

int simulate_draw(const struct simulate *s, const struct simulate_wish *wish, const json_t *result,
                  const char *dir, const char *root, const volatile int *interrupted,
                  json_t *letters, struct error *err)
{
    char path[PATH_MAX], plots[PATH_MAX];
    struct drawing d = { .s = s, .wish = wish, .costs = simulate_costs_of(s, NULL) };
    if (snprintf(path, sizeof path, "%s/plots", root) >= (int)sizeof path || !realpath(path, plots))
        return fail_errno(err, ERR_NOT_FOUND, "%s/plots: cannot find the templates of figures",
                          root);
    int rc = OK;
    for (size_t i = 0; !rc && i < sizeof specs / sizeof *specs; i++)
        rc = draw(&d, &specs[i], result, dir, plots, interrupted, letters, err);
    return rc;
}
