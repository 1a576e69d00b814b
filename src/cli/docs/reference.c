/* reference.c - tables and claims of the packed results in results/reference, so that each number of a
 * page has its file, machine and commit. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/cli/docs/internal.h"
#include "src/ranking/ranking.h"
#include "src/report/report.h"
#include "src/result/result.h"

enum { COLUMNS_MOST = 12, ROWS_MOST = 40 };

/* "NAME | METRIC/TAG | METRIC/TAG = HEADING | row LABEL | row LABEL = NAME": the columns of a table,
   and its rows, LABEL or LABEL[point]. Without rows: all labels that have a value in a column, or if
   none has, all points of their sweeps. */
struct wanted {
    char text[2000];
    const char *columns[COLUMNS_MOST], *headings[COLUMNS_MOST], *rows[ROWS_MOST], *names[ROWS_MOST];
    size_t n_columns, n_rows;
};

/* The result of the last block: those of one result stand beside each other. */
static struct {
    char path[PATH_MAX];
    struct result result;
} last;

void docs_results_end(void)
{
    result_close(&last.result);
    last.result = (struct result){ 0 };
    *last.path = '\0';
}

static const struct result *load_named(const struct docs_program *program, const char *name,
                                       struct error *error)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/results/reference/%s.json.gz", program->root, name);
    if (strcmp(path, last.path) == 0)
        return &last.result;
    docs_results_end();
    if (result_load(path, &last.result, error))
        return NULL;
    (void)snprintf(last.path, sizeof last.path, "%s", path);
    return &last.result;
}

/* Cuts the text at the first `mark`, which it removes; returns what follows, or NULL. */
static char *cut(char *text, const char *mark)
{
    char *at = strstr(text, mark);
    if (!at)
        return NULL;
    *at = '\0';
    return at + strlen(mark);
}

static int read_wanted(struct wanted *w, const char *arguments, struct error *error)
{
    static const char row[] = "row ";
    *w = (struct wanted){ 0 };
    (void)snprintf(w->text, sizeof w->text, "%s", arguments);
    for (char *field = cut(w->text, " | "), *next; field; field = next) {
        next = cut(field, " | ");
        const char *shown = cut(field, " = ");
        const bool is_row = strncmp(field, row, sizeof row - 1) == 0;
        if (is_row ? w->n_rows == ROWS_MOST : w->n_columns == COLUMNS_MOST)
            return fail(error, ERR_CONFIG, "%s: more than %d rows or %d columns", w->text,
                        ROWS_MOST, COLUMNS_MOST);
        if (is_row) {
            field += sizeof row - 1;
            w->names[w->n_rows] = shown ? shown : field;
            w->rows[w->n_rows++] = field;
        } else {
            w->headings[w->n_columns] = shown;
            w->columns[w->n_columns++] = field;
        }
    }
    return w->n_columns ? OK
                        : fail(error, ERR_CONFIG,
                               "%s: no column is named; write \"results of %s | METRIC/TAG = "
                               "HEADING\", and \" | row LABEL[POINT]\" for some rows",
                               w->text, w->text);
}

static void print_file(const char *name, FILE *out)
{
    fprintf(out, "\n[%s.json.gz](../../results/reference/%s.json.gz)", name, name);
}

/* An option of the command line, as a shell takes it. */
static void print_override(const char *key, const json_t *value, FILE *out)
{
    static const char bare[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.,:/=@%";
    if (strcmp(key, "quick") == 0) { /* no option of a config: --set does not take it */
        fputs(json_is_true(value) ? " --quick" : "", out);
        return;
    }
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *shown = json_is_string(value) ? json_string_value(value) : text ? text : "";
    const char *quote = shown[strspn(shown, bare)] ? "'" : "";
    fprintf(out, " --set %s%s=%s%s", quote, key, shown, quote);
    free(text);
}

/* What was run, when, and on what. */
static void print_origin(const struct result *r, const char *name, FILE *out)
{
    const json_t *experiment = json_object_get(r->json, "experiment"),
                 *environment = json_object_get(r->json, "environment"), *value, *remark;
    const json_t *cpu = json_object_get(environment, "cpu");
    json_t *remarks = report_remarks(r->json);
    const char *key;
    size_t i;
    print_file(name, out);
    fprintf(out, ": `./harness %s", report_config(r->json));
    json_object_foreach((json_t *)(uintptr_t)json_object_get(experiment, "overrides"), key, value)
        print_override(key, value, out);
    fprintf(out, "`, %.10s, load %.1f, commit %.8s, %s, %lld processors, %s.",
            field_text(environment, "started", ""),
            json_number_value(json_array_get(json_object_get(environment, "load"), 0)),
            field_text(json_object_get(environment, "build"), "git_commit", "unknown"),
            field_text(cpu, "model", "unknown processor"), field_integer(cpu, "online", 0),
            field_text(environment, "kernels", ""));
    json_array_foreach(remarks, i, remark) {
        fputc(' ', out);
        docs_cell(out, field_text(remark, "text", ""));
    }
    fputc('\n', out);
    json_decref(remarks);
}

/* A build has its values at a recall, and those that all its points share: of its insertions, say. A
   point has its own, and those of its build at a recall. */
static const struct summary_entry *value_of(const struct result *r, const char *label,
                                            const char *metric)
{
    const struct summary_entry *found = summary_find(&r->summary, label, metric), *shared = NULL;
    for (size_t i = 0; !isfinite(found->median) && i < r->n_variants; i++) {
        const struct result_cell *of = r->variants[i];
        if (strcmp(of->name, label) == 0 && result_metric_is_at_recall(metric))
            return summary_find(&r->summary, of->build, metric);
        if (strcmp(of->build, label) != 0)
            continue;
        const struct summary_entry *other = summary_find(&r->summary, of->name, metric);
        if (shared && other->median != shared->median)
            return found;
        shared = other;
    }
    return shared ? shared : found;
}

/* The figure that a publication has for it; NAN: none. */
static double published(const struct result *r, const char *label, const char *metric)
{
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(r->json, "paper"), i, row) {
        if (!strcmp(field_text(row, "label", ""), label) &&
            !strcmp(field_text(row, "metric", ""), metric))
            return field_number(row, "published");
    }
    return NAN;
}

