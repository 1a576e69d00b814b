/* message.h - converts a CUDA error into a message for the caller; device memory that is freed at
   the end of its scope. */
#ifndef DRIFTLINE_MESSAGE_H
#define DRIFTLINE_MESSAGE_H

#include <cstdio>
#include <cuda_runtime.h>

struct message {
    char *why;
    size_t why_bytes;

    /* Returns 0, or -1 after writing a message: the action and CUDA's error. */
    int check(cudaError_t error, const char *doing) const
    {
        if (error == cudaSuccess)
            return 0;
        (void)cudaGetLastError(); /* clears the error, which the next launch would
                                     otherwise report */
        return say("CUDA: %s: %s", doing, cudaGetErrorString(error));
    }

    template <class... Values> int say(const char *format, Values... values) const
    {
        if (why_bytes)
            (void)snprintf(why, why_bytes, format, values...);
        return -1;
    }
};

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

    cudaError_t reserve(size_t n)
    {
        if (n <= capacity)
            return cudaSuccess;
        (void)cudaFree(data);
        data = nullptr;
        capacity = 0;
        const cudaError_t error = cudaMalloc(reinterpret_cast<void **>(&data), n * sizeof(T));
        if (error == cudaSuccess)
            capacity = n;
        return error;
    }

    cudaError_t fill(const T *host, size_t n)
    {
        const cudaError_t error = reserve(n);
        return error != cudaSuccess ? error
                                    : cudaMemcpy(data, host, n * sizeof(T), cudaMemcpyHostToDevice);
    }
};

#endif
