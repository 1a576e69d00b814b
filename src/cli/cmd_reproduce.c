/* cmd_reproduce.c - `reproduce`: runs every config of a paper, then writes one page with measured
 * and published values side by side. */
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/clock.h"
#include "src/base/quote.h"
#include "src/cli/commands.h"
#include "src/cli/run/run.h"
#include "src/cli/support/app.h"
#include "src/cli/support/progress.h"
#include "src/cluster/messenger.h"
#include "src/ranking/ranking.h"
#include "src/report/report.h"
#include "src/result/result.h"

/* A line of configs/papers.txt is "PAPER CONFIG [KEY=VALUE...]", with settings as --set has them, or a
 * comment that begins with '#'. The configs of a paper are in the order of its figures. */
enum { SETTINGS = 8 };
struct line {
    char text[400];
    char *paper, *config, *settings[SETTINGS];
    size_t n_settings;
};

static FILE *open_list(struct app *app, struct error *error)
{
    char *path = app_path(app->options.root, "configs/papers.txt");
    FILE *list = fopen(path, "r");
    if (!list)
        fail_errno(error, ERR_NOT_FOUND, "cannot read %s, the list of each paper's configs", path);
    free(path);
    return list;
}

static bool next_line(FILE *list, struct line *line)
{
    while (fgets(line->text, sizeof line->text, list)) {
        char *rest = NULL, *word;
        line->n_settings = 0;
        line->paper = strtok_r(line->text, " \t\n", &rest);
        line->config = line->paper ? strtok_r(NULL, " \t\n", &rest) : NULL;
        while (line->n_settings < SETTINGS && line->config &&
               (word = strtok_r(NULL, " \t\n", &rest)))
            line->settings[line->n_settings++] = word;
        if (line->config && *line->paper != '#')
            return true;
    }
    return false;
}

static void unknown_paper(FILE *list, const char *given, struct error *error)
{
    char names[32][64], all[400] = "";
    const char *near[32];
    struct line line;
    size_t n = 0, length = 0;
    rewind(list);
    while (n < 32 && next_line(list, &line)) {
        if (n && !strcmp(names[n - 1], line.paper))
            continue;
        snprintf(names[n], sizeof names[n], "%s", line.paper);
        near[n] = names[n];
        if (length < sizeof all)
            length += (size_t)snprintf(all + length, sizeof all - length, "%s, ", names[n]);
        n++;
    }
    const struct hint_text hint = error_hint(given, near, n);
    fail(error, ERR_CONFIG, "reproduce: there is no paper \"%s\"%s (known: %sor all)", given,
         hint.text, all);
}

static bool is_wanted(const char *wanted, const char *paper)
{
    return !strcmp(wanted, "all") || !strcmp(wanted, paper);
}

static size_t count_configs(FILE *list, const char *wanted)
{
    struct line line;
    size_t n = 0;
    while (next_line(list, &line))
        n += is_wanted(wanted, line.paper);
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
    snprintf(file, sizeof file, "reproduce-%s.html", wanted);
    snprintf(title, sizeof title, "%s: measured beside published",
             strcmp(wanted, "all") ? wanted : "all papers");
    char *page = app_path(app->options.out ? app->options.out : app->options.results, file);
    int rc = report_write_many((const char *const *)of->dirs, of->n,
                               (const char *const *)of->failed, title, page, &error);
    if (rc)
        app_error(app, &error);
    else
        printf("\nall of it on one page: %s\n", page);
    free(page);
    return rc ? EXIT_SOME_FAILED : EXIT_OK;
}

