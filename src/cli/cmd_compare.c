/* cmd_compare.c - `compare A B`: for each label and metric the difference, its interval, the
 * smallest detectable change, and a verdict, as text, Markdown, CSV or JSON; --fail-on-regression
 * makes them an exit status. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/result/compare.h"

static const double regression_default = 10; /* per cent */

/* The assumptions behind the verdicts. */
static void print_assumptions(const struct compare_rows *rows, const struct compare_side *a,
                              const struct compare_side *b)
{
    const json_t *x = json_object_get(a->result.json, "environment");
    const json_t *y = json_object_get(b->result.json, "environment");
    size_t tests = 0;
    for (size_t i = 0; i < rows->n; i++)
        tests += isnan(rows->row[i].p) ? 0 : 1;
    printf(
        "\nA was run at %s, B at %s: at different times, on a machine whose pace drifts. Assumed "
        "of a run's mean\ntime: a drift of %.0f %% and of %.2f of the deviation among its "
        "repeats, beside what its repeats show.\n",
        field_text(x, "started", "an unknown time"), field_text(y, "started", "an unknown time"),
        100 * DRIFT_FLOOR, sqrt(DRIFT_SHARE));
    printf("Intervals: of each row alone. p: corrected over the %zu rows that have one. could see: "
           "the smallest change that a\nrow shows with probability .8, where the times of its step "
           "change together. To see less, measure both in one\nconfig: compare = { ... } "
           "(docs/measuring.md).\n",
           tests);
}

/* The assumed drift does not cover other programs that ran during only one of the two runs. */
static void warn_about_load(const struct app *app, const json_t *x, const json_t *y)
{
    const double before = json_number_value(json_array_get(json_object_get(x, "load"), 0));
    const double after = json_number_value(json_array_get(json_object_get(y, "load"), 0));
    const double processors = field_number(json_object_get(x, "cpu"), "online");
    if (fabs(after - before) > processors / 2)
        app_warn(app,
                 "the load of the machine differs: %.1f during A, %.1f during B, on %g processors; "
                 "run both again, one after the other",
                 before, after, processors);
}

static void warn_about_machines(const struct app *app, const struct compare_side *a,
                                const struct compare_side *b)
{
    static const struct {
        const char *group, *key;
    } keys[] = { { "cpu", "model" },
                 { "build", "compiler" },
                 { "build", "cflags" },
                 { "libraries", "openblas" } };
    const json_t *x = json_object_get(a->result.json, "environment");
    const json_t *y = json_object_get(b->result.json, "environment");
    if (!json_equal(json_object_get(x, "kernels"), json_object_get(y, "kernels")))
        app_warn(app, "the two results used different kernels; their times are not comparable");
    warn_about_load(app, x, y);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *left = json_object_get(json_object_get(x, keys[i].group), keys[i].key);
        const json_t *right = json_object_get(json_object_get(y, keys[i].group), keys[i].key);
        if (left && right && !json_equal(left, right))
            app_warn(app,
                     "the two results differ in environment.%s.%s; their times are not comparable",
                     keys[i].group, keys[i].key);
    }
}

/* Warns of each label of A without a sample in B. Returns how many there are. */
static size_t warn_about_missing(const struct app *app, const struct compare_side *a,
                                 const struct compare_side *b)
{
    struct summary said = { 0 };
    for (size_t i = 0; i < a->samples.n; i++) {
        const char *label = a->samples.at[i]->label;
        if (summary_has_label(&b->samples, label) || summary_has_label(&said, label))
            continue;
        (void)app_made(summary_add(&said, label, ""));
        app_warn(
            app,
            "%s has no result of \"%s\", which %s has: it did not run, or all its cells failed",
            app->arguments[1], label, app->arguments[0]);
    }
    const size_t n = said.n;
    summary_free(&said);
    return n;
}

