/* app.h - state and functions that the commands share. */
#ifndef DRIFTLINE_CLI_SUPPORT_APP_H
#define DRIFTLINE_CLI_SUPPORT_APP_H

#include <limits.h>
#include <stdio.h>

#include "src/config/run_options.h"
#include "src/core/registry.h"
#include "src/data/files/file.h"
#include "src/figure/plot.h"
#include "src/plan/identity.h"
#include "src/simulate/simulate.h"

struct kernels;
struct result;

enum exit_status { EXIT_OK = 0, EXIT_SOME_FAILED = 1, EXIT_USAGE = 2 };

struct advise_options { /* 0 and NULL: the default */
    const char *workload, *distance;
    double recall, seconds;
    uint64_t memory_bytes;
    size_t rows;  /* of the data that are used; 0: all */
    double daily; /* share of the rows that a day replaces; 0: not asked */
    size_t days;
};

struct load_options { /* 0 and NULL: the default */
    const char *preset;
    double rate;
};

struct simulate_options { /* 0: the default, which is as measured */
    struct simulate_list shards, vectors;
    size_t cores, per_machine;
    double latency_us, bandwidth_gbit, asked;
    uint64_t memory_bytes; /* 0: as measured */
};

struct app {
    struct run_options options;
    struct registry registry;
    const struct kernels *kernels;
    struct identity identity;        /* only in commands that measure; else empty */
    const volatile int *interrupted; /* set by Ctrl-C */
    volatile int *measuring; /* not 0: after Ctrl-C the program writes its results before it ends */
    const char **arguments;  /* the command line without its options */
    size_t n_arguments;
    uint64_t given;                 /* bit i: row i of the table in options.c was given */
    bool help;                      /* --help was given */
    bool named_removed_variables;   /* a run has printed which variables the launcher removed */
    bool brief;                     /* a run prints no tables, as another command prints its own */
    bool fail_on_regression;        /* only for compare */
    bool different;                 /* only for compare */
    double regression_percent;      /* only for compare; 0: its default */
    double tolerance_percent;       /* only for compare */
    enum figure_style figure_style; /* only for plot */
    bool csv, markdown;             /* only for compare: what to print */
    struct advise_options advise;   /* only for advise */
    struct load_options load;       /* only for load */
    struct simulate_options simulate; /* only for simulate */
    struct file_options in;           /* only for convert, search and update: how to read vectors */
    size_t depth;                     /* only for inspect: levels below the node; 0: all */
    const char *node;                 /* only for inspect: "list 3"; NULL: the root */
    bool json, all;              /* only for inspect and compare: print JSON; print everything */
    const char *save;            /* only for build: --save DIR */
    const char *insert, *remove; /* only for update: --insert FILE, --delete IDS; NULL: none */
    const char *truth;           /* only for search: file of true ids; NULL: none */
    struct override *knobs;      /* only for search: --knob NAME=VALUE */
    size_t n_knobs, k;           /* k: only for search; 0: its default */
};

/* Prints a text that may contain untrusted parts. An installed program is not called ./harness there. */
void app_print(const struct app *, FILE *out, const char *text);
/* Prints "error: " and the message on stderr; the prefix is red if colours are on. */
void app_error(const struct app *, const struct error *);
void app_warn(const struct app *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Warns of a result whose run was interrupted, or still goes on: name is the result as given. */
void app_warn_unfinished(const struct app *, const char *name, const json_t *result);
/* Warns of letters that no font has, if any; letters: letter -> whether a font has it. */
void app_warn_letters(const struct app *, const json_t *letters);
/* Draws the figures of the result in dir, and warns of each figure that has no values and of letters
   that no font has. Returns OK, ERR_INTERRUPTED or another error code. */
int app_draw(const char *dir, const struct app *, struct error *);

/* Reads dir/result.json; as result_load(). */
int app_result_load(const char *dir, struct result *, struct error *);

/* For options.say, with the app as say_to: prints a line on stderr unless --quiet. Returns a value
   other than 0 once the program is interrupted. */
int app_say(void *app_of, const char *line);

/* The calls below end the process with a message when memory is exhausted. Only src/cli may do
   so; all other folders return ERR_NO_MEMORY. */

/* Where the DATA of a command line is: an existing file as an absolute path, else a name of the catalog,
   which has neither '/' nor '.'. Returns the exit status. */
int app_find_data(const char *given, char data[PATH_MAX], struct error *);

/* "first/second"; the caller frees it. */
char *app_path(const char *first, const char *second);
/* A copy of a string; the caller frees it. */
char *app_copy(const char *text);
/* Returns `made`, which an allocation has returned; ends the process if it is NULL. */
void *app_made(void *made);
/* malloc() that never returns NULL. jansson uses it too, so that no JSON value lacks a member. */
void *app_allocate(size_t bytes);

#endif
