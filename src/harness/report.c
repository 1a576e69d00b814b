/* report.c - report.html: one file without network, from result.json and the SVGs beside it. */
#include "harness/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_field.h"
#include "harness/metric.h"
#include "harness/report_columns.h"
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
    "h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem}\n"
    ".soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-"
    "size:.87rem}\n"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid "
    "var(--line);text-align:right;white-space:nowrap}\n"
    "th:first-child,td:first-child,td.text,th.text{text-align:left}td.wrap{white-space:normal;text-"
    "align:left}\n"
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

static void escape(FILE *out, const char *text)
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

static void cell_text(FILE *out, const char *text, const char *class)
{
    fprintf(out, "<td class=\"%s\">", class);
    escape(out, text);
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
    bool by_build = group == COLUMNS_ALL_UPDATES;
    json_t *columns = report_columns(result, group);
    json_t *variants = by_build ? result_builds(result) : result_variants(result);
    size_t c, v;
    json_t *column, *cell;
    if (json_array_size(columns)) {
        fprintf(out, "<h2>%s</h2><div class=\"wide\"><table><thead><tr><th>method</th>", title);
        json_array_foreach(columns, c, column)
        {
            fputs("<th>", out);
            escape(out, json_string_value(column));
            fputs("</th>", out);
        }
        fputs("</tr></thead><tbody>\n", out);
        json_array_foreach(variants, v, cell)
        {
            char label[300], name[64], tag[128];
            cell_label(cell, label, sizeof label);
            if (!report_has_any(index, label, columns))
                continue;
            fputs("<tr>", out);
            char shown[300];
            (by_build ? build_label : cell_label)(cell, shown, sizeof shown);
            cell_text(out, shown, "text");
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

static void claims_section(FILE *out, const json_t *result)
{
    const json_t *claims = json_object_get(result, "claims");
    if (!json_array_size(claims))
        return;
    fputs("<h2>The source's claims</h2><div class=\"wide\"><table><thead><tr><th "
          "class=\"text\">claim</th>"
          "<th class=\"text\">here</th><th class=\"text\">numbers</th></tr></thead><tbody>\n",
          out);
    size_t i;
    json_t *claim, *value;
    json_array_foreach(claims, i, claim)
    {
        const json_t *holds = json_object_get(claim, "holds");
        fputs("<tr>", out);
        cell_text(out, field_text(claim, "text", ""), "wrap");
        if (json_is_true(holds))
            fputs("<td class=\"text good\">reproduced</td>", out);
        else if (json_is_false(holds))
            fputs("<td class=\"text bad\">not reproduced</td>", out);
        else
            cell_text(out, "not measured", "text soft");
        fputs("<td class=\"wrap\">", out);
        const char *key;
        json_object_foreach(json_object_get(claim, "values"), key, value)
        {
            char number[64];
            number_text(json_is_number(value) ? json_number_value(value) : NAN, number,
                        sizeof number);
            escape(out, key);
            fprintf(out, " = %s<br>", number);
        }
        escape(out, field_text(claim, "error", ""));
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void paper_section(FILE *out, const json_t *result)
{
    const json_t *paper = json_object_get(result, "paper");
    if (!json_array_size(paper))
        return;
    fputs("<h2>Published and measured</h2><p class=\"soft\">Recalls compare across machines; times "
          "do not, their ratios "
          "do.</p><div class=\"wide\"><table><thead><tr><th>method</th><th "
          "class=\"text\">metric</th><th>published</th>"
          "<th>measured</th><th>measured / published</th></tr></thead><tbody>\n",
          out);
    size_t i;
    json_t *row;
    json_array_foreach(paper, i, row)
    {
        char name[64], tag[128], published[64], measured[64];
        double p = json_number_value(json_object_get(row, "published"));
        const json_t *value = json_object_get(row, "measured");
        double m = json_is_number(value) ? json_number_value(value) : NAN;
        metric_split(field_text(row, "metric", ""), name, sizeof name, tag, sizeof tag);
        metric_text(metric_info(name), p, published, sizeof published);
        metric_text(metric_info(name), m, measured, sizeof measured);
        fputs("<tr>", out);
        cell_text(out, field_text(row, "label", ""), "text");
        cell_text(out, field_text(row, "metric", ""), "text");
        fprintf(out, "<td data-v=\"%.9g\">%s</td><td data-v=\"%.9g\">%s</td><td>", p, published,
                isnan(m) ? 0 : m, measured);
        if (isnan(m) || p == 0)
            fputs("-", out);
        else
            fprintf(out, "%.3f", m / p);
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
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
    fputs("<h2>Figures</h2><p class=\"soft\">Each also as PNG and PDF, its points as CSV, beside "
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
            fputs("<h2>Cells that did not finish</h2><ul>\n", out);
        any = true;
        char label[300];
        cell_label(cell, label, sizeof label);
        fputs("<li>", out);
        escape(out, label);
        fprintf(out, ", repeat %d: <b class=\"bad\">%s</b> ",
                (int)json_integer_value(json_object_get(cell, "repeat")) + 1,
                field_text(cell, "status", ""));
        escape(out, field_text(cell, "error", ""));
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
        cell_text(out, name, "text");
        cell_text(out, text ? text : json_string_value(value), "wrap");
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
        escape(out, json_string_value(warning));
        fputs("</p>\n", out);
    }
    fputs("<details><summary>Experiment, data, machine and build</summary><div "
          "class=\"wide\"><table><tbody>\n",
          out);
    json_rows(out, json_object_get(result, "experiment"), "experiment");
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

static void one_result(FILE *out, const json_t *result, const char *dir)
{
    const json_t *experiment = json_object_get(result, "experiment");
    fputs("<h1>", out);
    escape(out, *field_text(experiment, "title", "") ? field_text(experiment, "title", "")
                                                     : field_text(experiment, "name", ""));
    fputs("</h1><p class=\"soft\">", out);
    escape(out, field_text(experiment, "config", ""));
    fprintf(out, " · seed %d · %d repeats · k = %d</p>\n",
            (int)json_integer_value(json_object_get(experiment, "seed")),
            (int)json_integer_value(json_object_get(experiment, "repeats")),
            (int)json_integer_value(json_object_get(experiment, "k")));
    struct summary_index index;
    summary_index_init(&index, result);
    claims_section(out, result);
    figures_section(out, result, dir);
    paper_section(out, result);
    value_table(out, result, &index, COLUMNS_ALL_QUERIES, "Queries");
    value_table(out, result, &index, COLUMNS_ALL_UPDATES, "Updates");
    failures_section(out, result);
    conditions_section(out, result);
    summary_index_free(&index);
}

int report_write_many(const char *const *dirs, size_t n, const char *title, const char *path,
                      struct error *error)
{
    char *page = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&page, &bytes);
    if (!out)
        return fail(error, ERR_NO_MEMORY, "out of memory writing %s", path);
    fputs(head, out);
    fputs("<title>", out);
    escape(out, title);
    fputs("</title></head><body>\n", out);
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++) {
        char file[4096];
        json_t *result = NULL;
        snprintf(file, sizeof file, "%s/result.json", dirs[i]);
        rc = result_load(file, &result, error);
        if (!rc)
            one_result(out, result, dirs[i]);
        json_decref(result);
    }
    fputs(tail, out);
    fclose(out);
    if (!rc)
        rc = write_whole_file(path, page, bytes, error);
    free(page);
    return rc;
}

int report_write(const char *dir, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/report.html", dir);
    return report_write_many(&dir, 1, "Driftline", path, error);
}
