/* rows.cu - rows on the device, and the candidates for their nearest.
 *
 * cuBLAS multiplies a tile of queries and a tile of rows on tensor cores (TF32); then come scores
 * and a selection, in one pass over the products (select.h). A block per query computes the scores
 * of what was selected again, in single precision, and selects from these. A query for which the
 * first selection finds more than there is room for, because many rows are about equally near, is
 * multiplied in single precision.
 *
 *     score   L2 |x|^2 - 2 <q, x>    IP -<q, x>    COS -2 <q, x>, of unit length
 *
 * A dot product of d terms in single precision, whatever the order of its sums, is within
 * g |q||x| of the exact one, g = d u / (1 - d u), u = 2^-24; |x|^2 within g |x|^2. With the few
 * roundings beside, a score is within
 *
 *     L2  c (|q| + L)^2    IP  c |q| L    COS  4 c        c = (d + 16) 2^-23, L the longest row
 *
 * of the exact distance minus its base (truth/scan.h); c is about twice g. In TF32 a factor may lose
 * all bits of its mantissa after the tenth, so that a product of two is within 2^-9 + 2^-20, and a
 * sum may be cut off instead of rounded; that adds e |q| L to the dot product's error,
 * e = 1.01 * 2^-9 + (d + 16) 2^-21. */
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cuda/lists.h"
#include "kernels/cuda/select.h"
#include "kernels/cuda/session.h"

enum { NORM_THREADS = 256, NORM_WARPS = NORM_THREADS / WARP };

/* Queries and rows in a tile of scores: 256 MiB, and products large enough for cuBLAS. On a small
   device, fewer rows: a tile takes at most an eighth of its memory. */
static constexpr size_t TILE_QUERIES = 1024, TILE_ROWS = size_t{ 1 } << 16;
static constexpr size_t TILE_SHARE = 8;
/* Candidates of a query before they are refined: as many as are refined sooner than all rows are
   multiplied in single precision. */
static constexpr size_t ROOM_OF_K = 16, ROOM_LEAST = 1024, ROOM_OF_ROWS = 64, ROOM_MOST = 1 << 15;
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

/* A warp divides a row by its largest component, so that its squares do not underflow. */
__device__ static void scale_row(float *x, size_t dim)
{
    float largest = 0.0f;

    for (size_t j = threadIdx.x % WARP; j < dim; j += WARP)
        largest = fmaxf(largest, fabsf(x[j]));
    for (int by = WARP / 2; by > 0; by /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(WHOLE_WARP, largest, by));
    for (size_t j = threadIdx.x % WARP; j < dim && largest > 0.0f; j += WARP)
        x[j] /= largest;
}

