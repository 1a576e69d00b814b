/* codec_rows.h - exact vectors by slot, beside postings of codes: in memory, or in the file
 * env.dir/rows, mapped or read.
 *
 * A record is row, u32 slot, u32 checksum of both; records do not cross pages, so that a row is one
 * read (rows of more than a page take whole ones). A record is written in place: whoever puts one
 * knows that no reader holds its slot. Each read is held to its checksum.
 *
 *   1 opening   2 writing   3 reading
 *
 * Threads: puts of different slots and reads may run beside one another.
 */
#ifndef DRIFTLINE_SPFRESH_CODEC_ROWS_H
#define DRIFTLINE_SPFRESH_CODEC_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/epoch.h"
#include "algorithms/common/store_file.h"
#include "src/core/index.h"

/* 1. Opening */

enum rows_kind { ROWS_MEMORY, ROWS_MAPPED, ROWS_FILE };

struct rows_options {
    enum rows_kind kind;
    bool direct;                     /* file: reads past the page cache where the file system can */
    const struct store_fault *fault; /* tests: before each "open" "write" "fsync" */
};

struct rows;

/* env.dir's file as it is, or an empty one. ERR_IO, ERR_NO_MEMORY. */
int rows_open(struct rows **, const struct index_env *, struct epoch *,
              const struct rows_options *);
void rows_close(struct rows *); /* NULL is allowed */

/* 2. Writing, from outside the epoch */

/* n rows; runs of consecutive slots are written at once. ERR_IO, ERR_NO_MEMORY: some may be there. */
int rows_put(struct rows *, const uint32_t *slots, const void *const *rows, size_t n);
int rows_sync(struct rows *); /* durable */
/* The last sync failed, and the system may take pages it has lost for clean: what is to be durable
   has to be put again before the next one. */
bool rows_unsure(const struct rows *);

/* 3. Reading */

enum { ROWS_BATCH = 256 };

/* One thread's, of one query at a time. */
struct rows_reader;
int rows_reader_create(struct rows_reader **, struct rows *);
void rows_reader_destroy(struct rows_reader *); /* NULL is allowed */
/* A new query: no page has been read. */
void rows_begin(struct rows_reader *);
/* out[i] points to the row of slots[i], n <= ROWS_BATCH, until the next call with this reader; the
   thread is inside the epoch. Pages are read once a query, in order, neighbours together.
   ERR_CORRUPT naming file and slot; ERR_IO, ERR_NO_MEMORY. */
int rows_read(struct rows_reader *, const uint32_t *slots, size_t n, const void **out);
/* Distinct 4-KB pages of the query so far, whatever the kind. */
size_t rows_pages(const struct rows_reader *);
/* The place of a slot's record: slots of one page have the same. */
uint64_t rows_page(const struct rows *, uint32_t slot);

/* Copies n rows, enters the epoch by itself. */
int rows_get(struct rows *, const uint32_t *slots, size_t n, void *out);

uint64_t rows_resident(const struct rows *);
uint64_t rows_disk(const struct rows *);
bool rows_direct(const struct rows *); /* what is in use */

#endif
