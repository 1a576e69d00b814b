/* bounds.cu - rows as codes of a byte per component, and the candidates for the nearest rows by
 * certain bounds of their distances: products of codes and weights on tensor cores.
 *
 * A weight has 16 bits, 256 high + low, so the product of a query and a code is that of the high
 * bytes and that of the low bytes, both exact. A block computes those of 64 queries with 128 rows,
 * and from them the bounds.
 *
 * All rows are read twice, and no bound is stored. The first pass keeps the least upper bound of each
 * of many groups of rows. The k smallest of these minima are upper bounds of k different rows, so no
 * row whose lower bound is greater is among the k nearest. The second pass collects the others. */
#include <algorithm>

#include "kernels/cuda/select.h"
#include "kernels/cuda/session.h"
#include "kernels/cuda/tensor_tile.h"

enum {
    BOUND_QUERIES = 1024,          /* of a launch */
    GROUPS_A_TILE = 4 * ROW_WARPS, /* groups that a tile's rows are in */
};

struct device_bounds {
    device_session *session;
    size_t dim, n = 0;
    device_array<uint8_t> codes;
    device_array<device_bound_row> rows;
    /* of a call */
    device_array<int8_t> high, low;
    device_array<device_bound_query> queries;
    device_array<uint32_t> minima, found; /* minima: bits of floats that are not negative */
    device_array<float> limits;
    device_array<device_candidate> candidates;
};

/* What the kernels below read and write. */
struct bound_call {
    const uint8_t *codes;
    const device_bound_row *rows;
    const int8_t *high, *low;
    const device_bound_query *queries;
    size_t n;
    unsigned nq, dim, groups, query_tiles;
    uint32_t *minima;
    const float *limits;
    size_t capacity;
    uint32_t *found;
    device_candidate *out;
};

/* A row in shared memory: norm + d^2, |norm| + d^2, d and e. A row that is not there: INFINITY, 0, 0, 0,
   so that its bounds are infinite. */
struct alignas(16) bound_terms {
    float whole, size, d, e;
};

struct bound_tile {
    product_tile codes;
    bound_terms rows[TILE_ROWS];
};

__device__ static bound_terms terms_of(const bound_call &call, size_t row)
{
    if (row >= call.n || !(call.rows[row].norm < INFINITY))
        return { INFINITY, 0, 0, 0 };
    const device_bound_row &r = call.rows[row];
    return { r.norm + r.d * r.d, fabsf(r.norm) + r.d * r.d, r.d, r.e };
}

/* Within 2^-23 of the root, relatively (PTX ISA, sqrt.approx); 0 of what is below 2^-126. */
__device__ static float root_of(float square)
{
    const float least = fmaxf(square, 0);
#ifdef CUDA_EMULATED
    return sqrtf(least);
#else
    float root;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(least));
    return root;
#endif
}

/* algorithms/asteria/residual/lrsq.h (B3): sign 1, the upper bound, -1, the lower one. Slack includes the
   rounding of these floats, and is taken once more for that of roots and squares (residual/query.c). */
__device__ static float bound_of(float sign, const device_bound_query &q, const bound_terms &row,
                                 int32_t sum)
{
    const float product = q.unit * static_cast<float>(sum), rest = q.rest * row.e;
    const float slack = q.slack + 0x1p-20f * (q.size + row.size + fabsf(product) + rest);
    const float middle = (q.whole + row.whole) - product;
    const float side = root_of(middle + sign * (rest + slack)) + sign * row.d;
    return fmaxf(side, 0) * fmaxf(side, 0) + sign * slack;
}

/* The thread's first (half 0) or second query. */
__device__ static size_t query_of(const bound_call &call, unsigned half)
{
    return blockIdx.x % call.query_tiles * size_t{ TILE_QUERIES } + product_place_of().query +
           8 * half;
}

/* Calls take(row, bound, half) for each row and each of the thread's two queries: the first (half 0) and
   the second. Bounds of queries beyond call.nq are meaningless. */
