/* atomic_file.h - files written whole or not at all.
 *
 * The bytes are written to PATH.PID.tmp in the same folder. A commit calls fsync() on that file,
 * renames it to PATH and calls fsync() on the folder. An earlier file at PATH is kept until the
 * rename, even if the disk is full.
 */
#ifndef DRIFTLINE_BASE_ATOMIC_FILE_H
#define DRIFTLINE_BASE_ATOMIC_FILE_H

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#include "src/core/error.h"

struct atomic_file {
    char path[PATH_MAX], temporary[PATH_MAX + 32];
    int fd; /* -1: not open */
};

/* These three return OK or ERR_IO. The message names the path and, for common causes, a remedy. */
int atomic_file_begin(struct atomic_file *, const char *path, struct error *);
int atomic_file_put(struct atomic_file *, const void *bytes, size_t n, struct error *);
int atomic_file_commit(struct atomic_file *, struct error *);
/* Removes the temporary file. Does nothing after a commit or a failed begin. */
void atomic_file_abandon(struct atomic_file *);

/* Begins, writes n bytes and commits; abandons the file on an error. */
int atomic_file_write(const char *path, const void *bytes, size_t n, struct error *);

/* A file that is gathered in memory. */
struct atomic_text {
    FILE *out; /* write the content here */
    char *text;
    size_t bytes;
};

int atomic_text_begin(struct atomic_text *, struct error *); /* ERR_NO_MEMORY */
/* Ends the content: text[bytes] is 0. ERR_NO_MEMORY: it is not whole. */
int atomic_text_end(struct atomic_text *, struct error *);
/* Ends it, writes it to path and frees it, also after an error. */
int atomic_text_write(struct atomic_text *, const char *path, struct error *);
void atomic_text_free(struct atomic_text *);

/* Removes the temporary files of processes that no longer exist from a folder. */
void atomic_file_sweep(const char *dir);

#endif
