/* generation.c - the buckets of one model, by address. */
#include <string.h>

#include "algorithms/asteria/buckets/bucket.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

static int no_memory(const struct index_env *env)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for buckets");
}

int asteria_generation_create(struct asteria_generation **out, const struct index_env *env,
                              struct asteria_model *model)
{
    struct asteria_generation *g = mem_zalloc(env->mem, sizeof *g);

    if (!g)
        return no_memory(env);
    g->model = model;
    segmented_init(&g->codes, env->mem, model->lrsq->code_bytes);
    g->shift = mem_array(env->mem, model->m, sizeof *g->shift);
    idmap_init(&g->of_address, env->mem);
    if (!g->shift) {
        g->model = NULL; /* the caller keeps it */
        asteria_generation_destroy(env, g);
        return no_memory(env);
    }
    asteria_model_hash(model, env->kernels, model->rotation->shift, g->shift);
    *out = g;
    return OK;
}

void asteria_generation_destroy(const struct index_env *env, struct asteria_generation *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        asteria_bucket_free(&g->buckets[i], env->mem);
    mem_free(env->mem, g->buckets);
    mem_free(env->mem, g->vacant);
    mem_free(env->mem, g->shift);
    idmap_free(&g->of_address);
    segmented_free(&g->codes);
    mem_free(env->mem, g->centres);
    centroid_codes_free(&g->coded, env->mem);
    asteria_model_destroy(env, g->model);
    mem_free(env->mem, g);
}

uint32_t asteria_generation_find(const struct asteria_generation *g, uint32_t address)
{
    uint64_t bucket;

    return idmap_get(&g->of_address, address, &bucket) ? (uint32_t)bucket : UINT32_MAX;
}

static int make_bucket(struct asteria_generation *g, const struct index_env *env, uint32_t address,
                       uint32_t *bucket)
{
    const uint32_t at = g->n_vacant > 0 ? g->vacant[g->n_vacant - 1] : (uint32_t)g->n;
    struct asteria_bucket made = { .address = address,
                                   .codeword = asteria_ecc_codeword(&g->model->ecc, address) };

    if ((at == g->n &&
         (!mem_grow(env->mem, &g->buckets, &g->capacity, at + 1, sizeof *g->buckets) ||
          !mem_grow(env->mem, &g->vacant, &g->vacant_capacity, at + 1, sizeof *g->vacant) ||
          !mem_grow(env->mem, &g->centres, &g->centres_capacity, at + 1,
                    env->dim * sizeof *g->centres))) ||
        !asteria_bucket_begin(&made, g->model, env->mem))
        return no_memory(env);
    if (!idmap_put(&g->of_address, address, at)) {
        asteria_bucket_free(&made, env->mem);
        return no_memory(env);
    }
    if (g->n_vacant > 0)
        g->n_vacant--;
    else
        g->n++;
    g->buckets[at] = made;
    memset(g->centres + at * env->dim, 0, env->dim * sizeof *g->centres);
    g->centres_version++;
    *bucket = at;
    return OK;
}

int asteria_generation_reserve(struct asteria_generation *g, const struct index_env *env,
                               uint32_t address, size_t n, size_t n_slots, uint32_t *bucket)
{
    int rc = OK;

    if (n_slots > g->codes.capacity && !segmented_grow(&g->codes, n_slots))
        return no_memory(env);
    *bucket = asteria_generation_find(g, address);
    if (*bucket == UINT32_MAX)
        rc = make_bucket(g, env, address, bucket);
    if (rc == OK &&
        !asteria_bucket_grow(&g->buckets[*bucket], g->model, env->mem, g->buckets[*bucket].n + n))
        rc = no_memory(env);
    return rc;
}

void asteria_generation_vacate(struct asteria_generation *g, const struct index_env *env,
                               uint32_t bucket)
{
    struct asteria_bucket *b = &g->buckets[bucket];

    (void)idmap_remove(&g->of_address, b->address, NULL);
    asteria_bucket_free(b, env->mem);
    *b = (struct asteria_bucket){ .address = UINT32_MAX };
    memset(g->centres + bucket * env->dim, 0, env->dim * sizeof *g->centres);
    g->centres_version++;
    g->vacant[g->n_vacant++] = bucket;
}

uint64_t asteria_generation_bytes(const struct asteria_generation *g, uint64_t *codes)
{
    uint64_t bytes = sizeof *g + g->capacity * sizeof *g->buckets +
                     g->vacant_capacity * sizeof *g->vacant + g->model->m * sizeof *g->shift +
                     g->centres_capacity * g->model->dim * sizeof *g->centres +
                     idmap_bytes(&g->of_address) + centroid_codes_bytes(&g->coded) +
                     asteria_model_bytes(g->model);

    *codes += segmented_bytes(&g->codes);
    for (size_t i = 0; i < g->n; i++) {
        const uint64_t blocks =
            (uint64_t)g->buckets[i].capacity / QUANTIZER_BLOCK * g->model->quantizer->block_bytes;

        bytes += asteria_bucket_bytes(&g->buckets[i], g->model) - blocks;
        *codes += blocks;
    }
    return bytes;
}
