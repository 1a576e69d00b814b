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
        rc = scann_file(env, &s->lists, s->rows, (uint32_t)first, end - first, lists, filed);
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
    memcpy(s->rows + s->n * v.dim, v.rows, v.n * v.dim * sizeof *s->rows);
    if (!s->fixed && s->n + v.n >= s->train_at) {
        rc = scann_train_on(s, s->rows, s->n + v.n, s->n + v.n);
        if (rc)
            return rc;
    }
    *done = v.n;
    if (s->lists.n > 0)
        rc = file_new(s, s->n, s->n + v.n, done);
    for (size_t i = 0; i < *done; i++) {
        s->ids[s->n + i] = ids[i];
        slot_table_put(&s->slots, ids[i], (uint32_t)(s->n + i));
    }
    s->n += *done;
    return rc;
}

static void remove_slot(struct scann *s, uint32_t slot)
{
    const uint32_t last = (uint32_t)--s->n;
    const size_t dim = s->base.env.dim;
    if (s->lists.n > 0)
        scann_unfile(&s->base.env, &s->lists, s->rows, slot);
    if (slot == last)
        return;
    if (s->lists.n > 0)
        scann_renumber(&s->lists, last, slot);
    memcpy(s->rows + slot * dim, s->rows + last * dim, dim * sizeof *s->rows);
    slot_table_move(&s->slots, s->ids[last], last, slot);
    s->ids[slot] = s->ids[last];
}

int scann_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct scann *s = scann_of(index);
    for (*done = 0; *done < n; ++*done) {
        uint32_t slot;
        if (!slot_table_remove(&s->slots, s->ids, ids[*done], &slot))
            return fail(index->env.error, ERR_UNKNOWN_ID, "scann: id %" PRIu64 " is not stored",
                        ids[*done]);
        remove_slot(s, slot);
        s->removed++;
    }
    return OK;
}
