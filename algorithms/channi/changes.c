/* changes.c - changes gathered to be applied together, each with a copy of what it was given. */
#include <string.h>

#include "algorithms/channi/changes.h"
#include "src/core/mem.h"

void changes_init(struct changes *c, struct mem *mem)
{
    *c = (struct changes){ .mem = mem };
}

/* Each change's copies are one block, which begins with the ids. */
void changes_free(struct changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        mem_free(c->mem, (void *)(uintptr_t)c->list[i].ids);
    mem_free(c->mem, c->list);
    changes_init(c, c->mem);
}

static unsigned char *add(struct changes *c, struct error *err, size_t n, size_t each)
{
    if (!mem_grow(c->mem, &c->list, &c->capacity, c->n + 1, sizeof *c->list)) {
        (void)fail(err, ERR_NO_MEMORY, "channi: no memory for %zu more changes", n);
        return NULL;
    }
    unsigned char *block = mem_array(c->mem, n, each);
    if (!block)
        (void)fail(err, ERR_NO_MEMORY, "channi: no memory for %zu more changes", n);
    else
        c->bytes += n * each;
    return block;
}

int changes_put(struct changes *c, struct error *err, const void *rows, size_t row_bytes,
                const void *ids, const void *attributes, size_t n)
{
    const size_t attribute = attributes ? sizeof(uint32_t) : 0;
    unsigned char *block = add(c, err, n, sizeof(uint64_t) + attribute + row_bytes);

    if (!block)
        return ERR_NO_MEMORY;
    unsigned char *numbers = block + n * sizeof(uint64_t), *copy = numbers + n * attribute;
    memcpy(block, ids, n * sizeof(uint64_t));
    if (attributes)
        memcpy(numbers, attributes, n * attribute);
    memcpy(copy, rows, n * row_bytes);
    c->list[c->n++] =
        (struct change){ .op = CHANGE_PUT,
                         .n = n,
                         .ids = (const uint64_t *)block,
                         .rows = copy,
                         .attributes = attributes ? (const uint32_t *)numbers : NULL };
    return OK;
}

int changes_del(struct changes *c, struct error *err, const void *ids, size_t n)
{
    unsigned char *block = add(c, err, n, sizeof(uint64_t));

    if (!block)
        return ERR_NO_MEMORY;
    memcpy(block, ids, n * sizeof(uint64_t));
    c->list[c->n++] = (struct change){ .op = CHANGE_DEL, .n = n, .ids = (const uint64_t *)block };
    return OK;
}
