/* sq8.c - scalar quantization, a byte per dimension: a sketch whose axes are the coordinates
 * themselves, so that there is no remainder. */
#include "algorithms/common/quantizer/sketch_internal.h"
#include "algorithms/common/rotation/axes.h"
#include "src/core/mem.h"

static int sq8_train(struct quantizer **out, const struct index_env *env,
                     const struct quantizer_options *options, const float *rows, size_t n)
{
    struct sketch *s = NULL;
    size_t sampled;
    float *copy, *mean = mem_array(env->mem, env->dim, sizeof *mean);
    const float *sample = sketch_sample(env, options->seed, rows, n, &copy, &sampled);
    int rc = mean && sample ? OK : fail(env->error, ERR_NO_MEMORY, "sq8: out of memory");
    *out = NULL;
    if (rc == OK)
        axes_mean(sample, sampled, env->dim, mean);
    if (rc == OK)
        rc = sketch_open(&s, env, mean, NULL, 0);
    if (rc == OK)
        rc = sketch_fit(s, env, sample, sampled);
    mem_free(env->mem, copy);
    mem_free(env->mem, mean);
    if (rc && s)
        sketch_destroy(env, &s->base);
    else if (s)
        *out = &s->base;
    return rc;
}

const struct quantizer_ops quantizer_sq8_ops = {
    .train = sq8_train,
    .destroy = sketch_destroy,
    .bytes = sketch_bytes,
    .save = sketch_save,
    .load = sketch_load,
    .transform = sketch_transform,
    .put = sketch_put,
    .copy = sketch_copy,
    .query = sketch_query,
    .query_list = sketch_query_list,
    .scan = sketch_scan,
    .bounds = sketch_bounds,
};
