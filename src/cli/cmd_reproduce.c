/* cmd_reproduce.c - `reproduce`: runs every config of a paper, then writes one page with measured
 * and published values side by side. */
#include <stdlib.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/cli/app.h"
#include "src/cli/commands.h"
#include "src/cli/run.h"
#include "src/cli/support/progress.h"
#include "src/report/report.h"

/* A line of configs/papers.txt is "PAPER CONFIG" or a comment that begins with '#'. The configs of
 * a paper are in the order of its figures. */
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
    struct error error = { 0 };
    fail(&error, ERR_CONFIG,
         "reproduce: there is no paper \"%s\"%s  (configs/papers.txt lists them)", given,
         error_hint(given, near, n).text);
    app_error(app, &error);
}

static bool is_wanted(const char *wanted, const char *paper)
{
    return !wanted || !strcmp(wanted, paper);
}

static size_t count_configs(FILE *list, const char *wanted)
{
    char paper[64], config[200];
    size_t n = 0;
    while (next_line(list, paper, config))
        n += is_wanted(wanted, paper);
    rewind(list);
    return n;
}

struct reproduced {
    char *dirs[256], *failed[257]; /* owned; failed ends in NULL */
    size_t n, n_failed, planned;
    double began_s;
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

/* Says which config comes, or with NULL the total. */
static void say_where(struct app *app, const struct reproduced *of, const char *config)
{
    char gone[32], line[400];
    const size_t done = of->n + of->n_failed;
    progress_duration(1e-9 * (double)clock_ns() - of->began_s, gone, sizeof gone);
    if (config && done == 0)
        snprintf(line, sizeof line, "1 of %zu: %s", of->planned, config);
    else if (config)
        snprintf(line, sizeof line, "%zu of %zu: %s, after %s", done + 1, of->planned, config,
                 gone);
    else
        snprintf(line, sizeof line, "%zu of %zu configs in %s", done, of->planned, gone);
    app_say(app, line);
}

/* Runs one config. Adds its results folder to to->dirs, or its path to to->failed if there is no
   results folder. */
static int reproduce_one(struct app *app, const char *config, struct reproduced *to)
{
    char *path = app_path(app->options.root, config), *dir = NULL;
    say_where(app, to, config);
    int status = run_config(app, path, &dir);
    free(path);
    if (dir)
        to->dirs[to->n++] = dir;
    else
        to->failed[to->n_failed++] = app_copy(config);
    return status;
}

/* Runs take hours, so which claims this one can measure is printed first. */
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
    struct reproduced all = { .planned = count_configs(list, wanted),
                              .began_s = 1e-9 * (double)clock_ns() };
    say_what_runs(app, wanted);
    int worst = EXIT_OK;
    while (all.n + all.n_failed < 256 && !*app->interrupted && next_line(list, paper, config)) {
        if (!is_wanted(wanted, paper))
            continue;
        int status = reproduce_one(app, config, &all);
        if (status > worst)
            worst = status;
    }
    if (!all.n && worst == EXIT_OK) {
        unknown_paper(app, list, wanted ? wanted : "");
        worst = EXIT_USAGE;
    } else if (all.n) {
        say_where(app, &all, NULL);
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
