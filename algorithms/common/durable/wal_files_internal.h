/* wal_files_internal.h - the log's format on disk, shared by its writer (wal.c) and
 * its reader (wal_replay.c). */
#ifndef DRIFTLINE_COMMON_DURABLE_WAL_FILES_INTERNAL_H
#define DRIFTLINE_COMMON_DURABLE_WAL_FILES_INTERNAL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "algorithms/common/durable/store_file.h"
#include "src/core/index.h"

/* Begins a file. The file's records have lsns first_lsn, first_lsn + 1, ... */
struct wal_head {
    char magic[8]; /* WAL_MAGIC */
    uint64_t number, first_lsn;
    uint64_t durable_lsn; /* records up to this lsn were on the device when the file was begun */
    uint32_t zero, sum;   /* its XXH3 hash, of all before it, in 32 bits */
};
/* 8 bytes with the terminating zero. 4, not 3, which is one flipped bit from 1 and from 2. */
#define WAL_MAGIC "DLJRNL4"

/* Begins a batch, unaligned. Its records follow, each a u32 length, a u8 op and the payload.
   `before` is the sum of the previous batch in the file, or of the file's head for the first batch.
   After a power cut, pages of a failed batch may lie between those of the batch written after it;
   `before` shows that they are not a continuation. */
struct wal_batch_head {
    uint32_t sum; /* of all bytes after it, including the records */
    uint32_t before;
    uint64_t bytes;       /* of the records */
    uint64_t first_lsn;   /* of the first record */
    uint64_t durable_lsn; /* records up to this lsn were on the device when the batch was written */
    uint32_t records, zero;
};
enum { WAL_BATCH_HEAD = sizeof(struct wal_batch_head), WAL_OP = 4, WAL_RECORD = 5 };

struct wal_file {
    uint64_t number, first_lsn, durable_lsn;
    uint64_t bytes;
    uint32_t sum;  /* of the head */
    bool headless; /* the head is incomplete: never written, or lost in a power cut */
};

struct wal_files { /* ascending by number */
    struct wal_file *list;
    size_t n, capacity;
    struct mem *mem;
};

void wal_files_free(struct wal_files *);
/* Lists the log's files in dir and reads their heads. ERR_VERSION, ERR_IO, ERR_NO_MEMORY. */
int wal_files_list(struct wal_files *, const struct index_env *, const char *dir);

struct wal_head wal_head_of(uint64_t number, uint64_t first_lsn, uint64_t durable_lsn);
/* ERR_ARGUMENT: the path is too long. */
int wal_path(char path[PATH_MAX], const char *dir, uint64_t number, struct error *);
/* Maps a file, to be released with wal_unmap(). *bytes NULL: the file is empty. */
int wal_map(const struct index_env *, const char *dir, const struct wal_file *,
            const unsigned char **bytes);
void wal_unmap(const unsigned char *bytes, uint64_t n);

/* Reads the head of the batch at p, with n bytes left. false: n bytes cannot hold it and its
   records. Does not check the sum. */
bool wal_batch_at(const unsigned char *p, uint64_t n, struct wal_batch_head *);

static inline uint32_t wal_sum(const unsigned char *batch, uint64_t records_bytes)
{
    const size_t from = sizeof(uint32_t);

    return (uint32_t)XXH3_64bits(batch + from, WAL_BATCH_HEAD - from + (size_t)records_bytes);
}

#endif
