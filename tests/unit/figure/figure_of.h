/* figure_of.h - a figure of a result, from the texts of both. */
#ifndef DRIFTLINE_TESTS_UNIT_FIGURE_FIGURE_OF_H
#define DRIFTLINE_TESTS_UNIT_FIGURE_FIGURE_OF_H

#include <jansson.h>

#include "src/figure/plot.h"
#include "tests/support/results.h"

/* JSON with ' for ". New reference. */
static inline json_t *json_of(const char *text)
{
    char *json = strdup(text);
    for (char *at = json; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    free(json);
    return value;
}

/* Takes the reference of the result. */
static inline struct figure figure_of(json_t *result_json, const char *spec_text)
{
    struct result result = result_taken(result_json);
    json_t *spec = json_of(spec_text);
    struct figure f;
    struct error error = { 0 };
    assert_ok(figure_gather(&f, &result, spec, &error), &error);
    json_decref(spec);
    result_close(&result);
    return f;
}

#endif
