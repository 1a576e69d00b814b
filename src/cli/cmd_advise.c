/* cmd_advise.c - `advise DATA`: runs configs/leaderboard.lua on ever more rows with ever fewer builds, then measures
 * the two best alternately, and says which method to use.
 *
 * 1 settings   2 a round   3 the study */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/base/json.h"
#include "src/base/path.h"
#include "src/base/table.h"
#include "src/cli/commands.h"
#include "src/cli/run/run.h"
#include "src/cli/support/advice.h"
#include "src/cli/support/app.h"
#include "src/core/append_text.h"
#include "src/report/report.h"
#include "src/result/result.h"
#include "src/run/rounds.h"

/* 1. Settings */

static const char tag[] = "after";
enum { FIRST_LEAST = 1000, FIRST_MOST = 4000, SETS = 10 };
static const double first_rows_per_second = 6; /* of the study's time */
/* Of a cell's time in rows: assumed before two rounds have shown it, and its bounds. */
static const double exponent_first = 1.5, exponent_least = 1, exponent_most = 2;
static const double share_of_a_round = .3, share_of_the_last = .7;
static const double share_of_the_pair = .1, pair_most_s = 60;

static double left_s(const struct study *s)
{
    return s->seconds - (clock_now_s() - s->began_s);
}

/* "advise-NAME", of the data's name without folders and ending. */
static char *study_folder(const struct study *s)
{
    const char *slash = strrchr(s->data, '/'), *name = slash ? slash + 1 : s->data;
    char folder[300];
    snprintf(folder, sizeof folder, "advise-%.*s", (int)strcspn(name, "."), name);
    const struct run_options *o = &s->app->options;
    return app_path(o->out ? o->out : o->results, folder);
}

static void study_init(struct study *s, struct app *app)
{
    const struct advise_options *o = &app->advise;
    *s = (struct study){ .app = app,
                         .days = o->days ? o->days : 100,
                         .workload = o->workload ? o->workload : "churn",
                         .began_s = clock_now_s(),
                         .seconds = o->seconds > 0 ? o->seconds : 600,
                         .recall = o->recall > 0 ? o->recall : .95 };
    s->pair_s = fmin(share_of_the_pair * s->seconds, pair_most_s);
}

static void study_free(struct study *s)
{
    ranking_free(&s->ranking);
    ranking_free(&s->again);
    result_close(&s->result);
    result_close(&s->again_result);
    result_close(&s->life);
    json_decref(s->seconds_before);
    free(s->keep);
    free(s->dir);
}

/* 2. A round */

struct sets {
    struct override of[SETS];
    char text[SETS][64];
    size_t n;
};

static void set_text(struct sets *sets, const char *key, const char *value)
{
    sets->of[sets->n++] =
        (struct override){ (char *)(uintptr_t)key, (char *)(uintptr_t)value, false };
}

static void set_number(struct sets *sets, const char *key, double value)
{
    snprintf(sets->text[sets->n], sizeof sets->text[0], "%.15g", value);
    set_text(sets, key, sets->text[sets->n]);
}

/* Runs a config of the project with these settings into the study's folder, and reads its result. plots: draws figures.
   only: leaves out labels as --only says. */
static int run_with(struct study *s, const char *name, struct sets *sets, bool plots, bool only,
                    struct result *result)
{
    struct app *app = s->app;
    const struct run_options before = app->options;
    app->options.sets = sets->of;
    app->options.n_sets = sets->n;
    app->options.out = s->dir;
    app->options.force = true;
    app->options.no_plots = !plots;
    app->options.n_only *= only;
    app->brief = true;
    char *config = app_path(app->options.root, name), *dir = NULL;
    const int status = run_measure(app, config, &dir, NULL);
    app->options = before;
    struct error error = { 0 };
    int rc = status == EXIT_USAGE || !dir || *app->interrupted ? ERR_CONFIG : OK;
    s->usage |= status == EXIT_USAGE;
    if (!rc) {
        result_close(result);
        rc = app_result_load(dir, result, &error);
        if (rc)
            app_error(app, &error);
    }
    free(config);
    free(dir);
    return rc;
}

