/* parquet.c - runs the recipe `parquet`, a program of node that reads the file. */
#include "src/cli/support/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/process.h"
#include "src/config/data/catalog.h"

bool app_parquet_is(const char *path)
{
    const char *dot = strrchr(path, '.');
    char magic[4] = "";
    FILE *in = fopen(path, "rb");
    const bool begins = in && fread(magic, 1, 4, in) == 4 && !memcmp(magic, "PAR1", 4);
    if (in)
        (void)fclose(in);
    return begins || (in && dot && !strcmp(dot, ".parquet"));
}

static int stop_when_interrupted(void *app_of)
{
    return *((const struct app *)app_of)->interrupted;
}

int app_parquet_read(struct app *app, const char *path, struct app_parquet_rows *rows,
                     struct error *err)
{
    const struct run_options *o = &app->options;
    const char *beside = app->in.scratch_dir ? app->in.scratch_dir : ".";
    char recipe[PATH_MAX], program[PATH_MAX + 16], packages[PATH_MAX + 32];
    catalog_recipe_dir(o, recipe);
    (void)snprintf(program, sizeof program, "%s/parquet", recipe);
    (void)snprintf(packages, sizeof packages, "%s/downloads/packages", o->cache ? o->cache : ".");
    *rows = (struct app_parquet_rows){ "", "" };
    char folder[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s/parquet.XXXXXX", beside) >= PATH_MAX - 16)
        return fail(err, ERR_IO, "%s: the path is too long", beside);
    if (!mkdtemp(folder))
        return fail_errno(err, ERR_IO, "%s", folder);
    memcpy(rows->folder, folder, sizeof folder);
    (void)snprintf(rows->npy, sizeof rows->npy, "%.*s/rows.npy", PATH_MAX - 16, folder);
    const char *argv[] = { program, folder, packages, path, app->in.dataset ? app->in.dataset : "",
                           NULL };
    struct process p = {
        .argv = argv, .bound = true, .tick = stop_when_interrupted, .context = app
    };
    const int rc = process_run(&p, err);
    if (rc || !p.status)
        return rc;
    return fail(err, ERR_FETCH, "%.600s", process_last_line(&p));
}

void app_parquet_remove(const struct app_parquet_rows *rows)
{
    char path[PATH_MAX + 32];
    static const char *const left[] = { "rows.npy", "rows.npy.new", "recipe.lock" };
    if (!*rows->folder)
        return;
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rows->folder, left[i]);
        (void)unlink(path);
    }
    (void)rmdir(rows->folder);
}
