/* bor_train.c - not written yet: angles stay as they are. */
#include "algorithms/asteria/bor.h"

#include "src/core/error.h"

int bor_train(struct bor *b, const struct index_env *env, const struct turn_options *o,
              const float *mean, const float *rows, size_t n, struct turn_report *report)
{
    (void)b;
    (void)env;
    (void)o;
    (void)mean;
    (void)rows;
    (void)n;
    (void)report;
    return OK;
}