template <class Take>
__device__ static void each_bound(const bound_call &call, bound_tile &tile, float sign, Take take)
{
    const product_place at = product_place_of();
    const size_t first_query = blockIdx.x % call.query_tiles * size_t{ TILE_QUERIES };
    const size_t first_row = blockIdx.x / call.query_tiles * size_t{ TILE_ROWS };
    product_sums sums = {};
    for (unsigned i = threadIdx.x; i < TILE_ROWS; i += TENSOR_THREADS)
        tile.rows[i] = terms_of(call, first_row + i);
    const auto query_at = [=](const int8_t *weights) {
        return [=](unsigned i) {
            return first_query + i < call.nq ? weights + (first_query + i) * call.dim : nullptr;
        };
    };
    const auto code_at = [=](unsigned i) {
        return first_row + i < call.n ? call.codes + (first_row + i) * call.dim : nullptr;
    };
    for (size_t first = 0; first < call.dim; first += 4 * DEPTH_WORDS) {
        load_part<TILE_QUERIES>(tile.codes.high, query_at(call.high), call.dim, first);
        load_part<TILE_QUERIES>(tile.codes.low, query_at(call.low), call.dim, first);
        load_part<TILE_ROWS>(tile.codes.rows, code_at, call.dim, first);
        __syncthreads();
        multiply_part(tile.codes, at, call.dim - first, sums);
        __syncthreads();
    }
    device_bound_query queries[2] = {};
    for (unsigned half = 0; half < 2; half++)
        if (query_of(call, half) < call.nq)
            queries[half] = call.queries[query_of(call, half)];
#pragma unroll
    for (unsigned i = 0; i < 2 * WARP_TILES; i++) {
        const unsigned place = at.row + i / 2 * 8 + i % 2;
        const bound_terms row = tile.rows[place];
#pragma unroll
        for (unsigned half = 0; half < 2; half++)
            take(first_row + place, bound_of(sign, queries[half], row, product_of(sums, half, i)),
                 half);
    }
}

__global__ static void __launch_bounds__(TENSOR_THREADS) keep_minima(bound_call call)
{
    __shared__ bound_tile tile;
    float least[2] = { INFINITY, INFINITY };
    each_bound(call, tile, 1, [&](size_t, float upper, unsigned half) {
        least[half] = fminf(least[half], upper);
    });
    const unsigned warp = threadIdx.x / WARP;
    const size_t row_tile = blockIdx.x / call.query_tiles;
    const size_t group =
        (row_tile * GROUPS_A_TILE + warp / QUERY_WARPS * 4 + threadIdx.x % 4) % call.groups;
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        const size_t q = query_of(call, half);
        if (q < call.nq && least[half] < INFINITY)
            atomicMin(&call.minima[q * call.groups + group], __float_as_uint(least[half]));
    }
}

/* A block per query. */
__global__ static void __launch_bounds__(SELECT_THREADS)
    limit_bounds(const uint32_t *minima, unsigned groups, size_t k, float slack, float *limits)
{
    __shared__ float sorted[SELECT_MAX_GROUPS];
    for (unsigned i = threadIdx.x; i < groups; i += SELECT_THREADS)
        sorted[i] = __uint_as_float(minima[static_cast<size_t>(blockIdx.x) * groups + i]);
    sort_shared(sorted, groups);
    if (threadIdx.x == 0)
        limits[blockIdx.x] = sorted[k - 1] + slack;
}

__global__ static void __launch_bounds__(TENSOR_THREADS) collect_bounds(bound_call call)
{
    __shared__ bound_tile tile;
    float limits[2];
    for (unsigned half = 0; half < 2; half++) {
        const size_t q = query_of(call, half);
        limits[half] = q < call.nq ? call.limits[q] : -INFINITY;
    }
    each_bound(call, tile, -1, [&](size_t row, float lower, unsigned half) {
        if (!(lower <= limits[half]))
            return;
        const size_t q = query_of(call, half);
        const uint32_t at = atomicAdd(call.found + q, 1u);
        if (at < call.capacity)
            call.out[q * call.capacity + at] = { static_cast<uint32_t>(row), fmaxf(lower, 0) };
    });
}

