/* report.c - writes report.html from result.json and the SVGs beside it. */
#include "src/report/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/result/result.h"

/* A rounded number with its interval; data-v has the full value, for sorting. */
static void cell_value(FILE *out, const struct summary_entry *entry, const char *metric)
{
    const struct result_metric *info = result_metric(metric);
    char value[64], low[64], high[64];
    if (isnan(entry->median)) {
        fputs("<td>-</td>", out);
        return;
    }
    result_metric_text(info, entry->median, value, sizeof value);
    result_metric_text(info, entry->low, low, sizeof low);
    result_metric_text(info, entry->high, high, sizeof high);
    fprintf(out, "<td data-v=\"%.9g\"%s>%s%s", entry->median,
            entry->noisy
                ? " title=\"not steady: passes or repeats differ by more than 10 %, or waited for "
                  "a processor\""
                : "",
            entry->noisy ? "~" : "", value);
    if (strcmp(low, high) != 0)
        fprintf(out, " <small>%s … %s</small>", low, high);
    fputs("</td>", out);
}

/* The values have units, so the name in the head has none: p50_ns/search is p50/search. */
static void head_cell(FILE *out, const char *column)
{
    char name[64], tag[128];
    result_metric_split(column, name, sizeof name, tag, sizeof tag);
    const size_t n = strlen(name);
    if (n > 3 && !strcmp(name + n - 3, "_ns"))
        name[n - 3] = '\0';
    html_text(out, "<th title=\"", column, "\">");
    quote_html(out, name);
    html_text(out, *tag ? "/" : "", tag, "</th>");
}

static void value_table(FILE *out, const struct result *r, enum column_group group,
                        const char *title)
{
    const bool of_sweep = group == COLUMNS_AT_RECALL; /* its label is the build's */
    const bool by_build = group == COLUMNS_ALL_UPDATES || of_sweep;
    json_t *columns = report_columns(r, group), *column;
    size_t c;
    if (json_array_size(columns)) {
        fprintf(out, "<h3>%s</h3><div class=\"wide\"><table><thead><tr><th>method</th>", title);
        json_array_foreach(columns, c, column)
            head_cell(out, json_string_value(column));
        fputs("</tr></thead><tbody>\n", out);
        for (size_t i = 0; i < (by_build ? r->n_builds : r->n_variants); i++) {
            const struct result_cell *cell = (by_build ? r->builds : r->variants)[i];
            const char *label = of_sweep ? cell->build : cell->name;
            if (!report_has_any(r, label, columns))
                continue;
            fputs("<tr>", out);
            html_cell(out, by_build ? cell->build : cell->name, "text");
            json_array_foreach(columns, c, column) {
                const char *metric = json_string_value(column);
                cell_value(out, summary_find(&r->summary, label, metric), metric);
            }
            fputs("</tr>\n", out);
        }
        fputs("</tbody></table></div>\n", out);
    }
    json_decref(columns);
}

/* A page of several results has no contents, as the sections of each have the same names. */
static void section_head(FILE *out, size_t number, const char *id, const char *title)
{
    if (number)
        fprintf(out, "<h3>%s</h3>\n", title);
    else
        fprintf(out, "<h3 id=\"%s\">%s</h3>\n", id, title);
}

static void figures_section(FILE *out, const json_t *result, const char *dir, size_t number)
{
    const json_t *figures = json_object_get(result, "figures");
    if (!json_array_size(figures))
        return;
    section_head(out, number, "figures", "Figures");
    size_t i;
    json_t *name;
    json_array_foreach(figures, i, name) {
        html_figure(out, dir, json_is_string(name) ? json_string_value(name) : "");
    }
}

