/* main.c - the command line: reads the environment once, then hands over to one command. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness/app.h"
#include "harness/quote.h"
#include "kernels/kernels.h"

/* The mutable globals: a signal handler has nowhere else to look. */
static volatile int interrupted, measuring;

enum { PATIENCE_US = 800 * 1000 }; /* for what was interrupted to end by itself */

const struct command commands[] = {
    { "run", "[options] CONFIG...",
      "run experiments: results/NAME/ gets result.json, figures, report.html", 1, 1000,
      command_run },
    { "check", "CONFIG...", "read a config and print its plan; run nothing", 1, 1000,
      command_check },
    { "list", "[methods|datasets|configs|kernels]", "what there is", 0, 1, command_list },
    { "describe", "NAME", "a method's or dataset's parameters, shape, sources", 1, 1,
      command_describe },
    { "fetch", "DATASET...", "download, verify, convert", 1, 1000, command_fetch },
    { "convert", "IN OUT", "one file format into another, by their names", 2, 2, command_convert },
    { "plot", "RESULT...", "redraw the figures of a result", 1, 1000, command_plot },
    { "report", "RESULT...", "write report.html again", 1, 1000, command_report },
    { "compare", "A B", "two results: difference, interval, verdict", 2, 2, command_compare },
    { "dump", "RESULT", "the ids that were answered, a line each, for others to score", 1, 1,
      command_dump },
    { "reproduce", "[PAPER]",
      "every config of a source paper, then one page: measured beside published", 0, 1,
      command_reproduce },
    { "bench", "kernels", "each kernel against scalar and the machine's limits", 1, 1,
      command_bench },
    { "new", "NAME", "a new method from the skeleton, built and tested", 1, 1, command_new },
    { "version", "", "version, build, kernels, peers", 0, 0, command_version },
    { "help", "", "this text", 0, 1000, command_help },
    { NULL, NULL, NULL, 0, 0, NULL },
};

void app_error(const struct app *app, const struct error *error)
{
    const char *red = app->options.colour ? "\033[31m" : "",
               *off = app->options.colour ? "\033[0m" : "";
    fprintf(stderr, "%serror:%s ", red, off);
    quote_terminal(stderr, error->text);
    fputc('\n', stderr);
}

void app_warn(const struct app *app, const char *format, ...)
{
    const char *yellow = app->options.colour ? "\033[33m" : "",
               *off = app->options.colour ? "\033[0m" : "";
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%swarning:%s ", yellow, off);
    quote_terminal(stderr, text);
    fputc('\n', stderr);
}

int app_say(void *app_of, const char *line)
{
    const struct app *app = app_of;
    if (!app->options.quiet) {
        quote_terminal(stderr, line);
        fputc('\n', stderr);
    }
    return *app->interrupted;
}

char *app_path(const char *first, const char *second)
{
    size_t bytes = strlen(first) + strlen(second) + 2;
    char *path = malloc(bytes);
    if (!path) {
        fputs("error: out of memory\n", stderr);
        exit(EXIT_USAGE);
    }
    snprintf(path, bytes, "%s/%s", first, second);
    return path;
}

int app_make_dir(const char *path, struct error *error)
{
    char *part = app_path(path, "");
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0777) && errno != EEXIST) {
            fail_errno(error, ERR_IO, "cannot make the folder %s", part);
            free(part);
            return error->code;
        }
        *p = '/';
    }
    free(part);
    return OK;
}

int command_help(struct app *app)
{
    (void)app;
    puts("Driftline: nearest-neighbour search on data that change\n\nusage:\n"
         "  ./harness CONFIG...   the same as run");
    for (const struct command *c = commands; c->name; c++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", c->name, c->arguments);
        printf("  ./harness %-42s %s\n", left, c->help);
    }
    puts("\noptions:");
    options_help();
    puts("\nenvironment:\n"
         "  DRIFTLINE_DATA         folders with datasets, separated by ':', looked through before "
         "any download\n"
         "  DRIFTLINE_CACHE        where downloads, converted data and built peers are kept: a "
         "folder that\n"
         "                         only you can write; by default in ~/.cache\n"
         "  DRIFTLINE_KERNELS      scalar, avx2 or avx512: at most this instruction set\n"
         "  DRIFTLINE_OFFLINE      1: download nothing\n"
         "  DRIFTLINE_NO_INSTALL   1: install nothing, print the command instead\n"
         "  DRIFTLINE_KEEP_ENV     1: hand on OPENBLAS_*, OMP_*, MALLOC_*, GLIBC_TUNABLES, "
         "LD_PRELOAD and the like, which\n"
         "                         the launcher else takes out, as they change libraries; the "
         "result says which\n"
         "  NO_COLOR               no colours\n\n"
         "exit status: 0 all cells ran; 1 some cell failed or was interrupted, or "
         "--fail-on-regression; 2 usage or config error");
    return EXIT_OK;
}

/* Ctrl-C ends the program within a second, also inside a library that cannot be asked to stop; but
   results that were measured are written first. */
