/* checked.c - validates a caller's arguments before a method sees them. */
#include "src/core/checked.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/core/stamp/stamp.h"

enum { OPTIONS_BYTES_MAX = 1 << 20 };

#define DIM_MAX 65535 /* up to this dimension integer sums are exact; see kernels.h */

/* There are live options exactly if an operation changes them. */
static int check_live(const struct index_ops *ops, struct error *err)
{
    const struct param *live = ops->params;
    while (live && live->name && !live->live)
        live++;
    const bool any = live && live->name;
    if (any && !ops->set_params)
        return fail(
            err, ERR_VERSION,
            "method \"%s\" lacks .set_params in its struct index_ops, but its option \"%s\" "
            "is live",
            ops->name, live->name);
    if (!any && ops->set_params)
        return fail(err, ERR_VERSION,
                    "method \"%s\" has .set_params, but none of its params is live", ops->name);
    return OK;
}

/* Names are parts of file names, of labels and of the command line. */
static bool is_method_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const size_t length = strnlen(name, INDEX_NAME_BYTES);
    return length > 0 && length < INDEX_NAME_BYTES && strspn(name, allowed) == length;
}

/* A plugin's tables may be wrong: what reads them trusts them. */
static int check_tables(const struct index_ops *ops, struct error *err)
{
    char owner[INDEX_NAME_BYTES + 16];
    (void)snprintf(owner, sizeof owner, "method \"%s\"", ops->name);
    for (const struct index_space *s = ops->spaces; (int)s->element != -1; s++)
        if ((unsigned)s->element > INDEX_B64 || (unsigned)s->metric > INDEX_HAMMING)
            return fail(err, ERR_VERSION,
                        "%s: entry %zu of its .spaces has element %d and metric %d, which do not "
                        "exist; does the list end with INDEX_SPACES_END?",
                        owner, (size_t)(s - ops->spaces) + 1, (int)s->element, (int)s->metric);
    if (ops->params_bytes > OPTIONS_BYTES_MAX || ops->knobs_bytes > OPTIONS_BYTES_MAX)
        return fail(err, ERR_VERSION,
                    "%s: .params_bytes is %zu and .knobs_bytes %zu; expected at most %d each",
                    owner, ops->params_bytes, ops->knobs_bytes, OPTIONS_BYTES_MAX);
    const int rc = param_check(ops->params, ops->params_bytes, owner, err);
    return rc == OK ? param_check(ops->knobs, ops->knobs_bytes, owner, err) : rc;
}

int index_ops_check(const struct index_ops *ops, struct error *err)
{
    if (!ops)
        return fail(err, ERR_VERSION, "a method has no struct index_ops");
    if (ops->abi != INDEX_ABI)
        return fail(err, ERR_VERSION,
                    "a method has ABI %" PRIu32 ", this program (Driftline %s) has ABI %d; "
                    "compile the method with this program's src/core/index.h",
                    ops->abi, build_stamp.version, INDEX_ABI);
    if (!ops->name || !*ops->name)
        return fail(err, ERR_VERSION, "a method has no name; set .name in its struct index_ops");
    if (!is_method_name(ops->name))
        return fail(
            err, ERR_VERSION,
            "a method's .name must be 1 to %d letters, digits, '-' and '_' of ASCII; one has "
            "others, or more",
            INDEX_NAME_BYTES - 1);
    const struct {
        const char *field;
        bool there;
    } mandatory[] = {
        { "summary", ops->summary && *ops->summary },
        { "source", ops->source && *ops->source },
        { "spaces", ops->spaces && (int)ops->spaces->element != -1 },
        { "create", ops->create != NULL },
        { "destroy", ops->destroy != NULL },
        { "insert", ops->insert != NULL },
        { "search", ops->search != NULL },
        { "params_bytes", !param_count(ops->params) || ops->params_bytes },
        { "knobs_bytes", !param_count(ops->knobs) || ops->knobs_bytes },
        { "train (its flags say INDEX_NEEDS_TRAIN)",
          !(ops->flags & INDEX_NEEDS_TRAIN) || ops->train },
    };
    const struct index_txn_ops *txn = ops->txn;
    const bool whole = !txn || (txn->begin && txn->commit && txn->rollback && txn->snapshot &&
                                txn->release && txn->search_as_of);
    if (!whole || (ops->attributes && !(ops->attributes->insert && ops->attributes->search)))
        return fail(err, ERR_VERSION,
                    "method \"%s\" lacks operations of its group .%s; give all of them or no group",
                    ops->name, whole ? "attributes" : "txn");
    for (size_t i = 0; i < sizeof mandatory / sizeof *mandatory; i++)
        if (!mandatory[i].there)
            return fail(err, ERR_VERSION, "method \"%s\" lacks .%s in its struct index_ops",
                        ops->name, mandatory[i].field);
    const int rc = check_tables(ops, err);
    return rc == OK ? check_live(ops, err) : rc;
}