static void value_cell(const struct result *r, const char *label, const char *metric, FILE *out)
{
    const struct summary_entry *entry = value_of(r, label, metric);
    const double stated = published(r, label, metric);
    const struct result_metric *of = result_metric(metric);
    char text[64], high[64];
    result_metric_text(of, entry->median, text, sizeof text);
    fprintf(out, " %s%s", entry->noisy ? "~" : "", text);
    if (isfinite(entry->low) && isfinite(entry->high) && entry->low < entry->high) {
        result_metric_text(of, entry->low, text, sizeof text);
        result_metric_text(of, entry->high, high, sizeof high);
        fprintf(out, " (%s to %s)", text, high);
    }
    if (isfinite(stated)) {
        result_metric_text(of, stated, text, sizeof text);
        fprintf(out, "; paper: %s", text);
    }
    fputs(" |", out);
}

/* Returns whether the label has any of the values. */
static bool table_row(const struct result *r, const struct wanted *w, const char *label,
                      const char *shown, FILE *out)
{
    bool any = false;
    for (size_t c = 0; c < w->n_columns; c++)
        any |= isfinite(value_of(r, label, w->columns[c])->median);
    if (!any)
        return false;
    fputs("| ", out);
    docs_cell(out, shown);
    fputs(" |", out);
    for (size_t c = 0; c < w->n_columns; c++)
        value_cell(r, label, w->columns[c], out);
    fputc('\n', out);
    return true;
}

static int table(const struct result *r, const struct wanted *w, FILE *out, struct error *error)
{
    fputs("\n| |", out);
    for (size_t c = 0; c < w->n_columns; c++)
        fprintf(out, w->headings[c] ? " %s |" : " `%s` |",
                w->headings[c] ? w->headings[c] : w->columns[c]);
    fputs("\n| --- |", out);
    for (size_t c = 0; c < w->n_columns; c++)
        fputs(" --- |", out);
    fputc('\n', out);
    for (size_t i = 0; i < w->n_rows; i++)
        if (!table_row(r, w, w->rows[i], w->names[i], out))
            return fail(error, ERR_NOT_FOUND,
                        "results/reference/%s.json.gz: \"%s\" has none of "
                        "the values \"%s\" ...",
                        w->text, w->rows[i], w->columns[0]);
    bool any = w->n_rows > 0;
    for (size_t i = 0; !w->n_rows && i < r->n_builds; i++)
        any |= table_row(r, w, r->builds[i]->build, r->builds[i]->build, out);
    for (size_t i = 0; !any && i < r->n_variants; i++)
        (void)table_row(r, w, r->variants[i]->name, r->variants[i]->name, out);
    return OK;
}

enum docs_result docs_results(const struct docs_program *program, FILE *out, const char *arguments,
                              struct error *error)
{
    struct wanted wanted;
    const struct result *result =
        read_wanted(&wanted, arguments, error) ? NULL : load_named(program, wanted.text, error);
    if (!result || table(result, &wanted, out, error))
        return DOCS_FAILED;
    print_origin(result, wanted.text, out);
    fputc('\n', out);
    return DOCS_WRITTEN;
}

enum docs_result docs_claims(const struct docs_program *program, FILE *out, const char *arguments,
                             struct error *error)
{
    const struct result *result = load_named(program, arguments, error);
    const json_t *claim;
    size_t i;
    if (!result)
        return DOCS_FAILED;
    fputs("\n| claim | verdict |\n| --- | --- |\n", out);
    json_array_foreach(json_object_get(result->json, "claims"), i, claim) {
        fputs("| ", out);
        docs_cell(out, claim_text(claim));
        fprintf(out, " | %s |\n", claim_verdict(claim));
    }
    print_file(arguments, out);
    fputs("\n\n", out);
    return DOCS_WRITTEN;
}

enum docs_result docs_ranks(const struct docs_program *program, FILE *out, const char *arguments,
                            struct error *error)
{
    const struct ranking_wish wish = { 0 };
    struct result results[COLUMNS_MOST] = { 0 };
    const char *names[COLUMNS_MOST];
    char text[1000], path[PATH_MAX];
    size_t n = 0;
    (void)snprintf(text, sizeof text, "%s", arguments);
    for (char *name = text, *next; name && !error->code; name = next) {
        next = cut(name, " | ");
        (void)snprintf(path, sizeof path, "%s/results/reference/%s.json.gz", program->root, name);
        if (n == COLUMNS_MOST)
            fail(error, ERR_CONFIG, "%s: more than %d results", arguments, COLUMNS_MOST);
        else if (!result_load(path, &results[n], error))
            names[n++] = name;
    }
    fputc('\n', out);
    const bool written =
        !error->code && !ranking_print_board(results, n, "after", &wish, out, error);
    for (size_t i = 0; written && i < n; i++)
        print_origin(&results[i], names[i], out);
    fputc('\n', out);
    while (n > 0)
        result_close(&results[--n]);
    return written ? DOCS_WRITTEN : DOCS_FAILED;
}
