/* text.c - prints the tables after a run; see report.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/report/claims.h"
#include "src/report/columns.h"
#include "src/report/report.h"
#include "src/report/rounds.h"
#include "src/report/run.h"

/* ---- which setting to take */

/* Of a search that chose no setting, as `advise` asks for by default. */
static const double default_recall = .95;

struct candidate {
    json_t *cell; /* the first of the label's */
    char label[300];
    double wished, rate, recall, low; /* low: the least end of an interval over the repeats */
    bool reached;
};

/* The last step of a cell with this operation; NULL: none was measured. */
static const json_t *last_step(const json_t *cell, const char *op)
{
    const json_t *steps = json_object_get(cell, "steps");
    for (size_t i = json_array_size(steps); i-- > 0;) {
        const json_t *step = json_array_get(steps, i);
        if (!strcmp(field_text(step, "op", ""), op) &&
            !strcmp(field_text(step, "status", ""), "ok"))
            return step;
    }
    return NULL;
}

static bool is_ok(const json_t *cell)
{
    return !strcmp(field_text(cell, "status", ""), "ok");
}

/* The first cell without a failure; NULL: none. */
static const json_t *first_ok(const json_t *result)
{
    const json_t *cells = json_object_get(result, "cells");
    size_t i = 0;
    while (i < json_array_size(cells) && !is_ok(json_array_get(cells, i)))
        i++;
    return json_array_get(cells, i);
}

/* NAN: a repeat failed. */
static double least_low(const json_t *result, const char *label, const char *tag)
{
    const json_t *cells = json_object_get(result, "cells"), *cell;
    double low = INFINITY;
    size_t i;
    json_array_foreach(cells, i, cell) {
        char of[300];
        result_cell_label(cell, of, sizeof of);
        const json_t *step = last_step(cell, "search");
        if (!strcmp(of, label) && !is_ok(cell))
            return NAN;
        if (!strcmp(of, label) && step && !strcmp(field_text(step, "tag", ""), tag))
            low = fmin(low, field_number(json_object_get(step, "recall"), "low"));
    }
    return low;
}

/* How the step's setting was chosen; NULL: it was not. */
static const json_t *choice_of(const json_t *step)
{
    const json_t *choice = json_object_get(step, "calibrated");
    return json_is_object(choice) ? choice : NULL;
}

/* The recall that all are held to: the highest that a setting was tuned for. */
static double wished_recall(const json_t *result)
{
    double tuned = 0;
    const json_t *cell;
    size_t i;
    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        tuned = fmax(tuned, field_number(choice_of(last_step(cell, "search")), "recall"));
    }
    return tuned > 0 ? tuned : default_recall;
}

/* False: nothing to compare was measured. */
static bool read_candidate(const json_t *result, const struct summary_index *index, json_t *cell,
                           const char *tag, struct candidate *c)
{
    const long long k = field_integer(json_object_get(result, "experiment"), "k", 0);
    const json_t *choice = choice_of(last_step(cell, "search"));
    char recall[200], rate[200];
    *c = (struct candidate){ .cell = cell };
    result_cell_label(cell, c->label, sizeof c->label);
    (void)snprintf(recall, sizeof recall, "recall@%lld/%s", k, tag);
    (void)snprintf(rate, sizeof rate, "single_qps/%s", tag);
    c->rate = summary_median(index, c->label, rate);
    c->recall = summary_median(index, c->label, recall);
    c->low = least_low(result, c->label, tag);
    c->wished = wished_recall(result);
    c->reached = choice ? json_is_true(json_object_get(choice, "reached")) && c->recall >= c->wished
                        : c->low >= c->wished;
    return isfinite(c->rate) && isfinite(c->recall) && isfinite(c->low);
}

/* For qsort(): what is to be taken first. It reaches the recall, then it is faster; where neither
   does, it has the higher recall. */
static int better_first(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->reached != b->reached)
        return a->reached ? -1 : 1;
    const double x = a->reached ? a->rate : a->recall, y = b->reached ? b->rate : b->recall;
    return (x < y) - (x > y);
}

/* Prints ", VALUE WHAT" if the summary has the value. */
static void print_value(const struct summary_index *index, const char *label, const char *metric,
                        const char *what, FILE *out)
{
    char text[64];
    const json_t *entry = summary_find(index, label, metric);
    const double value = field_number(entry, "median");
    if (!isfinite(value))
        return;
    result_metric_text(result_metric(metric), value, text, sizeof text);
    fprintf(out, ", %s%s %s", json_is_true(json_object_get(entry, "noisy")) ? "~" : "", text, what);
}

/* What a change of one row costs: of the last insertion and deletion. */
static void print_changes(const json_t *result, const struct summary_index *index,
                          const char *label, FILE *out)
{
    static const char *const ops[] = { "insert", "delete", "update" };
    const json_t *first = first_ok(result);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const json_t *step = last_step(first, ops[i]);
        char metric[200], what[40];
        (void)snprintf(metric, sizeof metric, "ns_each/%s", field_text(step, "tag", ops[i]));
        (void)snprintf(what, sizeof what, "to %s a row", ops[i]);
        if (step)
            print_value(index, label, metric, what, out);
    }
}

