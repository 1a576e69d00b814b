/* npz.c - reads one array of an npz, a zip of npy files, stored or deflated.
 *
 * A zip has its directory at its end; sizes and offsets over 32 bits are in "zip64" fields. Each
 * offset is checked against the size of the file, and the array's checksum is verified.
 */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "src/core/append_text.h"
#include "src/data/readers/formats.h"

enum { END_BYTES = 22, END_64_BYTES = 56, LOCATOR_BYTES = 20, ENTRY_BYTES = 46, LOCAL_BYTES = 30 };
enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1 };

struct zip_directory {
    size_t at, end, n;
};

struct member {
    const char *name; /* not ended by a zero byte */
    size_t name_bytes, packed, plain, local;
    unsigned flags, method;
    uint32_t crc;
};

static size_t little_u16(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8;
}

static uint64_t little_u64(const uint8_t *p)
{
    return little_u32(p) | (uint64_t)little_u32(p + 4) << 32;
}

static int damaged(const struct bytes *b, const char *what, struct error *err)
{
    return fail(err, ERR_CORRUPT, "%s: the npz is damaged or truncated: %s", b->name, what);
}

/* Whether the file has n bytes at `at`, which begin with the signature. */
static bool is_at(const struct bytes *b, size_t at, size_t n, const char *signature)
{
    return at <= b->size && n <= b->size - at && !memcmp(b->at + at, signature, 4);
}

/* Finds the end record, which a comment of up to 65535 bytes follows. */
static bool find_end(const struct bytes *b, size_t *at)
{
    for (size_t comment = 0; comment <= UINT16_MAX && comment + END_BYTES <= b->size; comment++) {
        *at = b->size - END_BYTES - comment;
        if (is_at(b, *at, END_BYTES, "PK\5\6") && little_u16(b->at + *at + 20) == comment)
            return true;
    }
    return false;
}

static int find_directory(const struct bytes *b, struct zip_directory *d, struct error *err)
{
    size_t end, bytes;
    if (!find_end(b, &end))
        return damaged(b, "the zip's end record is missing", err);
    d->n = little_u16(b->at + end + 10);
    bytes = little_u32(b->at + end + 12);
    d->at = little_u32(b->at + end + 16);
    if (end >= LOCATOR_BYTES && is_at(b, end - LOCATOR_BYTES, LOCATOR_BYTES, "PK\6\7")) {
        const size_t end_64 = little_u64(b->at + end - LOCATOR_BYTES + 8);
        if (!is_at(b, end_64, END_64_BYTES, "PK\6\6"))
            return damaged(b, "the zip64 end record is not where it should be", err);
        d->n = little_u64(b->at + end_64 + 32);
        bytes = little_u64(b->at + end_64 + 40);
        d->at = little_u64(b->at + end_64 + 48);
    }
    if (d->at > end || bytes > end - d->at || d->n > bytes / ENTRY_BYTES)
        return damaged(b, "its directory does not fit the file", err);
    d->end = d->at + bytes;
    return OK;
}

/* Reads the sizes and the offset that need 64 bits from an extra field, which has them
   in this order. */
static bool read_zip64(const uint8_t *extra, size_t n, struct member *m)
{
    size_t *const wide[] = { &m->plain, &m->packed, &m->local };
    while (n >= 4) {
        const size_t id = little_u16(extra), bytes = little_u16(extra + 2);
        size_t used = 0;
        if (bytes > n - 4)
            return false;
        for (size_t i = 0; id == 1 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX)
                continue;
            if (bytes - used < 8)
                return false;
            *wide[i] = little_u64(extra + 4 + used);
            used += 8;
        }
        extra += 4 + bytes;
        n -= 4 + bytes;
    }
    return true;
}

/* Reads the directory's entry at *at, and moves *at past it. */
static int next_member(const struct bytes *b, const struct zip_directory *d, size_t *at,
                       struct member *m, struct error *err)
{
    const uint8_t *p = b->at + *at;
    if (d->end - *at < ENTRY_BYTES || !is_at(b, *at, ENTRY_BYTES, "PK\1\2"))
        return damaged(b, "its directory ends early", err);
    *m = (struct member){ .name = (const char *)p + ENTRY_BYTES,
                          .name_bytes = little_u16(p + 28),
                          .flags = (unsigned)little_u16(p + 8),
                          .method = (unsigned)little_u16(p + 10),
                          .crc = little_u32(p + 16),
                          .packed = little_u32(p + 20),
                          .plain = little_u32(p + 24),
                          .local = little_u32(p + 42) };
    const size_t extra = little_u16(p + 30), comment = little_u16(p + 32),
                 total = ENTRY_BYTES + m->name_bytes + extra + comment;
    if (total > d->end - *at || !read_zip64(p + ENTRY_BYTES + m->name_bytes, extra, m))
        return damaged(b, "an entry of its directory does not fit", err);
    *at += total;
    return OK;
}

