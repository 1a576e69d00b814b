/* changes.c - copies of changes that will be applied together, and their records in the write-ahead
 * log. */

#include <string.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/common/durable/row_log.h"
#include "src/core/mem.h"

void channi_changes_init(struct channi_changes *c, struct mem *mem)
{
    *c = (struct channi_changes){ .mem = mem };
}

/* The copies of each change are one block, which begins with the ids. */
void channi_changes_free(struct channi_changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        mem_free(c->mem, (void *)(uintptr_t)c->list[i].ids);
    mem_free(c->mem, c->list);
    channi_changes_init(c, c->mem);
}

static unsigned char *add(struct channi_changes *c, struct error *err, size_t n, size_t each)
{
    unsigned char *block = mem_grow(c->mem, &c->list, &c->capacity, c->n + 1, sizeof *c->list)
                               ? mem_array(c->mem, n, each)
                               : NULL;

    if (!block)
        (void)fail(err, ERR_NO_MEMORY, "channi: out of memory for %zu more changes", n);
    else
        c->bytes += n * each;
    return block;
}

int channi_changes_put(struct channi_changes *c, struct error *err, const void *rows,
                       size_t row_bytes, const void *ids, const void *attributes,
                       size_t record_bytes, size_t n)
{
    const size_t record = attributes ? record_bytes : 0;
    unsigned char *block = add(c, err, n, sizeof(uint64_t) + record + row_bytes);

    if (!block)
        return ERR_NO_MEMORY;
    unsigned char *numbers = block + n * sizeof(uint64_t), *copy = numbers + n * record;
    memcpy(block, ids, n * sizeof(uint64_t));
    if (attributes)
        memcpy(numbers, attributes, n * record);
    memcpy(copy, rows, n * row_bytes);
    c->list[c->n++] =
        (struct channi_change){ .op = CHANGE_PUT,
                                .n = n,
                                .ids = (const uint64_t *)block,
                                .rows = copy,
                                .attributes = attributes ? (const int64_t *)numbers : NULL };
    return OK;
}

int channi_changes_del(struct channi_changes *c, struct error *err, const void *ids, size_t n)
{
    unsigned char *block = add(c, err, n, sizeof(uint64_t));

    if (!block)
        return ERR_NO_MEMORY;
    memcpy(block, ids, n * sizeof(uint64_t));
    c->list[c->n++] =
        (struct channi_change){ .op = CHANGE_DEL, .n = n, .ids = (const uint64_t *)block };
    return OK;
}

void channi_txn_drop(struct channi *s)
{
    if (!s->txn)
        return;
    channi_changes_free(s->txn);
    mem_free(s->base.env.mem, s->txn);
    s->txn = NULL;
}

enum { RECORD_BYTES = 1 << 20, PUT_HEAD = 8 };

static int log_puts(struct channi *s, const struct channi_change *c)
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
        rc = wal_append(s->durable.wal, CHANGE_PUT, parts, 4);
    }
    return rc;
}

int channi_log_commit(struct channi *s, const struct channi_change *changes, size_t n,
                      uint64_t version)
{
    int rc = OK;

    if (!s->durable.wal)
        return OK;
    for (size_t i = 0; i < n && rc == OK; i++)
        rc = changes[i].op == CHANGE_PUT ? log_puts(s, &changes[i])
                                         : row_log_append(s->durable.wal, CHANGE_DEL,
                                                          changes[i].ids, NULL, 0, changes[i].n);
    if (rc == OK)
        rc = wal_append(s->durable.wal, CHANGE_COMMIT,
                        &(struct wal_part){ &version, sizeof version }, 1);
    /* wal_append() empties the batch when it fails. */
    return rc == OK ? wal_commit(s->durable.wal) : rc;
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
    return channi_changes_put(to, s->base.env.error, attributes + n * record, s->row_bytes, ids,
                              head[1] ? attributes : NULL, record, n);
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
        rc = channi_changes_del(to, s->base.env.error, r->payload, row_log_rows(r, 0));
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
