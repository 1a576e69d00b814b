/* segments.c - address-stable storage: slabs of memory with huge pages, or one growing mapped file. */
#define _GNU_SOURCE /* fallocate's portable form, mmap */
#include "algorithms/divf/segments.h"

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
enum { FILES_MAX = 1000 };               /* whose names are tried */
enum { ALIGN = 64, FILE_ALIGN = 65536 }; /* the latter at least any page size */

/* Another index may work in the same folder: one that is loaded while its predecessor lives. */
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

int segments_open(struct segments *s, const struct index_env *env, size_t element_bytes,
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

void segments_close(struct segments *s)
{
    if (!s->env)
        return;
    struct mem *mem = s->env->mem;
    for (size_t i = 0; s->fd >= 0 && i < s->n; i++)
        munmap(s->base[i], segment_bytes(s));
    for (size_t i = 0; i < s->n_slabs; i++)
        mem_free(mem, s->slabs[i]);
    mem_free(mem, s->slabs);
    if (s->fd >= 0) {
        close(s->fd);
        unlink(s->path);
    }
    mem_free(mem, s->path);
    mem_free(mem, s->base);
    *s = (struct segments){ .fd = -1 };
}

/* Blocks are reserved now: writing to a hole on a full disk would kill the process. */
static int map_segment(struct segments *s, unsigned char **out)
{
    size_t bytes = segment_bytes(s);
    off_t offset = (off_t)(s->n * bytes);
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
    return OK;
}

/* They need room to be aligned in. */
static void ask_for_huge_pages(void *slab, size_t bytes)
{
    uintptr_t first = ((uintptr_t)slab + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    uintptr_t end = ((uintptr_t)slab + bytes) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* a wish: without it all works */
}

/* What the hint says is still to come, but at least an eighth of what there is. */
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

static int add_segment(struct segments *s)
{
    unsigned char *segment = NULL;
    int rc = OK;
    if (mem_grow(s->env->mem, &s->base, &s->capacity, s->n + 1, sizeof *s->base)) {
        if (s->fd >= 0)
            rc = map_segment(s, &segment);
        else
            segment = cut_segment(s);
    }
    if (segment) {
        s->base[s->n++] = segment;
        return OK;
    }
    return rc ? rc
              : fail(s->env->error, ERR_NO_MEMORY, "divf: out of memory for %zu more bytes",
                     segment_bytes(s));
}

uint64_t segments_room(const struct segments *s)
{
    return (uint64_t)s->n << s->shift;
}

int segments_reserve(struct segments *s, uint64_t n)
{
    int rc = OK;
    while (!rc && segments_room(s) < n)
        rc = add_segment(s);
    return rc;
}

uint64_t segments_bytes(const struct segments *s, uint64_t n)
{
    return s->fd < 0 ? n * s->element_bytes : (uint64_t)s->n * segment_bytes(s);
}

int segments_sync(const struct segments *s)
{
    for (size_t i = 0; s->fd >= 0 && i < s->n; i++)
        if (msync(s->base[i], segment_bytes(s), MS_SYNC))
            return fail_errno(s->env->error, ERR_IO, "syncing %s", s->path);
    return OK;
}
