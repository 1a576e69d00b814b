/* build.h - an index that is built at 80 % of the rows, for the tests of the build and
   of its statistics. */
#ifndef TEST_CHANNI_BUILD_H
#define TEST_CHANNI_BUILD_H

#include "tests/unit/channi/support.h"

enum { ROWS = 1200, DIM = 8 };

static inline struct channi_params build_params(void)
{
    struct channi_params params =
        book_defaults("maintenance=explicit,target_cluster=50,flat_below=20,defer_fraction=.8");

    params.expected_n = ROWS;
    return params;
}

#endif
