/* source.h - rows of data from a mapped file, an HDF5 dataset or a generator.
 *
 * 1 the type   2 reading   3 elements   4 making sources
 *
 * Rows are numbered from 0 in calls and from 1 in messages. A source never changes once it is open,
 * and any number of threads may read it at once.
 */
#ifndef DRIFTLINE_DATA_SOURCE_SOURCE_H
#define DRIFTLINE_DATA_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"
#include "src/core/index.h"       /* enum element */
#include "src/core/ranks/ranks.h" /* struct row_origin */

/* 1. The type */

/* Elements that files may hold besides the three that methods take, for ids, labels and times. They
   are macros because index.h, the contract with methods, defines a closed enum. */
#define ELEMENT_I8  ((enum element)16)
#define ELEMENT_I16 ((enum element)17)
#define ELEMENT_I32 ((enum element)18)
#define ELEMENT_I64 ((enum element)19)
#define ELEMENT_F16 ((enum element)20)
#define ELEMENT_F64 ((enum element)21)
#define ELEMENT_U16 ((enum element)22) /* in files only, as I16 and F16 are */
#define ELEMENT_U32 ((enum element)23)
#define ELEMENT_U64 ((enum element)24)

#define SOURCE_NAME_BYTES 256

struct source {
    size_t n, dim;        /* both >= 1; dim is in bits, a multiple of 64, for B64 */
    enum element element; /* F32, U8, B64, or I8, I32, I64, F64 if the file holds those */
    const void *rows;     /* all rows, contiguous, if they are in memory or mapped; else NULL */
    /* of element, shape and all bytes; for a generator, of kind, parameters and seed */
    uint64_t hash;
    char name[SOURCE_NAME_BYTES]; /* for messages: a file's last name, a generator's kind */
    bool numbers;                 /* times, labels or ids: NaN stands for no value */
    char metric[16];              /* metric that the file states ("euclidean", "angular"), or "" */
    /* what the reader decided on its own, such as "line 1 is a header, skipped", or "" */
    char note[160];
    /* bit i: row i is all zeros; NULL: no row of floats or bytes is. source_scan() sets it */
    uint64_t *zero_rows;
    /* the file that has the rows as they are in memory, row 0 first; NULL: none */
    const struct row_origin *origin;

    int (*read)(const struct source *, size_t first, size_t n, void *out, struct error *);
    void (*close)(struct source *); /* frees state; source_close() calls it */
    void *state;
};

/* 2. Reading */

/* Reads rows first .. first + n - 1 into out: n * source_row_bytes() bytes, any alignment.
   ERR_ARGUMENT past the end; ERR_IO, ERR_CORRUPT from a file. */
int source_read(const struct source *, size_t first, size_t n, void *out, struct error *);

/* As source_read(), converting F32, U8 or I8 to n * dim floats; ERR_DIMENSION
 * for other elements. */
int source_read_f32(const struct source *, size_t first, size_t n, float *out, struct error *);

/* The number of a row of one column: an integer as it is, a real as index_attribute_of_real()
   orders it, so that NaN is INDEX_ATTRIBUTE_NONE. ERR_DIMENSION: more columns, or a code. */
int source_read_number(const struct source *, size_t row, int64_t *out, struct error *);

/* Closes and frees a source; NULL is ignored. */
void source_close(struct source *);

/* Bytes of one row; 0 for NULL. */
size_t source_row_bytes(const struct source *);

/* 3. Elements */

/* Bytes of dim components, bits for B64; 0 if the product overflows or the element is unknown. */
size_t data_row_bytes(enum element, size_t dim);
/* The name: "f32" "u8" "b64" "i8" "i16" "i32" "i64" "f16" "f64" "u16" "u32" "u64". */
const char *data_element_name(enum element);
/* The element of that name; false if there is none. */
bool data_element_named(const char *name, enum element *);

/* The numbers that files may hold: all elements but codes. */
struct data_element {
    enum element element;
    const char *name;
    size_t bytes;     /* of one component */
    const char *npy;  /* its type in npy files, without the order of bytes */
    uint8_t idx;      /* its type in idx files; 0: it has none */
    bool integer;     /* its values are integers */
    bool stored_only; /* no source has it: its values become those of another element */
};
enum { DATA_ELEMENTS = 11 };
extern const struct data_element data_elements[DATA_ELEMENTS];
/* All zero for codes. */
const struct data_element *data_element_of(enum element);

/* The i-th of these values; an integer is exact. */
long double data_element_value(enum element, const void *values, size_t i);
/* Converts count values to another element. Integers must fit and fractions are refused, except
   that F64 rounds to F32 and must be within its range; NaN and infinity pass between floats. U8 and
   B64 have the same bytes, eight per 64 bits of a code. count is in components of `from`, bits for
   B64. Returns count, or the position of the first value that does not fit. */
size_t data_convert_elements(enum element from, const void *in, enum element to, void *out,
                             size_t count);

/* 4. Making sources */

/* A zeroed source with its name set; NULL with err set if out of memory.
   source_close() frees it. */
struct source *source_new(const char *name, struct error *);

/* Reads all rows once, and sets hash and zero_rows. ERR_NOT_FINITE, with row and column: an infinity, a NaN but for
   numbers, or a vector whose squared length is not 0 and outside f32's range. */
int source_scan(struct source *, struct error *);

#endif
