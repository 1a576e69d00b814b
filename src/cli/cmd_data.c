/* cmd_data.c - `fetch` and `convert`. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/config/data/catalog.h"
#include "src/data/files/file.h"

static int fetch_one(struct app *app, struct catalog *catalog, const char *name,
                     struct error *error)
{
    struct catalog_entry *entry = catalog_find(catalog, name);
    size_t n;
    const char *const *names = catalog_names(catalog, &n);
    if (!entry) {
        return fail(error, ERR_CONFIG, "there is no dataset \"%s\"%s  (./harness list datasets)",
                    name, error_hint(name, names, n).text);
    }
    const char *parts[32];
    size_t n_parts = catalog_parts(entry, parts, 32);
    for (size_t i = 0; i < n_parts; i++) {
        struct source *source = NULL;
        char sha256[65];
        if (catalog_open_part(entry, parts[i], &app->options, &source, sha256, error))
            return error->code;
        printf("%s %s: %zu x %zu %s, sha256 %.16s...\n", name, parts[i], source->n, source->dim,
               data_element_name(source->element), sha256);
        source_close(source);
    }
    return OK;
}

int command_fetch(struct app *app)
{
    struct catalog *catalog;
    struct error error = { 0 };
    app->options.say = app_say;
    app->options.say_to = app;
    if (catalog_open(&catalog, &app->options, &error)) {
        app_error(app, &error);
        return EXIT_USAGE;
    }
    int status = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments; i++) {
        struct error one = { 0 };
        if (!fetch_one(app, catalog, app->arguments[i], &one))
            continue;
        app_error(app, &one);
        status = one.code == ERR_CONFIG ? EXIT_USAGE : EXIT_SOME_FAILED;
    }
    catalog_close(catalog);
    return status;
}

static int stop_when_interrupted(void *app_of, const char *what, size_t done, size_t total)
{
    (void)what;
    (void)done;
    (void)total;
    return *((const struct app *)app_of)->interrupted;
}

static void print_written(const struct app *app, const struct data_written *written)
{
    if (written->note[0])
        printf("%s: %s\n", app->arguments[0], written->note);
    printf("%s: %zu rows x %zu %s\n", app->arguments[1], written->n, written->dim,
           data_element_name(written->element));
}

int command_convert(struct app *app)
{
    const struct data_progress progress = { stop_when_interrupted, app };
    const struct file_options by_name = { 0 };
    const char *out = app->arguments[1];
    struct error error = { 0 };
    struct data_written written;
    struct stat st;
    /* A compressed input is inflated beside the output, where the user expects to need space. */
    char *folder = strdup(out);
    app->in.scratch_dir = folder ? dirname(folder) : NULL;
    int rc = OK;
    if (!app->options.force && !lstat(out, &st))
        rc = fail(&error, ERR_CONFIG,
                  "%s: the file exists; name another output, or overwrite it with --force", out);
    if (!rc)
        rc = data_convert(app->arguments[0], &app->in, out, &by_name, &progress, &written, &error);
    free(folder);
    if (rc)
        app_error(app, &error);
    else
        print_written(app, &written);
    return rc ? EXIT_USAGE : EXIT_OK;
}
