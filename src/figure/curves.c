/* curves.c - figures of one metric over another: Pareto, bars, curves over the workload's steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/figure/axis.h"
#include "src/figure/internal.h"
#include "src/plan/plan.h"

static bool same_curve(const struct plot_point *a, const struct plot_point *b)
{
    return !strcmp(a->panel, b->panel) && !strcmp(a->series, b->series);
}

/* Sorts the points of each curve by x: a sweep of two knobs gives them in another order. */
static void order_curves(struct figure *f)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = i + 1; j < f->n; j++)
            if (f->points[j].x < f->points[i].x && same_curve(&f->points[i], &f->points[j])) {
                const struct plot_point p = f->points[i];
                f->points[i] = f->points[j];
                f->points[j] = p;
            }
}

/* Over throughput, the y axis is the recall of the same searches (throughput_recall@K) if the
   result has it, else the figure's y. */
static void recall_beside(const struct gather *g, char *name, size_t bytes)
{
    const struct figure *f = g->figure;

    snprintf(name, bytes, "%s", f->y_name);
    if (strcmp(f->x_name, "qps") != 0 || strcmp(f->y_name, g->recall) != 0)
        return;
    char own[64];
    snprintf(own, sizeof own, "throughput_%s", g->recall);
    json_t *tags = figure_tags_with(g, own);
    if (json_array_size(tags) > 0)
        snprintf(name, bytes, "%s", own);
    json_decref(tags);
}

/* A cell's name, or with `by_build` its build's, without the two parameters of the axes: the cells of
   one such name have a field each. New string; NULL: out of memory. */
static char *name_beside(const struct figure *f, const struct result_cell *cell, bool by_build)
{
    char point[500], part[500], name[1000];
    json_t *axes = json_pack("{s:b, s:b}", f->x_name, 1, f->y_name, 1);

    plan_write_build_part(cell->point, by_build ? json_object_get(cell->json, "knobs") : NULL,
                          point, sizeof point);
    plan_write_build_part(point, axes, part, sizeof part);
    plan_write_label(cell->label, part, name, sizeof name);
    json_decref(axes);
    return strdup(name);
}

/* One panel per query set, one curve per build, one point per knob setting; over a parameter, one curve for
   each setting of the others. */
int figure_gather_pareto(struct gather *g)
{
    struct figure *f = g->figure;
    char y_name[200];
    recall_beside(g, y_name, sizeof y_name);
    json_t *tags = figure_tags_with(g, y_name);
    int rc = OK;
    for (size_t t = 0; !rc && t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        for (size_t i = 0; i < g->result->n_variants; i++) {
            const struct result_cell *cell = g->result->variants[i];
            const double x = figure_value_of(g, cell, f->x_name, tag);
            if (rc || isnan(x) || !figure_allows_cell(g, cell))
                continue;
            const size_t n = f->n;
            f->x_is_parameter = figure_is_parameter(g, cell, f->x_name, tag);
            char *beside = f->x_is_parameter ? name_beside(f, cell, false) : strdup(cell->build);
            rc = beside ? figure_add_variant(g, cell, tag, beside, x, "", y_name, tag)
                        : ERR_NO_MEMORY;
            free(beside);
            if (f->n > n)
                figure_interval(g, cell, f->x_name, tag, &f->points[n].x_low, &f->points[n].x_high);
        }
    }
    json_decref(tags);
    order_curves(f);
    return rc;
}

/* Adds the bars of one cell in one panel. The labels are positions on the x axis; with `by_tag`, the
   tags are. */
static int add_bars(struct gather *g, const struct result_cell *cell, const char *panel,
                    const char *metric, const json_t *tags, bool shared)
{
    const bool by_tag = !strcmp(g->figure->x_name, "tag");
    const char *label = shared ? cell->build : cell->name;
    int rc = OK;
    for (size_t t = 0; rc == OK && t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        rc = figure_add_variant(g, cell, panel, by_tag ? label : tag, 0, by_tag ? tag : label,
                                metric, tag);
    }
    return rc;
}

/* The best first. */
static void order_bars(struct figure *f)
{
    const bool is_better_low = result_metric(f->y_name)->better < 0;
    for (size_t i = 1; i < f->n; i++) {
        const struct plot_point p = f->points[i];
        size_t at = i;
        for (; at > 0 && (is_better_low ? f->points[at - 1].y > p.y : f->points[at - 1].y < p.y);
             at--)
            f->points[at] = f->points[at - 1];
        f->points[at] = p;
    }
}

