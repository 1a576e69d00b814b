/* faiss.h - what the four FAISS methods share. FAISS is used through its C API; extra.h adds what
 * that lacks.
 *
 * Ids: ours are 64 unsigned bits, FAISS's 64 signed ones, the bits are the same; FAISS's -1 is our
 * ID_NONE. Cosine: rows and queries arrive with unit length, and there squared L2 is 2 - 2 cos, so
 * FAISS is given L2.
 */
#ifndef DRIFTLINE_FAISS_H
#define DRIFTLINE_FAISS_H

#include <faiss/c_api/Index_c.h>

#include "algorithms/faiss/extra.h"
#include "src/core/index.h"

/* error_c.h declares it, but also an OK of its own. */
const char *faiss_get_last_error(void);

/* The Makefile says so where the FAISS in use was compiled without AVX. */
#ifdef FAISS_NO_SIMD
#define FAISS_FLAGS INDEX_NO_SIMD
#else
#define FAISS_FLAGS 0
#endif

/* State of a method that holds one float index. `live` is what FAISS must hold too: check()
 * compares. */
struct faiss_method {
    struct index base;
    FaissIndex *peer; /* NULL until it can be built */
    size_t live;
};

extern const struct index_space faiss_spaces[]; /* F32 under L2SQ, COS, IP */

FaissMetricType faiss_metric(enum metric);

/* The seed FAISS itself would use (`own`) at the first seed of an experiment, 1; a number drawn
 * from both at others. */
int faiss_seed(const struct index_env *, int64_t chosen, int own);

/* fail() with ERR_PEER and FAISS's last sentence: "insert: FAISS: ...". */
int faiss_fail(const struct index_env *, const char *what);

/* State of `bytes`, zeroed, with env copied; ERR_NO_MEMORY. */
int faiss_method_new(struct index **, size_t bytes, const struct index_ops *,
                     const struct index_env *);
void faiss_method_destroy(struct index *);

/* An IDMap around *peer, which it owns from then on. */
int faiss_add_id_map(const struct index_env *, FaissIndex **peer);

/* The operations where nothing is special about an index. */
int faiss_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int faiss_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);

/* Searches without counting work. *passed: rows let through by the filter, NAN where FAISS cannot
 * tell. */
int faiss_search(struct faiss_method *, const struct search_request *, struct search_result *,
                 double *passed);
int faiss_range(struct faiss_method *, const struct range_request *, struct range_result *,
                double *passed);

/* Fills an answer with ID_NONE. */
void faiss_no_answers(const struct search_request *, struct search_result *);
/* Delivers what a range search found; scale is -1 where FAISS reports the inner product. */
int faiss_deliver(FaissRangeSearchResult *, size_t n_queries, float scale, struct range_result *);
/* Our order: nearest first, equal distances by id. FAISS leaves equals as its heap had them. */
void faiss_order_ties(uint64_t *ids, float *distances, size_t n_queries, size_t k);

/* Adds the work of nq queries by shape; `rows` were scanned in all, `passed` of them compared (NAN:
   unknown), refined candidates re-ranked. */
void faiss_add_work(struct work *, const struct faissx_shape *, size_t nq, double rows,
                    double refined, size_t full_row_bytes);
/* Distances of FAISS's IVF statistics since the last call. */
double faiss_take_ivf_distances(void);

int faiss_write(const struct index *, const char *path);
/* Reads the peer's file and checks that it holds `rows` rows of env's dimension. */
int faiss_read(const struct index_env *, const char *path, uint64_t rows, FaissIndex **);

int faiss_memory(const struct index *, struct memory_use *);
/* Row count, distinct ids, list sizes that add up. */
int faiss_check(const struct index *, struct stat_sink *);
int faiss_check_ids(const struct index_env *, const uint64_t *ids, size_t n, size_t live);
/* "rows", and of an inverted file "clusters", imbalance and a table of list sizes. */
int faiss_stats(const struct index *, struct stat_sink *);
void faiss_list_stats(struct stat_sink *, const size_t *sizes, size_t nlist);

#endif
