/* faiss.h - shared by the four FAISS methods. FAISS is used through its C API; shim.h adds
 * functions that it lacks.
 *
 * Ids: ours are unsigned 64-bit numbers, FAISS's signed ones with the same bits; FAISS's -1 is our
 * INDEX_NO_ID. Cosine: rows and queries have unit length, where squared L2 is 2 - 2 cos, so FAISS
 * is given L2. */
#ifndef DRIFTLINE_FAISS_H
#define DRIFTLINE_FAISS_H

#include <faiss/c_api/Index_c.h>

#include "algorithms/common/baseline/baseline_file.h"
#include "algorithms/common/baseline/shim.h"
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

/* State of a method. `live` must equal FAISS's number of rows, which check() compares. */
struct faiss_method {
    struct index base;
    struct faiss_library library;  /* neither until it can be built */
    struct faiss_shim_shape shape; /* of the library, once it is there */
    void *params;                  /* the options */
    size_t live;
    bool trained_by_us; /* faiss-factory: train() was called; FAISS would keep its first centroids
                           without an error */
    int64_t k_factor;   /* if `shape` is refined: k times this many candidates are */
};

extern const struct index_space faiss_spaces[]; /* F32 under L2SQ, COS, IP */

FaissMetricType faiss_metric(enum metric);

enum { FAISS_CLUSTERING_SEED = 1234 }; /* FAISS's default of k-means */
/* FAISS's own default seed (`own`) if the experiment's seed is 1, the first one; otherwise a number
 * derived from both. */
int faiss_seed(const struct index_env *, int own);

/* fail() with ERR_BASELINE and FAISS's last message: "insert: FAISS: ...". */
int faiss_fail(const struct index_env *, const char *what);

/* Makes an index without a library; params: its options, NULL where they are read from a file. */
int faiss_open(struct index **out, const struct index_ops *, const struct index_env *,
               const void *params);
void faiss_method_destroy(struct index *);
/* Destroys *out, unless the code is OK. Returns the code. */
int faiss_made(struct index **out, int code);

/* All threads of env's pool. */
struct faiss_shim_threads faiss_threads(const struct index_env *);

/* Takes the library, and wraps it in an IDMap unless it stores ids. */
int faiss_take_library(struct faiss_method *, FaissIndex *library);

/* The operations of indexes without special cases. */
int faiss_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int faiss_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int faiss_search(struct index *, const struct search_request *, struct search_result *);
int faiss_range(struct index *, const struct range_request *, struct range_result *);
/* Counts `done` rows fewer; ERR_UNKNOWN_ID unless these are all n. */
int faiss_removed(struct faiss_method *, size_t done, size_t n);

/* Search without counting work. *passed: rows that passed the filter, NAN if FAISS cannot
 * report it. */
int faiss_find(struct faiss_method *, const struct search_request *, struct search_result *,
               double *passed);
/* Begins to count, and adds the work of nq queries for k answers each; passed: rows that passed the
   filter, if there was one. */
void faiss_count_begin(void);
void faiss_count(const struct faiss_method *, struct work *, size_t nq, size_t k, bool filtered,
                 double passed);

/* Delivers the results of a range search; scale is -1 if FAISS reports the inner product. */
int faiss_deliver(FaissRangeSearchResult *, size_t n_queries, float scale, struct range_result *);
int faiss_save(struct index *, const char *dir);
/* Loads to an index that was opened, or destroys it: `adopt` reads FAISS's file, or refuses it.
   faiss_adopt(): it must hold as many rows as were saved, of env's dimension. */
int faiss_load(struct index **, const char *dir,
               int (*adopt)(struct index *, const struct baseline_meta *, const char *path));
int faiss_adopt(struct index *, const struct baseline_meta *, const char *path);

int faiss_memory(const struct index *, struct memory_use *);
/* Checks row count, distinct ids, and that list sizes add up. */
int faiss_check(const struct index *, struct stat_sink *);
/* "rows"; for an inverted file "clusters", imbalance and a table of list sizes; for a hash its buckets. */
int faiss_stats(const struct index *, struct stat_sink *);
/* The lists of an inverted file with their ids; the ids of another index. */
int faiss_inspect(const struct index *, const struct structure_sink *);

#endif
