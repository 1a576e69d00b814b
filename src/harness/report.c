/* report.c - report.html: one file without network, from result.json and the SVGs beside it. */
#include "harness/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_field.h"
#include "harness/metric.h"
#include "harness/report_columns.h"
#include "harness/report_html.h"
#include "harness/result.h"
#include "harness/table.h"
#include "harness/whole_file.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n"
    ":root{--ink:#1a1a1a;--soft:#5c5c5c;--line:#d8d8d8;--page:#fdfdfc;--card:#fff;--good:#00704a;--"
    "bad:#b03a00}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e6e3;--soft:#a5a19b;--line:#3b3b3b;--page:#"
    "161616;"
    "--card:#1f1f1f;--good:#4fc08d;--bad:#ff9b66}}\n"
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:72rem;"
    "margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.3rem;margin:3rem 0 "
    ".2rem;border-top:1px "
    "solid var(--line);padding-top:1.2rem}h3{font-size:1.05rem;margin-top:1.8rem}\n"
    ".about{max-width:60rem}a{color:inherit}.numbers{font-size:.8rem;color:var(--soft)}\n"
    ".soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-"
    "size:.87rem}\n"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid "
    "var(--line);text-align:right;white-space:nowrap}\n"
    "th:first-child,td:first-child,td.text,th.text{text-align:left}td.wrap{white-space:normal;text-"
    "align:left;min-width:16rem}\n"
    "thead th{cursor:pointer;position:sticky;top:0;background:var(--page)}\n"
    "figure{margin:1.2rem 0;padding:.6rem;background:#fff;border:1px solid "
    "var(--line);border-radius:6px;"
    "overflow-x:auto}figure svg{max-width:100%;height:auto}\n"
    "code{font-size:.9em}details{margin-top:1rem}td small{color:var(--soft)}\n"
    "</style>\n";

static const char tail[] =
    "<script>\n"
    "for(const th of document.querySelectorAll('thead th'))th.addEventListener('click',()=>{\n"
    " const "
    "body=th.closest('table').tBodies[0],i=[...th.parentNode.children].indexOf(th),up=th.dataset."
    "up!=='1';\n"
    " th.dataset.up=up?'1':'0';const key=r=>{const c=r.cells[i],v=c.dataset.v;return "
    "v===undefined?c.textContent:+v};\n"
    " [...body.rows].sort((a,b)=>{const x=key(a),y=key(b);const d=typeof x==='number'&&typeof "
    "y==='number'?x-y:"
    "String(x).localeCompare(String(y));return up?d:-d}).forEach(r=>body.append(r))});\n"
    "</script></body></html>\n";

void html_escape(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
            case '<': fputs("&lt;", out); break;
            case '>': fputs("&gt;", out); break;
            case '&': fputs("&amp;", out); break;
            case '"': fputs("&quot;", out); break;
            default: fputc(*text, out);
        }
}

void html_cell(FILE *out, const char *text, const char *class)
{
    fprintf(out, "<td class=\"%s\">", class);
    html_escape(out, text);
    fputs("</td>", out);
}

/* A number for people, its full value for sorting, its interval on hover. */
static void cell_value(FILE *out, const struct metric_info *info, const json_t *entry)
{
    const json_t *median = json_object_get(entry, "median");
    if (!json_is_number(median)) {
        fputs("<td>-</td>", out);
        return;
    }
    char value[64], low[64], high[64];
    metric_text(info, json_number_value(median), value, sizeof value);
    metric_text(info, json_number_value(json_object_get(entry, "low")), low, sizeof low);
    metric_text(info, json_number_value(json_object_get(entry, "high")), high, sizeof high);
    fprintf(out, "<td data-v=\"%.9g\">%s", json_number_value(median), value);
    if (strcmp(low, high) != 0)
        fprintf(out, " <small>%s … %s</small>", low, high);
    fputs("</td>", out);
}

