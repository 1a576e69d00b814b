/* gather.c - see gather.h. */
#define _GNU_SOURCE
#include "gather.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "core/mem.h"

/* ---- 1. buffers */

int buffer_reserve(struct buffer *b, size_t bytes, struct error *err)
{
    const size_t page = 4096, least = bytes + 1;

    if (least <= b->capacity)
        return OK;
    if (bytes > SIZE_MAX - 2 * page)
        return fail(err, ERR_NO_MEMORY, "gather: %zu bytes of rows cannot be held", bytes);
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

/* ---- 2. the rows of a view */

void scale_to_unit(float *rows, size_t n, size_t dim)
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

int gather_view(const struct view *v, size_t first, size_t n, enum element want, bool unit,
                struct buffer *buffer, struct vectors *out, struct error *err)
{
    const void *there = unit ? NULL : view_map(v, first, n, want);
    int rc;

    *out = (struct vectors){ there, n, v->dim, want };
    if (there)
        return OK;
    if ((rc = buffer_reserve(buffer, n * element_row_bytes(want, v->dim), err)) != OK)
        return rc;
    out->rows = buffer->bytes;
    if (n == 0)
        return OK;
    if ((rc = view_read(v, first, n, want, buffer->bytes, err)) != OK)
        return rc;
    if (unit)
        scale_to_unit(buffer->bytes, n, v->dim);
    return OK;
}

int gather_positions(const struct view *v, const uint64_t *positions, size_t n, enum element want,
                     bool unit, struct buffer *buffer, struct vectors *out, struct error *err)
{
    const size_t row_bytes = element_row_bytes(want, v->dim);
    int rc = buffer_reserve(buffer, n * row_bytes, err);

    if (rc != OK)
        return rc;
    *out = (struct vectors){ buffer->bytes, n, v->dim, want };
    for (size_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && positions[i + run] == positions[i] + run;)
            run++;
        rc = view_read(v, (size_t)positions[i], run, want, (char *)buffer->bytes + i * row_bytes,
                       err);
        if (rc != OK)
            return rc;
    }
    if (unit)
        scale_to_unit(buffer->bytes, n, v->dim);
    return OK;
}

/* ---- 3. the rows that ids stand for */

int holding_init(struct holding *h, const struct op_list *list, struct error *err)
{
    *h = (struct holding){ .list = list };
    h->rows = mem_zalloc(NULL, (list->n_ids ? list->n_ids : 1) * sizeof *h->rows);
    if (!h->rows)
        return fail(err, ERR_NO_MEMORY, "no memory for the rows of %zu ids", list->n_ids);
    if (list->has_attributes) {
        h->attributes = mem_array(NULL, list->n_ids + 1, sizeof *h->attributes);
        if (!h->attributes)
            return fail(err, ERR_NO_MEMORY, "no memory for the attributes of %zu ids", list->n_ids);
        memset(h->attributes, 0xff, list->n_ids * sizeof *h->attributes); /* ATTRIBUTE_NONE */
    }
    for (size_t id = 0; id < list->n_ids; id++) {
        h->rows[id].dataset = list->rows[id].dataset;
        h->rows[id].row = list->rows[id].row;
    }
    return live_init(&h->live, list, err);
}

static void free_one(struct holding *h)
{
    mem_free(NULL, h->rows);
    mem_free(NULL, h->attributes);
    live_free(&h->live);
}

void holding_free(struct holding *h)
{
    for (size_t i = 0; i < h->n_past; i++)
        free_one(&h->past[i]);
    mem_free(NULL, h->past);
    free_one(h);
    *h = (struct holding){ 0 };
}

/* A copy for a snapshot. */
static int keep_past(struct holding *h, size_t at, struct error *err)
{
    const size_t n = h->list->n_ids;
    struct holding *copy;

    if (!mem_grow(NULL, &h->past, &h->past_capacity, h->n_past + 1, sizeof *h->past))
        return fail(err, ERR_NO_MEMORY, "no memory for a snapshot");
    copy = &h->past[h->n_past];
    *copy = (struct holding){ .list = h->list, .snapshot = at + 1 };
    copy->rows = mem_array(NULL, n + 1, sizeof *copy->rows);
    copy->attributes = h->attributes ? mem_array(NULL, n + 1, sizeof *copy->attributes) : NULL;
    int rc = live_init(&copy->live, h->list, err);
    if (rc == OK && (!copy->rows || (h->attributes && !copy->attributes)))
        rc = fail(err, ERR_NO_MEMORY, "no memory for a snapshot of %zu ids", n);
    if (rc != OK) {
        free_one(copy);
        return rc;
    }
    memcpy(copy->rows, h->rows, n * sizeof *copy->rows);
    if (copy->attributes)
        memcpy(copy->attributes, h->attributes, n * sizeof *copy->attributes);
    memcpy(copy->live.bits, h->live.bits, (n / 64 + 1) * sizeof *copy->live.bits);
    copy->live.n = h->live.n;
    h->n_past++;
    return OK;
}

static void drop_past(struct holding *h, size_t snapshot)
{
    for (size_t i = 0; i < h->n_past; i++)
        if (h->past[i].snapshot == snapshot) {
            free_one(&h->past[i]);
            h->past[i] = h->past[--h->n_past];
            return;
        }
}

