/* session.h - a session: the last error, the bytes transferred, cuBLAS; and device memory that is
   freed at the end of its scope. */
#ifndef DRIFTLINE_SESSION_H
#define DRIFTLINE_SESSION_H

#include <cstdarg>
#include <cstdio>

#include "kernels/cuda/device.h"
#include "kernels/cuda/runtime.h"

/* Device memory for an array; grows, never shrinks. */
template <class T> struct device_array {
    T *data = nullptr;
    size_t capacity = 0;

    device_array() = default;
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;
    ~device_array()
    {
        (void)cudaFree(data);
    }
};

struct device_session {
    char text[512] = "";
    device_traffic traffic = {};
    cublasHandle_t blas = nullptr;

    device_session() = default;
    device_session(const device_session &) = delete;
    device_session &operator=(const device_session &) = delete;
    ~device_session()
    {
        if (blas)
            (void)cublasDestroy(blas);
    }

    /* Records a sentence and returns the error. */
    __attribute__((format(printf, 3, 4))) int say(device_error error, const char *format, ...)
    {
        va_list values;
        va_start(values, format);
        (void)vsnprintf(text, sizeof text, format, values);
        va_end(values);
        return error;
    }

    /* Returns 0, or an error with a sentence: the action and CUDA's error. */
    int check(cudaError_t error, const char *doing)
    {
        if (error == cudaSuccess)
            return 0;
        (void)cudaGetLastError(); /* clears the error, which the next launch would
                                     otherwise report */
        return say(error == cudaErrorMemoryAllocation ? DEVICE_MEMORY : DEVICE_FAILED,
                   "CUDA: %s: %s", doing, cudaGetErrorString(error));
    }

    /* After a launch. */
    int launched(const char *doing)
    {
        traffic.launches++;
        return check(cudaGetLastError(), doing);
    }

    /* Makes room for n; what the array has is lost where it grows. */
    template <class T> int reserve(device_array<T> &array, size_t n, const char *what)
    {
        if (n <= array.capacity)
            return 0;
        (void)cudaFree(array.data);
        array.data = nullptr;
        array.capacity = 0;
        const cudaError_t error = cudaMalloc(reinterpret_cast<void **>(&array.data), n * sizeof(T));
        if (error == cudaSuccess)
            array.capacity = n;
        return check(error, what);
    }

    /* Makes room for n, of which the first `keep` stay; half as much again where it grows. */
    template <class T> int extend(device_array<T> &array, size_t keep, size_t n, const char *what)
    {
        if (n <= array.capacity)
            return 0;
        if (keep == 0)
            return reserve(array, n, what);
        const size_t more = n > array.capacity / 2 * 3 ? n : array.capacity / 2 * 3;
        T *data = nullptr;
        if (const int rc =
                check(cudaMalloc(reinterpret_cast<void **>(&data), more * sizeof(T)), what))
            return rc;
        const cudaError_t error =
            cudaMemcpy(data, array.data, keep * sizeof(T), cudaMemcpyDeviceToDevice);
        (void)cudaFree(error == cudaSuccess ? array.data : data);
        if (error != cudaSuccess)
            return check(error, what);
        array.data = data;
        array.capacity = more;
        return 0;
    }

    template <class T> int copy_in(T *to, const T *host, size_t n, const char *what)
    {
        traffic.to_device_bytes += n * sizeof(T);
        return n == 0 ? 0
                      : check(cudaMemcpy(to, host, n * sizeof(T), cudaMemcpyHostToDevice), what);
    }

    template <class T> int fill(device_array<T> &array, const T *host, size_t n, const char *what)
    {
        const int rc = reserve(array, n, what);
        return rc ? rc : copy_in(array.data, host, n, what);
    }

    /* Waits for the kernels before it, and reports their errors. */
    template <class T> int copy_out(T *host, const T *from, size_t n, const char *what)
    {
        traffic.from_device_bytes += n * sizeof(T);
        return n == 0 ? 0
                      : check(cudaMemcpy(host, from, n * sizeof(T), cudaMemcpyDeviceToHost), what);
    }
};

/* The tables and functions of the other files. */
extern "C" {
int device_measure_limits(device_session *, device_limits *);
extern const device_centroid_ops device_centroid_table;
extern const device_row_ops device_row_table;
extern const device_list_ops device_list_table;
extern const device_code_ops device_code_table;
extern const device_encoder_ops device_encoder_table;
extern const device_bound_ops device_bound_table;
extern const device_rabitq_ops device_rabitq_table;
extern const device_trainer_ops device_trainer_table;
}

#endif
