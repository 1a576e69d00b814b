/* text_shape.h - the columns of a text file, from its first lines. For src/data/readers only. */
#ifndef DRIFTLINE_DATA_READERS_TEXT_SHAPE_H
#define DRIFTLINE_DATA_READERS_TEXT_SHAPE_H

#include "src/data/readers/formats.h"
#include "src/data/readers/text_cells.h"

struct text_shape {
    char separator;         /* ' ' stands for any run of blanks and tabs */
    size_t columns;         /* cells per line */
    size_t id;              /* the column, from 1, that is left out; 0: none */
    bool id_is_word;        /* the id column was found by its first cell, which is not a number */
    size_t promised_rows;   /* stated by a word2vec header, or 0 */
    struct text_line first; /* the first row */
};

/* Reads up to the first row. Fills shape, layout->dim and layout->note. ERR_CORRUPT; ERR_ARGUMENT
   if an option must decide. */
int text_shape_find(const char *name, const struct file_options *, struct text_lines *,
                    struct text_shape *, struct row_layout *, struct error *);

/* Whether numbers may have decimal commas: if columns are separated by semicolons or tabs. */
static inline bool text_shape_commas(const struct text_shape *shape)
{
    return shape->separator == ';' || shape->separator == '\t';
}

/* The error for a cell that must be a number. Returns ERR_CORRUPT. */
int text_shape_no_number(const char *name, size_t line, size_t column, struct text_cell,
                         struct error *);

#endif