static void set_data(const struct study *s, struct sets *sets, const char *name)
{
    set_text(sets, "name", name);
    set_text(sets, "data", s->data);
    if (s->app->advise.distance)
        set_text(sets, "distance", s->app->advise.distance);
}

/* Runs the leaderboard with the builds `keep` (NULL: all), and ranks them; `pair` is NULL or two
   points separated by ';'. */
static int run_round(struct study *s, const struct study_round *round, const char *keep,
                     const char *pair, double pair_s, struct result *result,
                     struct ranking *ranking)
{
    struct app *app = s->app;
    struct sets sets = { .n = 0 };
    set_data(s, &sets, round->name);
    set_text(&sets, "workload", s->workload);
    set_number(&sets, "recall", s->recall);
    set_number(&sets, "rows", (double)round->rows);
    set_number(&sets, "queries", STUDY_QUERIES);
    if (keep)
        set_text(&sets, "keep", keep);
    if (pair) {
        set_text(&sets, "pair", pair);
        set_number(&sets, "seconds", pair_s);
    }
    ranking_free(ranking);
    /* `keep` has fewer of the same labels. */
    int rc = run_with(s, "configs/leaderboard.lua", &sets, false, !keep, result);
    if (rc)
        return rc;
    struct error error = { 0 };
    const struct ranking_wish wish = { s->recall, (double)app->advise.memory_bytes,
                                       app->options.threads > 1 };
    rc = ranking_read(ranking, result, tag, &wish, &error);
    if (rc)
        app_error(app, &error);
    return rc;
}

static int refuse_wish(const struct study *s)
{
    struct error error = { 0 };
    fail(&error, ERR_NOT_FOUND, "advise: no build met the wish: recall@10 of %g%s", s->recall,
         s->app->advise.memory_bytes ? " within the memory" : "");
    app_error(s->app, &error);
    app_advice_failed(s, stdout);
    return ERR_NOT_FOUND;
}

/* Runs a round with the builds of s->keep, and notes it. */
static int next_round(struct study *s, size_t rows)
{
    struct study_round *round = &s->rounds[s->n];
    *round = (struct study_round){ .rows = rows };
    snprintf(round->name, sizeof round->name, "round-%zu", s->n + 1);
    if (s->rows)
        printf("round %zu: %zu builds on %zu of %zu rows\n", s->n + 1, s->ranking.kept, rows,
               s->rows);
    else
        printf("round 1: every build on at most %zu rows\n", rows);
    fflush(stdout);
    if (run_round(s, round, s->keep, NULL, 0, &s->result, &s->ranking))
        return ERR_CONFIG;
    round->builds = s->ranking.n;
    const json_t *data = json_array_get(json_object_get(s->result.json, "datasets"), 0);
    s->rows = (size_t)field_integer(data, "rows", (long long)rows);
    if (s->app->advise.rows && s->rows > s->app->advise.rows)
        s->rows = s->app->advise.rows;
    round->rows = rows < s->rows ? rows : s->rows;
    s->n++;
    return s->ranking.ranked ? OK : refuse_wish(s);
}

/* Estimates each build's seconds on `next` rows by its growth in the last round. */
static void estimate(struct study *s, size_t rows, size_t next)
{
    const double grown = s->n > 1 ? (double)rows / (double)s->rounds[s->n - 2].rows : 0;
    json_t *seconds = json_object();
    for (size_t i = 0; i < s->ranking.n; i++) {
        struct ranking_build *of = &s->ranking.of[i];
        const double before = field_number(s->seconds_before, of->label);
        double exponent = exponent_first;
        if (before > 0 && grown > 1)
            exponent =
                fmin(fmax(log(of->cell_s / before) / log(grown), exponent_least), exponent_most);
        of->next_s = of->cell_s * pow((double)next / (double)rows, exponent);
        (void)json_object_set_new(seconds, of->label, json_real(of->cell_s));
    }
    json_decref(s->seconds_before);
    s->seconds_before = seconds;
}

/* 3. The study */

