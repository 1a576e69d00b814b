/* peer_file.h - a saved index of a peer library: the peer's own file, and a small one that vouches
 * for it.
 *
 * A folder holds `peer-HASH.bin`, written by the peer, and `peer.meta`, which names it, its size
 * and its xxh3 and repeats what the index was made for. peer.meta is renamed into place last, so
 * the folder always holds the old state or the new one; a damaged byte in either file is
 * ERR_CORRUPT, another dimension or metric ERR_DIMENSION.
 */
#ifndef DRIFTLINE_PEER_FILE_H
#define DRIFTLINE_PEER_FILE_H

#include "src/core/index.h"

#define PEER_FILE_PATH_BYTES 4096

struct peer_meta {
    uint64_t rows;      /* that the index holds */
    uint64_t words[6];  /* the method's own, such as "trained" */
    const void *params; /* the method's parameter struct; read back into the same size */
    size_t params_bytes;
};

/* `write` makes the peer write its file at `path`; it returns a code of error.h, the sentence
 * given. */
int peer_file_save(const struct index *, const char *dir, const struct peer_meta *,
                   int (*write)(const struct index *, const char *path), bool has_file);

/* Checks everything and fills *meta and the params struct at `params`. `path` receives the peer's
   file, or "" where the index was saved without one. */
int peer_file_open(const struct index_ops *, const struct index_env *, const char *dir,
                   struct peer_meta *meta, void *params, char path[PEER_FILE_PATH_BYTES]);

#endif
