/* index.c - creating and destroying an index, and the slots of its rows. */
#include "algorithms/scann/scann.h"

#include "src/core/mem.h"

/* Rows at which an index that was not trained trains itself. Below, a scan of the rows is as
   fast. */
enum { TRAIN_ROWS = 256 };

int scann_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
                 const void *params)
{
    struct scann *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "scann: out of memory for an index");
    s->base = (struct index){ .ops = ops, .env = *env };
    s->params = *(const struct scann_params *)params;
    s->train_at = TRAIN_ROWS;
    stop_rule_default(&s->stop.rule);
    pthread_mutex_init(&s->stop_lock, NULL);
    dense_rows_init(&s->store, env->mem, index_row_bytes(env->element, env->dim));
    scratch_pool_init(&s->scratch, &scann_scratch_kind, env->mem, s);
    if ((size_t)s->params.pq_groups > env->dim) {
        const int rc = fail(env->error, ERR_ARGUMENT, "scann: pq_groups = %lld of %zu dimensions",
                            (long long)s->params.pq_groups, env->dim);
        scann_destroy(&s->base);
        return rc;
    }
    *index = &s->base;
    return OK;
}

void scann_destroy(struct index *index)
{
    struct scann *s = scann_of(index);
    scann_lists_free(&index->env, &s->lists);
    scratch_pool_free(&s->scratch);
    pthread_mutex_destroy(&s->stop_lock);
    dense_rows_free(&s->store);
    mem_free(index->env.mem, s);
}

int scann_reserve(struct scann *s, const uint64_t *ids, size_t n)
{
    const struct index_env *env = &s->base.env;

    if (dense_rows_reserve(&s->store, ids, n, env->expected_n) &&
        (s->lists.n == 0 || scann_places_reserve(env, &s->lists, s->store.ids_capacity)))
        return OK;
    return fail(env->error, ERR_NO_MEMORY, "scann: out of memory for %zu more rows", n);
}
