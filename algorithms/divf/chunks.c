/* chunks.c - chunks are taken from the end of their store or from the free ones. */
#include "algorithms/divf/chunks.h"

#include <string.h>

int chunks_open(struct chunks *c, const struct index_env *env, size_t block_bytes,
                uint64_t expected)
{
    *c = (struct chunks){ .block_bytes = block_bytes, .first_free = CHUNK_NONE };
    int rc = segments_open(&c->heads, env, sizeof(struct chunk_head), NULL, expected);
    return rc ? rc
              : segments_open(&c->store, env, sizeof(struct chunk) + block_bytes, NULL, expected);
}

void chunks_close(struct chunks *c)
{
    segments_close(&c->heads);
    segments_close(&c->store);
    *c = (struct chunks){ .first_free = CHUNK_NONE };
}

/* Cleared, so that a scan of the unused part reads what was written. */
int chunk_take(struct chunks *c, uint32_t list, uint32_t *chunk)
{
    const struct index_env *env = c->store.env;
    if (c->first_free == CHUNK_NONE) {
        if (c->n_used >= PLACE_NONE >> CHUNK_SHIFT)
            return fail(env->error, ERR_ARGUMENT,
                        "divf: %u chunks of %d vectors are the most an index can hold", c->n_used,
                        CHUNK_VECTORS);
        int rc = segments_reserve(&c->heads, (uint64_t)c->n_used + 1);
        if (!rc)
            rc = segments_reserve(&c->store, (uint64_t)c->n_used + 1);
        if (rc)
            return rc;
        *chunk = c->n_used++;
    } else {
        *chunk = c->first_free;
        c->first_free = chunk_head(c, *chunk)->next_free;
        c->n_free--;
    }
    memset(chunk_at(c, *chunk), 0, sizeof(struct chunk) + c->block_bytes);
    *chunk_head(c, *chunk) = (struct chunk_head){ 0, list, CHUNK_NONE };
    return OK;
}

void chunk_give(struct chunks *c, uint32_t chunk)
{
    *chunk_head(c, chunk) = (struct chunk_head){ 0, CHUNK_NONE, c->first_free };
    c->first_free = chunk;
    c->n_free++;
}

uint64_t chunks_bytes(const struct chunks *c)
{
    return c->n_used * (sizeof(struct chunk) + sizeof(struct chunk_head)) +
           (c->store.capacity + c->heads.capacity) * sizeof(void *);
}
