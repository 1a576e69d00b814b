/* image_hash.h - 64-bit perceptual hashes of small square grey images: real, skewed codes for users
 * who have images but no codes.
 *
 *   dhash   The image is reduced to 9 x 8 fields by area averages. Bit 8 y + x is set if field
 *           (x + 1, y) is brighter than field (x, y).
 *   phash   The discrete cosine transform of the image (DCT-II, not normalised); its 8 x 8 lowest
 *           frequencies count. Bit 8 v + u is set if coefficient (u, v) is above the median of the
 *           64. The usual form first reduces the image to 32 x 32; these images have about that
 *           size.
 *
 * The arithmetic is on integers, so codes are the same on every machine. An image of one colour has
 * dhash 0.
 */
#ifndef DRIFTLINE_IMAGE_HASH_H
#define DRIFTLINE_IMAGE_HASH_H

#include "src/data/source/source.h"

enum image_hash { IMAGE_DHASH, IMAGE_PHASH, IMAGE_HASHES };

const char *image_hash_name(enum image_hash); /* "dhash" */

enum { IMAGE_SIDE_MIN = 9, IMAGE_SIDE_MAX = 256 };

/* Reads images first .. first + n - 1 into out: dim bytes each, row by row. OK or an error code. */
typedef int read_images(void *from, size_t first, size_t n, uint8_t *out, struct error *);

/* The hashes of n images of dim = side x side pixels, in order, as a source of b64 rows, which the
   caller closes. Reads the images once, in this call. ERR_DIMENSION unless dim is the square of a
   side IMAGE_SIDE_MIN .. IMAGE_SIDE_MAX; ERR_NO_MEMORY; errors of read(). */
int image_hash_open(enum image_hash, size_t n, size_t dim, read_images *read, void *from,
                    const char *name, struct source **out, struct error *);

#endif