/* Of cells that did not finish, and what methods do not support. */
static void failures_section(FILE *out, const struct result *r)
{
    bool any = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        if (cell->ok || result_is_next_point(r, i))
            continue;
        if (!any)
            fputs("<h3>Cells that did not finish</h3><ul>\n", out);
        any = true;
        fputs("<li>", out);
        quote_html(out, cell->build);
        fprintf(out, ", repeat %zu: <b class=\"bad\">", cell->repeat + 1);
        quote_html(out, cell->status);
        html_text(out, "</b> ", field_text(cell->json, "error", ""), "</li>\n");
    }
    if (any)
        fputs("</ul>\n", out);

    json_t *lines = report_unsupported(r), *line;
    size_t i;
    json_array_foreach(lines, i, line) {
        html_text(out, "<p>", json_string_value(line), "</p>\n");
    }
    json_decref(lines);
}

static void warnings_section(FILE *out, const struct result *r)
{
    json_t *warning;
    size_t j;
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        if (result_is_next_point(r, i))
            continue;
        json_array_foreach(json_object_get(cell->json, "warnings"), j, warning) {
            if (!json_is_string(warning))
                continue;
            fputs("<p class=\"bad\">Warning: ", out);
            quote_html(out, cell->build);
            fprintf(out, ", repeat %zu: ", cell->repeat + 1);
            quote_html(out, json_string_value(warning));
            fputs("</p>\n", out);
        }
    }
}

static void json_rows(FILE *out, const json_t *object, const char *prefix)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        char name[200];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value)) {
            json_rows(out, value, name);
            continue;
        }
        char *text =
            json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        fputs("<tr>", out);
        html_cell(out, name, "text");
        html_cell(out, text ? text : json_string_value(value), "wrap");
        fputs("</tr>\n", out);
        free(text);
    }
}

/* Warnings of the machine hold for every number, so they come first. */
static void machine_warnings(FILE *out, const json_t *result)
{
    const json_t *environment = json_object_get(result, "environment");
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(environment, "warnings"), i, warning) {
        html_text(out, "<p class=\"bad\">Warning: ",
                  json_is_string(warning) ? json_string_value(warning) : "", "</p>\n");
    }
}

/* Parameters and search options of each build. */
static void methods_section(FILE *out, const struct result *r, size_t number)
{
    const char *name;
    json_t *value;
    section_head(out, number, "methods", "Methods");
    fputs("<details><summary>Parameters of each build</summary><div "
          "class=\"wide\"><table><thead><tr><th>build</th><th class=\"text\">method</th><th "
          "class=\"text\">parameters</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < r->n_builds; i++) {
        fputs("<tr>", out);
        html_cell(out, r->builds[i]->build, "text");
        html_cell(out, r->builds[i]->method, "text");
        fputs("<td class=\"wrap\">", out);
        json_object_foreach(json_object_get(r->builds[i]->json, "params"), name, value) {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            quote_html(out, name);
            html_text(out, "=", text ? text : "?", " ");
            free(text);
        }
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div></details>\n", out);
}

/* Links to the sections of a page of one result. */
static void contents(FILE *out, const json_t *result)
{
    fputs("<nav>", out);
    if (json_array_size(json_object_get(result, "claims")))
        fputs("<a href=\"#claims\">Claims</a> ", out);
    if (json_array_size(json_object_get(result, "figures")))
        fputs("<a href=\"#figures\">Figures</a> ", out);
    fputs("<a href=\"#values\">Values</a> <a href=\"#methods\">Methods</a> <a "
          "href=\"#conditions\">Conditions</a> <a download "
          "href=\"./result.json\">result.json</a></nav>\n",
          out);
}

static void conditions_section(FILE *out, const json_t *result, size_t number)
{
    size_t i;
    const json_t *environment = json_object_get(result, "environment");
    section_head(out, number, "conditions", "Conditions");
    fputs("<details><summary>Experiment, data, machine and "
          "build</summary><div "
          "class=\"wide\"><table><tbody>\n",
          out);
    json_t *experiment = json_copy(json_object_get(result, "experiment"));
    json_object_del(experiment, "about"); /* html_about() has printed it */
    json_rows(out, experiment, "experiment");
    json_decref(experiment);
    json_t *dataset;
    json_array_foreach(json_object_get(result, "datasets"), i, dataset) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "dataset %zu", i + 1);
        json_rows(out, dataset, prefix);
    }
    json_rows(out, environment, "");
    fputs("</tbody></table></div></details>\n", out);
}

