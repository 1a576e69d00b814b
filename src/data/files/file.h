/* file.h - reading and writing data files.
 *
 * The last part of the name decides the format, without a final ".gz"; the content must agree:
 *
 *   idx    *.idx *-ubyte            MNIST's format, big-endian; further dimensions become columns
 *   vecs   *.fvecs *.bvecs *.ivecs  each row is its i32 dimension, then the values
 *   bin    *.fbin *.f16bin *.u8bin *.i8bin *.ibin
 *                                   u32 rows, u32 columns, then the values (little-endian)
 *   truth  *.truth                  u32 rows, u32 k, then rows * k u32 ids, then as many f32
 *                                   distances; only the ids are read
 *   npy    *.npy                    versions 1 to 3; f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8
 *   hdf5   *.hdf5 *.h5              files of ann-benchmarks, or other datasets of rows and columns; only
 *                                   read, as are f16bin, truth and multivec
 *   multivec *.multivec             big-ann-benchmarks' multi-vector format: the vectors of the
 *                                   documents that have exactly one
 *   text   *.txt *.csv *.tsv *.vec  numbers, one row per line; see id_column and header below
 *   raw    *.u8 *.i64 *.i32 *.f32 *.f64
 *                                   only the values; one column unless the options state more
 *
 * Any of them may be compressed by gzip. f16, f64, i16 and u16 are
 * read as f32, but f64 as they are if the rows are numbers; u32 and u64 as i64, but one column of u64 as
 * codes unless the rows are numbers.
 */
#ifndef DRIFTLINE_DATA_FILES_FILE_H
#define DRIFTLINE_DATA_FILES_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "src/data/source/source.h"

enum { FILE_NO_ID = -1 };

/* All zero: each is decided from the file. */
struct file_options {
    const char *format;  /* a name from the list above; NULL: by the file's name */
    const char *dataset; /* HDF5: name of the data set; NULL: "train", else the only one */
    /* element of the rows: "f32" from any number, "b64" from 8 columns of u8
       for each 64 bits; NULL: as stored, but
       see above. Codes have 64 bits: longer ones are ERR_UNSUPPORTED */
    const char *element;
    /* the rows are numbers such as times, labels and ids, not vectors: f64 and text keep the value of
       a double unless element is set, NaN stands for no value, and the header of a lone column may
       call it "id" or "label" */
    bool numbers;
    /* added to every integer: -1 for ids counted from 1; 128 reads i8 as u8, with the same L2
       distances. No sum may be negative. Makes i32 of shorter integers unless element is set */
    int add;
    /* raw: columns, default 1. Other formats: the columns that the file must have; 0: any */
    size_t dim;
    /* fbin, f16bin, u8bin, i8bin, ibin: only these first rows, of a whole file or of one that ends with
       them; 0: all rows */
    size_t first_rows;
    /* text: the column, from 1, with an id or a label, which is left out; FILE_NO_ID: there is
       none; 0: a column "id" of the header, or a first column of words */
    int id_column;
    /* text: 1: the first line is a header; -1: it is a row; 0: decided from the file, an
       error if unclear */
    int header;
    const char *scratch_dir; /* folder of inflated data; NULL: memory */
    size_t limit_bytes;      /* limit of inflated bytes; 0: 16 GiB */
};

/* Opens a file and reads it once, to hash it and to check for NaN and for row lengths. The caller
   closes *out with source_close(). ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT, ERR_NOT_FINITE,
   ERR_DIMENSION, ERR_UNSUPPORTED, ERR_ARGUMENT, ERR_NO_MEMORY; the message names the file, what was
   expected and what was found. */
int file_open(const char *path, const struct file_options *, struct source **out, struct error *);

/* Whether the end of the name states a format. */
bool file_name_states_format(const char *path);

/* Whether the file is HDF5, which holds several data sets by name, by options->format or by its own
   name. */
bool file_holds_sets(const char *path, const struct file_options *);

/* As file_open(), from a block in memory, which is borrowed until the source is closed. The name
 * decides the format; HDF5 is ERR_UNSUPPORTED. */
int file_open_block(const char *name, const void *block, size_t size, const struct file_options *,
                    struct source **out, struct error *);

/* step is called repeatedly during a long call; total is 0 if unknown. A result other than 0 ends
 * the call with ERR_INTERRUPTED. */
struct data_progress {
    int (*step)(void *context, const char *what, size_t done, size_t total);
    void *context;
};

/* What a conversion wrote. */
struct data_written {
    size_t n, dim; /* dim: components; bits for b64 */
    enum element element;
    char note[160]; /* what the input's reader decided on its own, or "" */
};

/* Reads `in` and writes `out`, whole or not at all. The name of out decides its format; ".gz"
   compresses it. A value that the format cannot hold is ERR_DIMENSION, such as 300 in a u8bin.
   written may be NULL; it is filled on success. */
int data_convert(const char *in, const struct file_options *in_options, const char *out,
                 const struct data_progress *, struct data_written *, struct error *);

/* Writes an open source as data_convert() does. */
int data_write(const struct source *, const char *out, const struct data_progress *,
               struct error *);

#endif
