/* options.c - the options of the command line: one table for parsing, --help and "did you mean". */
#include "src/cli/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/experiment.h"

/* What an option is for. `--help` of a command lists them in this order. */
enum group { MEASURES, BOUNDS, SHOWS, KEEPS, READS, LOADS, GROUPS };

static const char *const group_names[GROUPS] = {
    [MEASURES] = "what is measured or asked", [BOUNDS] = "limits",
    [SHOWS] = "what is printed or drawn",     [KEEPS] = "where results go, and what they replace",
    [READS] = "how files are read",           [LOADS] = "code of others, and debugging",
};

/* Kinds of values, and the types of the members of struct app that keep them. */
enum kind { SWITCH, WHOLE, NUMBER, BYTES, TEXT, OTHER }; /* bool, size_t, double, uint64_t, text */

struct flag {
    const char *name, *value; /* value NULL: takes none */
    const char *applies_to;   /* commands, separated by blanks; NULL: all */
    const char *help;
    enum group group;
    enum kind kind;
    size_t at;          /* offset in struct app */
    double least, most; /* of a WHOLE (most 0: without a bound) or a NUMBER; BYTES: least alone */
    /* of OTHER: 0, or -1: not a valid value */
    int (*take)(struct app *, const char *text);
    const char *expected; /* of OTHER; NULL: as `value` says */
};

#define AT(member)             .at = offsetof(struct app, member)
#define A_SWITCH(member)       .kind = SWITCH, AT(member)
#define A_WHOLE(member, most_) .kind = WHOLE, AT(member), .least = 1, .most = (most_)
#define A_NUMBER(member, least_, most_) \
    .kind = NUMBER, AT(member), .least = (least_), .most = (most_)
#define SOME_BYTES(member, least_) .kind = BYTES, AT(member), .least = (least_)
#define A_TEXT(member)             .kind = TEXT, AT(member)
#define AN_OTHER(function, text)   .kind = OTHER, .take = (function), .expected = (text)

/* A whole number from 1. -1: the text is none. */
static int parse_count(const char *text, size_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || strchr(text, '-') || v == 0)
        return -1;
    *out = (size_t)v;
    return 0;
}

/* A number of a range, both bounds included. */
static int parse_real(const char *text, double least, double most, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end == text || *end || !(*out >= least && *out <= most) ? -1 : 0;
}

static void *grown(void *array, size_t n, size_t element_bytes)
{
    return app_made(realloc(array, (n + 1) * element_bytes));
}

static void append(const char ***list, size_t *n, const char *text)
{
    *list = grown(*list, *n, sizeof **list);
    (*list)[(*n)++] = text;
}

/* "KEY=VALUE" */
static int take_pair(const char *text, struct override **list, size_t *n)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return -1;
    *list = grown(*list, *n, sizeof **list);
    char *key = app_made(strndup(text, (size_t)(equals - text)));
    char *value = app_copy(equals + 1);
    (*list)[(*n)++] = (struct override){ key, value, false };
    return 0;
}

static int take_set(struct app *app, const char *text)
{
    return take_pair(text, &app->options.sets, &app->options.n_sets);
}

static int take_knob(struct app *app, const char *text)
{
    return take_pair(text, &app->knobs, &app->n_knobs);
}

static int take_part(struct app *app, const char *text)
{
    char *end;
    errno = 0;
    const unsigned long part = strtoul(text, &end, 10);
    const unsigned long parts = *end == '/' ? strtoul(end + 1, &end, 10) : 0;
    app->options.part = part;
    app->options.parts = parts;
    return errno || *end || part == 0 || part > parts || strchr(text, '-') ? -1 : 0;
}

static int take_seed(struct app *app, const char *text)
{
    char *end;
    errno = 0;
    app->options.seed = strtoull(text, &end, 10);
    app->options.has_seed = true;
    return errno || end == text || *end || strchr(text, '-') || app->options.seed > SEED_MOST ? -1
                                                                                              : 0;
}

static int take_only(struct app *app, const char *text)
{
    append(&app->options.only, &app->options.n_only, text);
    return 0;
}

static int take_plugin(struct app *app, const char *text)
{
    append(&app->options.plugins, &app->options.n_plugins, text);
    return 0;
}

static int take_id(struct app *app, const char *text)
{
    size_t column = 0;
    if (strcmp(text, "0") != 0 && (parse_count(text, &column) || column > 1 << 20))
        return -1;
    app->in.id_column = column ? (int)column : FILE_NO_ID;
    return 0;
}

