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
    uint32_t zero, crc; /* crc32c of all before it */
};
#define JOURNAL_MAGIC "DLJRNL1" /* with its end, 8 bytes */

/* A record's own bytes, before its payload; not aligned. */
enum { JOURNAL_LENGTH = 0, JOURNAL_CRC = 4, JOURNAL_LSN = 8, JOURNAL_OP = 16, JOURNAL_RECORD = 17 };

struct journal_file {
    uint64_t number, first_lsn;
    uint64_t bytes;
    bool headless; /* made ready, and never written to: no record is in it */
};

struct journal_files { /* ascending by number */
    struct journal_file *list;
    size_t n, capacity;
    struct mem *mem;
};

void journal_files_free(struct journal_files *);
bool journal_files_add(struct journal_files *, struct journal_file);
/* The journal's files in dir, heads verified. ERR_CORRUPT, ERR_IO, ERR_NO_MEMORY. */
int journal_files_list(struct journal_files *, const struct index_env *, const char *dir);

struct journal_head journal_head_of(uint64_t number, uint64_t first_lsn);
/* ERR_ARGUMENT: too long. */
int journal_path(char path[PATH_MAX], const char *dir, uint64_t number, struct error *);
/* Makes new and removed names in dir durable. */
int journal_sync_dir(const char *dir, const struct store_fault *, struct error *);

static inline uint32_t journal_crc(const unsigned char *record, size_t payload)
{
    return crc32c(0, record + JOURNAL_LSN, JOURNAL_RECORD - JOURNAL_LSN + payload);
}

#endif
