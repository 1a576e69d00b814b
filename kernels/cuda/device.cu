/* device.cu - many-to-many distances on the device, and the table that the loader looks up. */
#include "kernels/cuda/device.h"

#include "kernels/cuda/assign.h"
#include "kernels/cuda/message.h"
#include "kernels/cuda/tiles.h"

__global__ static void __launch_bounds__(TILE_THREADS)
    l2sq_tiles(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out)
{
    __shared__ tile_rows shared;
    const size_t first_a = static_cast<size_t>(blockIdx.y) * TILE;
    const size_t first_b = static_cast<size_t>(blockIdx.x) * TILE;
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    float sum[EACH][EACH];
    tile_distances(a, first_a, na, b, first_b, nb, dim, shared, sum);
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++) {
            const size_t row = first_a + y * EACH + i, column = first_b + x + j * SIDE;
            if (row < na && column < nb)
                out[row * nb + column] = sum[i][j];
        }
}

/* A thread keeps one code of b and compares it with 64 of a, which the block shares. */
__global__ static void __launch_bounds__(TILE_THREADS)
    hamming_tiles(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out)
{
    __shared__ uint64_t shared[TILE];
    const size_t first = static_cast<size_t>(blockIdx.y) * TILE;
    const size_t column = static_cast<size_t>(blockIdx.x) * TILE_THREADS + threadIdx.x;
    if (threadIdx.x < TILE && first + threadIdx.x < na)
        shared[threadIdx.x] = a[first + threadIdx.x];
    __syncthreads();
    if (column >= nb)
        return;
    const uint64_t code = b[column];
    for (size_t i = 0; i < TILE && first + i < na; i++)
        out[(first + i) * nb + column] = static_cast<uint8_t>(__popcll(code ^ shared[i]));
}

/* A grid has at most 65535 blocks in y, so a is divided into parts. */
static constexpr size_t PART_ROWS = size_t{ 65535 } * TILE;

template <class T, class Result> struct pairs {
    device_array<T> a, b;
    device_array<Result> results;

    /* Copies b and a part of a to the device, calls `launch(rows)`, and copies the results into
       rows of ld. */
    template <class Launch>
    int run(const T *host_a, size_t na, const T *host_b, size_t nb, size_t dim, Result *out,
            size_t ld, const message &m, Launch launch)
    {
        if (na == 0 || nb == 0)
            return 0;
        if (m.check(b.fill(host_b, nb * dim), "copying the second set to the device"))
            return -1;
        for (size_t first = 0; first < na; first += PART_ROWS) {
            const size_t rows = na - first < PART_ROWS ? na - first : PART_ROWS;
            if (m.check(a.fill(host_a + first * dim, rows * dim),
                        "copying the first set to the device") ||
                m.check(results.reserve(rows * nb), "room for the distances"))
                return -1;
            launch(rows);
            if (m.check(cudaGetLastError(), "starting the distances") ||
                m.check(cudaMemcpy2D(out + first * ld, ld * sizeof(Result), results.data,
                                     nb * sizeof(Result), nb * sizeof(Result), rows,
                                     cudaMemcpyDeviceToHost),
                        "computing the distances"))
                return -1;
        }
        return 0;
    }
};

static unsigned blocks_for(size_t n, size_t each)
{
    return static_cast<unsigned>((n + each - 1) / each);
}

static int l2sq_f32_mn(const float *a, size_t na, const float *b, size_t nb, size_t dim, float *out,
                       size_t ld, char *why, size_t why_bytes)
{
    const message m = { why, why_bytes };
    pairs<float, float> p;
    return p.run(a, na, b, nb, dim, out, ld, m, [&](size_t rows) {
        const dim3 grid(blocks_for(nb, TILE), blocks_for(rows, TILE));
        l2sq_tiles<<<grid, TILE_THREADS>>>(p.a.data, rows, p.b.data, nb, dim, p.results.data);
    });
}

static int hamming_b64_mn(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                          size_t ld, char *why, size_t why_bytes)
{
    const message m = { why, why_bytes };
    pairs<uint64_t, uint8_t> p;
    return p.run(a, na, b, nb, 1, out, ld, m, [&](size_t rows) {
        const dim3 grid(blocks_for(nb, TILE_THREADS), blocks_for(rows, TILE));
        hamming_tiles<<<grid, TILE_THREADS>>>(p.a.data, rows, p.b.data, nb, p.results.data);
    });
}

static int count(int *devices, char *why, size_t why_bytes)
{
    const message m = { why, why_bytes };
    *devices = 0;
    int driver = 0; /* 0: no driver; CUDA would report an insufficient version */
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
        return m.say("CUDA: looking for a device: no NVIDIA driver is installed");
    if (m.check(cudaGetDeviceCount(devices), "looking for a device"))
        return -1;
    return *devices > 0 ? 0 : m.say("CUDA: looking for a device: there is none");
}

static int name(char *text, size_t text_bytes, char *why, size_t why_bytes)
{
    const message m = { why, why_bytes };
    int device = 0;
    cudaDeviceProp properties;
    if (m.check(cudaGetDevice(&device), "asking which device is in use") ||
        m.check(cudaGetDeviceProperties(&properties, device), "asking for the device's name"))
        return -1;
    (void)snprintf(text, text_bytes, "%s", properties.name);
    return 0;
}

extern "C" {
extern const device_ops driftline_device_ops;
const device_ops driftline_device_ops = {
    DEVICE_ABI,       count,       name,           centroids_create, centroids_destroy,
    centroids_assign, l2sq_f32_mn, hamming_b64_mn,
};
}
