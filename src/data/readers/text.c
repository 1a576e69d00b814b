/* text.c - numbers as text: CSV, TSV, plain columns, and word vectors ("the 0.1 -0.2 ...").
 *
 * text_shape.c finds the separator, the header and the id column in the first lines; all later
 * lines must agree. No column or line is left out by a guess: if one could be an id, a label or a
 * header and no option decides it, that is an error. Checks that need all rows are here.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/data/readers/formats.h"
#include "src/data/readers/text_cells.h"
#include "src/data/readers/text_shape.h"

/* Fewer rows may count up by chance. */
enum { COUNTING_ROWS = 3 };

struct text {
    const char *name;
    const struct file_options *options;
    struct text_lines lines;
    struct text_shape shape;
    bool wide;    /* values are F64, else F32 */
    void *values; /* of n rows */
    size_t n, dim, used, capacity;
    char mark; /* decimal mark of the first number that has one */
    size_t mark_line;
    size_t blank_line;    /* the last blank line since the last row, or 0 */
    size_t number_ids;    /* rows whose id is a number */
    size_t counting_rows; /* rows, from the first on, that begin with 0, 1, 2 ... or 1, 2, 3 ... */
    struct text_cell first_id;
};

/* Some editors write a byte order mark, which states the encoding. */
static int skip_byte_order_mark(struct text *t, struct error *err)
{
    const size_t n = (size_t)(t->lines.end - t->lines.next);
    if (n >= 3 && !memcmp(t->lines.next, "\xef\xbb\xbf", 3))
        t->lines.next += 3;
    else if (n >= 2 &&
             (!memcmp(t->lines.next, "\xff\xfe", 2) || !memcmp(t->lines.next, "\xfe\xff", 2)))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: line 1, column 1: the text is UTF-16; save it as UTF-8", t->name);
    return OK;
}

static size_t value_bytes(const struct text *t)
{
    return t->wide ? sizeof(double) : sizeof(float);
}

static double value_at(const struct text *t, size_t i)
{
    return t->wide ? ((const double *)t->values)[i] : (double)((const float *)t->values)[i];
}

static void put_value(struct text *t, size_t i, double value)
{
    if (t->wide)
        ((double *)t->values)[i] = value;
    else
        ((float *)t->values)[i] = (float)value;
}

/* Checks that the number fits the element and has the decimal mark of the file. */
static int check_number(struct text *t, const struct text_number *number, size_t line,
                        size_t column, struct error *err)
{
    if (!isfinite(number->value) && !(isnan(number->value) && t->options->numbers))
        return fail(err, ERR_NOT_FINITE,
                    "%s: line %zu (row %zu, column %zu) is %s; every value must be finite", t->name,
                    line, t->n + 1, column, isnan(number->value) ? "NaN" : "infinite");
    if (number->inexact && t->wide)
        return fail(err, ERR_DIMENSION,
                    "%s: line %zu, column %zu: a whole number that f64 does not hold; give such "
                    "numbers as i64, in npy, HDF5 or a raw file NAME.i64",
                    t->name, line, column);
    if (number->inexact)
        return fail(err, ERR_DIMENSION,
                    "%s: line %zu, column %zu: a whole number that f32 does not hold, as only ids "
                    "have; set id = %zu if it is one, else write it with a point",
                    t->name, line, column, column);
    if (number->mark && t->mark && number->mark != t->mark)
        return fail(err, ERR_CORRUPT,
                    "%s: line %zu, column %zu: a decimal %s, but line %zu has a decimal %s",
                    t->name, line, column, number->mark == ',' ? "comma" : "point", t->mark_line,
                    t->mark == ',' ? "comma" : "point");
    if (number->mark && !t->mark) {
        t->mark = number->mark;
        t->mark_line = line;
    }
    return OK;
}

static void note_id(struct text *t, struct text_cell cell)
{
    struct text_number number;
    if (!t->n)
        t->first_id = cell;
    t->number_ids += text_cell_number(cell, text_shape_commas(&t->shape), false, &number);
}

static int parse_row(struct text *t, struct text_line line, struct error *err)
{
    const size_t id = t->shape.id, number_of_line = line.number;
    const bool commas = text_shape_commas(&t->shape);
    struct text_cell cell;
    size_t column = 0;
    while (text_cell_next(&line, t->shape.separator, &cell)) {
        struct text_number number;
        int rc = OK;
        if (++column > t->shape.columns)
            continue;
        if (column == id && !cell.unclosed && (cell.n || !t->shape.id_is_word)) {
            note_id(t, cell);
            continue;
        }
        if (!text_cell_number(cell, commas, t->wide, &number))
            return text_shape_no_number(t->name, number_of_line, column, cell, err);
        rc = check_number(t, &number, number_of_line, column, err);
        if (rc)
            return rc;
        put_value(t, t->used + column - 1 - (id && column > id), number.value);
    }
    if (column != t->shape.columns)
        return fail(err, ERR_CORRUPT, "%s: line %zu has %zu columns, the rows before it have %zu",
                    t->name, number_of_line, column, t->shape.columns);
    const double first = value_at(t, 0);
    if (t->counting_rows == t->n && (first == 0 || first == 1) &&
        value_at(t, t->used) == first + (double)t->n)
        t->counting_rows++;
    t->used += t->dim;
    t->n++;
    return OK;
}

