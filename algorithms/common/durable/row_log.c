/* row_log.c - see row_log.h. */
#include "algorithms/common/durable/row_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/order.h"

enum { RECORD_BYTES = 1 << 20 };

int row_log_append(struct wal *wal, struct wal_batch *batch, uint8_t op, const uint64_t *ids,
                   const void *rows, size_t row_bytes, size_t n)
{
    const size_t row = rows ? row_bytes : 0, each = sizeof *ids + row;
    const size_t most = RECORD_BYTES / each > 0 ? RECORD_BYTES / each : 1;
    int rc = OK;

    for (size_t i = 0, some; wal && i < n && rc == OK; i += some) {
        some = n - i < most ? n - i : most;
        const struct wal_part parts[] = {
            { ids + i, some * sizeof *ids },
            { rows ? (const unsigned char *)rows + i * row : NULL, some * row },
        };
        rc = wal_append(wal, batch, op, parts, rows ? 2 : 1);
    }
    return rc;
}

int row_log_write(struct wal *wal, uint8_t op, const uint64_t *ids, const void *rows,
                  size_t row_bytes, size_t n)
{
    struct wal_batch batch = { 0 };
    const int rc = row_log_append(wal, &batch, op, ids, rows, row_bytes, n);

    return wal && rc == OK ? wal_commit(wal, &batch) : rc;
}

size_t row_log_rows(const struct wal_record *r, size_t row_bytes)
{
    const size_t each = sizeof(uint64_t) + row_bytes;

    return r->n % each == 0 ? r->n / each : 0;
}

int row_log_misfit(const struct index_env *env, const char *method, const struct wal_record *r,
                   const char *why)
{
    return fail(env->error, ERR_CORRUPT,
                "%s: write-ahead log in %s: record %" PRIu64 " (op %u, %zu bytes) %s", method,
                env->dir, r->lsn, r->op, r->n, why);
}

int row_log_expect_ids(const struct index_env *env, const char *method, const struct wal_record *r,
                       const uint64_t *ids, size_t n, bool stored,
                       bool (*is_stored)(const void *of, uint64_t id), const void *of)
{
    uint64_t *sorted = mem_array(env->mem, n, sizeof *sorted);
    int rc = OK;

    if (!sorted)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory, cannot recover %zu rows", method,
                    n);
    memcpy(sorted, ids, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, order_u64);
    for (size_t i = 0; i < n && rc == OK; i++)
        if (sorted[i] == INDEX_NO_ID || (i > 0 && sorted[i] == sorted[i - 1]) ||
            is_stored(of, sorted[i]) != stored)
            rc = row_log_misfit(env, method, r,
                                stored ? "removes an id that is not there"
                                       : "inserts an id that is there");
    mem_free(env->mem, sorted);
    return rc;
}
