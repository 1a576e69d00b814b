/* quote.h - text that others chose (labels, tags, titles, messages), written in another language.
 *
 * One function for each language. All of them first make the text plain: a byte that is not UTF-8
 * becomes '?', and so does a character that XML cannot hold; a control character becomes a space.
 * HTML, JSON and the terminal keep newlines and tabs.
 */
#ifndef DRIFTLINE_QUOTE_H
#define DRIFTLINE_QUOTE_H

#include <jansson.h>
#include <stdio.h>

/* A string literal of gnuplot, quotes included. It must be drawn with noenhanced, and never stand
 * where gnuplot expects a format. */
void quote_gnuplot(FILE *, const char *text);
/* One field of a CSV file. */
void quote_csv(FILE *, const char *text);
/* The content of an element or of an attribute in double quotes. */
void quote_html(FILE *, const char *text);
/* Characters that a terminal does not take for commands. */
void quote_terminal(FILE *, const char *text);
/* A new JSON string. json_string() and json_pack() give NULL for what is not UTF-8. */
json_t *quote_json(const char *text);

#endif