static int take_add(struct app *app, const char *text)
{
    char *end;
    const long add = strtol(text, &end, 10);
    app->in.add = (int)add;
    return end == text || *end || add < -1000 || add > 1000 ? -1 : 0;
}

static int take_header(struct app *app, const char *text)
{
    app->in.header = strcmp(text, "yes") ? -1 : 1;
    return strcmp(text, "yes") != 0 && strcmp(text, "no") != 0 ? -1 : 0;
}

static int take_style(struct app *app, const char *text)
{
    for (size_t i = 0; i < FIGURE_STYLES; i++)
        if (strcmp(text, figure_styles[i]) == 0) {
            app->figure_style = (enum figure_style)i;
            return 0;
        }
    return -1;
}

static int take_distance(struct app *app, const char *text)
{
    app->advise.distance = text;
    return strcmp(text, "l2") && strcmp(text, "ip") && strcmp(text, "cosine") ? -1 : 0;
}

/* "8,64,512": ascending or not, all from 1 to most. */
static int take_list(const char *text, double most, struct simulate_list *list)
{
    char *end;
    for (list->n = 0; list->n < SIMULATE_LIST; text = end + 1) {
        const double value = strtod(text, &end);
        if (end == text || !(value >= 1 && value <= most) || (*end && *end != ','))
            return -1;
        list->at[list->n++] = value;
        if (!*end)
            return 0;
    }
    return -1;
}

static int take_shards(struct app *app, const char *text)
{
    return take_list(text, SIMULATE_SHARDS_MOST, &app->simulate.shards);
}

static int take_vectors(struct app *app, const char *text)
{
    return take_list(text, 1e15, &app->simulate.vectors);
}

#define RUNS    "run reproduce load"
#define CONFIGS "run check reproduce load" /* commands that measure or plan a config */
#define BUILDS  CONFIGS " build"           /* commands that read a config */

