/* gnuplot.h - runs gnuplot on one script, and what its PNG and PDF can draw. */
#ifndef DRIFTLINE_FIGURE_GNUPLOT_H
#define DRIFTLINE_FIGURE_GNUPLOT_H

#include <jansson.h>

#include "src/core/error.h"

/* Runs dir/FILE.gp in dir, without initialisation files and without input. If gnuplot fails, its
   output is in dir/FILE.log. ERR_NOT_FOUND: gnuplot is not installed. ERR_INTERRUPTED:
   *interrupted was set, and gnuplot was ended. `interrupted` may be NULL. */
int gnuplot_run(const char *dir, const char *file, const volatile int *interrupted, struct error *);

/* The text with a box for each letter that no font has, of which gnuplot's PNG and PDF would draw the
   code over the whole figure; the caller frees it, NULL: out of memory. letters: an object, each
   letter beyond ASCII that was looked for -> whether a font has it; NULL: nothing is replaced. */
char *gnuplot_drawable(const char *text, json_t *letters);

#endif
