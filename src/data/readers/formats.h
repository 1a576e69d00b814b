/* formats.h - the list of file formats and their readers. For src/data only.
 *
 * A reader checks the header against the size of the file before it allocates anything, and fills a
 * row_layout, from which file.c reads rows. Of a format with an element, layout->stored is set before. A new format needs a reader_*() here and a row in the
 * table of formats.c.
 */
#ifndef DRIFTLINE_DATA_READERS_FORMATS_H
#define DRIFTLINE_DATA_READERS_FORMATS_H

#include "src/data/files/file.h"
#include "src/data/readers/layout.h"

/* Fills the layout from the header of its format. */
typedef int file_reader(const struct bytes *, const struct file_options *, struct row_layout *,
                        struct error *);
/* The same for a file that holds several data sets; may replace the block by that of the chosen one. */
typedef int file_unpacker(struct bytes *, const struct file_options *, struct row_layout *,
                          struct inner_names *, struct error *);

struct format {
    const char *name;
    const char *suffixes;  /* ".fbin"; several are separated by spaces */
    const char *element;   /* of its values; NULL: a file or its options state it */
    file_reader *read;     /* or NULL */
    file_unpacker *unpack; /* instead of it */
};

/* The format by options->format, by name (path may end in .gz), or by content for an unknown name;
 * the content must agree. NULL with err set. */
const struct format *format_of(const char *path, const struct file_options *, const struct bytes *,
                               struct error *);
/* The format by options->format or by name, for writing; NULL with err set. */
const struct format *format_named(const char *path, const struct file_options *, struct error *);

/* ERR_CORRUPT, ERR_ARGUMENT, ERR_UNSUPPORTED; npy also ERR_VERSION; text also ERR_NOT_FINITE,
   ERR_DIMENSION and ERR_NO_MEMORY. */
file_reader reader_idx, reader_vecs, reader_bin, reader_truth, reader_npy, reader_text, reader_raw;
file_unpacker reader_multivec;
/* Reads HDF5 by its library in a child process, and replaces the block by the dataset's rows.
 * ERR_UNSUPPORTED in a build without the library, and for rows that are in another file. */
file_unpacker reader_hdf5;

#endif
