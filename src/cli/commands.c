/* commands.c - the table of commands: finds the one that the command line names, prints help, opens
 * the registry and the kernels, and runs it. */
#include "src/cli/commands.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "src/base/path.h"
#include "src/cli/docs/docs.h"
#include "src/cli/methods.h"
#include "src/cli/options.h"
#include "src/cli/support/app.h"
#include "src/cluster/ranks.h"
#include "src/core/mem.h"
#include "src/data/files/file_rows.h"
#include "src/data/readers/child.h"

static int command_completion(struct app *, struct error *);
static int command_docs(struct app *, struct error *);
static int command_rank(struct app *, struct error *);

/* What people do with a command; `help` lists them in this order. */
enum group { MEASURE, ASK, INDEXES, DATA, PROJECT, GROUPS };

static const char *const group_names[GROUPS] = {
    [MEASURE] = "measure, and read what was measured",
    [ASK] = "ask about your vectors",
    [INDEXES] = "build an index, and use it",
    [DATA] = "data",
    [PROJECT] = "this program",
};

struct command {
    const char *name, *arguments, *help;
    size_t min_arguments, max_arguments;
    int (*run)(struct app *, struct error *);
    enum group group;
};

static const struct command commands[] = {
    { "run", "CONFIG...",
      "run experiments and write results/NAME/: result.json, figures, report.html", 1, 1000,
      command_run, MEASURE },
    { "check", "CONFIG...", "read a config, fetch its data and print its plan; run nothing", 1,
      1000, command_check, MEASURE },
    { "reproduce", "PAPER|all",
      "run every config of a paper and write one page: measured beside published", 1, 1,
      command_reproduce, MEASURE },
    { "compare", "A B", "compare two results: difference, interval, verdict", 2, 2, command_compare,
      MEASURE },
    { "plot", "RESULT...", "redraw the figures of a result", 1, 1000, command_plot, MEASURE },
    { "report", "RESULT...", "write report.html again", 1, 1000, command_report, MEASURE },
    { "export", "RESULT --out FOLDER|FILE",
      "write a result as JSON Lines (FILE.jsonl) or packed (FILE.json.gz), or its answers in "
      "ann-benchmarks' layout (FOLDER)",
      1, 1, command_export, MEASURE },
    { "dump", "RESULT", "print the ids that each query was answered, one line each", 1, 1,
      command_dump, MEASURE },
    { "advise", "DATA", "find the method and parameters for your vectors, and how sure that is", 1,
      1, command_advise, ASK },
    { "load", "DATA", "measure latencies under a mix of searches and changes, at a rate", 1, 1,
      command_load, ASK },
    { "simulate", "RESULT",
      "predict throughput, latency and recall of more shards and vectors from what a shard costs",
      1, 1, command_simulate, ASK },
    { "build", "CONFIG --save DIR",
      "run the workload of a config without its searches, and save the index", 1, 1, command_build,
      INDEXES },
    { "search", "DIR QUERIES",
      "search a saved index: a file of queries, FILE:DATASET, or DATASET:PART", 2, 2,
      command_search, INDEXES },
    { "update", "DIR", "delete rows of a saved index, and insert rows of a file", 1, 1,
      command_update, INDEXES },
    { "inspect", "RESULT|DIR",
      "print the structure of a saved index, or what w:inspect stored in a result", 1, 1,
      command_inspect, INDEXES },
    { "list", "[methods|datasets|configs|kernels]",
      "list methods, data sets, configs or kernels; without a word, all of them", 0, 1,
      command_list, DATA },
    { "describe", "NAME",
      "print the parameters of a method, or the shape and sources of a data set", 1, 1,
      command_describe, DATA },
    { "fetch", "DATASET...", "download data sets, verify and convert them", 1, 1000, command_fetch,
      DATA },
    { "convert", "IN OUT", "convert a file of vectors; the names state the formats", 2, 2,
      command_convert, DATA },
    { "new", "NAME", "make a new method from the skeleton, build and test it", 1, 1, command_new,
      PROJECT },
    { "bench", "kernels|cuda",
      "measure each kernel beside the scalar one, or on a GPU, and the machine's limits", 1, 1,
      command_bench, PROJECT },
    { "version", "", "print version, build, kernels and baseline libraries", 0, 0, command_version,
      PROJECT },
    { "completion", "bash|zsh|fish", "print what completes this command line in a shell", 1, 1,
      command_completion, PROJECT },
    { "help", "[COMMAND]", "print all commands, or the options of one", 0, 1, command_help,
      PROJECT },
    /* --help does not list these: for `make docs`; what a run starts on other ranks. */
    { "docs", "DIR", NULL, 1, 1, command_docs, GROUPS },
    { CLUSTER_RANK_COMMAND, "", NULL, 0, 0, command_rank, GROUPS },
    { NULL, NULL, NULL, 0, 0, NULL, GROUPS },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const char environment[] =
    "  DRIFTLINE_DATA         folders with datasets, separated by ':', looked through before "
    "any download\n"
    "  DRIFTLINE_CACHE        where downloads, converted data and built baselines are kept: a "
    "folder that\n"
    "                         only you can write; by default in ~/.cache\n"
    "  DRIFTLINE_KERNELS      scalar, avx2 or avx512: at most this instruction set\n"
    "  DRIFTLINE_CUDA_LIBRARY the library of CUDA kernels; by default libdriftline_cuda.so beside "
    "the program\n"
    "  DRIFTLINE_MIN_TIME     seconds that a search is timed where the config has no min_time; by "
    "default 0.3\n"
    "  DRIFTLINE_OFFLINE      1: download nothing\n"
    "  DRIFTLINE_NO_INSTALL   1: install nothing, print the command instead\n"
    "  DRIFTLINE_KEEP_ENV     1: hand on OPENBLAS_*, OMP_*, MALLOC_*, GLIBC_TUNABLES, "
    "LD_PRELOAD and the like, which\n"
    "                         the launcher else takes out, as they change libraries; the "
    "result says which\n"
    "  NO_COLOR               no colours\n";
static const char exit_status[] =
    "0 all cells ran; 1 some cell failed or was interrupted, or --fail-on-regression; 2 usage or "
    "config error";

/* What `./harness` alone prints. */
static void help_first(const char *program)
{
    static const struct {
        const char *command, *help;
    } lines[] = { { "CONFIG", "run an experiment, as configs/drift_mnist_fashion.lua" },
                  { "advise DATA", "find the method and parameters for your vectors" },
                  { "list", "methods, data sets and configs" },
                  { "compare A B", "compare two results" },
                  { "help [COMMAND]", "all commands, or the options of one" } };
    puts("Driftline: nearest-neighbour search on data that change\n");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        printf("  %s %-19s %s\n", program, lines[i].command, lines[i].help);
    puts("\nRead on in README.md and docs/tutorial.md.");
}

static void help_all(const char *program)
{
    printf("Driftline: nearest-neighbour search on data that change\n\n"
           "  %s %-44s the same as run\n",
           program, "CONFIG...");
    for (enum group g = 0; g < GROUPS; g++) {
        printf("\n%s:\n", group_names[g]);
        for (const struct command *c = commands; c->name; c++) {
            char left[64];
            if (c->group != g)
                continue;
            (void)snprintf(left, sizeof left, "%s %s", c->name, c->arguments);
            printf("  %s %-44s %s\n", program, left, c->help);
        }
    }
    printf("\n%s COMMAND --help lists the options of a command; docs/driftline.1 has all.\n"
           "docs/questions.md: which question, which command."
           "\n\nenvironment:\n%s\nexit status: %s\n",
           program, environment, exit_status);
}

static void help_one(const char *program, const struct command *c)
{
    printf("usage: %s %s%s%s\n\n%s\n", program, c->name, *c->arguments ? " [options] " : "",
           c->arguments,
           c->help ? c->help : "of the program itself: make docs, and runs on several ranks");
    options_help(c->name);
}

static int choose_kernels(struct app *app, struct error *error)
{
    enum isa at_most = kernels_best_isa();
    const char *name = getenv("DRIFTLINE_KERNELS");
    if (name && *name && kernels_isa_named(name, &at_most))
        return fail(error, ERR_CONFIG, "DRIFTLINE_KERNELS=%s: expected scalar, avx2 or avx512",
                    name);
    app->kernels = kernels_select(at_most);
    if (name && *name && app->kernels->isa != at_most)
        app_warn(app, "DRIFTLINE_KERNELS=%s: this processor has no %s; using %s", name, name,
                 app->kernels->name);
    return OK;
}

static int choose_min_time(struct app *app, struct error *error)
{
    const char *text = getenv("DRIFTLINE_MIN_TIME");
    char *end;

    app->options.min_time_s = .3;
    if (!text || !*text)
        return OK;
    app->options.min_time_s = strtod(text, &end);
    return !*end && app->options.min_time_s >= 0 && app->options.min_time_s <= 1000
               ? OK
               : fail(error, ERR_CONFIG, "DRIFTLINE_MIN_TIME=%s: expected seconds, 0 to 1000",
                      text);
}

struct plugin_trial {
    struct app *app;
    const char *path;
};

static void load_in_child(void *context, int out)
{
    const struct plugin_trial *trial = context;
    struct error error = { 0 };
    (void)out;
    (void)registry_load_plugin(&trial->app->registry, trial->path, &error);
}

/* Loads it in a child first, where its code may crash. */
static int load_plugin(struct app *app, const char *path, struct error *error)
{
    struct plugin_trial trial = { app, path };
    struct child_process child = { .work = load_in_child, .context = &trial };
    int rc = child_run(&child, error);
    mem_free(NULL, child.output);
    return rc ? fail_within(error, "plugin %s, loaded in a process of its own", path)
              : registry_load_plugin(&app->registry, path, error);
}

static int open_registry(struct app *app, bool measures, struct error *error)
{
    int rc = methods_open(&app->registry, error);
    if (!rc && !app->options.allow_programs)
        methods_lock_programs(&app->registry);
    for (size_t i = 0; !rc && i < app->options.n_plugins; i++)
        rc = load_plugin(app, app->options.plugins[i], error);
    return !rc && measures ? identity_open(&app->identity, &app->registry, app->kernels, error)
                           : rc;
}

/* NULL with an error if there is no such command. A config without a command is an argument of
   `run`. */
static const struct command *find_command(const char *given, struct error *error)
{
    const char *names[32];
    size_t n = 0;
    for (const struct command *c = commands; c->name; c++) {
        if (!strcmp(c->name, given))
            return c;
        names[n++] = c->name;
    }
    if (strchr(given, '/') || path_ends(given, ".lua"))
        return &commands[0];
    fail(error, ERR_CONFIG, "there is no command \"%s\"%s  (./harness help)", given,
         error_hint(given, names, n).text);
    return NULL;
}

/* The tables as the generators of documents take them. */
struct tables {
    struct docs_command commands[N_COMMANDS];
    struct docs_option options[OPTIONS_MAX];
    struct docs_program program;
};

static void fill_tables(const struct app *app, struct tables *t)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        t->commands[i] =
            (struct docs_command){ commands[i].name, commands[i].arguments, commands[i].help };
    options_documented(t->options);
    t->program = (struct docs_program){ .registry = &app->registry,
                                        .root = app->options.root,
                                        .commands = t->commands,
                                        .options = t->options,
                                        .environment = environment,
                                        .exit_status = exit_status };
}

