/* faiss.h - shared by the four FAISS methods. FAISS is used through its C API; shim.h adds
 * functions that it lacks.
 *
 * Ids: ours are unsigned 64-bit numbers, FAISS's signed ones with the same bits; FAISS's -1 is our
 * INDEX_NO_ID. Cosine: rows and queries have unit length, where squared L2 is 2 - 2 cos, so FAISS
 * is given L2. */
#ifndef DRIFTLINE_FAISS_H
#define DRIFTLINE_FAISS_H

#include <faiss/c_api/Index_c.h>

#include "algorithms/faiss/shim.h"
#include "src/core/index.h"

/* error_c.h declares it, but also an OK of its own. */
const char *faiss_get_last_error(void);

/* The Makefile defines FAISS_NO_SIMD if the FAISS in use was compiled without AVX. */
#ifdef FAISS_NO_SIMD
#define FAISS_FLAGS INDEX_NO_SIMD
#else
#define FAISS_FLAGS 0
#endif

/* State of a method that holds one float index. `live` must equal FAISS's number of rows, which
 * check() compares. */
struct faiss_method {
    struct index base;
    FaissIndex *library; /* NULL until it can be built */
    size_t live;
};

extern const struct index_space faiss_spaces[]; /* F32 under L2SQ, COS, IP */

FaissMetricType faiss_metric(enum metric);

/* FAISS's own default seed (`own`) if the experiment's seed is 1, the first one; otherwise a number
 * derived from both. */
int faiss_seed(const struct index_env *, int own);

/* fail() with ERR_BASELINE and FAISS's last message: "insert: FAISS: ...". */
int faiss_fail(const struct index_env *, const char *what);

/* Allocates a zeroed state of `bytes` with a copy of env; ERR_NO_MEMORY. */
int faiss_method_new(struct index **, size_t bytes, const struct index_ops *,
                     const struct index_env *);
void faiss_method_destroy(struct index *);

/* All threads of env's pool. */
struct faiss_shim_threads faiss_threads(const struct index_env *);

/* Wraps *library in an IDMap, which then owns it. */
int faiss_add_id_map(const struct index_env *, FaissIndex **library);

/* The operations of indexes without special cases. */
int faiss_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int faiss_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);

/* Search without counting work. *passed: rows that passed the filter, NAN if FAISS cannot
 * report it. */
int faiss_search(struct faiss_method *, const struct search_request *, struct search_result *,
                 double *passed);
int faiss_range(struct faiss_method *, const struct range_request *, struct range_result *,
                double *passed);

/* Fills a result with INDEX_NO_ID. */
/* Delivers the results of a range search; scale is -1 if FAISS reports the inner product. */
int faiss_deliver(FaissRangeSearchResult *, size_t n_queries, float scale, struct range_result *);
/* Orders results nearest first, equal distances by id. FAISS leaves equals in the order of
   its heap. */
void faiss_order_ties(uint64_t *ids, float *distances, size_t n_queries, size_t k);

/* Adds the work of nq queries by shape: `rows` were scanned in all, `passed` of them compared (NAN:
   unknown), `refined` candidates re-ranked. */
void faiss_add_work(struct work *, const struct faiss_shim_shape *, size_t nq, double rows,
                    double refined, size_t full_row_bytes);
/* Distances in FAISS's IVF statistics since the last call. */
double faiss_take_ivf_distances(void);

int faiss_write(const struct index *, const char *path);
/* Reads an index from a file and checks that it holds `rows` rows of env's dimension. */
int faiss_read(const struct index_env *, const char *path, uint64_t rows, FaissIndex **);

int faiss_memory(const struct index *, struct memory_use *);
/* Checks row count, distinct ids, and that list sizes add up. */
int faiss_check(const struct index *, struct stat_sink *);
int faiss_check_ids(const struct index_env *, const uint64_t *ids, size_t n, size_t live);
/* "rows", and for an inverted file "clusters", imbalance and a table of list sizes. */
int faiss_stats(const struct index *, struct stat_sink *);
void faiss_list_stats(struct stat_sink *, const size_t *sizes, size_t nlist);
/* The lists of an inverted file with their ids; the ids of another index. */
int faiss_inspect(const struct index *, const struct structure_sink *);

#endif
