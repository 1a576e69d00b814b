/* cmd_results.c - `plot`, `report`, `reproduce`: what is made of results that are already there, or
 * of a paper's. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/app.h"
#include "harness/plot.h"
#include "harness/report.h"
#include "harness/result.h"

static int for_each_result(struct app *app,
                           int (*make)(const char *dir, const struct app *, struct error *))
{
    int status = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments; i++) {
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

static int plot_one(const char *dir, const struct app *app, struct error *error)
{
    return plot_result(dir, app->options.root, error);
}

static int report_one(const char *dir, const struct app *app, struct error *error)
{
    (void)app;
    return report_write(dir, error);
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

static int write_page(struct app *app, const char *wanted, char **dirs, size_t n)
{
    struct error error = { 0 };
    char file[128], title[128];
    snprintf(file, sizeof file, "reproduce-%s.html", wanted ? wanted : "all");
    snprintf(title, sizeof title, "%s: measured beside published", wanted ? wanted : "all papers");
    char *results = app_path(app->options.root, "results");
    char *page = app_path(app->options.out ? app->options.out : results, file);
    int rc = report_write_many((const char *const *)dirs, n, title, page, &error);
    if (rc)
        app_error(app, &error);
    else
        printf("\nall of it on one page: %s\n", page);
    free(results);
    free(page);
    return rc ? EXIT_SOME_FAILED : EXIT_OK;
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
    char paper[64], config[200], *dirs[256];
    size_t n = 0;
    int worst = EXIT_OK;
    while (n < 256 && !*app->interrupted && next_line(list, paper, config)) {
        if (wanted && strcmp(wanted, paper) != 0)
            continue;
        char *path = app_path(app->options.root, config);
        dirs[n] = NULL;
        int status = run_config(app, path, &dirs[n]);
        free(path);
        if (status > worst)
            worst = status;
        if (dirs[n])
            n++;
    }
    if (!n && worst == EXIT_OK) {
        unknown_paper(app, list, wanted ? wanted : "");
        worst = EXIT_USAGE;
    } else if (n) {
        int status = write_page(app, wanted, dirs, n);
        if (status > worst)
            worst = status;
    }
    for (size_t i = 0; i < n; i++)
        free(dirs[i]);
    fclose(list);
    return worst;
}
