/* record_calls.h - recording an operation with its rows or ids beside its other options. */
#ifndef DRIFTLINE_TESTS_SUPPORT_RECORD_CALLS_H
#define DRIFTLINE_TESTS_SUPPORT_RECORD_CALLS_H

#include "src/workload/record.h"

static inline int record_insert(struct recorder *r, const struct op_options *options,
                                struct view *rows, struct error *err)
{
    struct op_options o = *options;
    o.rows = rows;
    return record_operation(r, OP_INSERT, &o, err);
}

static inline int record_delete(struct recorder *r, const struct op_options *options,
                                const struct id_selector *which, struct error *err)
{
    struct op_options o = *options;
    o.which = *which;
    return record_operation(r, OP_DELETE, &o, err);
}

static inline int record_update(struct recorder *r, const struct op_options *options,
                                const struct id_selector *which, struct view *with,
                                struct error *err)
{
    struct op_options o = *options;
    o.which = *which;
    o.rows = with;
    return record_operation(r, OP_UPDATE, &o, err);
}

#endif
