/* rows.c - rows of whatever element the index has: as floats, and how far from one another. */
#include <string.h>

#include "algorithms/channi/members.h"
#include "kernels/kernels.h"

void channi_to_float(const struct channi *c, const void *row, float *out)
{
    const unsigned char *bytes = row;

    if (c->base.env.element != ELEMENT_U8) {
        memcpy(out, row, c->row_bytes);
        return;
    }
    for (size_t i = 0; i < c->base.env.dim; i++)
        out[i] = bytes[i];
}

float channi_distance(const struct channi *c, const void *a, const void *b)
{
    const struct index_env *env = &c->base.env;

    return env->element == ELEMENT_U8 ? (float)env->kernels->l2sq_u8(a, b, env->dim)
                                      : env->kernels->l2sq_f32(a, b, env->dim);
}
