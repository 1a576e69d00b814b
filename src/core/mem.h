/* mem.h - the one allocator: it counts, enforces a limit, and can fail on purpose.
 *
 * A struct mem is an account. A method allocates all its memory from the account in its env, so the
 * harness can report its bytes, limit them, and make the i-th allocation fail in a test. All blocks
 * are 64-byte aligned. All functions are thread-safe. A NULL account is allowed and counts nothing.
 */
#ifndef DRIFTLINE_MEM_H
#define DRIFTLINE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* C++17 does not have <stdatomic.h>. In gcc and clang, std::atomic has the layout of _Atomic. */
#ifdef __cplusplus
#include <atomic>
using std::atomic_bool;
using std::atomic_size_t;
extern "C" {
#else
#include <stdatomic.h>
#endif

/* The caller may change limit_bytes, fail_at and fail_after while other threads allocate. */
struct mem {
    atomic_size_t live_bytes, peak_bytes;
    atomic_size_t calls;       /* allocations requested, including failed ones */
    atomic_size_t limit_bytes; /* 0: none; an allocation that would exceed it returns NULL */
    atomic_size_t fail_at;     /* 0: never; else the fail_at-th call (1-based) returns NULL ... */
    atomic_bool fail_after;    /* ... and, if this is set, every later one too */
    atomic_bool failed;        /* whether an injected failure has occurred */
};

/* Returns NULL when out of memory; bytes = 0 gives a valid block. The contents are undefined,
   except that mem_zalloc() zeroes them. */
void *mem_alloc(struct mem *, size_t bytes);
void *mem_zalloc(struct mem *, size_t bytes);
/* Allocates n * size bytes, with an overflow check. */
void *mem_array(struct mem *, size_t n, size_t size);
/* Like realloc(): keeps min(old, new) bytes. On failure returns NULL and keeps the old block. p
   may be NULL. */
void *mem_resize(struct mem *, void *p, size_t bytes);
/* The same for the array whose pointer is at array_ptr, to n elements. Returns false if memory runs
   out; nothing has then changed. */
bool mem_fit(struct mem *, void *array_ptr, size_t n, size_t element_bytes);
/* Makes the array whose pointer is at array_ptr hold at least `need` elements; *capacity is in
   elements. Capacity at least doubles; if the array is so large that its pages move and
   nothing is copied, it grows by at least an eighth. Returns false if memory runs out; nothing
   has then changed. */
bool mem_grow(struct mem *, void *array_ptr, size_t *capacity, size_t need, size_t element_bytes);
void mem_free(struct mem *, void *p); /* p may be NULL */
char *mem_strdup(struct mem *, const char *text);

/* Arrays that are freed together. Starts as { .mem = mem }. */
enum { MEM_GROUP_MOST = 12 };
struct mem_group {
    struct mem *mem;
    void *arrays[MEM_GROUP_MOST];
    size_t n;
    bool failed; /* an array could not be allocated */
};
/* As mem_array(). NULL, also after a failure: `failed` is set. */
void *mem_group_array(struct mem_group *, size_t n, size_t size);
void *mem_group_zalloc(struct mem_group *, size_t n, size_t size); /* zeroed */
void mem_group_free(struct mem_group *);                           /* it can be used anew */

/* Returns free memory to the system. For use after a build, whose temporary memory is many times
   what the index keeps. */
void mem_trim(void);

uint64_t mem_of_machine(void); /* bytes of the machine's memory; 0: unknown */

size_t mem_live(const struct mem *);
size_t mem_peak(const struct mem *);

#ifdef __cplusplus
}
#endif
#endif
