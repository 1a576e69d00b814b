#include "algorithms/sharded/copy/copy.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "src/core/path_print.h"
#include "src/core/rng.h"

/* ---- 1. making */

int copy_options(const struct param *table, void *out, const char *text, const char *owner,
                 struct error *err)
{
    int rc = OK;
    param_defaults(table, out);
    for (const char *at = text; rc == OK && *at;) {
        char name[PARAM_TEXT_BYTES], value[PARAM_TEXT_BYTES];
        const size_t n = strcspn(at, ","), equals = strcspn(at, "=,");
        if (equals == 0 || at[equals] != '=' || n >= sizeof name)
            return fail(err, ERR_CONFIG, "%s: options \"%s\": expected name=value,name=value",
                        owner, text);
        (void)snprintf(name, sizeof name, "%.*s", (int)equals, at);
        (void)snprintf(value, sizeof value, "%.*s", (int)(n - equals - 1), at + equals + 1);
        rc = param_set(table, out, name, (struct param_value){ .kind = VALUE_TEXT, .text = value },
                       owner, err);
        at += n + (at[n] == ',');
    }
    return rc;
}

int copy_new(struct shard_copy **out, const struct index_env *env, const struct index_ops *ops,
             const char *of_params, const char *folder)
{
    struct mem *mem = env->mem;
    struct error *error = env->error;
    char path[PATH_MAX];
    struct shard_copy *c = *out = mem_zalloc(mem, sizeof *c);
    if (!c)
        return fail(error, ERR_NO_MEMORY, "sharded: out of memory for a shard");
    c->env = *env;
    c->ops = ops;
    idmap_init(&c->live, mem);
    idmap_init(&c->leaving, mem);
    c->params = mem_zalloc(mem, ops->params_bytes + 1);
    c->knobs = mem_zalloc(mem, ops->knobs_bytes + 1);
    c->folder = mem_strdup(mem, folder);
    if (path_print(path, error, "%s/index", folder))
        return ERR_ARGUMENT;
    c->env.dir = c->index_folder = mem_strdup(mem, path);
    if (!c->params || !c->knobs || !c->folder || !c->index_folder)
        return fail(error, ERR_NO_MEMORY, "sharded: out of memory for a shard");
    const int rc = copy_options(ops->params, c->params, of_params, ops->name, error);
    return rc ? rc : copy_options(ops->knobs, c->knobs, "", ops->name, error);
}

int copy_make_index(struct shard_copy *c, const char *from)
{
    struct index *index = NULL;
    if (c->index)
        c->ops->destroy(c->index);
    c->index = NULL;
    log_remove_folder(c->index_folder);
    if (mkdir(c->index_folder, 0700) != 0)
        return fail_errno(c->env.error, ERR_IO, "sharded: %s cannot be made", c->index_folder);
    const int rc =
        from ? c->ops->load(&index, &c->env, from) : c->ops->create(&index, &c->env, c->params);
    c->index = rc == OK ? index : NULL;
    return rc;
}

int copy_create(struct shard_copy *c)
{
    log_remove_folder(c->folder);
    if (mkdir(c->folder, 0700) != 0)
        return fail_errno(c->env.error, ERR_IO, "sharded: %s cannot be made", c->folder);
    const int rc = copy_make_index(c, NULL);
    return rc ? rc : log_create(&c->log, &c->env, c->folder, 1);
}

void copy_destroy(struct shard_copy *c)
{
    if (!c)
        return;
    struct mem *mem = c->env.mem;
    if (c->index)
        c->ops->destroy(c->index);
    log_close(&c->log);
    idmap_free(&c->live);
    idmap_free(&c->leaving);
    mem_free(mem, c->sample);
    mem_free(mem, c->params);
    mem_free(mem, c->knobs);
    mem_free(mem, c->folder);
    mem_free(mem, c->index_folder);
    mem_free(mem, c);
}

/* ---- 2. changing */

static int reserve(struct shard_copy *c, size_t n)
{
    if (!idmap_reserve(&c->live, c->live.n + n) || !idmap_reserve(&c->leaving, c->leaving.n + n))
        return copy_no_memory(c, n);
    return OK;
}