static int check_env(const struct index_ops *ops, const struct index_env *env)
{
    struct error *err = env->error;
    if (env->dim == 0 || env->dim > DIM_MAX)
        return fail(err, ERR_DIMENSION, "method \"%s\": dimension %zu; expected 1 .. %d", ops->name,
                    env->dim, DIM_MAX);
    if (env->element == INDEX_B64 && (env->dim % 64 != 0 || env->dim > INDEX_CODE_BITS_MAX))
        return fail(err, ERR_DIMENSION,
                    "method \"%s\": codes of %zu bits; expected a multiple of 64, at most %d",
                    ops->name, env->dim, INDEX_CODE_BITS_MAX);
    if (index_takes(ops, env->element, 64, env->metric) &&
        !index_takes(ops, env->element, env->dim, env->metric))
        return fail(err, ERR_DIMENSION,
                    "method \"%s\" takes codes of 64 bits, not of %zu; " INDEX_WIDE_HINT, ops->name,
                    env->dim);
    if (!index_takes(ops, env->element, env->dim, env->metric))
        return fail(err, ERR_DIMENSION,
                    "method \"%s\" does not take %s vectors under %s (./harness describe %s)",
                    ops->name, index_element_name(env->element), index_metric_name(env->metric),
                    ops->name);
    if (env->n_attributes > INDEX_ATTRIBUTES_MAX)
        return fail(err, ERR_ARGUMENT, "method \"%s\": %zu attributes a row; expected at most %d",
                    ops->name, env->n_attributes, INDEX_ATTRIBUTES_MAX);
    if ((ops->flags & INDEX_ON_DISK) && !env->dir)
        return fail(err, ERR_ARGUMENT, "method \"%s\" works on disk, but was given no folder",
                    ops->name);
    return OK;
}

static int begin(struct checked *c, const struct index_ops *ops, const struct index_env *env)
{
    *c = (struct checked){ .error = env->error };
    idmap_init(&c->live, NULL);
    idmap_init(&c->before, NULL);
    idmap_init(&c->pins, NULL);
    int rc = index_ops_check(ops, env->error);
    if (rc == OK)
        rc = check_env(ops, env);
    c->ops = ops;
    return rc;
}

/* What create() or load() returned, if it is not OK without an index. */
static int admit_index(struct checked *c, int rc, const struct index_env *env, const char *what)
{
    if (rc != OK)
        c->index = NULL;
    else if (!c->index)
        rc = fail(c->error, ERR_INVARIANT, "method \"%s\": %s returns OK, but sets no index",
                  c->ops->name, what);
    else if (c->index->env.dim != env->dim || c->index->env.error != env->error) {
        c->index = NULL; /* to destroy it takes an env, too */
        rc = fail(c->error, ERR_INVARIANT,
                  "method \"%s\": %s returns OK, but the index has no copy of the env; expected a "
                  "struct index as its first field, with .env = *env",
                  c->ops->name, what);
    }
    return rc;
}

