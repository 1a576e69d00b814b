/* update.c - inserting and removing rows. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/scann/scann.h"
#include "src/core/mem.h"

/* Files rows first .. end - 1, which are in their slots. On failure *filed of them are. */
static int file_new(struct scann *s, size_t first, size_t end, size_t *filed)
{
    const struct index_env *env = &s->base.env;
    uint32_t *lists = mem_array(env->mem, 2 * (end - first), sizeof *lists);
    *filed = 0;
    if (!lists)
        return fail(env->error, ERR_NO_MEMORY, "scann: out of memory for %zu rows", end - first);
    int rc = scann_assign(env, s->lists.centroids, s->lists.n, scann_spills(s),
                          (float)s->params.soar_lambda, scann_row(s, first), end - first, lists);
    if (!rc)
        rc =
            scann_file(env, &s->lists, s->store.floats, (uint32_t)first, end - first, lists, filed);
    mem_free(env->mem, lists);
    return rc;
}

int scann_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct scann *s = scann_of(index);
    *done = 0;
    if (v.n == 0)
        return OK;
    int rc = scann_reserve(s, ids, v.n);
    if (rc)
        return rc;
    memcpy(s->store.floats + s->store.n * v.dim, v.rows, v.n * v.dim * sizeof *s->store.floats);
    if (!s->fixed && s->store.n + v.n >= s->train_at) {
        rc = scann_train_on(s, s->store.floats, s->store.n + v.n, s->store.n + v.n);
        if (rc)
            return rc;
    }
    *done = v.n;
    if (s->lists.n > 0)
        rc = file_new(s, s->store.n, s->store.n + v.n, done);
    dense_rows_append(&s->store, NULL, ids, *done);
    return rc;
}

int scann_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct scann *s = scann_of(index);

    for (*done = 0; *done < n; ++*done) {
        uint32_t slot;
        if (!dense_rows_find(&s->store, ids[*done], &slot))
            return fail(index->env.error, ERR_UNKNOWN_ID, "scann: id %" PRIu64 " is not stored",
                        ids[*done]);
        const uint32_t last = (uint32_t)s->store.n - 1;
        if (s->lists.n > 0)
            scann_unfile(&index->env, &s->lists, s->store.floats, slot);
        if (s->lists.n > 0 && slot != last)
            scann_renumber(&s->lists, last, slot);
        dense_rows_remove(&s->store, slot);
        s->removed++;
    }
    return OK;
}
