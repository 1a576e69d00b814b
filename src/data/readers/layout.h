/* layout.h - where the rows of a file are, from its header. For src/data only. */
#ifndef DRIFTLINE_DATA_READERS_LAYOUT_H
#define DRIFTLINE_DATA_READERS_LAYOUT_H

#include "src/data/files/file.h"
#include "src/data/readers/bytes.h"

struct row_layout {
    enum element stored;
    size_t n, dim;
    size_t offset, stride_bytes; /* row i's values start at offset + i * stride_bytes */
    bool big_endian;
    bool by_columns; /* values are stored column by column; layout_rows_from_columns() makes rows */
    void *owned;     /* text: the parsed rows, freed by file.c; offset and stride refer to them */
    char note[160];
};

/* Names of the chosen data set in a file that holds several. */
struct inner_names {
    char dataset[128];
    char metric[16]; /* ann-benchmarks' "distance", or "" */
};

/* Replaces a block of columns by one of rows, in a scratch file. */
int layout_rows_from_columns(struct bytes *, struct row_layout *, const char *scratch_dir,
                             struct error *);
/* The default element of rows with stored values of this one: f16, f64, i16 and u16 become F32,
   but f64 that are numbers stay F64; u32 and u64 become I64. */
enum element layout_default_element(enum element stored, const struct file_options *);
/* Makes one column of U64 a code, B64, unless the options ask for numbers. */
void layout_settle_codes(struct row_layout *, const struct file_options *);
/* Whether a float is too small for the values that the options ask for. */
bool layout_is_wide(const struct file_options *);
/* Whether name ends in suffix, a final ".gz" ignored. */
bool layout_name_ends(const char *name, const char *suffix);
/* ERR_CORRUPT unless n and dim are not 0 and the file has exactly offset + n * row_bytes bytes. */
int layout_check_size(const struct bytes *, const struct row_layout *, size_t row_bytes,
                      struct error *);

static inline uint32_t little_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Of each value of `width` bytes in n. */
static inline void swap_bytes(uint8_t *at, size_t n, size_t width)
{
    for (size_t i = 0; i + width <= n; i += width)
        for (size_t k = 0; k < width / 2; k++) {
            uint8_t t = at[i + k];
            at[i + k] = at[i + width - 1 - k];
            at[i + width - 1 - k] = t;
        }
}

static inline uint32_t big_u32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

#endif
