/* codec_rows_parts.h - what codec_rows*.c share. */
#ifndef DRIFTLINE_SPFRESH_CODEC_ROWS_PARTS_H
#define DRIFTLINE_SPFRESH_CODEC_ROWS_PARTS_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/stable.h"
#include "algorithms/spfresh/codec_rows.h"

enum { ROWS_PAGE = 4096, ROWS_WINDOW = 1 << 24 };

/* A *unit* is what is read at once: a page, or the pages of one long row. */
struct rows {
    struct index_env env;
    struct epoch *epoch;
    struct rows_options options;
    size_t row_bytes, record_bytes;
    size_t per_unit, unit_bytes, window_bytes; /* a window: so many whole units mapped at once */
    char path[PATH_MAX];
    int write_fd, read_fd;         /* two, as direct reads are of whole pages and writes are not */
    bool direct, unsure;           /* unsure: the last sync failed */
    pthread_mutex_t lock;          /* of growing and of idle */
    atomic_uint_fast64_t capacity; /* memory: slots; files: bytes */
    struct stable memory;          /* memory: rows; mapped: struct rows_window */
    struct rows_reader *idle;      /* of rows_get() */
    atomic_uint_fast64_t held;     /* bytes that readers hold, idle ones too */
};

struct rows_window {
    unsigned char *base;
};

static inline uint64_t rows_offset(const struct rows *r, uint32_t slot)
{
    return slot / r->per_unit * r->unit_bytes + slot % r->per_unit * r->record_bytes;
}

/* ERR_CORRUPT unless the record is the slot's. */
int rows_verify(const struct rows *, uint32_t slot, const unsigned char *record);
uint32_t rows_checksum(const struct rows *, const unsigned char *record);
/* Whether the slot's record is within what has been written. */
bool rows_has(const struct rows *, uint32_t slot);

#endif