static void value_table(FILE *out, const json_t *result, const struct summary_index *index,
                        enum column_group group, const char *title)
{
    const bool of_sweep = group == COLUMNS_AT_RECALL; /* stands under its build's name */
    const bool by_build = group == COLUMNS_ALL_UPDATES || of_sweep;
    json_t *columns = report_columns(result, group);
    json_t *variants = by_build ? result_builds(result) : result_variants(result);
    size_t c, v;
    json_t *column, *cell;
    if (json_array_size(columns)) {
        fprintf(out, "<h3>%s</h3><div class=\"wide\"><table><thead><tr><th>method</th>", title);
        json_array_foreach(columns, c, column)
        {
            fputs("<th>", out);
            html_escape(out, json_string_value(column));
            fputs("</th>", out);
        }
        fputs("</tr></thead><tbody>\n", out);
        json_array_foreach(variants, v, cell)
        {
            char label[300], name[64], tag[128];
            (of_sweep ? build_label : cell_label)(cell, label, sizeof label);
            if (!report_has_any(index, label, columns))
                continue;
            fputs("<tr>", out);
            char shown[300];
            (by_build ? build_label : cell_label)(cell, shown, sizeof shown);
            html_cell(out, shown, "text");
            json_array_foreach(columns, c, column)
            {
                metric_split(json_string_value(column), name, sizeof name, tag, sizeof tag);
                cell_value(out, metric_info(name),
                           summary_find(index, label, json_string_value(column)));
            }
            fputs("</tr>\n", out);
        }
        fputs("</tbody></table></div>\n", out);
    }
    json_decref(columns);
    json_decref(variants);
}

/* Puts an SVG into the page, without its XML prologue. */
static void inline_svg(FILE *out, const char *path)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return;
    char line[65536];
    bool inside = false;
    fputs("<figure>", out);
    while (fgets(line, sizeof line, in)) {
        const char *from = inside ? line : strstr(line, "<svg");
        if (!from)
            continue;
        inside = true;
        fputs(from, out);
    }
    fputs("</figure>\n", out);
    fclose(in);
}

static void figures_section(FILE *out, const json_t *result, const char *dir)
{
    const json_t *figures = json_object_get(result, "figures");
    if (!json_array_size(figures))
        return;
    fputs("<h3>Figures</h3><p class=\"soft\">Each also as PNG and PDF, its points as CSV, beside "
          "this file.</p>\n",
          out);
    size_t i;
    json_t *name;
    json_array_foreach(figures, i, name)
    {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, json_string_value(name));
        inline_svg(out, path);
    }
}

static void failures_section(FILE *out, const json_t *result)
{
    bool any = false;
    size_t i;
    json_t *cell;
    json_array_foreach(json_object_get(result, "cells"), i, cell)
    {
        if (!strcmp(field_text(cell, "status", ""), "ok"))
            continue;
        if (!any)
            fputs("<h3>Cells that did not finish</h3><ul>\n", out);
        any = true;
        char label[300];
        cell_label(cell, label, sizeof label);
        fputs("<li>", out);
        html_escape(out, label);
        fprintf(out, ", repeat %d: <b class=\"bad\">%s</b> ",
                (int)json_integer_value(json_object_get(cell, "repeat")) + 1,
                field_text(cell, "status", ""));
        html_escape(out, field_text(cell, "error", ""));
        fputs("</li>\n", out);
    }
    if (any)
        fputs("</ul>\n", out);
}

static void json_rows(FILE *out, const json_t *object, const char *prefix)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
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

static void conditions_section(FILE *out, const json_t *result)
{
    size_t i;
    json_t *warning;
    const json_t *environment = json_object_get(result, "environment");
    json_array_foreach(json_object_get(environment, "warnings"), i, warning)
    {
        fputs("<p class=\"bad\">Warning: ", out);
        html_escape(out, json_string_value(warning));
        fputs("</p>\n", out);
    }
    fputs("<details><summary>Experiment, data, machine and build</summary><div "
          "class=\"wide\"><table><tbody>\n",
          out);
    json_t *experiment = json_copy(json_object_get(result, "experiment"));
    json_object_del(experiment, "about"); /* which stands above */
    json_rows(out, experiment, "experiment");
    json_decref(experiment);
    json_t *dataset;
    json_array_foreach(json_object_get(result, "datasets"), i, dataset)
    {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "dataset %zu", i + 1);
        json_rows(out, dataset, prefix);
    }
    json_rows(out, environment, "");
    fputs("</tbody></table></div></details>\n", out);
}

