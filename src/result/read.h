/* read.h - a result as arrays: its cells, their steps, and the first cell of each name. */
#ifndef DRIFTLINE_RESULT_READ_H
#define DRIFTLINE_RESULT_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/core/error.h"
#include "src/result/summary.h"
#include "src/workload/op.h"

struct result_step {
    const json_t *json;
    enum op_kind op;   /* OP_KINDS: an operation of another version */
    const char *tag;   /* the operation's name if it has none */
    size_t number, of; /* in the series of its operation and tag: place from 1, length */
    bool ok;
};

/* Equal names are one string, and so are equal builds. */
struct result_cell {
    const json_t *json;
    const char *label, *point, *name; /* name: LABEL[point], or LABEL if the cell has no point */
    const char *build;                /* the name without the point's search knobs */
    const char *method, *status;
    size_t repeat;
    bool ok, is_first_of_name, is_first_of_build;
    struct result_step *steps;
    size_t n;
};

/* The strings are those of the JSON, or belong to the struct. */
struct result {
    json_t *json;
    const char *name, *title; /* of the experiment; the title is the name if it has none */
    size_t k;
    double dim; /* of the first data set; NAN: not known */
    /* As in the JSON: the points of a process are beside each other. cells[n] is empty. */
    struct result_cell *cells;
    size_t n;
    /* The first cell of each name, in the config's order of methods, and those of them that are the
       first of their build. */
    const struct result_cell **variants, **builds;
    size_t n_variants, n_builds;
    bool is_tuned; /* searches chose their settings by tuning queries, as in a leaderboard */
    struct summary summary;
    void *names, *build_names; /* trees of texts, for tsearch() */
};

/* Reads a result or the file of a cell, which need not have all parts, and holds a reference to it.
   The caller calls result_close(), also after ERR_NO_MEMORY. */
int result_open(struct result *, json_t *, struct error *);
void result_close(struct result *);

/* Whether cell number i is of the process of the cell before it, at the next point of its sweep: they
   ended alike, with the same error and warnings. */
bool result_is_next_point(const struct result *, size_t i);
/* The step of operation number `op` of the workload, from 0; NULL: it has none. */
const struct result_step *result_step_of(const struct result_cell *, size_t op);
/* The last step of a cell with this operation that was measured; NULL: none. */
const struct result_step *result_last_step(const struct result_cell *, enum op_kind);

#endif
