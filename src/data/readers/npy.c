/* npy.c - reads numpy's npy, versions 1 to 3.
 *
 * "\x93NUMPY", major, minor, header length (u16; from version 2 u32), then a Python literal:
 * {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }
 */
#include <stdio.h>
#include <string.h>

#include "src/data/readers/formats.h"

struct header {
    const char *at, *end;
    const char *name; /* of the file */
};

static void skip_spaces(struct header *h)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n' || *h->at == '\t'))
        h->at++;
}

static bool take(struct header *h, char c)
{
    skip_spaces(h);
    if (h->at >= h->end || *h->at != c)
        return false;
    h->at++;
    return true;
}

static bool take_word(struct header *h, const char *word)
{
    skip_spaces(h);
    size_t n = strlen(word);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n))
        return false;
    h->at += n;
    return true;
}

static bool take_string(struct header *h, char *out, size_t out_bytes)
{
    skip_spaces(h);
    if (h->at >= h->end || (*h->at != '\'' && *h->at != '"'))
        return false;
    char quote = *h->at++;
    size_t n = 0;
    while (h->at < h->end && *h->at != quote) {
        if (n + 1 == out_bytes)
            return false;
        out[n++] = *h->at++;
    }
    out[n] = 0;
    return take(h, quote);
}

static bool take_size(struct header *h, size_t *out)
{
    skip_spaces(h);
    const char *start = h->at;
    *out = 0;
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(*out, (size_t)10, out) ||
            __builtin_add_overflow(*out, (size_t)(*h->at - '0'), out))
            return false;
    return h->at > start;
}

/* Reads a shape: (n,) is one column; (n, a, b) is n rows of a * b columns. */
static int read_shape(struct header *h, struct row_layout *l, size_t *dims, struct error *err)
{
    *dims = 0;
    l->dim = 1;
    if (!take(h, '('))
        return fail(err, ERR_CORRUPT, "%s: npy header: shape is not a tuple", h->name);
    while (!take(h, ')')) {
        size_t extent;
        if (!take_size(h, &extent))
            return fail(err, ERR_CORRUPT,
                        "%s: npy header: shape holds something that is not a size", h->name);
        if (!*dims)
            l->n = extent;
        else if (__builtin_mul_overflow(l->dim, extent, &l->dim))
            return fail(err, ERR_CORRUPT, "%s: npy header: the product of the shape overflows",
                        h->name);
        ++*dims;
        if (!take(h, ',')) {
            if (take(h, ')'))
                break;
            return fail(err, ERR_CORRUPT, "%s: npy header: the shape has no end", h->name);
        }
    }
    if (!*dims)
        return fail(err, ERR_CORRUPT, "%s: the npy array is a single value, rows were expected",
                    h->name);
    return OK;
}

static int read_descr(struct header *h, struct row_layout *l, struct error *err)
{
    char descr[32];
    skip_spaces(h);
    if (h->at < h->end && *h->at == '[')
        return fail(err, ERR_UNSUPPORTED,
                    "%s: the npy array has named fields; save one plain array of numbers", h->name);
    if (!take_string(h, descr, sizeof descr))
        return fail(err, ERR_CORRUPT, "%s: npy header: descr is not a string", h->name);
    if (strchr(descr, 'O'))
        return fail(
            err, ERR_UNSUPPORTED,
            "%s: the npy array holds Python objects (%s), which are not read; save numbers, "
            "as in array.astype(\"float32\")",
            h->name, descr);
    const char *code = descr + (descr[0] && strchr("<>|=", descr[0]) ? 1 : 0);
    l->big_endian = descr[0] == '>';
    for (size_t i = 0; i < DATA_ELEMENTS; i++)
        if (!strcmp(code, data_elements[i].npy)) {
            l->stored = data_elements[i].element;
            return OK;
        }
    return fail(
        err, ERR_UNSUPPORTED,
        "%s: npy element type \"%s\"; known are f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8, as in "
        "array.astype(\"float32\"); bits are bytes, as numpy.packbits(array, axis=1) has them",
        h->name, descr);
}

enum { SEEN_DESCR = 1, SEEN_ORDER = 2, SEEN_SHAPE = 4, SEEN_ALL = 7 };

