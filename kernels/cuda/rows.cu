/* rows.cu - rows on the device, and the candidates for their nearest: cuBLAS's product of a tile of
 * queries and a tile of rows, then the scores and the selection in one pass over the products.
 *
 *     score   L2 |x|^2 - 2 <q, x>    IP -<q, x>    COS -2 <q, x>, of unit length
 *
 * A dot product of d terms in single precision, whatever the order of its sums, is within
 * g |q||x| of the exact one, g = d u / (1 - d u), u = 2^-24; |x|^2 within g |x|^2. With the few
 * roundings beside, a score is within
 *
 *     L2  c (|q| + L)^2    IP  c |q| L    COS  4 c        c = (d + 16) 2^-23, L the longest row
 *
 * of the exact distance minus its base (truth/scan.h); c is about twice g. */
#include <algorithm>
#include <cmath>
#include <new>

#include "kernels/cuda/rows.h"
#include "kernels/cuda/select.h"
#include "kernels/cuda/session.h"

enum { NORM_THREADS = 256, NORM_WARPS = NORM_THREADS / WARP };

/* Queries and rows in a tile of scores: 256 MiB, and products large enough for cuBLAS. On a small
   device, fewer rows: a tile takes at most an eighth of its memory. */
static constexpr size_t TILE_QUERIES = 1024, TILE_ROWS = size_t{ 1 } << 16;
static constexpr size_t TILE_SHARE = 8;
/* Bytes that are copied at a time before they are widened. */
static constexpr size_t STAGE_ROWS = size_t{ 1 } << 16;

/* Up to a length of 1e17, no square, product or score overflows. */
static constexpr float LONGEST_SQ = 1e34f;

__device__ static float warp_sum(float sum)
{
    for (int by = WARP / 2; by > 0; by /= 2)
        sum += __shfl_xor_sync(WHOLE_WARP, sum, by);
    return sum;
}

/* A warp measures a row; under cosine it divides the row by its length. */
__global__ static void __launch_bounds__(NORM_THREADS)
    measure_rows(float *rows, size_t n, size_t dim, int unit, float *lengths_sq, unsigned *longest)
{
    const size_t row = static_cast<size_t>(blockIdx.x) * NORM_WARPS + threadIdx.x / WARP;
    const unsigned lane = threadIdx.x % WARP;
    if (row >= n)
        return;
    float *const x = rows + row * dim;
    float sum = 0.0f;
    for (size_t j = lane; j < dim; j += WARP)
        sum = fmaf(x[j], x[j], sum);
    sum = warp_sum(sum);
    if (unit) {
        const float by = sum > 0.0f ? 1.0f / sqrtf(sum) : 1.0f;
        for (size_t j = lane; j < dim; j += WARP)
            x[j] *= by;
    }
    if (lane == 0) {
        lengths_sq[row] = sum;
        if (longest)
            atomicMax(longest, __float_as_uint(sum)); /* in the order of floats from 0 on */
    }
}

__global__ static void __launch_bounds__(NORM_THREADS)
    widen_bytes(const uint8_t *bytes, size_t n, float *out)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * NORM_THREADS + threadIdx.x;
    if (i < n)
        out[i] = bytes[i];
}

/* The bound of a score's error. */
__device__ static float error_bound(int metric, size_t dim, float query_sq, float longest_sq)
{
    const float c = (static_cast<float>(dim) + 16.0f) * 1.1920929e-7f;
    const float q = sqrtf(query_sq), x = sqrtf(longest_sq);
    const float bound = metric == DEVICE_L2SQ ? c * (q + x) * (q + x)
                        : metric == DEVICE_IP ? c * q * x
                                              : 4.0f * c;
    return bound * 1.0001f + 1e-30f;
}

/* A block turns a query's products into scores and selects from them. */
__global__ static void __launch_bounds__(SELECT_THREADS)
    select_rows(float *products, size_t ld, size_t rows, size_t first, int metric, size_t dim,
                const float *lengths_sq, const unsigned *longest_sq, const float *query_lengths_sq,
                size_t k, unsigned groups, float *minima, float *limits, size_t capacity,
                uint32_t *found, device_candidate *out)
{
    const size_t query = blockIdx.x;
    float *const scores = products + query * ld;
    /* the same for all tiles of the query */
    if (!(query_lengths_sq[query] < LONGEST_SQ && __uint_as_float(*longest_sq) < LONGEST_SQ)) {
        if (threadIdx.x == 0)
            found[query] = UINT32_MAX;
        return;
    }
    const float bound =
        error_bound(metric, dim, query_lengths_sq[query], __uint_as_float(*longest_sq));
    for (size_t i = threadIdx.x; i < rows; i += SELECT_THREADS) {
        const float product = scores[i];
        scores[i] = (metric == DEVICE_L2SQ ? fmaf(-2.0f, product, lengths_sq[first + i])
                     : metric == DEVICE_IP ? -product
                                           : -2.0f * product) -
                    bound;
    }
    __syncthreads();
    select_scores({ scores, rows, first, k, groups, minima + query * groups, limits + query, 1.0f,
                    2.0f * bound, capacity, found + query, out + query * capacity });
}