/* number: of the section on a page of several results; 0 on the page of one result. */
static void one_result(FILE *out, const struct result *r, const char *dir, size_t number)
{
    const json_t *result = r->json, *experiment = json_object_get(result, "experiment");
    fprintf(out, number ? "<section id=\"result-%zu\"><h2>" : "<h1>", number);
    quote_html(out, r->title);
    fprintf(out, "</h%d><p class=\"soft\">", number ? 2 : 1);
    quote_html(out, report_config(result));
    const long long repeats = field_integer(experiment, "repeats", 0);
    fprintf(out, " · seed %lld · %lld repeat%s · k = %zu", field_integer(experiment, "seed", 0),
            repeats, repeats == 1 ? "" : "s", r->k);
    fputs("</p>\n", out);
    json_t *remarks = report_remarks(result), *remark;
    size_t i;
    json_array_foreach(remarks, i, remark) {
        const bool bad = json_is_true(json_object_get(remark, "bad"));
        html_text(out, bad ? "<p><b class=\"bad\">" : "<p><b>", field_text(remark, "text", ""),
                  "</b></p>\n");
    }
    json_decref(remarks);
    html_verdicts(out, result);
    machine_warnings(out, result);
    if (!number)
        contents(out, result);
    html_about(out, result);
    fputs(number ? "" : "<div id=\"claims\"></div>", out);
    html_claims(out, r);
    html_published(out, result);
    html_rounds(out, result);
    figures_section(out, result, dir, number);
    if (number)
        fputs("<details><summary>Every value</summary>\n", out);
    fputs(number ? "" : "<div id=\"values\"></div>", out);
    value_table(out, r, COLUMNS_ALL_QUERIES, "Queries");
    value_table(out, r, COLUMNS_AT_RECALL, "At a recall, between two points of a sweep");
    value_table(out, r, COLUMNS_ALL_UPDATES, "Updates");
    if (number)
        fputs("</details>\n", out);
    failures_section(out, r);
    warnings_section(out, r);
    methods_section(out, r, number);
    conditions_section(out, result, number);
    html_config(out, result);
    fputs(number ? "</section>\n" : "", out);
}

/* failed: NULL on the page of one result, which has no overview. */
static void write_page(FILE *out, const struct result *results, const char *const *dirs, size_t n,
                       const char *const *failed, const char *title)
{
    html_begin(out, title);
    if (failed) {
        html_text(out, "<h1>", title, "</h1>\n");
        html_runs(out, results, n);
        html_overview(out, results, n);
    }
    for (size_t i = 0; failed && failed[i]; i++) {
        html_text(out, "<p class=\"bad\">No result: ", failed[i], "</p>\n");
    }
    for (size_t i = 0; i < n; i++)
        one_result(out, &results[i], dirs[i], failed ? i + 1 : 0);
    html_end(out);
}

int report_write_many(const char *const *dirs, size_t n, const char *const *failed,
                      const char *title, const char *path, struct error *error)
{
    struct result *results = calloc(n ? n : 1, sizeof *results);
    struct atomic_text page = { 0 };
    int rc = results ? atomic_text_begin(&page, error)
                     : fail(error, ERR_NO_MEMORY, "out of memory writing %s", path);
    for (size_t i = 0; !rc && i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/result.json", dirs[i]);
        rc = result_load(file, &results[i], error);
    }
    if (!rc) {
        write_page(page.out, results, dirs, n, failed, title);
        rc = atomic_text_write(&page, path, error);
    }
    atomic_text_free(&page);
    for (size_t i = 0; results && i < n; i++)
        result_close(&results[i]);
    free(results);
    return rc;
}

int report_write(const char *dir, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/report.html", dir);
    return report_write_many(&dir, 1, NULL, "Driftline", path, error);
}
