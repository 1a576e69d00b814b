/* layout.c - shared by readers: checks a header against the size of the file; default elements. */
#include "src/data/readers/layout.h"

#include <string.h>

bool layout_name_ends(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    if (n > 3 && !strcmp(name + n - 3, ".gz"))
        n -= 3;
    return n >= m && !strncmp(name + n - m, suffix, m);
}

enum element layout_default_element(enum element stored, const struct file_options *options)
{
    if (stored == ELEMENT_F64 && options->numbers)
        return stored;
    if (stored == ELEMENT_U32 || stored == ELEMENT_U64)
        return ELEMENT_I64;
    return data_element_of(stored)->stored_only || stored == ELEMENT_F64 ? INDEX_F32 : stored;
}

void layout_settle_codes(struct row_layout *l, const struct file_options *options)
{
    if (l->stored != ELEMENT_U64 || l->dim != 1 || options->numbers)
        return;
    l->stored = INDEX_B64;
    l->dim = 64;
}

bool layout_is_wide(const struct file_options *options)
{
    enum element element;
    if (!options->element || !data_element_named(options->element, &element))
        return options->numbers;
    return element == ELEMENT_F64 || element == ELEMENT_I64 || element == ELEMENT_I32;
}

int layout_check_size(const struct bytes *b, const struct row_layout *l, size_t row_bytes,
                      struct error *err)
{
    if (!l->n || !l->dim)
        return fail(err, ERR_CORRUPT,
                    "%s: the header says %zu rows of %zu columns; both must be at least 1", b->name,
                    l->n, l->dim);
    size_t body, total;
    if (!row_bytes || __builtin_mul_overflow(l->n, row_bytes, &body) ||
        __builtin_add_overflow(body, l->offset, &total))
        return fail(
            err, ERR_CORRUPT,
            "%s: the header says %zu rows of %zu columns, which cannot be: the file has %zu bytes",
            b->name, l->n, l->dim, b->size);
    if (total == b->size)
        return OK;
    return fail(err, ERR_CORRUPT, "%s: %s: %zu rows of %zu %s need %zu bytes, the file has %zu",
                b->name, b->size < total ? "truncated" : "extra bytes at the end", l->n, l->dim,
                data_element_name(l->stored), total, b->size);
}