static int rows_create(device_session *session, device_metric metric, size_t dim, device_rows **out)
{
    *out = nullptr;
    if (dim == 0 || dim > INT32_MAX)
        return session->say(DEVICE_REFUSED, "CUDA: rows of %zu components: expected 1 to 2^31 - 1",
                            dim);
    device_rows *made = new (std::nothrow) device_rows;
    if (!made)
        return session->say(DEVICE_MEMORY, "CUDA: no memory for the rows' handle");
    made->session = session;
    made->metric = metric;
    made->dim = dim;
    const unsigned none = 0;
    size_t free_bytes, bytes;
    int rc = session->check(cudaMemGetInfo(&free_bytes, &bytes), "asking for the device's memory");
    if (!rc)
        rc = session->fill(made->longest_sq, &none, 1, "room for the rows");
    if (rc) {
        delete made;
        return rc;
    }
    const size_t rows = bytes / TILE_SHARE / (TILE_QUERIES * sizeof(float));
    made->tile_rows = rows / SELECT_MAX_GROUPS * SELECT_MAX_GROUPS;
    made->tile_rows = std::min(std::max(made->tile_rows, size_t{ SELECT_MAX_GROUPS }), TILE_ROWS);
    *out = made;
    return 0;
}

static void rows_destroy(device_rows *rows)
{
    delete rows;
}

/* Makes room for rows at `first` on and checks the arguments. */
static int rows_extend(device_rows *r, size_t first, size_t n)
{
    device_session *session = r->session;
    if (first > r->n || n > UINT32_MAX - first)
        return session->say(DEVICE_REFUSED,
                            "CUDA: %zu rows at %zu: expected at most %zu before them, and fewer "
                            "than 2^32 in all",
                            n, first, r->n);
    const char *const what = "room for the rows";
    const int rc = session->extend(r->rows, r->n * r->dim, (first + n) * r->dim, what);
    return rc ? rc : session->extend(r->lengths_sq, r->n, first + n, what);
}

static int rows_measure(device_rows *r, size_t first, size_t n)
{
    launch(measure_rows, blocks_for(n, NORM_WARPS), NORM_THREADS, r->rows.data + first * r->dim, n,
           r->dim, static_cast<int>(r->metric == DEVICE_COS), r->lengths_sq.data + first,
           r->longest_sq.data);
    if (const int rc = r->session->launched("measuring the rows"))
        return rc;
    r->n = r->n > first + n ? r->n : first + n;
    return 0;
}

static int rows_put_f32(device_rows *r, size_t first, const float *rows, size_t n)
{
    int rc = rows_extend(r, first, n);
    if (rc || n == 0)
        return rc;
    rc = r->session->copy_in(r->rows.data + first * r->dim, rows, n * r->dim,
                             "copying rows to the device");
    return rc ? rc : rows_measure(r, first, n);
}

static int rows_put_u8(device_rows *r, size_t first, const uint8_t *rows, size_t n)
{
    device_session *session = r->session;
    int rc = rows_extend(r, first, n);
    for (size_t done = 0; !rc && done < n; done += STAGE_ROWS) {
        const size_t now = n - done < STAGE_ROWS ? n - done : STAGE_ROWS;
        const size_t values = now * r->dim;
        rc = session->fill(r->bytes, rows + done * r->dim, values, "copying rows to the device");
        if (rc)
            return rc;
        launch(widen_bytes, blocks_for(values, NORM_THREADS), NORM_THREADS, r->bytes.data, values,
               r->rows.data + (first + done) * r->dim);
        rc = session->launched("widening the rows");
    }
    return rc || n == 0 ? rc : rows_measure(r, first, n);
}

