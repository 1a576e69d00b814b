/* cmd_data.c - `fetch` and `convert`. */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/cli/support/parquet.h"
#include "src/config/data/catalog.h"
#include "src/data/files/file.h"

enum { FETCHED_AT_ONCE = 4 };

static int fetch_parts(struct app *app, struct catalog *catalog, const char *name,
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

/* The exit status. */
static int fetch_one(struct app *app, struct catalog *catalog, const char *name)
{
    struct error error = { 0 };
    if (!fetch_parts(app, catalog, name, &error))
        return EXIT_OK;
    app_error(app, &error);
    return error.code == ERR_CONFIG ? EXIT_USAGE : EXIT_SOME_FAILED;
}

/* Waits for one of the processes; the worse of its exit status and `status`. */
static int wait_for_one(int status)
{
    int how = 0;
    while (wait(&how) < 0 && errno == EINTR)
        continue;
    const int one = WIFEXITED(how) ? WEXITSTATUS(how) : EXIT_SOME_FAILED;
    return one == EXIT_USAGE || !status ? one : status;
}

/* Each data set in a process of its own, as HDF5 is for one thread, and Ctrl-C reaches all. */
static int fetch_side_by_side(struct app *app, struct catalog *catalog)
{
    const pid_t parent = getpid();
    int status = EXIT_OK;
    size_t running = 0;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        if (running == FETCHED_AT_ONCE) {
            status = wait_for_one(status);
            running--;
        }
        (void)fflush(NULL);
        const pid_t child = fork();
        if (!child) {
            (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
            const int one =
                getppid() == parent ? fetch_one(app, catalog, app->arguments[i]) : EXIT_SOME_FAILED;
            (void)fflush(stdout);
            _exit(one);
        }
        if (child < 0)
            status = fetch_one(app, catalog, app->arguments[i]);
        else
            running++;
    }
    while (running--)
        status = wait_for_one(status);
    return status;
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
    const int status = app->n_arguments == 1 ? fetch_one(app, catalog, app->arguments[0])
                                             : fetch_side_by_side(app, catalog);
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
    struct app_parquet_rows parquet = { "", "" };
    const char *in = app->arguments[0];
    if (!rc && app_parquet_is(in)) {
        rc = app_parquet_read(app, in, &parquet, &error);
        in = parquet.npy;
        app->in.dataset = NULL;
    }
    if (!rc)
        rc = data_convert(in, &app->in, out, &by_name, &progress, &written, &error);
    app_parquet_remove(&parquet);
    free(folder);
    if (rc)
        app_error(app, &error);
    else
        print_written(app, &written);
    return rc ? EXIT_USAGE : EXIT_OK;
}
