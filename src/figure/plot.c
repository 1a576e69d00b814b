/* plot.c - draws the figures of a result: writes a CSV and a small gnuplot script for each, then runs gnuplot. */
#include "src/figure/plot.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/figure/gnuplot.h"
#include "src/result/result.h"

/* Shared by all figures of a result. */
struct drawing {
    const struct result *result;
    const char *dir, *plots;
    enum figure_style style;
    const volatile int *interrupted;
    json_t *files, *bare, *letters;
};

static int draw(const struct drawing *d, const json_t *spec, size_t number, struct error *error)
{
    struct figure f;
    int rc = figure_gather(&f, d->result, spec, error);
    char file[240], svg[260];
    /* Two specifications may have the same kind and axes, so file names start with a number. */
    snprintf(file, sizeof file, "%02zu-%s", number, f.file ? f.file : "figure");
    free(f.file);
    f.file = strdup(file);
    if (!rc && f.n == 0)
        json_array_append_new(d->bare, json_sprintf("%s, \"%s\"", file, f.title));
    if (!rc && f.n) {
        rc = figure_write(&f, d->result->json, d->dir, d->plots, d->style, d->letters, error);
        if (!rc)
            rc = gnuplot_run(d->dir, file, d->interrupted, error);
        snprintf(svg, sizeof svg, "%s.svg", file);
        if (!rc)
            rc = figure_mend_svg(&f, d->dir, svg, error);
        if (!rc)
            json_array_append_new(d->files, json_string(svg));
    }
    figure_free(&f);
    return rc;
}

int plot_result(const char *dir, const char *root, enum figure_style style,
                const volatile int *interrupted, json_t **bare, json_t **letters,
                struct error *error)
{
    char path[PATH_MAX], plots[PATH_MAX];
    struct result result;
    *bare = json_array();
    *letters = json_object();
    if (snprintf(path, sizeof path, "%s/plots", root) >= (int)sizeof path || !realpath(path, plots))
        return fail_errno(error, ERR_NOT_FOUND, "%s/plots: cannot find the templates of figures",
                          root);
    snprintf(path, sizeof path, "%s/result.json", dir);
    int rc = result_load(path, &result, error);
    if (rc) {
        result_close(&result);
        return rc;
    }
    json_t *specs = figure_specs(&result);
    const struct drawing d = { &result,     dir,          plots, style,
                               interrupted, json_array(), *bare, *letters };
    /* A changed config may number its figures differently, and gnuplot would write through a symbolic
       link of the same name. */
    result_remove_figures(dir);
    for (size_t i = 0; !rc && i < json_array_size(specs); i++)
        rc = draw(&d, json_array_get(specs, i), i + 1, error);
    json_object_set_new(result.json, "figures", d.files); /* after an error, those drawn so far */
    const int unsaved = result_save(result.json, dir, error);
    rc = rc ? rc : unsaved;
    json_decref(specs);
    result_close(&result);
    return rc;
}
