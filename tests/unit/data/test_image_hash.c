/* test_image_hash.c - image hashes against their definitions, computed
 * directly in double precision. */
#include <math.h>

#include "src/data/image_hash.h"
#include "tests/support/testing.h"

enum { MOST = 40, SIDE_MOST = 40 };

struct images {
    uint8_t pixels[MOST][SIDE_MOST * SIDE_MOST];
    size_t dim, reads;
};

static int read_some(void *from, size_t first, size_t n, uint8_t *out, struct error *err)
{
    struct images *images = from;
    images->reads += n;
    if (first + n > MOST)
        return fail(err, ERR_IO, "no such images");
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * images->dim, images->pixels[first + i], images->dim);
    return OK;
}

static const uint64_t *codes_of(enum image_hash kind, struct images *images, size_t n,
                                struct source **s)
{
    struct error err = { 0 };
    assert_ok(image_hash_open(kind, n, images->dim, read_some, images, "test", s, &err), &err);
    assert_int_equal((*s)->n, n);
    assert_int_equal((*s)->dim, 64);
    assert_int_equal((*s)->element, INDEX_B64);
    return (*s)->rows;
}

/* A pixel's share of a field, where both divide the unit square. */
static double share(size_t p, size_t side, size_t f, size_t fields)
{
    const double low = fmax((double)p / (double)side, (double)f / (double)fields);
    const double high = fmin((double)(p + 1) / (double)side, (double)(f + 1) / (double)fields);
    return fmax(0, high - low);
}

static double field(const uint8_t *image, size_t side, size_t x, size_t y)
{
    double sum = 0;
    for (size_t j = 0; j < side; j++)
        for (size_t i = 0; i < side; i++)
            sum += share(i, side, x, 9) * share(j, side, y, 8) * image[j * side + i];
    return sum;
}

static double coefficient(const uint8_t *image, size_t side, size_t u, size_t v)
{
    const double pi = acos(-1);
    double sum = 0;
    for (size_t j = 0; j < side; j++)
        for (size_t i = 0; i < side; i++)
            sum += image[j * side + i] * cos(pi * ((double)i + .5) * (double)u / (double)side) *
                   cos(pi * ((double)j + .5) * (double)v / (double)side);
    return sum;
}

/* Where the compared numbers are nearly equal, either bit is accepted. */
static void expect_bit(uint64_t code, size_t bit, double over, double margin)
{
    if (fabs(over) > margin)
        assert_int_equal(code >> bit & 1, over > 0);
}

static void expect_dhash(uint64_t code, const uint8_t *image, size_t side)
{
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 8; x++)
            expect_bit(code, 8 * y + x, field(image, side, x + 1, y) - field(image, side, x, y),
                       1e-9);
}

static void expect_phash(uint64_t code, const uint8_t *image, size_t side)
{
    double low[64], sorted[64];
    for (size_t b = 0; b < 64; b++)
        sorted[b] = low[b] = coefficient(image, side, b % 8, b / 8);
    qsort(sorted, 64, sizeof *sorted, test_by_double);
    /* Cosines are rounded to 1/16384: no coefficient is off by more than 255 side^2 / 16384. */
    const double margin = 255.0 * (double)(side * side) / 16384;
    for (size_t b = 0; b < 64; b++)
        expect_bit(code, b, low[b] - (sorted[31] + sorted[32]) / 2, 2 * margin);
}

static void test_against_the_definitions(void **state)
{
    static const size_t sides[] = { 9, 16, 28, 32, 40 };
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        const size_t side = sides[s];
        struct rng r = rng_at(test_seed(), s);
        struct images *images = calloc(1, sizeof *images);
        struct source *dhash, *phash;
        assert_non_null(images);
        images->dim = side * side;
        for (size_t n = 0; n < MOST; n++)
            for (size_t p = 0; p < images->dim; p++)
                images->pixels[n][p] = rng_unit(&r) < .5 ? 0 : (uint8_t)rng_below(&r, 256);
        const uint64_t *d = codes_of(IMAGE_DHASH, images, MOST, &dhash);
        const uint64_t *p = codes_of(IMAGE_PHASH, images, MOST, &phash);
        assert_int_equal(images->reads, 2 * MOST);
        for (size_t n = 0; n < MOST; n++) {
            expect_dhash(d[n], images->pixels[n], side);
            expect_phash(p[n], images->pixels[n], side);
            assert_int_equal(__builtin_popcountll(p[n]), 32);
        }
        source_close(dhash);
        source_close(phash);
        free(images);
    }
}

static void test_plain_images(void **state)
{
    struct images *images = calloc(1, sizeof *images);
    struct source *s;
    assert_non_null(images);
    images->dim = 28 * 28;
    for (size_t p = 0; p < images->dim; p++) {
        images->pixels[0][p] = 200;                          /* one colour */
        images->pixels[1][p] = (uint8_t)(8 * (p % 28));      /* brighter to the right */
        images->pixels[2][p] = (uint8_t)(8 * (27 - p % 28)); /* and to the left */
        /* one column, half way down */
        images->pixels[3][p] = p / 28 < 14 && p % 28 == 27 ? 255 : 0;
    }
    const uint64_t *codes = codes_of(IMAGE_DHASH, images, 4, &s);
    assert_int_equal(codes[0], 0);
    assert_true(codes[1] == UINT64_MAX);
    assert_int_equal(codes[2], 0);
    assert_true(codes[3] == UINT64_C(0x80808080));
    source_close(s);
    free(images);
}

static void test_what_is_no_image(void **state)
{
    static const size_t dims[] = { 64, 80, 82, 785, 257 * 257 };
    struct images *images = calloc(1, sizeof *images);
    assert_non_null(images);
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        struct source *s = NULL;
        struct error err = { 0 };
        assert_code(image_hash_open(IMAGE_DHASH, 3, dims[i], read_some, images, "test", &s, &err),
                    ERR_DIMENSION, &err);
        assert_null(s);
    }
    struct source *s = NULL;
    struct error err = { 0 };
    images->dim = 81;
    assert_code(image_hash_open(IMAGE_PHASH, MOST + 1, 81, read_some, images, "test", &s, &err),
                ERR_IO, &err); /* the error of reading */
    assert_null(s);
    free(images);
}

int main(void)
{
    return test_run_all("data_image_hash", test_against_the_definitions, test_plain_images,
                        test_what_is_no_image);
}