/* Sets s->keep to the labels that the ranking keeps, separated by "; ". */
static void keep_labels(struct study *s)
{
    size_t bytes = 1;
    for (size_t i = 0; i < s->ranking.n; i++)
        bytes += s->ranking.of[i].kept ? strlen(s->ranking.of[i].label) + 2 : 0;
    free(s->keep);
    s->keep = app_allocate(bytes);
    *s->keep = '\0';
    for (size_t i = 0; i < s->ranking.n; i++)
        if (s->ranking.of[i].kept)
            append_text(s->keep, bytes, "; ", "%s", s->ranking.of[i].label);
}

/* The time is spent: what was judged so far is the advice. */
static void say_time(struct study *s, size_t rows, double needed)
{
    app_warn(
        s->app,
        "all %zu rows cannot be judged in %.0f s: two builds alone take about %.0f s more, and "
        "%.0f s are left; the advice is of %zu rows (give --time %.0f for all)",
        s->rows, s->seconds, needed, fmax(left_s(s), 0), rows,
        ceil((s->seconds - left_s(s) + needed / share_of_the_last) / 60) * 60);
}

static double two_best_s(const struct study *s)
{
    double seconds = 0;
    for (size_t i = 0; i < s->ranking.ranked && i < 2; i++)
        seconds += s->ranking.of[i].cell_s;
    return seconds;
}

/* One round after another, until a round had all rows. */
static int run_rounds(struct study *s)
{
    size_t rows = (size_t)fmin(fmax(s->seconds * first_rows_per_second, FIRST_LEAST), FIRST_MOST);
    if (s->app->advise.rows && rows > s->app->advise.rows)
        rows = s->app->advise.rows;
    if (next_round(s, rows))
        return ERR_CONFIG;
    while (rows < s->rows && s->n < STUDY_ROUNDS) {
        const double ratio = (double)s->rows / (double)rows;
        const size_t next = ratio > 6 ? (size_t)sqrt((double)s->rows * (double)rows) : s->rows;
        const bool last = next == s->rows;
        const struct ranking_next wish = {
            left_s(s) * (last ? share_of_the_last : share_of_a_round), fmin(fmax(sqrt(ratio), 2), 6)
        };
        estimate(s, rows, next);
        const bool fits = ranking_keep(&s->ranking, &wish);
        /* Not less than in proportion to the rows. */
        const double all = fmax(two_best_s(s) * ratio, last ? s->ranking.fewest_s : 0);
        if (!fits || all > left_s(s)) {
            say_time(s, rows, all);
            return OK;
        }
        keep_labels(s);
        rows = next;
        if (next_round(s, rows))
            return ERR_CONFIG;
    }
    return OK;
}

/* "LABEL[point]" of a build's answer. */
static void point_text(const struct ranking_build *s, char *text, size_t bytes)
{
    snprintf(text, bytes, s->point && *s->point ? "%s[%s]" : "%s", s->label, s->point);
}

/* The best of another family than the best of all, else the second best. */
static size_t find_rival(const struct ranking *r)
{
    for (size_t i = 1; i < r->ranked; i++)
        if (!ranking_same_family(&r->of[0], &r->of[i]))
            return i;
    return r->ranked > 1;
}

/* Measures the best and its rival once more, in a run of their own: their rates then are not those that
   they were chosen for. And alternately, in the time that is left: at most twice the budget
   (rounds.h). */
static int measure_again(struct study *s)
{
    char first[400], second[400], pair[820], keep[820];
    struct study_round again = s->rounds[s->n - 1];
    s->rival = find_rival(&s->ranking);
    if (!s->rival)
        return OK;
    const struct ranking_build *a = &s->ranking.of[0], *b = &s->ranking.of[s->rival];
    const double builds = a->cell_s + b->cell_s, left = left_s(s) - builds,
                 replays = REPLAYS_MIN * builds + 2;
    if (left < replays)
        app_warn(s->app,
                 "the best and its rival are not measured alternately: %.0f s are left, %.0f s are "
                 "needed to build both %d times",
                 fmax(left, 0), replays, REPLAYS_MIN);
    if (left < 0)
        return OK;
    point_text(a, first, sizeof first);
    point_text(b, second, sizeof second);
    snprintf(pair, sizeof pair, "%s; %s", first, second);
    snprintf(keep, sizeof keep, "%s; %s", a->label, b->label);
    snprintf(again.name, sizeof again.name, "again");
    printf("once more: the best and its rival\n");
    fflush(stdout);
    if (run_round(s, &again, keep, left < replays ? NULL : pair, fmin(left / 2, s->pair_s),
                  &s->again_result, &s->again))
        return ERR_CONFIG;
    s->pair = json_array_get(json_object_get(s->again_result.json, "compare"), 0);
    return OK;
}

