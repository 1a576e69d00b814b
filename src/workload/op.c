/* op.c - see op.h. */
#include "src/workload/op.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"

const struct op_info *op_info(enum op_kind kind)
{
    static const struct op_info kinds[OP_KINDS] = {
#define OP(KIND, name, steps, rows, flags) [OP_##KIND] = { #name, rows, flags },
#include "src/workload/ops.def"
#undef OP
    };
    static const struct op_info none = { "?", ROWS_STAY, 0 };

    return (unsigned)kind < OP_KINDS ? &kinds[kind] : &none;
}

const char *const op_mix_kind_names[MIX_KINDS] = { "search", "insert", "delete", "update" };

const char *op_name(enum op_kind kind)
{
    return op_info(kind)->name;
}

enum op_kind op_named(const char *name)
{
    int kind = 0;

    while (kind < OP_KINDS && strcmp(op_info((enum op_kind)kind)->name, name) != 0)
        kind++;
    return (enum op_kind)kind;
}

const char *op_tag(const struct op *op)
{
    return op->tag ? op->tag : op_name(op->kind);
}

const struct view *op_new_rows(const struct op *op)
{
    const struct op_info *info = op_info(op->kind);

    if (info->rows != ROWS_COME && info->rows != ROWS_CHANGE)
        return NULL;
    return info->flags & OP_ASKS ? op->writes : op->rows;
}

size_t op_changes(const struct op *op)
{
    return op->n + op->n_removes - op->n_pairs;
}

enum mix_kind op_change_kind(const struct op *op, size_t c)
{
    return c < op->n - op->n_pairs ? MIX_INSERT : c < op->n ? MIX_UPDATE : MIX_DELETE;
}

void op_free(struct op *op)
{
#define FREE_NOTHING(...)
#define FREE_TEXT(name)               free(op->name);
#define FREE_VIEW(name)               view_drop(op->name);
#define FREE_ARRAY(type, name, count) free(op->name);
    OP_FIELDS(FREE_NOTHING, FREE_NOTHING, FREE_TEXT, FREE_VIEW, FREE_ARRAY)
#undef FREE_NOTHING
#undef FREE_TEXT
#undef FREE_VIEW
#undef FREE_ARRAY
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