static int start_queries(device_rows *r, const float *queries, size_t nq, unsigned groups,
                         const float *limits, size_t capacity)
{
    device_session *session = r->session;
    const char *const room = "room for the queries";
    int rc = session->fill(r->queries, queries, nq * r->dim, "copying queries to the device");
    if (!rc)
        rc = session->reserve(r->query_lengths_sq, nq, room);
    if (!rc)
        rc = session->reserve(r->minima, nq * groups, room);
    if (!rc)
        rc = limits ? session->fill(r->limits, limits, nq, room)
                    : session->reserve(r->limits, nq, room);
    if (!rc)
        rc = session->reserve(r->found, nq, room);
    if (!rc)
        rc = session->reserve(r->candidates, nq * capacity, "room for the candidates");
    if (!rc)
        rc = session->check(cudaMemset(r->found.data, 0, nq * sizeof *r->found.data), room);
    if (rc)
        return rc;
    launch(measure_rows, blocks_for(nq, NORM_WARPS), NORM_THREADS, r->queries.data, nq, r->dim,
           static_cast<int>(r->metric == DEVICE_COS), r->query_lengths_sq.data,
           static_cast<unsigned *>(nullptr));
    launch(fill_floats, blocks_for(nq * groups, SELECT_THREADS), SELECT_THREADS, r->minima.data,
           nq * groups, INFINITY);
    if (!limits)
        launch(fill_floats, blocks_for(nq, SELECT_THREADS), SELECT_THREADS, r->limits.data, nq,
               INFINITY);
    return session->launched("preparing the queries");
}

/* One tile of rows for all queries of a tile. */
static int candidates_of_rows(device_rows *r, size_t first, size_t rows, size_t nq, size_t k,
                              unsigned groups, size_t capacity)
{
    device_session *session = r->session;
    const float one = 1.0f, zero = 0.0f;
    const int dim = static_cast<int>(r->dim);
    session->traffic.launches++;
    if (cublasSgemm(session->blas, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(rows),
                    static_cast<int>(nq), dim, &one, r->rows.data + first * r->dim, dim,
                    r->queries.data, dim, &zero, r->scores.data,
                    static_cast<int>(rows)) != CUBLAS_STATUS_SUCCESS) {
        const cudaError_t error = cudaGetLastError();
        return session->say(DEVICE_FAILED, "CUDA: cuBLAS's product of %zu queries and %zu rows: %s",
                            nq, rows,
                            error == cudaSuccess ? "it failed" : cudaGetErrorString(error));
    }
    launch(select_rows, static_cast<unsigned>(nq), SELECT_THREADS, r->scores.data, rows, rows,
           first, static_cast<int>(r->metric), r->dim, r->lengths_sq.data, r->longest_sq.data,
           r->query_lengths_sq.data, k, groups, r->minima.data, r->limits.data, capacity,
           r->found.data, r->candidates.data);
    return session->launched("selecting the nearest rows");
}

static int rows_candidates(device_rows *r, size_t n, const float *queries, size_t nq, size_t k,
                           const float *limits, size_t capacity, uint32_t *found,
                           device_candidate *out)
{
    device_session *session = r->session;
    if (n > r->n || k == 0 || k > DEVICE_MAX_K)
        return session->say(DEVICE_REFUSED,
                            "CUDA: the %zu nearest of %zu rows: expected 1 to %d nearest of at "
                            "most %zu rows",
                            k, n, static_cast<int>(DEVICE_MAX_K), r->n);
    const unsigned groups = select_groups(k);
    const size_t tile = n < r->tile_rows ? n : r->tile_rows;
    for (size_t first_query = 0; first_query < nq; first_query += TILE_QUERIES) {
        const size_t now = nq - first_query < TILE_QUERIES ? nq - first_query : TILE_QUERIES;
        int rc = session->reserve(r->scores, now * tile, "room for the scores");
        if (!rc)
            rc = start_queries(r, queries + first_query * r->dim, now, groups,
                               limits ? limits + first_query : nullptr, capacity);
        for (size_t first = 0; !rc && first < n; first += tile)
            rc = candidates_of_rows(r, first, n - first < tile ? n - first : tile, now, k, groups,
                                    capacity);
        if (!rc)
            rc = session->copy_out(found + first_query, r->found.data, now,
                                   "selecting the nearest rows");
        if (!rc)
            rc = session->copy_out(out + first_query * capacity, r->candidates.data, now * capacity,
                                   "copying the candidates back");
        if (rc)
            return rc;
    }
    return 0;
}

static size_t rows_bytes(const device_rows *r)
{
    return (r->rows.capacity + r->lengths_sq.capacity + r->queries.capacity +
            r->query_lengths_sq.capacity + r->scores.capacity + r->minima.capacity +
            r->limits.capacity) *
               sizeof(float) +
           r->bytes.capacity + r->found.capacity * sizeof(uint32_t) +
           r->candidates.capacity * sizeof(device_candidate);
}

extern "C" const device_row_ops device_row_table = { rows_create, rows_destroy,    rows_put_f32,
                                                     rows_put_u8, rows_candidates, rows_bytes };
