/* limits.cu - the device's limits, by which the kernels are judged: reading its memory, cuBLAS's
 * product, the products of bytes on tensor cores, and copies between host and device as the sessions make them. The best of a few runs. */
#include <algorithm>
#include <chrono>
#include <new>
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

/* The best rate of `work` per second; run() returns an error of the session. */
template <class Run>
static int best_rate(device_session *session, double work, double *rate, Run run)
{
    using clock = std::chrono::steady_clock;
    *rate = 0;
    for (int i = 0; i <= LIMIT_RUNS; i++) {
        const clock::time_point start = clock::now();
        int rc = run();
        if (!rc)
            rc = session->check(cudaDeviceSynchronize(), "measuring the device's limits");
        if (rc)
            return rc;
        const double seconds = std::chrono::duration<double>(clock::now() - start).count();
        if (i > 0) /* the first warms up */
            *rate = std::max(*rate, work / seconds);
    }
    return 0;
}

static int measure_reading(device_session *session, double *rate)
{
    size_t free_bytes, bytes;
    device_array<ulonglong2> words;
    if (const int rc =
            session->check(cudaMemGetInfo(&free_bytes, &bytes), "asking for the device's memory"))
        return rc;
    const size_t each = size_t{ LIMIT_LOADS } * LIMIT_THREADS;
    const size_t blocks = std::min(READ_BYTES, free_bytes / READ_SHARE) / sizeof(ulonglong2) / each;
    const size_t read = blocks * each * sizeof(ulonglong2);
    int rc = session->reserve(words, blocks * each, "room for measuring");
    if (!rc)
        rc = session->check(cudaMemset(words.data, 0, read), "room for measuring");
    if (rc)
        return rc;
    return best_rate(session, static_cast<double>(read), rate, [&] {
        launch(read_words, static_cast<unsigned>(blocks), LIMIT_THREADS, words.data, words.data);
        return session->launched("reading the device's memory");
    });
}

static int measure_sgemm(device_session *session, double *rate)
{
    const size_t side = SGEMM_SIDE;
    const float one = 1.0f, zero = 0.0f;
    device_array<float> a, c;
    int rc = session->reserve(a, side * side, "room for measuring");
    if (!rc)
        rc = session->reserve(c, side * side, "room for measuring");
    if (!rc)
        rc = session->check(cudaMemset(a.data, 0, side * side * sizeof(float)),
                            "room for measuring");
    if (rc)
        return rc;
    const double flops =
        2.0 * static_cast<double>(side) * static_cast<double>(side) * static_cast<double>(side);
    return best_rate(session, flops, rate, [&] {
        session->traffic.launches++;
        return cublasSgemm(session->blas, CUBLAS_OP_T, CUBLAS_OP_N, SGEMM_SIDE, SGEMM_SIDE,
                           SGEMM_SIDE, &one, a.data, SGEMM_SIDE, a.data, SGEMM_SIDE, &zero, c.data,
                           SGEMM_SIDE) == CUBLAS_STATUS_SUCCESS
                   ? 0
                   : session->say(DEVICE_FAILED, "CUDA: cuBLAS's product failed");
    });
}

static int measure_tensor_cores(device_session *session, double *rate)
{
    device_array<int32_t> never;
    if (const int rc = session->reserve(never, 1, "room for measuring"))
        return rc;
    const double products = 16.0 * 8 * 32 * int{ TENSOR_CHAINS } * TENSOR_STEPS;
    return best_rate(
        session, 2 * products * TENSOR_BLOCKS * int{ LIMIT_THREADS / WARP }, rate, [&] {
            launch(multiply_bytes, TENSOR_BLOCKS, LIMIT_THREADS, TENSOR_STEPS, never.data);
            return session->launched("multiplying on tensor cores");
        });
}

static int measure_copies(device_session *session, std::vector<unsigned char> &host,
                          device_limits *out)
{
    device_array<unsigned char> device;
    int rc = session->reserve(device, COPY_BYTES, "room for measuring");
    if (!rc)
        rc = best_rate(session, static_cast<double>(COPY_BYTES), &out->to_device_bytes_per_s, [&] {
            return session->copy_in(device.data, host.data(), COPY_BYTES, "copying to the device");
        });
    if (!rc)
        rc =
            best_rate(session, static_cast<double>(COPY_BYTES), &out->from_device_bytes_per_s, [&] {
                return session->copy_out(host.data(), device.data, COPY_BYTES,
                                         "copying from the device");
            });
    return rc;
}

extern "C" int device_measure_limits(device_session *session, device_limits *out)
{
    *out = device_limits();
    int rc = measure_reading(session, &out->read_bytes_per_s);
    if (!rc)
        rc = measure_sgemm(session, &out->sgemm_flops_per_s);
    if (!rc)
        rc = measure_tensor_cores(session, &out->int8_ops_per_s);
    if (rc)
        return rc;
    try {
        std::vector<unsigned char> host(COPY_BYTES);
        return measure_copies(session, host, out);
    } catch (const std::bad_alloc &) {
        return session->say(DEVICE_MEMORY, "CUDA: no memory of the host for measuring");
    }
}
