/* answers_file.h - what a cell answered, kept beside its JSON as cells/NUMBER.answers, so that others can score it.
 *
 * For each search and point a line of JSON, { op, point, k, queries, ids, range, kept }, and where it is kept 64-bit words
 * in the machine's order: positions of the queries, of a range the offsets of each query's ids (one more than queries),
 * the ids. A search has k ids a query, UINT64_MAX for no answer.
 */
#ifndef DRIFTLINE_ANSWERS_FILE_H
#define DRIFTLINE_ANSWERS_FILE_H

#include <stdio.h>

#include "scorer.h"

/* A cell's answers past this are left out, and the file says of which operations. */
#define ANSWERS_BYTES_MAX ((size_t)64 << 20)

struct answers_writer {
    const char *path; /* NULL: nothing is kept */
    FILE *file;       /* NULL: not begun, or it could not be */
    size_t bytes;
    bool failed;
};

/* point: its number, REPLAY_ALL_POINTS for none. A file that cannot be written is no failure of the cell: it is removed. */
void answers_write(struct answers_writer *, const struct answers *, size_t k, size_t point);
void answers_close(struct answers_writer *);

/* One entry read back; words are freed with free(). point: SIZE_MAX: none. */
struct answers_entry {
    struct answers answers;
    size_t k, point;
    bool kept;
    uint64_t *words;
};
/* 1: an entry; 0: the end; ERR_CORRUPT with a sentence that names `path`. */
int answers_read(FILE *, const char *path, struct answers_entry *, struct error *);

#endif
