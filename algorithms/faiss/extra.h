/* extra.h - what a fair comparison needs of FAISS and its C API does not offer. extra.cc is the C++
 * behind it.
 *
 *   1 threads, seeds   2 what an index is made of   3 filtered search   4 removal, memory, check
 *   5 HNSW that counts   6 binary indexes
 *
 * Functions that return int give OK or a code of error.h, the sentence in `err`; no exception
 * leaves them. Filters and memory use are those of core/index.h; labels are the caller's ids.
 */
#ifndef DRIFTLINE_FAISS_EXTRA_H
#define DRIFTLINE_FAISS_EXTRA_H

#include <faiss/c_api/IndexBinary_c.h>
#include <faiss/c_api/Index_c.h>

#include "src/core/index.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1. Threads, seeds */

/* For the OpenMP regions that the calling thread enters from now on. */
void faissx_set_threads(size_t threads);

/* Seeds every k-means of an index (coarse quantiser, product quantisers) and silences FAISS's
   advice on stderr about small training sets, which changes no result. */
void faissx_set_seed(FaissIndex *, int seed);
void faissx_binary_set_seed(FaissIndexBinary *, int seed);
/* train(), with the product quantisers inside OPQ seeded and silenced as the others are. */
int faissx_train(FaissIndex *, size_t n, const float *rows, int seed, struct error *err);

/* 2. What an index is made of */

enum faissx_scan {
    FAISSX_SCAN_EXACT,   /* compares full vectors */
    FAISSX_SCAN_CODES,   /* compares quantised ones */
    FAISSX_SCAN_UNKNOWN, /* FAISS does not tell what it compares: graphs, quantisers that are not
                            flat */
};

struct faissx_shape {
    size_t nlist;    /* inverted lists; 0: none */
    bool own_ids;    /* keeps the caller's ids itself; else it wants an IDMap in front */
    bool is_refined; /* RFlat or Refine(): exact distances to k * k_factor candidates */
    bool is_hash;    /* a binary hash: its distances are counted apart */
    bool reads_past; /* up to 7 bytes past the last code it is given */
    const char *no_remove, *no_range, *no_filter; /* why FAISS cannot; NULL: it can */
    bool has_nprobe, has_ef_search, has_quantizer_ef_search, has_k_factor_rf, has_nflip;
    enum faissx_scan scan;
    size_t code_bytes;     /* that a scan reads of a row */
    size_t centroid_bytes; /* of one centroid */
};

void faissx_get_shape(const FaissIndex *, struct faissx_shape *);
void faissx_get_binary_shape(const FaissIndexBinary *, struct faissx_shape *);

/* Rows of list `list`, of an index that has them (through transforms and id maps); its ids if ids
 * is not NULL. */
size_t faissx_list_size(const FaissIndex *, size_t list);
size_t faissx_binary_list_size(const FaissIndexBinary *, size_t list);
void faissx_list_ids(const FaissIndex *, size_t list, uint64_t *ids);
void faissx_binary_list_ids(const FaissIndexBinary *, size_t list, uint64_t *ids);

/* The ids of an IDMap in front, in the order of its rows; NULL if there is none. */
const uint64_t *faissx_id_map(const FaissIndex *, size_t *n);
const uint64_t *faissx_binary_id_map(const FaissIndexBinary *, size_t *n);

/* 3. Filtered search, for indexes whose no_filter is NULL: nprobe is the index's own. *passed: rows
   that the filter let through and FAISS compared; right on one thread only. */
int faissx_search_filtered(const FaissIndex *, size_t n, const float *queries, size_t k,
                           const struct id_filter *, float *distances, uint64_t *labels,
                           uint64_t *passed, struct error *err);
int faissx_range_filtered(const FaissIndex *, size_t n, const float *queries, float radius,
                          const struct id_filter *, FaissRangeSearchResult *, uint64_t *passed,
                          struct error *err);

/* 4. Removal, memory, check */

/* Keeps id -> place, so that removing n rows costs n look-ups instead of a scan of all rows. */
int faissx_use_hashtable(FaissIndex *, struct error *err);
int faissx_remove_by_hashtable(FaissIndex *, const uint64_t *ids, size_t n, size_t *removed,
                               struct error *err);

/* Adds what the index holds, by the capacity of its arrays. */
void faissx_memory(const FaissIndex *, struct memory_use *);
void faissx_binary_memory(const FaissIndexBinary *, struct memory_use *);

/* 5. IndexHNSWFlat whose storage counts the distances of searches, upper levels included;
   FAISS 1.7.3's own hnsw_stats leave ndis at 0 and know level 0 only. Arithmetic and order are
   IndexFlat's. */
int faissx_hnsw_new(FaissIndex **, size_t dim, FaissMetricType, int M, int ef_construction,
                    uint64_t seed, struct error *err);
/* Makes an index that was read from a file count; `seed` as for a new one. ERR_CORRUPT if it is no
 * IndexHNSWFlat. */
int faissx_hnsw_adopt(FaissIndex *, uint64_t seed, struct error *err);
uint64_t faissx_hnsw_take_distances(const FaissIndex *); /* since the last call */
/* Number of links on all levels, and the highest level. */
void faissx_hnsw_graph(const FaissIndex *, size_t *links, int *max_level);

/* 6. Binary indexes, which the C API can use but not make */

int faissx_binary_factory(FaissIndexBinary **, int bits, const char *description,
                          struct error *err);
/* An IDMap around the index, which it owns from then on. On failure *index is unchanged. */
int faissx_binary_add_id_map(FaissIndexBinary **index, struct error *err);
void faissx_binary_set_nprobe(FaissIndexBinary *, size_t nprobe);
void faissx_binary_set_ef_search(FaissIndexBinary *, int ef_search);
/* More flips than a hash has bits are as many as it has: FAISS would enumerate for ever. */
void faissx_binary_set_nflip(FaissIndexBinary *, int nflip);
uint64_t faissx_binary_take_hash_distances(void); /* since the last call */

/* Of a BHash, or all tables of a MultiHash; zeros for other indexes. */
struct faissx_buckets {
    size_t tables, buckets, entries, largest;
};
void faissx_binary_buckets(const FaissIndexBinary *, struct faissx_buckets *);
void faissx_binary_hash_ids(const FaissIndexBinary *, uint64_t *ids); /* of a BHash: all */

int faissx_binary_write(const FaissIndexBinary *, const char *path, struct error *err);
/* On failure *index is NULL. */
int faissx_binary_read(FaissIndexBinary **index, const char *path, struct error *err);

#ifdef __cplusplus
}
#endif
#endif
