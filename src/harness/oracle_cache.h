/* oracle_cache.h - truths on disk, each under a hash of everything it depends on.
 *
 * A file holds ranks, not ids: the r-th live id in ascending order. So the same rows asked the same
 * queries find their truth whatever ids they have. Little-endian, in this order:
 *
 *     u64 magic, key low, key high, queries, entries
 *     u64 starts[queries + 1]
 *     { u64 rank; f64 distance } entries, a query's nearest first
 *     HMAC-SHA256 of all before it, 4 u64
 *
 * The code's key is drawn at random into DIR/key, for its owner only: who can write to the folder but not read that
 * file cannot make a truth that is believed.
 */
#ifndef DRIFTLINE_ORACLE_CACHE_H
#define DRIFTLINE_ORACLE_CACHE_H

#include <xxhash.h>

#include "oracle_scan.h"

/* Reads the truth of n_queries queries into known[] (horizons untouched): items by id of ids[0
   .. n-1], the live ids. false: not there, or damaged, in which case a sentence is in `note`
   (else it is empty). */
bool truth_load(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                struct neighbours *known, size_t n_queries, size_t most, struct error *note);
/* Writes the first `most` of each query, through a temporary file and a rename. A cache that
   cannot be written is no failure: the reason is in `note`. */
void truth_store(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                 const struct neighbours *known, size_t n_queries, size_t most, struct error *note);

#endif
