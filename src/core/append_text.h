/* append_text.h - lists as text, item by item. */
#ifndef DRIFTLINE_APPEND_TEXT_H
#define DRIFTLINE_APPEND_TEXT_H

#include <stddef.h>

/* Prints at the end of the text in a buffer of so many bytes, after the separator if there is text
   before. What does not fit is left out. */
void append_text(char *text, size_t bytes, const char *separator, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
