/* gnuplot.h - runs gnuplot on one script. */
#ifndef DRIFTLINE_GNUPLOT_H
#define DRIFTLINE_GNUPLOT_H

#include "core/error.h"

/* Runs dir/FILE.gp in dir, without initialisation files and without input. Where gnuplot fails,
   what it printed goes to dir/FILE.log. ERR_NOT_FOUND: there is no gnuplot; ERR_INTERRUPTED:
   *interrupted (may be NULL) was set, and gnuplot is ended. */
int gnuplot_run(const char *dir, const char *file, const volatile int *interrupted, struct error *);

#endif
