/* broken.c - the error of check(). */
#include <stdarg.h>
#include <stdio.h>

#include "algorithms/channi/check/check.h"

int channi_check_broken(const struct channi_checking *c, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(c->s->base.env.error, ERR_INVARIANT, "channi: %s", text);
}
