/* train.cu - the steps of training a butterfly: a batch of rows through it, and the gradient back to its
 * angles. The loss between the two is the processor's.
 *
 * A block has 16 rows side by side, as the processor's code has them
 * (algorithms/asteria/rotation/bor.c). Products and sums are rounded one by one, in the order of that
 * code, so outputs and gradients are the processor's, bit for bit. The rows of a batch are in device
 * memory, which is a cache's for batches as small as these. */
#include "kernels/cuda/session.h"

enum { TRAIN_THREADS = 256, LANES = DEVICE_TRAIN_LANES };

struct device_trainer {
    device_session *session;
    device_training shape;
    size_t angles; /* of all stages */
    device_array<float> rows, mean, cosines, sines, signs;
    /* of a step */
    device_array<uint32_t> batch;
    device_array<float> x, gradient, pull, heads, outputs_gradient;
    device_array<float> energies, products; /* of each block: x size, x angles */
    device_array<double> sums;              /* the larger of size and angles */
};

/* What the kernels read and write. */
struct train_step {
    const float *rows, *mean, *cosines, *sines, *signs;
    const uint32_t *batch;
    float *x, *gradient;
    unsigned dim, size, passes, stages, m;
    size_t angles;
};

/* Multiplies component i of all lanes by the signs of a pass. */
__device__ static void sign_lanes(float *x, const float *signs, unsigned size)
{
    for (unsigned i = threadIdx.x; i < size * LANES; i += TRAIN_THREADS)
        x[i] = __fmul_rn(x[i], signs[i / LANES]);
    __syncthreads();
}

/* The angles of a stage, and the distance of its pairs. */
struct train_stage {
    size_t angles;
    unsigned bit;

    __device__ unsigned lower(unsigned j) const
    {
        const unsigned below = (1u << bit) - 1;
        return (j & below) | (j & ~below) << 1;
    }
};

__device__ static train_stage stage_of(const train_step &s, unsigned pass, unsigned stage)
{
    return { static_cast<size_t>(pass * s.stages + stage) * (s.size / 2),
             pass % 2 ? s.stages - 1 - stage : stage };
}

__device__ static void rotate_lanes(float *x, const train_step &s, train_stage stage)
{
    for (unsigned i = threadIdx.x; i < s.size / 2 * LANES; i += TRAIN_THREADS) {
        const unsigned j = i / LANES, low = stage.lower(j) * LANES + i % LANES;
        const unsigned high = low + (LANES << stage.bit);
        const float c = s.cosines[stage.angles + j], d = s.sines[stage.angles + j];
        const float a = x[low], b = x[high];
        x[low] = __fadd_rn(__fmul_rn(c, a), __fmul_rn(d, b));
        x[high] = __fadd_rn(__fmul_rn(c, b), -__fmul_rn(d, a));
    }
    __syncthreads();
}

/* A block of threads for each 16 rows: their outputs, the first m of these for the loss, and the sums of
   squares. */
__global__ static void __launch_bounds__(TRAIN_THREADS)
    train_forward(train_step s, float *heads, float *energies)
{
    const size_t block = blockIdx.x;
    float *const x = s.x + block * s.size * LANES;
    for (unsigned i = threadIdx.x; i < s.size * LANES; i += TRAIN_THREADS) {
        const unsigned component = i / LANES;
        float value = 0.0f;
        if (component < s.dim) {
            value = s.rows[s.batch[block * LANES + i % LANES] * size_t{ s.dim } + component];
            if (s.mean)
                value = __fadd_rn(value, -s.mean[component]);
        }
        x[i] = value;
    }
    __syncthreads();
    for (unsigned pass = 0; pass < s.passes; pass++) {
        sign_lanes(x, s.signs + pass * s.size, s.size);
        for (unsigned stage = 0; stage < s.stages; stage++)
            rotate_lanes(x, s, stage_of(s, pass, stage));
    }
    for (unsigned i = threadIdx.x; i < s.m * LANES; i += TRAIN_THREADS)
        heads[block * s.m * LANES + i] = x[i];
    for (unsigned i = threadIdx.x; i < s.size; i += TRAIN_THREADS) {
        float sum = 0.0f;
        for (unsigned r = 0; r < LANES; r++)
            sum = __fadd_rn(sum, __fmul_rn(x[i * LANES + r], x[i * LANES + r]));
        energies[block * s.size + i] = sum;
    }
}

