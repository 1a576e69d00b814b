/* cmd_results.c - `plot`, `report`, `export`: existing results as figures, as pages and in the
   formats of other programs. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/export/export.h"
#include "src/figure/plot.h"
#include "src/report/report.h"
#include "src/result/folder_lock.h"
#include "src/result/pack.h"
#include "src/result/result.h"

/* Figures and pages of a part of a run look like those of a whole one. */
static void warn_if_unfinished(const struct app *app, const char *name, const char *dir)
{
    struct result result = { 0 };
    struct error ignored = { 0 }; /* the result was just read */
    if (app_result_load(dir, &result, &ignored) == OK)
        app_warn_unfinished(app, name, result.json);
    result_close(&result);
}

static int for_each_result(struct app *app,
                           int (*make)(const char *dir, const struct app *, struct error *))
{
    int status = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        char *dir;
        struct error error = { 0 };
        if (result_dir(app->arguments[i], &dir, &error) || make(dir, app, &error)) {
            app_error(app, &error);
            status = EXIT_USAGE;
        } else {
            warn_if_unfinished(app, app->arguments[i], dir);
            printf("%s\n", dir);
        }
        free(dir);
    }
    return status;
}

static int report_one(const char *dir, const struct app *app, struct error *error)
{
    (void)app;
    return report_write(dir, error);
}

/* `plot` rewrites result.json, so it takes the lock that a run holds. `report` only reads the
   file, which is always complete. */
static int plot_one(const char *dir, const struct app *app, struct error *error)
{
    int lock;
    int rc = folder_lock(dir, &lock, error);
    if (rc)
        return rc;
    rc = app_draw(dir, app, error);
    close(lock);
    return rc;
}

int command_plot(struct app *app, struct error *unused)
{
    (void)unused; /* each result has an error of its own */
    return for_each_result(app, plot_one);
}

int command_report(struct app *app, struct error *unused)
{
    (void)unused;
    return for_each_result(app, report_one);
}

enum export_form { AS_JSON_LINES, AS_PACKED, AS_ANN_BENCHMARKS };

#define EXPORT_FORMS "FILE.jsonl, FILE.json.gz, or a FOLDER for ann-benchmarks' layout"

/* Checks the name of the output, which states the form, and whether it may be written. */
static int check_output(const struct app *app, enum export_form *form, struct error *error)
{
    static const char *const files[] = { ".json", ".csv", ".tsv", ".hdf5",   ".h5",
                                         ".html", ".npz", ".gz",  ".parquet" };
    const char *out = app->options.out, *end = strrchr(out ? out : "", '.');
    struct stat st;
    if (!out)
        return fail(error, ERR_CONFIG, "export: --out is missing: " EXPORT_FORMS);
    *form = result_is_packed(out)           ? AS_PACKED
            : end && !strcmp(end, ".jsonl") ? AS_JSON_LINES
                                            : AS_ANN_BENCHMARKS;
    for (size_t i = 0; *form == AS_ANN_BENCHMARKS && end && i < sizeof files / sizeof *files; i++)
        if (!strcmp(end, files[i]))
            return fail(error, ERR_CONFIG, "export: --out %s: expected " EXPORT_FORMS, out);
    if (stat(out, &st) != 0)
        return OK;
    if (S_ISDIR(st.st_mode) != (*form == AS_ANN_BENCHMARKS))
        return fail(error, ERR_CONFIG,
                    S_ISDIR(st.st_mode) ? "export: %s is a folder" : "export: %s is a file", out);
    return app->options.force
               ? OK
               : fail(error, ERR_CONFIG,
                      "export: %s exists; --force replaces files of the same name", out);
}

/* Says what ann-benchmarks' layout lacks. */
static void warn_of_export(const struct app *app, const struct export_counts *counts)
{
    if (counts->not_stored)
        app_warn(app, "%lu searches are left out: their answers were not stored",
                 counts->not_stored);
    if (counts->no_distances)
        app_warn(app, "%lu searches are left out: an earlier version stored no distances",
                 counts->no_distances);
    if (counts->calibrated)
        app_warn(app, "%lu calibrated searches are left out: half of the queries chose the point",
                 counts->calibrated);
}

int command_export(struct app *app, struct error *error)
{
    struct export_counts counts = { 0 };
    enum export_form form = AS_ANN_BENCHMARKS;
    char *dir = NULL;
    const char *out = app->options.out;
    struct result result = { 0 };
    int rc = check_output(app, &form, error);
    rc = rc ? rc : result_dir(app->arguments[0], &dir, error);
    rc = rc ? rc : app_result_load(dir, &result, error);
    if (!rc)
        app_warn_unfinished(app, app->arguments[0], result.json);
    if (!rc)
        rc = form == AS_JSON_LINES ? export_json_lines(&result, out, error)
             : form == AS_PACKED   ? result_pack(result.json, out, error)
                                   : export_ann_benchmarks(&result, dir, out, &counts, error);
    if (!rc) {
        warn_of_export(app, &counts);
        printf("%s\n", out);
    }
    result_close(&result);
    free(dir);
    return rc ? EXIT_USAGE : EXIT_OK;
}
