/* mem.c - blocks with a header that holds the size.
 *
 * The size lets an account count the block, and lets a large block grow without a copy.
 */
#define _GNU_SOURCE /* mremap */
#include "src/core/mem.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The header before every block. It is as long as the alignment of blocks. */
struct head {
    size_t bytes;  /* as requested */
    size_t taken;  /* bytes charged to the account: header, block and rounding */
    size_t mapped; /* length of the mapping, in whole huge pages; 0: from aligned_alloc() */
    uint64_t mark;
    char pad[32];
};

#define ALIGN 64
#define MARK  UINT64_C(0x44524946544c4d42)
_Static_assert(sizeof(struct head) == ALIGN, "a block must follow its head aligned");

/* A block of at least this size is a mapping of its own. mremap() then moves pages, and a growing
   index is not copied. Sanitizers see only blocks of malloc(), so under them no block is mapped. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAP_FROM_BYTES SIZE_MAX
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define MAP_FROM_BYTES SIZE_MAX
#endif
#endif
#ifndef MAP_FROM_BYTES
#define MAP_FROM_BYTES ((size_t)8 << 20)
#endif
#define PAGE_BYTES ((size_t)4096)
#define HUGE_BYTES ((size_t)2 << 20) /* of x86-64 and of most other processors */

static struct head *head_of(void *p)
{
    struct head *h = (struct head *)p - 1;
    /* The text of an assertion is what the author of a method sees. */
    assert(h->mark == MARK && "a block of mem_alloc(), not freed before and not by another thread");
    return h;
}

/* Returns the bytes that an account is charged for a block; 0 if the size overflows. */
static size_t taken_for(size_t bytes)
{
    const size_t round = bytes >= MAP_FROM_BYTES ? PAGE_BYTES : ALIGN;
    if (bytes > SIZE_MAX / 2)
        return 0;
    return (bytes + sizeof(struct head) + round - 1) / round * round;
}

/* Counts the call and returns whether it must fail on purpose. */
static bool injected(struct mem *mem)
{
    if (!mem)
        return false;
    const size_t call = atomic_fetch_add(&mem->calls, 1) + 1, fail_at = mem->fail_at;
    if (fail_at == 0 || call < fail_at || (call > fail_at && !mem->fail_after))
        return false;
    atomic_store(&mem->failed, true);
    return true;
}

static bool charge(struct mem *mem, size_t bytes)
{
    if (!mem)
        return true;
    const size_t live = atomic_fetch_add(&mem->live_bytes, bytes) + bytes, most = mem->limit_bytes;
    if (most && live > most) {
        atomic_fetch_sub(&mem->live_bytes, bytes);
        return false;
    }
    size_t peak = atomic_load(&mem->peak_bytes);
    while (live > peak && !atomic_compare_exchange_weak(&mem->peak_bytes, &peak, live))
        ;
    return true;
}

static void credit(struct mem *mem, size_t bytes)
{
    if (mem)
        atomic_fetch_sub(&mem->live_bytes, bytes);
}

/* ---------------------------------------------------------------------------- mappings
 *
 * A mapping begins and ends at a multiple of HUGE_BYTES. A kernel backs only whole huge pages of a
 * mapping by huge pages, and only at such an address it moves them as they are: an array that
 * grew in small steps would be in small pages, and each random access to it would miss the TLB. */

