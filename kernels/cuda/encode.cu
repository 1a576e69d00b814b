/* encode.cu - rows through a butterfly of plane rotations, and the signs of their first outputs:
 * normalised, rotated and packed in one kernel, with the rows in shared memory between the stages.
 *
 * Products and sums are rounded one by one, in the order of the processor's code
 * (algorithms/asteria/rotation/bor.c), so the outputs are those of the processor, bit for bit. The
 * signs of 32 outputs are packed by a ballot of a warp. */
#include <algorithm>

#include "kernels/cuda/session.h"

enum {
    ENCODE_THREADS = 256,
    ENCODE_FLOATS = DEVICE_MAX_OUTPUTS,             /* in shared memory: 32 KiB */
    ENCODE_LEAST = ENCODE_THREADS / 4,              /* outputs of a row, at least, */
    ENCODE_ROWS = ENCODE_FLOATS / ENCODE_LEAST / 2, /* and so rows of a block, at most */
};
/* Bytes of rows and outputs at a time. */
static constexpr size_t ENCODE_BYTES = size_t{ 64 } << 20;

struct butterfly {
    const float *cosines, *sines, *signs, *shift;
    unsigned dim, size, passes, stages, bits;
};

struct device_encoder {
    device_session *session;
    butterfly shape; /* of the arrays */
    device_array<float> cosines, sines, signs, shift, rows, z;
    device_array<uint8_t> bytes;
    device_array<uint64_t> words;
    size_t n = 0; /* rows in device memory, of the last call */
    bool are_bytes = false;
};

/* Loads the block's rows, padded with zeros; bytes as unit vectors. */
__device__ static void load_rows(float *x, const float *rows, const uint8_t *bytes, size_t first,
                                 unsigned n, unsigned dim, unsigned size)
{
    __shared__ unsigned norms_sq[ENCODE_ROWS];
    if (bytes) {
        for (unsigned r = threadIdx.x; r < n; r += ENCODE_THREADS)
            norms_sq[r] = 0;
        __syncthreads();
        for (unsigned i = threadIdx.x; i < n * dim; i += ENCODE_THREADS) {
            const unsigned value = bytes[(first + i / dim) * dim + i % dim];
            atomicAdd(&norms_sq[i / dim], value * value);
        }
        __syncthreads();
    }
    for (unsigned i = threadIdx.x; i < n * size; i += ENCODE_THREADS) {
        const unsigned row = i / size, j = i % size;
        const size_t at = (first + row) * dim + j;
        float value = 0.0f;
        if (j < dim && rows)
            value = rows[at];
        if (j < dim && bytes && norms_sq[row] > 0) {
            const float scale = static_cast<float>(1.0 / sqrt(static_cast<double>(norms_sq[row])));
            value = __fmul_rn(scale, static_cast<float>(bytes[at]));
        }
        x[i] = value;
    }
    __syncthreads();
}

/* One stage: pairs at the distance 2^bit. */
__device__ static void rotate_pairs(float *x, unsigned n, unsigned size, unsigned bit,
                                    const float *cosines, const float *sines)
{
    const unsigned half = size / 2, below = (1u << bit) - 1;
    for (unsigned i = threadIdx.x; i < n * half; i += ENCODE_THREADS) {
        const unsigned j = i % half;
        const unsigned low = i / half * size + ((j & below) | (j & ~below) << 1);
        const unsigned high = low + below + 1;
        const float c = cosines[j], s = sines[j], a = x[low], b = x[high];
        x[low] = __fadd_rn(__fmul_rn(c, a), __fmul_rn(s, b));
        x[high] = __fadd_rn(__fmul_rn(c, b), -__fmul_rn(s, a));
    }
    __syncthreads();
}

/* A block encodes `each` rows; rows or bytes are NULL. */
__global__ static void __launch_bounds__(ENCODE_THREADS)
    encode_rows(butterfly b, const float *rows, const uint8_t *bytes, size_t n, unsigned each,
                float *z, uint64_t *words)
{
    __shared__ float x[ENCODE_FLOATS];
    const size_t first = static_cast<size_t>(blockIdx.x) * each;
    const unsigned mine = static_cast<unsigned>(n - first < each ? n - first : each);
    load_rows(x, rows, bytes, first, mine, b.dim, b.size);
    for (unsigned pass = 0; pass < b.passes; pass++) {
        for (unsigned i = threadIdx.x; i < mine * b.size; i += ENCODE_THREADS)
            x[i] = __fmul_rn(x[i], b.signs[pass * b.size + i % b.size]);
        __syncthreads();
        for (unsigned stage = 0; stage < b.stages; stage++) {
            const size_t at = static_cast<size_t>(pass * b.stages + stage) * (b.size / 2);
            rotate_pairs(x, mine, b.size, pass % 2 ? b.stages - 1 - stage : stage, b.cosines + at,
                         b.sines + at);
        }
    }
    for (unsigned i = threadIdx.x; i < mine * b.size; i += ENCODE_THREADS) {
        const float value = __fadd_rn(x[i], -b.shift[i % b.size]);
        x[i] = value;
        z[first * b.size + i] = value;
    }
    __syncthreads();
    for (unsigned row = threadIdx.x / WARP; row < mine; row += ENCODE_THREADS / WARP) {
        const unsigned lane = threadIdx.x % WARP;
        uint64_t word = 0;
        for (unsigned at = 0; at < b.bits; at += WARP) {
            const bool negative = at + lane < b.bits && x[row * b.size + at + lane] < 0.0f;
            word |= static_cast<uint64_t>(__ballot_sync(WHOLE_WARP, negative)) << at;
        }
        if (lane == 0 && b.bits > 0)
            words[first + row] = word;
    }
}