/* The metric of a panel: of a list, or the only one. */
static const char *metric_of_panel(const struct gather *g, size_t m)
{
    const json_t *listed = json_object_get(g->spec, "y");
    return json_array_size(listed) > 1 ? json_string_value(json_array_get(listed, m))
                                       : g->figure->y_name;
}

/* One group of bars per label, one colour per tag; with several metrics, one panel per metric. Where settings were
   tuned, one metric ranks the labels. */
int figure_gather_bars(struct gather *g)
{
    const size_t n_listed = json_array_size(json_object_get(g->spec, "y")),
                 n = n_listed > 1 ? n_listed : 1;
    size_t n_cells;
    bool shared = true;
    for (size_t m = 0; m < n; m++) {
        const char *metric = metric_of_panel(g, m);
        json_t *tags = figure_tags_with(g, metric);
        shared &= figure_is_of_build(g, metric, tags);
        json_decref(tags);
    }
    const struct result_cell **cells = figure_cells(g, shared, &n_cells);
    int rc = cells ? OK : ERR_NO_MEMORY;
    for (size_t m = 0; m < n; m++) {
        const char *metric = metric_of_panel(g, m);
        json_t *tags = figure_tags_with(g, metric);
        for (size_t i = 0; !rc && i < n_cells; i++)
            rc = add_bars(g, cells[i], n > 1 ? metric : "", metric, tags, shared);
        json_decref(tags);
    }
    free(cells);
    if (n == 1 && strcmp(g->figure->x_name, "tag") != 0 && g->result->is_tuned)
        order_bars(g->figure);
    figure_place_by_label(g->figure);
    return rc;
}

/* The parameters of gather_steps(). */
struct over_steps {
    enum op_kind op; /* OP_KINDS: any */
    const char *metric, *panel;
    bool all_tags;    /* whether a curve's name includes the tag */
    bool of_index;    /* whether it is a state of the index, which no search changes */
    bool maintenance; /* whether steps with maintenance are marked */
    const char *x;    /* where a step is: "index", "live", "deleted", "radius" or a metric */
};

/* The sum of the step's counters that rise with maintenance; NAN: it has none of them. */
static double maintenance_until(const json_t *step)
{
    static const char *const counters[] = { "splits", "merges", "trainings" };
    const json_t *stats = json_object_get(step, "stats");
    double sum = NAN;

    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        const double count = field_number(stats, counters[i]);
        if (!isnan(count))
            sum = (isnan(sum) ? 0 : sum) + count;
    }
    return sum;
}

/* Marks the steps with maintenance between the first and the last of the points from number `first` on,
   which are a cell's. */
static int mark_maintenance(struct figure *f, size_t first, const struct result_cell *cell)
{
    const size_t end = f->n;
    double from = INFINITY, to = -INFINITY, before = 0;

    for (size_t i = first; i < end; i++) {
        from = fmin(from, f->points[i].x);
        to = fmax(to, f->points[i].x);
    }
    for (size_t s = 0; first < end && s < cell->n; s++) {
        const json_t *step = cell->steps[s].json;
        const double until = maintenance_until(step), x = field_number(step, "index");
        const bool due =
            field_number(json_object_get(step, "stats"), "due") != 0; /* or no policy */
        const bool some =
            until > before || (cell->steps[s].op == OP_MAINTAIN && cell->steps[s].ok && due);
        if (!isnan(until))
            before = until;
        if (!some || !(x >= from && x <= to))
            continue;
        const struct plot_point *p = &f->points[first];
        const int rc = figure_add(f, p->panel, p->series, "", x, "", NAN, NAN, NAN);
        if (rc)
            return rc;
        f->points[f->n - 1].mark = MARK_MAINTENANCE;
    }
    return OK;
}

/* NAN: the step is not drawn. */
static double x_of_step(const json_t *step, const char *x)
{
    const struct result_metric *metric = result_metric(x);

    if (!strcmp(x, "radius"))
        return field_number(json_object_get(step, "range"), x);
    return metric->field && metric->object
               ? field_number(json_object_get(step, metric->object), metric->field)
               : field_number(step, metric->field ? metric->field : x);
}

