/* cmd_data.c - `fetch` and `convert`. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/process.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/config/data/catalog.h"
#include "src/core/path_print.h"
#include "src/data/files/file.h"
#include "src/run/measure/folder.h"

enum { FETCHED_AT_ONCE = 4 };

/* ---- the numbers of a Parquet file as an NPY file */

struct parquet_rows {
    char folder[PATH_MAX], npy[PATH_MAX]; /* a folder of its own, and the file in it */
};

/* Whether the name or the first bytes say that it is Parquet. */
static bool is_parquet(const char *path)
{
    const char *dot = strrchr(path, '.');
    char magic[4] = "";
    /* A pipe is not waited for: it is refused when it is opened as vectors. */
    const int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const bool begins = in >= 0 && read(in, magic, 4) == 4 && !memcmp(magic, "PAR1", 4);
    if (in >= 0)
        (void)close(in);
    return begins || (in >= 0 && dot && !strcmp(dot, ".parquet"));
}

static int is_interrupted(void *app_of)
{
    return *((const struct app *)app_of)->interrupted;
}

/* Runs the recipe `parquet` on the columns that --dataset names, and writes into a new folder in app->in.scratch_dir. The
   caller removes it, also after an error. ERR_FETCH: the recipe failed, with its reason; ERR_INTERRUPTED, ERR_IO. */
static int parquet_read(struct app *app, const char *path, struct parquet_rows *rows,
                        struct error *err)
{
    const struct run_options *o = &app->options;
    const char *beside = app->in.scratch_dir ? app->in.scratch_dir : ".";
    char recipe[PATH_MAX], program[PATH_MAX + 16], packages[PATH_MAX + 32];
    catalog_recipe_dir(o, recipe);
    (void)snprintf(program, sizeof program, "%s/parquet", recipe);
    (void)snprintf(packages, sizeof packages, "%s/downloads/packages", o->cache ? o->cache : ".");
    *rows = (struct parquet_rows){ "", "" };
    char folder[PATH_MAX];
    if (path_print(folder, err, "%s/parquet.XXXXXX", beside))
        return err->code;
    if (!mkdtemp(folder))
        return fail_errno(err, ERR_IO, "%s", folder);
    memcpy(rows->folder, folder, sizeof folder);
    if (path_print(rows->npy, err, "%s/rows.npy", folder))
        return err->code;
    const char *argv[] = { program, folder, packages, path, app->in.dataset ? app->in.dataset : "",
                           NULL };
    struct process p = { .argv = argv, .bound = true, .tick = is_interrupted, .context = app };
    const int rc = process_run(&p, err);
    if (rc || !p.status)
        return rc;
    return fail(err, ERR_FETCH, "%.600s", process_last_line(&p));
}

/* ---- commands */

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

int command_fetch(struct app *app, struct error *error)
{
    struct catalog *catalog;
    if (catalog_open(&catalog, &app->options, error))
        return EXIT_USAGE;
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

int command_convert(struct app *app, struct error *error)
{
    const struct data_progress progress = { stop_when_interrupted, app };
    const char *out = app->arguments[1];
    struct data_written written;
    struct stat st;
    /* A compressed input is inflated beside the output, where the user expects to need space. */
    char *folder = strdup(out);
    app->in.scratch_dir = folder ? dirname(folder) : NULL;
    int rc = OK;
    if (!app->options.force && !lstat(out, &st))
        rc = fail(error, ERR_CONFIG,
                  "%s: the file exists; name another output, or overwrite it with --force", out);
    struct parquet_rows parquet = { "", "" };
    const char *in = app->arguments[0];
    if (!rc && is_parquet(in)) {
        rc = parquet_read(app, in, &parquet, error);
        in = parquet.npy;
        app->in.dataset = NULL;
    }
    if (!rc)
        rc = data_convert(in, &app->in, out, &progress, &written, error);
    if (*parquet.folder)
        folder_remove(parquet.folder);
    free(folder);
    if (!rc)
        print_written(app, &written);
    return rc ? EXIT_USAGE : EXIT_OK;
}
