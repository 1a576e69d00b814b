/* cache.h - converted data: an npy that is mapped, and beside it NAME.npy.meta, which vouches for
 * it.
 *
 * The meta file holds the content hash, which is checked whenever the npy is opened, and a key:
 * what the data were made from and how. Another key, a missing meta file or an npy of another size
 * is a miss, never an error; another content is an error. The npy is renamed into place first and
 * the meta file after it, so a crash leaves a miss.
 */
#ifndef DRIFTLINE_CACHE_H
#define DRIFTLINE_CACHE_H

#include "file.h"

/* Makes the cache folder if need be, for its owner alone. What lies in it is trusted, so it must be
 * a folder of the user's own that nobody else can write or replace. NULL: there is no place for
 * one. ERR_CONFIG, ERR_IO. */
int cache_prepare(const char *path, struct error *);

/* *out is NULL on a miss. ERR_CORRUPT, ERR_IO, ERR_NO_MEMORY. */
int cache_open(const char *npy, const char *key, const char *name, struct source **out,
               struct error *);

/* Writes s to npy under the key. key: one line. Call with the lock held. */
int cache_store(const struct source *s, const char *npy, const char *key,
                const struct data_progress *, struct error *);

/* Waits for the one lock on `path` (created if need be) that all processes share; cache_unlock()
 * lets the next in. */
int cache_lock(const char *path, int *lock, struct error *);
void cache_unlock(int lock);

#endif
