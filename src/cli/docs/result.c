/* result.c - tables of the metrics, the kinds of figures, and the fields of result.json. */
#include <limits.h>
#include <string.h>

#include "src/base/figures.h"
#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/cli/docs/internal.h"

/* The member NAME of an object, or of the items of an array, in a schema. */
static const json_t *member_of(const json_t *node, const char *name)
{
    const json_t *items = json_object_get(node, "items");
    return json_object_get(json_object_get(items ? items : node, "properties"), name);
}

static json_t *load_schema(const struct docs_program *program, struct error *error)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/results/schema.json", program->root);
    return json_read(path, error);
}

static void metric_row(const struct result_metric *m, const json_t *step, FILE *out)
{
    static const char *const units[] = { [UNIT_NONE] = "-",
                                         [UNIT_PER_SECOND] = "per second",
                                         [UNIT_SHARE] = "share, 0 to 1",
                                         [UNIT_SECONDS] = "seconds",
                                         [UNIT_NS] = "nanoseconds",
                                         [UNIT_BYTES] = "bytes" };
    static const char *const better[] = { "less", "-", "more" };
    const char last = m->name[strlen(m->name) - 1];
    const char *any = last == '@' ? "K" : last == '.' ? "NAME" : "";
    /* The schema's description of a field explains more than the title of an axis. */
    const char *meaning =
        m->field && !m->object ? field_text(member_of(step, m->field), "description", "") : "";
    fprintf(out, "| `%s%s` | %s | %s | ", m->name, any, units[m->unit], better[m->better + 1]);
    docs_cell(out, *meaning ? meaning : m->title);
    if (m->field)
        fprintf(out, " | `%s%s%s` |\n", m->object ? m->object : "", m->object ? "." : "", m->field);
    else
        fputs(" | computed |\n", out);
}

enum docs_result docs_metrics(const struct docs_program *program, FILE *out, const char *arguments,
                              struct error *error)
{
    const struct result_metric *m;
    json_t *schema = load_schema(program, error);
    (void)arguments;
    if (!schema)
        return DOCS_FAILED;
    fputs("\n| metric | unit | better | meaning | field of a step |\n"
          "| --- | --- | --- | --- | --- |\n",
          out);
    for (size_t i = 0; (m = result_metric_at(i)) != NULL; i++)
        metric_row(m, member_of(member_of(schema, "cells"), "steps"), out);
    fputc('\n', out);
    json_decref(schema);
    return DOCS_WRITTEN;
}

enum docs_result docs_figures(const struct docs_program *program, FILE *out, const char *arguments,
                              struct error *error)
{
    (void)program;
    (void)arguments;
    (void)error;
    fputs("\n| kind | x | y | meaning |\n| --- | --- | --- | --- |\n", out);
    for (size_t i = 0; i < FIGURE_KINDS; i++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", figure_kinds[i].name, figure_kinds[i].x,
                figure_kinds[i].y, figure_kinds[i].help);
    fputc('\n', out);
    return DOCS_WRITTEN;
}

static void value_cell(const json_t *value, FILE *out)
{
    if (json_is_string(value))
        docs_cell(out, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else
        fputs("null", out);
}

/* "integer", "number or null", "array of string", "ok, failed" */
static void type_cell(const json_t *node, FILE *out)
{
    const json_t *types = json_object_get(node, "type"), *item;
    const json_t *values = json_object_get(node, "enum");
    size_t i;
    json_array_foreach(json_is_array(values) ? values : types, i, item) {
        fputs(!i ? "" : values ? ", " : " or ", out);
        value_cell(item, out);
    }
    if (json_object_get(node, "const"))
        value_cell(json_object_get(node, "const"), out);
    else if (json_is_string(types) && !values)
        fputs(json_string_value(types), out);
    const json_t *items = json_object_get(node, "items");
    if (items && *field_text(items, "type", "") &&
        strcmp(field_text(items, "type", ""), "object") != 0)
        fprintf(out, " of %s", field_text(items, "type", ""));
}

/* The member `path` and the members below it. */
static void field_rows(const json_t *node, const char *path, FILE *out)
{
    const json_t *items = json_object_get(node, "items");
    const json_t *members = json_object_get(items ? items : node, "properties"), *member;
    const char *name;
    fprintf(out, "| `%s` | ", path);
    type_cell(node, out);
    fputs(" | ", out);
    docs_cell(out, field_text(node, "description", ""));
    fputs(" |\n", out);
    json_object_foreach((json_t *)(uintptr_t)members, name, member) {
        char below[300];
        (void)snprintf(below, sizeof below, "%s%s.%s", path, items ? "[]" : "", name);
        field_rows(member, below, out);
    }
}

enum docs_result docs_fields(const struct docs_program *program, FILE *out, const char *arguments,
                             struct error *error)
{
    json_t *schema = load_schema(program, error);
    const json_t *member = member_of(schema, arguments);
    if (schema && !member)
        fail(error, ERR_NOT_FOUND, "results/schema.json has no member \"%s\"", arguments);
    if (member) {
        fputs("\n| field | type | meaning |\n| --- | --- | --- |\n", out);
        field_rows(member, arguments, out);
        fputc('\n', out);
    }
    json_decref(schema);
    return error->code ? DOCS_FAILED : DOCS_WRITTEN;
}