/* Warns of each measurement that A has and B lacks. Returns how many there are. */
static size_t warn_about_lost(const struct app *app, const struct compare_side *a,
                              const struct compare_side *b)
{
    enum { NAMED = 5 };
    size_t n = 0;
    for (size_t i = 0; i < a->samples.n; i++) {
        const struct summary_entry *entry = a->samples.at[i];
        if (compare_is_lost(entry, b) && n++ < NAMED)
            app_warn(app, "%s has no %s of \"%s\", which %s has", app->arguments[1], entry->metric,
                     entry->label, app->arguments[0]);
    }
    if (n > NAMED)
        app_warn(app, "nor %zu more measurements", n - NAMED);
    return n;
}

static size_t failed_cells(const struct compare_side *side)
{
    size_t n = 0;
    for (size_t i = 0; i < side->result.n; i++)
        n += !side->result.cells[i].ok;
    return n;
}

/* Returns how many more cells failed in B than in A: the samples do not include failed repeats. */
static size_t warn_about_failed(const struct app *app, const struct compare_side *a,
                                const struct compare_side *b)
{
    const size_t before = failed_cells(a), after = failed_cells(b);
    if (after <= before)
        return 0;
    app_warn(app, "%s has %zu cell%s without status ok, %s has %zu", app->arguments[1], after,
             after == 1 ? "" : "s", app->arguments[0], before);
    return after - before;
}

/* The smallest detectable change of time in step TAG of LABEL, as a logarithm; INFINITY: none. */
static double step_visible(const struct compare_rows *rows, const char *label, const char *tag)
{
    double least = INFINITY;
    for (size_t i = 0; i < rows->n; i++) {
        const struct compare_row *row = &rows->row[i];
        if (row->kind == ROW_TIMED && !strcmp(row->label, label) &&
            !strcmp(strchr(row->metric, '/') + 1, tag))
            least = fmin(least, row->visible); /* fmin() ignores a NAN */
    }
    return least;
}

/* Warns of each step in which no time could show a slow-down of `percent`. Returns how many. */
static size_t warn_about_blind(const struct app *app, const struct compare_rows *rows,
                               double percent)
{
    enum { NAMED = 5 };
    struct summary said = { 0 }; /* labels and tags */
    for (size_t i = 0; i < rows->n; i++) {
        const struct compare_row *row = &rows->row[i];
        char could[64];
        const char *tag = row->kind == ROW_TIMED ? strchr(row->metric, '/') + 1 : "";
        if (row->kind != ROW_TIMED || summary_find(&said, row->label, tag)->label)
            continue;
        const double visible = step_visible(rows, row->label, tag);
        if (visible <= log(1 + percent / 100))
            continue;
        (void)app_made(summary_add(&said, row->label, tag));
        if (said.n > NAMED)
            continue;
        if (visible <= log(11))
            snprintf(could, sizeof could, "the smallest they could show is %.3g %%",
                     100 * expm1(visible));
        else if (isfinite(visible))
            snprintf(could, sizeof could, "they could not show 1000 %% either");
        else
            snprintf(could, sizeof could, "at least %d repeats of each are needed",
                     STATS_INTERVAL_MIN);
        app_warn(app, "the repeats of \"%s\", %s, could not show a slow-down of %g %%: %s",
                 row->label, tag, percent, could);
    }
    const size_t n = said.n;
    summary_free(&said);
    if (n > NAMED)
        app_warn(app, "the same holds for %zu more steps", n - NAMED);
    if (n)
        app_warn(app, "there are too few repeats, or the machine is too noisy; use more repeats "
                      "(--repeats), or a larger slow-down (--regression PERCENT)");
    return n;
}

/* CSV and JSON are the rows and nothing else. Returns how many rows are worse. */
static size_t print(const struct app *app, const struct compare_rows *rows,
                    const struct compare_side *a, const struct compare_side *b)
{
    const enum compare_format format = app->json       ? COMPARE_JSON
                                       : app->csv      ? COMPARE_CSV
                                       : app->markdown ? COMPARE_MARKDOWN
                                                       : COMPARE_TEXT;
    const bool is_text = format == COMPARE_TEXT || format == COMPARE_MARKDOWN;
    size_t n[VERDICTS] = { 0 };
    for (size_t i = 0; i < rows->n; i++)
        n[rows->row[i].verdict]++;
    if (rows->n || !is_text) {
        const size_t left_out = compare_rows_print(rows, format, app->all, stdout);

        if (left_out > 0)
            printf("%s%zu of %zu rows show no difference; --all prints them\n",
                   left_out < rows->n ? "\n" : "", left_out, rows->n);
    }
    if (is_text && rows->n)
        print_assumptions(rows, a, b);
    if (is_text) {
        printf("\nB against A: %zu better, %zu worse, of %zu", n[VERDICT_BETTER], n[VERDICT_WORSE],
               rows->n);
        printf(app->tolerance_percent > 0 ? "; %zu differ by at most %g %%\n" : "\n",
               n[VERDICT_TOLERATED], app->tolerance_percent);
    }
    return n[VERDICT_WORSE];
}

