/* table.h - rows of text with aligned columns, and readable numbers. */
#ifndef DRIFTLINE_BASE_TABLE_H
#define DRIFTLINE_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "src/core/mem.h"

struct table {
    char **cells; /* rows x columns, owned; row 0 is the header */
    size_t columns, n, capacity;
    struct mem *mem; /* memory account of the cells; NULL after table_init() */
    bool failed;     /* no memory for a cell */
};

void table_init(struct table *, size_t columns);
/* Begins a table whose header is these names, with | between them. */
void table_begin(struct table *, const char *header);
void table_free(struct table *);
/* Adds the next cell, row by row and from left to right, and copies its text. table_print() reports
   a lack of memory. */
void table_add(struct table *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the table with columns of numbers right-aligned. If a cell is missing for lack of memory,
   prints an error line instead. */
void table_print(const struct table *, FILE *);
/* Prints and frees it. */
void table_end(struct table *, FILE *);
/* The same as a table of Markdown. */
void table_end_markdown(struct table *, FILE *);

/* Formats a number, large ones with three digits and a suffix ("12.3k", "4.56M"); "-" for NAN. */
void table_number(double value, char *text, size_t bytes);
/* Format bytes (as B, KiB, ...) and seconds (as s, ms, us or ns); "-" for NAN. */
void table_bytes(double value, char *text, size_t bytes);
void table_seconds(double value, char *text, size_t bytes);

#endif
