/* buffer.c - see buffer.h. */
#define _GNU_SOURCE
#include "src/workload/buffer.h"

#include <stdint.h>
#include <sys/mman.h>

int buffer_reserve(struct buffer *b, size_t bytes, struct error *err)
{
    const size_t page = 4096, least = bytes + 1;

    if (least <= b->capacity)
        return OK;
    if (bytes > SIZE_MAX - 2 * page)
        return fail(err, ERR_NO_MEMORY, "gather: out of memory for %zu bytes of rows", bytes);
    buffer_free(b);
    const size_t want = (least + page - 1) / page * page;
    void *p = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return fail_errno(err, ERR_NO_MEMORY, "gather: %zu bytes of rows", want);
    *b = (struct buffer){ p, want };
    return OK;
}

void buffer_free(struct buffer *b)
{
    if (b->bytes)
        munmap(b->bytes, b->capacity);
    *b = (struct buffer){ 0 };
}
