/* code_store.h - binary codes with the caller's ids: the storage of methods over codes.
 *
 * Row s has the words codes[s * words] .. codes[s * words + words - 1], and ids[s]. Rows 0 .. n-1
 * are all live, so a scan reads them contiguously, and an id is found in one step. The last row
 * takes a removed row's place, so a caller that stores row numbers must update the number of the
 * moved row.
 */
#ifndef DRIFTLINE_COMMON_CODES_CODE_STORE_H
#define DRIFTLINE_COMMON_CODES_CODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/slot_table.h"

struct cuda_copy;
struct error;
struct mem;
struct store_reader;
struct store_writer;

struct code_store {
    struct mem *mem;
    size_t words; /* 64-bit words of a code */
    uint64_t *codes, *ids;
    size_t n, codes_capacity, ids_capacity; /* capacities in rows */
    size_t most;                            /* the most rows since memory was last given back */
    struct slot_table slot_of;
    struct cuda_copy *copy; /* told which rows change; may be NULL */
};

void code_store_init(struct code_store *, struct mem *, size_t words); /* allocates nothing */
void code_store_free(struct code_store *);

/* Reserves space for n more rows, whose ids are new and distinct; expected_n is env's hint, 0 if
   none. false: out of memory; existing rows are unchanged. */
bool code_store_reserve(struct code_store *, const uint64_t *ids, size_t n, size_t expected_n);
/* Adds a row that space was reserved for; returns its number. */
uint32_t code_store_add(struct code_store *, const uint64_t *code, uint64_t id);
static inline const uint64_t *code_store_at(const struct code_store *s, size_t row)
{
    return s->codes + row * s->words;
}
bool code_store_find(const struct code_store *, uint64_t id, uint32_t *row);
/* Removes a row: the last row, whose number is n after the call, moves to `row` (which may be that
   row). Gives memory back once three quarters of the rows are gone. */
void code_store_remove(struct code_store *, uint32_t row);

/* Bytes of the codes, and of the ids with their table. */
size_t code_store_codes_bytes(const struct code_store *);
size_t code_store_ids_bytes(const struct code_store *);
/* ERR_INVARIANT if ids and their table disagree. `method` begins the message. */
int code_store_check(const struct code_store *, const char *method, struct error *);

/* Sections "ids" and "codes" of the method's file; load() fills an empty store. ERR_CORRUPT for
   reserved or duplicate ids; ERR_NO_MEMORY. */
void code_store_save(const struct code_store *, struct store_writer *);
int code_store_load(struct code_store *, const struct store_reader *);

#endif