static int reserve_to_remove(struct shard_copy *c, size_t n)
{
    if (!c->ops->remove)
        return fail(c->env.error, ERR_UNSUPPORTED, "sharded: method \"%s\" cannot delete",
                    c->ops->name);
    return reserve(c, n);
}

/* Space is reserved. */
static size_t mark(struct shard_copy *c, const struct log_record *r)
{
    size_t found = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint64_t value;
        if (!idmap_remove(&c->live, r->ids[i], &value))
            continue;
        (void)idmap_put(&c->leaving, r->ids[i], value);
        found++;
    }
    return found;
}

int copy_mark(struct shard_copy *c, const struct log_record *r, size_t *found)
{
    *found = 0;
    int rc = copy_flush(c);
    if (rc == OK)
        rc = reserve_to_remove(c, r->n);
    if (rc != OK)
        return rc;
    *found = mark(c, r);
    c->sequence = r->sequence;
    return OK;
}

void copy_unmark(struct shard_copy *c, const struct log_record *r)
{
    /* If that mark failed, what is in `leaving` is of earlier ones. */
    for (size_t i = 0; c->sequence == r->sequence && i < r->n; i++) {
        uint64_t value;
        if (idmap_remove(&c->leaving, r->ids[i], &value))
            (void)idmap_put(&c->live, r->ids[i], value);
    }
}

/* What leaves is written to the log (logs), and removed from the index (index). */
static int drop(struct shard_copy *c, bool logs, bool index)
{
    const size_t n = c->leaving.n;
    size_t at = 0, done = 0, i = 0;
    if (n == 0)
        return OK;
    uint64_t value, *ids = mem_array(c->env.mem, n, sizeof *ids);
    if (!ids)
        return copy_no_memory(c, n);
    while (i < n && idmap_next(&c->leaving, &at, &ids[i], &value))
        i++;
    const struct log_record r = {
        .op = LOG_REMOVE, .sequence = c->sequence, .ends = true, .n = n, .ids = ids
    };
    int rc = logs ? log_write(&c->log, &r) : OK;
    if (!index)
        done = n;
    else if (rc == OK)
        rc = c->ops->remove ? c->ops->remove(c->index, ids, n, &done)
                            : fail(c->env.error, ERR_UNSUPPORTED,
                                   "sharded: an insertion failed, and method \"%s\" cannot delete "
                                   "the rows that were inserted",
                                   c->ops->name);
    for (i = 0; i < done; i++)
        (void)idmap_remove(&c->leaving, ids[i], NULL);
    mem_free(c->env.mem, ids);
    return rc;
}

int copy_flush(struct shard_copy *c)
{
    return drop(c, true, true);
}

/* Rows that are in the index but shall not be. Space is reserved. */
static void leave(struct shard_copy *c, const uint64_t *ids, size_t n)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    for (size_t i = 0; i < n; i++)
        (void)idmap_put(&c->leaving, ids[i], 0);
    (void)copy_flush(c);
    (void)error_divert(before);
}

/* What a change needs so that it can be made, or taken back, whole. */
static int prepare(struct shard_copy *c, const struct log_record *r, bool logs)
{
    const int rc = logs && (r->op == LOG_INSERT || r->op == LOG_TRAIN) ? copy_flush(c) : OK;
    if (rc != OK || (r->op != LOG_INSERT && r->op != LOG_REMOVE))
        return rc;
    return logs && r->op == LOG_REMOVE ? reserve_to_remove(c, r->n) : reserve(c, r->n);
}

/* Of an insertion, *done rows are in the index. */
static int change_index(struct shard_copy *c, const struct log_record *r, size_t *done)
{
    const struct vectors v = { r->rows, r->n, c->env.dim, c->env.element };
    if (r->op == LOG_TRAIN && c->ops->train)
        return c->ops->train(c->index, v);
    return r->op == LOG_INSERT && r->n > 0 ? c->ops->insert(c->index, v, r->ids, done) : OK;
}

