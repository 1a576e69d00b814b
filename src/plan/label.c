/* label.c - the names of cells and points, and of what methods take. */
#include <stdio.h>
#include <string.h>

#include "src/plan/plan.h"

void plan_label(const struct cell *c, size_t point, char *text, size_t text_bytes)
{
    const char *name = c->points[point].name;
    (void)snprintf(text, text_bytes, "%s%s%s%s", c->method->label, *name ? "[" : "", name,
                   *name ? "]" : "");
}

void plan_build_part(const struct cell *cell, char *text, size_t bytes)
{
    const char *name = cell->n_points && cell->points[0].name ? cell->points[0].name : "";

    text[0] = '\0';
    for (const char *at = name; *at;) {
        const size_t n = strcspn(at, ","), key = strcspn(at, "=,");
        char knob[128];

        (void)snprintf(knob, sizeof knob, "%.*s", (int)key, at);
        if (key == n || !json_object_get(cell->points[0].knobs_json, knob)) {
            const size_t used = strlen(text);
            (void)snprintf(text + used, bytes - used, "%s%.*s", used ? "," : "", (int)n, at);
        }
        at += n + (at[n] == ',');
    }
}

void plan_build_label(const struct cell *cell, char *text, size_t bytes)
{
    char build[256];

    plan_build_part(cell, build, sizeof build);
    (void)snprintf(text, bytes, *build ? "%s[%s]" : "%s", cell->method->label, build);
}

void plan_unsupported(const struct index_ops *ops, enum element element, enum metric metric,
                      char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(
        text, bytes, "method \"%s\" does not take %s rows under metric \"%s\"; it takes ",
        ops->name, index_element_name(element), index_metric_name(metric));

    for (const struct index_space *s = ops->spaces; s && (int)s->element >= 0; s++)
        if (used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s under %s",
                                     s == ops->spaces ? "" : ", ", index_element_name(s->element),
                                     index_metric_name(s->metric));
}