/* Prints the comparison; returns the exit status, which depends on --fail-on-regression. */
static int report(const struct app *app, const struct compare_side *a, const struct compare_side *b,
                  struct error *error)
{
    struct compare_rows rows = { 0 };
    if (compare_sides(&rows, a, b, error)) {
        compare_rows_free(&rows);
        return EXIT_USAGE;
    }
    compare_rows_tolerate(&rows, app->tolerance_percent);
    app_warn_unfinished(app, app->arguments[0], a->result.json);
    if (strcmp(app->arguments[0], app->arguments[1]) != 0)
        app_warn_unfinished(app, app->arguments[1], b->result.json);
    warn_about_machines(app, a, b);
    if (!rows.n)
        app_warn(app, "%s and %s have no label and metric in common", app->arguments[0],
                 app->arguments[1]);
    const size_t missing =
        (rows.n ? warn_about_missing(app, a, b) + warn_about_lost(app, a, b) : 1) +
        warn_about_failed(app, a, b);
    const size_t worse = print(app, &rows, a, b);
    size_t blind = 0;
    if (app->fail_on_regression)
        blind = warn_about_blind(
            app, &rows, app->regression_percent > 0 ? app->regression_percent : regression_default);
    compare_rows_free(&rows);
    return app->fail_on_regression && (worse || missing || blind) ? EXIT_SOME_FAILED : EXIT_OK;
}

/* With --in-process a cell's times and memory include the harness's own. */
static int refuse_in_process(const struct app *app, const struct compare_side *sides[2],
                             struct error *error)
{
    for (size_t i = 0; i < 2; i++)
        if (json_is_true(
                json_object_get(json_object_get(sides[i]->result.json, "run"), "in_process")))
            return fail(error, ERR_CONFIG,
                        "%s: its cells ran in the harness's process (--in-process), so it is not "
                        "comparable; run its config again without --in-process",
                        app->arguments[i]);
    return OK;
}

/* Warns of each difference between the two measurements. Without --different it is an error. */
static int refuse_different(const struct app *app, const struct compare_side *sides[2],
                            struct error *error)
{
    json_t *differences = compare_differences(sides[0], sides[1]), *text;
    size_t i;
    int rc = OK;
    json_array_foreach(differences, i, text)
        app_warn(app, "the two results differ in %s", json_string_value(text));
    if (i > 0 && !app->different)
        rc = fail(error, ERR_CONFIG,
                  "%s and %s are not of the same measurement; --different compares them all the "
                  "same",
                  app->arguments[0], app->arguments[1]);
    json_decref(differences);
    return rc;
}

static int refuse_two_formats(const struct app *app, struct error *error)
{
    return app->json + app->csv + app->markdown > 1
               ? fail(error, ERR_CONFIG, "--json, --csv and --markdown: give one of them")
               : OK;
}

int command_compare(struct app *app, struct error *error)
{
    struct compare_side a = { 0 }, b = { 0 };
    const struct compare_side *sides[2] = { &a, &b };
    int rc = refuse_two_formats(app, error);
    rc = rc ? rc : compare_sides_read(&a, &b, app->arguments, error);
    rc = rc ? rc : refuse_in_process(app, sides, error);
    rc = rc ? rc : refuse_different(app, sides, error);
    const int status = rc ? EXIT_USAGE : report(app, &a, &b, error);
    compare_side_free(&a);
    compare_side_free(&b);
    return status;
}
