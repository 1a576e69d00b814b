/* gather.c - see gather.h. */
#define _GNU_SOURCE
#include "src/workload/gather.h"

#include <math.h>
#include <string.h>
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

void gather_scale_to_unit(float *rows, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * dim;
        double sum = 0;

        for (size_t j = 0; j < dim; j++)
            sum += (double)row[j] * (double)row[j];
        const double scale = sum > 0 ? 1 / sqrt(sum) : 1;
        for (size_t j = 0; j < dim; j++)
            row[j] = (float)((double)row[j] * scale);
    }
}

int gather_view(const struct view *v, const uint64_t *positions, size_t n, enum element want,
                bool unit, struct buffer *buffer, struct vectors *out, struct error *err)
{
    const void *there = unit || positions ? NULL : view_map(v, 0, n, want);
    const size_t row_bytes = index_row_bytes(want, v->dim);
    int rc;

    *out = (struct vectors){ there, n, v->dim, want };
    if (there)
        return OK;
    if ((rc = buffer_reserve(buffer, n * row_bytes, err)) != OK)
        return rc;
    out->rows = buffer->bytes;
    for (size_t i = 0, run; i < n; i += run) {
        for (run = positions ? 1 : n; i + run < n && positions[i + run] == positions[i] + run;)
            run++;
        rc = view_read(v, positions ? (size_t)positions[i] : 0, run, want,
                       (char *)buffer->bytes + i * row_bytes, err);
        if (rc != OK)
            return rc;
    }
    if (unit)
        gather_scale_to_unit(buffer->bytes, n, v->dim);
    return OK;
}

int gather_items(const void *items, size_t bytes, const uint64_t *positions, size_t n,
                 struct buffer *buffer, struct error *err)
{
    const int rc = buffer_reserve(buffer, n * bytes + 1, err);

    for (size_t i = 0; rc == OK && i < n; i++)
        memcpy((char *)buffer->bytes + i * bytes, (const char *)items + positions[i] * bytes,
               bytes);
    return rc;
}

bool gather_origin(void *to, struct vectors v, struct row_origin *out, uint64_t *numbers)
{
    const struct gathered_rows *g = to;
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    const struct source *source = NULL;
    /* An address below the rows is a large difference. */
    const size_t offset = (size_t)((uintptr_t)v.rows - (uintptr_t)g->rows.rows);
    if (!g->view || v.n == 0 || v.n > g->rows.n || v.dim != g->rows.dim ||
        offset > (g->rows.n - v.n) * row_bytes)
        return false;
    const size_t first = offset / row_bytes;
    for (size_t i = 0; i < v.n; i++) {
        size_t row;
        const struct source *of =
            view_row(g->view, g->positions ? (size_t)g->positions[first + i] : first + i, &row);
        if (!of->origin || of->element != v.element || (source && source != of))
            return false;
        source = of;
        numbers[i] = row;
    }
    *out = *source->origin;
    return true;
}
