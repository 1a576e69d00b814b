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

/* About what a scan reads ahead of itself, so that a chunk's start is not a stall each time. */
enum { CHUNK_BYTES = 8192, SEGMENT_BYTES = 1 << 20, FILE_SEGMENT_BYTES = 1 << 23 };
enum { ROWS_MIN = 8, ROWS_MAX = 64 };
enum { FILE_ALIGN = 65536 }; /* at least any page size */

int chunks_open(struct chunks *c, const struct index_env *env, const char *path)
{
    *c = (struct chunks){ .env = env, .dim = env->dim, .fd = -1 };
    size_t row_bytes = env->dim * sizeof(float);
    while (((size_t)ROWS_MIN << c->row_shift) < ROWS_MAX &&
           ((size_t)ROWS_MIN << c->row_shift) * row_bytes < CHUNK_BYTES)
        c->row_shift++;
    c->row_shift += 3; /* log2(ROWS_MIN) */
    size_t chunk_bytes = row_bytes << c->row_shift,
           target = path ? FILE_SEGMENT_BYTES : SEGMENT_BYTES;
    while ((chunk_bytes << (c->segment_shift + 1)) <= target)
        c->segment_shift++;
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
        if (c->fd < 0)
            mem_free(mem, c->segments[i].rows);
        else
            munmap(c->segments[i].rows, chunks_segment_bytes(c));
        mem_free(mem, c->segments[i].slots);
        mem_free(mem, c->segments[i].lists);
    }
    if (c->fd >= 0) {
        close(c->fd);
        unlink(c->path);
    }
    mem_free(mem, c->path);
    mem_free(mem, c->segments);
    mem_free(mem, c->free);
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

static int add_segment(struct chunks *c)
{
    struct mem *mem = c->env->mem;
    size_t chunks = (size_t)1 << c->segment_shift, n_rows = chunks << c->row_shift;
    size_t total = (c->n_segments + 1) * chunks;
    if (total << c->row_shift > ROW_NONE)
        return fail(c->env->error, ERR_ARGUMENT,
                    "divf: %zu rows are stored, the most one index can hold",
                    (size_t)c->n_used << c->row_shift);
    struct segment s = { 0 };
    uint32_t *more = mem_resize(mem, c->free, total * sizeof *more);
    if (more)
        c->free = more;
    s.slots = mem_array(mem, n_rows, sizeof *s.slots);
    s.lists = mem_array(mem, chunks, sizeof *s.lists);
    int rc = OK;
    if (more && s.slots && s.lists &&
        mem_grow(mem, &c->segments, &c->capacity, c->n_segments + 1, sizeof s)) {
        if (c->fd >= 0)
            rc = map_segment(c, &s.rows);
        else
            s.rows = mem_alloc(mem, chunks_segment_bytes(c));
    }
    if (s.rows) {
        c->segments[c->n_segments++] = s;
        return OK;
    }
    mem_free(mem, s.slots);
    mem_free(mem, s.lists);
    return rc ? rc
              : fail(c->env->error, ERR_NO_MEMORY, "divf: out of memory for %zu more rows", n_rows);
}

int chunk_take(struct chunks *c, uint32_t list, uint32_t *chunk)
{
    if (c->n_free > 0) {
        *chunk = c->free[--c->n_free];
    } else {
        if (c->n_used == c->n_segments << c->segment_shift) {
            int rc = add_segment(c);
            if (rc)
                return rc;
        }
        *chunk = c->n_used++;
    }
    memset(row_slot(c, *chunk << c->row_shift), 0xff, sizeof(uint32_t) << c->row_shift);
    *chunk_list(c, *chunk) = list;
    return OK;
}

void chunk_give(struct chunks *c, uint32_t chunk)
{
    c->free[c->n_free++] = chunk;
}

int chunks_sync(const struct chunks *c)
{
    for (size_t i = 0; c->fd >= 0 && i < c->n_segments; i++)
        if (msync(c->segments[i].rows, chunks_segment_bytes(c), MS_SYNC))
            return fail_errno(c->env->error, ERR_IO, "syncing %s", c->path);
    return OK;
}
