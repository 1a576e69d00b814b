/* text.c - prints the tables after a run; see report.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/report/internal.h"

/* ---- which setting to take */

/* Of a search that chose no setting, as `advise` asks for by default. */
static const double default_recall = .95;

struct candidate {
    const struct result_cell *cell;   /* the first of the name's */
    double wished, rate, recall, low; /* low: the least end of an interval over the repeats */
    bool reached;
};

/* The first cell without a failure; NULL: none. */
static const struct result_cell *first_ok(const struct result *r)
{
    size_t i = 0;
    while (i < r->n && !r->cells[i].ok)
        i++;
    return i < r->n ? &r->cells[i] : NULL;
}

/* The last search with the experiment's k: others have another recall. NULL: none. */
static const struct result_step *last_search(const struct result *r, const struct result_cell *cell)
{
    size_t i = cell ? cell->n : 0;
    for (; i > 0; i--) {
        const struct result_step *step = &cell->steps[i - 1];
        const json_t *recall = json_object_get(step->json, "recall");
        if (step->op == OP_SEARCH && step->ok &&
            (size_t)field_integer(recall, "k", (long long)r->k) == r->k)
            return step;
    }
    return NULL;
}

/* NAN: a repeat failed. */
static double least_low(const struct result *r, const char *name, const char *tag)
{
    double low = INFINITY;
    for (size_t i = 0; i < r->n; i++) {
        if (r->cells[i].name != name)
            continue;
        if (!r->cells[i].ok)
            return NAN;
        const struct result_step *step = last_search(r, &r->cells[i]);
        if (step && !strcmp(step->tag, tag))
            low = fmin(low, field_number(json_object_get(step->json, "recall"), "low"));
    }
    return low;
}

/* How the cell's last search chose its setting; NULL: it did not. */
static const json_t *choice_of(const struct result_cell *cell)
{
    const struct result_step *step = result_last_step(cell, OP_SEARCH);
    const json_t *choice = step ? json_object_get(step->json, "calibrated") : NULL;
    return json_is_object(choice) ? choice : NULL;
}

/* False: nothing to compare was measured. */
static bool read_candidate(const struct result *r, const struct result_cell *cell, const char *tag,
                           double wished, struct candidate *c)
{
    const json_t *choice = choice_of(cell);
    char recall[32];
    (void)snprintf(recall, sizeof recall, "recall@%zu", r->k);
    *c = (struct candidate){
        .cell = cell,
        .rate = summary_find_tag(&r->summary, cell->name, "single_qps", tag)->median,
        .recall = summary_find_tag(&r->summary, cell->name, recall, tag)->median,
        .low = least_low(r, cell->name, tag),
        .wished = wished
    };
    c->reached = choice ? json_is_true(json_object_get(choice, "reached")) && c->recall >= wished
                        : c->low >= wished;
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
static void print_value(const struct result *r, const char *label, const char *metric,
                        const char *tag, const char *what, FILE *out)
{
    const struct summary_entry *entry = summary_find_tag(&r->summary, label, metric, tag);
    char text[64];
    if (!isfinite(entry->median))
        return;
    result_metric_text(result_metric(metric), entry->median, text, sizeof text);
    fprintf(out, ", %s%s %s", entry->noisy ? "~" : "", text, what);
}

/* What a change of one row costs: of the last insertion and deletion. */
static void print_changes(const struct result *r, const char *label, FILE *out)
{
    static const enum op_kind ops[] = { OP_INSERT, OP_DELETE, OP_UPDATE };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const struct result_step *step = result_last_step(first_ok(r), ops[i]);
        char what[40];
        (void)snprintf(what, sizeof what, "to %s a row", op_name(ops[i]));
        if (step)
            print_value(r, label, "ns_each", step->tag, what, out);
    }
}

/* Writes LABEL[point] with the setting that the last search chose, where it chose one. */
static void write_setting(const struct result_cell *cell, char *text, size_t bytes)
{
    const json_t *choice = choice_of(cell);
    const char *point = field_text(choice, "point", NULL);
    if (!point)
        (void)snprintf(text, bytes, "%s", cell->name);
    else
        (void)snprintf(text, bytes, "%s[%s]%s", cell->label, point,
                       json_is_true(json_object_get(choice, "reached")) ? ""
                                                                        : ", recall not reached");
}

