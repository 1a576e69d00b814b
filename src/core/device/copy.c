#include "src/core/device/copy.h"

static void cut(struct cuda_copy *c, size_t rows)
{
    if (c->n > rows)
        c->n = rows;
}

void cuda_copy_note(struct cuda_copy *c, uint32_t position, size_t rows)
{
    cut(c, rows);
    if (position >= c->n)
        return;
    if (c->n_stale < CUDA_COPY_STALE) {
        c->stale[c->n_stale++] = position;
        return;
    }
    for (size_t i = 0; i < c->n_stale; i++)
        position = c->stale[i] < position ? c->stale[i] : position;
    c->n = position;
    c->n_stale = 0;
}

int cuda_copy_bring(struct cuda_copy *c, size_t rows, int (*put)(void *to, size_t first, size_t n),
                    void *to)
{
    int rc = 0;
    cut(c, rows);
    for (size_t i = 0; rc == 0 && i < c->n_stale; i++)
        if (c->stale[i] < c->n)
            rc = put(to, c->stale[i], 1);
    if (rc == 0 && c->n < rows)
        rc = put(to, c->n, rows - c->n);
    if (rc == 0) {
        c->n = rows;
        c->n_stale = 0;
    }
    return rc;
}
