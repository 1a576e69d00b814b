/* checked_versions.c - transactions, versions and attributes: what a caller may get wrong of them, and the live
 * set, which an open transaction moves ahead of the index and a rollback moves back. */
#include <inttypes.h>

#include "checked.h"

static int lacks_transactions(struct checked *c)
{
    return c->ops->txn
               ? OK
               : fail(c->error, ERR_UNSUPPORTED, "method \"%s\" has no transactions", c->ops->name);
}

/* ---- transactions */

int index_admit_transaction(struct checked *c, bool open, const char *what)
{
    const int rc = lacks_transactions(c);

    if (rc != OK || open == c->in_transaction)
        return rc;
    return fail(c->error, ERR_ARGUMENT,
                open ? "%s: no transaction is open; begin comes first"
                     : "%s: a transaction is open already; commit or roll it back first",
                what);
}

void index_note_begun(struct checked *c)
{
    c->in_transaction = true;
}

static void forget(struct checked *c)
{
    c->in_transaction = false;
    idmap_free(&c->before);
    idmap_init(&c->before, NULL);
}

void index_note_committed(struct checked *c)
{
    forget(c);
}

void index_note_rolled_back(struct checked *c)
{
    uint64_t id, was_live;

    /* First those that came, so that the table has the room it had for those that went. */
    for (size_t at = 0; idmap_next(&c->before, &at, &id, &was_live);)
        if (!was_live)
            (void)idmap_remove(&c->live, id, NULL);
    for (size_t at = 0; idmap_next(&c->before, &at, &id, &was_live);)
        if (was_live)
            (void)idmap_put(&c->live, id, 1);
    forget(c);
}

int index_begin(struct checked *c)
{
    int rc = index_admit_transaction(c, false, "begin");

    if (rc == OK)
        rc = c->ops->txn->begin(c->index);
    if (rc == OK)
        index_note_begun(c);
    return rc;
}

int index_commit(struct checked *c, uint64_t *version)
{
    uint64_t ignored;
    int rc = index_admit_transaction(c, true, "commit");

    if (rc == OK)
        rc = c->ops->txn->commit(c->index, version ? version : &ignored);
    if (rc == OK)
        index_note_committed(c);
    return rc;
}

int index_rollback(struct checked *c)
{
    int rc = index_admit_transaction(c, true, "rollback");

    if (rc == OK)
        rc = c->ops->txn->rollback(c->index);
    if (rc == OK)
        index_note_rolled_back(c);
    return rc;
}

/* ---- versions */

int index_admit_snapshot(struct checked *c)
{
    int rc = index_admit_transaction(c, false, "snapshot");

    if (rc == OK && !idmap_reserve(&c->pins, c->pins.n + 1))
        rc = fail(c->error, ERR_NO_MEMORY, "snapshot: no memory for %zu versions", c->pins.n + 1);
    return rc;
}

int index_note_pinned(struct checked *c, uint64_t version)
{
    uint64_t times = 0;

    (void)idmap_get(&c->pins, version, &times);
    return idmap_put(&c->pins, version, times + 1)
               ? OK
               : fail(c->error, ERR_NO_MEMORY, "snapshot: no memory for its version");
}

int index_admit_release(struct checked *c, uint64_t version)
{
    const int rc = lacks_transactions(c);

    if (rc != OK || idmap_get(&c->pins, version, NULL))
        return rc;
    return fail(c->error, ERR_NOT_FOUND, "release: version %" PRIu64 " is not pinned", version);
}

void index_note_released(struct checked *c, uint64_t version)
{
    uint64_t times = 0;

    if (idmap_remove(&c->pins, version, &times) && times > 1)
        (void)idmap_put(&c->pins, version, times - 1); /* where it just was */
}

int index_snapshot(struct checked *c, uint64_t *version)
{
    uint64_t pinned = 0;
    int rc = index_admit_snapshot(c);

    if (rc == OK)
        rc = c->ops->txn->snapshot(c->index, &pinned);
    if (rc == OK)
        rc = index_note_pinned(c, pinned);
    if (version)
        *version = pinned;
    return rc;
}

int index_release(struct checked *c, uint64_t version)
{
    int rc = index_admit_release(c, version);

    if (rc == OK)
        rc = c->ops->txn->release(c->index, version);
    if (rc == OK)
        index_note_released(c, version);
    return rc;
}

int index_admit_as_of(struct checked *c, const struct search_request *request)
{
    const int rc = lacks_transactions(c);

    return rc == OK ? index_admit_search(c, request) : rc;
}

static int admit_room(struct checked *c, const struct search_request *request,
                      struct search_result *result)
{
    if (request->queries.n > 0 && (!result->ids || !result->distances))
        return fail(c->error, ERR_ARGUMENT, "search: nowhere to put the answers");
    result->work = (struct work){ 0 };
    return OK;
}

int index_search_as_of(struct checked *c, uint64_t version, const struct search_request *request,
                       struct search_result *result)
{
    int rc = index_admit_as_of(c, request);

    if (rc == OK)
        rc = admit_room(c, request, result);
    return rc == OK ? c->ops->txn->search_as_of(c->index, version, request, result) : rc;
}

/* ---- attributes */

int index_admit_where(struct checked *c, const struct search_request *request,
                      struct attribute_range range)
{
    if (!c->ops->attributes)
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" keeps no attributes", c->ops->name);
    if (range.low > range.high || range.high == ATTRIBUTE_NONE)
        return fail(c->error, ERR_ARGUMENT,
                    "search: attributes %" PRIu32 " .. %" PRIu32
                    " are no range: expected low <= high < %" PRIu32,
                    range.low, range.high, ATTRIBUTE_NONE);
    if (request->filter)
        return fail(c->error, ERR_ARGUMENT, "search: a range of attributes and a filter at once");
    return index_admit_search(c, request);
}

int index_search_where(struct checked *c, const struct search_request *request,
                       struct attribute_range range, struct search_result *result)
{
    int rc = index_admit_where(c, request, range);

    if (rc == OK)
        rc = admit_room(c, request, result);
    return rc == OK ? c->ops->attributes->search(c->index, request, range, result) : rc;
}

size_t index_checked_bytes(const struct checked *c)
{
    return idmap_bytes(&c->live) + idmap_bytes(&c->before) + idmap_bytes(&c->pins);
}
