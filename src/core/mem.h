/* mem.h - the one allocation helper: counted, bounded, and able to fail on purpose.
 *
 * A struct mem is an account. Everything a method holds comes from the account in its env, so the
 * harness can report its bytes, hold it to a limit, and test it with an allocator that fails at the
 * i-th call. All blocks are 64-byte aligned. Thread-safe. A NULL account is allowed and counts
 * nothing.
 */
#ifndef DRIFTLINE_MEM_H
#define DRIFTLINE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem {
    atomic_size_t live_bytes, peak_bytes;
    atomic_size_t calls; /* allocations asked for, failed ones included */
    size_t limit_bytes;  /* 0: none; an allocation that would pass it returns NULL */
    size_t fail_at;      /* 0: never; else the fail_at-th call (1-based) returns NULL ... */
    bool fail_after;     /* ... and with this every later one too */
    atomic_bool failed;  /* whether an injected failure was hit */
};

/* NULL when out of memory; bytes = 0 gives a valid block. Contents undefined, but for mem_zalloc.
 */
void *mem_alloc(struct mem *, size_t bytes);
void *mem_zalloc(struct mem *, size_t bytes);
/* n * size with an overflow check. */
void *mem_array(struct mem *, size_t n, size_t size);
/* As realloc: keeps min(old, new) bytes; on failure returns NULL and the old block stays. p may be
 * NULL. */
void *mem_resize(struct mem *, void *p, size_t bytes);
/* Makes *array hold at least need elements; *capacity is in elements. Grows at least twofold, or, where
 * it is so large that its pages move and nothing is copied, by an eighth. false: out of memory,
 * unchanged. */
bool mem_grow(struct mem *, void *array_ptr, size_t *capacity, size_t need, size_t element_bytes);
void mem_free(struct mem *, void *p); /* p may be NULL */
char *mem_strdup(struct mem *, const char *text);

/* Gives the system back what is free: after a build, whose work space was many times what is kept. */
void mem_trim(void);

size_t mem_live(const struct mem *);
size_t mem_peak(const struct mem *);

#endif