/* unsure: a faster one whose recall is high enough, the low end of its interval is not; no cell: there is
   none. */
static void print_choice(const struct result *r, const char *tag, const struct candidate *best,
                         const struct candidate *unsure, FILE *out)
{
    const json_t *experiment = json_object_get(r->json, "experiment");
    char setting[400];
    write_setting(best->cell, setting, sizeof setting);
    if (best->reached)
        fprintf(out, "\nfastest with recall@%zu of %g or more in \"%s\": %s\n  recall %.4f", r->k,
                best->wished, tag, setting, best->recall);
    else
        fprintf(out,
                "\nnone has recall@%zu of %g in \"%s\" for sure; nearest is %s\n  recall %.4f "
                "(%.4f at least)",
                r->k, best->wished, tag, setting, best->recall, best->low);
    print_value(r, best->cell->name, "single_qps", tag, "queries per second, one at a time", out);
    print_value(r, best->cell->name, "index_bytes", "end", "of memory", out);
    print_changes(r, best->cell->name, out);
    if (unsure->cell)
        fprintf(out, "\n  faster, but not sure to reach it: %s, recall %.4f (%.4f at least)",
                unsure->cell->name, unsure->recall, unsure->low);
    const char *data = field_text(json_object_get(experiment, "overrides"), "data", "");
    fprintf(out, "\n  to make sure, with more settings: ./harness advise %s\n",
            *data ? data : "DATA");
}

/* The variants that were measured in the last search with the experiment's k: first those that reached the
   recall, the fastest first; then the others, the highest recall first. The caller frees the array. NULL:
   out of memory. */
static struct candidate *candidates_of(const struct result *r, size_t *n)
{
    const struct result_step *search = last_search(r, first_ok(r));
    struct candidate *all = calloc(r->n_variants + 1, sizeof *all);
    double wished = 0; /* the highest that a setting was tuned for: all are held to it */
    for (size_t i = 0; i < r->n; i++)
        wished = fmax(wished, field_number(choice_of(&r->cells[i]), "recall"));
    wished = wished > 0 ? wished : default_recall;
    *n = 0;
    for (size_t i = 0; all && search && i < r->n_variants; i++)
        *n += read_candidate(r, r->variants[i], search->tag, wished, &all[*n]);
    if (all)
        qsort(all, *n, sizeof *all, better_first);
    return all;
}

/* Of settings that were tuned, the variants in the order of the candidates, then those not measured. The
   caller frees the array. NULL: out of memory. */
static const struct result_cell **ranked_variants(const struct result *r)
{
    const struct result_cell **ranked = calloc(r->n_variants + 1, sizeof *ranked);
    size_t n = 0, rest;
    struct candidate *all = r->is_tuned ? candidates_of(r, &n) : NULL;
    rest = n;
    for (size_t i = 0; ranked && i < r->n_variants; i++) {
        size_t at = 0;
        while (at < n && all[at].cell != r->variants[i])
            at++;
        ranked[at < n ? at : rest++] = r->variants[i];
    }
    free(all);
    return ranked;
}

/* Prints, of the last search with the experiment's k, the fastest point that reaches the recall, what it
   costs, and the command that makes sure. A tuned search has its recall; of others it is .95, by the low end
   of the interval in every repeat. Where none reaches it, the one with the highest recall. Nothing if the
   config has claims, or fewer than two points were searched. */
static void print_answer(const struct result *r, FILE *out)
{
    const bool claims = json_array_size(json_object_get(r->json, "claims")) > 0;
    struct candidate unsure = { 0 };
    size_t n = 0;
    struct candidate *all = claims ? NULL : candidates_of(r, &n);
    for (size_t i = 0; n > 1 && all[0].reached && i < n; i++)
        if (!all[i].reached && all[i].recall >= all[i].wished && all[i].rate > all[0].rate &&
            !(all[i].rate <= unsure.rate))
            unsure = all[i];
    if (n > 1)
        print_choice(r, last_search(r, first_ok(r))->tag, &all[0], &unsure, out);
    free(all);
}

