/* source.h - rows of data, wherever they come from: a mapped file, an HDF5 dataset, a generator.
 *
 *   1 the type   2 reading   3 elements   4 for those who make sources
 *
 * Rows are numbered from 0 in calls and from 1 in messages, as users count them. A source never
 * changes once it is open, and any number of threads may read it at once.
 */
#ifndef DRIFTLINE_SOURCE_H
#define DRIFTLINE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"
#include "src/core/index.h" /* enum element */

/* 1. The type */

/* What files may hold beside the three elements that methods know: ids, labels and times keep their
   integers. Macros of enum element's type, because the contract's enum is closed. */
#define ELEMENT_I8  ((enum element)16)
#define ELEMENT_I16 ((enum element)17)
#define ELEMENT_I32 ((enum element)18)
#define ELEMENT_I64 ((enum element)19)
#define ELEMENT_F16 ((enum element)20)
#define ELEMENT_F64 ((enum element)21)

#define SOURCE_NAME_BYTES 256

struct source {
    size_t n, dim;        /* both >= 1; for B64, dim is in bits and 64 */
    enum element element; /* F32 U8 B64, or I8 I32 I64 where a file holds those */
    const void *rows; /* all rows, contiguous, where they lie in memory or are mapped; else NULL */
    uint64_t
        hash; /* of element, shape and every byte; of kind, parameters and seed for a generator */
    char name[SOURCE_NAME_BYTES]; /* for messages: a file's last name, a generator's kind */
    char metric[16];              /* what the file says of itself ("euclidean", "angular"), or "" */
    char
        note[160]; /* what the reader decided on its own, as "line 1 is a header, skipped", or "" */

    int (*read)(const struct source *, size_t first, size_t n, void *out, struct error *);
    void (*close)(struct source *); /* frees state; source_close() calls it */
    void *state;
};

/* 2. Reading */

/* Rows first .. first + n - 1 to out (n * source_row_bytes() bytes, any alignment).
   ERR_ARGUMENT past the end; ERR_IO, ERR_CORRUPT from a file. */
int source_read(const struct source *, size_t first, size_t n, void *out, struct error *);

/* The same, widened to float from F32, U8 and I8; ERR_DIMENSION for other elements. out: n * dim
 * floats. */
int source_read_f32(const struct source *, size_t first, size_t n, float *out, struct error *);

/* Closes and frees; NULL is allowed. */
void source_close(struct source *);

/* Bytes of one row; 0 for NULL. */
size_t source_row_bytes(const struct source *);

/* 3. Elements */

/* Bytes of dim components; 0 when the product overflows or the element is unknown. B64 counts bits.
 */
size_t data_row_bytes(enum element, size_t dim);
/* "f32" "u8" "b64" "i8" "i16" "i32" "i64" "f16" "f64". */
const char *data_element_name(enum element);
/* The reverse; false for an unknown name. */
bool data_element_named(const char *name, enum element *);

/* count values of one element as another. Integers must fit and fractions are refused, except that
   F64 rounds to F32 (and must be within its range); NaN and infinity pass between floats. U8 and
   B64 are the same bytes, eight to a code; count is in components of `from`, bits for B64. Returns
   count, or the position of the first value that does not fit. */
size_t data_convert_elements(enum element from, const void *in, enum element to, void *out,
                             size_t count);

/* 4. For those who make sources */

/* An empty source with its name set, or NULL with err filled. */
struct source *source_new(const char *name, struct error *);

/* Reads every row once: sets hash, and refuses NaN and infinity by row and column (ERR_NOT_FINITE).
 */
int source_scan(struct source *, struct error *);

#endif
