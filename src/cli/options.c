/* options.c - the options of the command line: one table for parsing, --help and "did you mean". */
#include "src/cli/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/simulate_options.h"
#include "src/cli/support/values.h"

struct flag {
    const char *name, *value; /* value NULL: takes none */
    const char *applies_to;   /* commands, separated by blanks; NULL: all */
    const char *help;
    int (*take)(struct app *, const char *text); /* 0, or -1: not a valid value */
    size_t sets; /* without take: the offset in struct app of a bool that becomes true */
};

#define SETS(member) offsetof(struct app, member)

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

static int take_k(struct app *app, const char *text)
{
    return options_count(text, &app->k) || app->k > 1000000 ? -1 : 0;
}

static int take_save(struct app *app, const char *text)
{
    app->save = text;
    return *text ? 0 : -1;
}

static int take_depth(struct app *app, const char *text)
{
    return options_count(text, &app->depth);
}

static int take_node(struct app *app, const char *text)
{
    app->node = text;
    return *text ? 0 : -1;
}

static int take_truth(struct app *app, const char *text)
{
    app->truth = text;
    return *text ? 0 : -1;
}

static int take_repeats(struct app *app, const char *text)
{
    return options_count(text, &app->options.repeats);
}

static int take_threads(struct app *app, const char *text)
{
    return options_count(text, &app->options.threads);
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
    return errno || end == text || *end || strchr(text, '-') ? -1 : 0;
}

static int take_timeout(struct app *app, const char *text)
{
    return options_real(text, 1e-9, 1e12, &app->options.timeout_s);
}

