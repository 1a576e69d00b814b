/* options.h - what the command line asks of a run. Filled by main.c, read-only after. */
#ifndef DRIFTLINE_OPTIONS_H
#define DRIFTLINE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct override { /* --set key=value; used is set by whoever understood the key */
    char *key, *value;
    bool used;
};

struct run_options {
    struct override *sets;
    size_t n_sets;
    const char **only; /* --only LABEL: cells of these labels; none: all */
    size_t n_only;
    const char **plugins;
    size_t n_plugins;
    size_t repeats, threads; /* 0: as the config says */
    bool has_seed;
    uint64_t seed;
    const char *out;       /* results folder; NULL: ROOT/results */
    double timeout_s;      /* a cell's; 0: as the config says */
    uint64_t memory_limit; /* bytes a cell may hold; 0: as the config says */
    bool quick, resume, force, no_plots, quiet;

    /* from the environment, read once by main.c */
    const char *root;  /* the checkout: configs/ datasets/ plots/ results/ are under it */
    const char *cache; /* DRIFTLINE_CACHE, or in the home folder; NULL where there is none */
    const char *data;  /* DRIFTLINE_DATA, folders separated by ':'; may be NULL */
    bool offline, no_install;
    bool colour, terminal; /* of stderr */

    /* Bounds of a config's Lua; 0: 2e9 instructions, 256 MiB, 60 s of processor time. */
    uint64_t script_instructions;
    size_t script_bytes;
    double script_seconds;
    const volatile int *interrupted; /* not 0 once Ctrl-C was pressed; NULL: never */
    /* A line for the user while a config loads: a download's progress, what print() says. NULL: nobody listens.
       Not 0 stops what goes on with ERR_INTERRUPTED. */
    int (*say)(void *say_to, const char *line);
    void *say_to;
};

#endif
