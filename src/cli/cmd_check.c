/* cmd_check.c - `check`: reads a config and prints its plan. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "src/base/quote.h"
#include "src/base/table.h"
#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/cli/support/app.h"
#include "src/config/experiment.h"
#include "src/plan/plan.h"
#include "src/result/estimate.h"

static void duration_text(double seconds, char *text, size_t bytes)
{
    if (seconds < 60)
        table_seconds(seconds, text, bytes);
    else if (seconds < 5400)
        snprintf(text, bytes, "%.1f min", seconds / 60);
    else
        snprintf(text, bytes, "%.1f h", seconds / 3600);
}

/* A row of the table: "at least" where some operations were never measured. */
static void print_row(struct table *t, const char *label, const struct result_estimate *e)
{
    char time[32], memory[32];
    duration_text(e->seconds, time, sizeof time);
    table_bytes(e->bytes, memory, sizeof memory);
    table_add(t, "%s", label);
    table_add(t, "%zu", e->cells);
    table_add(t, e->seconds > 0 ? "%s%s" : "not known", e->unknown ? "at least " : "", time);
    table_add(t, "%s", isnan(e->bytes) ? "not known" : memory);
    if (e->results > 1)
        table_add(t, "%s and %zu more", e->first, e->results - 1);
    else
        table_add(t, "%s", e->first ? e->first : "");
}

/* Time and memory of each method, by results in the folder that a run would write to. */
static int print_estimate(const struct app *app, const struct plan *plan,
                          const struct experiment *x, FILE *out, struct error *error)
{
    char *results = app_copy(app->options.out ? app->options.out : app->options.results);
    struct result_estimate all = { .bytes = NAN };
    struct result_rates rates;
    struct table t;
    const int rc = result_rates_read(&rates, results, x->threads, error);
    table_begin(&t, "estimate|cells|time|index|measured in");
    for (size_t i = 0; !rc && i < x->n_methods; i++) {
        struct result_estimate e;
        result_estimate(&rates, plan, x, &x->methods[i], &e);
        if (e.cells)
            print_row(&t, x->methods[i].label, &e);
        all.cells += e.cells;
        all.seconds += e.seconds;
        all.unknown += e.unknown;
        all.bytes = fmax(all.bytes, e.bytes);
    }
    print_row(&t, "total", &all);
    if (!rc && rates.n) {
        fputc('\n', out);
        table_print(&t, out);
        fprintf(out,
                "by results in %s on this processor, within a factor of %d in dimension and "
                "rows; without ground truth%s\n",
                results, RESULT_RATE_NEAR, x->n_compare ? " and pairs" : "");
    } else if (!rc) {
        fprintf(out, "time       not known: no results of this processor in %s\n", results);
    }
    table_free(&t);
    result_rates_free(&rates);
    free(results);
    return rc;
}

static int check_config(struct app *app, const char *given)
{
    char path[PATH_MAX];
    struct run_options *o = &app->options;
    struct experiment *experiment = NULL;
    struct plan plan = { 0 };
    struct quoted_output text;
    struct error error = { 0 };
    int status = EXIT_OK;
    if (configs_find(app, given, path, sizeof path, &error) ||
        experiment_load(&experiment, path, o, &app->registry, &error) ||
        plan_make(&plan, experiment, o, &error)) {
        app_error(app, &error);
        status = error.code == ERR_INTERRUPTED ? EXIT_SOME_FAILED : EXIT_USAGE;
    } else {
        quote_terminal_begin(&text);
        if (text.out) {
            plan_print(&plan, experiment, text.out);
            if (plan_check_runnable(&plan, experiment, &error) ||
                print_estimate(app, &plan, experiment, text.out, &error))
                status = EXIT_USAGE;
        }
        quote_terminal_print(&text);
        if (error.code)
            app_error(app, &error);
    }
    plan_free(&plan);
    experiment_free(experiment);
    return status;
}

int command_check(struct app *app, struct error *unused)
{
    (void)unused; /* each config has an error of its own */
    int worst = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        const int status = check_config(app, app->arguments[i]);
        if (status != EXIT_OK)
            worst = status;
    }
    return worst;
}
