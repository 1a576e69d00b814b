/* segments.c - address-stable storage: slabs of memory with huge pages, or one growing
   mapped file. */
#define _GNU_SOURCE /* fallocate's portable form, mmap */
#include "algorithms/divf/storage/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/core/mem.h"

enum { SEGMENT_BYTES = 1 << 18, FILE_SEGMENT_BYTES = 1 << 23 };
enum { SLAB_BYTES_MAX = 1 << 26, HUGE_PAGE_BYTES = 1 << 21 };
enum { FILES_MAX = 1000 };               /* file names tried */
enum { ALIGN = 64, FILE_ALIGN = 65536 }; /* the latter is at least any page size */

/* Another index may use the same folder: one is loaded while its predecessor still exists. */
static int create_file(struct segments *s, const char *path)
{
    size_t bytes = strlen(path) + 16;
    s->path = mem_alloc(s->env->mem, bytes);
    if (!s->path)
        return fail(s->env->error, ERR_NO_MEMORY, "opening %s: out of memory", path);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        (void)snprintf(s->path, bytes, i ? "%s-%u" : "%s", path, i);
        s->fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (s->fd >= 0)
            return OK;
        if (errno != EEXIST)
            break;
    }
    int rc = fail_errno(s->env->error, ERR_IO, "creating %s", s->path);
    mem_free(s->env->mem, s->path);
    s->path = NULL;
    return rc;
}

int divf_segments_open(struct segments *s, const struct index_env *env, size_t element_bytes,
                       const char *path, uint64_t expected)
{
    *s = (struct segments){
        .env = env, .element_bytes = element_bytes, .expected = expected, .fd = -1
    };
    size_t target = path ? FILE_SEGMENT_BYTES : SEGMENT_BYTES;
    while (element_bytes << (s->shift + 1) <= target)
        s->shift++;
    return path ? create_file(s, path) : OK;
}

static size_t segment_bytes(const struct segments *s)
{
    size_t bytes = s->element_bytes << s->shift, align = s->fd < 0 ? ALIGN : FILE_ALIGN;
    return (bytes + align - 1) / align * align;
}

/* Whether the segment is in the saved index, and so must not be written. */
static bool is_saved(const struct segments *s, size_t segment)
{
    const uintptr_t at = (uintptr_t)atomic_load_explicit(&s->base, memory_order_relaxed)[segment],
                    first = (uintptr_t)s->saved;
    return s->saved && at >= first && at - first < s->saved_bytes;
}

void divf_segments_close(struct segments *s)
{
    if (!s->env)
        return;
    struct mem *mem = s->env->mem;
    unsigned char **base = atomic_load(&s->base);
    for (size_t i = 0; s->fd >= 0 && i < s->n; i++)
        if (!is_saved(s, i))
            munmap(base[i], segment_bytes(s));
    if (s->saved)
        munmap((void *)(uintptr_t)s->saved, s->saved_bytes);
    for (size_t i = 0; i < s->n_slabs; i++)
        mem_free(mem, s->slabs[i]);
    mem_free(mem, s->slabs);
    if (s->fd >= 0) {
        close(s->fd);
        unlink(s->path);
    }
    mem_free(mem, s->path);
    mem_free(mem, base);
    for (size_t i = 0; i < s->n_outgrown; i++)
        mem_free(mem, s->outgrown[i]);
    *s = (struct segments){ .fd = -1 };
}

/* Allocates disk blocks now: writing to a hole on a full disk would kill the process. */
static int map_segment(struct segments *s, unsigned char **out)
{
    size_t bytes = segment_bytes(s);
    off_t offset = (off_t)(s->n_file * bytes);
    int code = posix_fallocate(s->fd, offset, (off_t)bytes);
    if (code) {
        errno = code;
        return fail_errno(s->env->error, ERR_IO, "growing %s to %" PRIu64 " bytes", s->path,
                          (uint64_t)offset + bytes);
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, offset);
    if (p == MAP_FAILED)
        return fail_errno(s->env->error, ERR_NO_MEMORY, "mapping %s", s->path);
    *out = p;
    s->n_file++;
    return OK;
}

