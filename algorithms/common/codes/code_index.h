/* code_index.h - what methods over codes do alike: rows in batches, requests, the file.
 *
 * The file holds only the rows: lookup structures are rebuilt on load. */
#ifndef DRIFTLINE_COMMON_CODES_CODE_INDEX_H
#define DRIFTLINE_COMMON_CODES_CODE_INDEX_H

#include "algorithms/common/codes/code_queries.h"
#include "algorithms/common/durable/logged.h"
#include "algorithms/common/rows/dense_rows.h"
#include "src/core/index.h"

/* The first member of the method's struct. */
struct code_index {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct dense_rows rows;
    uint32_t *place; /* of each row, where the method looks for it; NULL if it has no places */
    size_t place_capacity;
};

struct code_method {
    struct logged_method logged; /* with the functions below, or the method's own */
    bool places;                 /* each row has a place */
    const struct code_ops *queries;
    /* Adds a row that the store has, or gets next. OK or ERR_NO_MEMORY. NULL: the store is all. */
    int (*put)(struct index *, uint32_t row, const uint64_t *code);
    /* Removes a row that the store still has, and gives the last row its number. May be NULL. */
    void (*take)(struct index *, uint32_t row);
    /* Called when the store has its rows, to rebuild the rest. NULL: put() of each. */
    int (*fill)(struct index *);
};

int code_index_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int code_index_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int code_index_search(struct index *, const struct search_request *, struct search_result *);
int code_index_range(struct index *, const struct range_request *, struct range_result *);
/* Zeros of the method's struct, whose first member is begun. NULL: ERR_NO_MEMORY, which is reported. */
void *code_index_create(const struct index_ops *, const struct index_env *, size_t bytes);
void code_index_free(struct code_index *); /* what is in it, not the struct */

/* Space for the places of n rows, or ERR_NO_MEMORY. */
int code_index_reserve_places(struct index *, size_t n);

bool code_index_has(const struct index *, uint64_t id);
int code_index_write(struct index *, struct store_writer *);
int code_index_read(struct index *, struct store_reader *);

/* For the method's struct logged_method, and for its table. */
#define CODE_INDEX_FILE  .has = code_index_has, .write = code_index_write, .read = code_index_read
#define CODE_INDEX_CALLS .insert = code_index_insert, .remove = code_index_remove, CODE_INDEX_FILE
#define CODE_INDEX_OPERATIONS                                                    \
    .spaces = code_index_spaces, LOGGED_OPERATIONS, .search = code_index_search, \
    .range = code_index_range
extern const struct index_space code_index_spaces[]; /* codes under HAMMING */

#endif
