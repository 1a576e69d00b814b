/* text_cells.h - splits text into lines and cells, and parses numbers.
 * For src/data/readers only. */
#ifndef DRIFTLINE_DATA_READERS_TEXT_CELLS_H
#define DRIFTLINE_DATA_READERS_TEXT_CELLS_H

#include <stdbool.h>
#include <stddef.h>

struct text_lines {
    const char *next, *end;
    size_t number; /* of the last line returned, from 1 */
};

struct text_line {
    const char *at, *end; /* without the newline */
    size_t number;
};

struct text_cell {
    const char *at; /* without blanks around it, and without its quotes */
    size_t n;
    bool unclosed; /* a closing quote is missing or followed by more characters */
};

struct text_number {
    double value; /* of a float unless wide; may be NaN or infinite */
    char mark;    /* decimal mark '.' or ',', or 0 */
    bool inexact; /* a whole number that value does not hold */
};

/* The next line, also a blank one; false at the end. */
bool text_line_next(struct text_lines *, struct text_line *);
/* The first character of the line that is not a blank, or the end of the line. */
const char *text_line_start(const struct text_line *);

/* Takes the next cell off the line; false if there is none. A separator at the end of a line is
   followed by one more, empty cell. ' ' stands for any run of blanks and tabs; with another
   separator a cell may be in double quotes. */
bool text_cell_next(struct text_line *rest, char separator, struct text_cell *);

/* Parses a decimal number to a float, or with wide to a double; commas: also one with a decimal
   comma. false if the cell is not a number. */
bool text_cell_number(struct text_cell, bool commas, bool wide, struct text_number *);
/* Whether the cell is this string, ignoring case. */
bool text_cell_is(struct text_cell, const char *text);

#endif
