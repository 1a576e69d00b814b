/* dense_rows.h - rows in one array with the caller's ids: the storage of methods that scan rows or codes.
 *
 * Rows 0 .. n-1 are all live, so a scan reads them contiguously, and an id is found in one step. The last
 * row takes a removed row's place, so a caller that stores row numbers must update the number of the moved
 * row.
 */
#ifndef DRIFTLINE_COMMON_ROWS_DENSE_ROWS_H
#define DRIFTLINE_COMMON_ROWS_DENSE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"
#include "src/core/slot_table.h"

struct cuda_copy;
struct store_reader;
struct store_writer;

struct dense_rows {
    struct mem *mem;
    size_t row_bytes;
    union { /* the rows, by their element */
        unsigned char *rows;
        float *floats;
        uint64_t *codes;
    };
    uint64_t *ids;
    size_t n, rows_capacity, ids_capacity; /* capacities in rows */
    size_t most;                           /* the most rows since memory was last given back */
    struct slot_table slot_of;
    struct cuda_copy *copy; /* told which rows change; may be NULL */
};

void dense_rows_init(struct dense_rows *, struct mem *, size_t row_bytes); /* allocates nothing */
void dense_rows_free(struct dense_rows *);

static inline const unsigned char *dense_rows_at(const struct dense_rows *s, size_t row)
{
    return s->rows + row * s->row_bytes;
}

static inline const uint64_t *dense_rows_code(const struct dense_rows *s, size_t row)
{
    return (const uint64_t *)(const void *)dense_rows_at(s, row);
}

bool dense_rows_find(const struct dense_rows *, uint64_t id, uint32_t *row); /* row may be NULL */

/* Reserves space for n more rows, whose ids are new and distinct; expected_n is env's hint, 0 if
   none. false: out of memory, or too many; existing rows are unchanged. */
bool dense_rows_reserve(struct dense_rows *, const uint64_t *ids, size_t n, size_t expected_n);
/* Adds rows that space was reserved for. rows: NULL if they are in their places already. */
void dense_rows_append(struct dense_rows *, const void *rows, const uint64_t *ids, size_t n);
/* The same of one row, whose number it returns; fast for short ones. */
uint32_t dense_rows_add(struct dense_rows *, const void *row, uint64_t id);
/* Removes a row: the last row, whose number is n after the call, moves to `row` (which may be that
   row). Gives memory back once three quarters of the rows are gone. */
void dense_rows_remove(struct dense_rows *, uint32_t row);

/* insert() and remove() of an index that keeps nothing else of a row. */
int dense_rows_insert(struct dense_rows *, const struct index *, struct vectors,
                      const uint64_t *ids, size_t *done);
int dense_rows_remove_ids(struct dense_rows *, const struct index *, const uint64_t *ids, size_t n,
                          size_t *done);

/* Bytes of the rows, and of the ids with their table. */
size_t dense_rows_bytes(const struct dense_rows *);
size_t dense_rows_ids_bytes(const struct dense_rows *);
/* ERR_INVARIANT if ids and their table disagree. `method` begins the message. */
int dense_rows_check(const struct dense_rows *, const char *method, struct error *);

/* Sections "ids" and `tag` of the method's file; load() fills an empty store. ERR_CORRUPT for
   reserved or duplicate ids; ERR_NO_MEMORY. */
void dense_rows_save(const struct dense_rows *, struct store_writer *, const char *tag);
int dense_rows_load(struct dense_rows *, const struct store_reader *, const char *tag);
/* Fills an empty store with n rows that were read. ERR_CORRUPT, ERR_NO_MEMORY as load(). */
int dense_rows_take(struct dense_rows *, const struct store_reader *, const void *rows,
                    const uint64_t *ids, size_t n);

#endif
