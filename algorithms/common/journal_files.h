/* journal_files.h - how the journal lies on disk: shared by its writer (journal.c) and its reader
 * (journal_replay.c).
 */
#ifndef DRIFTLINE_JOURNAL_FILES_H
#define DRIFTLINE_JOURNAL_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/crc32c.h"
#include "algorithms/common/store_file.h"
#include "src/core/index.h"

/* A file begins with this; its records have lsns first_lsn, first_lsn + 1, ... */
struct journal_head {
    char magic[8]; /* JOURNAL_MAGIC */
    uint64_t number, first_lsn;
    uint64_t durable_lsn; /* records up to here were on the device when the file was begun */
    uint32_t zero, crc;   /* crc32c of all before it */
};
#define JOURNAL_MAGIC "DLJRNL2" /* with its end, 8 bytes */

/* What one commit wrote begins with this, not aligned. Its records follow, each a u32 length, a u8 op and
   the payload. `before` is the crc of the batch before it in the file, of the head for the first one: after
   a power cut, pages of a batch that failed may lie between those of its successor, and must not be taken
   for a continuation. */
struct journal_batch {
    uint32_t crc; /* crc32c of all that follows, the records included */
    uint32_t before;
    uint64_t bytes;       /* of the records */
    uint64_t first_lsn;   /* of the first record */
    uint64_t durable_lsn; /* records up to here were on the device when the batch was written */
    uint32_t records, zero;
};
enum { JOURNAL_BATCH = sizeof(struct journal_batch), JOURNAL_OP = 4, JOURNAL_RECORD = 5 };

struct journal_file {
    uint64_t number, first_lsn, durable_lsn;
    uint64_t bytes;
    uint32_t crc;  /* of the head */
    bool headless; /* the head is not whole: never written, or lost in a power cut */
};

struct journal_files { /* ascending by number */
    struct journal_file *list;
    size_t n, capacity;
    struct mem *mem;
};

void journal_files_free(struct journal_files *);
bool journal_files_add(struct journal_files *, struct journal_file);
/* The journal's files in dir, heads read. ERR_VERSION, ERR_IO, ERR_NO_MEMORY. */
int journal_files_list(struct journal_files *, const struct index_env *, const char *dir);

struct journal_head journal_head_of(uint64_t number, uint64_t first_lsn, uint64_t durable_lsn);
/* ERR_ARGUMENT: too long. */
int journal_path(char path[PATH_MAX], const char *dir, uint64_t number, struct error *);
/* A file's bytes, to be unmapped; NULL for an empty one. */
int journal_map(const struct index_env *, const char *dir, const struct journal_file *,
                const unsigned char **bytes);
void journal_unmap(const unsigned char *bytes, uint64_t n);

/* The head of the batch at p, where n bytes are left; false if they cannot hold it and its records. The crc
   is not looked at. */
bool journal_batch_at(const unsigned char *p, uint64_t n, struct journal_batch *);

static inline uint32_t journal_crc(const unsigned char *batch, uint64_t records_bytes)
{
    const size_t from = sizeof(uint32_t);

    return crc32c(0, batch + from, JOURNAL_BATCH - from + (size_t)records_bytes);
}

#endif
