/* ranks.h - an index on several processes: how a method starts them and talks to them.
 *
 * The process whose operations are called is rank 0. It starts ranks 1 .. n of a group; each runs
 * serve() of the same method and talks to rank 0 alone. A rank that has ended, or is silent for too
 * long, is lost: nothing arrives from it any more, and its number may be started again.
 *
 * The harness provides both sides: by MPI (src/cluster), or by threads in tests.
 */
#ifndef DRIFTLINE_CORE_RANKS_RANKS_H
#define DRIFTLINE_CORE_RANKS_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"
#include "src/core/index.h"

struct rank_message {
    size_t from;
    unsigned char *bytes; /* n of them; freed with mem_free(NULL, ...) */
    size_t n;
};

/* Bytes of one message at most; senders divide what is larger. */
#define RANK_MESSAGE_BYTES_MAX ((size_t)1 << 30)

struct rank_group;

/* Calls come from one thread at a time. */
struct rank_group_ops {
    /* Starts ranks first .. first + n - 1, and waits until they run. dir: a folder that each of
       them makes, on its own machine, by appending "/rank-R". NULL in a rank that serves. ERR_IO,
       ERR_UNSUPPORTED. */
    int (*start)(struct rank_group *, size_t first, size_t n, const char *dir, struct error *);
    /* Returns when the bytes may be reused. Messages between two ranks arrive in order. To a lost
       rank: does nothing. ERR_IO, ERR_NO_MEMORY. */
    int (*send)(struct rank_group *, size_t to, const void *bytes, size_t n, struct error *);
    /* Takes a message, and waits for one at most wait_ns (0: looks only). Returns whether there was
       one. */
    bool (*receive)(struct rank_group *, uint64_t wait_ns, struct rank_message *);
    bool (*is_lost)(struct rank_group *, size_t rank);
    /* Rank 0: ends the others, also those that do not answer, and frees the group. */
    void (*close)(struct rank_group *);
};

/* The state of every group begins with this struct. */
struct rank_group {
    const struct rank_group_ops *ops;
};

/* What the harness gives to a method: groups of ranks for its indexes. */
struct ranks {
    /* A group without ranks. ERR_UNSUPPORTED: processes cannot be started here. */
    int (*open)(struct ranks *, struct rank_group **, struct error *);
    size_t started; /* ranks, by all groups so far; of the implementation */
};

/* A file that several processes can read, and where its rows are: row i at offset + i * stride. */
struct row_origin {
    char path[3072];
    uint64_t offset, stride; /* bytes */
};

/* Rows that a rank reads from a file. */
struct row_request {
    const struct row_origin *from;
    const uint64_t *numbers; /* of the rows in the file, counted from 0 */
    size_t n, row_bytes;
    uint64_t hash; /* of the rows, by row_files.hash */
};

/* What the harness gives to a method, so that a rank reads the rows that it gets from their file
   instead of receiving them. */
struct row_files {
    /* The file that has these rows, as they are in memory, and their numbers in it: an array of
       the caller. Returns whether there is such a file. NULL in a rank that serves. */
    bool (*origin)(void *to, struct vectors, struct row_origin *, uint64_t *numbers);
    uint64_t (*hash)(const void *rows, size_t bytes);
    /* ERR_NOT_FOUND, ERR_IO, ERR_UNSUPPORTED: the file cannot be read here; ERR_CORRUPT: it has
       other rows. */
    int (*read)(void *to, const struct row_request *, void *out, struct error *);
    void *to;
};

#endif
