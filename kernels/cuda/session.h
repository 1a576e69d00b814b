/* session.h - a session: the last error, the bytes transferred, cuBLAS; and device memory that is
   freed at the end of its scope. */
#ifndef DRIFTLINE_SESSION_H
#define DRIFTLINE_SESSION_H

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <new>
#include <utility>

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

    /* Records a sentence and throws the error. */
    [[noreturn]] __attribute__((format(printf, 3, 4))) void fail(device_error error,
                                                                 const char *format, ...)
    {
        va_list values;
        va_start(values, format);
        (void)vsnprintf(text, sizeof text, format, values);
        va_end(values);
        throw error;
    }

    /* Throws an error with a sentence: the action and CUDA's error. */
    void check(cudaError_t error, const char *doing)
    {
        if (error == cudaSuccess)
            return;
        (void)cudaGetLastError(); /* clears the error, which the next launch would
                                     otherwise report */
        fail(error == cudaErrorMemoryAllocation ? DEVICE_MEMORY : DEVICE_FAILED, "CUDA: %s: %s",
             doing, cudaGetErrorString(error));
    }

    template <class Kernel, class... Arguments>
    void launch(const char *doing, Kernel kernel, dim3 grid, dim3 block, Arguments... arguments)
    {
        ::launch(kernel, grid, block, arguments...);
        traffic.launches++;
        check(cudaGetLastError(), doing);
    }

    /* Makes room for n; what the array has is lost where it grows. */
    template <class T> void reserve(device_array<T> &array, size_t n, const char *what)
    {
        if (n <= array.capacity)
            return;
        (void)cudaFree(array.data);
        array.data = nullptr;
        array.capacity = 0;
        check(cudaMalloc(reinterpret_cast<void **>(&array.data), n * sizeof(T)), what);
        array.capacity = n;
    }

    /* Makes room for n, of which the first `keep` stay; half as much again where it grows. */
    template <class T> void extend(device_array<T> &array, size_t keep, size_t n, const char *what)
    {
        if (n <= array.capacity || keep == 0)
            return reserve(array, n, what);
        device_array<T> more;
        reserve(more, n > array.capacity / 2 * 3 ? n : array.capacity / 2 * 3, what);
        check(cudaMemcpy(more.data, array.data, keep * sizeof(T), cudaMemcpyDeviceToDevice), what);
        std::swap(array.data, more.data);
        std::swap(array.capacity, more.capacity);
    }

    template <class T> void copy_in(T *to, const T *host, size_t n, const char *what)
    {
        traffic.to_device_bytes += n * sizeof(T);
        if (n > 0)
            check(cudaMemcpy(to, host, n * sizeof(T), cudaMemcpyHostToDevice), what);
    }

    template <class T> void fill(device_array<T> &array, const T *host, size_t n, const char *what)
    {
        reserve(array, n, what);
        copy_in(array.data, host, n, what);
    }

    /* Waits for the kernels before it, and reports their errors. */
    template <class T> void copy_out(T *host, const T *from, size_t n, const char *what)
    {
        traffic.from_device_bytes += n * sizeof(T);
        if (n > 0)
            check(cudaMemcpy(host, from, n * sizeof(T), cudaMemcpyDeviceToHost), what);
    }
};

/* What a create() returns in *out, once it is complete; until then NULL. */
template <class T> std::unique_ptr<T> make_in(device_session *session, T **out)
{
    *out = nullptr;
    auto made = std::make_unique<T>();
    made->session = session;
    return made;
}

inline device_session *session_of(device_session *session)
{
    return session;
}

template <class T> device_session *session_of(T *made)
{
    return made->session;
}

/* A function of a table: it does something with a session, or with what was made in one, and
   returns the error that is thrown. */
template <auto Do> struct device_function;
template <class T, class... Rest, void (*Do)(T *, Rest...)> struct device_function<Do> {
    static int call(T *with, Rest... rest)
    {
        try {
            Do(with, rest...);
            return 0;
        } catch (device_error error) {
            return error;
        } catch (const std::bad_alloc &) {
            (void)snprintf(session_of(with)->text, sizeof device_session::text,
                           "CUDA: no memory of the host");
            return DEVICE_MEMORY;
        }
    }
};

template <auto Do> constexpr auto in_table = device_function<Do>::call;

template <class T> void destroy(T *made)
{
    delete made;
}

template <class... T> size_t bytes_of(const device_array<T> &...arrays)
{
    return (0 + ... + (arrays.capacity * sizeof(T)));
}

/* Copies n codes of `each` numbers, and the rows' terms, to the positions from `first` on. */
template <class Codes, class Code, class Row>
void put_codes(Codes &to, size_t each, size_t first, const Code *codes, const Row *rows, size_t n)
{
    device_session *session = to.session;
    const char *const room = "room for codes", *const what = "copying codes to the device";
    if (first > to.n || first + n >= UINT32_MAX)
        session->fail(DEVICE_REFUSED, "CUDA: %zu codes from %zu on, of %zu", n, first, to.n);
    session->extend(to.codes, to.n * each, (first + n) * each, room);
    session->extend(to.rows, to.n, first + n, room);
    session->copy_in(to.codes.data + first * each, codes, n * each, what);
    session->copy_in(to.rows.data + first, rows, n, what);
    to.n = to.n > first + n ? to.n : first + n;
}

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
