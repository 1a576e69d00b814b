/* text.c - prints the tables after a run; see report.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/report/answer.h"
#include "src/report/claims.h"
#include "src/report/columns.h"
#include "src/report/report.h"
#include "src/report/rounds.h"
#include "src/report/run.h"

/* Whether a value is marked as not steady. */
static bool print_values(const json_t *result, const struct summary_index *index,
                         const json_t *columns, bool by_build, FILE *out)
{
    bool marked = false;
    if (!json_array_size(columns))
        return false;
    json_t *variants = by_build ? result_builds(result) : result_variants(result);
    struct table table;
    table_init(&table, json_array_size(columns) + 1);
    table_add(&table, "%s", "");
    size_t c, v;
    json_t *column, *cell;
    json_array_foreach(columns, c, column) {
        table_add(&table, "%s", json_string_value(column));
    }
    json_array_foreach(variants, v, cell) {
        char label[300];
        result_cell_label(cell, label, sizeof label);
        if (!report_has_any(index, label, columns))
            continue;
        char shown[300];
        (by_build ? result_build_label : result_cell_label)(cell, shown, sizeof shown);
        table_add(&table, "%s", shown);
        json_array_foreach(columns, c, column) {
            const json_t *entry = summary_find(index, label, json_string_value(column));
            char text[64], name[64], tag[128];
            result_metric_split(json_string_value(column), name, sizeof name, tag, sizeof tag);
            result_metric_text(result_metric(name), field_number(entry, "median"), text,
                               sizeof text);
            const bool noisy = json_is_true(json_object_get(entry, "noisy"));
            table_add(&table, "%s%s", noisy ? "~" : "", text);
            marked |= noisy;
        }
    }
    if (table.n > table.columns) {
        fputc('\n', out);
        table_print(&table, out);
    }
    table_free(&table);
    json_decref(variants);
    return marked;
}

static void print_failures(const json_t *result, FILE *out)
{
    size_t i;
    json_t *cell;
    bool any = false;
    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        const char *status = field_text(cell, "status", "");
        if (!strcmp(status, "ok"))
            continue;
        char label[300];
        result_cell_label(cell, label, sizeof label);
        fprintf(out, "%s%s, repeat %lld: %s: %s\n", any ? "" : "\n", label,
                field_integer(cell, "repeat", 0) + 1, status, field_text(cell, "error", ""));
        any = true;
    }
}

static void print_claims(const json_t *result, FILE *out)
{
    size_t i, l;
    json_t *claim, *line;
    json_array_foreach(json_object_get(result, "claims"), i, claim) {
        fprintf(out, "%s%-15s %s\n", i ? "" : "\nclaims\n", claim_verdict(claim),
                field_text(claim, "text", ""));
        json_t *lines = claim_lines(result, claim);
        json_array_foreach(lines, l, line) {
            fprintf(out, "%-18s%s\n", "", json_string_value(line));
        }
        if (*claim_why(claim))
            fprintf(out, "%-18s%s\n", "", claim_why(claim));
        json_decref(lines);
    }
}

static void print_paper(const json_t *result, FILE *out)
{
    const json_t *paper = json_object_get(result, "paper");
    if (!json_array_size(paper))
        return;
    struct table table;
    table_init(&table, 4);
    table_add(&table, "published figure");
    table_add(&table, "metric");
    table_add(&table, "published");
    table_add(&table, "measured");
    size_t i;
    json_t *row;
    json_array_foreach(paper, i, row) {
        char name[64], tag[128], published[64], measured[64];
        result_metric_split(field_text(row, "metric", ""), name, sizeof name, tag, sizeof tag);
        const json_t *m = json_object_get(row, "measured");
        result_metric_text(result_metric(name),
                           json_number_value(json_object_get(row, "published")), published,
                           sizeof published);
        result_metric_text(result_metric(name), json_is_number(m) ? json_number_value(m) : NAN,
                           measured, sizeof measured);
        table_add(&table, "%s", field_text(row, "label", ""));
        table_add(&table, "%s", field_text(row, "metric", ""));
        table_add(&table, "%s", published);
        table_add(&table, "%s", measured);
    }
    fputc('\n', out);
    table_print(&table, out);
    table_free(&table);
}

void report_summary(const json_t *result, FILE *out)
{
    const json_t *experiment = json_object_get(result, "experiment");
    fprintf(out, "\n%s\n",
            *field_text(experiment, "title", "") ? field_text(experiment, "title", "")
                                                 : field_text(experiment, "name", ""));
    json_t *remarks = report_remarks(result), *remark;
    size_t i;
    json_array_foreach(remarks, i, remark) {
        fprintf(out, "%s\n", json_string_value(remark));
    }
    json_decref(remarks);
    struct summary_index index;
    summary_index_init(&index, result);
    json_t *queries = report_columns(result, COLUMNS_QUERIES),
           *updates = report_columns(result, COLUMNS_UPDATES);
    bool marked = print_values(result, &index, queries, false, out);
    marked |= print_values(result, &index, updates, true, out);
    if (marked)
        fputs("\n~ not steady: passes or repeats differ by more than 10 %, or waited for a "
              "processor\n",
              out);
    report_rounds(result, out);
    print_paper(result, out);
    print_claims(result, out);
    report_answer(result, &index, out);
    print_failures(result, out);
    json_decref(queries);
    json_decref(updates);
    summary_index_free(&index);
}
