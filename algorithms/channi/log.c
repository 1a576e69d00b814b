/* log.c - commits as records of the journal. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/channi/changes.h"

enum { RECORD_BYTES = 1 << 20, PUT_HEAD = 8 };

/* ------------------------------------------------------------------------------- writing */

static int log_puts(struct channi *s, const struct change *c)
{
    const size_t each = sizeof(uint64_t) + sizeof(uint32_t) + s->row_bytes;
    const size_t most = RECORD_BYTES / each > 0 ? RECORD_BYTES / each : 1;
    int rc = OK;

    for (size_t i = 0, n; i < c->n && rc == OK; i += n) {
        n = c->n - i < most ? c->n - i : most;
        const uint32_t head[2] = { (uint32_t)n, c->attributes != NULL };
        const struct journal_part parts[] = {
            { head, sizeof head },
            { c->ids + i, n * sizeof(uint64_t) },
            { c->attributes ? c->attributes + i : NULL, c->attributes ? n * sizeof(uint32_t) : 0 },
            { c->rows + i * s->row_bytes, n * s->row_bytes },
        };
        rc = journal_append(s->journal, CHANGE_PUT, parts, 4);
    }
    return rc;
}

static int log_dels(struct channi *s, const struct change *c)
{
    const size_t most = RECORD_BYTES / sizeof(uint64_t);
    int rc = OK;

    for (size_t i = 0, n; i < c->n && rc == OK; i += n) {
        n = c->n - i < most ? c->n - i : most;
        rc = journal_append(s->journal, CHANGE_DEL,
                            &(struct journal_part){ c->ids + i, n * sizeof(uint64_t) }, 1);
    }
    return rc;
}

int channi_log_commit(struct channi *s, const struct change *changes, size_t n, uint64_t version)
{
    int rc = OK;

    if (!s->journal)
        return OK;
    for (size_t i = 0; i < n && rc == OK; i++)
        rc = changes[i].op == CHANGE_PUT ? log_puts(s, &changes[i]) : log_dels(s, &changes[i]);
    if (rc == OK)
        rc = journal_append(s->journal, CHANGE_COMMIT,
                            &(struct journal_part){ &version, sizeof version }, 1);
    /* An append that fails has emptied the batch. */
    return rc == OK ? journal_commit(s->journal) : rc;
}

/* ------------------------------------------------------------------------------- reading */

static int misfit(const struct channi *s, const struct journal_record *r)
{
    return fail(s->base.env.error, ERR_CORRUPT,
                "channi: journal in %s: record %" PRIu64
                " (op %u, %zu bytes) is none of this index",
                s->base.env.dir, r->lsn, r->op, r->n);
}

static int read_put(const struct channi *s, const struct journal_record *r, struct changes *to)
{
    const unsigned char *p = r->payload;
    uint32_t head[2];

    if (r->n < PUT_HEAD)
        return misfit(s, r);
    memcpy(head, p, sizeof head);
    const size_t n = head[0], numbers = head[1] ? sizeof(uint32_t) : 0;
    if (n == 0 || head[1] > 1 ||
        (r->n - PUT_HEAD) / n != sizeof(uint64_t) + numbers + s->row_bytes ||
        (r->n - PUT_HEAD) % n != 0)
        return misfit(s, r);
    const unsigned char *ids = p + PUT_HEAD, *attributes = ids + n * sizeof(uint64_t);
    return changes_put(to, s->base.env.error, attributes + n * numbers, s->row_bytes, ids,
                       head[1] ? attributes : NULL, n);
}

int channi_log_read(const struct channi *s, const struct journal_record *r, struct changes *to,
                    uint64_t *version)
{
    *version = 0;
    switch (r->op) {
        case CHANGE_PUT: return read_put(s, r, to);
        case CHANGE_DEL:
            if (r->n == 0 || r->n % sizeof(uint64_t) != 0)
                return misfit(s, r);
            return changes_del(to, s->base.env.error, r->payload, r->n / sizeof(uint64_t));
        case CHANGE_COMMIT:
            if (r->n != sizeof *version)
                return misfit(s, r);
            memcpy(version, r->payload, sizeof *version);
            return *version > 0 ? OK : misfit(s, r);
        default: return misfit(s, r);
    }
}
