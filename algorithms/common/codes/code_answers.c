/* code_answers.c - the answers of a query, and the filter that they pass. */
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

bool code_filter_few(const struct id_filter *filter, size_t most)
{
    const size_t words = (size_t)(filter->n_ids / 64) + (filter->n_ids % 64 != 0);
    size_t allowed = 0;
    for (size_t w = 0; w < words && allowed <= most; w++)
        allowed += (size_t)__builtin_popcountll(filter->bits[w]);
    return allowed <= most;
}
