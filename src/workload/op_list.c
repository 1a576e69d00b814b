/* op_list.c - reads a recorded list: the live set, and the vector of an id. */
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/workload/op.h"

int live_init(struct live_set *live, const struct op_list *list, struct error *err)
{
    *live = (struct live_set){ .n_ids = list->n_ids };
    live->bits = calloc(list->n_ids / 64 + 1, sizeof *live->bits);
    if (!live->bits)
        return fail(err, ERR_NO_MEMORY, "out of memory for the live set of %zu ids", list->n_ids);
    return OK;
}

static void apply(struct live_set *live, const struct op *op)
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

void live_step(struct live_set *live, const struct op *op)
{
    for (size_t i = op->kind == OP_COMMIT ? op->back : 0; i > 0; i--)
        if ((op - i)->pending)
            apply(live, op - i);
    if (!op->pending)
        apply(live, op);
    live->n = op->live_after;
}

void live_free(struct live_set *live)
{
    free(live->bits);
    *live = (struct live_set){ 0 };
}

/* The newest update of id before operation `at`, or NULL. */
static const struct update_ref *update_before(const struct op_list *list, uint64_t id, size_t at)
{
    size_t low = 0, high = list->n_updates;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct update_ref *u = &list->updates[middle];
        if (u->id < id || (u->id == id && u->since < at))
            low = middle + 1;
        else
            high = middle;
    }
    return low && list->updates[low - 1].id == id ? &list->updates[low - 1] : NULL;
}

int op_list_vector(const struct op_list *list, uint64_t id, size_t at, enum element want, void *out,
                   struct error *err)
{
    if (id >= list->n_ids)
        return fail(err, ERR_UNKNOWN_ID, "id %llu: this workload has ids 0 to %zu",
                    (unsigned long long)id, list->n_ids - 1);
    const struct update_ref *u = update_before(list, id, at);
    if (u)
        return view_read(op_new_rows(&list->ops[u->op]), u->row, 1, want, out, err);
    const struct row_ref *r = &list->rows[id];
    return view_read_source(list->datasets[r->dataset].source, (size_t)r->row, 1, want, out, err);
}

void op_list_free(struct op_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->n; i++)
        op_free(&list->ops[i]);
    for (size_t i = 0; i < list->n_opened; i++) {
        free(list->datasets[i].name);
        source_close(list->datasets[i].source);
    }
    op_fields_free(list);
    mem_free(NULL, list->ops);
    mem_free(NULL, list->datasets);
    mem_free(NULL, list->rows);
    free(list->updates);
    free(list);
}
