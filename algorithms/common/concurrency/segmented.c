/* segmented.c - see segmented.h. */
#include "algorithms/common/concurrency/segmented.h"

#include <string.h>

#include "src/core/mem.h"

void segmented_init(struct segmented *s, struct mem *mem, size_t element_bytes)
{
    *s = (struct segmented){ .element_bytes = element_bytes, .mem = mem };
    atomic_init(&s->table, NULL);
}

void segmented_free(struct segmented *s)
{
    unsigned char **table = atomic_load(&s->table);

    for (size_t i = 0; i < s->capacity / SEGMENTED_CHUNK; i++)
        mem_free(s->mem, table[i]);
    mem_free(s->mem, table);
    for (size_t i = 0; i < s->n_outgrown; i++)
        mem_free(s->mem, s->outgrown[i]);
    atomic_store(&s->table, NULL);
    s->capacity = s->table_size = s->n_outgrown = 0;
}

static bool lengthen_table(struct segmented *s, size_t chunks)
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

/* Readers learn an element's number only after it exists, by the owner's own release store. */
bool segmented_grow(struct segmented *s, size_t n)
{
    const size_t chunks = (n + SEGMENTED_CHUNK - 1) / SEGMENTED_CHUNK;

    if (!lengthen_table(s, chunks))
        return false;
    unsigned char **table = atomic_load_explicit(&s->table, memory_order_relaxed);
    for (size_t i = s->capacity / SEGMENTED_CHUNK; i < chunks; i++) {
        table[i] = mem_zalloc(s->mem, SEGMENTED_CHUNK * s->element_bytes);
        if (!table[i])
            return false;
        s->capacity += SEGMENTED_CHUNK;
    }
    return true;
}

size_t segmented_bytes(const struct segmented *s)
{
    return s->capacity * s->element_bytes + 2 * s->table_size * sizeof(void *);
}