/* Adds the steps of one cell: those that run at each point, or the others. */
static int add_steps(struct gather *g, const struct result_cell *cell, const struct over_steps *o,
                     bool queries, const char *label)
{
    const bool by_deleted = !strcmp(o->x, "deleted");
    double deleted = 0;
    int rc = OK;
    for (size_t s = 0; !rc && s < cell->n; s++) {
        const struct result_step *step = &cell->steps[s];
        const bool at_point = op_info(step->op)->flags & OP_AT_POINTS;
        deleted += step->op == OP_DELETE && step->ok ? field_number(step->json, "count") : 0;
        const double x = by_deleted ? deleted : x_of_step(step->json, o->x);
        char series[400], tag[160];
        if (isnan(x) || at_point != queries || !figure_allows(g->spec, "tag", step->tag))
            continue;
        if (o->op != OP_KINDS && step->op != o->op)
            continue;
        snprintf(tag, sizeof tag, step->of > 1 ? "%s#%zu" : "%s", step->tag, step->number);
        snprintf(series, sizeof series, o->all_tags ? "%s, %s" : "%s", label, step->tag);
        rc = figure_add_variant(g, cell, o->panel, series, x, tag, o->metric, tag);
    }
    return rc;
}

/* Values over the steps of the workload. The points of a build share its updates, which are drawn
   as one curve. */
static int gather_steps(struct gather *g, const struct over_steps *o)
{
    int rc = OK;
    for (int queries = 0; !rc && queries < (o->of_index ? 1 : 2); queries++) {
        const bool by_build = !queries || result_metric_is_at_recall(o->metric);
        const char *last = NULL;
        size_t n;
        const struct result_cell **cells = figure_cells(g, by_build, &n);
        rc = cells ? OK : ERR_NO_MEMORY;
        for (size_t i = 0; !rc && i < n; i++) {
            const struct result_cell *cell = cells[i];
            const size_t first = g->figure->n;
            rc = add_steps(g, cell, o, queries, by_build ? cell->build : cell->name);
            if (!rc && o->maintenance && cell->build != last)
                rc = mark_maintenance(g->figure, first, cell);
            last = cell->build;
        }
        free(cells);
    }
    return rc;
}

/* Whether a step of this operation (OP_KINDS: any) has the tag. */
static bool is_tag_of(const struct gather *g, enum op_kind op, const char *tag)
{
    bool found = op == OP_KINDS;
    for (size_t i = 0; i < g->result->n_variants && !found; i++)
        for (size_t s = 0; s < g->result->variants[i]->n; s++)
            found |= g->result->variants[i]->steps[s].op == op &&
                     !strcmp(g->result->variants[i]->steps[s].tag, tag);
    return found;
}

/* How many distinct tags of the operation have this metric; with several, a curve's name includes its tag. */
static size_t tag_count(const struct gather *g, const char *metric, enum op_kind op)
{
    json_t *tags = figure_tags_with(g, metric), *tag;
    size_t n = 0, i;
    json_array_foreach(tags, i, tag)
        n += is_tag_of(g, op, json_string_value(tag));
    json_decref(tags);
    return n;
}

/* Memory and rows, which no search changes: one curve over the steps of all tags. */
static bool is_of_index(const char *metric)
{
    const char *object = result_metric(metric)->object;
    return (object && !strcmp(object, "memory")) || !strcmp(metric, "live") ||
           !strncmp(metric, "parts.", strlen("parts."));
}

/* Draws each metric that the specification names, or the given defaults, if the result has it. A curve
   has one name in all panels. */
static int for_each_metric(struct gather *g, const char *const *defaults, size_t n_defaults,
                           enum op_kind op, const char *x)
{
    json_t *y = json_object_get(g->spec, "y"), *names = json_array(), *name;
    size_t i;
    bool several = false;
    int rc = OK;
    if (json_is_string(y))
        json_array_append(names, y);
    json_array_foreach(y, i, name)
        if (json_is_string(name)) /* else: of a damaged result */
            json_array_append(names, name);
    for (i = 0; !y && i < n_defaults; i++)
        json_array_append_new(names, json_string(defaults[i]));
    json_array_foreach(names, i, name)
        several |=
            !is_of_index(json_string_value(name)) && tag_count(g, json_string_value(name), op) > 1;
    json_array_foreach(names, i, name) {
        const char *metric = json_string_value(name);
        const bool of_index = is_of_index(metric);
        if (!rc)
            rc = gather_steps(g, &(struct over_steps){ op, metric, metric, several && !of_index,
                                                       of_index, !strcmp(x, "index"), x });
    }
    json_decref(names);
    return rc;
}