static size_t mapped_for(size_t taken)
{
    return (taken + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
}

/* Returns `bytes` of unused addresses; MAP_FAILED: there are none. */
static void *map(size_t bytes, int protection)
{
    char *at = mmap(NULL, bytes + HUGE_BYTES, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return MAP_FAILED;
    const size_t before = -(uintptr_t)at % HUGE_BYTES;
    if (before > 0)
        (void)munmap(at, before);
    (void)munmap(at + before + bytes, HUGE_BYTES - before);
    return at + before;
}

/* Makes a mapping longer or shorter. Its pages may move to other addresses. MAP_FAILED: it stays. */
static void *map_again(void *old, size_t old_bytes, size_t bytes)
{
    void *at = mremap(old, old_bytes, bytes, 0);
    if (at != MAP_FAILED)
        return at;
    void *elsewhere = map(bytes, PROT_NONE); /* reserves addresses, no memory */
    if (elsewhere == MAP_FAILED)
        return MAP_FAILED;
    at = mremap(old, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    if (at == MAP_FAILED)
        (void)munmap(elsewhere, bytes);
    return at;
}

/* ------------------------------------------------------------------------------- blocks */

static void *allocate(struct mem *mem, size_t bytes, bool zero)
{
    const size_t taken = taken_for(bytes);
    if (injected(mem) || taken == 0 || !charge(mem, taken))
        return NULL;
    struct head *h;
    if (bytes >= MAP_FROM_BYTES) {
        h = map(mapped_for(taken), PROT_READ | PROT_WRITE);
        if (h == MAP_FAILED)
            h = NULL;
        else /* a hint; failure is harmless. The launcher makes malloc() use it too */
            (void)madvise(h, mapped_for(taken), MADV_HUGEPAGE);
    } else {
        h = aligned_alloc(ALIGN, taken);
        if (h && zero)
            memset(h + 1, 0, bytes);
    }
    if (!h) {
        credit(mem, taken);
        return NULL;
    }
    *h = (struct head){
        .bytes = bytes,
        .taken = taken,
        .mapped = bytes >= MAP_FROM_BYTES ? mapped_for(taken) : 0,
        .mark = MARK,
    };
    return h + 1;
}

void *mem_alloc(struct mem *mem, size_t bytes)
{
    return allocate(mem, bytes, false);
}

void *mem_zalloc(struct mem *mem, size_t bytes)
{
    return allocate(mem, bytes, true);
}

void *mem_array(struct mem *mem, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        bytes = SIZE_MAX; /* too large, so allocate() counts the call and refuses it */
    return allocate(mem, bytes, false);
}

/* Resizes a mapped block to a size that is also mapped: pages move, nothing is copied. */
static void *remap(struct mem *mem, struct head *h, size_t bytes)
{
    const size_t old = h->taken, taken = taken_for(bytes);
    if (injected(mem) || taken == 0 || (taken > old && !charge(mem, taken - old)))
        return NULL;
    struct head *moved = map_again(h, h->mapped, mapped_for(taken));
    if (moved == MAP_FAILED) {
        if (taken > old)
            credit(mem, taken - old);
        return NULL;
    }
    if (taken < old)
        credit(mem, old - taken);
    moved->bytes = bytes;
    moved->taken = taken;
    moved->mapped = mapped_for(taken);
    return moved + 1;
}

void *mem_resize(struct mem *mem, void *p, size_t bytes)
{
    if (!p)
        return allocate(mem, bytes, false);
    struct head *h = head_of(p);
    if (h->mapped && bytes >= MAP_FROM_BYTES)
        return remap(mem, h, bytes);
    void *fresh = allocate(mem, bytes, false);
    if (!fresh)
        return NULL;
    memcpy(fresh, p, bytes < h->bytes ? bytes : h->bytes);
    mem_free(mem, p);
    return fresh;
}

bool mem_fit(struct mem *mem, void *array_ptr, size_t n, size_t element_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, element_bytes, &bytes))
        return false;
    /* The caller's pointer has a type of its own, so memcpy() reads and writes its bytes. */
    void *old;
    memcpy(&old, array_ptr, sizeof old);
    void *fresh = mem_resize(mem, old, bytes);
    if (fresh)
        memcpy(array_ptr, &fresh, sizeof fresh);
    return fresh;
}

bool mem_grow(struct mem *mem, void *array_ptr, size_t *capacity, size_t need, size_t element_bytes)
{
    if (need <= *capacity)
        return true;
    const bool moves = *capacity >= MAP_FROM_BYTES / element_bytes;
    const size_t more = moves ? *capacity / 8 : *capacity;
    size_t want = *capacity < SIZE_MAX - more && need < *capacity + more ? *capacity + more : need;
    if (!mem_fit(mem, array_ptr, want, element_bytes))
        return false;
    *capacity = want;
    return true;
}

void mem_free(struct mem *mem, void *p)
{
    if (!p)
        return;
    struct head *h = head_of(p);
    credit(mem, h->taken);
    h->mark = 0;
    if (h->mapped)
        (void)munmap(h, h->mapped);
    else
        free(h);
}

char *mem_strdup(struct mem *mem, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = mem_alloc(mem, bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

void *mem_group_array(struct mem_group *g, size_t n, size_t size)
{
    assert(g->n < MEM_GROUP_MOST);
    void *array = g->failed ? NULL : mem_array(g->mem, n, size);
    if (array)
        g->arrays[g->n++] = array;
    g->failed = !array;
    return array;
}

void *mem_group_zalloc(struct mem_group *g, size_t n, size_t size)
{
    void *array = mem_group_array(g, n, size);
    return array ? memset(array, 0, n * size) : NULL;
}

void mem_group_free(struct mem_group *g)
{
    while (g->n > 0)
        mem_free(g->mem, g->arrays[--g->n]);
    g->failed = false;
}

size_t mem_live(const struct mem *mem)
{
    return mem ? atomic_load(&mem->live_bytes) : 0;
}

size_t mem_peak(const struct mem *mem)
{
    return mem ? atomic_load(&mem->peak_bytes) : 0;
}

void mem_trim(void)
{
    (void)malloc_trim(0);
}

uint64_t mem_of_machine(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}