/* Only the aligned huge pages inside the slab. */
static void ask_for_huge_pages(void *slab, size_t bytes)
{
    uintptr_t first = ((uintptr_t)slab + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    uintptr_t end = ((uintptr_t)slab + bytes) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* optional: failure
                                                                     is harmless */
}

/* As many as the hint announces, but at least an eighth of the existing ones. */
static size_t slab_segments(const struct segments *s)
{
    size_t bytes = segment_bytes(s), wanted = s->n / 8 + 1;
    uint64_t each = (uint64_t)1 << s->shift, expected = (s->expected + each - 1) / each;
    if (expected > s->n && expected - s->n > wanted)
        wanted = (size_t)(expected - s->n);
    size_t most = SLAB_BYTES_MAX / bytes > 0 ? SLAB_BYTES_MAX / bytes : 1;
    return wanted < most ? wanted : most;
}

/* NULL: out of memory. */
static unsigned char *cut_segment(struct segments *s)
{
    size_t bytes = segment_bytes(s);
    if (s->slab_left == 0) {
        size_t n = slab_segments(s);
        if (!mem_grow(s->env->mem, &s->slabs, &s->slabs_capacity, s->n_slabs + 1, sizeof *s->slabs))
            return NULL;
        void *slab = mem_array(s->env->mem, n, bytes);
        if (!slab)
            slab = mem_array(s->env->mem, n = 1, bytes);
        if (!slab)
            return NULL;
        ask_for_huge_pages(slab, n * bytes);
        s->slabs[s->n_slabs++] = slab;
        s->slab_next = slab;
        s->slab_left = n;
    }
    unsigned char *segment = s->slab_next;
    s->slab_next += bytes;
    s->slab_left--;
    return segment;
}

/* Doubles the capacity of `base` where it is full. false: out of memory. */
static bool lengthen_base(struct segments *s)
{
    unsigned char **old = atomic_load_explicit(&s->base, memory_order_relaxed);
    size_t capacity = s->capacity > 0 ? 2 * s->capacity : 8;
    if (s->n < s->capacity)
        return true;
    unsigned char **base = mem_array(s->env->mem, capacity, sizeof *base);
    if (!base)
        return false;
    if (old) {
        memcpy(base, old, s->n * sizeof *base);
        s->outgrown[s->n_outgrown++] = old;
    }
    atomic_store_explicit(&s->base, base, memory_order_release);
    s->capacity = capacity;
    return true;
}

static int add_segment(struct segments *s)
{
    unsigned char *segment = NULL;
    int rc = OK;
    if (lengthen_base(s)) {
        if (s->fd >= 0)
            rc = map_segment(s, &segment);
        else
            segment = cut_segment(s);
    }
    if (segment) {
        atomic_load_explicit(&s->base, memory_order_relaxed)[s->n++] = segment;
        return OK;
    }
    return rc ? rc
              : fail(s->env->error, ERR_NO_MEMORY, "divf: out of memory for %zu more bytes",
                     segment_bytes(s));
}

uint64_t divf_segments_capacity(const struct segments *s)
{
    return (uint64_t)s->n << s->shift;
}

int divf_segments_reserve(struct segments *s, uint64_t n)
{
    int rc = OK;
    while (!rc && divf_segments_capacity(s) < n)
        rc = add_segment(s);
    return rc;
}

int divf_segments_map(struct segments *s, const void *saved, size_t saved_bytes,
                      const void *elements, uint64_t n, uint64_t *first)
{
    const size_t segments = (size_t)(n >> s->shift), bytes = s->element_bytes << s->shift;
    s->saved = saved;
    s->saved_bytes = saved_bytes;
    *first = (uint64_t)segments << s->shift;
    for (; s->n < segments; s->n++) { /* never written: is_saved() */
        if (!lengthen_base(s))
            return fail(s->env->error, ERR_NO_MEMORY, "divf: out of memory for %zu segments",
                        segments);
        atomic_load_explicit(&s->base, memory_order_relaxed)[s->n] =
            (unsigned char *)(uintptr_t)elements + s->n * bytes;
    }
    return OK;
}

int divf_segments_own(struct segments *s, uint32_t element)
{
    const size_t segment = element >> s->shift;
    unsigned char *copy = NULL;
    if (!is_saved(s, segment))
        return OK;
    int rc = map_segment(s, &copy);
    if (rc)
        return rc;
    unsigned char **at = atomic_load_explicit(&s->base, memory_order_relaxed) + segment;
    memcpy(copy, *at, s->element_bytes << s->shift);
    atomic_store_explicit((_Atomic(unsigned char *) *)at, copy, memory_order_release);
    return OK;
}

void divf_segments_drop_pages(const struct segments *s)
{
    if (s->saved)
        (void)madvise((void *)(uintptr_t)s->saved, s->saved_bytes, MADV_DONTNEED);
}

uint64_t divf_segments_bytes(const struct segments *s, uint64_t n)
{
    const uint64_t saved = s->n - s->n_file;
    return s->fd < 0 ? n * s->element_bytes
                     : s->n_file * segment_bytes(s) + saved * (s->element_bytes << s->shift);
}

uint64_t divf_segments_table_bytes(const struct segments *s)
{
    return 2 * (uint64_t)s->capacity * sizeof(unsigned char *);
}

int divf_segments_sync(const struct segments *s)
{
    unsigned char *const *base = s->base;
    for (size_t i = 0; s->fd >= 0 && i < s->n; i++)
        if (!is_saved(s, i) && msync(base[i], segment_bytes(s), MS_SYNC))
            return fail_errno(s->env->error, ERR_IO, "syncing %s", s->path);
    return OK;
}
