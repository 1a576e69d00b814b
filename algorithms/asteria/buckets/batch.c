/* batch.c - batches of rows (bucket.h): encoded, then added to their buckets. */
#include <stdlib.h>

#include "algorithms/asteria/buckets/device.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

/* Limits of a batch: rows, and bytes of their encodings. */
enum { BATCH_ROWS = 16384, BATCH_LEAST = 64, BATCH_BYTES = 1 << 23 };
/* Buckets that a thread processes at a time. */
enum { GROUP_GRAIN = 8 };

size_t asteria_batch_rows(const struct asteria *a)
{
    const struct asteria_model *m = a->generations[a->now]->model;
    const size_t floats = m->dim + m->rotation->out_dim + m->m;
    const size_t rows = BATCH_BYTES / (floats * sizeof(float));

    return rows > BATCH_ROWS ? BATCH_ROWS : rows < BATCH_LEAST ? BATCH_LEAST : rows;
}

int asteria_batch_begin(struct asteria_batch *b, struct asteria *a, size_t most)
{
    const struct index_env *env = &a->base.env;
    const struct asteria_model *m = a->generations[a->now]->model;
    struct mem_group *g = &b->memory;

    *b = (struct asteria_batch){ .a = a,
                                 .memory.mem = env->mem,
                                 .row_bytes = index_row_bytes(env->element, env->dim) };
    b->slots = mem_group_array(g, most, sizeof *b->slots);
    b->next = mem_group_array(g, most, sizeof *b->next);
    b->units = mem_group_array(g, most * m->dim, sizeof *b->units);
    b->z = mem_group_array(g, most * m->rotation->out_dim, sizeof *b->z);
    b->p = mem_group_array(g, most * m->m, sizeof *b->p);
    b->words = mem_group_array(g, most, sizeof *b->words);
    b->encodings = mem_group_array(g, most, sizeof *b->encodings);
    b->order = mem_group_array(g, most, sizeof *b->order);
    b->groups = mem_group_array(g, most, sizeof *b->groups);
    return g->failed ? fail(env->error, ERR_NO_MEMORY,
                            "asteria: out of memory, cannot encode %zu rows", most)
                     : OK;
}

static int encode_rows(void *arg, size_t first, size_t end, size_t worker)
{
    const struct asteria_batch *b = arg;
    const struct index_env *env = &b->a->base.env;
    const struct asteria_model *m = b->a->generations[b->a->now]->model;

    (void)worker;
    for (size_t i = first; i < end; i++) {
        struct asteria_encoding *e = &b->encodings[i];

        e->unit = asteria_unit(env, b->rows + i * b->row_bytes, b->units + i * env->dim);
        e->z = b->z + i * m->rotation->out_dim;
        e->p = b->p + i * m->m;
        if (!b->rotated)
            asteria_rotation_apply(m->rotation, env->kernels, e->unit, e->z);
        asteria_model_hash(m, env->kernels, e->z, e->p);
        e->word = b->rotated && !m->vantages ? b->words[i] : asteria_ecc_word(&m->ecc, e->p);
        e->address = asteria_ecc_decode(&m->ecc, e->p);
    }
    return OK;
}

int asteria_batch_encode(struct asteria_batch *b)
{
    enum { CHUNK = 32 };
    const struct asteria *a = b->a;
    const struct index_env *env = &a->base.env;
    const struct asteria_model *model = a->generations[a->now]->model;
    int rc = OK;

    b->rotated = asteria_device_rotates(a->device, model, b->n);
    if (b->rotated)
        rc = asteria_device_rotate(a->device, env, model, b->rows, b->n, b->z, b->words);
    if (rc == OK)
        rc = parallel_for(env->pool, pool_threads(env->pool), b->n, CHUNK, encode_rows, b);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < b->n; i++)
        b->order[i] = (uint64_t)b->encodings[i].address << 32 | i;
    qsort(b->order, b->n, sizeof *b->order, order_u64);
    b->n_groups = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (i == 0 || b->order[i] >> 32 != b->order[i - 1] >> 32)
            b->groups[b->n_groups++] = (struct asteria_batch_group){ .first = (uint32_t)i };
        b->groups[b->n_groups - 1].n++;
    }
    return OK;
}

int asteria_batch_reserve(struct asteria_batch *b, size_t n_slots)
{
    struct asteria *a = b->a;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < b->n_groups; i++) {
        struct asteria_batch_group *group = &b->groups[i];

        rc = asteria_generation_reserve(a->generations[a->now], &a->base.env,
                                        (uint32_t)(b->order[group->first] >> 32), group->n, n_slots,
                                        &group->bucket);
    }
    return rc;
}

/* Adds a bucket's rows, on one thread. An empty bucket whose centre is the mean of fewer rows gets
   these rows' mean. */
static int put_groups(void *arg, size_t first, size_t end, size_t worker)
{
    const struct asteria_batch *b = arg;
    struct asteria *a = b->a;
    const struct index_env *env = &a->base.env;
    struct asteria_generation *g = a->generations[a->now];

    (void)worker;
    for (size_t i = first; i < end; i++) {
        const struct asteria_batch_group *group = &b->groups[i];
        const struct asteria_bucket *to = &g->buckets[group->bucket];

        if (to->n == 0 && group->n > to->centred_n)
            asteria_bucket_centre(g, env, group->bucket,
                                  env->element == INDEX_F32 ? (const float_anywhere *)b->rows
                                                            : b->units,
                                  b->order + group->first, group->n);
        for (size_t j = group->first; j < group->first + group->n; j++) {
            const uint32_t row = batch_row(b, j), slot = b->slots[row];
            const uint32_t position =
                asteria_bucket_put(g, env, group->bucket, &b->encodings[row], slot);

            a->places[slot] = (struct asteria_place){ .bucket = group->bucket,
                                                      .position = position & 0x7fffffffU,
                                                      .generation = a->now & 1U };
        }
    }
    return OK;
}

void asteria_batch_put(struct asteria_batch *b)
{
    struct asteria *a = b->a;
    struct asteria_generation *g = a->generations[a->now];

    (void)parallel_for(a->base.env.pool, pool_threads(a->base.env.pool), b->n_groups, GROUP_GRAIN,
                       put_groups, b);
    g->live += b->n;
    for (size_t j = 0; j < b->n; j++) {
        const uint32_t row = batch_row(b, j);
        asteria_bec_add(g->bec, b->slots[row], b->encodings[row].address, b->encodings[row].p);
    }
}
