/* rows_record.c - a record of the row file, and its checksum. */
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "algorithms/spfresh/codec/rows_internal.h"

uint32_t spfresh_rows_checksum(const struct spfresh_rows *r, const unsigned char *record)
{
    return (uint32_t)XXH3_64bits(record, r->row_bytes + sizeof(uint32_t));
}

bool spfresh_rows_has(const struct spfresh_rows *r, uint32_t slot)
{
    const uint64_t capacity = atomic_load_explicit(&r->capacity, memory_order_acquire);

    return r->options.kind == ROWS_MEMORY
               ? slot < capacity
               : spfresh_rows_offset(r, slot) + r->record_bytes <= capacity;
}

int spfresh_rows_verify(const struct spfresh_rows *r, uint32_t slot, const unsigned char *record)
{
    uint32_t owner, sum;

    memcpy(&owner, record + r->row_bytes, sizeof owner);
    memcpy(&sum, record + r->row_bytes + sizeof owner, sizeof sum);
    if (owner == slot && sum == spfresh_rows_checksum(r, record))
        return OK;
    return fail(r->env.error, ERR_CORRUPT,
                "%s: slot %" PRIu32 ", byte %" PRIu64 ": the vector's checksum does not match",
                r->path, slot, spfresh_rows_offset(r, slot));
}
