/* code_store.h - 64-bit codes under the caller's ids: where methods over codes keep what they hold.
 *
 * Row s has codes[s] and ids[s]; rows 0 .. n-1 are all live, so a scan reads them from end to end,
 * and an id is found in one step. A removed row's place is taken by the last one: whoever refers to
 * rows by number is told so and renames it.
 */
#ifndef DRIFTLINE_CODE_STORE_H
#define DRIFTLINE_CODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/slot_table.h"

struct error;
struct mem;
struct store_reader;
struct store_writer;

struct code_store {
    struct mem *mem;
    uint64_t *codes, *ids;
    size_t n, codes_capacity, ids_capacity;
    size_t most; /* rows there were at most since memory was given back */
    struct slot_table slot_of;
};

void code_store_init(struct code_store *, struct mem *); /* allocates nothing */
void code_store_free(struct code_store *);

/* Room for n rows more, whose ids are new and distinct; expected_n is env's hint, 0 if none. false:
   out of memory, and what is there stays. */
bool code_store_reserve(struct code_store *, const uint64_t *ids, size_t n, size_t expected_n);
/* Adds a row that room was reserved for; returns its number. */
uint32_t code_store_add(struct code_store *, uint64_t code, uint64_t id);
bool code_store_find(const struct code_store *, uint64_t id, uint32_t *row);
/* The last row, number n after the call, moves to `row` (which may be that very one). Gives memory
   back once three quarters of the rows are gone. */
void code_store_remove(struct code_store *, uint32_t row);

/* Bytes held by the codes, and by the ids with their table. */
size_t code_store_codes_bytes(const struct code_store *);
size_t code_store_ids_bytes(const struct code_store *);
/* ERR_INVARIANT where ids and their table disagree. `method` begins the sentence. */
int code_store_check(const struct code_store *, const char *method, struct error *);

/* Sections "ids" and "codes" of a file of the method's; load() fills an empty store. ERR_CORRUPT for
   ids that are reserved or stand twice. */
void code_store_save(const struct code_store *, struct store_writer *);
int code_store_load(struct code_store *, const struct store_reader *);

#endif
