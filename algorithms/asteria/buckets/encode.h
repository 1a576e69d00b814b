/* encode.h - encoding of rows by a model, and access to stored rows for the graph and the tree. */
#ifndef DRIFTLINE_ASTERIA_BUCKETS_ENCODE_H
#define DRIFTLINE_ASTERIA_BUCKETS_ENCODE_H

#include "algorithms/asteria/asteria.h"

/* A row as a unit vector of floats; to: dim floats, used if the row's elements are bytes. */
const float *asteria_unit(const struct index_env *, const void *row, float *to);
/* The same, always in `to`. */
void asteria_unit_copy(const struct index_env *, const void *row, float *to);
/* Encodes n rows into the caller's arrays: units n x dim (for u8 rows), z n x out_dim, p n x m. */
int asteria_encode(const struct asteria *, const struct asteria_model *, const void *rows, size_t n,
                   float *units, float *z, float *p, struct asteria_encoding *out);

/* 2 - 2 cos of a query and a stored row, both as given by the user. */
float asteria_distance(const struct index_env *, const void *query, const void *row);
void asteria_distances(const struct index_env *, const void *query, const void *const *rows,
                       size_t n, float *distances);

/* file.c. Generation g of a file. Reading: slots must have been read. ERR_VERSION: model and rows
   have different versions. */
void asteria_generation_write(const struct asteria *, unsigned g, struct store_writer *);
int asteria_generation_read(struct asteria *, unsigned g, const struct store_reader *);

/* The rows for caprg.h and bec.h; `to` is the struct asteria. */
struct asteria_caprg_rows asteria_graph_rows(struct asteria *);
struct asteria_bec_options asteria_bec_options(struct asteria *, const struct asteria_model *);

#endif
