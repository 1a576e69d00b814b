/* cmd_results.c - `plot`, `report`, `reproduce`: what is made of results that are already there, or
 * of a paper's. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/app.h"
#include "harness/folder_lock.h"
#include "harness/plot.h"
#include "harness/report.h"
#include "harness/result.h"

static int for_each_result(struct app *app,
                           int (*make)(const char *dir, const struct app *, struct error *))
{
    int status = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        char *dir = strdup(app->arguments[i]);
        struct stat st;
        if (!dir)
            abort();
        if (!stat(dir, &st) && !S_ISDIR(st.st_mode)) {
            char *slash = strrchr(dir, '/');
            if (slash)
                *slash = 0;
            else
                strcpy(dir, ".");
        }
        struct error error = { 0 };
        if (make(dir, app, &error)) {
            app_error(app, &error);
            status = EXIT_USAGE;
        } else {
            printf("%s\n", dir);
        }
        free(dir);
    }
    return status;
}

int app_plot(const char *dir, const struct app *app, struct error *error)
{
    size_t i;
    json_t *bare, *name;
    const int rc = plot_result(dir, app->options.root, app->interrupted, &bare, error);

    json_array_foreach(bare, i, name)
        app_warn(app, "figure %s: no values to draw", json_string_value(name));
    json_decref(bare);
    return rc;
}

static int report_one(const char *dir, const struct app *app, struct error *error)
{
    (void)app;
    return report_write(dir, error);
}

/* It writes result.json again, so not beside a run. A report is read from one whole result.json. */
static int plot_one(const char *dir, const struct app *app, struct error *error)
{
    int lock;
    int rc = folder_lock(dir, &lock, error);
    if (rc)
        return rc;
    rc = app_plot(dir, app, error);
    close(lock);
    return rc;
}

int command_plot(struct app *app)
{
    return for_each_result(app, plot_one);
}

int command_report(struct app *app)
{
    return for_each_result(app, report_one);
}

/* configs/papers.txt: "PAPER CONFIG" a line, # comments; the configs of a paper are in the order of
 * its figures. */
static FILE *open_list(struct app *app, struct error *error)
{
    char *path = app_path(app->options.root, "configs/papers.txt");
    FILE *list = fopen(path, "r");
    if (!list)
        fail_errno(error, ERR_NOT_FOUND, "cannot read %s, the list of each paper's configs", path);
    free(path);
    return list;
}

static bool next_line(FILE *list, char paper[64], char config[200])
{
    char line[400];
    while (fgets(line, sizeof line, list))
        if (*line != '#' && sscanf(line, "%63s %199s", paper, config) == 2)
            return true;
    return false;
}

static void unknown_paper(struct app *app, FILE *list, const char *given)
{
    char names[32][64], paper[64], config[200];
    const char *near[32];
    size_t n = 0;
    rewind(list);
    while (n < 32 && next_line(list, paper, config)) {
        memcpy(names[n], paper, sizeof paper);
        near[n] = names[n];
        n++;
    }
    const char *hint = error_near(given, near, n);
    struct error error = { 0 };
    fail(&error, ERR_CONFIG,
         "reproduce: no config is listed for a paper \"%s\"%s%s%s  (configs/papers.txt)", given,
         hint ? "; did you mean \"" : "", hint ? hint : "", hint ? "\"?" : "");
    app_error(app, &error);
}

/* What the configs of a paper gave. */
struct reproduced {
    char *dirs[256], *failed[257]; /* owned; failed ends in NULL */
    size_t n, n_failed;
};

static int write_page(struct app *app, const char *wanted, const struct reproduced *of)
{
    struct error error = { 0 };
    char file[128], title[128];
    snprintf(file, sizeof file, "reproduce-%s.html", wanted ? wanted : "all");
    snprintf(title, sizeof title, "%s: measured beside published", wanted ? wanted : "all papers");
    char *results = app_path(app->options.root, "results");
    char *page = app_path(app->options.out ? app->options.out : results, file);
    int rc = report_write_many((const char *const *)of->dirs, of->n,
                               (const char *const *)of->failed, title, page, &error);
    if (rc)
        app_error(app, &error);
    else
        printf("\nall of it on one page: %s\n", page);
    free(results);
    free(page);
    return rc ? EXIT_SOME_FAILED : EXIT_OK;
}

/* Runs one config; its folder goes to those that have a result, else its path to those that failed. */
static int reproduce_one(struct app *app, const char *config, struct reproduced *to)
{
    char *path = app_path(app->options.root, config), *dir = NULL;
    int status = run_config(app, path, &dir);
    free(path);
    if (dir)
        to->dirs[to->n++] = dir;
    else if (!(to->failed[to->n_failed++] = strdup(config)))
        abort();
    return status;
}

/* Before hours of work: what this run can tell. */
static void say_what_runs(const struct app *app, const char *wanted)
{
    const struct run_options *o = &app->options;
    printf("reproduce %s: ", wanted ? wanted : "all papers");
    if (o->quick || o->n_sets || o->threads)
        printf("not a full run (%s%s%s): claims of configs that it changes are not measured\n",
               o->quick ? "--quick" : "", o->quick && (o->n_sets || o->threads) ? ", " : "",
               o->n_sets    ? "--set"
               : o->threads ? "--threads"
                            : "");
    else
        printf("a full run, every config as it stands\n");
    fflush(stdout);
}

int command_reproduce(struct app *app)
{
    const char *wanted = app->n_arguments ? app->arguments[0] : NULL;
    struct error error = { 0 };
    FILE *list = open_list(app, &error);
    if (!list) {
        app_error(app, &error);
        return EXIT_USAGE;
    }
    char paper[64], config[200];
    struct reproduced all = { 0 };
    say_what_runs(app, wanted);
    int worst = EXIT_OK;
    while (all.n + all.n_failed < 256 && !*app->interrupted && next_line(list, paper, config)) {
        if (wanted && strcmp(wanted, paper) != 0)
            continue;
        int status = reproduce_one(app, config, &all);
        if (status > worst)
            worst = status;
    }
    if (!all.n && worst == EXIT_OK) {
        unknown_paper(app, list, wanted ? wanted : "");
        worst = EXIT_USAGE;
    } else if (all.n) {
        int status = write_page(app, wanted, &all);
        if (status > worst)
            worst = status;
    }
    for (size_t i = 0; i < all.n; i++)
        free(all.dirs[i]);
    for (size_t i = 0; i < all.n_failed; i++)
        free(all.failed[i]);
    fclose(list);
    return worst;
}
