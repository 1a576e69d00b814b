/* formats.c - which format a file is: by its name, then held against its first bytes. */
#include "formats.h"

#include <stdio.h>
#include <string.h>

static const struct format formats[] = {
    { "idx", ".idx -ubyte", read_idx, NULL },
    { "fvecs", ".fvecs", read_vecs, NULL },
    { "bvecs", ".bvecs", read_vecs, NULL },
    { "ivecs", ".ivecs", read_vecs, NULL },
    { "fbin", ".fbin", read_bin, NULL },
    { "u8bin", ".u8bin", read_bin, NULL },
    { "i8bin", ".i8bin", read_bin, NULL },
    { "ibin", ".ibin", read_bin, NULL },
    { "truth", ".truth", read_truth, NULL },
    { "npy", ".npy", read_npy, NULL },
    { "hdf5", ".hdf5 .h5", NULL, hdf5_unpack },
    { "npz", ".npz", NULL, npz_unpack },
    { "text", ".txt .csv .tsv .vec", read_text, NULL },
    { "raw", ".u8 .i32 .i64 .f32 .f64", read_raw, NULL },
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

bool name_ends(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    if (n > 3 && !strcmp(name + n - 3, ".gz"))
        n -= 3;
    return n >= m && !strncmp(name + n - m, suffix, m);
}

static bool has_suffix(const char *path, const char *suffixes)
{
    while (*suffixes) {
        char one[16];
        size_t n = strcspn(suffixes, " ");
        snprintf(one, sizeof one, "%.*s", (int)n, suffixes);
        if (name_ends(path, one))
            return true;
        suffixes += n + (suffixes[n] == ' ');
    }
    return false;
}

static const struct format *by_name(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

const struct format *format_named(const char *path, const struct file_options *options,
                                  struct error *err)
{
    const char *names[FORMATS];
    for (size_t i = 0; i < FORMATS; i++)
        names[i] = formats[i].name;
    if (options && options->format) {
        const struct format *found = by_name(options->format);
        const char *near = found ? NULL : error_near(options->format, names, FORMATS);
        if (!found)
            fail(err, ERR_ARGUMENT, "%s: unknown format \"%s\"%s%s%s", path, options->format,
                 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        return found;
    }
    for (size_t i = 0; i < FORMATS; i++)
        if (has_suffix(path, formats[i].suffixes))
            return &formats[i];
    fail(err, ERR_UNSUPPORTED,
         "%s: the name tells no known format (idx, fvecs, bvecs, ivecs, fbin, u8bin, i8bin, ibin, "
         "truth, npy, npz, hdf5, "
         "txt, csv, tsv, vec, u8, i32, i64, f32, f64; each also with .gz)",
         path);
    return NULL;
}

/* The formats whose first bytes cannot be mistaken. */
static const char *strong_magic(const struct bytes *b)
{
    if (b->size >= 6 && !memcmp(b->at, "\x93NUMPY", 6))
        return "npy";
    if (b->size >= 8 && !memcmp(b->at, "\x89HDF\r\n\x1a\n", 8))
        return "hdf5";
    if (b->size >= 4 && !memcmp(b->at, "PK\3\4", 4))
        return "npz";
    return NULL;
}

static bool looks_like_idx(const struct bytes *b)
{
    return b->size >= 8 && b->at[0] == 0 && b->at[1] == 0 && b->at[2] >= 8 && b->at[2] <= 14 &&
           b->at[3] >= 1 && b->at[3] <= 4;
}

const struct format *format_of(const char *path, const struct file_options *options,
                               const struct bytes *b, struct error *err)
{
    const char *magic = strong_magic(b);
    struct error unknown = { 0 };
    const struct format *named = format_named(path, options, &unknown);
    if (!named && !(options && options->format)) {
        if (magic)
            return by_name(magic);
        if (looks_like_idx(b))
            return by_name("idx");
    }
    if (!named) {
        fail(err, unknown.code, "%s", unknown.text);
        return NULL;
    }
    bool says_magic = named->unpack || !strcmp(named->name, "npy");
    if (magic && strcmp(magic, named->name)) {
        fail(err, ERR_CORRUPT, "%s: expected %s by its name, but it begins like %s", path,
             named->name, magic);
        return NULL;
    }
    if (says_magic && !magic) {
        fail(err, ERR_CORRUPT, "%s: not %s: the magic first bytes are missing", path, named->name);
        return NULL;
    }
    return named;
}

enum element layout_default_element(enum element stored)
{
    return stored == ELEMENT_F16 || stored == ELEMENT_F64 || stored == ELEMENT_I16 ? ELEMENT_F32
                                                                                   : stored;
}

int layout_check_size(const struct bytes *b, const struct layout *l, size_t row_bytes,
                      struct error *err)
{
    if (!l->n || !l->dim)
        return fail(err, ERR_CORRUPT,
                    "%s: the header says %zu rows of %zu columns; both must be at least 1", b->name,
                    l->n, l->dim);
    size_t body, total;
    if (!row_bytes || __builtin_mul_overflow(l->n, row_bytes, &body) ||
        __builtin_add_overflow(body, l->offset, &total))
        return fail(
            err, ERR_CORRUPT,
            "%s: the header says %zu rows of %zu columns, which is absurd; the file has %zu bytes",
            b->name, l->n, l->dim, b->size);
    if (total == b->size)
        return OK;
    return fail(err, ERR_CORRUPT, "%s: %s: %zu rows of %zu %s need %zu bytes, the file has %zu",
                b->name, b->size < total ? "truncated" : "extra bytes at the end", l->n, l->dim,
                data_element_name(l->stored), total, b->size);
}
