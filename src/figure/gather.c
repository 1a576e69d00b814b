/* gather.c - makes the labelled points of a figure from its specification and a result. */
#include <stdio.h>
#include <string.h>

#include "src/figure/internal.h"

#define FIGURE(kind, x, y, log_from, traits, help) figure_gather_##kind,
static int (*const gatherers[FIGURE_KINDS])(struct gather *) = {
#include "src/base/figures.def"
};
#undef FIGURE

/* A file name from kind and axes: "pareto-qps". */
static char *file_name(const struct figure *f, const json_t *spec)
{
    char text[200];
    const char *y =
        json_object_get(spec, "y") || !strncmp(f->y_name, "recall@", 7) ? f->y_name : "";
    const char *x = json_is_string(json_object_get(spec, "x")) ? f->x_name : "";
    snprintf(text, sizeof text, "%s-%s-%s", f->kind->name, y, x);
    char *out = text;
    for (const char *in = text; *in; in++) {
        bool plain =
            (*in >= 'a' && *in <= 'z') || (*in >= '0' && *in <= '9') || *in == '_' || *in == '.';
        if (plain)
            *out++ = *in;
        else if (out > text && out[-1] != '-')
            *out++ = '-';
    }
    while (out > text && out[-1] == '-')
        out--;
    *out = '\0';
    return strdup(text);
}

int figure_gather(struct figure *f, const struct result *result, const json_t *spec,
                  struct error *error)
{
    *f = (struct figure){ 0 };
    const char *name = field_text(spec, "kind", "");
    const struct figure_kind *kind = figure_kind_named(name);
    if (!kind)
        return fail(error, ERR_CORRUPT, "the result has a figure of the unknown kind \"%s\"", name);
    const json_t *experiment = json_object_get(result->json, "experiment");
    struct gather g = { .figure = f, .result = result, .spec = spec };
    snprintf(g.recall, sizeof g.recall, "recall@%zu", result->k);
    const json_t *listed = json_array_get(json_object_get(spec, "y"), 0); /* the first of a list */
    const char *y =
        json_is_string(listed) ? json_string_value(listed) : field_text(spec, "y", kind->y);
    f->kind = kind;
    f->x_name = strdup(field_text(spec, "x", kind->x));
    f->y_name = strdup(!strcmp(y, "recall") ? g.recall : y);
    f->title = strdup(field_text(spec, "title", field_text(experiment, "title", "")));
    f->file = file_name(f, spec);
    const int rc = gatherers[kind - figure_kinds](&g);
    return rc ? fail(error, rc, "out of memory gathering the figure %s", f->file) : OK;
}

static json_t *want(json_t *specs, const char *kind, const char *x, const char *y)
{
    json_t *spec = json_pack("{s:s, s:s*, s:s*}", "kind", kind, "x", x, "y", y);
    json_array_append_new(specs, spec);
    return spec;
}

json_t *figure_specs(const struct result *result)
{
    json_t *given = json_object_get(json_object_get(result->json, "experiment"), "figure_specs");
    if (json_array_size(given))
        return json_incref(given);
    json_t *specs = json_array();
    bool search = false, range = false, insert = false, series = false;
    const struct result_cell *first = &result->cells[0];
    json_t *changes = json_array();
    for (size_t i = 0; i < first->n; i++) {
        const struct result_step *step = &first->steps[i];
        search |= step->op == OP_SEARCH;
        range |= step->op == OP_RANGE;
        insert |= step->op == OP_INSERT;
        series |= step->of > 1;
        if (!(op_info(step->op)->flags & OP_AT_POINTS))
            json_array_append_new(changes, json_string(step->tag));
    }
    if (search) {
        want(specs, "bars", NULL, NULL);
        want(specs, "pareto", "qps", NULL);
        want(specs, "pareto", "distances", NULL);
        want(specs, "ccdf", NULL, NULL);
    }
    if (series)
        want(specs, "timeline", NULL, NULL);
    if (range)
        want(specs, "radius", NULL, NULL);
    if (insert) {
        json_object_set_new(want(specs, "bars", NULL, "seconds"), "where",
                            json_pack("{s:O}", "tag", changes));
        want(specs, "memory", NULL, NULL);
    }
    json_decref(changes);
    return specs;
}
