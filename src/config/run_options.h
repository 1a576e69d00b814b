/* run_options.h - the command line's options for a run. Filled by src/cli, then read-only
 * but for override.used. */
#ifndef DRIFTLINE_CONFIG_RUN_OPTIONS_H
#define DRIFTLINE_CONFIG_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct override { /* --set key=value; used: some code has read the key */
    char *key, *value;
    bool used;
};

/* The largest seed: with the most seeds of an experiment added, JSON still holds it. */
#define SEED_MOST ((uint64_t)INT64_MAX - 10000)

struct run_options {
    struct override *sets;
    size_t n_sets;
    const char **only; /* --only LABEL: run the cells of these labels; none: all */
    size_t n_only;
    const char **plugins;
    size_t n_plugins;
    size_t repeats, threads; /* 0: as the config says */
    bool has_seed;
    uint64_t seed;
    const char *out;       /* results folder; NULL: `results` below */
    double timeout_s;      /* time limit of a cell; 0: the config's */
    uint64_t memory_limit; /* memory limit of a cell in bytes; 0: the config's */
    bool quick, resume, force, no_plots, quiet;
    bool allow_programs; /* the method `external` may start its client */
    bool in_process;     /* cells run in the harness's process (src/run/cell.h) */
    size_t part, parts;  /* --part I/N: measure every N-th cell, from the I-th on; 0: all */
    bool mpi;            /* cells run on the ranks of mpirun (src/cli/run/ranks.c) */

    /* from the environment, read once by main.c */
    const char
        *root; /* the checkout, or what is installed: configs/ datasets/ plots/ are under it */
    const char *results; /* ROOT/results; of an installed program, in the current folder */
    const char *command; /* how the program is called: ./harness, or driftline if it is installed */
    /* DRIFTLINE_CACHE, or a folder in the home folder; NULL if there is neither */
    const char *cache;
    const char *data;  /* DRIFTLINE_DATA, folders separated by ':'; may be NULL */
    double min_time_s; /* DRIFTLINE_MIN_TIME: of configs without min_time */
    bool offline, no_install;
    bool colour, terminal; /* of stderr */

    /* Limits of a config's Lua. 0: 2e9 instructions, 256 MiB, 60 s of processor time. */
    uint64_t script_instructions;
    size_t script_bytes;
    double script_seconds;
    const volatile int *interrupted; /* not 0 after Ctrl-C; NULL: not watched */
    /* Shows a line to the user while a config loads: progress of a download, output of print().
       NULL: shows nothing. A result other than 0 stops the work with ERR_INTERRUPTED. */
    int (*say)(void *say_to, const char *line);
    void *say_to;
};

#endif
