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
    slot_table_init(&s->slots, env->mem);
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
    struct mem *mem = index->env.mem;
    scann_lists_free(&index->env, &s->lists);
    scratch_pool_free(&s->scratch);
    slot_table_free(&s->slots);
    mem_free(mem, s->rows);
    mem_free(mem, s->ids);
    mem_free(mem, s);
}

static bool reserve_slots(struct scann *s, size_t n)
{
    const struct index_env *env = &s->base.env;
    return mem_grow(env->mem, &s->rows, &s->rows_capacity, n, env->dim * sizeof *s->rows) &&
           mem_grow(env->mem, &s->ids, &s->ids_capacity, n, sizeof *s->ids) &&
           (s->lists.n == 0 || scann_places_reserve(env, &s->lists, s->ids_capacity));
}

int scann_reserve(struct scann *s, const uint64_t *ids, size_t n)
{
    const struct index_env *env = &s->base.env;
    const bool fits = n < UINT32_MAX - s->n;
    /* The hint avoids the spare part of growth. If it exceeds the memory, the need may fit. */
    if (fits &&
        ((s->n + n <= env->expected_n && reserve_slots(s, env->expected_n)) ||
         reserve_slots(s, s->n + n)) &&
        slot_table_reserve(&s->slots, s->ids, ids, n))
        return OK;
    return fail(env->error, ERR_NO_MEMORY, "scann: out of memory for %zu more rows", n);
}
