/* shim.h - functions that a fair comparison needs and FAISS's C API lacks. The shim*.cc files
 * implement them.
 *
 *   1 threads, seeds   2 structure of an index   3 filtered search   4 removal, memory, check
 *   5 HNSW that counts   6 binary indexes
 *
 * Functions that return int return OK or a code of error.h, with the message in `err`; no exception
 * leaves them. Filters and memory use are those of core/index.h; labels are the caller's ids. */
#ifndef DRIFTLINE_FAISS_SHIM_H
#define DRIFTLINE_FAISS_SHIM_H

#include <faiss/c_api/IndexBinary_c.h>
#include <faiss/c_api/Index_c.h>

#include "src/core/index.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An index of rows or of codes: one of the two is set, or neither. */
struct faiss_library {
    FaissIndex *rows;
    FaissIndexBinary *codes;
};

/* 1. Threads, seeds */

/* What a call may use; errors go to err. */
struct faiss_shim_threads {
    struct pool *pool;
    size_t threads; /* >= 1 */
    struct error *err;
};

/* Applies to the OpenMP regions that the calling thread enters from now on. */
void faiss_shim_set_threads(size_t threads);

/* search() and add_with_ids(). With several threads, scans of flat indexes, the centroids of an
   inverted file among them, are divided among the pool's; the rest is FAISS's OpenMP. */
int faiss_shim_search(const FaissIndex *, const struct faiss_shim_threads *, size_t n,
                      const float *queries, size_t k, float *distances, uint64_t *labels);
int faiss_shim_insert(FaissIndex *, const struct faiss_shim_threads *, size_t n, const float *rows,
                      const uint64_t *ids);

/* Seeds every k-means of an index (coarse quantizer, product quantizers) and silences FAISS's
   warnings on stderr about small training sets, which changes no result. */
void faiss_shim_set_seed(const struct faiss_library *, int seed);
/* train() with threads as insert has them, and the product quantizers inside OPQ also seeded and
   silenced. */
int faiss_shim_train(FaissIndex *, const struct faiss_shim_threads *, size_t n, const float *rows,
                     int seed);

/* 2. Structure of an index */

enum faiss_shim_scan {
    FAISSX_SCAN_EXACT,   /* compares full vectors */
    FAISSX_SCAN_CODES,   /* compares quantized ones */
    FAISSX_SCAN_UNKNOWN, /* FAISS does not report what it compares: graphs, quantizers that are
                            not flat */
};

struct faiss_shim_shape {
    size_t nlist;    /* inverted lists, which have nprobe; 0: none */
    bool own_ids;    /* stores the caller's ids itself; otherwise needs an IDMap */
    bool is_refined; /* RFlat or Refine(): exact distances to k * k_factor_rf candidates */
    bool is_hash;    /* a binary hash, which has nflip: its distances are counted separately */
    bool reads_past; /* reads up to 7 bytes past the last code */
    const char *no_remove, *no_range, *no_filter; /* why FAISS does not support it; NULL: it does */
    bool has_ef_search, has_quantizer_ef_search;
    enum faiss_shim_scan scan;
    size_t code_bytes;     /* bytes per row that a scan reads */
    size_t centroid_bytes; /* of one centroid */
};

void faiss_shim_get_shape(const struct faiss_library *, struct faiss_shim_shape *);

/* The number of rows in list `list` of an inverted file (inside transforms and id maps); list_ids
 * writes their ids. */
size_t faiss_shim_list_size(const struct faiss_library *, size_t list);
void faiss_shim_list_ids(const struct faiss_library *, size_t list, uint64_t *ids);
/* The ids of an enclosing IDMap, in the order of its rows; NULL if there is none. */
const uint64_t *faiss_shim_id_map(const struct faiss_library *, size_t *n);

/* 3. Filtered search, for indexes whose no_filter is NULL; nprobe is the index's own. *passed: rows
   that passed the filter and were compared; correct on one thread only. */
int faiss_shim_search_filtered(const FaissIndex *, size_t n, const float *queries, size_t k,
                               const struct id_filter *, float *distances, uint64_t *labels,
                               uint64_t *passed, struct error *err);
int faiss_shim_range_filtered(const FaissIndex *, size_t n, const float *queries, float radius,
                              const struct id_filter *, FaissRangeSearchResult *, uint64_t *passed,
                              struct error *err);

/* 4. Removal, memory, check */

/* Maintains a map from ids to places, so that removing n rows takes n lookups instead of a scan of
   all rows. */
int faiss_shim_use_hashtable(FaissIndex *, struct error *err);
int faiss_shim_remove_by_hashtable(FaissIndex *, const uint64_t *ids, size_t n, size_t *removed,
                                   struct error *err);

/* Adds the memory of the index, by the capacity of its arrays. */
void faiss_shim_memory(const struct faiss_library *, struct memory_use *);

/* 5. IndexHNSWFlat whose storage counts the distances of searches, including upper levels.
   FAISS 1.7.3's own hnsw_stats leave ndis at 0 and cover level 0 only. Arithmetic and order
   are IndexFlat's. */
int faiss_shim_hnsw_new(FaissIndex **, size_t dim, FaissMetricType, int M, int ef_construction,
                        uint64_t seed, struct error *err);
/* Makes an index that was read from a file count distances; `seed` as for a new one. ERR_CORRUPT if
 * it is not an IndexHNSWFlat. */
int faiss_shim_hnsw_adopt(FaissIndex *, uint64_t seed, struct error *err);
void faiss_shim_hnsw_set_ef(FaissIndex *, int ef_search);
uint64_t faiss_shim_hnsw_take_distances(const FaissIndex *); /* since the last call */
/* Number of links on all levels, and the highest level. */
void faiss_shim_hnsw_graph(const FaissIndex *, size_t *links, int *max_level);

/* 6. Binary indexes, which the C API can use but not create */

int faiss_shim_binary_factory(FaissIndexBinary **, int bits, const char *description,
                              struct error *err);
/* Wraps the index in an IDMap, which then owns it. On failure *index is unchanged. */
int faiss_shim_binary_add_id_map(FaissIndexBinary **index, struct error *err);
/* Sets the knob that this kind of index has: nprobe, ef_search or nflip. nflip is limited to the number of
   bits of a hash: with more, FAISS would loop for ever. */
void faiss_shim_binary_set_knob(FaissIndexBinary *, int64_t value);
uint64_t faiss_shim_binary_take_hash_distances(void); /* since the last call */

/* For a BHash, or all tables of a MultiHash; zeros for other indexes. */
struct faiss_shim_buckets {
    size_t tables, buckets, entries, largest;
};
void faiss_shim_binary_buckets(const FaissIndexBinary *, struct faiss_shim_buckets *);
void faiss_shim_binary_hash_ids(const FaissIndexBinary *, uint64_t *ids); /* of a BHash: all ids */

int faiss_shim_binary_write(const FaissIndexBinary *, const char *path, struct error *err);
/* On failure *index is NULL. */
int faiss_shim_binary_read(FaissIndexBinary **index, const char *path, struct error *err);

#ifdef __cplusplus
}
#endif
#endif
