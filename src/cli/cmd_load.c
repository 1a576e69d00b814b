/* cmd_load.c - `load DATA`: runs configs/load.lua, a mix of operations, and prints the latency of each kind. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/cli/commands.h"
#include "src/cli/run/run.h"
#include "src/core/append_text.h"
#include "src/result/result.h"

/* 1. The run */

/* Sets an option() of the config; the text is not copied. */
static void set(struct override *sets, size_t *n, const char *key, const char *text)
{
    if (text)
        sets[(*n)++] = (struct override){ (char *)(uintptr_t)key, (char *)(uintptr_t)text, false };
}

/* The labels of --method, separated by semicolons; NULL: none. Freed by the caller. */
static char *methods_of(const struct run_options *o)
{
    size_t bytes = 1;
    for (size_t i = 0; i < o->n_only; i++)
        bytes += strlen(o->only[i]) + 1;
    char *joined = o->n_only ? app_made(calloc(1, bytes)) : NULL;
    for (size_t i = 0; i < o->n_only; i++)
        append_text(joined, bytes, ";", "%s", o->only[i]);
    return joined;
}

static int run(struct app *app, const char *data, char **dir)
{
    const struct run_options before = app->options;
    char *methods = methods_of(&before), rate[32];
    struct override *sets = app_made(calloc(before.n_sets + 4, sizeof *sets));
    size_t n = 0;

    for (; n < before.n_sets; n++)
        sets[n] = before.sets[n];
    snprintf(rate, sizeof rate, "%.15g", app->load.rate);
    set(sets, &n, "data", data);
    set(sets, &n, "preset", app->load.preset);
    set(sets, &n, "method", methods);
    set(sets, &n, "rate", app->load.rate > 0 ? rate : NULL);
    app->options.sets = sets;
    app->options.n_sets = n;
    app->options.n_only = 0;
    char *config = app_path(app->options.root, "configs/load.lua");
    const int status = run_measure(app, config, dir, NULL);
    app->options = before;
    free(config);
    free(sets);
    free(methods);
    return status;
}

/* 2. What it prints */

static double value(const struct result *r, const char *label, const char *kind, const char *what)
{
    char metric[100];

    snprintf(metric, sizeof metric, "stats.%s.%s/load", kind, what);
    return summary_find(&r->summary, label, metric)->median;
}

/* The operations of each method, by kind. */
static void print_kinds(const struct result *r)
{
    static const char *const kinds[] = { "alone", "search", "insert", "delete", "update", "all" };
    /* Times, in ns, and numbers, in the order of the columns. */
    static const char *const values[] = { "done",   "per_second", "p50_ns", "p99_ns", "p999_ns",
                                          "max_ns", "lag_p99_ns", "late",   "skipped" };
    struct table t;
    table_begin(&t, "method|operation|done|per second|p50|p99|p99.9|longest|lag p99|late|skipped");
    for (size_t b = 0; b < r->n_variants; b++) {
        const char *label = r->variants[b]->name;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (isnan(value(r, label, kinds[k], "done")))
                continue;
            table_add(&t, "%s", label);
            table_add(&t, "%s", k ? kinds[k] : "search, alone");
            for (size_t i = 0; i < sizeof values / sizeof *values; i++)
                result_metric_add(&t, strstr(values[i], "_ns") ? UNIT_NS : UNIT_NONE,
                                  value(r, label, kinds[k], values[i]));
        }
    }
    if (t.n > t.columns) { /* a load that a method does not support has no numbers */
        putchar('\n');
        table_print(&t, stdout);
    }
    table_free(&t);
}

int command_load(struct app *app, struct error *error)
{
    struct result r = { 0 };
    char *dir = NULL, data[PATH_MAX];
    int status = app_find_data(app->arguments[0], data, error);

    if (!status)
        status = run(app, data, &dir);

    if (dir && status != EXIT_USAGE && !*app->interrupted) {
        if (app_result_load(dir, &r, error))
            status = status == EXIT_OK ? EXIT_SOME_FAILED : status;
        else
            print_kinds(&r);
    }
    result_close(&r);
    free(dir);
    return status;
}
