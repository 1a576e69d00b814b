/* delta.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

void delta_init(struct delta *a0, struct mem *a1, size_t row_bytes) {}

void delta_free(struct delta *a0) {}

bool delta_reserve(struct delta *a0, size_t more)
{
    return 0;
}

uint32_t delta_append(struct delta *a0, const void *row, uint64_t id, uint32_t attribute,
                      uint64_t born, uint64_t dead)
{
    return 0;
}

struct delta_row delta_at(const struct delta *a0, uint32_t i)
{
    return (struct delta_row){ 0 };
}

const struct delta_chunk *delta_run(const struct delta *a0, uint32_t i, uint32_t *offset,
                                    uint32_t *n)
{
    return NULL;
}
