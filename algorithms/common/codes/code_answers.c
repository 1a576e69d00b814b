/* code_answers.c - the answers of a query. */
#include "algorithms/common/codes/code_queries.h"
#include "src/core/mem.h"

int code_answers_more(struct code_answers *to, size_t n)
{
    size_t capacity = to->capacity;
    if (!mem_grow(to->mem, &to->ids, &capacity, to->n + n, sizeof *to->ids) ||
        !mem_fit(to->mem, &to->distances, capacity, sizeof *to->distances))
        return fail(to->error, ERR_NO_MEMORY, "out of memory for %zu answers", to->n + n);
    to->capacity = capacity;
    return OK;
}
