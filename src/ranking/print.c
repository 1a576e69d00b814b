/* print.c - a ranking as a table, and a build as a line of a config. */
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/ranking/ranking.h"

static void add_row(struct table *t, const struct ranking_build *s, size_t rank)
{
    table_add(t, "%zu", rank);
    table_add(t, "%.*s", (int)s->family, s->label);
    table_add(t, "%s", s->point ? s->point : "");
    result_metric_add(t, UNIT_NONE, s->qps);
    result_metric_add(t, UNIT_SHARE, s->recall);
    result_metric_add(t, UNIT_SHARE, s->below_half);
    result_metric_add(t, UNIT_SECONDS, s->p99_s);
    result_metric_add(t, UNIT_NONE, s->distances);
    result_metric_add(t, UNIT_BYTES, s->memory_bytes);
    result_metric_add(t, UNIT_BYTES, s->disk_bytes);
    result_metric_add(t, UNIT_SECONDS, s->build_s);
    result_metric_add(t, UNIT_SECONDS, s->insert_s);
    result_metric_add(t, UNIT_SECONDS, s->delete_s);
    result_metric_add(t, UNIT_SECONDS, s->maintain_s);
}

int ranking_print(const struct ranking *r, bool families, FILE *out, struct error *err)
{
    struct table t;
    size_t rank = 0;
    table_begin(&t, "rank|method|parameters|QPS|recall|queries below .5|p99|distances a query|"
                    "memory|disk|build|insert a row|delete a row|maintenance");
    for (size_t i = 0; i < r->ranked; i++)
        if (!families || ranking_best_of_family(r, &r->of[i]) == &r->of[i])
            add_row(&t, &r->of[i], ++rank);
    table_end_markdown(&t, out);
    return ferror(out) ? fail_errno(err, ERR_IO, "the table cannot be written") : OK;
}

const char *ranking_name(const struct ranking_build *b, char text[400])
{
    (void)snprintf(text, 400, b->point && *b->point ? "%.*s (%s)" : "%.*s", (int)b->family,
                   b->label, b->point);
    return text;
}

static void print_value(const json_t *value, FILE *out)
{
    if (json_is_string(value))
        quote_lua(out, json_string_value(value));
    else if (json_is_boolean(value))
        (void)fputs(json_is_true(value) ? "true" : "false", out);
    else if (json_is_integer(value))
        (void)fprintf(out, "%lld", (long long)json_integer_value(value));
    else
        (void)fprintf(out, "%.17g", json_number_value(value));
}

static bool is_default(const struct param *row, const void *defaults, const json_t *value)
{
    json_t *otherwise = json_of_param(row, defaults);
    const bool same = json_is_number(value)
                          ? json_number_value(value) == json_number_value(otherwise)
                          : json_equal(value, otherwise);
    json_decref(otherwise);
    return same;
}

/* `, NAME = { a = 1, b = "c" }` with the values that differ from the defaults; nothing if none does. */
static int print_values(const char *name, const json_t *values, const struct param *table,
                        size_t bytes, FILE *out, struct error *err)
{
    void *defaults = calloc(1, bytes + 1);
    const char *key;
    json_t *value;
    size_t n = 0;
    if (!defaults)
        return fail(err, ERR_NO_MEMORY, "out of memory");
    param_defaults(table, defaults);
    json_object_foreach((json_t *)(uintptr_t)values, key, value) {
        const struct param *row = table ? param_find(table, key) : NULL;
        if (!row || json_is_null(value) || is_default(row, defaults, value))
            continue;
        if (n++)
            (void)fprintf(out, ", %s = ", key);
        else
            (void)fprintf(out, ", %s = { %s = ", name, key);
        print_value(value, out);
    }
    (void)fputs(n ? " }" : "", out);
    free(defaults);
    return OK;
}

int ranking_print_method(const struct ranking_build *s, const struct registry *registry, FILE *out,
                         struct error *err)
{
    const struct index_ops *ops = registry_find(registry, s->cell->method, err);
    if (!ops)
        return err->code;
    (void)fputs("method { ", out);
    quote_lua(out, s->cell->method);
    int rc = print_values("params", json_object_get(s->cell->json, "params"), ops->params,
                          ops->params_bytes, out, err);
    rc = rc ? rc : print_values("knobs", s->knobs, ops->knobs, ops->knobs_bytes, out, err);
    (void)fputs(" }", out);
    return rc;
}
