/* series.h - steps of one operation and tag form a series; which of it a step is. */
#ifndef DRIFTLINE_SERIES_H
#define DRIFTLINE_SERIES_H

#include <jansson.h>
#include <stddef.h>

struct place_in_series {
    size_t number, of; /* the number-th, from 1, of so many */
};

/* One for each step, in order; NULL out of memory. The caller frees. One pass: runbooks have thousands of steps. */
struct place_in_series *series_places(const json_t *steps);

/* The tag a step goes by: its own, or its operation's name. Borrowed. */
const char *step_tag(const json_t *step);

#endif
