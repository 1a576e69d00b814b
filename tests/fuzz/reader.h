/* reader.h - shared by the fuzz targets of src/data: opens the bytes under a name
 * and reads every row. */
#ifndef DRIFTLINE_FUZZ_READER_H
#define DRIFTLINE_FUZZ_READER_H

#include <stdio.h>
#include <stdlib.h>

#include "src/data/files/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static inline void fuzz_expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static inline void fuzz_open(const char *name, const uint8_t *data, size_t bytes)
{
    struct file_options options = { .limit_bytes = 1 << 20 };
    struct source *s = NULL;
    struct error err = { 0 };
    int rc = file_open_block(name, data, bytes, &options, &s, &err);
    fuzz_expect((rc == OK) == (s != NULL), "a source with an error, or neither");
    fuzz_expect(rc == err.code && (rc == OK || err.text[0]), "an error without a sentence");
    if (rc)
        return;
    size_t row_bytes = source_row_bytes(s);
    fuzz_expect(s->n >= 1 && s->dim >= 1 && row_bytes >= 1, "an open source without rows");
    /* B bytes of text have at most B / 2 + 1 numbers; in all other formats the size is stated. */
    fuzz_expect(row_bytes <= 8 * ((size_t)1 << 21) && s->n <= (size_t)1 << 21,
                "more rows than bytes");
    char *row = malloc(row_bytes);
    fuzz_expect(row != NULL, "out of memory");
    for (size_t i = 0; i < s->n; i++)
        fuzz_expect(source_read(s, i, 1, row, &err) == OK, "a row that was checked cannot be read");
    fuzz_expect(source_read(s, s->n, 1, row, &err) == ERR_ARGUMENT, "a row past the end");
    free(row);
    source_close(s);
}

#endif
