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

enum { RECORD_BYTES = 1 << 20, PUT_HEAD = 8 };

static int log_puts(struct channi *s, struct wal_batch *batch, const struct channi_change *c)
{
    const size_t each = sizeof(uint64_t) + channi_record_bytes(s) + s->row_bytes;
    const size_t most = RECORD_BYTES / each > 0 ? RECORD_BYTES / each : 1;
    const size_t record = c->attributes ? channi_record_bytes(s) : 0;
    int rc = OK;

    for (size_t i = 0, n; i < c->n && rc == OK; i += n) {
        n = c->n - i < most ? c->n - i : most;
        const uint32_t head[2] = { (uint32_t)n, c->attributes != NULL };
        const struct wal_part parts[] = {
            { head, sizeof head },
            { c->ids + i, n * sizeof(uint64_t) },
            { record ? c->attributes + i * s->base.env.n_attributes : NULL, n * record },
            { c->rows + i * s->row_bytes, n * s->row_bytes },
        };
        rc = wal_append(s->durable.wal, batch, CHANGE_PUT, parts, 4);
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
        rc = changes[i].op == CHANGE_PUT ? log_puts(s, &batch, &changes[i])
                                         : row_log_append(s->durable.wal, &batch, CHANGE_DEL,
                                                          changes[i].ids, NULL, 0, changes[i].n);
    if (rc == OK)
        rc = wal_append(s->durable.wal, &batch, CHANGE_COMMIT,
                        &(struct wal_part){ &version, sizeof version }, 1);
    /* wal_append() empties the batch when it fails. */
    return rc == OK ? wal_commit(s->durable.wal, &batch) : rc;
}

static int misfit(const struct channi *s, const struct wal_record *r)
{
    return row_log_misfit(&s->base.env, "channi", r, "does not belong to this index");
}

static int read_put(const struct channi *s, const struct wal_record *r, struct channi_changes *to)
{
    const unsigned char *p = r->payload;
    uint32_t head[2];

    if (r->n < PUT_HEAD)
        return misfit(s, r);
    memcpy(head, p, sizeof head);
    const size_t n = head[0], record = head[1] ? channi_record_bytes(s) : 0;
    if (n == 0 || head[1] > 1 ||
        (r->n - PUT_HEAD) / n != sizeof(uint64_t) + record + s->row_bytes ||
        (r->n - PUT_HEAD) % n != 0)
        return misfit(s, r);
    const unsigned char *ids = p + PUT_HEAD, *attributes = ids + n * sizeof(uint64_t);
    return channi_changes_add(to, s, n, ids, attributes + n * record, head[1] ? attributes : NULL);
}

int channi_log_read(const struct channi *s, const struct wal_record *r, struct channi_changes *to,
                    uint64_t *version)
{
    const size_t n = to->n;
    int rc = OK;

    *version = 0;
    if (r->op == CHANGE_PUT) {
        rc = read_put(s, r, to);
    } else if (r->op == CHANGE_DEL && row_log_rows(r, 0) > 0) {
        rc = channi_changes_add(to, s, row_log_rows(r, 0), r->payload, NULL, NULL);
    } else if (r->op == CHANGE_COMMIT && r->n == sizeof *version) {
        memcpy(version, r->payload, sizeof *version);
        rc = *version > 0 ? OK : misfit(s, r);
    } else {
        rc = misfit(s, r);
    }
    for (size_t i = 0; to->n > n && i < to->list[n].n; i++)
        if (to->list[n].ids[i] == INDEX_NO_ID)
            return misfit(s, r);
    return rc;
}
