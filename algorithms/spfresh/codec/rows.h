/* rows.h - exact vectors by slot, for postings of codes: in memory, or in the file env.dir/rows,
 * mapped or read.
 *
 * A record is the row, its slot (u32) and a checksum of both (u32). Records do not cross pages, so
 * that a row is one read; a row longer than a page takes whole pages. A record is written in place:
 * the caller knows that no reader uses its slot. Each read verifies the checksum.
 *
 * 1 opening   2 writing   3 reading
 *
 * Threads: puts of different slots and reads may run concurrently. */
#ifndef DRIFTLINE_SPFRESH_CODEC_ROWS_H
#define DRIFTLINE_SPFRESH_CODEC_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/io/files.h"
#include "src/core/index.h"

/* 1. Opening */

enum spfresh_rows_kind { ROWS_MEMORY, ROWS_MAPPED, ROWS_FILE };

struct spfresh_rows_options {
    enum spfresh_rows_kind kind;
    bool direct;                    /* file: O_DIRECT reads, if the file system has them */
    const struct file_fault *fault; /* tests: before each "open" "write" "fsync" */
};

struct spfresh_rows;

/* Opens env.dir's file with its content, or creates it. ERR_IO, ERR_NO_MEMORY. */
int spfresh_rows_open(struct spfresh_rows **, const struct index_env *, struct epoch *,
                      const struct spfresh_rows_options *);
void spfresh_rows_close(struct spfresh_rows *); /* NULL is allowed */

/* 2. Writing, called outside the epoch */

/* Writes n rows; runs of consecutive slots are one write. ERR_IO, ERR_NO_MEMORY: some rows
   may be written. */
int spfresh_rows_put(struct spfresh_rows *, const uint32_t *slots, const void *const *rows,
                     size_t n);
int spfresh_rows_sync(struct spfresh_rows *); /* durable */
/* The last sync failed. The kernel may have marked lost pages as clean, so rows that must be
   durable have to be written again before the next sync. */
bool spfresh_rows_unsure(const struct spfresh_rows *);

/* 3. Reading */

enum { ROWS_BATCH = 256 };

/* Used by one thread, for one query at a time. */
struct spfresh_rows_reader;
struct spfresh_rows_reader *spfresh_rows_reader_take(struct spfresh_rows *); /* NULL: no memory */
void spfresh_rows_reader_give(struct spfresh_rows_reader *);                 /* NULL is allowed */
/* Begins a query: forgets the pages of the previous one. */
void spfresh_rows_begin(struct spfresh_rows_reader *);
/* Sets out[i] to the row of slots[i], valid until the next call with this reader; n <= ROWS_BATCH.
   The thread is inside the epoch. A page is read once per query, in file order, adjacent pages
   together. ERR_CORRUPT naming file and slot; ERR_IO, ERR_NO_MEMORY. */
int spfresh_rows_read(struct spfresh_rows_reader *, const uint32_t *slots, size_t n,
                      const void **out);
/* Number of distinct 4-KB pages of the query so far, for every kind. */
size_t spfresh_rows_pages(const struct spfresh_rows_reader *);

/* Copies n rows; enters the epoch itself. */
int spfresh_rows_get(struct spfresh_rows *, const uint32_t *slots, size_t n, void *out);

uint64_t spfresh_rows_resident(const struct spfresh_rows *);
uint64_t spfresh_rows_disk(const struct spfresh_rows *);

#endif