static int read_entry(struct header *h, struct row_layout *l, bool *fortran, size_t *dims,
                      unsigned *seen, struct error *err)
{
    char key[32];
    if (!take_string(h, key, sizeof key) || !take(h, ':'))
        return fail(err, ERR_CORRUPT, "%s: npy header: expected 'name': value", h->name);
    unsigned bit = !strcmp(key, "descr")           ? SEEN_DESCR
                   : !strcmp(key, "fortran_order") ? SEEN_ORDER
                   : !strcmp(key, "shape")         ? SEEN_SHAPE
                                                   : 0;
    if (!bit || *seen & bit)
        return fail(err, ERR_CORRUPT, "%s: npy header: %s key \"%s\"", h->name,
                    bit ? "repeated" : "unknown", key);
    *seen |= bit;
    if (bit == SEEN_DESCR)
        return read_descr(h, l, err);
    if (bit == SEEN_SHAPE)
        return read_shape(h, l, dims, err);
    *fortran = take_word(h, "True");
    if (!*fortran && !take_word(h, "False"))
        return fail(err, ERR_CORRUPT, "%s: npy header: fortran_order is neither True nor False",
                    h->name);
    return OK;
}

static int read_dictionary(struct header *h, const struct file_options *options,
                           struct row_layout *l, struct error *err)
{
    bool fortran = false;
    size_t dims = 0;
    unsigned seen = 0;
    if (!take(h, '{'))
        return fail(err, ERR_CORRUPT, "%s: npy header: not a dictionary", h->name);
    while (!take(h, '}')) {
        int rc = read_entry(h, l, &fortran, &dims, &seen, err);
        if (rc)
            return rc;
        if (take(h, ','))
            continue;
        if (take(h, '}'))
            break;
        return fail(err, ERR_CORRUPT, "%s: npy header: the dictionary has no end", h->name);
    }
    if (seen != SEEN_ALL)
        return fail(err, ERR_CORRUPT, "%s: npy header: descr, fortran_order or shape is missing",
                    h->name);
    if (fortran && dims > 2)
        return fail(err, ERR_UNSUPPORTED,
                    "%s: the npy array has %zu dimensions in Fortran order; save "
                    "numpy.ascontiguousarray(array)",
                    h->name, dims);
    /* One dimension is what a part has; as vectors they may be a slip. */
    const bool real = l->stored == INDEX_F32 || l->stored == ELEMENT_F64;
    if (dims > 2 || (dims == 1 && real && !options->numbers))
        (void)snprintf(l->note, sizeof l->note,
                       "an array of %zu dimension%s, read as %zu rows of %zu", dims,
                       dims == 1 ? "" : "s", l->n, l->dim);
    l->by_columns = fortran && l->n > 1 && l->dim > 1;
    return OK;
}

int reader_npy(const struct bytes *b, const struct file_options *options, struct row_layout *l,
               struct error *err)
{
    if (b->size < 12)
        return fail(err, ERR_CORRUPT,
                    "%s: truncated: the npy header needs 12 bytes, the file has %zu", b->name,
                    b->size);
    if (memcmp(b->at, "\x93NUMPY", 6))
        return fail(err, ERR_CORRUPT, "%s: not npy: the magic first bytes are missing", b->name);
    if (b->at[6] < 1 || b->at[6] > 3)
        return fail(err, ERR_VERSION, "%s: npy version %d; 1 to 3 are known", b->name, b->at[6]);
    size_t start = b->at[6] == 1 ? 10 : 12;
    size_t length =
        b->at[6] == 1 ? (size_t)b->at[8] | (size_t)b->at[9] << 8 : little_u32(b->at + 8);
    if (length > b->size - start)
        return fail(err, ERR_CORRUPT,
                    "%s: truncated: the npy header says it has %zu bytes, the file has %zu",
                    b->name, length, b->size);
    const char *text = (const char *)b->at + start;
    int rc = read_dictionary(&(struct header){ text, text + length, b->name }, options, l, err);
    if (rc)
        return rc;
    layout_settle_codes(l, options);
    l->offset = start + length;
    l->stride_bytes = data_row_bytes(l->stored, l->dim);
    return layout_check_size(b, l, l->stride_bytes, err);
}