/* ---- tables */

/* Returns whether a value is marked as not steady. */
static bool print_values(const struct result *r, const json_t *columns, bool by_build, FILE *out)
{
    const struct result_cell **ranked = by_build ? NULL : ranked_variants(r);
    const size_t n = by_build ? r->n_builds : ranked ? r->n_variants : 0;
    bool marked = false;
    struct table table;
    size_t c;
    json_t *column;
    table_init(&table, json_array_size(columns) + 1);
    table_add(&table, "%s", "");
    json_array_foreach(columns, c, column) {
        table_add(&table, "%s", json_string_value(column));
    }
    for (size_t i = 0; i < n; i++) {
        const struct result_cell *cell = by_build ? r->builds[i] : ranked[i];
        char setting[400];
        if (!report_has_any(r, cell->name, columns))
            continue;
        write_setting(cell, setting, sizeof setting);
        table_add(&table, "%s", by_build ? cell->build : setting);
        json_array_foreach(columns, c, column) {
            const char *metric = json_string_value(column);
            const struct summary_entry *entry = summary_find(&r->summary, cell->name, metric);
            char text[64];
            result_metric_text(result_metric(metric), entry->median, text, sizeof text);
            table_add(&table, "%s%s", entry->noisy ? "~" : "", text);
            marked |= entry->noisy;
        }
    }
    if (table.n > table.columns) {
        fputc('\n', out);
        table_print(&table, out);
    }
    table_free(&table);
    free(ranked);
    return marked;
}

static void print_failures(const struct result *r, FILE *out)
{
    bool any = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        if (cell->ok || result_is_next_point(r, i))
            continue;
        fprintf(out, "%s%s, repeat %zu: %s: %s\n", any ? "" : "\n", cell->build, cell->repeat + 1,
                cell->status, field_text(cell->json, "error", ""));
        any = true;
    }
}

static void print_unsupported(const struct result *r, FILE *out)
{
    json_t *lines = report_unsupported(r), *line;
    size_t i;
    json_array_foreach(lines, i, line)
        fprintf(out, "%s%s\n", i ? "" : "\n", json_string_value(line));
    json_decref(lines);
}

static void print_claims(const struct result *r, FILE *out)
{
    size_t i, l;
    json_t *claim, *line;
    json_array_foreach(json_object_get(r->json, "claims"), i, claim) {
        fprintf(out, "%s%-15s %s\n", i ? "" : "\nclaims\n", claim_verdict(claim),
                field_text(claim, "text", ""));
        json_t *lines = claim_lines(r, claim);
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
    table_begin(&table, "published figure|metric|published|measured");
    size_t i;
    json_t *row;
    json_array_foreach(paper, i, row) {
        const struct result_metric *of = result_metric(field_text(row, "metric", ""));
        table_add(&table, "%s", field_text(row, "label", ""));
        table_add(&table, "%s", field_text(row, "metric", ""));
        result_metric_add(&table, of->unit, field_number(row, "published"));
        result_metric_add(&table, of->unit, field_number(row, "measured"));
    }
    fputc('\n', out);
    table_end(&table, out);
}

void report_summary(const struct result *r, FILE *out)
{
    const json_t *result = r->json;
    json_t *remarks = report_remarks(result), *remark;
    size_t i;
    fprintf(out, "\n%s\n", r->title);
    json_array_foreach(remarks, i, remark)
        fprintf(out, "%s\n", field_text(remark, "text", ""));
    json_decref(remarks);
    json_t *queries = report_columns(r, COLUMNS_QUERIES),
           *updates = report_columns(r, COLUMNS_UPDATES);
    bool marked = print_values(r, queries, false, out);
    marked |= print_values(r, updates, true, out);
    report_tags_left_out(r, out);
    print_unsupported(r, out);
    if (marked)
        fputs("\n~ not steady: passes or repeats differ by more than 10 %, or waited for a "
              "processor\n",
              out);
    report_rounds(result, out);
    print_paper(result, out);
    print_claims(r, out);
    print_answer(r, out);
    print_failures(r, out);
    json_decref(queries);
    json_decref(updates);
}