static int command_docs(struct app *app, struct error *error)
{
    struct tables tables;
    fill_tables(app, &tables);
    return docs_write(&tables.program, app->arguments[0], error) ? EXIT_SOME_FAILED : EXIT_OK;
}

static int command_completion(struct app *app, struct error *error)
{
    struct tables tables;
    fill_tables(app, &tables);
    if (!docs_completion(&tables.program, app->arguments[0], stdout))
        return EXIT_OK;
    fail(error, ERR_CONFIG, "completion %s: expected bash, zsh or fish", app->arguments[0]);
    return EXIT_USAGE;
}

/* Not exit(): MPI's handlers would wait for ranks that have ended. */
static int command_rank(struct app *app, struct error *error)
{
    struct file_rows rows = { .fd = -1 };
    const struct row_files files = { .hash = file_rows_hash, .read = file_rows_read, .to = &rows };
    const int rc = cluster_serve(&app->registry, app->kernels, &files, error);
    file_rows_end(&rows);
    if (rc != OK)
        app_error(app, error);
    (void)fflush(NULL);
    _exit(rc != OK);
}

int command_help(struct app *app, struct error *error)
{
    const struct command *command =
        app->n_arguments ? find_command(app->arguments[0], error) : NULL;
    if (app->n_arguments && !command)
        return EXIT_USAGE;
    if (command)
        help_one(app->options.command, command);
    else
        help_all(app->options.command);
    return EXIT_OK;
}

