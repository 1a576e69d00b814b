/* figures.c - see figures.h. */
#include "src/base/figures.h"

#include <string.h>

#define FIGURE(kind, x, y, log_from, traits, help) { #kind, x, y, log_from, traits, help },
const struct figure_kind figure_kinds[FIGURE_KINDS] = {
#include "src/base/figures.def"
};
#undef FIGURE

const struct figure_kind *figure_kind_named(const char *name)
{
    for (size_t i = 0; i < FIGURE_KINDS; i++)
        if (strcmp(figure_kinds[i].name, name) == 0)
            return &figure_kinds[i];
    return NULL;
}