/* Whether the line is blank or a # comment. With tabs, blanks can be empty cells; after the first
   row of a file with ids, # can begin a word. */
static bool is_remark(struct text *t, const struct text_line *line)
{
    const char *p = text_line_start(line);
    if (p == line->end && (t->shape.separator != '\t' || p == line->at)) {
        t->blank_line = line->number;
        return true;
    }
    return p < line->end && *p == '#' && !t->shape.id;
}

static int parse_rows(struct text *t, struct error *err)
{
    struct text_line line = t->shape.first;
    do {
        if (t->n && is_remark(t, &line))
            continue;
        if (t->blank_line && t->shape.columns == 1)
            return text_shape_no_number(t->name, t->blank_line, 1, (struct text_cell){ .n = 0 },
                                        err);
        t->blank_line = 0;
        if (!mem_grow(NULL, &t->values, &t->capacity, t->used + t->dim, value_bytes(t)))
            return fail(err, ERR_NO_MEMORY, "%s: row %zu: out of memory", t->name, t->n + 1);
        const int rc = parse_row(t, line, err);
        if (rc)
            return rc;
    } while (text_line_next(&t->lines, &line));
    return OK;
}

/* Checks that need all rows. */
static int check_whole(const struct text *t, struct error *err)
{
    const struct text_shape *shape = &t->shape;
    const size_t line = shape->first.number;
    const int shown = (int)(t->first_id.n < 40 ? t->first_id.n : 40);
    if (shape->promised_rows && shape->promised_rows != t->n)
        return fail(err, ERR_CORRUPT, "%s: the first line says %zu rows, the file has %zu", t->name,
                    shape->promised_rows, t->n);
    if (shape->promised_rows)
        return OK;
    if (shape->id_is_word && t->n > 1 && 2 * t->number_ids >= t->n)
        return fail(err, ERR_ARGUMENT,
                    "%s: line %zu, column 1: \"%.*s\" is not a number, but %zu of %zu rows have "
                    "one there; set id = 1 if the column is an id or label, header = true if the "
                    "line is a header (convert: --id 1, --header yes)",
                    t->name, line, shown, t->first_id.at ? t->first_id.at : "", t->number_ids,
                    t->n);
    /* The first of the nearest ids may count: rows that were searched for themselves. */
    if (!t->options->id_column && !t->options->numbers && !shape->id && t->dim > 1 &&
        t->n >= COUNTING_ROWS && t->counting_rows == t->n)
        return fail(err, ERR_ARGUMENT,
                    "%s: column 1 counts the rows (%g, %g, %g ...), as an id does; set id = 1 if "
                    "it is one, or id = 0 if it is a component (convert: --id 1 or 0)",
                    t->name, value_at(t, 0), value_at(t, t->dim), value_at(t, 2 * t->dim));
    if (!t->options->header && shape->separator == ' ' && t->dim == 2 && t->n > 2 &&
        value_at(t, 0) == (double)(t->n - 1) && value_at(t, 1) == 2)
        return fail(err, ERR_ARGUMENT,
                    "%s: line %zu may be a row, or word2vec's header of %zu rows of 2 columns; set "
                    "header = true or false (convert: --header yes or no)",
                    t->name, line, t->n - 1);
    return OK;
}

int reader_text(const struct bytes *b, const struct file_options *options, struct row_layout *l,
                struct error *err)
{
    const char *at = (const char *)b->at;
    struct text t = { .name = b->name,
                      .options = options,
                      .wide = layout_is_wide(options),
                      .lines = { at, at + b->size, 0 } };
    int rc = skip_byte_order_mark(&t, err);
    if (!rc)
        rc = text_shape_find(t.name, options, &t.lines, &t.shape, l, err);
    t.dim = l->dim;
    if (!rc)
        rc = parse_rows(&t, err);
    if (!rc)
        rc = check_whole(&t, err);
    if (rc) {
        mem_free(NULL, t.values);
        return rc;
    }
    l->n = t.n;
    l->stored = t.wide ? ELEMENT_F64 : INDEX_F32;
    l->stride_bytes = l->dim * value_bytes(&t);
    l->owned = t.values;
    return OK;
}