/* What every command needs, if the options and the number of arguments suit this one. */
static int prepare(struct app *app, const struct command *command, struct error *error)
{
    const bool measures = command->run == command_run || command->run == command_reproduce ||
                          command->run == command_advise || command->run == command_load;
    int rc = options_check(app, command->name, error);
    if (!rc &&
        (app->n_arguments < command->min_arguments || app->n_arguments > command->max_arguments))
        rc = fail(error, ERR_CONFIG, "usage: ./harness %s %s", command->name, command->arguments);
    rc = rc ? rc : choose_kernels(app, error);
    rc = rc ? rc : choose_min_time(app, error);
    return rc ? rc : open_registry(app, measures, error);
}

static int run(struct app *app, struct error *error)
{
    if (app->help)
        return command_help(app, error);
    if (!app->n_arguments) {
        help_first(app->options.command);
        return EXIT_USAGE;
    }
    const struct command *command = find_command(app->arguments[0], error);
    if (!command)
        return EXIT_USAGE;
    if (!strcmp(command->name, app->arguments[0])) {
        app->arguments++;
        app->n_arguments--;
    }
    if (prepare(app, command, error))
        return EXIT_USAGE;
    const int status = command->run(app, error);
    identity_close(&app->identity);
    registry_close(&app->registry);
    return status;
}

/* Whether what was printed is lost, as on a full disk. A reader that has ended wanted no more. */
static bool output_lost(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
    const bool failed = fflush(stdout) != 0 || ferror(stdout);
    return failed && !(poll(&out, 1, 0) == 1 && (out.revents & POLLERR));
}

int commands_run(struct app *app)
{
    struct error error = { 0 };
    int status = run(app, &error);
    if (error.code)
        app_error(app, &error);
    if (output_lost()) {
        fail(&error, ERR_IO,
             "standard output cannot be written, and lacks a part: is the disk full?");
        app_error(app, &error);
        status = status ? status : EXIT_USAGE;
    }
    return status;
}
