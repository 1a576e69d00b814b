/* points.c - selects and adds points for all kinds of figures; see internal.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/figure/internal.h"

int figure_add(struct figure *f, const char *panel, const char *series, const char *point, double x,
               const char *x_label, double y, double low, double high)
{
    if (!mem_grow(NULL, &f->points, &f->capacity, f->n + 1, sizeof *f->points))
        return ERR_NO_MEMORY;
    f->points[f->n++] = (struct plot_point){ .panel = strdup(panel),
                                             .series = strdup(series),
                                             .x_label = strdup(x_label),
                                             .point = strdup(point),
                                             .x = x,
                                             .y = y,
                                             .x_low = NAN,
                                             .x_high = NAN,
                                             .y_low = low,
                                             .y_high = high };
    return OK;
}

void figure_place_by_label(struct figure *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        size_t same = 0;
        while (same < i && strcmp(f->points[same].x_label, f->points[i].x_label) != 0)
            same++;
        f->points[i].x = same < i ? f->points[same].x : (double)n++;
    }
}

void figure_free_points(struct figure *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->points[i].panel);
        free(f->points[i].series);
        free(f->points[i].x_label);
        free(f->points[i].point);
    }
    mem_free(NULL, f->points);
}

void figure_free(struct figure *f)
{
    figure_free_points(f);
    free(f->file);
    free(f->title);
    free(f->x_name);
    free(f->y_name);
    *f = (struct figure){ 0 };
}

/* A value of `where` is a string or a list of strings; a missing key allows every value. */
bool figure_allows(const json_t *spec, const char *key, const char *value)
{
    const json_t *wanted = json_object_get(json_object_get(spec, "where"), key);
    if (!wanted)
        return true;
    if (json_is_string(wanted))
        return !strcmp(json_string_value(wanted), value);
    size_t i;
    json_t *one;
    json_array_foreach(wanted, i, one) {
        if (json_is_string(one) && !strcmp(json_string_value(one), value))
            return true;
    }
    return false;
}

bool figure_allows_cell(const struct gather *g, const struct result_cell *cell)
{
    return figure_allows(g->spec, "label", cell->label) &&
           figure_allows(g->spec, "point", cell->point) &&
           figure_allows(g->spec, "method", cell->method);
}

json_t *figure_tags_with(const struct gather *g, const char *metric)
{
    const size_t length = strlen(metric);
    json_t *tags = json_array();
    for (size_t i = 0; i < g->result->summary.n; i++) {
        const char *name = g->result->summary.at[i]->metric;
        if (strncmp(name, metric, length) != 0 || name[length] != '/')
            continue;
        const char *tag = name + length + 1;
        bool known = strchr(tag, '#') || !figure_allows(g->spec, "tag", tag);
        for (size_t j = 0; !known && j < json_array_size(tags); j++)
            known = !strcmp(json_string_value(json_array_get(tags, j)), tag);
        if (!known)
            json_array_append_new(tags, json_string(tag));
    }
    return tags;
}

/* A metric of one variant, which is the build's if it is of a whole sweep. */
static const struct summary_entry *entry_of(const struct gather *g, const struct result_cell *cell,
                                            const char *metric, const char *tag)
{
    return summary_find_tag(&g->result->summary,
                            result_metric_is_at_recall(metric) ? cell->build : cell->name, metric,
                            tag);
}

const struct result_cell **figure_cells(const struct gather *g, bool by_build, size_t *n)
{
    const struct result_cell **drawn = calloc(g->result->n_variants + 1, sizeof *drawn);
    *n = 0;
    for (size_t i = 0; drawn && i < g->result->n_variants; i++) {
        const struct result_cell *cell = g->result->variants[i];
        bool known = !figure_allows_cell(g, cell);
        for (size_t j = *n; by_build && !known && j > 0; j--)
            known = drawn[j - 1]->build == cell->build;
        if (!known)
            drawn[(*n)++] = cell;
    }
    return drawn;
}

bool figure_is_of_build(const struct gather *g, const char *metric, const json_t *tags)
{
    bool shared = true;
    for (size_t t = 0; t < json_array_size(tags); t++)
        for (size_t i = 0; i < g->result->n_variants; i++) {
            const struct result_cell *cell = g->result->variants[i];
            for (size_t s = 0; s < cell->n; s++)
                shared &= !(op_info(cell->steps[s].op)->flags & OP_AT_POINTS) ||
                          strcmp(cell->steps[s].tag, json_string_value(json_array_get(tags, t)));
        }
    return shared || result_metric_is_at_recall(metric);
}

bool figure_is_parameter(const struct gather *g, const struct result_cell *cell, const char *name,
                         const char *tag)
{
    return isnan(entry_of(g, cell, name, tag)->median);
}

double figure_value_of(const struct gather *g, const struct result_cell *cell, const char *name,
                       const char *tag)
{
    double value = entry_of(g, cell, name, tag)->median;
    if (!isnan(value))
        return value;
    value = field_number(json_object_get(cell->json, "params"), name);
    return isnan(value) ? field_number(json_object_get(cell->json, "knobs"), name) : value;
}

/* The step that a tag names, TAG or TAG#number; NULL if TAG has several steps. */
static const json_t *step_of(const struct result_cell *cell, const char *tag)
{
    const json_t *found = NULL;
    for (size_t i = 0; i < cell->n; i++) {
        const struct result_step *step = &cell->steps[i];
        char name[160];
        snprintf(name, sizeof name, step->of > 1 ? "%s#%zu" : "%s", step->tag, step->number);
        if (!strcmp(name, tag))
            found = step->json;
    }
    return found;
}

void figure_interval(const struct gather *g, const struct result_cell *cell, const char *name,
                     const char *tag, double *low, double *high)
{
    /* Metrics of which a step has the interval over its passes. */
    static const struct {
        const char *metric, *calls, *field;
    } passes[] = { { "single_qps", "single", "per_second" },
                   { "p50_ns", "single", "p50_ns" },
                   { "qps", "batch", "per_second" } };
    const struct summary_entry *entry = entry_of(g, cell, name, tag);
    *low = entry->low;
    *high = entry->high;
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        if (entry->repeats != 1 || strcmp(passes[i].metric, name) != 0)
            continue;
        const json_t *timing = json_object_get(step_of(cell, tag), "timing"),
                     *range =
                         json_object_get(json_object_get(timing, passes[i].calls), passes[i].field);
        if (json_array_size(range) != 2)
            continue;
        *low = json_number_value(json_array_get(range, 0));
        *high = json_number_value(json_array_get(range, 1));
    }
}

int figure_add_variant(struct gather *g, const struct result_cell *cell, const char *panel,
                       const char *series, double x, const char *x_label, const char *y_name,
                       const char *tag)
{
    const double y = entry_of(g, cell, y_name, tag)->median;
    double low, high;
    if (isnan(y))
        return OK;
    figure_interval(g, cell, y_name, tag, &low, &high);
    return figure_add(g->figure, panel, series, cell->point, x, x_label, y, low, high);
}
