/* row_log.h - insertions and deletions as records of the write-ahead log.
 *
 * The record of an insertion is n ids, then n rows; that of a deletion is n ids. Many rows are
 * several records of about 1 MiB, which one commit makes a batch. The ids and rows of a record are
 * not aligned. */
#ifndef DRIFTLINE_COMMON_DURABLE_ROW_LOG_H
#define DRIFTLINE_COMMON_DURABLE_ROW_LOG_H

#include "algorithms/common/durable/wal.h"

/* Appends n rows with their ids (rows NULL: the ids alone) to the batch. Does nothing if the
   log is NULL or n is 0. ERR_NO_MEMORY: the batch is empty. */
int row_log_append(struct wal *, struct wal_batch *, uint8_t op, const uint64_t *ids,
                   const void *rows, size_t row_bytes, size_t n);
/* Appends and commits. On error nothing of it is in the log. */
int row_log_write(struct wal *, uint8_t op, const uint64_t *ids, const void *rows, size_t row_bytes,
                  size_t n);

/* How many rows of row_bytes a record has with their ids; row_bytes 0: how many ids alone. Returns 0
   if the record has another size. */
size_t row_log_rows(const struct wal_record *, size_t row_bytes);

/* Sets the error: the record WHY. Returns ERR_CORRUPT. */
int row_log_misfit(const struct index_env *, const char *method, const struct wal_record *,
                   const char *why);
/* row_log_misfit() unless each of the n ids comes once, and each (stored) or none (not) is stored; and
   none is INDEX_NO_ID. ERR_NO_MEMORY. */
int row_log_expect_ids(const struct index_env *, const char *method, const struct wal_record *,
                       const uint64_t *ids, size_t n, bool stored,
                       bool (*is_stored)(const void *of, uint64_t id), const void *of);

#endif
