/* quote.h - untrusted text (labels, tags, titles, messages) quoted for an output language.
 *
 * Each language has one function. Every function replaces bytes that are not valid UTF-8 and
 * characters that XML forbids by '?', and control characters by a space. HTML, JSON and terminal
 * output keep newlines and tabs.
 */
#ifndef DRIFTLINE_BASE_QUOTE_H
#define DRIFTLINE_BASE_QUOTE_H

#include <jansson.h>
#include <stdio.h>

/* A gnuplot string literal with its quotes. It must be drawn with `noenhanced` and must not be used
   as a format. */
void quote_gnuplot(FILE *, const char *text);
/* One field of a CSV file, quoted if necessary. */
void quote_csv(FILE *, const char *text);
/* A Lua string literal with its quotes. */
void quote_lua(FILE *, const char *text);
/* The content of an element or of a quoted attribute. */
void quote_html(FILE *, const char *text);
/* Text without terminal control sequences. */
void quote_terminal(FILE *, const char *text);
/* A new JSON string; NULL: out of memory. json_string() and json_pack() reject invalid UTF-8. */
json_t *quote_json(const char *text);

/* A buffer for terminal output that contains untrusted text. */
struct quoted_output {
    char *text;
    size_t bytes;
    FILE *out; /* NULL: out of memory */
};
void quote_terminal_begin(struct quoted_output *);
/* Writes the buffer to stdout with quote_terminal() and frees it. */
void quote_terminal_print(struct quoted_output *);

#endif
