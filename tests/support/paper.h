/* paper.h - the options that preset = "paper" gives a method. */
#ifndef TEST_PAPER_H
#define TEST_PAPER_H

#include "src/core/param.h"
#include "tests/support/testing.h"

static inline void test_take_paper(const struct param *table, void *to)
{
    struct error error = { 0 };
    for (const struct param *p = table; p->name; p++)
        if (p->paper)
            assert_ok(param_set(table, to, p->name,
                                (struct param_value){ .kind = VALUE_TEXT, .text = p->paper },
                                "method", &error),
                      &error);
}

#endif
