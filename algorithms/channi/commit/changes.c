/* changes.c - copies of changes that will be applied together, and their records in the write-ahead
 * log. */

#include <string.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/common/durable/row_log.h"
#include "src/core/mem.h"

int channi_changes_add(struct channi_changes *c, const struct channi *s, size_t n, const void *ids,
                       const void *rows, const void *attributes)
{
    const size_t record = attributes ? channi_record_bytes(s) : 0, row = rows ? s->row_bytes : 0;
    struct mem *mem = s->base.env.mem;
    unsigned char *block = mem_grow(mem, &c->list, &c->capacity, c->n + 1, sizeof *c->list)
                               ? mem_array(mem, n, sizeof(uint64_t) + record + row)
                               : NULL;

    if (!block)
        return CHANNI_NO_MEMORY(&s->base.env, " for %zu more changes", n);
    unsigned char *numbers = block + n * sizeof(uint64_t), *copy = numbers + n * record;
    memcpy(block, ids, n * sizeof(uint64_t));
    if (attributes)
        memcpy(numbers, attributes, n * record);
    if (rows)
        memcpy(copy, rows, n * row);
    c->list[c->n++] =
        (struct channi_change){ .op = rows ? CHANGE_PUT : CHANGE_DEL,
                                .n = n,
                                .ids = (const uint64_t *)block,
                                .rows = rows ? copy : NULL,
                                .attributes = attributes ? (const int64_t *)numbers : NULL };
    return OK;
}

void channi_txn_drop(struct channi *s)
{
    struct mem *mem = s->base.env.mem;

    for (size_t i = 0; i < s->txn.n; i++) /* one block each, which begins with the ids */
        mem_free(mem, (void *)(uintptr_t)s->txn.list[i].ids);
    mem_free(mem, s->txn.list);
    s->txn = (struct channi_changes){ 0 };
    s->in_txn = false;
}

enum { RECORD_BYTES = 1 << 20 };

static int log_change(struct channi *s, struct wal_batch *batch, const struct channi_change *c)
{
    const size_t record = c->attributes ? channi_record_bytes(s) : 0,
                 row = c->op == CHANGE_PUT ? s->row_bytes : 0,
                 each = sizeof(uint64_t) + record + row;
    const size_t most = RECORD_BYTES / each > 0 ? RECORD_BYTES / each : 1;
    int rc = OK;

    for (size_t i = 0, n; i < c->n && rc == OK; i += n) {
        n = c->n - i < most ? c->n - i : most;
        const struct wal_part parts[] = {
            { c->ids + i, n * sizeof(uint64_t) },
            { record ? c->attributes + i * s->base.env.n_attributes : NULL, n * record },
            { row ? c->rows + i * row : NULL, n * row },
        };
        rc = wal_append(s->durable.wal, batch, record ? CHANGE_PUT_WITH : (uint8_t)c->op, parts, 3);
    }
    return rc;
}

int channi_log_commit(struct channi *s, const struct channi_change *changes, size_t n,
                      uint64_t version)
{
    struct wal_batch batch = { 0 };
    int rc = OK;

    if (!s->durable.wal)
        return OK;
    for (size_t i = 0; i < n && rc == OK; i++)
        rc = log_change(s, &batch, &changes[i]);
    if (rc == OK)
        rc = wal_append(s->durable.wal, &batch, CHANGE_COMMIT,
                        &(struct wal_part){ &version, sizeof version }, 1);
    /* wal_append() empties the batch when it fails. */
    return rc == OK ? wal_commit(s->durable.wal, &batch) : rc;
}

int channi_log_read(const struct channi *s, const struct wal_record *r, struct channi_changes *to,
                    uint64_t *version)
{
    const bool is_put = r->op == CHANGE_PUT || r->op == CHANGE_PUT_WITH;
    const size_t record = r->op == CHANGE_PUT_WITH ? channi_record_bytes(s) : 0,
                 n = row_log_rows(r, is_put ? record + s->row_bytes : 0);
    const unsigned char *ids = r->payload, *attributes = ids + n * sizeof(uint64_t);
    bool fits = n > 0 && (is_put || r->op == CHANGE_DEL);
    int rc = OK;

    *version = 0;
    if (r->op == CHANGE_COMMIT && r->n == sizeof *version) {
        memcpy(version, r->payload, sizeof *version);
        fits = *version > 0;
    } else if (fits) {
        rc = channi_changes_add(to, s, n, ids, is_put ? attributes + n * record : NULL,
                                record ? attributes : NULL);
        for (size_t i = 0; rc == OK && i < n; i++)
            fits = fits && to->list[to->n - 1].ids[i] != INDEX_NO_ID;
    }
    return rc != OK || fits
               ? rc
               : row_log_misfit(&s->base.env, "channi", r, "does not belong to this index");
}
