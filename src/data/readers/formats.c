/* formats.c - decides the format of a file: by its name, checked by its first bytes. */
#include "src/data/readers/formats.h"

#include <stdio.h>
#include <string.h>

#include "src/core/append_text.h"

static const struct format formats[] = {
    { "idx", ".idx -ubyte", NULL, reader_idx, NULL },
    { "fvecs", ".fvecs", "f32", reader_vecs, NULL },
    { "bvecs", ".bvecs", "u8", reader_vecs, NULL },
    { "ivecs", ".ivecs", "i32", reader_vecs, NULL },
    { "fbin", ".fbin", "f32", reader_bin, NULL },
    { "f16bin", ".f16bin", "f16", reader_bin, NULL },
    { "u8bin", ".u8bin", "u8", reader_bin, NULL },
    { "i8bin", ".i8bin", "i8", reader_bin, NULL },
    { "ibin", ".ibin", "i32", reader_bin, NULL },
    { "truth", ".truth", "i32", reader_truth, NULL },
    { "npy", ".npy", NULL, reader_npy, NULL },
    { "hdf5", ".hdf5 .h5", NULL, NULL, reader_hdf5 },
    { "multivec", ".multivec", "f32", NULL, reader_multivec },
    { "text", ".txt .csv .tsv .vec", NULL, reader_text, NULL },
    { "raw", ".u8", "u8", reader_raw, NULL },
    { "raw", ".i32", "i32", reader_raw, NULL },
    { "raw", ".i64", "i64", reader_raw, NULL },
    { "raw", ".f32", "f32", reader_raw, NULL },
    { "raw", ".f64", "f64", reader_raw, NULL },
    { "raw", "", NULL, reader_raw, NULL },
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

static bool has_suffix(const char *path, const char *suffixes)
{
    while (*suffixes) {
        char one[16];
        size_t n = strcspn(suffixes, " ");
        snprintf(one, sizeof one, "%.*s", (int)n, suffixes);
        if (layout_name_ends(path, one))
            return true;
        suffixes += n + (suffixes[n] == ' ');
    }
    return false;
}

/* The format of this name: of several, the one of the path's suffix, else the last. */
static const struct format *by_name(const char *name, const char *path)
{
    const struct format *found = NULL;
    for (size_t i = 0; i < FORMATS && !(found && has_suffix(path, found->suffixes)); i++)
        if (!strcmp(formats[i].name, name))
            found = &formats[i];
    return found;
}

const struct format *format_named(const char *path, const struct file_options *options,
                                  struct error *err)
{
    const char *names[FORMATS];
    for (size_t i = 0; i < FORMATS; i++)
        names[i] = formats[i].name;
    if (options && options->format) {
        const struct format *found = by_name(options->format, path);
        if (!found)
            fail(err, ERR_ARGUMENT, "%s: unknown format \"%s\"%s", path, options->format,
                 error_hint(options->format, names, FORMATS).text);
        return found;
    }
    for (size_t i = 0; i < FORMATS; i++)
        if (has_suffix(path, formats[i].suffixes))
            return &formats[i];
    if (has_suffix(path, ".parquet")) {
        fail(err, ERR_UNSUPPORTED,
             "%s: Parquet is read by ./harness convert alone: ./harness convert %s vectors.fbin, "
             "and use that",
             path, path);
        return NULL;
    }
    if (has_suffix(path, ".npz")) {
        fail(err, ERR_UNSUPPORTED,
             "%s: npz is not read; save one array of it by numpy.save(), as npy", path);
        return NULL;
    }
    char list[256] = "";
    for (size_t i = 0; i < FORMATS && *formats[i].suffixes; i++)
        append_text(list, sizeof list, " ", "%s", formats[i].suffixes);
    fail(err, ERR_UNSUPPORTED,
         "%s: the name does not end like a known format: %s, each also with .gz", path, list);
    return NULL;
}

/* The format whose signature the file begins with, for formats with a long signature; else NULL. */
static const char *strong_magic(const struct bytes *b)
{
    if (b->size >= 6 && !memcmp(b->at, "\x93NUMPY", 6))
        return "npy";
    if (b->size >= 8 && !memcmp(b->at, "\x89HDF\r\n\x1a\n", 8))
        return "hdf5";
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
            return by_name(magic, path);
        if (looks_like_idx(b))
            return by_name("idx", path);
    }
    if (!named) {
        fail(err, unknown.code, "%s", unknown.text);
        return NULL;
    }
    bool says_magic = named->unpack == reader_hdf5 || named->read == reader_npy;
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
