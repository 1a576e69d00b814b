/* older_result.h - a finished result is kept while another run writes into its folder, and beside that
 * run's result where it is smaller or does not finish.
 *
 * It goes to DIR/older/DATE: result.json, the cells with their per-query data, figures and report, so
 * that plot, report and compare take that folder as they take any.
 */
#ifndef DRIFTLINE_OLDER_RESULT_H
#define DRIFTLINE_OLDER_RESULT_H

#include <jansson.h>
#include <stdbool.h>

#include "core/error.h"

struct older_result {
    char *path;        /* where it was kept; NULL: there was none */
    char smaller[200]; /* what the new run has less of: "--quick, 3 of its 12 cells"; "": nothing */
};

/* Keeps what is finished in dir, before the new run, whose `run` object of result.json is given,
   changes anything there. What is in dir stays until the run replaces it, so that a run killed at
   any time leaves the finished result in one place at least. ERR_IO (a full disk): nothing has
   changed. */
int older_result_keep(struct older_result *, const char *dir, const json_t *run, struct error *);
/* Right before the run first writes its own result: figures lose their name in dir, since gnuplot would
   write into the file that has a name in both folders. */
void older_result_replace(const struct older_result *, const char *dir);
/* After the run: removes what was kept if the new result takes its place, or if the run never wrote one. */
void older_result_settle(struct older_result *, bool replaced);
void older_result_free(struct older_result *);

#endif