static int take_memory(struct app *app, const char *text)
{
    return options_bytes(text, &app->options.memory_limit);
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

static int take_out(struct app *app, const char *text)
{
    app->options.out = text;
    return *text ? 0 : -1;
}

static int take_id(struct app *app, const char *text)
{
    size_t column = 0;
    if (strcmp(text, "0") != 0 && (options_count(text, &column) || column > 1 << 20))
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

static int take_dataset(struct app *app, const char *text)
{
    app->in.dataset = text;
    return *text ? 0 : -1;
}

static int take_style(struct app *app, const char *text)
{
    app->figure_style = (enum figure_style)options_word(text, figure_styles, FIGURE_STYLES);
    return app->figure_style < FIGURE_STYLES ? 0 : -1;
}

static int take_regression(struct app *app, const char *text)
{
    return options_real(text, 1e-9, 1e6, &app->regression_percent);
}

static int take_tolerance(struct app *app, const char *text)
{
    return options_real(text, 1e-9, 1e6, &app->tolerance_percent);
}

static int take_workload(struct app *app, const char *text)
{
    app->advise.workload = text;
    return *text ? 0 : -1;
}

static int take_distance(struct app *app, const char *text)
{
    app->advise.distance = text;
    return strcmp(text, "l2") && strcmp(text, "ip") && strcmp(text, "cosine") ? -1 : 0;
}

static int take_recall(struct app *app, const char *text)
{
    return options_real(text, .01, 1, &app->advise.recall);
}

static int take_memory_wish(struct app *app, const char *text)
{
    return options_bytes(text, &app->advise.memory_bytes);
}

static int take_rows(struct app *app, const char *text)
{
    return options_count(text, &app->advise.rows);
}

static int take_time(struct app *app, const char *text)
{
    return options_real(text, 1, 1e8, &app->advise.seconds);
}

#define RUNS    "run reproduce"
#define CONFIGS "run check reproduce" /* commands that measure or plan a config */
#define BUILDS  CONFIGS " build"      /* commands that read a config */

static const struct flag flags[] = {
    { "set", "KEY=VALUE", BUILDS,
      "change a key of the experiment, an option() of the config, or METHOD.parameter; may be "
      "given "
      "again",
      .take = take_set },
    { "repeats", "N", CONFIGS, "measure every method N times (config: repeats)",
      .take = take_repeats },
    { "quick", NULL, BUILDS,
      "one repeat, one seed, and what else the config does when `quick` is true",
      .sets = SETS(options.quick) },
    { "in-process", NULL, "run",
      "run the cells in the harness's process, for gdb, valgrind and perf: no limits, no claims",
      .sets = SETS(options.in_process) },
    { "part", "I/N", "run",
      "measure every N-th cell only, from the I-th on; --resume puts parts together "
      "(docs/cluster.md)",
      .take = take_part },
    { "mpi", NULL, "run",
      "hand the cells to the ranks of mpirun, which started this (docs/cluster.md)",
      .sets = SETS(options.mpi) },
    { "only", "LABEL", CONFIGS " dump inspect advise", "use this label only; may be given again",
      .take = take_only },
    { "method", "LABEL", "build", "build the index of this method (config: label)",
      .take = take_only },
    { "save", "DIR", "build", "the folder of the index; an index there is replaced",
      .take = take_save },
    { "threads", "N", BUILDS " search advise",
      "threads a method may use (config: threads); search: by default as many as built the index",
      .take = take_threads },
    { "seed", "N", BUILDS, "the experiment's seed (config: seed)", .take = take_seed },
    { "k", "N", "search", "answers for each query; default 10", .take = take_k },
    { "knob", "NAME=VALUE", "search",
      "a search option of the method (describe lists them); may be given again",
      .take = take_knob },
    { "truth", "FILE", "search",
      "print recall, by this file of true ids: a row for each query, nearest first",
      .take = take_truth },
    { "depth", "N", "inspect", "print N levels of nodes below the root; default: all",
      .take = take_depth },
    { "node", "'KIND N'", "inspect", "print this node and what is below it, such as 'list 3'",
      .take = take_node },
    { "all", NULL, "inspect compare",
      "inspect: print long lists in full; compare: print rows without a difference too",
      .sets = SETS(all) },
    { "json", NULL, "inspect compare", "print JSON, in full", .sets = SETS(json) },
    { "csv", NULL, "compare", "print CSV, in full", .sets = SETS(csv) },
    { "markdown", NULL, "compare", "print a table in Markdown", .sets = SETS(markdown) },
    { "out", "PATH", CONFIGS " search export advise simulate",
      "write PATH/NAME/ instead of results/NAME/; check: estimate by results in PATH; search: "
      "write the ids found to the file PATH; "
      "export: the file or folder to write; simulate: the folder to write",
      .take = take_out },
    { "resume", NULL, RUNS " advise",
      "keep the finished cells of an interrupted run of this same program, and run the rest",
      .sets = SETS(options.resume) },
    { "force", NULL, RUNS " convert export",
      "run: replace a finished result by a smaller one, or one of other data or methods, which "
      "otherwise moves to results/NAME/older/; convert, export: overwrite OUT",
      .sets = SETS(options.force) },
    { "timeout", "S", BUILDS, "time limit of a cell, in seconds (config: timeout)",
      .take = take_timeout },
    { "memory-limit", "B", BUILDS, "memory limit of a cell, as 4G or 512M (config: memory_limit)",
      .take = take_memory },
    { "plugin", "SO", BUILDS " search inspect list describe",
      "load a method from a shared object; may be given again", .take = take_plugin },
    { "allow-programs", NULL, BUILDS " search inspect",
      "start the programs that the config or the index names, for the method external",
      .sets = SETS(options.allow_programs) },
    { "style", "S", "plot",
      "page (default), paper: a column of 3.4 inches in 8 points, or slides: 16:9, large letters",
      .take = take_style },
    { "no-plots", NULL, RUNS " simulate",
      "write result.json or simulate.json, no figures and no report",
      .sets = SETS(options.no_plots) },
    { "quiet", NULL, NULL, "no progress on stderr", .sets = SETS(options.quiet) },
    { "id", "N", "convert search",
      "text: column N is an id or label, not a component; 0: no column is", .take = take_id },
    { "header", "yes|no", "convert search", "text: whether the first line is a header",
      .take = take_header },
    { "add", "N", "convert", "add N to every integer: -1 for ids counted from 1; 128 for i8 as u8",
      .take = take_add },
    { "dataset", "NAME", "convert", "HDF5, npz: name of the data set in the file",
      .take = take_dataset },
    { "different", NULL, "compare",
      "compare results that differ in data, k, metric, threads, seed or workload",
      .sets = SETS(different) },
    { "fail-on-regression", NULL, "compare",
      "exit 1 when B is worse than A anywhere, lacks what A has, or when the repeats could not "
      "show a slow-down of --regression",
      .sets = SETS(fail_on_regression) },
    { "regression", "PERCENT", "compare",
      "the slow-down that --fail-on-regression must be able to see; default 10",
      .take = take_regression },
    { "workload", "W", "advise",
      "how the data change: static, growth, churn (default), drift, window, or FILE.yaml, a "
      "runbook",
      .take = take_workload },
    { "recall", "R", "advise", "recall@10 that the answers must have; default 0.95",
      .take = take_recall },
    { "memory", "B", "advise",
      "memory that an index may take at the end, as 4G or 512M; default: any",
      .take = take_memory_wish },
    { "rows", "N", "advise", "use N rows of the data; default: all", .take = take_rows },
    { "time", "S", "advise", "seconds that the study may take; default 600", .take = take_time },
    { "distance", "D", "advise", "l2, ip or cosine; by default the data set's",
      .take = take_distance },
    { "shards", "N,N,...", "simulate", "numbers of shards to predict, each with as many ranks",
      .take = options_take_shards },
    { "vectors", "N,N,...", "simulate", "numbers of vectors to predict, such as 1e9,1e11",
      .take = options_take_vectors },
    { "cores", "N", "simulate", "cores of each machine; default: as measured",
      .take = options_take_cores },
    { "ranks-per-machine", "N", "simulate", "ranks on a machine; default: one for each core",
      .take = options_take_per_machine },
    { "latency-us", "US", "simulate",
      "what a round trip between two machines takes longer than on one; default 0",
      .take = options_take_latency },
    { "bandwidth-gbit", "G", "simulate",
      "what rank 0's network can send in Gbit/s; default: without a bound",
      .take = options_take_bandwidth },
    { "asked", "SHARE", "simulate", "share of the shards that a query asks; default: as measured",
      .take = options_take_asked },
    { "tolerance", "PERCENT", "compare", "a difference of at most this is neither better nor worse",
      .take = take_tolerance },
};
enum { N_FLAGS = sizeof flags / sizeof *flags };
_Static_assert(N_FLAGS < (int)OPTIONS_MAX, "app.given has a bit for each");

static bool applies(const struct flag *flag, const char *command)
{
    const size_t length = strlen(command);
    for (const char *at = flag->applies_to; at && *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && !memcmp(at, command, length))
            return true;
    return !flag->applies_to;
}

void options_help(const char *command)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        const struct flag *flag = &flags[i];
        if (command && !applies(flag, command))
            continue;
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", flag->name, flag->value ? " " : "",
                 flag->value ? flag->value : "");
        const bool several = !command && flag->applies_to;
        printf("  %-22s %s%s%s%s\n", left, flag->help, several ? "  (" : "",
               several ? flag->applies_to : "", several ? ")" : "");
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
        if (app->given >> i & 1 && !applies(&flags[i], command))
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
    if (flag->take)
        return flag->take(app, text);
    *(bool *)((char *)app + flag->sets) = true;
    return 0;
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
    if (flag->value && !value)
        fail(&error, ERR_CONFIG, "--%s needs a value: --%s %s", flag->name, flag->name,
             flag->value);
    else if (!flag->value && value)
        fail(&error, ERR_CONFIG, "--%s takes no value", flag->name);
    else if (take(flag, app, value))
        fail(&error, ERR_CONFIG, "--%s %s: expected %s (%s)", flag->name, value, flag->value,
             flag->help);
    else
        return EXIT_OK;
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