/* Says which config comes, or with NULL the total. */
static void say_where(struct app *app, const struct reproduced *of, const char *config)
{
    char gone[32], line[400];
    const size_t done = of->n + of->n_failed;
    progress_duration(clock_now_s() - of->began_s, gone, sizeof gone);
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
static int reproduce_one(struct app *app, const struct line *line, struct messenger *messenger,
                         struct reproduced *to)
{
    const struct run_options before = app->options;
    char *path = app_path(app->options.root, line->config), *dir = NULL;
    struct override *sets = app_allocate((before.n_sets + line->n_settings + 1) * sizeof *sets);
    size_t n = 0;
    for (size_t i = 0; i < line->n_settings; i++) {
        char *equals = strchr(line->settings[i], '=');
        if (equals) {
            *equals = '\0';
            sets[n++] = (struct override){ line->settings[i], equals + 1, false };
        }
    }
    for (size_t i = 0; i < before.n_sets; i++) /* --set comes later, so it wins */
        sets[n++] = before.sets[i];
    app->options.sets = sets;
    app->options.n_sets = n;
    say_where(app, to, line->config);
    int status = run_measure(app, path, &dir, messenger);
    app->options = before;
    free(sets);
    free(path);
    if (dir)
        to->dirs[to->n++] = dir;
    else
        to->failed[to->n_failed++] = app_copy(line->config);
    return status;
}

/* Prints the ranks of methods over the results of configs/leaderboard.lua, and writes leaderboard.md
   beside them. */
static int write_board(struct app *app, const struct reproduced *of)
{
    const struct ranking_wish wish = { .batches = app->options.threads > 1 };
    struct result *results = app_allocate((of->n + 1) * sizeof *results);
    struct atomic_text text;
    size_t n = 0;
    struct error error = { 0 };
    int rc = atomic_text_begin(&text, &error);
    for (size_t i = 0; !rc && i < of->n; i++) {
        const char *slash = strrchr(of->dirs[i], '/');
        if (!strncmp(slash ? slash + 1 : of->dirs[i], "leaderboard_", 12))
            rc = app_result_load(of->dirs[i], &results[n++], &error);
    }
    rc = rc ? rc : ranking_print_board(results, n, "after", &wish, text.out, &error);
    rc = rc ? rc : atomic_text_end(&text, &error);
    if (!rc && text.bytes) {
        char *path =
            app_path(app->options.out ? app->options.out : app->options.results, "leaderboard.md");
        putchar('\n');
        quote_terminal(stdout, text.text);
        rc = atomic_text_write(&text, path, &error);
        free(path);
    }
    atomic_text_free(&text);
    if (rc)
        app_error(app, &error);
    while (n > 0)
        result_close(&results[--n]);
    free(results);
    return rc ? EXIT_SOME_FAILED : EXIT_OK;
}

/* Runs take hours, so which claims this one can measure is printed first. */
static void say_what_runs(const struct app *app, const char *wanted)
{
    const struct run_options *o = &app->options;
    printf("reproduce %s: ", wanted);
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

int command_reproduce(struct app *app, struct error *error)
{
    const char *wanted = app->arguments[0];
    FILE *list = open_list(app, error);
    if (!list)
        return EXIT_USAGE;
    struct line line;
    struct reproduced all = { .planned = count_configs(list, wanted), .began_s = clock_now_s() };
    int worst = EXIT_OK;
    if (!all.planned) {
        unknown_paper(list, wanted, error);
        fclose(list);
        return EXIT_USAGE;
    }
    struct messenger *messenger = NULL;
    if (app->options.mpi && messenger_open(&messenger, error)) {
        fclose(list);
        return EXIT_USAGE;
    }
    if (messenger && messenger_rank(messenger) > 0) /* rank 0 says it all, and has the results */
        app->options.quiet = true;
    else
        say_what_runs(app, wanted);
    while (all.n + all.n_failed < 256 && !*app->interrupted && next_line(list, &line)) {
        if (!is_wanted(wanted, line.paper))
            continue;
        int status = reproduce_one(app, &line, messenger, &all);
        if (status > worst)
            worst = status;
    }
    messenger_close(messenger);
    if (all.n) {
        say_where(app, &all, NULL);
        int status = write_page(app, wanted, &all);
        if (status > worst)
            worst = status;
        status = write_board(app, &all);
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
