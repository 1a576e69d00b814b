/* sketch.c - codes of the first principal axes and the norm of the remainder;
   see sketch_internal.h. */
#include "algorithms/common/quantizer/sketch_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Rows are centred and multiplied by a panel of dimensions and a tile of rows at a time, on
   the stack. The kernels guarantee that a row's result does not depend on the other rows of
   its tile. */
enum { PANEL = 2048, TILE_FLOATS = 12288, TILE_ROWS = 128, TILE_AXES = 128 };

/* 1. State */

/* Relative error bounds. The lengths of the kernels' chains of additions are those that
   tests/unit/kernels/test_f32.c checks. */
static void set_error_bounds(struct sketch *s, double defect)
{
    size_t dim = s->base.dim, panel = dim < PANEL ? dim : PANEL;
    double u = 0x1p-24, panels = (double)(dim / PANEL) + 1;
    double chain = s->code.kernels->isa == ISA_SCALAR ? (double)panel + 4 : (double)panel / 16 + 12;
    double sum = (chain + panels) * u * 1.01;
    s->along = 1.01 * (u + defect + sqrt((double)s->n_axes) * sum);
    s->loss = s->n_axes ? 1.01 * (sum + 4 * u + 2 * s->along + s->along * s->along) : 0;
}

/* Where the axes of the panel at dimension `first` begin; *len: its dimensions. */
static size_t panel_at(const struct sketch *s, size_t first, size_t *len)
{
    size_t dim = s->base.dim;
    *len = dim - first < PANEL ? dim - first : PANEL;
    return s->n_axes * first;
}

static void set_axes(struct sketch *s, const float *axes)
{
    size_t dim = s->base.dim, len;
    for (size_t first = 0; first < dim; first += PANEL) {
        float *to = s->axes + panel_at(s, first, &len);
        for (size_t a = 0; a < s->n_axes; a++)
            memcpy(to + a * len, axes + a * dim + first, len * sizeof *to);
    }
}

static void sketch_destroy(const struct index_env *env, struct quantizer *q)
{
    struct sketch *s = (struct sketch *)q;
    mem_free(env->mem, s->mean);
    mem_free(env->mem, s->code.low);
    mem_free(env->mem, s);
}

/* Opens one without its box. mean: dim floats, axes: n_axes x dim; 0 axes: sq8. ERR_NO_MEMORY. */
static int sketch_open(struct sketch **out, const struct index_env *env, const float *mean,
                       const float *axes, size_t n_axes)
{
    size_t dim = env->dim;
    struct sketch *s = mem_zalloc(env->mem, sizeof *s);
    *out = NULL;
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "sketch of %zu axes: out of memory", n_axes);
    s->base.ops = &quantizer_sketch_ops;
    s->base.dim = dim;
    s->n_axes = n_axes;
    s->mean = mem_array(env->mem, dim * (n_axes + 1), sizeof *s->mean);
    if (!s->mean || byte_code_open(s, env, n_axes ? n_axes + 1 : dim)) {
        sketch_destroy(env, &s->base);
        return fail(env->error, ERR_NO_MEMORY, "sketch of %zu axes: out of memory", n_axes);
    }
    s->axes = s->mean + dim;
    memcpy(s->mean, mean, dim * sizeof *mean);
    set_axes(s, axes);
    set_error_bounds(s, n_axes ? axes_defect(axes, n_axes, dim) : 0);
    s->base.certain = true;
    *out = s;
    return OK;
}

static uint64_t sketch_bytes(const struct quantizer *q)
{
    const struct sketch *s = (const struct sketch *)q;
    return sizeof *s + (3 * q->work_dim + q->dim * (s->n_axes + 1)) * sizeof(float);
}

/* 2. Sketches */

static void centre(const struct sketch *s, const float *rows, size_t n, size_t first, size_t len,
                   float *to)
{
    const float_anywhere *from = rows;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < len; j++)
            to[i * len + j] = from[i * s->base.dim + first + j] - s->mean[first + j];
}

/* Multiplies the tile with the panel's axes; the first panel sets `out`, later ones add to it. */
static void project(const struct sketch *s, const float *tile, size_t n, size_t first, size_t len,
                    float *out)
{
    const struct kernels *kernels = s->code.kernels;
    const float *axes = s->axes + s->n_axes * first;
    size_t width = s->base.work_dim;
    float part[TILE_AXES];
    if (first == 0) {
        kernels->ip_f32_mn(tile, n, axes, s->n_axes, len, out, width);
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t a = 0; a < s->n_axes; a += TILE_AXES) {
            size_t m = s->n_axes - a < TILE_AXES ? s->n_axes - a : TILE_AXES;
            kernels->ip_f32_1n(tile + i * len, axes + a * len, m, len, part);
            for (size_t j = 0; j < m; j++)
                out[i * width + a + j] += part[j];
        }
}