/* One stage backwards. All threads of a warp add up together, also where there are fewer pairs. */
__device__ static void rotate_back(float *x, float *g, const train_step &s, train_stage stage,
                                   float *products)
{
    const unsigned all = s.size / 2 * LANES;
    for (unsigned first = 0; first < all; first += TRAIN_THREADS) {
        const unsigned i = first + threadIdx.x, j = i / LANES;
        float product = 0.0f;
        if (i < all) {
            const unsigned low = stage.lower(j) * LANES + i % LANES;
            const unsigned high = low + (LANES << stage.bit);
            const float c = s.cosines[stage.angles + j], d = s.sines[stage.angles + j];
            const float a = x[low], b = x[high], ga = g[low], gb = g[high];
            product = __fadd_rn(__fmul_rn(ga, b), -__fmul_rn(gb, a));
            x[low] = __fadd_rn(__fmul_rn(c, a), -__fmul_rn(d, b));
            x[high] = __fadd_rn(__fmul_rn(d, a), __fmul_rn(c, b));
            g[low] = __fadd_rn(__fmul_rn(c, ga), -__fmul_rn(d, gb));
            g[high] = __fadd_rn(__fmul_rn(d, ga), __fmul_rn(c, gb));
        }
        for (int by = LANES / 2; by > 0; by /= 2) /* the tree of sum_lanes() */
            product = __fadd_rn(product, __shfl_xor_sync(WHOLE_WARP, product, by));
        if (i < all && i % LANES == 0)
            products[stage.angles + j] = product;
    }
    __syncthreads();
}

__global__ static void __launch_bounds__(TRAIN_THREADS)
    train_backward(train_step s, const float *pull, const float *outputs_gradient, float *products)
{
    const size_t block = blockIdx.x;
    float *const x = s.x + block * s.size * LANES, *const g = s.gradient + block * s.size * LANES;
    for (unsigned i = threadIdx.x; i < s.size * LANES; i += TRAIN_THREADS) {
        const unsigned component = i / LANES;
        float value = __fmul_rn(pull[component], x[i]);
        if (component < s.m)
            value =
                __fadd_rn(value, outputs_gradient[(block * LANES + i % LANES) * s.m + component]);
        g[i] = value;
    }
    __syncthreads();
    for (unsigned pass = s.passes; pass-- > 0;) {
        for (unsigned stage = s.stages; stage-- > 0;)
            rotate_back(x, g, s, stage_of(s, pass, stage), products + block * s.angles);
        sign_lanes(x, s.signs + pass * s.size, s.size);
        sign_lanes(g, s.signs + pass * s.size, s.size);
    }
}

/* sums[i]: what the blocks have for i, added up in double precision in the order of the processor:
   within chunks of blocks, then over the chunks. */
__global__ static void __launch_bounds__(TRAIN_THREADS)
    add_blocks(const float *values, size_t each, size_t blocks, size_t chunk, double *sums)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * TRAIN_THREADS + threadIdx.x;
    double total = 0.0;
    if (i >= each)
        return;
    for (size_t first = 0; first < blocks; first += chunk) {
        double sum = 0.0;
        for (size_t b = first; b < blocks && b < first + chunk; b++)
            sum += static_cast<double>(values[b * each + i]);
        total = first == 0 ? sum : total + sum;
    }
    sums[i] = total;
}

static void allocate(device_trainer *t, const device_training *shape)
{
    device_session *session = t->session;
    const device_butterfly &b = shape->butterfly;
    const char *const what = "copying rows to train on", *const room = "room for training";
    const size_t blocks = shape->batch / LANES;
    session->fill(t->rows, shape->rows, shape->n * b.dim, what);
    if (shape->mean)
        session->fill(t->mean, shape->mean, b.dim, what);
    session->fill(t->signs, b.signs, b.passes * b.size, what);
    session->reserve(t->x, shape->batch * b.size, room);
    session->reserve(t->gradient, shape->batch * b.size, room);
    session->reserve(t->heads, shape->batch * shape->m, room);
    session->reserve(t->energies, blocks * b.size, room);
    session->reserve(t->products, blocks * t->angles, room);
    session->reserve(t->sums, t->angles > b.size ? t->angles : b.size, room);
}

