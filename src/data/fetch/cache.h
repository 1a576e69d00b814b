/* cache.h - the cache of converted data: an npy file that is mapped, and NAME.npy.meta,
 * which validates it.
 *
 * The meta file holds the content hash, which is checked whenever the npy is opened, and a key:
 * what the data were made from and how. Another key, a missing meta file or an npy of another size
 * is a miss, not an error. Other content is an error. The npy is renamed into place before the meta
 * file, so a crash in between leaves a miss.
 */
#ifndef DRIFTLINE_DATA_FETCH_CACHE_H
#define DRIFTLINE_DATA_FETCH_CACHE_H

#include "src/data/files/file.h"

/* Creates the cache folder if it does not exist, for its owner alone. Its files are trusted, so it
 * must belong to the user, and nobody else may be able to write or replace it. path NULL: no folder
 * is known, ERR_CONFIG. ERR_CONFIG, ERR_IO. */
int cache_prepare(const char *path, struct error *);

/* Opens the rows of an npy under its key; *out is NULL on a miss, else the caller closes it.
   numbers: as in struct file_options. ERR_CORRUPT, ERR_IO, ERR_NO_MEMORY. */
int cache_open(const char *npy, const char *key, const char *name, bool numbers,
               struct source **out, struct error *);

/* Writes s to npy under the key, which is one line. The caller holds the lock. */
int cache_store(const struct source *s, const char *npy, const char *key,
                const struct data_progress *, struct error *);

/* Waits for an exclusive lock on the file `path`, which is created if missing; all processes share
 * it. cache_unlock() releases it; a negative lock is ignored. */
int cache_lock(const char *path, int *lock, struct error *);
void cache_unlock(int lock);

#endif
