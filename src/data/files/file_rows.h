/* file_rows.h - rows of a file by their numbers, for a process that needs a part of them: the side of
 * struct row_files (src/core/ranks/ranks.h) that reads.
 *
 * Nothing says that the file is the one that the other process has: it may have been replaced, and on
 * another machine another file may have its name. Sizes and times differ between copies of one file,
 * and can be equal for two. So the hash of the rows decides, which is right in each case and costs
 * little: XXH3 hashes rows many times faster than they are read or sent.
 */
#ifndef DRIFTLINE_DATA_FILES_FILE_ROWS_H
#define DRIFTLINE_DATA_FILES_FILE_ROWS_H

#include "src/core/ranks/ranks.h"

/* The last file stays open, so that many small reads open it once. */
struct file_rows {
    int fd; /* -1: none */
    size_t size;
    char path[sizeof((struct row_origin *)0)->path];
    uint64_t opened, read_bytes; /* files opened and bytes read so far */
};

void file_rows_end(struct file_rows *); /* closes it */

/* row_files.hash */
uint64_t file_rows_hash(const void *rows, size_t bytes);
/* row_files.read; `of` is a struct file_rows, for one thread at a time. */
int file_rows_read(void *of, const struct row_request *, void *out, struct error *);

#endif