/* A warp measures a row; under cosine it divides the row by its length, which is then of no use. */
__global__ static void __launch_bounds__(NORM_THREADS)
    measure_rows(float *rows, size_t n, size_t dim, int unit, float *lengths_sq, unsigned *longest)
{
    const size_t row = static_cast<size_t>(blockIdx.x) * NORM_WARPS + threadIdx.x / WARP;
    const unsigned lane = threadIdx.x % WARP;
    if (row >= n)
        return;
    float *const x = rows + row * dim;
    float sum = 0.0f;
    if (unit)
        scale_row(x, dim);
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

/* The bound of a score's error; coarse: of a product in TF32. */
__device__ static float error_bound(int metric, size_t dim, int coarse, float query_sq,
                                    float longest_sq)
{
    const float c = (static_cast<float>(dim) + 16.0f) * 0x1p-23f;
    const float e = coarse ? 1.01f * 0x1p-9f + 4.0f * c : 0.0f;
    const float q = sqrtf(query_sq), x = sqrtf(longest_sq);
    const float bound = metric == DEVICE_L2SQ ? c * (q + x) * (q + x) + 2.0f * e * q * x
                        : metric == DEVICE_IP ? (c + e) * q * x
                                              : 4.0f * c + 2.0f * e;
    return bound * 1.0001f + 1e-30f;
}

__device__ static float score_of(int metric, float product, float length_sq)
{
    return metric == DEVICE_L2SQ ? fmaf(-2.0f, product, length_sq)
           : metric == DEVICE_IP ? -product
                                 : -2.0f * product;
}

/* A block turns a query's products into scores and selects from them. */
__global__ static void __launch_bounds__(SELECT_THREADS)
    select_rows(const float *products, size_t ld, size_t rows, size_t first, int metric, size_t dim,
                int coarse, const float *lengths_sq, const unsigned *longest_sq,
                const float *query_lengths_sq, size_t k, unsigned groups, float *minima,
                float *limits, size_t capacity, uint32_t *found, device_candidate *out)
{
    const size_t query = blockIdx.x;
    const float *const its = products + query * ld, *const its_sq = lengths_sq + first;
    /* the same for all tiles of the query */
    if (!(query_lengths_sq[query] < LONGEST_SQ && __uint_as_float(*longest_sq) < LONGEST_SQ)) {
        if (threadIdx.x == 0)
            found[query] = UINT32_MAX;
        return;
    }
    const float bound =
        error_bound(metric, dim, coarse, query_lengths_sq[query], __uint_as_float(*longest_sq));
    select_scores({ rows, first, k, groups, minima + query * groups, limits + query, 1.0f,
                    2.0f * bound, capacity, found + query, out + query * capacity },
                  [=](size_t i) { return score_of(metric, its[i], its_sq[i]) - bound; });
}

/* A block per query: the scores of its candidates in single precision, and a selection from these.
   If there were more than fit, kept is as many. */
__global__ static void __launch_bounds__(SELECT_THREADS)
    refine_rows(const device_candidate *candidates, const uint32_t *found, size_t room,
                const float *rows, const float *queries, int metric, size_t dim,
                const float *lengths_sq, const unsigned *longest_sq, const float *query_lengths_sq,
                size_t k, unsigned groups, float *minima, float *limits, float *refined,
                size_t capacity, uint32_t *kept, device_candidate *out)
{
    const size_t query = blockIdx.x;
    const uint32_t n = found[query];
    const device_candidate *const its = candidates + query * room;
    const float *const x = queries + query * dim;
    float *const scores = refined + query * room;
    if (n > room) {
        if (threadIdx.x == 0)
            kept[query] = n;
        return;
    }
    const float bound =
        error_bound(metric, dim, 0, query_lengths_sq[query], __uint_as_float(*longest_sq));
    for (uint32_t i = threadIdx.x / WARP; i < n; i += SELECT_THREADS / WARP) {
        const uint32_t position = its[i].position;
        const float *const row = rows + position * dim;
        float sum = 0.0f;
        for (size_t j = threadIdx.x % WARP; j < dim; j += WARP)
            sum = fmaf(x[j], row[j], sum);
        sum = warp_sum(sum);
        if (threadIdx.x % WARP == 0)
            scores[i] = score_of(metric, sum, lengths_sq[position]) - bound;
    }
    for (unsigned group = threadIdx.x; group < groups; group += SELECT_THREADS)
        minima[query * groups + group] = INFINITY;
    __syncthreads();
    out += query * capacity;
    select_scores({ n, 0, k, groups, minima + query * groups, limits + query, 1.0f, 2.0f * bound,
                    capacity, kept + query, out },
                  [=](size_t i) { return scores[i]; });
    const size_t most = kept[query] < capacity ? kept[query] : capacity;
    for (size_t i = threadIdx.x; i < most; i += SELECT_THREADS)
        out[i].position = its[out[i].position].position;
}

static void rows_create(device_session *session, device_metric metric, size_t dim,
                        device_rows **out)
{
    auto made = make_in(session, out);
    if (dim == 0 || dim > INT32_MAX)
        session->fail(DEVICE_REFUSED, "CUDA: rows of %zu components: expected 1 to 2^31 - 1", dim);
    made->metric = metric;
    made->dim = dim;
    const unsigned none = 0;
    size_t free_bytes, bytes;
    session->check(cudaMemGetInfo(&free_bytes, &bytes), "asking for the device's memory");
    session->fill(made->longest_sq, &none, 1, "room for the rows");
    const size_t rows = bytes / TILE_SHARE / (TILE_QUERIES * sizeof(float));
    made->memory_bytes = bytes;
    made->tile_rows = rows / SELECT_MAX_GROUPS * SELECT_MAX_GROUPS;
    made->tile_rows = std::min(std::max(made->tile_rows, size_t{ SELECT_MAX_GROUPS }), TILE_ROWS);
    *out = made.release();
}

/* Makes room for rows at `first` on and checks the arguments. */
static void rows_extend(device_rows *r, size_t first, size_t n)
{
    device_session *session = r->session;
    if (first > r->n || n > UINT32_MAX - first)
        session->fail(DEVICE_REFUSED,
                      "CUDA: %zu rows at %zu: expected at most %zu before them, and fewer "
                      "than 2^32 in all",
                      n, first, r->n);
    const char *const what = "room for the rows";
    session->extend(r->rows, r->n * r->dim, (first + n) * r->dim, what);
    session->extend(r->lengths_sq, r->n, first + n, what);
}

static void rows_measure(device_rows *r, size_t first, size_t n)
{
    r->session->launch("measuring the rows", measure_rows, blocks_for(n, NORM_WARPS), NORM_THREADS,
                       r->rows.data + first * r->dim, n, r->dim,
                       static_cast<int>(r->metric == DEVICE_COS), r->lengths_sq.data + first,
                       r->longest_sq.data);
    r->n = std::max(r->n, first + n);
}

static void rows_put_f32(device_rows *r, size_t first, const float *rows, size_t n)
{
    rows_extend(r, first, n);
    if (n == 0)
        return;
    r->session->copy_in(r->rows.data + first * r->dim, rows, n * r->dim,
                        "copying rows to the device");
    rows_measure(r, first, n);
}

static void rows_put_u8(device_rows *r, size_t first, const uint8_t *rows, size_t n)
{
    device_session *session = r->session;
    rows_extend(r, first, n);
    for (size_t done = 0; done < n; done += STAGE_ROWS) {
        const size_t now = n - done < STAGE_ROWS ? n - done : STAGE_ROWS;
        const size_t values = now * r->dim;
        session->fill(r->bytes, rows + done * r->dim, values, "copying rows to the device");
        session->launch("widening the rows", widen_bytes, blocks_for(values, NORM_THREADS),
                        NORM_THREADS, r->bytes.data, values,
                        r->rows.data + (first + done) * r->dim);
    }
    if (n > 0)
        rows_measure(r, first, n);
}

/* A call's queries on the device, and how their products are computed. */
struct row_search {
    size_t n, nq, k, room, capacity;
    unsigned groups;
    bool coarse; /* products in TF32 */
};

static void start_queries(device_rows *r, const row_search &s, const float *queries,
                          const float *limits)
{
    device_session *session = r->session;
    const char *const room = "room for the queries", *const more = "room for the candidates";
    session->fill(r->queries, queries, s.nq * r->dim, "copying queries to the device");
    session->reserve(r->query_lengths_sq, s.nq, room);
    session->reserve(r->minima, s.nq * s.groups, room);
    if (limits)
        session->fill(r->limits, limits, s.nq, room);
    else
        session->reserve(r->limits, s.nq, room);
    session->reserve(r->found, s.nq, room);
    session->reserve(r->kept, s.nq, room);
    session->reserve(r->candidates, s.nq * s.room, more);
    session->reserve(r->refined, s.nq * s.room, more);
    session->reserve(r->nearest, s.nq * s.capacity, more);
    session->check(cudaMemset(r->found.data, 0, s.nq * sizeof *r->found.data), room);
    session->check(cudaMemset(r->kept.data, 0, s.nq * sizeof *r->kept.data), room);
    launch(measure_rows, blocks_for(s.nq, NORM_WARPS), NORM_THREADS, r->queries.data, s.nq, r->dim,
           static_cast<int>(r->metric == DEVICE_COS), r->query_lengths_sq.data,
           static_cast<unsigned *>(nullptr));
    launch(fill_floats, blocks_for(s.nq * s.groups, SELECT_THREADS), SELECT_THREADS, r->minima.data,
           s.nq * s.groups, INFINITY);
    if (!limits)
        session->launch("preparing the queries", fill_floats, blocks_for(s.nq, SELECT_THREADS),
                        SELECT_THREADS, r->limits.data, s.nq, INFINITY);
}

/* One tile of rows for all queries of a tile. */
static void select_tile(device_rows *r, const row_search &s, size_t first, size_t rows)
{
    device_session *session = r->session;
    const float one = 1.0f, zero = 0.0f;
    const int dim = static_cast<int>(r->dim);
    session->traffic.launches++;
    if (cublasGemmEx(session->blas, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(rows),
                     static_cast<int>(s.nq), dim, &one, r->rows.data + first * r->dim, CUDA_R_32F,
                     dim, r->queries.data, CUDA_R_32F, dim, &zero, r->scores.data, CUDA_R_32F,
                     static_cast<int>(rows),
                     s.coarse ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT) != CUBLAS_STATUS_SUCCESS) {
        const cudaError_t error = cudaGetLastError();
        session->fail(DEVICE_FAILED, "CUDA: cuBLAS's product of %zu queries and %zu rows: %s", s.nq,
                      rows, error == cudaSuccess ? "it failed" : cudaGetErrorString(error));
    }
    session->launch("selecting the nearest rows", select_rows, static_cast<unsigned>(s.nq),
                    SELECT_THREADS, r->scores.data, rows, rows, first, static_cast<int>(r->metric),
                    r->dim, static_cast<int>(s.coarse), r->lengths_sq.data, r->longest_sq.data,
                    r->query_lengths_sq.data, s.k, s.groups, r->minima.data, r->limits.data, s.room,
                    r->found.data, r->candidates.data);
}

static void search_queries(device_rows *r, const row_search &s, const float *queries,
                           const float *limits, uint32_t *found, device_candidate *out)
{
    device_session *session = r->session;
    const size_t tile = s.n < r->tile_rows ? s.n : r->tile_rows;
    session->reserve(r->scores, s.nq * tile, "room for the scores");
    start_queries(r, s, queries, limits);
    for (size_t first = 0; first < s.n; first += tile)
        select_tile(r, s, first, s.n - first < tile ? s.n - first : tile);
    session->launch("refining the candidates", refine_rows, static_cast<unsigned>(s.nq),
                    SELECT_THREADS, r->candidates.data, r->found.data, s.room, r->rows.data,
                    r->queries.data, static_cast<int>(r->metric), r->dim, r->lengths_sq.data,
                    r->longest_sq.data, r->query_lengths_sq.data, s.k, s.groups, r->minima.data,
                    r->limits.data, r->refined.data, s.capacity, r->kept.data, r->nearest.data);
    session->copy_out(found, r->kept.data, s.nq, "selecting the nearest rows");
    session->copy_out(out, r->nearest.data, s.nq * s.capacity, "copying the candidates back");
}

/* Searches those queries again, in single precision, for which the first selection found more than
   it had room for. */
static void search_again(device_rows *r, row_search s, const float *queries, const float *limits,
                         uint32_t *found, device_candidate *out)
{
    std::vector<size_t> which;
    std::vector<float> some, some_limits;
    for (size_t q = 0; q < s.nq; q++) {
        if (found[q] <= s.room || found[q] == UINT32_MAX)
            continue;
        which.push_back(q);
        some.insert(some.end(), queries + q * r->dim, queries + (q + 1) * r->dim);
        if (limits)
            some_limits.push_back(limits[q]);
    }
    if (which.empty())
        return;
    std::vector<uint32_t> some_found(which.size());
    std::vector<device_candidate> some_out(which.size() * s.capacity);
    s.nq = which.size();
    s.coarse = false;
    search_queries(r, s, some.data(), limits ? some_limits.data() : nullptr, some_found.data(),
                   some_out.data());
    for (size_t i = 0; i < which.size(); i++) {
        found[which[i]] = some_found[i];
        std::copy_n(some_out.data() + i * s.capacity, s.capacity, out + which[i] * s.capacity);
    }
}

static void rows_candidates(device_rows *r, size_t n, const float *queries, size_t nq, size_t k,
                            const float *limits, size_t capacity, uint32_t *found,
                            device_candidate *out)
{
    device_session *session = r->session;
    if (n > r->n || k == 0 || k > DEVICE_MAX_K)
        session->fail(DEVICE_REFUSED,
                      "CUDA: the %zu nearest of %zu rows: expected 1 to %d nearest of at "
                      "most %zu rows",
                      k, n, static_cast<int>(DEVICE_MAX_K), r->n);
    const size_t share = std::min(n / ROOM_OF_ROWS, ROOM_MOST);
    const size_t room = std::max({ ROOM_OF_K * k + ROOM_LEAST, share, capacity });
    const size_t most = r->memory_bytes / TILE_SHARE / (room * sizeof(device_candidate));
    const size_t tile = std::min(std::max(most, size_t{ 1 }), TILE_QUERIES);
    for (size_t first = 0; first < nq; first += tile) {
        const row_search s = { n,        std::min(tile, nq - first), k,   room,
                               capacity, select_groups(k),           true };
        const float *const its = queries + first * r->dim;
        const float *const its_limits = limits ? limits + first : nullptr;
        search_queries(r, s, its, its_limits, found + first, out + first * capacity);
        search_again(r, s, its, its_limits, found + first, out + first * capacity);
    }
}

static size_t rows_bytes(const device_rows *r)
{
    return bytes_of(r->rows, r->lengths_sq, r->queries, r->query_lengths_sq, r->scores, r->minima,
                    r->limits, r->refined, r->bytes, r->found, r->kept, r->candidates, r->nearest);
}

extern "C" const device_row_ops device_row_table = {
    in_table<rows_create>,     destroy,   in_table<rows_put_f32>, in_table<rows_put_u8>,
    in_table<rows_candidates>, rows_bytes
};
