/* append_text.c - see append_text.h. */
#include "src/core/append_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void append_text(char *text, size_t bytes, const char *separator, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    (void)snprintf(text + used, bytes - used, "%s", used ? separator : "");
    used += strlen(text + used);
    va_start(args, format);
    (void)vsnprintf(text + used, bytes - used, format, args);
    va_end(args);
}