int copy_do(struct shard_copy *c, const struct log_record *r, bool logs, bool index)
{
    uint64_t first = r->lsn, value;
    size_t done = 0;
    int rc = prepare(c, r, logs);
    if (rc != OK)
        return rc;
    if (r->op == LOG_REMOVE)
        (void)mark(c, r);
    if (index)
        rc = change_index(c, r, &done);
    if (rc == OK && logs && (r->op != LOG_TRAIN || c->ops->train)) {
        rc = r->op == LOG_BASE ? log_end_base(&c->log, r->sequence) : log_write(&c->log, r);
        first = wal_last(c->log.wal) - (r->n > 0 ? (r->n - 1) / LOG_ROWS : 0);
    }
    if (rc != OK && logs && r->op == LOG_INSERT) /* in recovery the files stay as they are */
        leave(c, r->ids, done);
    if (rc != OK)
        return rc;
    for (size_t i = 0; r->op == LOG_INSERT && i < r->n; i++)
        (void)idmap_put(&c->live, r->ids[i], (first + i / LOG_ROWS) << BUCKET_BITS | r->buckets[i]);
    for (size_t i = 0; r->op == LOG_RELABEL && i < r->n; i++)
        if (idmap_get(&c->live, r->ids[i], &value))
            (void)idmap_put(&c->live, r->ids[i],
                            value >> BUCKET_BITS << BUCKET_BITS | r->buckets[i]);
    if (r->ends && r->sequence > c->sequence)
        c->sequence = r->sequence;
    return r->op != LOG_REMOVE ? OK : logs ? copy_flush(c) : drop(c, false, index);
}

/* ---- 3. asking */

/* What a search needs first: no rows that have left, and its knobs. */
static int prepare_search(struct shard_copy *c, const char *of_knobs)
{
    int rc = copy_flush(c);
    if (rc != OK || strcmp(of_knobs, c->of_knobs) == 0)
        return rc;
    rc = copy_options(c->ops->knobs, c->knobs, of_knobs, c->ops->name, c->env.error);
    if (rc == OK)
        (void)snprintf(c->of_knobs, sizeof c->of_knobs, "%s", of_knobs);
    else
        (void)copy_options(c->ops->knobs, c->knobs, c->of_knobs, c->ops->name, NULL);
    return rc;
}

int copy_search(struct shard_copy *c, const char *of_knobs, struct search_request request,
                struct search_result *result)
{
    const int rc = prepare_search(c, of_knobs);
    request.knobs = c->ops->knobs ? c->knobs : NULL;
    return rc == OK ? c->ops->search(c->index, &request, result) : rc;
}

int copy_range(struct shard_copy *c, const char *of_knobs, struct range_request request,
               struct range_result *result)
{
    if (!c->ops->range)
        return fail(c->env.error, ERR_UNSUPPORTED, "sharded: method \"%s\" has no range search",
                    c->ops->name);
    const int rc = prepare_search(c, of_knobs);
    request.knobs = c->ops->knobs ? c->knobs : NULL;
    return rc == OK ? c->ops->range(c->index, &request, result) : rc;
}

uint64_t copy_digest(const struct shard_copy *c)
{
    uint64_t sum = c->live.n, id, value;
    for (size_t at = 0; idmap_next(&c->live, &at, &id, &value);)
        sum += rng_mix(id, copy_bucket(value));
    return sum;
}

struct log_count {
    const struct shard_copy *copy;
    size_t found;
};

static int count_record(void *to, const struct log_record *r)
{
    struct log_count *count = to;
    uint64_t value;
    for (size_t i = 0; r->op == LOG_INSERT && i < r->n; i++)
        count->found +=
            idmap_get(&count->copy->live, r->ids[i], &value) && value >> BUCKET_BITS == r->lsn;
    return OK;
}

/* Each live row is in the log once. */
int copy_check(struct shard_copy *c)
{
    struct log_count count = { c, 0 };
    int rc = copy_flush(c);
    if (rc == OK && c->ops->check)
        rc = c->ops->check(c->index, NULL);
    if (rc == OK)
        rc = log_read(&c->log, 0, count_record, &count);
    if (rc == OK && count.found != c->live.n)
        rc = fail(c->env.error, ERR_INVARIANT, "sharded: %s: the log has %zu of %zu live rows",
                  c->folder, count.found, c->live.n);
    return rc;
}
