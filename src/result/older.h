/* older.h - keeps a finished result while another run writes into its folder.
 *
 * The old result stays beside the new one if the new run is smaller, measures other things or does
 * not finish. The folder DIR/older/DATE holds its result.json, cells with per-query data, figures and
 * report, so `plot`, `report` and `compare` accept it as any results folder.
 */
#ifndef DRIFTLINE_RESULT_OLDER_H
#define DRIFTLINE_RESULT_OLDER_H

#include <jansson.h>
#include <stdbool.h>

#include "src/core/error.h"

struct older_result {
    char *path; /* folder of the kept result; NULL: none */
    /* Why it stays when the run has finished: "this run is smaller (--quick, 3 of its 12 cells)"; "": it
       does not. */
    char why[240];
};

/* Keeps the finished result of `dir` before the new run changes any file there. `run` is the new
   run's object of result.json; other: whether it measures other things (result_measures_other()).
   The files in `dir` stay until the run replaces them, so a run killed at any time leaves the
   finished result in at least one place. ERR_IO, such as a full disk: the result in `dir` is
   unchanged. */
int older_result_keep(struct older_result *, const char *dir, const json_t *run, bool other,
                      struct error *);
/* Unlinks the figures and the report in `dir`; called right before the run first writes its result.
   gnuplot would otherwise overwrite a figure that is hard-linked in both folders. */
void older_result_replace(const struct older_result *, const char *dir);
/* Called after the run. Removes the kept result if `replaced` is true: the new result takes its
   place, or the run wrote no result. */
void older_result_settle(struct older_result *, bool replaced);
void older_result_free(struct older_result *);

#endif
