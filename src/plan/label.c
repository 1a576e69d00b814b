/* label.c - the names of cells and points, and of what methods take. */
#include <stdio.h>
#include <string.h>

#include "src/core/append_text.h"
#include "src/plan/plan.h"

void plan_write_label(const char *label, const char *point, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, *point ? "%s[%s]" : "%s", label, point);
}

void plan_write_build_part(const char *point, const json_t *knobs, char *text, size_t bytes)
{
    text[0] = '\0';
    for (const char *at = point; *at;) {
        const size_t n = strcspn(at, ","), key = strcspn(at, "=,");
        char name[128];

        (void)snprintf(name, sizeof name, "%.*s", (int)key, at);
        if (n > 0 && (key == n || !json_object_get(knobs, name)))
            append_text(text, bytes, ",", "%.*s", (int)n, at);
        at += n + (at[n] == ',');
    }
}

void plan_label(const struct cell *c, size_t point, char *text, size_t bytes)
{
    plan_write_label(c->method->label, c->points[point].name, text, bytes);
}

void plan_build_part(const struct cell *c, char *text, size_t bytes)
{
    const struct point *first = c->n_points ? &c->points[0] : NULL;

    plan_write_build_part(first && first->name ? first->name : "", first ? first->knobs_json : NULL,
                          text, bytes);
}

void plan_build_label(const struct cell *c, char *text, size_t bytes)
{
    char part[256];

    plan_build_part(c, part, sizeof part);
    plan_write_label(c->method->label, part, text, bytes);
}

void plan_unsupported(const struct index_ops *ops, enum element element, size_t dim,
                      enum metric metric, char *text, size_t bytes)
{
    if (element == INDEX_B64 && index_takes(ops, element, 64, metric)) {
        snprintf(text, bytes, "method \"%s\" takes codes of 64 bits, not of %zu; " INDEX_WIDE_HINT,
                 ops->name, dim);
        return;
    }
    (void)snprintf(text, bytes,
                   "method \"%s\" does not take %s rows under metric \"%s\"; it takes ", ops->name,
                   index_element_name(element), index_metric_name(metric));

    for (const struct index_space *s = ops->spaces; s && (int)s->element >= 0; s++)
        append_text(text, bytes, s == ops->spaces ? "" : ", ", "%s under %s",
                    index_element_name(s->element), index_metric_name(s->metric));
}