static const struct flag flags[] = {
    { "set", "KEY=VALUE", BUILDS,
      "change a key of the experiment, an option() of the config, or METHOD.parameter; may be "
      "given "
      "again",
      MEASURES, AN_OTHER(take_set, NULL) },
    { "repeats", "N", CONFIGS, "measure every method N times (config: repeats)", MEASURES,
      A_WHOLE(options.repeats, 0) },
    { "quick", NULL, BUILDS,
      "one repeat, one seed, and what else the config does when `quick` is true", MEASURES,
      A_SWITCH(options.quick) },
    { "in-process", NULL, "run",
      "run the cells in the harness's process, for gdb, valgrind and perf: no limits, no claims",
      LOADS, A_SWITCH(options.in_process) },
    { "part", "I/N", "run",
      "measure every N-th cell only, from the I-th on; --resume puts parts together "
      "(docs/cluster.md)",
      MEASURES, AN_OTHER(take_part, "I/N, such as 1/4, with I from 1 to N") },
    { "mpi", NULL, "run reproduce",
      "hand the cells to the ranks of mpirun, which started this (docs/cluster.md)", MEASURES,
      A_SWITCH(options.mpi) },
    { "only", "LABEL", "run check reproduce dump inspect advise",
      "use this label only; may be given again", MEASURES, AN_OTHER(take_only, NULL) },
    { "method", "LABEL", "build load",
      "build: the label of the method whose index is built; load: the method, by default hnsw, and "
      "may be given again",
      MEASURES, AN_OTHER(take_only, NULL) },
    { "save", "DIR", "build", "the folder of the index; an index there is replaced", KEEPS,
      A_TEXT(save) },
    { "insert", "FILE", "update",
      "insert the rows of this file, without attributes; their ids follow the largest that was "
      "used",
      MEASURES, A_TEXT(insert) },
    { "delete", "IDS", "update",
      "delete these rows, before any is inserted: ids as 3,7,10-19, or a file of them", MEASURES,
      A_TEXT(remove) },
    { "threads", "N", BUILDS " search update advise",
      "threads a method may use (config: threads); search, update: by default as many as built "
      "the index",
      MEASURES, A_WHOLE(options.threads, 1024) },
    { "seed", "N", BUILDS, "the experiment's seed (config: seed)", MEASURES,
      AN_OTHER(take_seed, "a whole number from 0 to 9223372036854765807") },
    { "k", "N", "search", "answers for each query; default 10", MEASURES, A_WHOLE(k, 1000000) },
    { "knob", "NAME=VALUE", "search",
      "a search option of the method (describe lists them); may be given again", MEASURES,
      AN_OTHER(take_knob, NULL) },
    { "truth", "FILE", "search",
      "print recall, by this file of true ids: a row for each query, nearest first", READS,
      A_TEXT(truth) },
    { "depth", "N", "inspect", "print N levels of nodes below the root; default: all", SHOWS,
      A_WHOLE(depth, 0) },
    { "node", "'KIND N'", "inspect", "print this node and what is below it, such as 'list 3'",
      SHOWS, A_TEXT(node) },
    { "all", NULL, "inspect compare",
      "inspect: print long lists in full; compare: print rows without a difference too", SHOWS,
      A_SWITCH(all) },
    { "json", NULL, "inspect compare", "print JSON, in full", SHOWS, A_SWITCH(json) },
    { "csv", NULL, "compare", "print CSV, in full", SHOWS, A_SWITCH(csv) },
    { "markdown", NULL, "compare", "print a table in Markdown", SHOWS, A_SWITCH(markdown) },
    { "out", "PATH", CONFIGS " search export advise simulate",
      "write PATH/NAME/ instead of results/NAME/; check: estimate by results in PATH; search: "
      "write the ids found to the file PATH; "
      "export: the file or folder to write; simulate: the folder to write",
      KEEPS, A_TEXT(options.out) },
    { "resume", NULL, RUNS " advise",
      "keep the finished cells of an interrupted run of this same program, and run the rest", KEEPS,
      A_SWITCH(options.resume) },
    { "force", NULL, RUNS " convert export",
      "run: replace a finished result by a smaller one, or one of other data or methods, which "
      "otherwise moves to results/NAME/older/; convert, export: overwrite OUT",
      KEEPS, A_SWITCH(options.force) },
    { "timeout", "S", BUILDS, "time limit of a cell, in seconds (config: timeout)", BOUNDS,
      A_NUMBER(options.timeout_s, 1e-9, 1e12) },
    { "memory-limit", "B", BUILDS, "memory limit of a cell, as 4G or 512M (config: memory_limit)",
      BOUNDS, SOME_BYTES(options.memory_limit, 1 << 20) },
    { "plugin", "SO", BUILDS " search update inspect list describe",
      "load a method from a shared object; may be given again", LOADS,
      AN_OTHER(take_plugin, NULL) },
    { "allow-programs", NULL, BUILDS " search update inspect",
      "start the programs that the config or the index names, for the method external", LOADS,
      A_SWITCH(options.allow_programs) },
    { "style", "S", "plot",
      "page (default), paper: a column of 85 mm, paper-wide: both columns, 178 mm, or slides: 16:9",
      SHOWS, AN_OTHER(take_style, "page, paper, paper-wide or slides") },
    { "no-plots", NULL, RUNS " simulate",
      "write result.json or simulate.json, no figures and no report", SHOWS,
      A_SWITCH(options.no_plots) },
    { "quiet", NULL, NULL, "no progress on stderr", SHOWS, A_SWITCH(options.quiet) },
    { "id", "N", "convert search update",
      "text: column N is an id or label, not a component; 0: no column is", READS,
      AN_OTHER(take_id, "a whole number from 0 to 1048576") },
    { "header", "yes|no", "convert search update", "text: whether the first line is a header",
      READS, AN_OTHER(take_header, "yes or no") },
    { "add", "N", "convert", "add N to every integer: -1 for ids counted from 1; 128 for i8 as u8",
      READS, AN_OTHER(take_add, "a whole number from -1000 to 1000") },
    { "dataset", "NAME", "convert",
      "HDF5: name of the data set in the file; Parquet: a column of lists, or columns of numbers "
      "separated by commas",
      READS, A_TEXT(in.dataset) },
    { "different", NULL, "compare",
      "compare results that differ in data, k, metric, threads, seed or workload", MEASURES,
      A_SWITCH(different) },
    { "fail-on-regression", NULL, "compare",
      "exit 1 when B is worse than A anywhere, lacks what A has, or when the repeats could not "
      "show a slow-down of --regression",
      MEASURES, A_SWITCH(fail_on_regression) },
    { "regression", "PERCENT", "compare",
      "the slow-down that --fail-on-regression must be able to see; default 10", MEASURES,
      A_NUMBER(regression_percent, 1e-9, 1e6) },
    { "workload", "W", "advise",
      "how the data change: static, growth, churn (default), drift, window, or FILE.yaml, a "
      "runbook",
      MEASURES, A_TEXT(advise.workload) },
    { "preset", "LETTER", "load",
      "the mix of operations: A to F of configs/lib/load.lua, as YCSB's; default B", MEASURES,
      A_TEXT(load.preset) },
    { "rate", "R", "load",
      "operations per second, with Poisson arrivals; default: a closed loop, as fast as it goes",
      MEASURES, A_NUMBER(load.rate, 1e-3, 1e9) },
    { "recall", "R", "advise", "recall@10 that the answers must have; default 0.95", MEASURES,
      A_NUMBER(advise.recall, .01, 1) },
    { "memory", "B", "advise",
      "memory that an index may take at the end, as 4G or 512M; default: any", BOUNDS,
      SOME_BYTES(advise.memory_bytes, 1) },
    { "rows", "N", "advise", "use N rows of the data; default: all", MEASURES,
      A_WHOLE(advise.rows, 0) },
    { "time", "S", "advise", "seconds that the study may take; default 600", BOUNDS,
      A_NUMBER(advise.seconds, 1, 1e8) },
    { "distance", "D", "advise", "l2, ip or cosine; by default the data set's", MEASURES,
      AN_OTHER(take_distance, "l2, ip or cosine") },
    { "daily", "SHARE", "advise",
      "share of the rows that a day replaces, such as 0.01: also say what many days do to the "
      "best, "
      "and when to build it again",
      MEASURES, A_NUMBER(advise.daily, 1e-6, 1) },
    { "days", "N", "advise", "days of --daily; default 100", MEASURES, A_WHOLE(advise.days, 0) },
    { "shards", "N,N,...", "simulate", "numbers of shards to predict, each with as many ranks",
      MEASURES, AN_OTHER(take_shards, NULL) },
    { "vectors", "N,N,...", "simulate", "numbers of vectors to predict, such as 1e9,1e11", MEASURES,
      AN_OTHER(take_vectors, NULL) },
    { "cores", "N", "simulate", "cores of each machine; default: as measured", MEASURES,
      A_WHOLE(simulate.cores, 0) },
    { "ranks-per-machine", "N", "simulate", "ranks on a machine; default: one for each core",
      MEASURES, A_WHOLE(simulate.per_machine, 0) },
    { "latency-us", "US", "simulate",
      "what a round trip between two machines takes longer than on one; default 0", MEASURES,
      A_NUMBER(simulate.latency_us, 0, 1e9) },
    { "machine-memory", "B", "simulate", "memory of each machine, as 64G; default: as measured",
      MEASURES, SOME_BYTES(simulate.memory_bytes, 1) },
    { "bandwidth-gbit", "G", "simulate",
      "what rank 0's network can send in Gbit/s; default: without a bound", MEASURES,
      A_NUMBER(simulate.bandwidth_gbit, 1e-6, 1e6) },
    { "asked", "SHARE", "simulate", "share of the shards that a query asks; default: as measured",
      MEASURES, A_NUMBER(simulate.asked, 1e-6, 1) },
    { "tolerance", "PERCENT", "compare", "a difference of at most this is neither better nor worse",
      MEASURES, A_NUMBER(tolerance_percent, 1e-9, 1e6) },
};
enum { N_FLAGS = sizeof flags / sizeof *flags };
_Static_assert(N_FLAGS < (int)OPTIONS_MAX, "app.given has a bit for each");