static void finish_row(const struct sketch *s, float norm_sq, float *out)
{
    double lanes[8] = { 0 }; /* one chain of additions would set the time of the loop */
    size_t a = 0;
    for (; a + 8 <= s->n_axes; a += 8)
        for (size_t l = 0; l < 8; l++)
            lanes[l] += (double)out[a + l] * (double)out[a + l];
    for (; a < s->n_axes; a++)
        lanes[a % 8] += (double)out[a] * (double)out[a];
    double along = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
                   ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    double rest = (double)norm_sq - along;
    out[s->n_axes] = rest <= 0 ? 0 : (float)sqrt(rest); /* NaN stays */
    for (a = s->n_axes + 1; a < s->base.work_dim; a++)
        out[a] = 0;
}

static void sketch_tile(const struct sketch *s, const float *rows, size_t n, float *out)
{
    float tile[TILE_FLOATS], norm_sq[TILE_ROWS] = { 0 };
    size_t dim = s->base.dim, len;
    for (size_t first = 0; first < dim; first += PANEL) {
        (void)panel_at(s, first, &len);
        centre(s, rows, n, first, len, tile);
        for (size_t i = 0; i < n; i++)
            norm_sq[i] += s->code.kernels->ip_f32(tile + i * len, tile + i * len, len);
        project(s, tile, n, first, len, out);
    }
    for (size_t i = 0; i < n; i++)
        finish_row(s, norm_sq[i], out + i * s->base.work_dim);
}

static void sketch_transform(const struct quantizer *q, const float *rows, size_t n, float *out)
{
    const struct sketch *s = (const struct sketch *)q;
    const float_anywhere *from = rows;
    size_t dim = q->dim, width = q->work_dim, step = TILE_FLOATS / (dim < PANEL ? dim : PANEL);
    if (s->n_axes) {
        step = step < TILE_ROWS ? step : TILE_ROWS;
        for (size_t i = 0; i < n; i += step)
            sketch_tile(s, rows + i * dim, n - i < step ? n - i : step, out + i * width);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < dim; j++)
            out[i * width + j] = from[i * dim + j] - s->mean[j];
        for (size_t j = dim; j < width; j++)
            out[i * width + j] = 0;
    }
}

/* 3. Training */

/* Drops the rest if its rounding costs more than half the error of the codes. */
static void drop_vague_rest(struct sketch *s, const float *work, size_t n)
{
    size_t width = s->base.work_dim, rest = s->n_axes;
    double with = 0, without = 0;
    for (size_t i = 0; i < n; i++)
        with += sketch_rounding(s, work + i * width);
    float step = s->code.step[rest];
    s->code.step[rest] = 0;
    for (size_t i = 0; i < n; i++)
        without += sketch_rounding(s, work + i * width);
    if (with - without <= s->code.error_most / 2 * (double)n)
        s->code.step[rest] = step;
}

/* Sets the box from n rows of dim floats. ERR_NO_MEMORY; ERR_ARGUMENT: the rows' range is not
   finite. */
static int sketch_fit(struct sketch *s, const struct index_env *env, const float *rows, size_t n)
{
    float *work = mem_array(env->mem, n * s->base.work_dim, sizeof *work);
    if (!work)
        return fail(env->error, ERR_NO_MEMORY, "sketches of %zu rows: out of memory", n);
    sketch_transform(&s->base, rows, n, work);
    byte_code_fit(&s->code, work, n);
    bool finite = byte_code_derive(&s->code);
    if (finite && s->n_axes) {
        drop_vague_rest(s, work, n);
        finite = byte_code_derive(&s->code);
    }
    mem_free(env->mem, work);
    return finite ? OK
                  : fail(env->error, ERR_ARGUMENT,
                         "quantizer: the training rows' range is not a finite number");
}

/* At most axes_sample_rows() of the n rows, in order: `rows` itself, or a copy, which the caller
   frees through *copy. NULL: out of memory. */
static const float *take_sample(const struct index_env *env, uint64_t seed, const float *rows,
                                size_t n, float **copy, size_t *sampled)
{
    size_t dim = env->dim, most = axes_sample_rows(dim);
    *copy = NULL;
    *sampled = n < most ? n : most;
    if (n <= most)
        return rows;
    struct rng rng = rng_at(seed, 0x736b65746368);
    *copy = mem_array(env->mem, most * dim, sizeof **copy);
    for (size_t i = 0; *copy && i < most; i++) { /* one of each of `most` equal parts */
        size_t first = i * n / most, end = (i + 1) * n / most;
        size_t row = first + (size_t)rng_below(&rng, end - first);
        memcpy(*copy + i * dim, rows + row * dim, dim * sizeof **copy);
    }
    return *copy;
}

