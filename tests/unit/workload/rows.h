/* rows.h - sources whose vectors show their source and row. */
#ifndef DRIFTLINE_TESTS_UNIT_WORKLOAD_ROWS_H
#define DRIFTLINE_TESTS_UNIT_WORKLOAD_ROWS_H

#include "tests/support/record_calls.h"
#include "tests/support/testing.h"

enum { SOURCES = 3, ROWS = 60, DIM = 2, STEPS = 6, POSITIONS = ROWS << STEPS };

static inline int no_read(const struct source *s, size_t first, size_t n, void *out,
                          struct error *err)
{
    return fail(err, ERR_IO, "%s: its rows lie in memory", s->name);
}

static inline void free_rows(struct source *s)
{
    free(s->state);
}

/* Row r of source number i is (1000 i + r, -r), so that a vector shows its origin. */
static inline struct source *make_source(size_t number, size_t n, enum element element)
{
    struct error err = { 0 };
    char name[20];
    (void)snprintf(name, sizeof name, "set %zu", number);
    struct source *s = source_new(name, &err);
    assert_non_null(s);
    s->n = n;
    s->dim = DIM;
    s->element = element;
    s->read = no_read;
    s->close = free_rows;
    s->state = malloc(n * DIM * sizeof(float));
    assert_non_null(s->state);
    for (size_t r = 0; r < n; r++) {
        if (element == INDEX_U8) {
            ((uint8_t *)s->state)[r * DIM] = (uint8_t)number;
            ((uint8_t *)s->state)[r * DIM + 1] = (uint8_t)r;
        } else {
            ((float *)s->state)[r * DIM] = (float)(1000 * number + r);
            ((float *)s->state)[r * DIM + 1] = -(float)r;
        }
    }
    s->rows = s->state;
    s->hash = number;
    return s;
}

#endif
