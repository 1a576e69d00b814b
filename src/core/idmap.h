/* idmap.h - 64-bit id -> 64-bit value: open addressing, linear probing, deletion by backward shift.
 *
 * Eight consecutive ids share a cache line or two, so that ids inserted or deleted in order cost
 * one miss for several.
 */
#ifndef DRIFTLINE_IDMAP_H
#define DRIFTLINE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct idmap_entry {
    uint64_t id, value; /* id = UINT64_MAX: empty */
};

struct idmap {
    struct idmap_entry *entries;
    size_t mask; /* capacity - 1; capacity is a power of two, at least 16 once used */
    size_t n;
    struct mem *mem;
};

void idmap_init(struct idmap *, struct mem *); /* allocates nothing */
void idmap_free(struct idmap *);
bool idmap_reserve(struct idmap *,
                   size_t n); /* so that n ids in all fit without growing; false: out of memory */
bool idmap_put(struct idmap *, uint64_t id,
               uint64_t value); /* adds or replaces; false: out of memory, unchanged */
bool idmap_get(const struct idmap *, uint64_t id, uint64_t *value); /* value may be NULL */
bool idmap_remove(struct idmap *, uint64_t id,
                  uint64_t *value); /* false: was not there; value may be NULL */
void idmap_prefetch(const struct idmap *, uint64_t id);
/* The entries in table order: start with *at = 0; false at the end. */
bool idmap_next(const struct idmap *, size_t *at, uint64_t *id, uint64_t *value);
size_t idmap_bytes(const struct idmap *);

#endif
