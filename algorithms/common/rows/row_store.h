/* row_store.h - rows by slot: in memory, or in the file env.dir/rows, mapped or read.
 *
 * In a file that is kept, a record is the row, its slot (u32) and a checksum of both (u32). Records do
 * not cross pages, so that a row is one read; a row longer than a page takes whole pages. In one that
 * goes with the store, rows are packed, and their checksums are in memory, so that a write that the disk
 * lost is seen too. A row is written in place: the caller knows that no reader uses its slot. Each
 * read verifies the checksum.
 *
 * 1 opening   2 writing   3 reading
 *
 * Threads: puts of different slots and reads may run concurrently. */
#ifndef DRIFTLINE_COMMON_ROWS_ROW_STORE_H
#define DRIFTLINE_COMMON_ROWS_ROW_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/io/files.h"
#include "src/core/index.h"

/* 1. Opening */

/* MAPPED, FILE: kept. SCRATCH: made anew, and removed by row_store_close(). */
enum row_store_kind { ROWS_MEMORY, ROWS_MAPPED, ROWS_FILE, ROWS_SCRATCH };

struct row_store_options {
    enum row_store_kind kind;
    bool direct;                    /* FILE: O_DIRECT reads, if the file system has them */
    bool uring;                     /* FILE, SCRATCH: reads by io_uring, if the system has it */
    const struct file_fault *fault; /* tests: before each "open" "read" "write" "fsync" */
};

struct row_store;

/* Opens env.dir's file with its content, or creates it. epoch: of row_store_get(); may be NULL.
   ERR_IO, ERR_NO_MEMORY. */
int row_store_open(struct row_store **, const struct index_env *, struct epoch *,
                   const struct row_store_options *);
void row_store_close(struct row_store *); /* NULL is allowed */

/* 2. Writing, called outside the epoch */

/* Writes n rows; runs of consecutive slots are one write. ERR_IO, ERR_NO_MEMORY: some rows
   may be written. */
int row_store_put(struct row_store *, const uint32_t *slots, const void *const *rows, size_t n);
int row_store_sync(struct row_store *); /* durable */
/* The last sync failed. The kernel may have marked lost pages as clean, so rows that must be
   durable have to be written again before the next sync. */
bool row_store_unsure(const struct row_store *);

/* 3. Reading */

enum { ROWS_BATCH = 256 };

/* Used by one thread, for one query at a time. */
struct row_reader;
struct row_reader *row_reader_take(struct row_store *); /* NULL: no memory */
void row_reader_give(struct row_reader *);              /* NULL is allowed */
/* Begins a query: forgets the pages of the previous one. */
void row_reader_begin(struct row_reader *);
/* Sets out[i] to the row of slots[i], valid until the next call with this reader; n <= ROWS_BATCH.
   The thread is inside the epoch. A page is read once per query, in file order, adjacent pages
   together, and all reads at once. ERR_CORRUPT naming file and slot; ERR_IO, ERR_NO_MEMORY. */
int row_reader_read(struct row_reader *, const uint32_t *slots, size_t n, const void **out);
/* Number of distinct 4-KB pages of the query so far, for every kind but SCRATCH. */
size_t row_reader_pages(const struct row_reader *);

/* Copies n rows; enters the epoch itself. */
int row_store_get(struct row_store *, const uint32_t *slots, size_t n, void *out);

uint64_t row_store_reads(const struct row_store *); /* of FILE and SCRATCH, since it was opened */
uint64_t row_store_resident(const struct row_store *);
uint64_t row_store_disk(const struct row_store *);

#endif