/* A series' y at x in a panel; NAN if it has no point there. */
static double value_at(const struct figure *f, const char *panel, const char *series, double x)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->points[i].panel, panel) && !strcmp(f->points[i].series, series) &&
            f->points[i].x == x)
            return f->points[i].y;
    return NAN;
}

/* Replaces each series LABEL or LABEL[POINT] by its difference from LABEL..end at the same point;
   the latter go. */
static int subtract(struct figure *f, const char *end)
{
    struct figure old = *f;
    int rc = OK;

    f->points = NULL;
    f->n = f->capacity = 0;
    for (size_t i = 0; !rc && i < old.n; i++) {
        const struct plot_point *p = &old.points[i];
        const int label = (int)strcspn(p->series, "[");
        char other[600];
        snprintf(other, sizeof other, "%.*s%s%s", label, p->series, end, p->series + label);
        const double y = p->y - value_at(&old, p->panel, other, p->x);
        if (p->mark == MARK_NONE && !isnan(y))
            rc = figure_add(f, p->panel, p->series, p->point, p->x, p->x_label, y, NAN, NAN);
    }
    figure_free_points(&old);
    return rc;
}

int figure_gather_timeline(struct gather *g)
{
    const char *const defaults[] = { g->recall, "single_qps", "p99_ns", "index_bytes" };
    const char *minus = field_text(g->spec, "minus", NULL);
    const int rc = for_each_metric(g, defaults, sizeof defaults / sizeof *defaults, OP_KINDS,
                                   g->figure->x_name);
    g->figure->is_difference = minus != NULL;
    if (strcmp(g->figure->x_name, "index") != 0)
        order_curves(g->figure);
    return rc == OK && minus ? subtract(g->figure, minus) : rc;
}

/* Adds a text to the name of the curve that point number `of` is on. */
static void extend_name(struct figure *f, size_t of, const char *text)
{
    char old[400], named[600];

    snprintf(old, sizeof old, "%s", f->points[of].series);
    snprintf(named, sizeof named, "%s%s", old, text);
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->points[i].series, old) != 0)
            continue;
        free(f->points[i].series);
        f->points[i].series = strdup(named);
    }
}

/* A curve must exceed the baseline by this factor to have crossed it. A method that falls back to
   the baseline's algorithm differs from it only by noise. */
static const double CROSSING_MARGIN = 1.1;

/* Points [first, end) are one curve, ascending in x. The crossing follows the last point that is
   not above the baseline; it is interpolated on a logarithmic y axis. */
static int mark_crossing(struct figure *f, size_t first, size_t end, const char *baseline)
{
    size_t last = end;
    double most = 0, before = 0, after = 0;
    for (size_t i = first; i < end; i++) {
        const struct plot_point *p = &f->points[i];
        const double over = log(p->y / value_at(f, p->panel, baseline, p->x));
        if (!isfinite(over))
            return OK;
        if (over <= 0) {
            last = i;
            most = 0;
            before = over;
        } else if (last + 1 == i) {
            after = over;
        }
        most = over > most ? over : most;
    }
    if (last >= end || most < log(CROSSING_MARGIN))
        return OK;
    const struct plot_point low = f->points[last], high = f->points[last + 1];
    const double share = before / (before - after), x = low.x + share * (high.x - low.x);
    char at[32];
    const double digit = pow(10, floor(log10(fmax(x, 1e-9))) - 1);
    figure_axis_label(&(struct figure_axis){ .high = high.x, .unit = 1 }, round(x / digit) * digit,
                      at, sizeof at);
    const int rc = figure_add(f, low.panel, low.series, low.point, x, at,
                              low.y * pow(high.y / low.y, share), NAN, NAN);
    if (rc == OK)
        f->points[f->n - 1].mark = MARK_CROSSING;
    return rc;
}

/* Adds the crossing to the curve's name, "HFTrie-std (above scan from 2.7)", in two digits, as it is
   interpolated: numbers beside the rings in the figure would overlap. */
static void name_crossings(struct figure *f, const char *baseline)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->points[i].mark != MARK_CROSSING || strstr(f->points[i].series, " (above "))
            continue;
        char text[200];
        snprintf(text, sizeof text, " (above %s from %s)", baseline, f->points[i].x_label);
        extend_name(f, i, text);
    }
}