/* Draws the last round, whose report the advice names. */
static int draw_last(const struct study *s, struct error *err)
{
    char *dir = app_path(s->dir, s->rounds[s->n - 1].name);
    int rc = app_draw(dir, s->app, err);
    rc = rc ? rc : report_write(dir, err);
    free(dir);
    return rc;
}

/* With --daily: what becomes of the two as the data change from day to day. */
static int measure_days(struct study *s)
{
    const struct advise_options *o = &s->app->advise;
    const double daily = o->daily;
    char first[400], second[400];
    struct sets sets = { .n = 0 };
    if (daily <= 0)
        return OK;
    point_text(&s->ranking.of[0], first, sizeof first);
    point_text(&s->ranking.of[s->rival], second, sizeof second);
    snprintf(s->points, sizeof s->points, s->rival ? "%s; %s" : "%s", first, second);
    set_data(s, &sets, "days");
    set_text(&sets, "points", s->points);
    set_number(&sets, "daily", daily);
    set_number(&sets, "days", (double)s->days);
    /* As many as the builds were tuned on, if the data suffice for the days. */
    const struct result_cell *cell = s->ranking.of[0].cell;
    const double live = field_number(cell->steps[cell->n - 1].json, "live"),
                 used = (double)(o->rows ? o->rows : s->rows);
    s->days_rows = (size_t)fmin(live, used / (1 + daily * (double)s->days));
    set_number(&sets, "rows", (double)s->days_rows);
    printf("%zu days that replace %g %% of the rows each\n", s->days, 100 * daily);
    fflush(stdout);
    return run_with(s, "configs/long_life/own.lua", &sets, true, false, &s->life);
}

/* Fetches the data, which does not count as time of the study. */
static int prepare(struct study *s, struct error *error)
{
    if (s->app->advise.rows && s->app->advise.rows < FIRST_LEAST) {
        fail(error, ERR_CONFIG, "--rows %zu: expected %d or more: fewer rows rank nothing",
             s->app->advise.rows, FIRST_LEAST);
        return EXIT_USAGE;
    }
    if (s->app->advise.days && !(s->app->advise.daily > 0)) {
        fail(error, ERR_CONFIG, "--days %zu: expected --daily SHARE too, what a day replaces",
             s->app->advise.days);
        return EXIT_USAGE;
    }
    if (path_ends(s->workload, ".yaml") || path_ends(s->workload, ".yml")) {
        if (!realpath(s->workload, s->runbook)) {
            fail_errno(error, ERR_IO, "--workload %s", s->workload);
            return EXIT_USAGE;
        }
        s->workload = s->runbook;
    }
    const int status = strpbrk(s->data, "/.") ? EXIT_OK : command_fetch(s->app, error);
    s->began_s = clock_now_s();
    return status;
}

int command_advise(struct app *app, struct error *error)
{
    struct study s;
    study_init(&s, app);
    int status = app_find_data(app->arguments[0], s.data, error);
    if (!status)
        status = prepare(&s, error);
    if (status)
        return status;
    s.dir = study_folder(&s);
    int rc = run_rounds(&s);
    rc = rc ? rc : measure_again(&s);
    if (!rc) { /* the advice is given whether or not the days could be measured */
        const int days = measure_days(&s);
        rc = app_advice_give(&s, error);
        rc = rc ? rc : draw_last(&s, error);
        rc = rc ? rc : days;
    }
    if (*app->interrupted)
        app_warn(app, "the finished cells are kept; continue with --resume");
    study_free(&s);
    return s.usage ? EXIT_USAGE : rc ? EXIT_SOME_FAILED : EXIT_OK;
}