int index_open(struct checked *c, const struct index_ops *ops, const struct index_env *env,
               const void *params)
{
    int rc = begin(c, ops, env);
    if (rc == OK && !params && param_count(ops->params))
        rc = fail(env->error, ERR_ARGUMENT,
                  "method \"%s\": create without its parameters (param_defaults())", ops->name);
    if (rc == OK)
        rc = ops->create(&c->index, env, params);
    return admit_index(c, rc, env, "create");
}

/* Restores the live set from before an open transaction, which is lost with the old index. */
static int unfinished(struct checked *c, const struct checked *from)
{
    uint64_t id, was_live;
    for (size_t at = 0; idmap_next(&from->before, &at, &id, &was_live);) {
        if (!was_live)
            (void)idmap_remove(&c->live, id, NULL);
        else if (!idmap_put(&c->live, id, 1))
            return fail(c->error, ERR_NO_MEMORY, "load: out of memory for %zu ids", from->live.n);
    }
    return OK;
}

int index_open_saved(struct checked *c, const struct index_ops *ops, const struct index_env *env,
                     const char *dir, const struct checked *from)
{
    int rc = begin(c, ops, env);
    if (rc == OK && !ops->load)
        rc = fail(env->error, ERR_UNSUPPORTED, "method \"%s\" cannot load", ops->name);
    if (rc == OK && from && !idmap_reserve(&c->live, from->live.n))
        rc = fail(env->error, ERR_NO_MEMORY, "load: out of memory for %zu ids", from->live.n);
    uint64_t id;
    for (size_t at = 0; rc == OK && from && idmap_next(&from->live, &at, &id, NULL);)
        (void)idmap_put(&c->live, id, 1); /* cannot fail: reserved */
    if (rc == OK && from && from->in_transaction)
        rc = unfinished(c, from);
    if (rc == OK)
        rc = ops->load(&c->index, env, dir);
    rc = admit_index(c, rc, env, "load");
    if (rc != OK)
        idmap_free(&c->live);
    return rc;
}

void index_close(struct checked *c)
{
    if (c->index)
        c->ops->destroy(c->index);
    c->index = NULL;
    c->in_transaction = false;
    idmap_free(&c->live);
    idmap_free(&c->before);
    idmap_free(&c->pins);
}

static enum row_range range_u8(const unsigned char *row, size_t dim)
{
    unsigned any = 0;
    for (size_t j = 0; j < dim; j++)
        any |= row[j];
    return any ? INDEX_ROW_FITS : INDEX_ROW_ZERO;
}

int index_admit_vectors(struct checked *c, struct vectors v, const char *what)
{
    const struct index_env *env = &c->index->env;
    if (v.element != env->element)
        return fail(c->error, ERR_DIMENSION, "%s: rows are %s; the index holds %s", what,
                    index_element_name(v.element), index_element_name(env->element));
    if (v.dim != env->dim)
        return fail(c->error, ERR_DIMENSION, "%s: rows have dimension %zu; the index has %zu", what,
                    v.dim, env->dim);
    if (v.n > 0 && !v.rows)
        return fail(c->error, ERR_ARGUMENT, "%s: %zu rows at a null pointer", what, v.n);
    if (v.element == INDEX_B64 || (v.element == INDEX_U8 && env->metric != INDEX_COS))
        return OK;
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    for (size_t i = 0; i < v.n; i++) {
        const void *row = (const unsigned char *)v.rows + i * row_bytes;
        const enum row_range range =
            v.element == INDEX_F32 ? index_row_range(row, v.dim) : range_u8(row, v.dim);
        if (range == INDEX_ROW_ZERO && env->metric == INDEX_COS)
            return fail(c->error, ERR_ZERO_VECTOR,
                        "%s: row %zu is a zero vector, which has no direction under cosine", what,
                        i);
        if (range != INDEX_ROW_ZERO && range != INDEX_ROW_FITS) {
            char where[128];
            (void)snprintf(where, sizeof where, "%.80s: row %zu: component", what, i);
            return index_row_refuse(c->error, where, row, v.dim, 0);
        }
    }
    return OK;
}