/* Writes LABEL[point] with the setting that the last search chose, where it chose one. */
static void write_setting(const json_t *cell, char *text, size_t bytes)
{
    const json_t *choice = choice_of(last_step(cell, "search"));
    const char *point = field_text(choice, "point", NULL);
    if (!point)
        result_cell_label(cell, text, bytes);
    else
        (void)snprintf(text, bytes, "%s[%s]%s", field_text(cell, "label", ""), point,
                       json_is_true(json_object_get(choice, "reached")) ? ""
                                                                        : ", recall not reached");
}

static void print_choice(const json_t *result, const struct summary_index *index, const char *tag,
                         const struct candidate *best, FILE *out)
{
    const json_t *experiment = json_object_get(result, "experiment");
    const long long k = field_integer(experiment, "k", 0);
    char setting[400], metric[200];
    write_setting(best->cell, setting, sizeof setting);
    if (best->reached)
        fprintf(out, "\nfastest with recall@%lld of %g or more in \"%s\": %s\n  recall %.4f", k,
                best->wished, tag, setting, best->recall);
    else
        fprintf(out,
                "\nnone has recall@%lld of %g in \"%s\" for sure; nearest is %s\n  recall %.4f "
                "(%.4f at least)",
                k, best->wished, tag, setting, best->recall, best->low);
    (void)snprintf(metric, sizeof metric, "single_qps/%s", tag);
    print_value(index, best->label, metric, "queries per second, one at a time", out);
    print_value(index, best->label, "index_bytes/end", "of memory", out);
    print_changes(result, index, best->label, out);
    const char *data = field_text(json_object_get(experiment, "overrides"), "data", "");
    fprintf(out, "\n  to make sure, with more settings: ./harness advise %s\n",
            *data ? data : "DATA");
}

/* The tag of the last search; NULL: nothing was searched. */
static const char *last_tag(const json_t *result)
{
    const json_t *search = last_step(first_ok(result), "search");
    return search ? field_text(search, "tag", "search") : NULL;
}

/* result_variants(), where settings were tuned in another order: first those that reached the recall,
   the fastest first; then the others, the highest recall first. */
static json_t *ranked_variants(const json_t *result, const struct summary_index *index)
{
    json_t *variants = result_variants(result), *ranked = json_array(), *rest = json_array(), *cell;
    const char *tag = last_tag(result);
    struct candidate *all = calloc(json_array_size(variants) + 1, sizeof *all);
    size_t i, n = 0;
    if (!all || !tag || !result_is_tuned(result)) {
        free(all);
        json_decref(ranked);
        json_decref(rest);
        return variants;
    }
    json_array_foreach(variants, i, cell) {
        if (read_candidate(result, index, cell, tag, &all[n]))
            n++;
        else
            json_array_append(rest, cell);
    }
    qsort(all, n, sizeof *all, better_first);
    for (i = 0; i < n; i++)
        json_array_append(ranked, all[i].cell);
    json_array_extend(ranked, rest);
    json_decref(rest);
    json_decref(variants);
    free(all);
    return ranked;
}

/* Prints, of the last search, the fastest point that reaches the recall, what it costs, and the command
   that makes sure. A tuned search has its recall; of others it is .95, by the low end of the interval in
   every repeat. Where none reaches it, the one with the highest recall. Nothing if the config has claims,
   or fewer than two points were searched. */
static void print_answer(const json_t *result, const struct summary_index *index, FILE *out)
{
    const char *tag = last_tag(result);
    if (!tag || json_array_size(json_object_get(result, "claims")) > 0)
        return;
    json_t *variants = result_variants(result), *cell;
    struct candidate best, c;
    size_t i, n = 0;
    json_array_foreach(variants, i, cell) {
        if (read_candidate(result, index, cell, tag, &c) &&
            (n++ == 0 || better_first(&c, &best) < 0))
            best = c;
    }
    if (n > 1)
        print_choice(result, index, tag, &best, out);
    json_decref(variants);
}

/* ---- tables */

/* Whether a value is marked as not steady. */
static bool print_values(const json_t *result, const struct summary_index *index,
                         const json_t *columns, bool by_build, FILE *out)
{
    bool marked = false;
    if (!json_array_size(columns))
        return false;
    json_t *variants = by_build ? result_builds(result) : ranked_variants(result, index);
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
        char shown[400];
        (by_build ? result_build_label : write_setting)(cell, shown, sizeof shown);
        table_add(&table, "%s", shown);
        json_array_foreach(columns, c, column) {
            const json_t *entry = summary_find(index, label, json_string_value(column));
            char text[64];
            result_metric_text(result_metric(json_string_value(column)),
                               field_number(entry, "median"), text, sizeof text);
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
        char published[64], measured[64];
        const struct result_metric *of = result_metric(field_text(row, "metric", ""));
        result_metric_text(of, field_number(row, "published"), published, sizeof published);
        result_metric_text(of, field_number(row, "measured"), measured, sizeof measured);
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
    json_array_foreach(remarks, i, remark)
        fprintf(out, "%s\n", field_text(remark, "text", ""));
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
    print_answer(result, &index, out);
    print_failures(result, out);
    json_decref(queries);
    json_decref(updates);
    summary_index_free(&index);
}
