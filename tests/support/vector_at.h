/* vector_at.h - the vector of an id, found by a walk over the operations. */
#ifndef DRIFTLINE_TESTS_VECTOR_AT_H
#define DRIFTLINE_TESTS_VECTOR_AT_H

#include "src/workload/op.h"
#include "tests/support/testing.h"

/* Whether the operation gave the id a vector, which is copied. */
static inline bool vector_of_op(const struct op *op, uint64_t id, enum element want, void *out)
{
    const struct view *rows = op_new_rows(op);
    struct error err = { 0 };

    for (size_t i = 0; rows && i < op->n; i++)
        if (op->ids[i] == id) {
            assert_ok(view_read(rows, i, 1, want, out, &err), &err);
            return true;
        }
    return false;
}

/* Copies the vector that the id has after operations 0 .. at-1. */
static inline void vector_at(const struct op_list *list, uint64_t id, size_t at, enum element want,
                             void *out)
{
    while (at-- > 0) {
        const struct op *op = &list->ops[at];

        if (!op->pending && vector_of_op(op, id, want, out))
            return;
        for (size_t i = 1; op->kind == OP_COMMIT && i <= op->back; i++)
            if ((op - i)->pending && vector_of_op(op - i, id, want, out))
                return;
    }
    fail_msg("no operation gives id %llu a vector", (unsigned long long)id);
}

#endif
