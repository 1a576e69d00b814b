/* series.h - the place of each step in its series: the steps of one operation and tag. */
#ifndef DRIFTLINE_RESULT_SERIES_H
#define DRIFTLINE_RESULT_SERIES_H

#include <jansson.h>
#include <stddef.h>

struct place_in_series {
    size_t number, of; /* position from 1, and length of the series */
};

/* Returns one place per step, in order, in linear time. The caller frees the array with free().
   NULL: out of memory. */
struct place_in_series *series_places(const json_t *steps);

/* Returns the step's tag, or its operation's name if it has no tag. The step owns the text. */
const char *series_step_tag(const json_t *step);

#endif