/* Marks where each curve crosses the baseline, in panels of times only. */
static int mark_crossings(struct figure *f, const char *baseline)
{
    const size_t n = f->n;
    int rc = OK;
    for (size_t first = 0, end; rc == OK && first < n; first = end) {
        const struct plot_point *p = &f->points[first];
        for (end = first + 1; end < n && same_curve(p, &f->points[end]);)
            end++;
        if (result_metric(p->panel)->unit == UNIT_NS && strcmp(p->series, baseline) != 0)
            rc = mark_crossing(f, first, end, baseline);
    }
    name_crossings(f, baseline);
    return rc;
}

int figure_gather_radius(struct gather *g)
{
    const char *const defaults[] = { "ns_each", "range_recall", "distances" };
    const char *baseline = field_text(g->spec, "baseline", NULL);
    const int rc =
        for_each_metric(g, defaults, sizeof defaults / sizeof *defaults, OP_RANGE, "radius");
    order_curves(g->figure);
    return rc == OK && baseline ? mark_crossings(g->figure, baseline) : rc;
}

/* Least-squares slope of log y over log x of one series; NAN below two points. */
static double fitted_slope(const struct figure *f, const char *series)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->points[i].series, series) != 0 || !(f->points[i].x > 0) ||
            !(f->points[i].y > 0))
            continue;
        double x = log(f->points[i].x), y = log(f->points[i].y);
        n++;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    double spread = n * sxx - sx * sx;
    return n >= 2 && spread > 1e-9 ? (n * sxy - sx * sy) / spread : NAN;
}

/* Names each curve with its slope: "divf (slope 0.02)". */
static void name_slopes(struct figure *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strstr(f->points[i].series, " (slope "))
            continue;
        char text[40];
        const double slope = fitted_slope(f, f->points[i].series);
        if (isnan(slope))
            continue;
        snprintf(text, sizeof text, " (slope %.2f)", slope);
        extend_name(f, i, text);
    }
}

/* x is the number of live vectors at the step, or a parameter that a grid varies. */
int figure_gather_scaling(struct gather *g)
{
    struct figure *f = g->figure;
    const struct over_steps steps = { .op = OP_KINDS,
                                      .metric = f->y_name,
                                      .panel = "",
                                      .all_tags = tag_count(g, f->y_name, OP_KINDS) > 1,
                                      .x = "live" };
    const int rc = !strcmp(f->x_name, "live") ? gather_steps(g, &steps) : figure_gather_pareto(g);
    if (!strstr(f->y_name, "recall")) /* a share has no power law */
        name_slopes(f);
    return rc;
}

/* Where points would share a field, as they differ in label or in another parameter, these get panels of their own:
   "TAG, LABEL[parameter=value]". x_label has that name. */
static void divide_panels(struct figure *f)
{
    bool several = false;
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < i; j++)
            several |= f->points[i].x == f->points[j].x && f->points[i].y == f->points[j].y &&
                       !strcmp(f->points[i].panel, f->points[j].panel);
    for (size_t i = 0; several && i < f->n; i++) {
        char panel[600];
        snprintf(panel, sizeof panel, "%s, %s", f->points[i].panel, f->points[i].x_label);
        free(f->points[i].panel);
        f->points[i].panel = strdup(panel);
    }
}

/* x and y are parameters. The colour is the metric named by `group`; it is stored in y_low. */
int figure_gather_heatmap(struct gather *g)
{
    struct figure *f = g->figure;
    const char *metric = field_text(g->spec, "group", g->recall);
    json_t *tags = figure_tags_with(g, metric);
    size_t n;
    const bool by_build = figure_is_of_build(g, metric, tags);
    const struct result_cell **cells = figure_cells(g, by_build, &n);
    int rc = cells ? OK : ERR_NO_MEMORY;
    for (size_t t = 0; t < json_array_size(tags); t++) {
        const char *tag = json_string_value(json_array_get(tags, t));
        for (size_t i = 0; !rc && i < n; i++) {
            const double x = figure_value_of(g, cells[i], f->x_name, tag),
                         y = figure_value_of(g, cells[i], f->y_name, tag),
                         value = figure_value_of(g, cells[i], metric, tag);
            char *beside = name_beside(f, cells[i], by_build);
            if (!beside)
                rc = ERR_NO_MEMORY;
            else if (!isnan(x) && !isnan(y) && !isnan(value))
                rc = figure_add(f, tag, metric, cells[i]->point, x, beside, y, value, NAN);
            free(beside);
        }
    }
    free(cells);
    json_decref(tags);
    divide_panels(f);
    return rc;
}
