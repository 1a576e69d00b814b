/* stable.c - see stable.h. */
#include "algorithms/common/stable.h"

#include <string.h>

#include "src/core/mem.h"

void stable_init(struct stable *s, struct mem *mem, size_t element_bytes)
{
    *s = (struct stable){ .element_bytes = element_bytes, .mem = mem };
    atomic_init(&s->table, NULL);
}

void stable_free(struct stable *s)
{
    unsigned char **table = atomic_load(&s->table);

    for (size_t i = 0; i < s->capacity / STABLE_CHUNK; i++)
        mem_free(s->mem, table[i]);
    mem_free(s->mem, table);
    for (size_t i = 0; i < s->n_outgrown; i++)
        mem_free(s->mem, s->outgrown[i]);
    atomic_store(&s->table, NULL);
    s->capacity = s->table_size = s->n_outgrown = 0;
}

static bool lengthen_table(struct stable *s, size_t chunks)
{
    unsigned char **old = atomic_load_explicit(&s->table, memory_order_relaxed);
    size_t more = s->table_size ? 2 * s->table_size : 8;

    if (chunks <= s->table_size)
        return true;
    more = more < chunks ? chunks : more;
    unsigned char **table = mem_array(s->mem, more, sizeof *table);
    if (!table)
        return false;
    memset(table, 0, more * sizeof *table);
    if (old)
        memcpy(table, old, s->table_size * sizeof *table);
    atomic_store_explicit(&s->table, table, memory_order_release);
    s->table_size = more;
    if (old)
        s->outgrown[s->n_outgrown++] = old;
    return true;
}

/* Readers learn of an element's number only after it is there, by the owner's own release store. */
bool stable_grow(struct stable *s, size_t n)
{
    const size_t chunks = (n + STABLE_CHUNK - 1) / STABLE_CHUNK;

    if (!lengthen_table(s, chunks))
        return false;
    unsigned char **table = atomic_load_explicit(&s->table, memory_order_relaxed);
    for (size_t i = s->capacity / STABLE_CHUNK; i < chunks; i++) {
        table[i] = mem_zalloc(s->mem, STABLE_CHUNK * s->element_bytes);
        if (!table[i])
            return false;
        s->capacity += STABLE_CHUNK;
    }
    return true;
}

size_t stable_bytes(const struct stable *s)
{
    return s->capacity * s->element_bytes + 2 * s->table_size * sizeof(void *);
}
