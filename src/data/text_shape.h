/* text_shape.h - inside src/data: what a text's first lines say of its columns. */
#ifndef DRIFTLINE_TEXT_SHAPE_H
#define DRIFTLINE_TEXT_SHAPE_H

#include "formats.h"
#include "text_cells.h"

struct text_shape {
    char separator;       /* ' ' stands for any run of blanks and tabs */
    size_t columns;       /* cells a line */
    size_t id;            /* the column, from 1, that is no component; 0: there is none */
    bool id_is_word;      /* nobody said so, but its first cell is no number */
    size_t promised_rows; /* by word2vec's header, or 0 */
    struct line first;    /* row */
};

/* Reads up to the first row, which is in shape->first. Fills layout->dim and note. ERR_CORRUPT,
   ERR_ARGUMENT. */
int text_shape_find(const char *name, const struct file_options *, struct lines *,
                    struct text_shape *, struct layout *, struct error *);

/* Decimal commas are read where no comma separates and blanks do not. */
static inline bool text_shape_commas(const struct text_shape *shape)
{
    return shape->separator == ';' || shape->separator == '\t';
}

/* The error of a cell that must be a number and is none. */
int text_shape_no_number(const char *name, size_t line, size_t column, struct cell, struct error *);

#endif
