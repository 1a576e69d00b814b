/* live_state.c - see live_state.h. */
#include "src/workload/live_state.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/order.h"

static int init(struct live_state *s, const struct op_list *list, size_t n_ids, struct error *err)
{
    *s = (struct live_state){ .list = list, .n_fields = list->n_fields, .live.n_ids = n_ids };
    s->rows = mem_zalloc(NULL, (n_ids + 1) * sizeof *s->rows);
    s->live.bits = calloc(n_ids / 64 + 1, sizeof *s->live.bits);
    if (s->n_fields > 0)
        s->attributes = mem_array(NULL, n_ids * s->n_fields + 1, sizeof *s->attributes);
    if (!s->rows || !s->live.bits || (s->n_fields > 0 && !s->attributes))
        return fail(err, ERR_NO_MEMORY, "out of memory for the rows of %zu ids", n_ids);
    for (size_t i = 0; i < n_ids * s->n_fields; i++)
        s->attributes[i] = INDEX_ATTRIBUTE_NONE;
    return OK;
}

int live_state_init(struct live_state *s, const struct op_list *list, struct error *err)
{
    return init(s, list, list->n_ids, err);
}

static void free_one(struct live_state *s)
{
    mem_free(NULL, s->rows);
    mem_free(NULL, s->replaced);
    mem_free(NULL, s->attributes);
    free(s->live.bits);
}

void live_state_free(struct live_state *s)
{
    for (size_t i = 0; i < s->n_past; i++)
        free_one(&s->past[i]);
    mem_free(NULL, s->past);
    free_one(s);
    *s = (struct live_state){ 0 };
}

/* Copies all but the snapshots, with space for n_ids ids. */
static int copy_to(const struct live_state *s, size_t n_ids, struct live_state *copy,
                   struct error *err)
{
    const size_t n = s->live.n_ids < n_ids ? s->live.n_ids : n_ids;
    const int rc = init(copy, s->list, n_ids, err);

    if (rc != OK) {
        free_one(copy);
        return rc;
    }
    memcpy(copy->rows, s->rows, n * sizeof *copy->rows);
    memcpy(copy->live.bits, s->live.bits, (n / 64 + 1) * sizeof *copy->live.bits);
    copy->live.n = s->live.n;
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < s->n_fields; f++)
            copy->attributes[i * copy->n_fields + f] = s->attributes[i * s->n_fields + f];
    return OK;
}

int live_state_copy(const struct live_state *s, struct live_state *copy, struct error *err)
{
    return copy_to(s, s->list->n_ids, copy, err);
}

void live_state_replace(struct live_state *s, struct live_state *copy)
{
    free_one(s);
    copy->past = s->past;
    copy->n_past = s->n_past;
    copy->past_capacity = s->past_capacity;
    *s = *copy;
    *copy = (struct live_state){ 0 };
}

int live_state_grow(struct live_state *s, struct error *err)
{
    const size_t n = s->list->n_ids, has = s->live.n_ids, twice = 2 * has > n ? 2 * has : n;
    struct live_state larger;

    if (n <= has && s->n_fields == s->list->n_fields)
        return OK;
    const int rc = copy_to(s, n > has ? twice : has, &larger, err);
    if (rc == OK)
        live_state_replace(s, &larger);
    return rc;
}

/* Copies the state for the snapshot that operation `at` makes. */
static int keep_past(struct live_state *s, size_t at, struct error *err)
{
    if (!mem_grow(NULL, &s->past, &s->past_capacity, s->n_past + 1, sizeof *s->past))
        return fail(err, ERR_NO_MEMORY, "out of memory for a snapshot");
    const int rc = live_state_copy(s, &s->past[s->n_past], err);
    s->past[s->n_past].snapshot = at + 1;
    s->n_past += rc == OK;
    return rc;
}

static void drop_past(struct live_state *s, size_t snapshot)
{
    for (size_t i = 0; i < s->n_past; i++)
        if (s->past[i].snapshot == snapshot) {
            free_one(&s->past[i]);
            s->past[i] = s->past[--s->n_past];
            return;
        }
}

const struct live_state *live_state_of(const struct live_state *s, const struct op *op)
{
    for (size_t i = 0; op->as_of && i < s->n_past; i++)
        if (s->past[i].snapshot == op->as_of)
            return &s->past[i];
    return s;
}