/* Refuses INDEX_NO_ID and duplicate ids. Ids usually ascend, and then no set is needed. */
static int admit_ids(struct checked *c, const uint64_t *ids, size_t n, const char *what)
{
    if (n > 0 && !ids)
        return fail(c->error, ERR_ARGUMENT, "%s: %zu ids at a null pointer", what, n);
    bool ascending = true;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == INDEX_NO_ID)
            return fail(c->error, ERR_ARGUMENT,
                        "%s: row %zu: id %" PRIu64 " is reserved for \"no answer\"", what, i,
                        ids[i]);
        ascending &= i == 0 || ids[i - 1] < ids[i];
    }
    if (ascending)
        return OK;
    struct idmap seen;
    idmap_init(&seen, NULL);
    int rc = idmap_reserve(&seen, n) ? OK
                                     : fail(c->error, ERR_NO_MEMORY,
                                            "%s: out of memory, cannot compare %zu ids", what, n);
    for (size_t i = 0; i < n && rc == OK; i++) {
        uint64_t first;
        if (idmap_get(&seen, ids[i], &first))
            rc = fail(c->error, ERR_DUPLICATE_ID,
                      "%s: rows %" PRIu64 " and %zu both have id %" PRIu64, what, first, i, ids[i]);
        else
            (void)idmap_put(&seen, ids[i], i); /* cannot fail: reserved */
    }
    idmap_free(&seen);
    return rc;
}

/* Reserves space to record the earlier state of n more ids. */
static bool reserve_before(struct checked *c, size_t n)
{
    return !c->in_transaction || idmap_reserve(&c->before, c->before.n + n);
}

static void remember(struct checked *c, uint64_t id, bool was_live)
{
    if (c->in_transaction && !idmap_get(&c->before, id, NULL))
        (void)idmap_put(&c->before, id, was_live); /* cannot fail: reserved */
}

int index_admit_insert(struct checked *c, struct vectors v, const uint64_t *ids)
{
    int rc = index_admit_vectors(c, v, "insert");
    if (rc == OK)
        rc = admit_ids(c, ids, v.n, "insert");
    for (size_t i = 0; i < v.n && rc == OK; i++)
        if (idmap_get(&c->live, ids[i], NULL))
            rc = fail(c->error, ERR_DUPLICATE_ID,
                      "insert: row %zu: id %" PRIu64 " is already stored", i, ids[i]);
    /* This reservation ensures that index_note_inserted() cannot fail. */
    if (rc == OK && (!idmap_reserve(&c->live, c->live.n + v.n) || !reserve_before(c, v.n)))
        rc = fail(c->error, ERR_NO_MEMORY, "insert: out of memory for %zu ids", c->live.n + v.n);
    return rc;
}

static int admit_live(struct checked *c, const uint64_t *ids, size_t n, const char *what)
{
    int rc = admit_ids(c, ids, n, what);
    for (size_t i = 0; i < n && rc == OK; i++)
        if (!idmap_get(&c->live, ids[i], NULL))
            rc = fail(c->error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " (number %zu) is not stored",
                      what, ids[i], i);
    return rc;
}

int index_admit_remove(struct checked *c, const uint64_t *ids, size_t n)
{
    if (!c->ops->remove)
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" cannot delete", c->ops->name);
    int rc = admit_live(c, ids, n, "delete");
    if (rc == OK && !reserve_before(c, n))
        rc = fail(c->error, ERR_NO_MEMORY, "delete: out of memory for %zu ids", n);
    return rc;
}

int index_admit_search(struct checked *c, const struct search_request *r)
{
    if (r->k == 0)
        return fail(c->error, ERR_ARGUMENT, "search: k is 0; expected at least 1");
    if (c->k_max && r->k > c->k_max)
        return fail(c->error, ERR_ARGUMENT, "search: k is %zu; expected at most %zu", r->k,
                    c->k_max);
    if (!r->knobs && param_count(c->ops->knobs))
        return fail(c->error, ERR_ARGUMENT,
                    "search without the knobs of method \"%s\" (param_defaults())", c->ops->name);
    if (r->filter && r->filter->n_ids > 0 && !r->filter->bits)
        return fail(c->error, ERR_ARGUMENT,
                    "search: a filter over %" PRIu64 " ids at a null pointer", r->filter->n_ids);
    return index_admit_vectors(c, r->queries, "search");
}

