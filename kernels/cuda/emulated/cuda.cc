/* cuda.cc - device memory, errors and cuBLAS on the processor; fibers.cc has the threads. */
#include "kernels/cuda/emulated/cuda.h"

#include <cstdlib>
#include <map>

struct emulated_device driftline_emulated = { size_t{ 1 } << 30, 0, 1, 13000, 0, 0, 0, 1, 0, 0, 0 };

struct emulated_blas {
    int unused;
};

static cudaError_t last_error = cudaSuccess, lost = cudaSuccess;
static std::map<const char *, size_t> allocations;

/* Remembers an error as CUDA does, until it is asked for. */
static cudaError_t report(cudaError_t error)
{
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

/* Counts a call that can fail; the one chosen by a test does. */
cudaError_t emulated_call()
{
    if (driftline_emulated.calls == 0)
        lost = cudaSuccess;
    driftline_emulated.calls++;
    if (lost == cudaSuccess && driftline_emulated.calls == driftline_emulated.fail_at) {
        const cudaError_t failure = static_cast<cudaError_t>(driftline_emulated.failure);
        if (failure != cudaErrorMemoryAllocation)
            lost = failure;
        return report(failure);
    }
    return report(lost);
}

void emulated_report(cudaError_t error)
{
    (void)report(error);
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorInvalidValue: return "invalid argument";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorInvalidConfiguration: return "invalid configuration argument";
        case cudaErrorInsufficientDriver:
            return "CUDA driver version is insufficient for CUDA runtime version";
        case cudaErrorDevicesUnavailable:
            return "CUDA-capable device(s) is/are busy or unavailable";
        case cudaErrorNoDevice: return "no CUDA-capable device is detected";
        case cudaErrorECCUncorrectable: return "uncorrectable ECC error encountered";
        case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    }
    return "unrecognized error code";
}

cudaError_t cudaGetLastError()
{
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = driftline_emulated.driver;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *devices)
{
    *devices = 0;
    if (driftline_emulated.driver < CUDART_VERSION)
        return report(cudaErrorInsufficientDriver);
    *devices = driftline_emulated.devices;
    return report(*devices ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return emulated_call();
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int)
{
    *out = cudaDeviceProp();
    strcpy(out->name, "emulated on the processor");
    out->totalGlobalMem = driftline_emulated.memory_bytes;
    out->major = 9;
    out->multiProcessorCount = 1;
    return emulated_call();
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int)
{
    *value = 0;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = nullptr;
    if (const cudaError_t error = emulated_call())
        return error;
    if (bytes > driftline_emulated.memory_bytes - driftline_emulated.used_bytes)
        return report(cudaErrorMemoryAllocation);
    char *made = static_cast<char *>(malloc(bytes ? bytes : 1));
    if (!made)
        return report(cudaErrorMemoryAllocation);
    memset(made, 0xff, bytes);
    allocations[made] = bytes;
    driftline_emulated.used_bytes += bytes;
    *out = made;
    return cudaSuccess;
}

cudaError_t cudaFree(void *data)
{
    if (!data)
        return cudaSuccess;
    const auto found = allocations.find(static_cast<const char *>(data));
    if (found == allocations.end())
        return report(cudaErrorInvalidValue);
    driftline_emulated.used_bytes -= found->second;
    allocations.erase(found);
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    *total_bytes = driftline_emulated.memory_bytes;
    *free_bytes = driftline_emulated.memory_bytes - driftline_emulated.used_bytes;
    return emulated_call();
}

static bool on_device(const void *data, size_t bytes)
{
    const char *first = static_cast<const char *>(data);
    auto next = allocations.upper_bound(first);
    if (next == allocations.begin())
        return bytes == 0;
    --next;
    return first + bytes <= next->first + next->second;
}

cudaError_t cudaMemset(void *to, int byte, size_t bytes)
{
    if (const cudaError_t error = emulated_call())
        return error;
    if (!on_device(to, bytes))
        return report(cudaErrorInvalidValue);
    if (bytes)
        memset(to, byte, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    if (const cudaError_t error = emulated_call())
        return error;
    if ((kind != cudaMemcpyDeviceToHost && !on_device(to, bytes)) ||
        (kind != cudaMemcpyHostToDevice && !on_device(from, bytes)))
        return report(cudaErrorInvalidValue);
    if (bytes)
        memmove(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize()
{
    return emulated_call();
}

float __fmul_rn(float a, float b)
{
    volatile float product = a * b;
    return product;
}

float __fadd_rn(float a, float b)
{
    volatile float sum = a + b;
    return sum;
}

cublasStatus_t cublasCreate(cublasHandle_t *out)
{
    *out = nullptr;
    if (emulated_call() != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = new emulated_blas();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

/* As tensor cores read a float for TF32: 10 bits of the mantissa, the others cut off. */
static float as_tf32(float value)
{
    return __uint_as_float(__float_as_uint(value) & ~0x1fffu);
}

cublasStatus_t cublasSgemm(cublasHandle_t, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                           int n, int k, const float *alpha, const float *a, int lda,
                           const float *b, int ldb, const float *beta, float *c, int ldc)
{
    return cublasGemmEx(nullptr, op_a, op_b, m, n, k, alpha, a, CUDA_R_32F, lda, b, CUDA_R_32F, ldb,
                        beta, c, CUDA_R_32F, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void *alpha, const void *a, cudaDataType_t, int lda,
                            const void *b, cudaDataType_t, int ldb, const void *beta, void *c,
                            cudaDataType_t, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t)
{
    if (emulated_call() != cudaSuccess)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    const bool tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const auto at = [tf32](const void *from, int ld, int row, int column) {
        const float value = static_cast<const float *>(
            from)[static_cast<size_t>(column) * static_cast<size_t>(ld) + static_cast<size_t>(row)];
        return tf32 ? as_tf32(value) : value;
    };
    const float scale = *static_cast<const float *>(alpha);
    const float keep = *static_cast<const float *>(beta);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int l = 0; l < k; l++)
                sum = fmaf(op_a == CUBLAS_OP_T ? at(a, lda, l, i) : at(a, lda, i, l),
                           op_b == CUBLAS_OP_T ? at(b, ldb, j, l) : at(b, ldb, l, j), sum);
            float *to = static_cast<float *>(c) +
                        static_cast<size_t>(j) * static_cast<size_t>(ldc) + static_cast<size_t>(i);
            *to = scale * sum + (keep == 0 ? 0 : keep * *to);
        }
    return CUBLAS_STATUS_SUCCESS;
}
