/* table.h - rows of text with aligned columns, for everything the program prints to people. */
#ifndef DRIFTLINE_TABLE_H
#define DRIFTLINE_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table {
    char **cells; /* rows x columns, owned; row 0 is the header */
    size_t columns, n, capacity;
};

void table_init(struct table *, size_t columns);
void table_free(struct table *);
/* Adds the next cell, left to right, row after row; text is copied. Out of memory ends the program:
 * command line only. */
void table_add(struct table *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Columns that hold only numbers are right-aligned. */
void table_print(const struct table *, FILE *);

/* A number as people read it: four significant digits, "12.3k", "4.56M"; "-" for NAN. */
void number_text(double value, char *text, size_t bytes);
/* Bytes, seconds (as s, ms, us, ns). */
void bytes_text(double value, char *text, size_t bytes);
void seconds_text(double value, char *text, size_t bytes);

#endif
