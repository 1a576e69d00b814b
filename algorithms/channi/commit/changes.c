/* changes.c - copies of changes that will be applied together. */
#include "algorithms/channi/commit/changes.h"

#include <string.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "src/core/mem.h"

void channi_changes_init(struct channi_changes *c, struct mem *mem)
{
    *c = (struct channi_changes){ .mem = mem };
}

/* The copies of each change are one block, which begins with the ids. */
void channi_changes_free(struct channi_changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        mem_free(c->mem, (void *)(uintptr_t)c->list[i].ids);
    mem_free(c->mem, c->list);
    channi_changes_init(c, c->mem);
}

static unsigned char *add(struct channi_changes *c, struct error *err, size_t n, size_t each)
{
    if (!mem_grow(c->mem, &c->list, &c->capacity, c->n + 1, sizeof *c->list)) {
        (void)fail(err, ERR_NO_MEMORY, "channi: out of memory for %zu more changes", n);
        return NULL;
    }
    unsigned char *block = mem_array(c->mem, n, each);
    if (!block)
        (void)fail(err, ERR_NO_MEMORY, "channi: out of memory for %zu more changes", n);
    else
        c->bytes += n * each;
    return block;
}

int channi_changes_put(struct channi_changes *c, struct error *err, const void *rows,
                       size_t row_bytes, const void *ids, const void *attributes,
                       size_t record_bytes, size_t n)
{
    const size_t record = attributes ? record_bytes : 0;
    unsigned char *block = add(c, err, n, sizeof(uint64_t) + record + row_bytes);

    if (!block)
        return ERR_NO_MEMORY;
    unsigned char *numbers = block + n * sizeof(uint64_t), *copy = numbers + n * record;
    memcpy(block, ids, n * sizeof(uint64_t));
    if (attributes)
        memcpy(numbers, attributes, n * record);
    memcpy(copy, rows, n * row_bytes);
    c->list[c->n++] =
        (struct channi_change){ .op = CHANGE_PUT,
                                .n = n,
                                .ids = (const uint64_t *)block,
                                .rows = copy,
                                .attributes = attributes ? (const int64_t *)numbers : NULL };
    return OK;
}

int channi_changes_del(struct channi_changes *c, struct error *err, const void *ids, size_t n)
{
    unsigned char *block = add(c, err, n, sizeof(uint64_t));

    if (!block)
        return ERR_NO_MEMORY;
    memcpy(block, ids, n * sizeof(uint64_t));
    c->list[c->n++] =
        (struct channi_change){ .op = CHANGE_DEL, .n = n, .ids = (const uint64_t *)block };
    return OK;
}

void channi_txn_drop(struct channi *s)
{
    if (!s->txn)
        return;
    channi_changes_free(&s->txn->changes);
    mem_free(s->base.env.mem, s->txn);
    s->txn = NULL;
}