static void print_one(const struct flag *flag)
{
    enum { LEFT = 24, WIDTH = 100 };
    char left[64];
    const int used = snprintf(left, sizeof left, "  --%s%s%s", flag->name, flag->value ? " " : "",
                              flag->value ? flag->value : "");
    int column = printf("%-*s", LEFT, left);
    if (used >= LEFT)
        column += printf(" ");
    for (const char *at = flag->help; *at;) {
        const int word = (int)strcspn(at, " ");
        if (column + 1 + word > WIDTH)
            column = printf("\n%*s", LEFT, "") - 1;
        column += printf(" %.*s", word, at);
        at += word + (at[word] == ' ');
    }
    puts("");
}

void options_help(const char *command)
{
    for (enum group g = 0; g < GROUPS; g++) {
        bool begun = false;
        for (size_t i = 0; i < N_FLAGS; i++) {
            if (flags[i].group != g || !docs_applies(flags[i].applies_to, command))
                continue;
            if (!begun)
                printf("\n%s:\n", group_names[g]);
            begun = true;
            print_one(&flags[i]);
        }
    }
}

void options_documented(struct docs_option list[OPTIONS_MAX])
{
    for (size_t i = 0; i < N_FLAGS; i++)
        list[i] = (struct docs_option){ flags[i].name, flags[i].value, flags[i].applies_to,
                                        flags[i].help };
    list[N_FLAGS] = (struct docs_option){ NULL, NULL, NULL, NULL };
}

