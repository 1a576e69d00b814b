/* file.h - data files in, data files out.
 *
 * Formats, by the last part of the name (a final ".gz" is skipped), then verified by content:
 *
 *   idx    *.idx *-ubyte            big-endian, MNIST's; further dimensions become columns
 *   vecs   *.fvecs *.bvecs *.ivecs  each row is its i32 dimension, then the values
 *   bin    *.fbin *.u8bin *.i8bin *.ibin
 *                                   u32 rows, u32 columns, then the values (little-endian)
 *   truth  *.truth                  u32 rows, u32 k, then rows * k u32 ids, then as many f32
 *                                   distances: the ids are read
 *   npy    *.npy                    versions 1 to 3; f2 f4 f8 u1 i1 i2 i4 i8, and u8 as codes
 *   npz    *.npz                    a zip of npy, stored or deflated
 *   hdf5   *.hdf5 *.h5              ann-benchmarks' files, or any rows and columns in them
 *   text   *.txt *.csv *.tsv *.vec  numbers, one row a line; see id_column and header below
 *   raw    *.u8 *.i64 *.i32 *.f32 *.f64
 *                                   only the values; one column unless options say otherwise
 *
 * Any of them may be gzipped. f16, f64 and i16 are read as f32.
 */
#ifndef DRIFTLINE_FILE_H
#define DRIFTLINE_FILE_H

#include <stddef.h>

#include "source.h"

enum { FILE_NO_ID = -1 };

/* All zero: decide from the file. */
struct file_options {
    const char *format;  /* a name from the list above, where the file's name does not tell */
    const char *dataset; /* inside HDF5 or npz; NULL: "train", else the only one there is */
    const char
        *element; /* what rows are to become: "f32" from any number, "b64" from 8 columns of u8 */
    size_t dim;   /* raw: columns (default 1). Else, if not 0, what the file must have */
    /* fbin, u8bin, i8bin, ibin: the file is only the beginning of one with more rows; 0: it is
       whole. */
    size_t first_rows;
    int id_column; /* text: the column, from 1, that is an id or label and no component; FILE_NO_ID:
                      there is none; 0: "id" in a header, or words in the first column, tell */
    int header;    /* text: 1: the first line is one; -1: it is a row; 0: decide, or ask */
    const char *scratch_dir; /* where gzip inflates to; NULL: memory */
    size_t limit_bytes;      /* the most a gzip may inflate to; 0: 16 GiB */
};

/* Opens and reads it once through (hash, NaN, row lengths). *out is closed with source_close().
   ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT, ERR_NOT_FINITE, ERR_DIMENSION, ERR_UNSUPPORTED,
   ERR_NO_MEMORY; the sentence names the file, what was expected and what was found. */
int file_open(const char *path, const struct file_options *, struct source **out, struct error *);

/* The same from a block in memory (borrowed until closed); the name decides the format. Not for
 * HDF5. */
int file_open_block(const char *name, const void *block, size_t size, const struct file_options *,
                    struct source **out, struct error *);

/* Called now and then while a long call works; total is 0 when unknown. Not 0 stops it with
 * ERR_INTERRUPTED. */
struct data_progress {
    int (*step)(void *context, const char *what, size_t done, size_t total);
    void *context;
};

/* What a conversion wrote. */
struct data_written {
    size_t n, dim; /* of 64-bit codes, bits */
    enum element element;
    char note[160]; /* what the reader of the input decided on its own, or "" */
};

/* Reads in and writes out in the format out's name says (gzipped if it ends in .gz), whole or not
   at all. Values must survive: 300 does not go into a u8bin. out_options: format, dataset (HDF5;
   default "train"), element. written (may be NULL) is filled where it succeeds. */
int data_convert(const char *in, const struct file_options *in_options, const char *out,
                 const struct file_options *out_options, const struct data_progress *,
                 struct data_written *, struct error *);

/* Writes an open source; as data_convert(). */
int data_write(const struct source *, const char *out, const struct file_options *,
               const struct data_progress *, struct error *);

#endif
