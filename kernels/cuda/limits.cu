/* limits.cu - the device's limits, by which the kernels are judged: reading its memory, cuBLAS's
 * product, the products of bytes on tensor cores, and copies between host and device as the sessions make them. The best of a few runs. */
#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/cuda/session.h"
#include "kernels/cuda/tensor.h"

enum { LIMIT_THREADS = 256, LIMIT_LOADS = 8, LIMIT_RUNS = 5 };

#ifdef CUDA_EMULATED
static constexpr size_t READ_BYTES = size_t{ 1 } << 20, COPY_BYTES = size_t{ 1 } << 20;
static constexpr int SGEMM_SIDE = 64;
static constexpr unsigned TENSOR_BLOCKS = 1, TENSOR_STEPS = 16;
#else
static constexpr size_t READ_BYTES = size_t{ 1 } << 31, COPY_BYTES = size_t{ 64 } << 20;
static constexpr int SGEMM_SIDE = 8192;
static constexpr unsigned TENSOR_BLOCKS = 4096, TENSOR_STEPS = 4096;
#endif
enum { TENSOR_CHAINS = 8 };             /* products that do not wait for each other */
static constexpr size_t READ_SHARE = 4; /* at most this share of the memory is read */

/* A block reads LIMIT_LOADS words of each thread; writes only what never happens. */
__global__ static void __launch_bounds__(LIMIT_THREADS)
    read_words(const ulonglong2 *words, ulonglong2 *never)
{
    const size_t first =
        static_cast<size_t>(blockIdx.x) * LIMIT_LOADS * LIMIT_THREADS + threadIdx.x;
    ulonglong2 sum = { 0, 0 };
#pragma unroll
    for (unsigned i = 0; i < LIMIT_LOADS; i++) {
        const ulonglong2 word = words[first + static_cast<size_t>(i) * LIMIT_THREADS];
        sum.x |= word.x;
        sum.y |= word.y;
    }
    if (sum.x != 0 && sum.y == 1) /* the words are zeros */
        *never = sum;
}

/* Products of what is in registers; writes only what never happens. */
__global__ static void __launch_bounds__(LIMIT_THREADS)
    multiply_bytes(unsigned steps, int32_t *never)
{
    const uint32_t a[4] = { threadIdx.x, 0, 0, 0 }, b[2] = { 0, threadIdx.x };
    int32_t sums[TENSOR_CHAINS][4] = {}, all = 0;
    for (unsigned step = 0; step < steps; step++)
#pragma unroll
        for (unsigned i = 0; i < TENSOR_CHAINS; i++)
            tensor_multiply(sums[i], a, b);
#pragma unroll
    for (unsigned i = 0; i < TENSOR_CHAINS; i++)
        all |= sums[i][0] | sums[i][1] | sums[i][2] | sums[i][3];
    if (all != 0) /* no product has two factors */
        *never = all;
}

/* The best rate of `work` per second. */
template <class Run>
static void best_rate(device_session *session, double work, double *rate, Run run)
{
    using clock = std::chrono::steady_clock;
    *rate = 0;
    for (int i = 0; i <= LIMIT_RUNS; i++) {
        const clock::time_point start = clock::now();
        run();
        session->check(cudaDeviceSynchronize(), "measuring the device's limits");
        const double seconds = std::chrono::duration<double>(clock::now() - start).count();
        if (i > 0) /* the first warms up */
            *rate = std::max(*rate, work / seconds);
    }
}

static void measure_reading(device_session *session, double *rate)
{
    size_t free_bytes, bytes;
    device_array<ulonglong2> words;
    session->check(cudaMemGetInfo(&free_bytes, &bytes), "asking for the device's memory");
    const size_t each = size_t{ LIMIT_LOADS } * LIMIT_THREADS;
    const size_t blocks = std::min(READ_BYTES, free_bytes / READ_SHARE) / sizeof(ulonglong2) / each;
    const size_t read = blocks * each * sizeof(ulonglong2);
    session->reserve(words, blocks * each, "room for measuring");
    session->check(cudaMemset(words.data, 0, read), "room for measuring");
    best_rate(session, static_cast<double>(read), rate, [&] {
        session->launch("reading the device's memory", read_words, static_cast<unsigned>(blocks),
                        LIMIT_THREADS, words.data, words.data);
    });
}

static void measure_sgemm(device_session *session, double *rate)
{
    const size_t side = SGEMM_SIDE;
    const float one = 1.0f, zero = 0.0f;
    device_array<float> a, c;
    session->reserve(a, side * side, "room for measuring");
    session->reserve(c, side * side, "room for measuring");
    session->check(cudaMemset(a.data, 0, side * side * sizeof(float)), "room for measuring");
    const double flops =
        2.0 * static_cast<double>(side) * static_cast<double>(side) * static_cast<double>(side);
    best_rate(session, flops, rate, [&] {
        session->traffic.launches++;
        if (cublasSgemm(session->blas, CUBLAS_OP_T, CUBLAS_OP_N, SGEMM_SIDE, SGEMM_SIDE, SGEMM_SIDE,
                        &one, a.data, SGEMM_SIDE, a.data, SGEMM_SIDE, &zero, c.data,
                        SGEMM_SIDE) != CUBLAS_STATUS_SUCCESS)
            session->fail(DEVICE_FAILED, "CUDA: cuBLAS's product failed");
    });
}

static void measure_tensor_cores(device_session *session, double *rate)
{
    device_array<int32_t> never;
    session->reserve(never, 1, "room for measuring");
    const double products = 16.0 * 8 * 32 * int{ TENSOR_CHAINS } * TENSOR_STEPS;
    best_rate(session, 2 * products * TENSOR_BLOCKS * int{ LIMIT_THREADS / WARP }, rate, [&] {
        session->launch("multiplying on tensor cores", multiply_bytes, TENSOR_BLOCKS, LIMIT_THREADS,
                        TENSOR_STEPS, never.data);
    });
}

static void measure_copies(device_session *session, device_limits *out)
{
    std::vector<unsigned char> host(COPY_BYTES);
    device_array<unsigned char> device;
    session->reserve(device, COPY_BYTES, "room for measuring");
    best_rate(session, static_cast<double>(COPY_BYTES), &out->to_device_bytes_per_s, [&] {
        session->copy_in(device.data, host.data(), COPY_BYTES, "copying to the device");
    });
    best_rate(session, static_cast<double>(COPY_BYTES), &out->from_device_bytes_per_s, [&] {
        session->copy_out(host.data(), device.data, COPY_BYTES, "copying from the device");
    });
}

static void measure_limits(device_session *session, device_limits *out)
{
    *out = device_limits();
    measure_reading(session, &out->read_bytes_per_s);
    measure_sgemm(session, &out->sgemm_flops_per_s);
    measure_tensor_cores(session, &out->int8_ops_per_s);
    measure_copies(session, out);
}

extern "C" int device_measure_limits(device_session *session, device_limits *out)
{
    return in_table<measure_limits>(session, out);
}
