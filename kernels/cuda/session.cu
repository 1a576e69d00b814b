/* session.cu - sessions, and the table that the loader looks up. */
#include "kernels/cuda/session.h"

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t why_bytes,
                                                        const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (why_bytes)
        (void)vsnprintf(why, why_bytes, format, values);
    va_end(values);
    return -1;
}

static int count(int *devices, char *why, size_t why_bytes)
{
    *devices = 0;
    int driver = 0; /* 0: no driver; CUDA would report an insufficient version */
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
        return refuse(why, why_bytes, "CUDA: looking for a device: no NVIDIA driver is installed");
    const cudaError_t error = cudaGetDeviceCount(devices);
    if (error == cudaErrorInsufficientDriver)
        return refuse(why, why_bytes,
                      "CUDA: looking for a device: the NVIDIA driver is for CUDA %d.%d, these "
                      "kernels need %d.%d: install a newer driver",
                      driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                      CUDART_VERSION % 1000 / 10);
    if (error != cudaSuccess)
        return refuse(why, why_bytes, "CUDA: looking for a device: %s", cudaGetErrorString(error));
    return *devices > 0 ? 0 : refuse(why, why_bytes, "CUDA: looking for a device: there is none");
}

static int session_create(device_session **out, char *why, size_t why_bytes)
{
    *out = nullptr;
    device_session *made = new (std::nothrow) device_session;
    if (!made)
        return refuse(why, why_bytes, "CUDA: no memory for a session");
    if (cublasCreate(&made->blas) != CUBLAS_STATUS_SUCCESS) {
        const cudaError_t error = cudaGetLastError();
        delete made;
        return refuse(why, why_bytes, "CUDA: starting cuBLAS: %s",
                      error == cudaSuccess ? "it refuses" : cudaGetErrorString(error));
    }
    *out = made;
    return 0;
}

static const char *session_error(const device_session *session)
{
    return session->text;
}

static void session_traffic(const device_session *session, device_traffic *out)
{
    *out = session->traffic;
}

static void describe(device_session *session, device_description *out)
{
    int device = 0;
    cudaDeviceProp properties;
    *out = device_description();
    session->check(cudaGetDevice(&device), "asking which device is in use");
    session->check(cudaGetDeviceProperties(&properties, device),
                   "asking for the device's properties");
    (void)snprintf(out->name, sizeof out->name, "%s", properties.name);
    out->memory_bytes = properties.totalGlobalMem;
    out->major = properties.major;
    out->minor = properties.minor;
    out->multiprocessors = properties.multiProcessorCount;
    out->runtime = CUDART_VERSION;
#ifdef CUDA_EMULATED
    out->emulated = 1;
#endif
    (void)cudaDeviceGetAttribute(&out->clock_khz, cudaDevAttrClockRate, device);
    session->check(cudaDriverGetVersion(&out->driver), "asking for the driver's version");
}

extern "C" {
extern const device_ops driftline_device_ops __attribute__((visibility("default")));
const device_ops driftline_device_ops = {
    DEVICE_ABI,
    count,
    session_create,
    destroy,
    session_error,
    session_traffic,
    in_table<describe>,
    device_measure_limits,
    &device_centroid_table,
    &device_row_table,
    &device_list_table,
    &device_code_table,
    &device_encoder_table,
    &device_bound_table,
    &device_rabitq_table,
    &device_trainer_table,
};
}
