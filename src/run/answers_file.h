/* answers_file.h - the answers of a cell, stored beside its JSON as cells/NUMBER.answers, so that
 * other programs can score them.
 *
 * Each search and point has a line of JSON, { op, point, k, queries, ids, range, distances, clusters,
 * kept }.
 * If `kept` is true, 64-bit words in the machine's byte order follow: the positions of the queries;
 * for a range, queries + 1 offsets into the ids; the ids. A search has k ids per query,
 * UINT64_MAX for no answer. If `distances` is true, a 32-bit float per id follows: its exact
 * distance, NAN for an id that is not live. If `clusters` is true, the ids are the clusters of the
 * answers in the entry before, INDEX_NO_CLUSTER for none. */
#ifndef DRIFTLINE_RUN_ANSWERS_FILE_H
#define DRIFTLINE_RUN_ANSWERS_FILE_H

#include <stdio.h>

#include "src/truth/scorer.h"

/* The limit for a cell's answers. Operations past it are in the file with `kept` false. */
#define ANSWERS_BYTES_MAX ((size_t)64 << 20)

/* How many words the answers take in a file or a pipe. */
size_t answers_file_words(const struct answers *);
/* Points into these words; `starts` only if it is not NULL. */
void answers_file_place(struct answers *, const uint64_t *words);

struct answers_writer {
    const char *path; /* NULL: nothing is stored, or it failed */
    FILE *file;       /* NULL: not yet opened */
    size_t bytes;
};

/* point: REPLAY_ALL_POINTS for none. If the file cannot be written it is removed; the
   cell does not fail. */
void answers_file_write(struct answers_writer *, const struct answers *, size_t k, size_t point);
void answers_file_close(struct answers_writer *);

/* One entry read back; words are freed with free(). point: SIZE_MAX: none. */
struct answers_entry {
    struct answers answers;
    size_t k, point;
    bool kept;
    uint64_t *words;
};
/* 1: an entry; 0: the end; ERR_CORRUPT with a sentence that names `path`. */
int answers_file_read(FILE *, const char *path, struct answers_entry *, struct error *);

#endif
