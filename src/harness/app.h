/* app.h - what the command line's commands share, and the list of them. */
#ifndef DRIFTLINE_APP_H
#define DRIFTLINE_APP_H

#include "core/registry.h"
#include "data/file.h"
#include "harness/identity.h"
#include "harness/options.h"

struct kernels;

enum exit_status { EXIT_OK = 0, EXIT_SOME_FAILED = 1, EXIT_USAGE = 2 };

struct app {
    struct run_options options;
    struct registry registry;
    const struct kernels *kernels;
    struct identity identity;        /* of commands that measure; else empty */
    const volatile int *interrupted; /* set by Ctrl-C */
    volatile int *measuring; /* not 0: Ctrl-C lets the program write its results, else it ends it */
    const char **arguments;  /* what is left of the command line once options are taken out */
    size_t n_arguments;
    bool fail_on_regression;   /* compare's own options */
    double regression_percent; /* 0: compare's default */
    struct file_options in;    /* convert's own: how to read IN */
};

/* One command; gets its arguments in app, prints its own errors, returns an exit status. */
struct command {
    const char *name, *arguments, *help;
    size_t min_arguments, max_arguments;
    int (*run)(struct app *);
};
extern const struct command commands[]; /* ends with name = NULL */

int command_run(struct app *);
int command_check(struct app *);
int command_list(struct app *);
int command_describe(struct app *);
int command_fetch(struct app *);
int command_convert(struct app *);
int command_plot(struct app *);
int command_report(struct app *);
int command_compare(struct app *);
int command_dump(struct app *);
int command_reproduce(struct app *);
int command_bench(struct app *);
int command_new(struct app *);
int command_version(struct app *);
int command_help(struct app *);

/* Runs one config and writes its results; *dir (freed by the caller) is the folder written to. */
int run_config(struct app *, const char *path, char **dir);

/* Takes options out of argv into app; the rest are arguments. EXIT_OK, or EXIT_USAGE having said
 * why. */
int options_parse(struct app *, int argc, char **argv);
/* Prints the options, a line each. */
void options_help(void);

/* "error: " and the sentence, on stderr, in red where colours are wanted. */
void app_error(const struct app *, const struct error *);
void app_warn(const struct app *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Draws the figures of the result in dir; warns of those without values. */
int app_plot(const char *dir, const struct app *, struct error *);

/* options.say: a line for the user on stderr; not 0 once interrupted. say_to is the app. */
int app_say(void *app_of, const char *line);

/* path1/path2, freed by the caller; exits the process when out of memory, as the command line may.
 */
char *app_path(const char *first, const char *second);
/* Makes a folder and those above it. ERR_IO. */
int app_make_dir(const char *path, struct error *);

#endif
