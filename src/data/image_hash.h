/* image_hash.h - 64-bit perceptual hashes of small square grey images: real, skewed codes for those who have the
 * images and not the codes.
 *
 *   dhash   the image shrunk to 9 x 8 by area averages; bit 8 y + x is set where field (x + 1, y) is brighter than (x, y).
 *   phash   the discrete cosine transform (DCT-II, not normalised) of the image, of which the 8 x 8 lowest frequencies
 *           count; bit 8 v + u is set where coefficient (u, v) is above the median of the 64. The usual form shrinks the
 *           image to 32 x 32 first; these are about that size already.
 *
 * Integer arithmetic: the same codes on every machine. An image of one colour has dhash 0.
 */
#ifndef DRIFTLINE_IMAGE_HASH_H
#define DRIFTLINE_IMAGE_HASH_H

#include "source.h"

enum image_hash { IMAGE_DHASH, IMAGE_PHASH, IMAGE_HASHES };

const char *image_hash_name(enum image_hash); /* "dhash" */

enum { IMAGE_SIDE_MIN = 9, IMAGE_SIDE_MAX = 256 };

/* Reads images [first, first + n), dim bytes each, row by row of pixels. */
typedef int read_images(void *from, size_t first, size_t n, uint8_t *out, struct error *);

/* The hashes of n images of dim = side x side pixels, in order, as a source of b64 rows; the images are read once,
   here. ERR_DIMENSION where dim is no square of IMAGE_SIDE_MIN .. IMAGE_SIDE_MAX; what read() returns. */
int image_hash_open(enum image_hash, size_t n, size_t dim, read_images *read, void *from,
                    const char *name, struct source **out, struct error *);

#endif
