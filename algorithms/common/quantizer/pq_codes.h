/* pq_codes.h - product quantization for vectors that are read one at a time, in any order, as a
 * search of a graph does: a code is `groups` bytes of its own, not a place in a block.
 *
 * The quantizer is one of kind QUANTIZER_PQ with pq_bits = 8, trained on one centroid, the mean of
 * the rows. Distances are squared L2, and have no bound. Vectors are transformed
 * (quantizer_transform()). */
#ifndef DRIFTLINE_COMMON_QUANTIZER_PQ_CODES_H
#define DRIFTLINE_COMMON_QUANTIZER_PQ_CODES_H

#include "algorithms/common/quantizer/quantizer.h"

enum { PQ_CODES_WORDS = 256 };

/* Trains such a quantizer on n rows. groups: 1 .. env->dim. ERR_NO_MEMORY. */
int pq_codes_train(struct quantizer **out, const struct index_env *, uint64_t seed, size_t groups,
                   const float *rows, size_t n);
/* As quantizer_field(), and a quantizer that is read is such a one. */
int pq_codes_field(struct store_fields *, const char *tag, const struct index_env *,
                   struct quantizer **q);
size_t pq_codes_bytes(const struct quantizer *); /* of a code: groups */

void pq_codes_put(const struct quantizer *, const float *transformed, uint8_t *code);
/* The transformed vector that the code stands for; work_dim floats. */
void pq_codes_get(const struct quantizer *, const uint8_t *code, float *transformed);

/* Prepares a query: groups x PQ_CODES_WORDS floats. */
void pq_codes_query(const struct quantizer *, const float *transformed, float *table);
/* Distances of the query from the codes with these numbers in the array `codes`. */
void pq_codes_distances(const struct quantizer *, const float *table, const uint8_t *codes,
                        const uint32_t *numbers, size_t n, float *distances);

#endif
