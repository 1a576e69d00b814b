/* batch.c - see batch.h. */
#include "algorithms/asteria/batch.h"

#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Of a batch, at most: rows, and bytes of what is encoded of them, about. */
enum { BATCH_ROWS = 16384, BATCH_LEAST = 64, BATCH_BYTES = 1 << 23 };
/* Buckets that a thread adds to at a time. */
enum { GROUP_GRAIN = 8 };

size_t batch_rows(const struct asteria *a)
{
    const struct model *m = a->generations[a->now]->model;
    const size_t floats = m->dim + m->turn->out_dim + m->m;
    const size_t rows = BATCH_BYTES / (floats * sizeof(float));

    return rows > BATCH_ROWS ? BATCH_ROWS : rows < BATCH_LEAST ? BATCH_LEAST : rows;
}

void batch_free(struct batch *b)
{
    struct mem *mem = b->a->base.env.mem;

    mem_free(mem, b->slots);
    mem_free(mem, b->units);
    mem_free(mem, b->z);
    mem_free(mem, b->p);
    mem_free(mem, b->encodings);
    mem_free(mem, b->of_bucket);
    mem_free(mem, b->order);
    mem_free(mem, b->groups);
}

/* All models of an index have one out_dim, but words as long as their codes are. */
int batch_begin(struct batch *b, struct asteria *a, size_t most)
{
    const struct index_env *env = &a->base.env;
    const struct model *m = a->generations[a->now]->model;
    struct mem *mem = env->mem;

    *b = (struct batch){ .a = a, .row_bytes = element_row_bytes(env->element, env->dim) };
    b->slots = mem_array(mem, most, sizeof *b->slots);
    b->units = mem_array(mem, most * m->dim, sizeof *b->units);
    b->z = mem_array(mem, most * m->turn->out_dim, sizeof *b->z);
    b->p = mem_array(mem, most * ECC_WORD_MAX, sizeof *b->p);
    b->encodings = mem_array(mem, most, sizeof *b->encodings);
    b->of_bucket = mem_array(mem, most, sizeof *b->of_bucket);
    b->order = mem_array(mem, most, sizeof *b->order);
    b->groups = mem_array(mem, most, sizeof *b->groups);
    if (b->slots && b->units && b->z && b->p && b->encodings && b->of_bucket && b->order &&
        b->groups)
        return OK;
    batch_free(b);
    return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory to encode %zu rows", most);
}

static int ascending(const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return (a > b) - (a < b);
}

int batch_encode(struct batch *b)
{
    const struct asteria *a = b->a;
    const struct model *model = a->generations[a->now]->model;
    const int rc = asteria_encode(a, model, b->rows, b->n, b->units, b->z, b->p, b->encodings);

    b->version = model->version;
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < b->n; i++)
        b->order[i] = (uint64_t)b->encodings[i].address << 32 | i;
    qsort(b->order, b->n, sizeof *b->order, ascending);
    b->n_groups = 0;
    for (size_t i = 0; i < b->n; i++) {
        b->of_bucket[i] = &b->encodings[batch_row(b, i)];
        if (i == 0 || b->order[i] >> 32 != b->order[i - 1] >> 32)
            b->groups[b->n_groups++] = (struct group){ .first = (uint32_t)i };
        b->groups[b->n_groups - 1].n++;
    }
    return OK;
}

int batch_reserve(struct batch *b, size_t n_slots)
{
    struct asteria *a = b->a;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < b->n_groups; i++) {
        struct group *group = &b->groups[i];

        rc = generation_reserve(a->generations[a->now], &a->base.env,
                                b->of_bucket[group->first]->address, group->n, n_slots,
                                &group->bucket);
    }
    return rc;
}

/* A bucket's rows, by one thread. One that begins with more rows than its centre is of gets their mean. */
static int put_groups(void *arg, size_t first, size_t end, size_t worker)
{
    const struct batch *b = arg;
    struct asteria *a = b->a;
    struct generation *g = a->generations[a->now];

    (void)worker;
    for (size_t i = first; i < end; i++) {
        const struct group *group = &b->groups[i];
        const struct bucket *to = &g->buckets[group->bucket];

        if (to->n == 0 && group->n > to->centred_n)
            bucket_centre(g, &a->base.env, group->bucket, b->of_bucket + group->first, group->n);
        for (size_t j = group->first; j < group->first + group->n; j++) {
            const uint32_t slot = b->slots[batch_row(b, j)];
            const uint32_t position =
                bucket_put(g, &a->base.env, group->bucket, b->of_bucket[j], slot);

            a->places[slot] = (struct place){ .bucket = group->bucket,
                                              .position = position & 0x7fffffffU,
                                              .generation = a->now & 1U };
        }
    }
    return OK;
}

void batch_put(struct batch *b)
{
    struct asteria *a = b->a;
    const struct bec_rows rows = asteria_bec_rows(a);

    (void)parallel_for(a->base.env.pool, pool_threads(a->base.env.pool), b->n_groups, GROUP_GRAIN,
                       put_groups, b);
    a->generations[a->now]->live += b->n;
    for (size_t j = 0; a->bec && j < b->n; j++)
        bec_add(a->bec, &rows, b->slots[batch_row(b, j)], b->of_bucket[j]->address,
                b->of_bucket[j]->p);
}