static void on_interrupt(int signal_number)
{
    /* A second Ctrl-C ends the program at once; a terminal that closes may send two SIGHUP. */
    if (interrupted && signal_number != SIGHUP)
        _exit(EXIT_SOME_FAILED);
    interrupted = 1;
    const struct itimerval once = { .it_value = { .tv_usec = PATIENCE_US } };
    (void)setitimer(ITIMER_REAL, &once, NULL);
}

static void on_alarm(int signal_number)
{
    static const char text[] = "error: interrupted\n";
    (void)signal_number;
    if (measuring || !interrupted)
        return;
    const ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(EXIT_SOME_FAILED);
}

static void install_handlers(void)
{
    struct sigaction interrupt = { .sa_handler = on_interrupt },
                     alarm = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGTERM, &interrupt, NULL);
    struct sigaction hangup;
    (void)sigaction(SIGHUP, NULL, &hangup);
    if (hangup.sa_handler != SIG_IGN) /* as nohup leaves it */
        (void)sigaction(SIGHUP, &interrupt, NULL);
    (void)sigaction(SIGALRM, &alarm, NULL);
    /* A reader that went away (`./harness list | head`) shows as a failed write, not as a death by
     * signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* past the limit of a file's size a write fails */
}

static bool truthy(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

/* NULL where there is no place of the user's own. */
static const char *default_cache(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        return app_path(xdg, "driftline");
    return home && *home ? app_path(home, ".cache/driftline") : NULL;
}

static void read_environment(struct app *app)
{
    struct run_options *o = &app->options;
    const char *root = getenv("DRIFTLINE_ROOT"), *cache = getenv("DRIFTLINE_CACHE"),
               *data = getenv("DRIFTLINE_DATA");
    o->root = root && *root ? root : ".";
    o->cache = cache && *cache ? cache : default_cache();
    o->data = data && *data ? data : NULL;
    o->offline = truthy("DRIFTLINE_OFFLINE");
    o->no_install = truthy("DRIFTLINE_NO_INSTALL");
    const char *term = getenv("TERM");
    o->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    o->colour = o->terminal && !getenv("NO_COLOR");
}

static int choose_kernels(struct app *app)
{
    enum isa at_most = kernels_best_isa();
    const char *name = getenv("DRIFTLINE_KERNELS");
    if (name && *name && kernels_isa_named(name, &at_most)) {
        struct error error = { 0 };
        fail(&error, ERR_CONFIG, "DRIFTLINE_KERNELS=%s: expected scalar, avx2 or avx512", name);
        app_error(app, &error);
        return EXIT_USAGE;
    }
    app->kernels = kernels_select(at_most);
    if (name && *name && app->kernels->isa != at_most)
        app_warn(app, "DRIFTLINE_KERNELS=%s: this processor has no %s; using %s", name, name,
                 app->kernels->name);
    return EXIT_OK;
}

static int open_registry(struct app *app, bool measures)
{
    struct error error = { 0 };
    int rc = registry_open(&app->registry, &error);
    for (size_t i = 0; !rc && i < app->options.n_plugins; i++)
        rc = registry_load_plugin(&app->registry, app->options.plugins[i], &error);
    if (!rc && measures)
        rc = identity_open(&app->identity, &app->registry, app->kernels, &error);
    if (!rc)
        return EXIT_OK;
    app_error(app, &error);
    return EXIT_USAGE;
}

/* The command argv names; a bare config runs. */
static const struct command *find_command(struct app *app)
{
    if (!app->n_arguments)
        return NULL;
    const char *first = app->arguments[0];
    const char *names[32];
    size_t n = 0;
    for (const struct command *c = commands; c->name; c++) {
        if (!strcmp(c->name, first)) {
            app->arguments++;
            app->n_arguments--;
            return c;
        }
        names[n++] = c->name;
    }
    size_t length = strlen(first);
    if (strchr(first, '/') || (length > 4 && !strcmp(first + length - 4, ".lua")))
        return &commands[0];
    const char *near = error_near(first, names, n);
    struct error error = { 0 };
    fail(&error, ERR_CONFIG, "there is no command \"%s\"%s%s%s  (./harness help)", first,
         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    app_error(app, &error);
    return NULL;
}

static int run_command(struct app *app)
{
    const struct command *command = find_command(app);
    if (!command) {
        if (!app->n_arguments)
            command_help(app);
        return EXIT_USAGE;
    }
    if (app->n_arguments < command->min_arguments || app->n_arguments > command->max_arguments) {
        struct error error = { 0 };
        fail(&error, ERR_CONFIG, "usage: ./harness %s %s", command->name, command->arguments);
        app_error(app, &error);
        return EXIT_USAGE;
    }
    int status = choose_kernels(app);
    if (!status)
        status =
            open_registry(app, command->run == command_run || command->run == command_reproduce);
    if (status)
        return status;
    status = command->run(app);
    identity_close(&app->identity);
    registry_close(&app->registry);
    return status;
}

int main(int argc, char **argv)
{
    struct app app = { .interrupted = &interrupted, .measuring = &measuring };
    app.options.interrupted = &interrupted;
    /* What this program and those that it starts write, nobody else may change. */
    (void)umask(umask(0) | S_IWGRP | S_IWOTH);
    install_handlers();
    read_environment(&app);
    int status = options_parse(&app, argc - 1, argv + 1);
    return status ? status : run_command(&app);
}