/* Length of the array's name, the member's without ".npy"; 0 if the member is not an npy file. */
static int array_name_bytes(const struct member *m)
{
    const size_t n = m->name_bytes;
    return n > 4 && n < 100 && !memcmp(m->name + n - 4, ".npy", 4) ? (int)n - 4 : 0;
}

static bool is_named(const struct member *m, const char *name)
{
    const size_t n = strlen(name);
    return (n == (size_t)array_name_bytes(m) || n == m->name_bytes) && !memcmp(m->name, name, n);
}

/* Chooses the requested array, else "train", else the only one. */
static int choose_member(const struct bytes *b, const char *asked, struct member *chosen,
                         struct error *err)
{
    struct zip_directory d = { 0 };
    struct member m;
    char names[400] = "";
    size_t arrays = 0;
    const char *name = asked ? asked : "train";
    int rc = find_directory(b, &d, err);
    size_t at = d.at;
    for (size_t i = 0; !rc && i < d.n; i++) {
        rc = next_member(b, &d, &at, &m, err);
        const int n = rc ? 0 : array_name_bytes(&m);
        if (!n)
            continue;
        if (!arrays++ || is_named(&m, name))
            *chosen = m;
        if (is_named(&m, name))
            return OK;
        append_text(names, sizeof names, ", ", "%.*s", n, m.name);
    }
    if (rc || (arrays == 1 && !asked))
        return rc;
    if (asked)
        return fail(err, ERR_NOT_FOUND, "%s: no array \"%s\"; the file has %s", b->name, asked,
                    arrays ? names : "none");
    if (!arrays)
        return fail(err, ERR_CORRUPT, "%s: the zip holds no npy array", b->name);
    return fail(err, ERR_ARGUMENT,
                "%s: holds %zu arrays, %s; name one, as in dataset = \"%.*s\" (convert: --dataset)",
                b->name, arrays, names, array_name_bytes(chosen), chosen->name);
}

/* Finds where the member's data begin, and checks their sizes. */
static int find_data(const struct bytes *b, const struct member *m, size_t limit, size_t *data,
                     struct error *err)
{
    if (m->flags & ENCRYPTED || (m->method != STORED && m->method != DEFLATED))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: the array is %s; stored and deflated ones are read, as numpy.savez and "
                    "savez_compressed write them",
                    b->name, m->flags & ENCRYPTED ? "encrypted" : "packed in another way");
    if (!is_at(b, m->local, LOCAL_BYTES, "PK\3\4"))
        return damaged(b, "an array is not where the directory says", err);
    const uint8_t *p = b->at + m->local;
    *data = m->local + LOCAL_BYTES + little_u16(p + 26) + little_u16(p + 28);
    if (*data > b->size || m->packed > b->size - *data)
        return damaged(b, "an array ends behind the file", err);
    if (m->method == STORED && m->packed != m->plain)
        return damaged(b, "a stored array has two sizes", err);
    /* The best ratio of deflate is 1032 to 1. */
    if (m->method == DEFLATED && (m->plain / 1100 > m->packed || m->plain > limit))
        return fail(err, ERR_CORRUPT,
                    "%s: an array of %zu bytes cannot be in %zu packed ones, or more than the %zu "
                    "allowed",
                    b->name, m->plain, m->packed, limit);
    return OK;
}

static bool crc_holds(const uint8_t *at, size_t n, uint32_t crc)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), at, n) == crc;
}

int reader_npz(struct bytes *b, const struct file_options *options, struct row_layout *l,
               struct inner_names *names, struct error *err)
{
    struct member m = { 0 };
    size_t data = 0;
    int rc = choose_member(b, options->dataset, &m, err);
    if (!rc)
        rc = find_data(b, &m, options->limit_bytes, &data, err);
    if (rc)
        return rc;
    const uint32_t crc = m.crc;
    const size_t plain = m.plain;
    snprintf(names->dataset, sizeof names->dataset, "%.*s", array_name_bytes(&m), m.name);
    if (m.method == DEFLATED) {
        rc = bytes_inflate(b, data, m.packed, plain, options->scratch_dir, err);
        data = 0;
    }
    if (rc)
        return rc;
    if (!crc_holds(b->at + data, plain, crc))
        return fail(err, ERR_CORRUPT, "%s: array \"%s\" is damaged: its checksum does not hold",
                    b->name, names->dataset);
    char name[SOURCE_NAME_BYTES + 80];
    const char *slash = strrchr(b->name, '/');
    snprintf(name, sizeof name, "%.*s[%.64s]", SOURCE_NAME_BYTES - 1, slash ? slash + 1 : b->name,
             names->dataset);
    rc = reader_npy(&(struct bytes){ .at = b->at + data, .size = plain, .name = name, .fd = -1 },
                    options, l, err);
    l->offset += data;
    return rc;
}
