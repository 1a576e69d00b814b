/* assign.cu - the soft_k nearest centroids of every row, without a matrix of distances.
 *
 * A block compares 64 rows with all centroids, 64 at a time. After each tile one thread per row
 * inserts centroids that are near enough into the row's list of at most eight, which is in that
 * thread's registers or local memory. The n x k distances exist only as tiles in shared memory; n x
 * soft_k numbers are copied back. */
#include "kernels/cuda/session.h"
#include "kernels/cuda/tiles.h"

/* bytes of rows per batch; larger transfers are not faster */
static constexpr size_t BATCH_BYTES = 64 << 20;

struct device_centroids {
    device_session *session;
    device_array<float> centroids, rows, distances_sq;
    device_array<uint32_t> nearest;
    size_t k = 0, dim = 0;
};

struct near_list {
    float distance_sq[DEVICE_MAX_SOFT_K];
    uint32_t centroid[DEVICE_MAX_SOFT_K];
};

/* Whether a centroid comes before the one at the place. Centroids come in ascending order, so only a
   strictly nearer one comes before an equal one. Distances may be beyond the floats. */
__device__ static bool comes_before(float distance_sq, const near_list &list, int at)
{
    return distance_sq < list.distance_sq[at] || list.centroid[at] == UINT32_MAX;
}

__device__ static void near_insert(near_list &list, int soft_k, float distance_sq,
                                   uint32_t centroid)
{
    if (!comes_before(distance_sq, list, soft_k - 1))
        return;
    int at = soft_k - 1;
    for (; at > 0 && comes_before(distance_sq, list, at - 1); at--) {
        list.distance_sq[at] = list.distance_sq[at - 1];
        list.centroid[at] = list.centroid[at - 1];
    }
    list.distance_sq[at] = distance_sq;
    list.centroid[at] = centroid;
}

__global__ static void __launch_bounds__(TILE_THREADS)
    assign_rows(const float *rows, size_t n, const float *centroids, size_t k, size_t dim,
                int soft_k, uint32_t *nearest, float *distances_sq)
{
    __shared__ tile_rows shared;
    __shared__ float tile[TILE][TILE + 1];
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    const size_t first = static_cast<size_t>(blockIdx.x) * TILE;
    near_list list;
    for (int i = 0; i < DEVICE_MAX_SOFT_K; i++) {
        list.distance_sq[i] = INFINITY;
        list.centroid[i] = UINT32_MAX;
    }
    for (size_t c = 0; c < k; c += TILE) {
        float sum[EACH][EACH];
        tile_distances(
            [=](unsigned i) { return first + i < n ? rows + (first + i) * dim : nullptr; },
            [=](unsigned i) { return c + i < k ? centroids + (c + i) * dim : nullptr; }, dim,
            shared, sum);
        for (int i = 0; i < EACH; i++)
            for (int j = 0; j < EACH; j++)
                tile[y * EACH + i][x + j * SIDE] = sum[i][j];
        __syncthreads();
        if (threadIdx.x < TILE && first + threadIdx.x < n)
            for (size_t j = 0; j < TILE && c + j < k; j++)
                near_insert(list, soft_k, tile[threadIdx.x][j], static_cast<uint32_t>(c + j));
        __syncthreads();
    }
    if (threadIdx.x >= TILE || first + threadIdx.x >= n)
        return;
    for (int i = 0; i < soft_k; i++) {
        const size_t to = (first + threadIdx.x) * soft_k + i;
        nearest[to] = list.centroid[i];
        if (distances_sq)
            distances_sq[to] = list.distance_sq[i];
    }
}

static void centroids_create(device_session *session, const float *centroids, size_t k, size_t dim,
                             device_centroids **out)
{
    auto made = make_in(session, out);
    if (k == 0 || dim == 0 || k >= UINT32_MAX)
        session->fail(DEVICE_REFUSED,
                      "CUDA: %zu centroids of %zu components: expected at least one of each", k,
                      dim);
    made->k = k;
    made->dim = dim;
    session->fill(made->centroids, centroids, k * dim, "copying the centroids to the device");
    *out = made.release();
}

static void assign_batch(device_centroids *to, const float *rows, size_t n, size_t soft_k,
                         uint32_t *nearest, float *distances_sq)
{
    device_session *session = to->session;
    session->fill(to->rows, rows, n * to->dim, "copying rows to the device");
    session->reserve(to->nearest, n * soft_k, "room for the nearest centroids");
    if (distances_sq)
        session->reserve(to->distances_sq, n * soft_k, "room for the distances");
    session->launch("starting the assignment", assign_rows, blocks_for(n, TILE), TILE_THREADS,
                    to->rows.data, n, to->centroids.data, to->k, to->dim, static_cast<int>(soft_k),
                    to->nearest.data, distances_sq ? to->distances_sq.data : nullptr);
    session->copy_out(nearest, to->nearest.data, n * soft_k, "assigning rows to centroids");
    if (distances_sq)
        session->copy_out(distances_sq, to->distances_sq.data, n * soft_k,
                          "copying the distances back");
}

static void centroids_assign(device_centroids *to, const float *rows, size_t n, size_t soft_k,
                             uint32_t *nearest, float *distances_sq)
{
    if (soft_k == 0 || soft_k > DEVICE_MAX_SOFT_K || soft_k > to->k)
        to->session->fail(DEVICE_REFUSED, "CUDA: soft_k is %zu: expected 1 to %zu", soft_k,
                          to->k < DEVICE_MAX_SOFT_K ? to->k
                                                    : static_cast<size_t>(DEVICE_MAX_SOFT_K));
    size_t batch = BATCH_BYTES / (to->dim * sizeof *rows);
    if (batch < TILE)
        batch = TILE;
    for (size_t first = 0; first < n; first += batch) {
        const size_t rows_now = n - first < batch ? n - first : batch;
        assign_batch(to, rows + first * to->dim, rows_now, soft_k, nearest + first * soft_k,
                     distances_sq ? distances_sq + first * soft_k : nullptr);
    }
}

extern "C" const device_centroid_ops device_centroid_table = { in_table<centroids_create>, destroy,
                                                               in_table<centroids_assign> };
