/* compare_print.c - the rows of a comparison as text, Markdown, CSV and JSON. */
#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/result/compare.h"

static const char *verdict_text(const struct compare_row *row)
{
    const size_t least = row->n[0] < row->n[1] ? row->n[0] : row->n[1];
    switch (row->verdict) {
        case VERDICT_BETTER: return "better";
        case VERDICT_WORSE: return "worse";
        case VERDICT_TOLERATED: return "within the tolerance";
        case VERDICT_FEW_REPEATS:
            return least == 1 ? "one repeat: no verdict" : "two repeats: no verdict";
        default: return "no difference shown";
    }
}

/* A walk over the rows in the order of verdicts. */
struct order {
    const struct compare_rows *rows;
    bool all;
    size_t verdict, at, left_out;
};

/* The next row; NULL past the last. */
static const struct compare_row *next_row(struct order *o)
{
    static const enum compare_verdict order[] = { VERDICT_WORSE, VERDICT_BETTER,
                                                  VERDICT_FEW_REPEATS, VERDICT_TOLERATED,
                                                  VERDICT_SAME };

    for (; o->verdict < VERDICTS; o->verdict++, o->at = 0) {
        while (o->at < o->rows->n) {
            const struct compare_row *row = &o->rows->row[o->at++];
            if (row->verdict != order[o->verdict])
                continue;
            if (o->all || (row->verdict != VERDICT_SAME &&
                           (row->verdict != VERDICT_FEW_REPEATS || row->a != row->b)))
                return row;
            o->left_out++;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- for people */

static void add_interval(struct table *table, const struct compare_row *row)
{
    char p[40] = "";
    if (!isnan(row->p))
        snprintf(p, sizeof p, row->p < .001 ? ", p < .001" : ", p = %.2g", row->p);
    if (isnan(row->low))
        table_add(table, "%s",
                  *p                                                               ? p + 2
                  : row->verdict == VERDICT_FEW_REPEATS || row->kind == ROW_PAIRED ? "-"
                                                                                   : "exact");
    else if (row->kind == ROW_PAIRED)
        table_add(table, "%+.4f .. %+.4f%s", row->low, row->high, p);
    else
        table_add(table, "%+.3g .. %+.3g %%%s", 100 * row->low, 100 * row->high, p);
}

/* The smallest change that the row's test detects. */
static void add_visible(struct table *table, const struct compare_row *row)
{
    const double percent = 100 * expm1(row->visible);
    if (isnan(percent))
        table_add(table, "-");
    else
        table_add(table, percent > 1000 ? "> 1000 %%" : "%.3g %%", percent);
}

/* In the unit of the interval: a share of A, or of recall the difference. */
static void add_change(struct table *table, const struct compare_row *row)
{
    if (row->kind == ROW_PAIRED)
        table_add(table, "%+.4f", row->b - row->a);
    else
        table_add(table, row->a != 0 ? "%+.2f %%" : "-", 100 * (row->b / row->a - 1));
}

/* Equal to the eye and yet different values get all their digits. */
static void add_values(struct table *table, const struct compare_row *row)
{
    char a[40], b[40];
    result_metric_text(result_metric(row->metric), row->a, a, sizeof a);
    result_metric_text(result_metric(row->metric), row->b, b, sizeof b);
    if (row->a != row->b && !strcmp(a, b)) {
        snprintf(a, sizeof a, "%.9g", row->a);
        snprintf(b, sizeof b, "%.9g", row->b);
    }
    table_add(table, "%s", a);
    table_add(table, "%s", b);
}

static void print_table(struct order *o, bool markdown, FILE *out)
{
    const struct compare_row *row;
    struct table table;
    table_begin(&table, "|metric|A|B|B against A|95 % interval|could see|verdict");
    while ((row = next_row(o))) {
        table_add(&table, "%s", row->label);
        table_add(&table, "%s", row->metric);
        add_values(&table, row);
        add_change(&table, row);
        add_interval(&table, row);
        add_visible(&table, row);
        table_add(&table, "%s", verdict_text(row));
    }
    if (o->left_out < o->rows->n)
        (markdown ? table_end_markdown : table_end)(&table, out);
    else
        table_free(&table);
}

/* ----------------------------------------------------------------------------- for programs */

static const char *const columns[] = { "a", "b", "low", "high", "p", "could_see" };
enum { COLUMNS = sizeof columns / sizeof *columns };

static void get_numbers(const struct compare_row *row, double numbers[COLUMNS])
{
    const double all[COLUMNS] = {
        row->a, row->b, row->low, row->high, row->p, expm1(row->visible)
    };
    memcpy(numbers, all, sizeof all);
}

static void print_csv(struct order *o, FILE *out)
{
    const struct compare_row *row;
    fputs("label,metric", out);
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, ",%s", columns[i]);
    fputs(",verdict\n", out);
    while ((row = next_row(o))) {
        double numbers[COLUMNS];
        get_numbers(row, numbers);
        quote_csv(out, row->label);
        fputc(',', out);
        quote_csv(out, row->metric);
        for (size_t i = 0; i < COLUMNS; i++)
            fprintf(out, isfinite(numbers[i]) ? ",%.9g" : ",", numbers[i]);
        fprintf(out, ",%s\n", verdict_text(row));
    }
}

static void print_json(struct order *o, FILE *out)
{
    json_t *rows = json_array();
    const struct compare_row *row;
    while ((row = next_row(o))) {
        double numbers[COLUMNS];
        json_t *object = json_pack("{s:o, s:o, s:s}", "label", quote_json(row->label), "metric",
                                   quote_json(row->metric), "verdict", verdict_text(row));
        get_numbers(row, numbers);
        for (size_t i = 0; i < COLUMNS; i++)
            json_object_set_new(object, columns[i], json_number(numbers[i]));
        json_array_append_new(rows, object);
    }
    json_dumpf(rows, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(rows);
}

size_t compare_rows_print(const struct compare_rows *rows, enum compare_format format, bool all,
                          FILE *out)
{
    struct order o = { .rows = rows,
                       .all = all || format == COMPARE_CSV || format == COMPARE_JSON };

    if (format == COMPARE_JSON)
        print_json(&o, out);
    else if (format == COMPARE_CSV)
        print_csv(&o, out);
    else
        print_table(&o, format == COMPARE_MARKDOWN, out);
    return o.left_out;
}