const struct holding *holding_of(const struct holding *h, const struct op *op)
{
    for (size_t i = 0; op->as_of && i < h->n_past; i++)
        if (h->past[i].snapshot == op->as_of)
            return &h->past[i];
    return h;
}

size_t holding_past_bytes(const struct holding *h)
{
    const size_t each = sizeof *h->rows + (h->attributes ? sizeof *h->attributes : 0);

    return h->n_past * (h->live.n_ids * each + h->live.n_ids / 8);
}

static int dataset_of(const struct op_list *list, const struct source *source, uint32_t *at,
                      struct error *err)
{
    for (uint32_t i = 0; i < list->n_datasets; i++)
        if (list->datasets[i].source == source) {
            *at = i;
            return OK;
        }
    return fail(err, ERR_NOT_FOUND, "%s: its source is not among the workload's datasets",
                source->name);
}

/* Ids [0, n) of an operation now stand for the rows of a view. */
static int take_rows(struct holding *h, const struct view *v, const uint64_t *ids, size_t n,
                     const uint32_t *attributes, uint32_t since, struct error *err)
{
    const struct source *last = NULL;
    uint32_t dataset = 0;

    for (size_t i = 0; i < n; i++) {
        size_t row;
        const struct source *source = view_row(v, i, &row);

        if (source != last && dataset_of(h->list, source, &dataset, err) != OK)
            return err->code;
        last = source;
        h->rows[ids[i]] = (struct holding_row){ dataset, since, row };
        if (h->attributes)
            h->attributes[ids[i]] = attributes ? attributes[i] : ATTRIBUTE_NONE;
    }
    return OK;
}

static int take_op(struct holding *h, const struct op *op, uint32_t since, struct error *err)
{
    if (op->kind == OP_INSERT || op->kind == OP_UPDATE)
        return take_rows(h, op->rows, op->ids, op->n, op->attributes, since, err);
    if (op->kind == OP_CONCURRENT && op->writes)
        return take_rows(h, op->writes, op->ids, op->writes->n, NULL, since, err);
    return OK;
}

int holding_step(struct holding *h, size_t at, struct error *err)
{
    const struct op *op = &h->list->ops[at];
    const uint32_t since = (uint32_t)at + 1;
    int rc = op->pending ? OK : take_op(h, op, since, err);

    for (size_t i = op->kind == OP_COMMIT ? op->back : 0; rc == OK && i > 0; i--)
        if ((op - i)->pending)
            rc = take_op(h, op - i, since, err);
    if (rc == OK && op->kind == OP_SNAPSHOT)
        rc = keep_past(h, at, err);
    if (op->kind == OP_RELEASE)
        drop_past(h, op->as_of);
    live_step(&h->live, op);
    return rc;
}

size_t holding_ids(const struct holding *h, const uint64_t *filter_bits, uint64_t filter_ids,
                   uint64_t *out)
{
    const size_t words = (h->live.n_ids + 63) / 64;
    size_t n = 0;

    for (size_t w = 0; w < words; w++) {
        uint64_t bits = h->live.bits[w];

        if (filter_bits)
            bits &= w < (filter_ids + 63) / 64 ? filter_bits[w] : 0;
        for (; bits; bits &= bits - 1) {
            const uint64_t id = w * 64 + (uint64_t)__builtin_ctzll(bits);

            if (!filter_bits || id < filter_ids)
                out[n++] = id;
        }
    }
    return n;
}

const void *holding_row(const struct holding *h, uint64_t id, void *scratch, struct error *err)
{
    const struct holding_row at = h->rows[id];
    const struct source *source = h->list->datasets[at.dataset].source;

    if (source->rows && source->element == h->list->element)
        return (const char *)source->rows + at.row * source_row_bytes(source);
    const int rc = source->element == h->list->element
                       ? source_read(source, at.row, 1, scratch, err)
                       : source_read_f32(source, at.row, 1, scratch, err);
    return rc == OK ? scratch : NULL;
}

bool holding_mapped(const struct holding *h)
{
    for (size_t i = 0; i < h->list->n_datasets; i++) {
        const struct source *source = h->list->datasets[i].source;

        if (!source->rows || source->element != h->list->element)
            return false;
    }
    return true;
}

int holding_read(const struct holding *h, const uint64_t *ids, size_t n, enum element want,
                 void *out, struct error *err)
{
    const size_t row_bytes = element_row_bytes(want, h->list->dim);

    for (size_t i = 0, run; i < n; i += run) {
        const struct holding_row first = h->rows[ids[i]];
        const struct source *source = h->list->datasets[first.dataset].source;
        char *to = (char *)out + i * row_bytes;

        for (run = 1; i + run < n; run++) {
            const struct holding_row next = h->rows[ids[i + run]];
            if (next.dataset != first.dataset || next.row != first.row + run)
                break;
        }
        const int rc =
            source->element == want
                ? source_read(source, (size_t)first.row, run, to, err)
                : source_read_f32(source, (size_t)first.row, run, (float *)(void *)to, err);
        if (rc != OK)
            return rc;
    }
    return OK;
}
