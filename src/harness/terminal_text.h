/* terminal_text.h - text with names that others chose, made to be printed. */
#ifndef DRIFTLINE_TERMINAL_TEXT_H
#define DRIFTLINE_TERMINAL_TEXT_H

#include <stdio.h>

/* What is printed with a config's labels in it: they are not to command the terminal. */
struct terminal_text {
    char *text;
    size_t bytes;
    FILE *out; /* NULL: out of memory */
};
void terminal_begin(struct terminal_text *);
/* To stdout, and releases it. */
void terminal_print(struct terminal_text *);

#endif