/* sq8: without axes, the dimensions themselves; so is a sketch of as many. */
static int sketch_train(struct quantizer **out, const struct index_env *env,
                        const struct quantizer_options *options, const float *rows, size_t n)
{
    size_t dims = options->sketch_dims == 1 ? 2 : options->sketch_dims, sampled;
    const bool sq8 = options->kind == QUANTIZER_SQ8 || dims >= env->dim;
    *out = NULL;
    if (!sq8 && dims == 0 && sketch_most_dims(env->dim) == 0)
        return OK;
    size_t axes_n = sq8 ? 0 : (dims ? dims : sketch_most_dims(env->dim)) - 1;
    struct sketch *s = NULL;
    float *copy, *mean = NULL, *axes = NULL;
    const float *sample = take_sample(env, options->seed, rows, n, &copy, &sampled);
    if (sample) {
        mean = mem_array(env->mem, env->dim, sizeof *mean);
        axes = sq8 ? NULL : mem_array(env->mem, env->dim * axes_n, sizeof *axes);
    }
    int rc = OK;
    if (!mean || (!axes && !sq8))
        rc = fail(env->error, ERR_NO_MEMORY, "sketch: out of memory");
    if (rc == OK && sq8)
        axes_mean(sample, sampled, env->dim, mean);
    else if (rc == OK)
        rc = axes_find(env, sample, sampled, axes_n, mean, axes, NULL);
    if (rc == OK && !sq8 && dims == 0) {
        rc = sketch_open(&s, env, mean, axes, axes_n);
        if (rc == OK)
            rc = sketch_choose(env, s, sample, sampled, n, &dims);
        if (s)
            sketch_destroy(env, &s->base);
        s = NULL;
    }
    if (rc == OK && (sq8 || dims))
        rc = sketch_open(&s, env, mean, axes, sq8 ? 0 : dims - 1);
    if (rc == OK && s)
        rc = sketch_fit(s, env, sample, sampled);
    mem_free(env->mem, copy);
    mem_free(env->mem, mean);
    mem_free(env->mem, axes);
    if (rc && s)
        sketch_destroy(env, &s->base);
    *out = rc || !s ? NULL : &s->base;
    return rc;
}

/* 4. In a file: the head, mean, axes one by one, low, step */

struct head {
    uint64_t n_axes, m;
};

static size_t saved_bytes(size_t dim, size_t n_axes, size_t m)
{
    return sizeof(struct head) + (dim * (n_axes + 1) + 2 * byte_code_width(m)) * sizeof(float);
}

static size_t sketch_save(const struct quantizer *q, void *bytes)
{
    const struct sketch *s = (const struct sketch *)q;
    size_t dim = q->dim, len, row = dim * sizeof(float);
    size_t width = byte_code_width(s->code.m) * sizeof(float);
    if (bytes) {
        unsigned char *to = bytes;
        memcpy(to, &(struct head){ s->n_axes, s->code.m }, sizeof(struct head));
        memcpy(to += sizeof(struct head), s->mean, row);
        to += row;
        for (size_t first = 0; first < dim; first += PANEL) {
            const float *from = s->axes + panel_at(s, first, &len);
            for (size_t a = 0; a < s->n_axes; a++)
                memcpy(to + a * row + first * sizeof(float), from + a * len, len * sizeof(float));
        }
        to += s->n_axes * row;
        memcpy(to, s->code.low, width);
        memcpy(to + width, s->code.step, width);
    }
    return saved_bytes(dim, s->n_axes, s->code.m);
}

static int sketch_load(struct quantizer **out, const struct index_env *env, const void *bytes,
                       size_t n)
{
    struct head head = { 0 };
    struct sketch *s = NULL;
    const unsigned char *at = (const unsigned char *)bytes + sizeof head;
    size_t dim = env->dim;
    *out = NULL;
    if (n >= sizeof head)
        memcpy(&head, bytes, sizeof head);
    if (n < sizeof head || head.n_axes >= dim || head.m != (head.n_axes ? head.n_axes + 1 : dim) ||
        n != saved_bytes(dim, head.n_axes, head.m))
        return fail(env->error, ERR_CORRUPT, "sketch: %zu bytes have the wrong size", n);
    const float *mean = (const float *)(const void *)at;
    if (!index_all_finite(mean, dim * (head.n_axes + 1)) ||
        (head.n_axes && axes_defect(mean + dim, head.n_axes, dim) > 0.01))
        return fail(env->error, ERR_CORRUPT, "sketch: its axes are invalid");
    int rc = sketch_open(&s, env, mean, mean + dim, head.n_axes);
    if (rc)
        return rc;
    size_t width = byte_code_width(head.m);
    memcpy(s->code.low, mean + dim * (head.n_axes + 1), width * sizeof(float));
    memcpy(s->code.step, mean + dim * (head.n_axes + 1) + width, width * sizeof(float));
    if (!byte_code_derive(&s->code)) {
        sketch_destroy(env, &s->base);
        return fail(env->error, ERR_CORRUPT, "sketch: its box is invalid");
    }
    *out = &s->base;
    return OK;
}

const struct quantizer_ops quantizer_sketch_ops = {
    .train = sketch_train,
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
