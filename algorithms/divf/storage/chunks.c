/* chunks.c - chunks are taken from the free ones or from the end of their store. */
#include "algorithms/divf/storage/chunks.h"

#include <string.h>

int divf_chunks_open(struct chunks *c, const struct index_env *env, size_t block_bytes,
                     uint64_t expected)
{
    *c = (struct chunks){ .block_bytes = block_bytes, .first_free = CHUNK_NONE };
    int rc = divf_segments_open(&c->heads, env, sizeof(struct divf_chunk_head), NULL, expected);
    return rc ? rc
              : divf_segments_open(&c->store, env, sizeof(struct divf_chunk) + block_bytes, NULL,
                                   expected);
}

void divf_chunks_close(struct chunks *c)
{
    divf_segments_close(&c->heads);
    divf_segments_close(&c->store);
    *c = (struct chunks){ .first_free = CHUNK_NONE };
}

static void set_head(const struct chunks *c, uint32_t chunk, uint32_t list, uint32_t next_free)
{
    struct divf_chunk_head *head = divf_chunk_head(c, chunk);
    atomic_store_explicit(&head->live, 0, memory_order_relaxed);
    head->list = list;
    head->next_free = next_free;
}

/* Cleared, so that a scan never reads uninitialised memory. */
int divf_chunk_take(struct chunks *c, uint32_t list, uint32_t *chunk)
{
    const struct index_env *env = c->store.env;
    if (c->first_free == CHUNK_NONE) {
        if (c->n_used >= PLACE_NONE >> CHUNK_SHIFT)
            return fail(env->error, ERR_ARGUMENT,
                        "divf: %u chunks of %d vectors are the most an index can hold", c->n_used,
                        CHUNK_VECTORS);
        int rc = divf_segments_reserve(&c->heads, (uint64_t)c->n_used + 1);
        if (!rc)
            rc = divf_segments_reserve(&c->store, (uint64_t)c->n_used + 1);
        if (rc)
            return rc;
        *chunk = c->n_used++;
    } else {
        *chunk = c->first_free;
        c->first_free = divf_chunk_head(c, *chunk)->next_free;
        c->n_free--;
    }
    memset(divf_chunk_at(c, *chunk), 0, sizeof(struct divf_chunk) + c->block_bytes);
    set_head(c, *chunk, list, CHUNK_NONE);
    return OK;
}

void divf_chunk_give(struct chunks *c, uint32_t chunk)
{
    set_head(c, chunk, CHUNK_NONE, c->first_free);
    c->first_free = chunk;
    c->n_free++;
}

uint64_t divf_chunks_bytes(const struct chunks *c)
{
    return c->n_used * (sizeof(struct divf_chunk) + sizeof(struct divf_chunk_head)) +
           divf_segments_table_bytes(&c->store) + divf_segments_table_bytes(&c->heads);
}