size_t live_state_past_bytes(const struct live_state *s)
{
    const size_t each = sizeof *s->rows + s->n_fields * sizeof *s->attributes;

    return s->n_past * (s->live.n_ids * each + s->live.n_ids / 8);
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

/* Assigns the operation's new rows, if it has any, to its ids. While a list is recorded, an operation
   may have fewer fields than the list. */
static int take_rows(struct live_state *s, const struct op *op, uint32_t since, struct error *err)
{
    const struct view *rows = op_new_rows(op);
    const struct source *last = NULL;
    const size_t n_fields = s->n_fields;
    uint32_t dataset = 0;

    for (size_t i = 0; rows && i < op->n; i++) {
        size_t row;
        const struct source *source = view_row(rows, i, &row);

        if (source != last && dataset_of(s->list, source, &dataset, err) != OK)
            return err->code;
        last = source;
        s->rows[op->ids[i]] = (struct live_row){ dataset, since, row };
        for (size_t f = 0; f < n_fields; f++)
            s->attributes[op->ids[i] * n_fields + f] = op->attributes && f < op->n_fields
                                                           ? op->attributes[i * op->n_fields + f]
                                                           : INDEX_ATTRIBUTE_NONE;
    }
    return OK;
}

/* Inserts the operation's ids into the live set, or deletes them; others than these stay. */
static void take_ids(struct live_set *live, const struct op *op)
{
    const enum op_rows rows = op_info(op->kind)->rows;
    const bool adds = rows == ROWS_COME;

    if (!adds && rows != ROWS_GO)
        return;
    for (size_t i = 0; i < op->n_removes; i++)
        live->bits[op->removes[i] >> 6] &= ~((uint64_t)1 << (op->removes[i] & 63));
    for (size_t i = 0; i < op->n; i++) {
        const uint64_t id = op->ids[i], bit = (uint64_t)1 << (id & 63);

        if (adds)
            live->bits[id >> 6] |= bit;
        else
            live->bits[id >> 6] &= ~bit;
    }
}

static int take_op(struct live_state *s, const struct op *op, uint32_t since, struct error *err)
{
    const int rc = take_rows(s, op, since, err);

    if (rc == OK)
        take_ids(&s->live, op);
    return rc;
}

/* Keeps the rows that an operation replaces, in the order of their ids. */
static int keep_replaced(struct live_state *s, const struct op *op, struct error *err)
{
    const uint64_t *ids = op->ids + (op->n - op->n_pairs);

    if (!mem_grow(NULL, &s->replaced, &s->replaced_capacity, op->n_pairs, sizeof *s->replaced))
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu replaced rows", op->n_pairs);
    for (size_t i = 0; i < op->n_pairs; i++)
        s->replaced[i] = (struct live_replaced){ ids[i], s->rows[ids[i]] };
    s->n_replaced = op->n_pairs;
    qsort(s->replaced, s->n_replaced, sizeof *s->replaced, order_u64);
    return OK;
}

static int take_snapshots(struct live_state *s, size_t at, struct error *err)
{
    const struct op *op = &s->list->ops[at];

    if (op->kind == OP_RELEASE)
        drop_past(s, op->as_of);
    return op->kind == OP_SNAPSHOT ? keep_past(s, at, err) : OK;
}

int live_state_take(struct live_state *s, size_t at, struct error *err)
{
    const int rc = take_rows(s, &s->list->ops[at], (uint32_t)at + 1, err);

    return rc == OK ? take_snapshots(s, at, err) : rc;
}

int live_state_step(struct live_state *s, size_t at, struct error *err)
{
    const struct op *op = &s->list->ops[at];
    const uint32_t since = (uint32_t)at + 1;
    int rc;

    s->n_replaced = 0;
    rc = op->n_pairs ? keep_replaced(s, op, err) : OK;
    for (size_t i = op->kind == OP_COMMIT ? op->back : 0; rc == OK && i > 0; i--)
        if ((op - i)->pending)
            rc = take_op(s, op - i, since, err);
    if (rc == OK && !op->pending)
        rc = take_op(s, op, since, err);
    s->live.n = op->live_after;
    return rc == OK ? take_snapshots(s, at, err) : rc;
}

size_t live_state_ids(const struct live_state *s, const uint64_t *filter_bits, uint64_t filter_ids,
                      uint64_t *out)
{
    const size_t words = (s->live.n_ids + 63) / 64;
    size_t n = 0;

    for (size_t w = 0; w < words; w++) {
        uint64_t bits = s->live.bits[w];

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

static const void *read_row(const struct live_state *s, struct live_row at, void *scratch,
                            struct error *err)
{
    const struct source *source = s->list->datasets[at.dataset].source;

    if (source->rows && source->element == s->list->element)
        return (const char *)source->rows + at.row * source_row_bytes(source);
    return view_read_source(source, at.row, 1, s->list->element, scratch, err) == OK ? scratch
                                                                                     : NULL;
}

const void *live_state_row(const struct live_state *s, uint64_t id, void *scratch,
                           struct error *err)
{
    return read_row(s, s->rows[id], scratch, err);
}

const void *live_state_row_before(const struct live_state *s, uint64_t id, void *scratch,
                                  struct error *err)
{
    const struct live_replaced *found =
        s->n_replaced ? bsearch(&id, s->replaced, s->n_replaced, sizeof *found, order_u64) : NULL;

    return read_row(s, found ? found->row : s->rows[id], scratch, err);
}

bool live_state_mapped(const struct live_state *s)
{
    for (size_t i = 0; i < s->list->n_datasets; i++) {
        const struct source *source = s->list->datasets[i].source;

        if (!source->rows || source->element != s->list->element)
            return false;
    }
    return true;
}

int live_state_read(const struct live_state *s, const uint64_t *ids, size_t n, enum element want,
                    void *out, struct error *err)
{
    const size_t row_bytes = index_row_bytes(want, s->list->dim);

    for (size_t i = 0, run; i < n; i += run) {
        const struct live_row first = s->rows[ids[i]];
        const struct source *source = s->list->datasets[first.dataset].source;
        char *to = (char *)out + i * row_bytes;

        for (run = 1; i + run < n; run++) {
            const struct live_row next = s->rows[ids[i + run]];
            if (next.dataset != first.dataset || next.row != first.row + run)
                break;
        }
        const int rc = view_read_source(source, (size_t)first.row, run, want, to, err);
        if (rc != OK)
            return rc;
    }
    return OK;
}