int options_check(const struct app *app, const char *command, struct error *error)
{
    for (size_t i = 0; i < N_FLAGS; i++)
        if (app->given >> i & 1 && !docs_applies(flags[i].applies_to, command))
            return fail(error, ERR_CONFIG,
                        "--%s is not an option of %s, but of: %s  (./harness %s --help)",
                        flags[i].name, command, flags[i].applies_to, command);
    return OK;
}

static const struct flag *flag_named(const char *name, size_t length)
{
    for (size_t i = 0; i < N_FLAGS; i++)
        if (strlen(flags[i].name) == length && !memcmp(flags[i].name, name, length))
            return &flags[i];
    return NULL;
}

static int unknown_option(const struct app *app, const char *given, size_t length)
{
    const char *names[N_FLAGS];
    for (size_t i = 0; i < N_FLAGS; i++)
        names[i] = flags[i].name;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), given);
    const char *near = error_near(name, names, N_FLAGS);
    struct error error = { 0 };
    fail(&error, ERR_CONFIG, "there is no option --%s%s%s%s  (./harness help)", name,
         near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
    app_error(app, &error);
    return EXIT_USAGE;
}

/* 0, or -1: not a valid value. */
static int take(const struct flag *flag, struct app *app, const char *text)
{
    void *at = (char *)app + flag->at;
    size_t n = 0;
    switch (flag->kind) {
        case SWITCH: *(bool *)at = true; return 0;
        case WHOLE:
            if (parse_count(text, &n) || (flag->most > 0 && (double)n > flag->most))
                return -1;
            memcpy(at, &n, sizeof n);
            return 0;
        case NUMBER: return parse_real(text, flag->least, flag->most, at);
        case BYTES: return experiment_bytes(text, flag->least, at) ? 0 : -1;
        case TEXT: *(const char **)at = text; return *text ? 0 : -1;
        case OTHER: break;
    }
    return flag->take(app, text);
}

/* What a value must be. */
static void expected(const struct flag *flag, char *text, size_t bytes)
{
    switch (flag->kind) {
        case WHOLE:
            if (flag->most > 0)
                (void)snprintf(text, bytes, "a whole number from 1 to %.0f", flag->most);
            else
                (void)snprintf(text, bytes, "a whole number from 1");
            return;
        case NUMBER:
            (void)snprintf(text, bytes, "a number from %.15g to %.15g", flag->least, flag->most);
            return;
        case BYTES:
            (void)snprintf(text, bytes, "bytes, %sas 4G or 512M",
                           flag->least > 1 ? "at least 1M, " : "");
            return;
        default:
            (void)snprintf(text, bytes, "%s", flag->expected ? flag->expected : flag->value);
            return;
    }
}

/* Parses one "--name", "--name=value" or "--name value"; *used: how many arguments that took. */
static int parse_one(struct app *app, char **argv, int left, int *used)
{
    const char *name = argv[0] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *flag = flag_named(name, length);
    if (!flag)
        return unknown_option(app, name, length);
    app->given |= UINT64_C(1) << (flag - flags);
    const char *value = equals ? equals + 1 : NULL;
    *used = 1;
    if (flag->value && !value && left > 1) {
        value = argv[1];
        *used = 2;
    }
    struct error error = { 0 };
    char wanted[80];
    if (flag->value && !value)
        fail(&error, ERR_CONFIG, "--%s needs a value: --%s %s", flag->name, flag->name,
             flag->value);
    else if (!flag->value && value)
        fail(&error, ERR_CONFIG, "--%s takes no value", flag->name);
    else if (take(flag, app, value) == 0)
        return EXIT_OK;
    else {
        expected(flag, wanted, sizeof wanted);
        fail(&error, ERR_CONFIG, "--%s %s: expected %s (%s)", flag->name, value, wanted,
             flag->help);
    }
    app_error(app, &error);
    return EXIT_USAGE;
}

int options_parse(struct app *app, int argc, char **argv)
{
    bool plain = false; /* after "--" */
    for (int i = 0; i < argc;) {
        int used = 1;
        if (!plain && !strcmp(argv[i], "--")) {
            plain = true;
        } else if (!plain && (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))) {
            app->help = true;
        } else if (!plain && !strcmp(argv[i], "--version")) {
            append(&app->arguments, &app->n_arguments, "version");
        } else if (!plain && !strncmp(argv[i], "--", 2)) {
            int status = parse_one(app, argv + i, argc - i, &used);
            if (status)
                return status;
        } else if (!plain && argv[i][0] == '-' && argv[i][1]) {
            return unknown_option(app, argv[i] + 1, strlen(argv[i] + 1));
        } else {
            append(&app->arguments, &app->n_arguments, argv[i]);
        }
        i += used;
    }
    return EXIT_OK;
}
