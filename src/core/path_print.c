/* path_print.c - see path_print.h. */
#include "src/core/path_print.h"

#include <stdarg.h>
#include <stdio.h>

int path_print(char path[PATH_MAX], struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(path, PATH_MAX, format, args);
    va_end(args);
    return n >= 0 && n < PATH_MAX ? OK
                                  : fail(err, ERR_ARGUMENT, "the path %.200s... is too long", path);
}