static void trainer_create(device_session *session, const device_training *shape,
                           device_trainer **out)
{
    const device_butterfly &b = shape->butterfly;
    auto made = make_in(session, out);
    if (b.dim == 0 || b.dim > b.size || b.size != size_t{ 1 } << b.stages || b.stages == 0 ||
        b.size > DEVICE_MAX_OUTPUTS || b.passes == 0 || shape->batch == 0 ||
        shape->batch % LANES != 0 || shape->m == 0 || shape->m > b.size || shape->chunk == 0 ||
        shape->n == 0)
        session->fail(DEVICE_REFUSED,
                      "CUDA: training a butterfly of %zu inputs and %zu outputs on batches of "
                      "%zu rows: expected 2 to %d outputs, a power of two, and a multiple of "
                      "%d rows",
                      b.dim, b.size, shape->batch, static_cast<int>(DEVICE_MAX_OUTPUTS),
                      static_cast<int>(LANES));
    made->shape = *shape;
    made->angles = b.passes * b.stages * (b.size / 2);
    allocate(made.get(), shape);
    *out = made.release();
}

static train_step step_of(const device_trainer *t)
{
    const device_butterfly &b = t->shape.butterfly;
    return { t->rows.data,
             t->shape.mean ? t->mean.data : nullptr,
             t->cosines.data,
             t->sines.data,
             t->signs.data,
             t->batch.data,
             t->x.data,
             t->gradient.data,
             static_cast<unsigned>(b.dim),
             static_cast<unsigned>(b.size),
             static_cast<unsigned>(b.passes),
             static_cast<unsigned>(b.stages),
             static_cast<unsigned>(t->shape.m),
             t->angles };
}

static void add_up(device_trainer *t, const float *values, size_t each, double *sums)
{
    t->session->launch("adding up blocks", add_blocks, blocks_for(each, TRAIN_THREADS),
                       TRAIN_THREADS, values, each, t->shape.batch / LANES, t->shape.chunk,
                       t->sums.data);
    t->session->copy_out(sums, t->sums.data, each, "training a rotation");
}

static void trainer_forward(device_trainer *t, const float *cosines, const float *sines,
                            const uint32_t *batch, float *heads, double *energies)
{
    device_session *session = t->session;
    const char *const what = "copying a batch to train on";
    const unsigned blocks = static_cast<unsigned>(t->shape.batch / LANES);
    for (size_t i = 0; i < t->shape.batch; i++)
        if (batch[i] >= t->shape.n)
            session->fail(DEVICE_REFUSED, "CUDA: row %u of %zu", batch[i], t->shape.n);
    session->fill(t->cosines, cosines, t->angles, what);
    session->fill(t->sines, sines, t->angles, what);
    session->fill(t->batch, batch, t->shape.batch, what);
    session->launch("rotating a batch", train_forward, blocks, TRAIN_THREADS, step_of(t),
                    t->heads.data, t->energies.data);
    add_up(t, t->energies.data, t->shape.butterfly.size, energies);
    session->copy_out(heads, t->heads.data, t->shape.batch * t->shape.m, "training a rotation");
}

static void trainer_backward(device_trainer *t, const float *gradient, const float *pull,
                             double *d_angles)
{
    device_session *session = t->session;
    const char *const what = "copying a gradient to the device";
    const unsigned blocks = static_cast<unsigned>(t->shape.batch / LANES);
    session->fill(t->outputs_gradient, gradient, t->shape.batch * t->shape.m, what);
    session->fill(t->pull, pull, t->shape.butterfly.size, what);
    session->launch("taking a gradient", train_backward, blocks, TRAIN_THREADS, step_of(t),
                    t->pull.data, t->outputs_gradient.data, t->products.data);
    add_up(t, t->products.data, t->angles, d_angles);
}

extern "C" const device_trainer_ops device_trainer_table = { in_table<trainer_create>, destroy,
                                                             in_table<trainer_forward>,
                                                             in_table<trainer_backward> };