/* number: of its section on a page of several, 0 on its own. */
static void one_result(FILE *out, const json_t *result, const char *dir, size_t number)
{
    const json_t *experiment = json_object_get(result, "experiment");
    fprintf(out, number ? "<section id=\"result-%zu\"><h2>" : "<h1>", number);
    html_escape(out, *field_text(experiment, "title", "") ? field_text(experiment, "title", "")
                                                          : field_text(experiment, "name", ""));
    fprintf(out, "</h%d><p class=\"soft\">", number ? 2 : 1);
    const char *config = field_text(experiment, "config", ""), *ours = strstr(config, "/configs/");
    html_escape(out, ours ? ours + 1 : config); /* wherever the repository lies */
    const int repeats = (int)field_number(experiment, "repeats");
    fprintf(out, " · seed %d · %d repeat%s · k = %d", (int)field_number(experiment, "seed"),
            repeats, repeats == 1 ? "" : "s", (int)field_number(experiment, "k"));
    if (json_is_true(json_object_get(json_object_get(experiment, "overrides"), "quick")))
        fputs(" · <b class=\"bad\">--quick: once, and on less than was published</b>", out);
    fputs("</p>\n", out);
    struct summary_index index;
    summary_index_init(&index, result);
    html_about(out, result);
    html_claims(out, result);
    html_published(out, result);
    figures_section(out, result, dir);
    if (number)
        fputs("<details><summary>Every value</summary>\n", out);
    value_table(out, result, &index, COLUMNS_ALL_QUERIES, "Queries");
    value_table(out, result, &index, COLUMNS_AT_RECALL,
                "At a recall, between two points of a sweep");
    value_table(out, result, &index, COLUMNS_ALL_UPDATES, "Updates");
    if (number)
        fputs("</details>\n", out);
    failures_section(out, result);
    conditions_section(out, result);
    fputs(number ? "</section>\n" : "", out);
    summary_index_free(&index);
}

static int load_all(const char *const *dirs, size_t n, json_t **results, struct error *error)
{
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/result.json", dirs[i]);
        rc = result_load(file, &results[i], error);
    }
    return rc;
}

/* The whole page into out. failed: NULL on the page of one result, which has no overview. */
static void write_page(FILE *out, json_t *const *results, const char *const *dirs, size_t n,
                       const char *const *failed, const char *title)
{
    fputs(head, out);
    fputs("<title>", out);
    html_escape(out, title);
    fputs("</title></head><body>\n", out);
    if (failed) {
        fputs("<h1>", out);
        html_escape(out, title);
        fputs("</h1>\n", out);
        html_overview(out, results, n);
    }
    for (size_t i = 0; failed && failed[i]; i++) {
        fputs("<p class=\"bad\">No result: ", out);
        html_escape(out, failed[i]);
        fputs("</p>\n", out);
    }
    for (size_t i = 0; i < n; i++)
        one_result(out, results[i], dirs[i], failed ? i + 1 : 0);
    fputs(tail, out);
}

static int make_page(const char *const *dirs, size_t n, const char *const *failed,
                     const char *title, const char *path, struct error *error)
{
    json_t **results = calloc(n ? n : 1, sizeof *results);
    char *page = NULL;
    size_t bytes = 0;
    FILE *out = results ? open_memstream(&page, &bytes) : NULL;
    int rc = out ? load_all(dirs, n, results, error)
                 : fail(error, ERR_NO_MEMORY, "out of memory writing %s", path);
    if (!rc)
        write_page(out, results, dirs, n, failed, title);
    if (out)
        fclose(out);
    if (!rc)
        rc = write_whole_file(path, page, bytes, error);
    for (size_t i = 0; results && i < n; i++)
        json_decref(results[i]);
    free(results);
    free(page);
    return rc;
}

int report_write_many(const char *const *dirs, size_t n, const char *const *failed,
                      const char *title, const char *path, struct error *error)
{
    return make_page(dirs, n, failed, title, path, error);
}

int report_write(const char *dir, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/report.html", dir);
    return make_page(&dir, 1, NULL, "Driftline", path, error);
}
