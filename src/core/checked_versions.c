/* checked_versions.c - validates calls for transactions, versions, attributes and live options.
 *
 * It also maintains the live set. An open transaction changes the set before the index changes; a
 * rollback restores it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "src/core/checked.h"

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

void index_note_committed(struct checked *c)
{
    c->in_transaction = false;
    idmap_free(&c->before);
}

void index_note_rolled_back(struct checked *c)
{
    uint64_t id, was_live;

    /* The added ids are removed first, so that the table has capacity for the removed ones. */
    for (size_t at = 0; idmap_next(&c->before, &at, &id, &was_live);)
        if (!was_live)
            (void)idmap_remove(&c->live, id, NULL);
    for (size_t at = 0; idmap_next(&c->before, &at, &id, &was_live);)
        if (was_live)
            (void)idmap_put(&c->live, id, 1);
    index_note_committed(c); /* nothing of it is left */
}

/* ---- versions */

int index_admit_snapshot(struct checked *c)
{
    int rc = index_admit_transaction(c, false, "snapshot");

    if (rc == OK && !idmap_reserve(&c->pins, c->pins.n + 1))
        rc = fail(c->error, ERR_NO_MEMORY, "snapshot: out of memory for %zu versions",
                  c->pins.n + 1);
    return rc;
}

int index_note_pinned(struct checked *c, uint64_t version)
{
    uint64_t times = 0;

    (void)idmap_get(&c->pins, version, &times);
    return idmap_put(&c->pins, version, times + 1)
               ? OK
               : fail(c->error, ERR_NO_MEMORY, "snapshot: out of memory for its version");
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
        (void)idmap_put(&c->pins, version, times - 1); /* replaces an entry, so it cannot fail */
}

int index_admit_as_of(struct checked *c, const struct search_request *request)
{
    const int rc = lacks_transactions(c);

    return rc == OK ? index_admit_search(c, request) : rc;
}

/* ---- attributes */

static int fail_condition(struct checked *c, size_t i, const char *what)
{
    return fail(c->error, ERR_ARGUMENT, "search: condition %zu of the attributes: %s", i, what);
}

static int admit_condition(struct checked *c, const struct attribute_filter *filter, size_t i)
{
    const struct attribute_condition *a = &filter->conditions[i];
    const int64_t *values = filter->values + a->first;

    if (a->field >= c->index->env.n_attributes)
        return fail_condition(c, i, "its field does not exist");
    if (a->test > INDEX_ATTRIBUTE_MISSING)
        return fail_condition(c, i, "its test does not exist");
    if ((a->test == INDEX_ATTRIBUTE_RANGE && a->n != 2) ||
        (a->test == INDEX_ATTRIBUTE_MISSING && a->n != 0))
        return fail_condition(c, i, "expected two values for a range and none for a missing value");
    for (size_t j = 0; j < a->n; j++) {
        if (values[j] == INDEX_ATTRIBUTE_NONE)
            return fail_condition(c, i, "a value is INDEX_ATTRIBUTE_NONE, which no row has");
        if (j > 0 && (values[j] < values[j - 1] ||
                      (values[j] == values[j - 1] && a->test != INDEX_ATTRIBUTE_RANGE)))
            return fail_condition(c, i,
                                  a->test == INDEX_ATTRIBUTE_RANGE
                                      ? "it is not a range; expected low <= high"
                                      : "its values are not ascending and distinct");
    }
    return OK;
}

int index_admit_where(struct checked *c, const struct search_request *request,
                      const struct attribute_filter *filter)
{
    int rc = index_admit_attributes(c);

    if (rc == OK && !filter)
        rc = fail(c->error, ERR_ARGUMENT, "search: no filter of attributes is given");
    for (size_t i = 0; rc == OK && i < filter->n; i++)
        rc = admit_condition(c, filter, i);
    if (rc == OK && request->filter)
        rc = fail(c->error, ERR_ARGUMENT,
                  "search: conditions on attributes and a filter of ids are both given; use one of "
                  "them");
    return rc == OK ? index_admit_search(c, request) : rc;
}

size_t index_checked_bytes(const struct checked *c)
{
    return idmap_bytes(&c->live) + idmap_bytes(&c->before) + idmap_bytes(&c->pins);
}

/* ---- live options */

enum { LIVE_NAMES_MAX = 128 };

/* Says which option the method lacks, or cannot change while the index lives. */
static int refuse_option(const struct checked *c, const char *name)
{
    const char *names[LIVE_NAMES_MAX];
    size_t n = 0;

    if (param_find(c->ops->params, name))
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\": option \"%s\" is fixed at creation",
                    c->ops->name, name);
    for (const struct param *p = c->ops->params; p && p->name && n < LIVE_NAMES_MAX; p++)
        if (p->live)
            names[n++] = p->name;
    return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" has no option \"%s\"%s", c->ops->name,
                name, error_hint(name, names, n).text);
}

int index_admit_set(struct checked *c, void *params, const struct param_setting *settings, size_t n)
{
    char owner[100];

    if (!c->ops->set_params)
        return fail(c->error, ERR_UNSUPPORTED,
                    "method \"%s\" cannot change options while its index lives", c->ops->name);
    if (c->in_transaction)
        return fail(c->error, ERR_ARGUMENT, "set: a transaction is open; commit or roll it back");
    (void)snprintf(owner, sizeof owner, "method \"%s\"", c->ops->name);
    for (size_t i = 0; i < n; i++) {
        const struct param *p = param_find(c->ops->params, settings[i].name);
        if (!p || !p->live)
            return refuse_option(c, settings[i].name);
        const int rc =
            param_set(c->ops->params, params, p->name, settings[i].value, owner, c->error);
        if (rc != OK)
            return rc;
    }
    return OK;
}
