/* text_cells.h - inside src/data: text cut into lines, a line into cells, a cell read as a
   number. */
#ifndef DRIFTLINE_TEXT_CELLS_H
#define DRIFTLINE_TEXT_CELLS_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
    const char *next, *end;
    size_t number; /* of the last line given, from 1 */
};

struct line {
    const char *at, *end; /* without the line's end */
    size_t number;
};

struct cell {
    const char *at; /* without the blanks around it, or its quotes */
    size_t n;
    bool unclosed; /* a quote without its other one, or with something behind it */
};

struct number {
    float value;  /* may be NaN or infinite */
    char mark;    /* '.' or ',' where it has one, else 0 */
    bool inexact; /* a whole number that a float does not hold */
};

/* The next line, blank ones too; false at the end. */
bool line_next(struct lines *, struct line *);
/* Its first character that is no blank, or its end. */
const char *line_text(const struct line *);

/* Cuts the next cell off the line; false when there is none left. A separator at the end is
   followed by one more, empty cell. ' ' stands for any run of blanks and tabs; with the others a
   cell may stand in double quotes. */
bool cell_next(struct line *rest, char separator, struct cell *);

/* Reads a decimal number, with a decimal comma too if so asked; false if it is something else. */
bool cell_number(struct cell, bool commas, struct number *);
/* Whether it is this text, whatever the case. */
bool cell_is(struct cell, const char *text);

#endif
