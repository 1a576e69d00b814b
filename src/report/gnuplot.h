/* gnuplot.h - runs gnuplot on one script. */
#ifndef DRIFTLINE_REPORT_GNUPLOT_H
#define DRIFTLINE_REPORT_GNUPLOT_H

#include "src/core/error.h"

/* Runs dir/FILE.gp in dir, without initialisation files and without input. If gnuplot fails, its
   output is in dir/FILE.log. ERR_NOT_FOUND: gnuplot is not installed. ERR_INTERRUPTED:
   *interrupted was set, and gnuplot was ended. `interrupted` may be NULL. */
int gnuplot_run(const char *dir, const char *file, const volatile int *interrupted, struct error *);

#endif
