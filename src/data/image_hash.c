/* image_hash.c - see image_hash.h. */
#include "src/data/image_hash.h"
#include "src/core/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 8, BLOCK = 256 };

/* Cosines are rounded multiples of 1 / COSINE_ONE, so all sums are exact: at most 256 x 256 x 255 x
   2^28 < 2^53. */
static const double COSINE_ONE = 1 << 14;

struct hasher {
    size_t side;
    int64_t *cosines; /* phash: FIELDS x side */
};

const char *image_hash_name(enum image_hash kind)
{
    return kind == IMAGE_DHASH ? "dhash" : "phash";
}

/* Length of the part of pixel p that is in field f. A pixel is `fields` units long, a
   field `side` units. */
static int64_t overlap(size_t p, size_t f, size_t fields, size_t side)
{
    const size_t low = p * fields > f * side ? p * fields : f * side;
    const size_t p_end = (p + 1) * fields, f_end = (f + 1) * side,
                 end = p_end < f_end ? p_end : f_end;
    return end > low ? (int64_t)(end - low) : 0;
}

/* Brightness of field (x, y) of 9 x 8, times a constant. */
static int64_t field_of(const struct hasher *h, const uint8_t *image, size_t x, size_t y)
{
    const size_t side = h->side;
    int64_t sum = 0;
    for (size_t j = y * side / FIELDS; j < side && j * FIELDS < (y + 1) * side; j++) {
        const int64_t tall = overlap(j, y, FIELDS, side);
        for (size_t i = x * side / (FIELDS + 1); i < side && i * (FIELDS + 1) < (x + 1) * side; i++)
            sum += tall * overlap(i, x, FIELDS + 1, side) * image[j * side + i];
    }
    return sum;
}

static uint64_t dhash(const struct hasher *h, const uint8_t *image)
{
    uint64_t code = 0;
    for (size_t y = 0; y < FIELDS; y++) {
        int64_t left = field_of(h, image, 0, y);
        for (size_t x = 0; x < FIELDS; x++) {
            const int64_t right = field_of(h, image, x + 1, y);
            code |= (uint64_t)(right > left) << (FIELDS * y + x);
            left = right;
        }
    }
    return code;
}

static uint64_t phash(const struct hasher *h, const uint8_t *image)
{
    int64_t rows[IMAGE_SIDE_MAX * FIELDS], low[FIELDS * FIELDS], sorted[FIELDS * FIELDS];
    const size_t side = h->side;
    for (size_t j = 0; j < side; j++)
        for (size_t u = 0; u < FIELDS; u++) {
            int64_t sum = 0;
            for (size_t i = 0; i < side; i++)
                sum += h->cosines[u * side + i] * image[j * side + i];
            rows[j * FIELDS + u] = sum;
        }
    for (size_t v = 0; v < FIELDS; v++)
        for (size_t u = 0; u < FIELDS; u++) {
            int64_t sum = 0;
            for (size_t j = 0; j < side; j++)
                sum += h->cosines[v * side + j] * rows[j * FIELDS + u];
            low[FIELDS * v + u] = sum;
        }
    memcpy(sorted, low, sizeof low);
    qsort(sorted, FIELDS * FIELDS, sizeof *sorted, order_i64);
    const int64_t twice_median = sorted[31] + sorted[32];
    uint64_t code = 0;
    for (size_t b = 0; b < FIELDS * FIELDS; b++)
        code |= (uint64_t)(2 * low[b] > twice_median) << b;
    return code;
}

static int hasher_init(struct hasher *h, size_t dim, const char *name, struct error *err)
{
    const double pi = 3.14159265358979323846;
    size_t side = IMAGE_SIDE_MIN;
    while (side < IMAGE_SIDE_MAX && side * side < dim)
        side++;
    if (side * side != dim)
        return fail(err, ERR_DIMENSION,
                    "%s: %zu components are no square image of %d x %d to %d x %d pixels", name,
                    dim, IMAGE_SIDE_MIN, IMAGE_SIDE_MIN, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
    *h = (struct hasher){ side, malloc(FIELDS * side * sizeof *h->cosines) };
    if (!h->cosines)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", name);
    for (size_t u = 0; u < FIELDS; u++)
        for (size_t i = 0; i < side; i++)
            h->cosines[u * side + i] =
                llround(COSINE_ONE * cos(pi * (double)((2 * i + 1) * u) / (double)(2 * side)));
    return OK;
}

static int hash_all(const struct hasher *h, enum image_hash kind, size_t n, read_images *read,
                    void *from, uint64_t *codes, struct error *err)
{
    const size_t dim = h->side * h->side;
    uint8_t *images = malloc(BLOCK * dim);
    int rc = images ? OK : fail(err, ERR_NO_MEMORY, "out of memory for %d images", BLOCK);
    for (size_t first = 0, some; rc == OK && first < n; first += some) {
        some = n - first < BLOCK ? n - first : BLOCK;
        rc = read(from, first, some, images, err);
        for (size_t i = 0; rc == OK && i < some; i++)
            codes[first + i] = (kind == IMAGE_DHASH ? dhash : phash)(h, images + i * dim);
    }
    free(images);
    return rc;
}

static void close_codes(struct source *s)
{
    free(s->state);
}

int image_hash_open(enum image_hash kind, size_t n, size_t dim, read_images *read, void *from,
                    const char *name, struct source **out, struct error *err)
{
    struct hasher h = { 0 };
    struct source *s = source_new(name, err);
    int rc = s ? hasher_init(&h, dim, name, err) : err->code;
    if (rc == OK) {
        uint64_t *codes = calloc(n ? n : 1, sizeof *codes);
        s->n = n;
        s->dim = 64;
        s->element = INDEX_B64;
        s->rows = s->state = codes;
        s->close = close_codes;
        rc = codes ? hash_all(&h, kind, n, read, from, codes, err)
                   : fail(err, ERR_NO_MEMORY, "%s: out of memory for %zu codes", name, n);
    }
    free(h.cosines);
    if (rc == OK)
        rc = source_scan(s, err);
    if (rc == OK)
        *out = s;
    else
        source_close(s);
    return rc;
}
