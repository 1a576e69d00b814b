/* cache.h - ground truth on disk; a file is named by a hash of everything that it depends on.
 *
 * A file stores ranks instead of ids: rank r is the r-th live id in ascending order. So the same
 * rows and queries share a file even if their ids differ. Little-endian, in this order:
 *
 *     u64 magic, key low, key high, queries, entries
 *     u64 starts[queries + 1]
 *     { u64 rank; f64 distance } entries, a query's nearest first
 *     HMAC-SHA256 of all before it, 4 u64
 *
 * The HMAC key is random, in DIR/key, which only its owner can read. A user who can write to the
 * folder but not read the key cannot forge a file. */
#ifndef DRIFTLINE_TRUTH_CACHE_H
#define DRIFTLINE_TRUTH_CACHE_H

#include <xxhash.h>

#include "src/truth/scan.h"

/* Hash of queries, k or radius, and filter. Both functions return 0 if out of memory. */
XXH128_hash_t truth_query_key(const struct op_list *, const struct op *);
/* Hash of queries, k or radius, and the rows of the n ids that are searched. */
XXH128_hash_t truth_key(const struct live_state *asked, const struct op *, const uint64_t *ids,
                        size_t n);

/* Reads the neighbours of n_queries queries, at most `most` each, into known[]; does not set the
   horizons. ids: the n live ids, ascending. Returns false if there is no file, or, with a message
   in `note`, if it is damaged. */
bool truth_load(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                struct neighbours *known, size_t n_queries, size_t most, struct error *note);
/* Writes the first `most` neighbours of each query, through a temporary file and a rename. If the
   file cannot be written, the reason is in `note`. */
void truth_store(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                 const struct neighbours *known, size_t n_queries, size_t most, struct error *note);

#endif
