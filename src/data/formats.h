/* formats.h - inside src/data: what a reader finds in a file's header, and the list of readers.
 *
 * A reader checks the header against the size of the file before anything is allocated, and fills a
 * layout; file.c serves rows from it. Adding a format: a read_*() here, a row in the table of
 * formats.c.
 */
#ifndef DRIFTLINE_FORMATS_H
#define DRIFTLINE_FORMATS_H

#include "bytes.h"
#include "file.h"

struct layout {
    enum element stored;
    size_t n, dim;
    size_t offset, stride_bytes; /* row i's values start at offset + i * stride_bytes */
    bool big_endian;
    bool by_columns; /* the first column's values, then the second's: file.c makes rows of it */
    void *owned;     /* text: the parsed rows, freed by file.c; offset and stride are within it */
    char note[160];
};

/* Of one among the data sets that a file holds. */
struct inner_names {
    char dataset[128];
    char metric[16]; /* ann-benchmarks' "distance", or "" */
};

struct format {
    const char *name;
    const char *suffixes; /* ".fbin", several separated by spaces */
    int (*read)(const struct bytes *, const struct file_options *, struct layout *, struct error *);
    /* Instead of read, where the file holds several: the block may become the chosen one's. */
    int (*unpack)(struct bytes *, const struct file_options *, struct layout *,
                  struct inner_names *, struct error *);
};

/* By options->format, by name (path may end in .gz), or by content for an unknown name. NULL with
 * err filled. */
const struct format *format_of(const char *path, const struct file_options *, const struct bytes *,
                               struct error *);
/* By name alone, for writing. */
const struct format *format_named(const char *path, const struct file_options *, struct error *);

int read_idx(const struct bytes *, const struct file_options *, struct layout *, struct error *);
int read_vecs(const struct bytes *, const struct file_options *, struct layout *, struct error *);
int read_bin(const struct bytes *, const struct file_options *, struct layout *, struct error *);
int read_truth(const struct bytes *, const struct file_options *, struct layout *, struct error *);
int read_npy(const struct bytes *, const struct file_options *, struct layout *, struct error *);
int read_text(const struct bytes *, const struct file_options *, struct layout *, struct error *);
int read_raw(const struct bytes *, const struct file_options *, struct layout *, struct error *);

/* HDF5 is read through its library, in a child process: the block becomes the dataset's rows.
 * ERR_UNSUPPORTED in a build without it, and for rows that lie in another file. */
int hdf5_unpack(struct bytes *, const struct file_options *, struct layout *, struct inner_names *,
                struct error *);
int npz_unpack(struct bytes *, const struct file_options *, struct layout *, struct inner_names *,
               struct error *);
/* Makes rows of columns, in a scratch file. */
int rows_from_columns(struct bytes *, struct layout *, const char *scratch_dir, struct error *);
/* Creates path with one dataset of s's rows. */
int hdf5_write(const struct source *, const char *path, const char *dataset,
               const struct data_progress *, struct error *);

/* The element a file whose values are `stored` gives when nobody asks: f16, f64 and i16 become F32.
 */
enum element layout_default_element(enum element stored);
/* The last part of name without ".gz", its suffix; for formats that tell their element by it. */
bool name_ends(const char *name, const char *suffix);
/* Checks that exactly offset + n * row_bytes bytes are there, without overflow, and that n and dim
 * are not 0. */
int layout_check_size(const struct bytes *, const struct layout *, size_t row_bytes,
                      struct error *);

static inline uint32_t little_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint32_t big_u32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

#endif
