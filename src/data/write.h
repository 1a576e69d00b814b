/* write.h - inside src/data: whole files or none. Bytes go to a temporary file beside the target;
 * commit renames it. */
#ifndef DRIFTLINE_WRITE_H
#define DRIFTLINE_WRITE_H

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#include "file.h"

struct whole_file {
    char path[PATH_MAX], temporary[PATH_MAX + 32];
    int fd;
};

/* ERR_IO with errno's words: a full disk, a read-only folder. */
int whole_file_begin(struct whole_file *, const char *path, struct error *);
int whole_file_put(struct whole_file *, const void *bytes, size_t n, struct error *);
/* Flushed to disk, then renamed over path. */
int whole_file_commit(struct whole_file *, struct error *);
/* Removes what was written; allowed after a commit, when it does nothing. */
void whole_file_abandon(struct whole_file *);

/* mkdir -p; the mode is the last folder's. */
int make_directories(const char *path, unsigned mode, struct error *);

/* The header of an npy of n rows; rows begin at a multiple of 64 bytes. Returns its length, at most
 * 512. */
size_t npy_header(enum element, size_t n, size_t dim, char out[512]);

#endif
