/* rows_internal.h - shared by rows.c and rows_read.c. */
#ifndef DRIFTLINE_SPFRESH_CODEC_ROWS_INTERNAL_H
#define DRIFTLINE_SPFRESH_CODEC_ROWS_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/spfresh/codec/rows.h"

enum { ROWS_PAGE = 4096, ROWS_WINDOW = 1 << 24 };

/* A *unit* is read at once: a page, or the pages of one long row. */
struct spfresh_rows {
    struct index_env env;
    struct epoch *epoch;
    struct spfresh_rows_options options;
    size_t row_bytes, record_bytes;
    size_t per_unit, unit_bytes, window_bytes; /* a window is mapped as a whole */
    char path[PATH_MAX];
    int write_fd, read_fd;         /* two: O_DIRECT reads whole pages, writes do not */
    bool direct, unsure;           /* unsure: the last sync failed */
    pthread_mutex_t lock;          /* held while growing */
    atomic_uint_fast64_t capacity; /* memory: slots; files: bytes */
    struct segmented memory;       /* memory: rows; mapped: struct spfresh_rows_window */
    struct scratch_pool idle;      /* struct spfresh_rows_reader */
    atomic_uint_fast64_t held;     /* bytes of all readers, idle ones included */
};

extern const struct scratch_kind spfresh_rows_reader_kind; /* of the pool spfresh_rows->idle */

struct spfresh_rows_window {
    unsigned char *base;
};

static inline uint64_t spfresh_rows_offset(const struct spfresh_rows *r, uint32_t slot)
{
    return slot / r->per_unit * r->unit_bytes + slot % r->per_unit * r->record_bytes;
}

uint32_t spfresh_rows_checksum(const struct spfresh_rows *, const unsigned char *record);
/* Whether the slot's record lies within the capacity. */
bool spfresh_rows_has(const struct spfresh_rows *, uint32_t slot);

#endif
