/* idmap.h - 64-bit id -> 64-bit value: open addressing, linear probing, deletion by backward shift.
 *
 * Eight consecutive ids share one or two cache lines, so that ids inserted or deleted in order cost
 * one cache miss for several ids.
 */
#ifndef DRIFTLINE_IDMAP_H
#define DRIFTLINE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

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
/* Makes the capacity sufficient for n ids in total. Returns false if memory runs out. */
bool idmap_reserve(struct idmap *, size_t n);
/* Adds or replaces. Returns false if memory runs out; the map is then unchanged. */
bool idmap_put(struct idmap *, uint64_t id, uint64_t value);
bool idmap_get(const struct idmap *, uint64_t id, uint64_t *value); /* value may be NULL */
/* Returns false if the id is absent. value may be NULL. */
bool idmap_remove(struct idmap *, uint64_t id, uint64_t *value);
/* Visits the entries in table order. Start with *at = 0; returns false at the end. */
bool idmap_next(const struct idmap *, size_t *at, uint64_t *id, uint64_t *value);
size_t idmap_bytes(const struct idmap *);

#ifdef __cplusplus
}
#endif
#endif
