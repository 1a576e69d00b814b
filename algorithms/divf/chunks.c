/* chunks.c - where rows live: segments of chunks, allocated or mapped from one growing file. */
#define _GNU_SOURCE /* fallocate's portable form, mmap */
#include "algorithms/divf/chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/core/mem.h"

/* Small enough that a list of some tens of vectors wastes little; the longest extents are long enough
   that where the next one lies does not matter (8 KiB at random are read at half the speed of order,
   32 KiB at four fifths). */
enum {
    CHUNK_BYTES = 8192,
    EXTENT_BYTES = 131072,
    SEGMENT_BYTES = 1 << 18,
    FILE_SEGMENT_BYTES = 1 << 23
};
enum { ROWS_MIN_SHIFT = 3, ROWS_MAX_SHIFT = 6 };
enum { SLAB_BYTES_MAX = 1 << 26, HUGE_PAGE_BYTES = 1 << 21 };
enum { FILE_ALIGN = 65536 }; /* at least any page size */

int chunks_open(struct chunks *c, const struct index_env *env, const char *path,
                uint64_t expected_rows)
{
    *c = (struct chunks){ .env = env, .dim = env->dim, .expected_rows = expected_rows, .fd = -1 };
    size_t row_bytes = env->dim * sizeof(float);
    c->row_shift = ROWS_MIN_SHIFT;
    while (c->row_shift < ROWS_MAX_SHIFT && row_bytes << c->row_shift < CHUNK_BYTES)
        c->row_shift++;
    size_t chunk_bytes = row_bytes << c->row_shift,
           target = path ? FILE_SEGMENT_BYTES : SEGMENT_BYTES;
    while (c->class_max + 1 < CHUNK_CLASSES &&
           chunk_bytes << 2 * (c->class_max + 1) <= EXTENT_BYTES)
        c->class_max++;
    c->segment_shift = 2 * c->class_max;
    while (chunk_bytes << (c->segment_shift + 1) <= target)
        c->segment_shift++;
    memset(c->free, 0xff, sizeof c->free);
    if (!path)
        return OK;

    c->path = mem_strdup(env->mem, path);
    if (!c->path)
        return fail(env->error, ERR_NO_MEMORY, "opening %s: out of memory", path);
    c->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (c->fd >= 0)
        return OK;
    int rc = fail_errno(env->error, ERR_IO, "creating %s", path);
    mem_free(env->mem, c->path);
    c->path = NULL;
    return rc;
}

size_t chunks_segment_bytes(const struct chunks *c)
{
    size_t bytes = (c->dim * sizeof(float)) << (c->row_shift + c->segment_shift);
    return c->fd < 0 ? bytes : (bytes + FILE_ALIGN - 1) / FILE_ALIGN * FILE_ALIGN;
}

void chunks_close(struct chunks *c)
{
    if (!c->env)
        return;
    struct mem *mem = c->env->mem;
    for (size_t i = 0; i < c->n_segments; i++) {
        if (c->fd >= 0)
            munmap(c->segments[i].rows, chunks_segment_bytes(c));
        mem_free(mem, c->segments[i].slots);
        mem_free(mem, c->segments[i].state);
    }
    for (size_t i = 0; i < c->n_slabs; i++)
        mem_free(mem, c->slabs[i]);
    mem_free(mem, c->slabs);
    if (c->fd >= 0) {
        close(c->fd);
        unlink(c->path);
    }
    mem_free(mem, c->path);
    mem_free(mem, c->segments);
    *c = (struct chunks){ .fd = -1 };
}

/* Blocks are reserved now: writing to a hole on a full disk would kill the process. */
static int map_segment(struct chunks *c, float **rows)
{
    size_t bytes = chunks_segment_bytes(c);
    off_t offset = (off_t)(c->n_segments * bytes);
    int code = posix_fallocate(c->fd, offset, (off_t)bytes);
    if (code) {
        errno = code;
        return fail_errno(c->env->error, ERR_IO, "growing %s to %" PRIu64 " bytes", c->path,
                          (uint64_t)offset + bytes);
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, offset);
    if (p == MAP_FAILED)
        return fail_errno(c->env->error, ERR_NO_MEMORY, "mapping %s", c->path);
    *rows = p;
    return OK;
}

/* Lists lie all over the rows, so with small pages a scan waits for the page table as much as for
   the rows: measured, huge ones make it a fifth faster. They need room to be aligned in. */