static void bounds_create(device_session *session, size_t dim, device_bounds **out)
{
    auto made = make_in(session, out);
    if (dim == 0 || dim % 16 != 0 || dim > UINT32_MAX / 2)
        session->fail(DEVICE_REFUSED, "CUDA: codes of %zu components: expected a multiple of 16",
                      dim);
    made->dim = dim;
    *out = made.release();
}

static void bounds_put(device_bounds *b, size_t first, const uint8_t *codes,
                       const device_bound_row *rows, size_t n)
{
    put_codes(*b, b->dim, first, codes, rows, n);
}

static void start_call(device_bounds *b, const device_bound_queries *queries, size_t first,
                       size_t nq, unsigned groups, size_t capacity)
{
    device_session *session = b->session;
    const char *const what = "copying queries to the device", *const room = "room for the queries";
    session->fill(b->high, queries->high + first * b->dim, nq * b->dim, what);
    session->fill(b->low, queries->low + first * b->dim, nq * b->dim, what);
    session->fill(b->queries, queries->terms + first, nq, what);
    session->reserve(b->minima, nq * groups, room);
    session->reserve(b->limits, nq, room);
    session->reserve(b->found, nq, room);
    session->reserve(b->candidates, nq * capacity, "room for the candidates");
    /* 3.4e38, as a float */
    session->check(cudaMemset(b->minima.data, 0x7f, nq * groups * sizeof(uint32_t)), room);
    session->check(cudaMemset(b->found.data, 0, nq * sizeof(uint32_t)), room);
}

static void run_call(device_bounds *b, size_t n, size_t nq, size_t k, float slack, unsigned groups,
                     size_t capacity)
{
    device_session *session = b->session;
    const unsigned query_tiles = blocks_for(nq, TILE_QUERIES);
    const unsigned blocks = query_tiles * blocks_for(n, TILE_ROWS);
    const bound_call call = { b->codes.data,
                              b->rows.data,
                              b->high.data,
                              b->low.data,
                              b->queries.data,
                              n,
                              static_cast<unsigned>(nq),
                              static_cast<unsigned>(b->dim),
                              groups,
                              query_tiles,
                              b->minima.data,
                              b->limits.data,
                              capacity,
                              b->found.data,
                              b->candidates.data };
    session->launch("multiplying codes", keep_minima, blocks, TENSOR_THREADS, call);
    session->launch("selecting the smallest bounds", limit_bounds, static_cast<unsigned>(nq),
                    SELECT_THREADS, b->minima.data, groups, k, slack, b->limits.data);
    session->launch("collecting candidates", collect_bounds, blocks, TENSOR_THREADS, call);
}

static void bounds_candidates(device_bounds *b, size_t n, const device_bound_queries *queries,
                              size_t k, float slack, size_t capacity, uint32_t *found,
                              device_candidate *out)
{
    if (n == 0 || n > b->n || k == 0 || k > DEVICE_MAX_K)
        b->session->fail(DEVICE_REFUSED,
                         "CUDA: the %zu nearest of %zu codes: expected 1 to %d nearest, and "
                         "at most the %zu codes there are",
                         k, n, static_cast<int>(DEVICE_MAX_K), b->n);
    const unsigned groups = select_groups(k);
    for (size_t first = 0, now; first < queries->n; first += now) {
        now = std::min(queries->n - first, size_t{ BOUND_QUERIES });
        start_call(b, queries, first, now, groups, capacity);
        run_call(b, n, now, k, slack, groups, capacity);
        b->session->copy_out(found + first, b->found.data, now, "collecting candidates");
        b->session->copy_out(out + first * capacity, b->candidates.data, now * capacity,
                             "copying the candidates back");
    }
}

static size_t bounds_bytes(const device_bounds *b)
{
    return bytes_of(b->codes, b->rows, b->high, b->low, b->queries, b->minima, b->found, b->limits,
                    b->candidates);
}

extern "C" const device_bound_ops device_bound_table = { in_table<bounds_create>, destroy,
                                                         in_table<bounds_put>,
                                                         in_table<bounds_candidates>,
                                                         bounds_bytes };
