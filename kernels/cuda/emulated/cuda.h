/* cuda.h - the part of CUDA and cuBLAS that the kernels use, on the processor: for tests without a
 * device.
 *
 * A grid runs block after block. The threads of a block are fibers of one thread of the process,
 * which change at barriers and warp functions alone; in which order they run is drawn anew at each
 * barrier, so that a missing one shows. Shared memory is a static array, which the address
 * sanitizer and -fsanitize=bounds watch; device memory is the heap's, filled with NaN. What this
 * cannot show: races of blocks and of warps within a phase, alignment, occupancy, the driver, and
 * speed.
 *
 *   1 errors and memory   2 threads   3 warps   4 arithmetic   5 cuBLAS   6 faults for tests
 *
 * One launch at a time in a process: a lock is held. Names are CUDA's. */
#ifndef DRIFTLINE_EMULATED_CUDA_H
#define DRIFTLINE_EMULATED_CUDA_H

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "kernels/cuda/emulated/faults.h"

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

/* 1. Errors and memory */

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorDevicesUnavailable = 46,
    cudaErrorNoDevice = 100,
    cudaErrorECCUncorrectable = 214,
    cudaErrorIllegalAddress = 700,
};

enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
};

enum cudaDeviceAttr { cudaDevAttrClockRate = 13 };

static constexpr int CUDART_VERSION = 13000;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor, multiProcessorCount;
};

const char *cudaGetErrorString(cudaError_t);
cudaError_t cudaGetLastError();
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *devices);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int device);
cudaError_t cudaMalloc(void **, size_t bytes);
cudaError_t cudaFree(void *);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaMemset(void *, int byte, size_t bytes);
/* Device pointers must be within what cudaMalloc() returned. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind);
cudaError_t cudaDeviceSynchronize();

/* 2. Threads */

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned columns = 1, unsigned rows = 1, unsigned planes = 1)
        : x(columns), y(rows), z(planes)
    {
    }
};

struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

void emulated_launch(dim3 grid, dim3 block, const std::function<void()> &thread);

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, Arguments... arguments)
{
    emulated_launch(grid, block, [=] { kernel(arguments...); });
}

void __syncthreads();

template <class T> static inline T atomicAdd(T *at, T more)
{
    const T old = *at;
    *at = static_cast<T>(old + more);
    return old;
}
template <class T> static inline T atomicMax(T *at, T with)
{
    const T old = *at;
    *at = std::max(old, with);
    return old;
}
template <class T> static inline T atomicMin(T *at, T with)
{
    const T old = *at;
    *at = std::min(old, with);
    return old;
}

/* 3. Warps. All lanes of the mask must call the same function with the same mask. */

enum { EMULATED_WARP = 32, EMULATED_VALUE_BYTES = 32 };

/* Hands each lane the values of all: bytes of each, at all[lane * bytes]. */
void emulated_exchange(unsigned mask, const void *mine, size_t bytes, unsigned char *all);
unsigned emulated_lane();

template <class T> struct emulated_values {
    alignas(16) unsigned char bytes[EMULATED_WARP * sizeof(T)];
    T of(unsigned lane) const
    {
        T value;
        memcpy(&value, bytes + lane % EMULATED_WARP * sizeof value, sizeof value);
        return value;
    }
};

template <class T> static inline emulated_values<T> emulated_all(unsigned mask, T mine)
{
    static_assert(sizeof(T) <= EMULATED_VALUE_BYTES, "too large to exchange");
    emulated_values<T> all;
    emulated_exchange(mask, &mine, sizeof mine, all.bytes);
    return all;
}

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    (void)emulated_all(mask, 0);
}
template <class T> static inline T __shfl_sync(unsigned mask, T value, int lane)
{
    return emulated_all(mask, value).of(static_cast<unsigned>(lane));
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int lanes)
{
    return emulated_all(mask, value).of(emulated_lane() ^ static_cast<unsigned>(lanes));
}
unsigned __ballot_sync(unsigned mask, int predicate);
static inline int __any_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, predicate) != 0;
}

/* 4. Arithmetic */

using std::max;
using std::min;

static inline int __popc(unsigned bits)
{
    return __builtin_popcount(bits);
}
static inline int __popcll(unsigned long long bits)
{
    return __builtin_popcountll(bits);
}
static inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline float __uint_as_float(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
/* Rounded one by one: the compiler must not contract them. */
float __fmul_rn(float, float);
float __fadd_rn(float, float);

/* 5. cuBLAS */

struct emulated_blas;
typedef emulated_blas *cublasHandle_t;
enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };

cublasStatus_t cublasCreate(cublasHandle_t *);
cublasStatus_t cublasDestroy(cublasHandle_t);
enum cudaDataType_t { CUDA_R_32F = 0 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_32F_FAST_TF32 = 77 };
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1 };

/* C (m x n) = alpha * op(A) op(B) + beta * C, column by column. */
cublasStatus_t cublasSgemm(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n,
                           int k, const float *alpha, const float *a, int lda, const float *b,
                           int ldb, const float *beta, float *c, int ldc);

/* The same, of floats; with CUBLAS_COMPUTE_32F_FAST_TF32 the factors have 10 bits of mantissa. */
cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n,
                            int k, const void *alpha, const void *a, cudaDataType_t, int lda,
                            const void *b, cudaDataType_t, int ldb, const void *beta, void *c,
                            cudaDataType_t, int ldc, cublasComputeType_t, cublasGemmAlgo_t);

/* 6. Faults for tests: the symbol driftline_emulated of the library */

extern "C" {
extern struct emulated_device driftline_emulated __attribute__((visibility("default")));
}

#endif
