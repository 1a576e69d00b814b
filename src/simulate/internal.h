/* internal.h - what costs and answers share; private to this folder. */
#ifndef DRIFTLINE_SIMULATE_INTERNAL_H
#define DRIFTLINE_SIMULATE_INTERNAL_H

#include "src/simulate/simulate.h"

enum { SIMULATE_RUNS_MOST = 256 }; /* whose values are kept for a median */

/* The machine that measured, and what a run asked of it. */
struct simulate_machine simulate_machine_of(const struct simulate *);
struct simulate_question simulate_question_of(const struct simulate_run *);

#endif
