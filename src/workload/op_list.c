/* op_list.c - the live set of a recorded list. */
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
    free(list);
}