static void ask_for_huge_pages(void *slab, size_t bytes)
{
    uintptr_t first = ((uintptr_t)slab + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    uintptr_t end = ((uintptr_t)slab + bytes) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* a wish: without it all works */
}

/* What the hint says is still to come, but at least an eighth of what there is. */
static size_t slab_segments(const struct chunks *c)
{
    size_t bytes = chunks_segment_bytes(c), wanted = c->n_segments / 8 + 1;
    uint64_t rows = (uint64_t)1 << (c->row_shift + c->segment_shift);
    uint64_t expected = (c->expected_rows + rows - 1) / rows;
    if (expected > c->n_segments && expected - c->n_segments > wanted)
        wanted = (size_t)(expected - c->n_segments);
    size_t most = SLAB_BYTES_MAX / bytes > 0 ? SLAB_BYTES_MAX / bytes : 1;
    return wanted < most ? wanted : most;
}

/* NULL: out of memory. */
static float *cut_segment(struct chunks *c)
{
    size_t bytes = chunks_segment_bytes(c);
    if (c->slab_left == 0) {
        size_t n = slab_segments(c);
        if (!mem_grow(c->env->mem, &c->slabs, &c->slabs_capacity, c->n_slabs + 1, sizeof *c->slabs))
            return NULL;
        void *slab = mem_array(c->env->mem, n, bytes);
        if (!slab)
            slab = mem_array(c->env->mem, n = 1, bytes);
        if (!slab)
            return NULL;
        ask_for_huge_pages(slab, n * bytes);
        c->slabs[c->n_slabs++] = slab;
        c->slab_next = slab;
        c->slab_left = n;
    }
    float *rows = c->slab_next;
    c->slab_next += bytes / sizeof *rows;
    c->slab_left--;
    return rows;
}

static int add_segment(struct chunks *c)
{
    struct mem *mem = c->env->mem;
    size_t chunks = (size_t)1 << c->segment_shift, n_rows = chunks << c->row_shift;
    if (((c->n_segments + 1) * chunks) << c->row_shift > ROW_NONE)
        return fail(c->env->error, ERR_ARGUMENT,
                    "divf: %zu rows are stored, the most one index can hold",
                    (size_t)c->n_used << c->row_shift);
    struct segment s = { 0 };
    s.slots = mem_array(mem, n_rows, sizeof *s.slots);
    s.state = mem_array(mem, chunks, sizeof *s.state);
    int rc = OK;
    if (s.slots && s.state &&
        mem_grow(mem, &c->segments, &c->capacity, c->n_segments + 1, sizeof s)) {
        if (c->fd >= 0)
            rc = map_segment(c, &s.rows);
        else
            s.rows = cut_segment(c);
    }
    if (s.rows) {
        c->segments[c->n_segments++] = s;
        return OK;
    }
    mem_free(mem, s.slots);
    mem_free(mem, s.state);
    return rc ? rc
              : fail(c->env->error, ERR_NO_MEMORY, "divf: out of memory for %zu more rows", n_rows);
}

static void free_list_push(struct chunks *c, uint32_t chunk, unsigned class)
{
    uint32_t next = c->free[class];
    *chunk_state(c, chunk) = (struct chunk_state){ CHUNK_NONE, class, next, CHUNK_NONE };
    if (next != CHUNK_NONE)
        chunk_state(c, next)->last = chunk;
    c->free[class] = chunk;
}

static void free_list_drop(struct chunks *c, uint32_t chunk)
{
    struct chunk_state *s = chunk_state(c, chunk);
    if (s->last == CHUNK_NONE)
        c->free[s->class] = s->next;
    else
        chunk_state(c, s->last)->next = s->next;
    if (s->next != CHUNK_NONE)
        chunk_state(c, s->next)->last = s->last;
    s->class = CHUNK_NONE;
}

/* A free extent of exactly this class, off its list. */
static int extent_take(struct chunks *c, unsigned class, uint32_t *chunk)
{
    unsigned from = class;
    while (from < c->class_max && c->free[from] == CHUNK_NONE)
        from++;
    if (c->free[from] == CHUNK_NONE) {
        if (c->n_used == c->n_segments << c->segment_shift) {
            int rc = add_segment(c);
            if (rc)
                return rc;
        }
        free_list_push(c, c->n_used, c->class_max);
        c->n_used += 1u << 2 * c->class_max;
        c->n_free += 1u << 2 * c->class_max;
    }
    *chunk = c->free[from];
    free_list_drop(c, *chunk);
    for (; from > class; from--) /* the last three quarters stay free */
        for (uint32_t quarter = 3; quarter > 0; quarter--)
            free_list_push(c, *chunk + (quarter << 2 * (from - 1)), from - 1);
    return OK;
}

int chunk_take(struct chunks *c, uint32_t list, unsigned class, uint32_t *chunk)
{
    uint32_t n = 1u << 2 * class;
    int rc = extent_take(c, class, chunk);
    if (rc)
        return rc;
    memset(row_slot(c, *chunk << c->row_shift), 0xff, (n * sizeof(uint32_t)) << c->row_shift);
    for (uint32_t i = 0; i < n; i++)
        *chunk_state(c, *chunk + i) = (struct chunk_state){ list, CHUNK_NONE, 0, 0 };
    c->n_free -= n;
    return OK;
}

void chunk_give(struct chunks *c, uint32_t chunk)
{
    unsigned class = 0;
    c->n_free++;
    for (; class < c->class_max; class ++) {
        uint32_t first = chunk & ~((4u << 2 * class) - 1), free = 0;
        for (uint32_t quarter = 0; quarter < 4; quarter++) {
            uint32_t at = first + (quarter << 2 * class);
            const struct chunk_state *s = chunk_state(c, at);
            free += at == chunk || (s->list == CHUNK_NONE && s->class == class);
        }
        if (free < 4)
            break;
        for (uint32_t quarter = 0; quarter < 4; quarter++)
            if (first + (quarter << 2 * class) != chunk)
                free_list_drop(c, first + (quarter << 2 * class));
        *chunk_state(c, chunk) = (struct chunk_state){ CHUNK_NONE, CHUNK_NONE, 0, 0 };
        chunk = first;
    }
    free_list_push(c, chunk, class);
}

uint64_t chunks_row_bytes(const struct chunks *c)
{
    return c->fd < 0 ? ((uint64_t)c->n_used << c->row_shift) * c->dim * sizeof(float)
                     : (uint64_t)c->n_segments * chunks_segment_bytes(c);
}

int chunks_sync(const struct chunks *c)
{
    for (size_t i = 0; c->fd >= 0 && i < c->n_segments; i++)
        if (msync(c->segments[i].rows, chunks_segment_bytes(c), MS_SYNC))
            return fail_errno(c->env->error, ERR_IO, "syncing %s", c->path);
    return OK;
}