int index_admit_cluster(struct checked *c, const struct cluster_request *r)
{
    if (!c->ops->cluster)
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" has no clusters", c->ops->name);
    const int rc = admit_live(c, r->ids, r->n, "cluster");
    return rc == OK ? index_admit_vectors(c, r->vectors, "cluster") : rc;
}

int index_admit_attributes(struct checked *c)
{
    if (!c->ops->attributes)
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" keeps no attributes", c->ops->name);
    if (c->index->env.n_attributes == 0)
        return fail(c->error, ERR_ARGUMENT, "the index was created without attributes");
    return OK;
}

int index_note_inserted(struct checked *c, const uint64_t *ids, size_t done)
{
    for (size_t i = 0; i < done; i++) {
        remember(c, ids[i], false);
        if (!idmap_put(&c->live, ids[i], 1))
            return fail(c->error, ERR_NO_MEMORY, "insert: out of memory for %zu ids",
                        c->live.n + 1);
    }
    return OK;
}

void index_note_removed(struct checked *c, const uint64_t *ids, size_t done)
{
    for (size_t i = 0; i < done; i++) {
        remember(c, ids[i], true);
        (void)idmap_remove(&c->live, ids[i], NULL);
    }
}

int index_admit_done(struct checked *c, int rc, size_t done, size_t n, const char *what)
{
    if (done > n || (rc == OK && done != n))
        return fail(c->error, ERR_INVARIANT,
                    "method \"%s\": %s reports %zu of %zu rows done and %s", c->ops->name, what,
                    done, n, error_name(rc));
    return rc;
}

int index_insert(struct checked *c, struct vectors v, const uint64_t *ids, size_t *done)
{
    size_t did = 0;
    int rc = index_admit_insert(c, v, ids);
    if (rc == OK && v.n > 0) {
        rc = c->ops->insert(c->index, v, ids, &did);
        rc = index_admit_done(c, rc, did, v.n, "insert");
        if (did <= v.n)
            (void)index_note_inserted(c, ids, did); /* cannot fail: reserved */
    }
    if (done)
        *done = did;
    return rc;
}

int index_remove(struct checked *c, const uint64_t *ids, size_t n, size_t *done)
{
    size_t did = 0;
    int rc = index_admit_remove(c, ids, n);
    if (rc == OK && n > 0) {
        rc = c->ops->remove(c->index, ids, n, &did);
        rc = index_admit_done(c, rc, did, n, "delete");
        if (did <= n)
            index_note_removed(c, ids, did);
    }
    if (done)
        *done = did;
    return rc;
}

int index_cluster(struct checked *c, const struct cluster_request *request,
                  struct cluster_result *result)
{
    const int rc = index_admit_cluster(c, request);
    if (rc != OK)
        return rc;
    if ((request->n > 0 && !result->of_ids) || (request->vectors.n > 0 && !result->of_vectors) ||
        !result->medoid)
        return fail(c->error, ERR_ARGUMENT, "cluster: the result has no arrays for the clusters");
    return c->ops->cluster(c->index, request, result);
}

int index_maintain(struct checked *c, uint64_t budget, bool *more)
{
    bool ignored;
    if (!c->ops->maintain)
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" has no maintenance operation",
                    c->ops->name);
    more = more ? more : &ignored;
    *more = false;
    return c->ops->maintain(c->index, budget, more);
}

int index_save(struct checked *c, const char *dir)
{
    if (!c->ops->save)
        return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" cannot save", c->ops->name);
    if (c->in_transaction)
        return fail(c->error, ERR_ARGUMENT, "save: a transaction is open; end it first");
    return c->ops->save(c->index, dir);
}

int index_check(struct checked *c, struct stat_sink *sink)
{
    return c->ops->check ? c->ops->check(c->index, sink) : OK;
}
