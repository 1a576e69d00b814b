/* answer.h - the end of a run that compares several settings and claims nothing: which one to take. */
#ifndef DRIFTLINE_REPORT_ANSWER_H
#define DRIFTLINE_REPORT_ANSWER_H

#include <jansson.h>
#include <stdio.h>

struct summary_index;

/* Prints, of the last search, the fastest point whose recall is at least .95 by the low end of its
 * interval in every repeat, what it costs, and the command that makes sure. Where none is, the one
 * with the highest recall. Nothing if the config has claims, or fewer than two points were searched. */
void report_answer(const json_t *result, const struct summary_index *, FILE *out);

#endif
