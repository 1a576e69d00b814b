/* series.c - see series.h. */
#include "src/result/series.h"

#include <stdio.h>
#include <stdlib.h>

#include "src/base/json.h"

const char *series_step_tag(const json_t *step)
{
    return field_text(step, "tag", field_text(step, "op", ""));
}

/* Writes a key that is equal for all steps of one series. */
static void series_key(const json_t *step, char *key, size_t bytes)
{
    snprintf(key, bytes, "%s\n%s", field_text(step, "op", ""), series_step_tag(step));
}

struct place_in_series *series_places(const json_t *steps)
{
    const size_t n = json_array_size(steps);
    struct place_in_series *places = malloc((n ? n : 1) * sizeof *places);
    json_t *counts = json_object();
    char key[300];
    for (size_t i = 0; places && i < n; i++) {
        series_key(json_array_get(steps, i), key, sizeof key);
        places[i].number = (size_t)json_integer_value(json_object_get(counts, key)) + 1;
        json_object_set_new(counts, key, json_integer((json_int_t)places[i].number));
    }
    for (size_t i = 0; places && i < n; i++) {
        series_key(json_array_get(steps, i), key, sizeof key);
        places[i].of = (size_t)json_integer_value(json_object_get(counts, key));
    }
    json_decref(counts);
    return places;
}
