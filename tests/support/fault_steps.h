/* fault_steps.h - which call fails next, in a test that repeats a history once for each call that can
 * fail. All of them cost the square of the history's length. */
#ifndef DRIFTLINE_TESTS_SUPPORT_FAULT_STEPS_H
#define DRIFTLINE_TESTS_SUPPORT_FAULT_STEPS_H

#include "tests/support/testing.h"

/* The number after `at`, from 1 on: each of the first, then ever fewer, and others for another
   seed. The long tier takes all. */
static inline size_t test_sampled_fault(size_t at)
{
    enum { EACH_OF_THE_FIRST = 24 };
    struct rng r = rng_at(test_seed(), at);

    if (test_is_long() || test_scale() > 1)
        return test_next_fault(at);
    return at + 1 + (size_t)rng_below(&r, 1 + at / EACH_OF_THE_FIRST);
}

#endif
