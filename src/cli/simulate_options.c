/* simulate_options.c - the values of the options of `simulate`. */
#include "src/cli/simulate_options.h"

#include <stdlib.h>

#include "src/cli/support/values.h"

/* "8,64,512": ascending or not, all from 1 to most. */
static int take_list(const char *text, double most, struct simulate_list *list)
{
    char *end;
    for (list->n = 0; list->n < SIMULATE_LIST; text = end + 1) {
        const double value = strtod(text, &end);
        if (end == text || !(value >= 1 && value <= most) || (*end && *end != ','))
            return -1;
        list->at[list->n++] = value;
        if (!*end)
            return 0;
    }
    return -1;
}

int options_take_shards(struct app *app, const char *text)
{
    return take_list(text, SIMULATE_SHARDS_MOST, &app->simulate.shards);
}

int options_take_vectors(struct app *app, const char *text)
{
    return take_list(text, 1e15, &app->simulate.vectors);
}
