/* method.c - CHANNI's table of operations for the harness; insertions, deletions and transactions: a change
 * is added to the open transaction, or applied as one of its own. commit/apply.c does the rest. */
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/index.h"
#include "src/core/mem.h"

static int create(struct index **out, const struct index_env *env, const void *params)
{
    const struct channi_opening opening = { .ops = &channi_ops };
    struct channi *s = NULL;
    const int rc = channi_create_with(&s, env, params, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}

static int load(struct index **out, const struct index_env *env, const char *dir)
{
    const struct channi_opening opening = { .ops = &channi_ops };
    struct channi *s = NULL;
    const int rc = channi_load_from(&s, env, dir, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}

/* Adds the change to the open transaction, or applies it. */
static int change(struct index *index, const struct channi_change *what, size_t *done)
{
    struct channi *s = channi_of(index);
    int rc = OK;

    if (what->n > 0 && s->txn)
        rc = channi_changes_add(s->txn, s, what->n, what->ids, what->rows, what->attributes);
    else if (what->n > 0)
        rc = channi_apply(s, what, 1, NULL);
    *done = rc == OK ? what->n : 0;
    return rc;
}

int channi_insert_with(struct index *index, struct vectors rows, const uint64_t *ids,
                       const int64_t *attributes, size_t *done)
{
    const struct channi_change put = {
        .op = CHANGE_PUT, .n = rows.n, .ids = ids, .rows = rows.rows, .attributes = attributes
    };

    return change(index, &put, done);
}

static int insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    return channi_insert_with(index, rows, ids, NULL, done);
}

int channi_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    return change(index, &(struct channi_change){ .op = CHANGE_DEL, .n = n, .ids = ids }, done);
}

int channi_begin(struct index *index)
{
    struct channi *s = channi_of(index);

    if (s->txn)
        return fail(index->env.error, ERR_ARGUMENT,
                    "channi: begin: a transaction of %zu changes is open; commit it or roll it "
                    "back first",
                    s->txn->n);
    s->txn = mem_zalloc(index->env.mem, sizeof *s->txn);
    return s->txn ? OK : CHANNI_NO_MEMORY(&index->env, " for a transaction");
}

static int none_open(const struct index *index, const char *what)
{
    return fail(
        index->env.error, ERR_ARGUMENT,
        "channi: %s: no transaction is open; begin one, or insert and remove without a transaction",
        what);
}

/* A commit that fails changes nothing; the transaction stays open, and the commit can
   be retried. */
int channi_commit(struct index *index, uint64_t *version)
{
    struct channi *s = channi_of(index);

    if (!s->txn)
        return none_open(index, "commit");
    const int rc = channi_apply(s, s->txn->list, s->txn->n, version);
    if (rc == OK)
        channi_txn_drop(s);
    return rc;
}

int channi_rollback(struct index *index)
{
    struct channi *s = channi_of(index);

    if (!s->txn)
        return none_open(index, "rollback");
    channi_txn_drop(s);
    channi_count(&s->counters.aborts, 1);
    return OK;
}

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_U8, INDEX_L2SQ }, INDEX_SPACES_END
};

static const struct index_txn_ops txn = { .begin = channi_begin,
                                          .commit = channi_commit,
                                          .rollback = channi_rollback,
                                          .snapshot = channi_snapshot,
                                          .release = channi_release,
                                          .search_as_of = channi_search_as_of };

static const struct index_attribute_ops attributes = { .insert = channi_insert_with,
                                                       .search = channi_search_where };

const struct index_ops channi_ops = {
    .abi = INDEX_ABI,
    .name = "channi",
    .summary = "graphs within a graph: routes to clusters that are files, transactions, versions",
    .source = "Cosdata, CHANNI",
    .flags = INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = spaces,
    .params = channi_params,
    .params_bytes = sizeof(struct channi_params),
    .knobs = channi_knobs,
    .knobs_bytes = sizeof(struct channi_knobs),
    .create = create,
    .destroy = channi_destroy,
    .insert = insert,
    .remove = channi_remove,
    .search = channi_search,
    .range = channi_range,
    .maintain = channi_maintain,
    .set_params = channi_set_params,
    .save = channi_save,
    .load = load,
    .stats = channi_stats,
    .memory = channi_memory,
    .check = channi_check,
    .inspect = channi_inspect,
    .cluster = channi_cluster,
    .txn = &txn,
    .attributes = &attributes,
};
