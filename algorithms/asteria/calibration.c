/* calibration.c - not written yet: pi of all, which is true. */
#include "algorithms/asteria/model.h"

int calibrate(struct calibration *c, const struct index_env *env, const struct model *model,
              const float *rows, size_t n, uint64_t seed)
{
    (void)env;
    (void)model;
    (void)rows;
    (void)n;
    (void)seed;
    *c = (struct calibration){ .alpha = .01 };
    for (size_t h = 0; h < CALIBRATION_LEVELS; h++)
        c->quantile[h] = 3.14159265358979;
    return OK;
}
