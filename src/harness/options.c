/* options.c - the command line's options: one table for parsing, for --help and for "did you mean".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/app.h"

struct flag {
    const char *name, *value; /* value NULL: takes none */
    const char *help;
    int (*take)(struct app *, const char *text); /* 0, or -1: not a valid value */
};

static void *grown(void *array, size_t n, size_t element_bytes)
{
    void *more = realloc(array, (n + 1) * element_bytes);
    if (!more) {
        fputs("error: out of memory reading the command line\n", stderr);
        exit(EXIT_USAGE);
    }
    return more;
}

static void append(const char ***list, size_t *n, const char *text)
{
    *list = grown(*list, *n, sizeof **list);
    (*list)[(*n)++] = text;
}

static int take_count(const char *text, size_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || strchr(text, '-') || v == 0)
        return -1;
    *out = (size_t)v;
    return 0;
}

/* "4G", "512M", "1073741824" */
static int take_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v > 0))
        return -1;
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    if (*end && (!unit || end[1]))
        return -1;
    for (const char *u = units; unit && u <= unit; u++)
        v *= 1024;
    if (v > 1e18)
        return -1;
    *out = (uint64_t)v;
    return 0;
}

static int take_set(struct app *app, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return -1;
    struct run_options *o = &app->options;
    o->sets = grown(o->sets, o->n_sets, sizeof *o->sets);
    char *key = strndup(text, (size_t)(equals - text));
    char *value = strdup(equals + 1);
    if (!key || !value)
        return -1;
    o->sets[o->n_sets++] = (struct override){ key, value, false };
    return 0;
}

static int take_repeats(struct app *app, const char *text)
{
    return take_count(text, &app->options.repeats);
}

static int take_threads(struct app *app, const char *text)
{
    return take_count(text, &app->options.threads);
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
    char *end;
    app->options.timeout_s = strtod(text, &end);
    return end == text || *end || !(app->options.timeout_s > 0) ? -1 : 0;
}

static int take_memory(struct app *app, const char *text)
{
    return take_bytes(text, &app->options.memory_limit);
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

static int take_quick(struct app *app, const char *text)
{
    (void)text;
    app->options.quick = true;
    return 0;
}

static int take_resume(struct app *app, const char *text)
{
    (void)text;
    app->options.resume = true;
    return 0;
}

static int take_force(struct app *app, const char *text)
{
    (void)text;
    app->options.force = true;
    return 0;
}

static int take_id(struct app *app, const char *text)
{
    size_t column = 0;
    if (strcmp(text, "0") != 0 && (take_count(text, &column) || column > 1 << 20))
        return -1;
    app->in.id_column = column ? (int)column : FILE_NO_ID;
    return 0;
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

static int take_no_plots(struct app *app, const char *text)
{
    (void)text;
    app->options.no_plots = true;
    return 0;
}

static int take_quiet(struct app *app, const char *text)
{
    (void)text;
    app->options.quiet = true;
    return 0;
}

static int take_fail_on_regression(struct app *app, const char *text)
{
    (void)text;
    app->fail_on_regression = true;
    return 0;
}

static int take_regression(struct app *app, const char *text)
{
    char *end;
    app->regression_percent = strtod(text, &end);
    return end == text || *end || !(app->regression_percent > 0 && app->regression_percent < 1e6)
               ? -1
               : 0;
}

static const struct flag flags[] = {
    { "set", "KEY=VALUE",
      "change an experiment's field, an option() of the config, or METHOD.param", take_set },
    { "repeats", "N", "measure every method N times (config: repeats)", take_repeats },
    { "quick", NULL, "one repeat, one seed, and what else the config does when `quick` is true",
      take_quick },
    { "only", "LABEL", "run only this label; may be given again", take_only },
    { "threads", "N", "threads a method may use (config: threads)", take_threads },
    { "seed", "N", "the experiment's seed (config: seed)", take_seed },
    { "out", "DIR", "write DIR/NAME/ instead of results/NAME/", take_out },
    { "resume", NULL,
      "keep the finished cells of an interrupted run of this same program and go on from there",
      take_resume },
    { "force", NULL,
      "run: replace a finished result also by a smaller one; without it the older is kept in "
      "results/NAME/older/; convert: overwrite OUT",
      take_force },
    { "timeout", "S", "seconds a cell may take (config: timeout)", take_timeout },
    { "memory-limit", "B", "bytes a cell may hold, as 4G or 512M", take_memory },
    { "plugin", "SO", "load a method from a shared object; may be given again", take_plugin },
    { "no-plots", NULL, "write result.json, no figures and no report", take_no_plots },
    { "quiet", NULL, "no progress on stderr", take_quiet },
    { "id", "N", "convert: column N of a text is an id or label, no component; 0: none is",
      take_id },
    { "header", "yes|no", "convert: whether the first line of a text is a header", take_header },
    { "dataset", "NAME", "convert: which one of an HDF5 or npz file", take_dataset },
    { "fail-on-regression", NULL,
      "compare: exit 1 when B is worse than A anywhere, lacks what A has, or when the repeats "
      "could "
      "not show a slow-down of --regression",
      take_fail_on_regression },
    { "regression", "PERCENT",
      "compare: the slow-down that --fail-on-regression must be able to "
      "see; default 10",
      take_regression },
};
enum { N_FLAGS = sizeof flags / sizeof *flags };

void options_help(void)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", flags[i].name, flags[i].value ? " " : "",
                 flags[i].value ? flags[i].value : "");
        printf("  %-22s %s\n", left, flags[i].help);
    }
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

/* One "--name", "--name=value" or "--name value"; *used is how many arguments it took. */
static int parse_one(struct app *app, char **argv, int left, int *used)
{
    const char *name = argv[0] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *flag = flag_named(name, length);
    if (!flag)
        return unknown_option(app, name, length);
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
    else if (flag->take(app, value))
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
            append(&app->arguments, &app->n_arguments, "help");
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