static bool is_possible(const device_butterfly &b)
{
    return b.dim > 0 && b.dim <= b.size && b.size <= DEVICE_MAX_OUTPUTS && b.passes > 0 &&
           b.size == size_t{ 1 } << b.stages && b.bits <= 64 && b.bits <= b.size;
}

static void encoder_create(device_session *session, const device_butterfly *b, device_encoder **out)
{
    auto made = make_in(session, out);
    if (!is_possible(*b))
        session->fail(DEVICE_REFUSED,
                      "CUDA: a butterfly of %zu inputs, %zu outputs and %zu stages: expected "
                      "1 to %d outputs, a power of two, and at most 64 bits",
                      b->dim, b->size, b->stages, static_cast<int>(DEVICE_MAX_OUTPUTS));
    const size_t angles = b->passes * b->stages * (b->size / 2);
    const char *const what = "copying a rotation to the device";
    session->fill(made->cosines, b->cosines, angles, what);
    session->fill(made->sines, b->sines, angles, what);
    session->fill(made->signs, b->signs, b->passes * b->size, what);
    session->fill(made->shift, b->shift, b->size, what);
    made->shape = { made->cosines.data,
                    made->sines.data,
                    made->signs.data,
                    made->shift.data,
                    static_cast<unsigned>(b->dim),
                    static_cast<unsigned>(b->size),
                    static_cast<unsigned>(b->passes),
                    static_cast<unsigned>(b->stages),
                    static_cast<unsigned>(b->bits) };
    *out = made.release();
}

/* Encodes the rows in device memory. */
static void encode_there(device_encoder *e)
{
    const size_t fit =
        ENCODE_FLOATS / std::max(size_t{ e->shape.size }, size_t{ ENCODE_LEAST }) / 2;
    const unsigned each = static_cast<unsigned>(std::max(fit, size_t{ 1 }));
    e->session->launch("encoding rows", encode_rows, blocks_for(e->n, each), ENCODE_THREADS,
                       e->shape, e->are_bytes ? nullptr : e->rows.data,
                       e->are_bytes ? e->bytes.data : nullptr, e->n, each, e->z.data,
                       e->words.data);
}

static void encode_some(device_encoder *e, const float *rows, const uint8_t *bytes, size_t n,
                        float *z, uint64_t *words)
{
    device_session *session = e->session;
    const char *const what = "copying rows to the device";
    e->n = 0;
    if (rows)
        session->fill(e->rows, rows, n * e->shape.dim, what);
    else
        session->fill(e->bytes, bytes, n * e->shape.dim, what);
    session->reserve(e->z, n * e->shape.size, "room for rotated rows");
    session->reserve(e->words, n, "room for words");
    e->n = n;
    e->are_bytes = bytes != nullptr;
    encode_there(e);
    session->copy_out(z, e->z.data, n * e->shape.size, "encoding rows");
    if (e->shape.bits > 0)
        session->copy_out(words, e->words.data, n, "copying words back");
}

static void encode(device_encoder *e, const float *rows, const uint8_t *bytes, size_t n, float *z,
                   uint64_t *words)
{
    const size_t most = std::max(ENCODE_BYTES / (e->shape.size * sizeof(float)), size_t{ 1 });
    for (size_t first = 0; first < n; first += most)
        encode_some(e, rows ? rows + first * e->shape.dim : nullptr,
                    bytes ? bytes + first * e->shape.dim : nullptr, std::min(most, n - first),
                    z + first * e->shape.size, words + first);
}

static void encode_f32(device_encoder *e, const float *rows, size_t n, float *z, uint64_t *words)
{
    encode(e, rows, nullptr, n, z, words);
}

static void encode_u8(device_encoder *e, const uint8_t *rows, size_t n, float *z, uint64_t *words)
{
    encode(e, nullptr, rows, n, z, words);
}

static void encode_again(device_encoder *e, size_t times, size_t *rows)
{
    *rows = e->n;
    for (size_t i = 0; i < times && e->n > 0; i++)
        encode_there(e);
    e->session->check(cudaDeviceSynchronize(), "encoding rows");
}

extern "C" const device_encoder_ops device_encoder_table = { in_table<encoder_create>, destroy,
                                                             in_table<encode_f32>,
                                                             in_table<encode_u8>,
                                                             in_table<encode_again> };
