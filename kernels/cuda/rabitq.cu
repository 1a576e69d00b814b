/* rabitq.cu - the nearest rows of the lists that a query probes, by RaBitQ codes first: products of
 * codes on tensor cores exclude most rows, and the others are measured.
 *
 * The plan of a call is that of lists.cu: a block compares the codes of 128 rows of a list with 64 of its
 * queries. It stores each row's lower bound, and in each of many groups of rows it keeps the row of the
 * least estimate. A block per query then measures these rows: the k-th smallest of their distances is no
 * less than the k-th smallest of all. The rows whose lower bound is within it are measured, too.
 *
 * A code of B bits has a number u_i of B bits per component, stored in 1, 4 or 8 bits. */
#include <algorithm>

#include "kernels/cuda/lists.h"
#include "kernels/cuda/select.h"
#include "kernels/cuda/tensor_tile.h"

enum {
    GROUPS = SELECT_THREADS,       /* of a query's rows */
    GROUPS_A_TILE = 4 * ROW_WARPS, /* that a tile's rows are in */
    GROUP_ROWS = TILE_ROWS / GROUPS_A_TILE,
    ROOM = 2048, /* rows that are measured for a query at most: a power of two */
    SELECT_WARPS = SELECT_THREADS / WARP,
};

struct device_rabitq {
    device_session *session;
    size_t dim, n = 0;
    unsigned stored_bits; /* 1, 4 or 8 */
    device_array<uint32_t> codes;
    device_array<device_rabitq_row> rows;
    /* of a call */
    device_array<int8_t> high, low;
    device_array<device_rabitq_query> terms;
    device_array<float> distances;
    device_array<unsigned long long> winners;
};

/* What the kernels below read and write. */
struct rabitq_call {
    const list_item *items;
    const list_entry *entries;
    const uint64_t *query_starts;
    const uint32_t *places, *codes;
    const device_rabitq_row *rows;
    const int8_t *high, *low;
    const device_rabitq_query *terms;
    const float *distances;
    size_t dim;
    float *scores;
    unsigned long long *winners; /* nq x GROUPS: an estimate's bits, and the number of its score */
};

/* Four components from `first` on, of the word that has 32 / BITS, as bytes. */
template <unsigned BITS> __device__ static uint32_t unpack(uint32_t word, unsigned first)
{
    if constexpr (BITS == 1)
        return (word >> first & 15) * 0x00204081u & 0x01010101u;
    else if constexpr (BITS == 4)
        return word >> first & 0x0f0f0f0fu; /* the low halves of the bytes, then the high ones */
    else
        return word;
}

/* Loads components [at, at + 64), `dim` a multiple of 32. row(i): code i, or null for zeros. */
template <unsigned BITS, class Row>
__device__ static void load_codes(uint32_t (*to)[PITCH_WORDS], Row row, size_t dim, size_t at)
{
    constexpr unsigned EACH = 32 / BITS, WORDS = 4 * DEPTH_WORDS / EACH;
    for (unsigned i = threadIdx.x; i < TILE_ROWS * WORDS; i += TENSOR_THREADS) {
        const unsigned place = i % WORDS * EACH;
        const uint32_t *const code = row(i / WORDS);
        const uint32_t word = code && at + place < dim ? code[(at + place) / EACH] : 0;
#pragma unroll
        for (unsigned j = 0; j < EACH; j += 4)
            to[i / WORDS][(place + j) / 4] = unpack<BITS>(word, j);
    }
}

struct rabitq_estimate {
    float distance, lower;
};

/* algorithms/common/quantizer/rabitq/internal.h */
__device__ static rabitq_estimate estimate_of(const device_rabitq_query &q,
                                              const device_rabitq_row &row, float base, int32_t sum)
{
    const float root = q.sure * sqrtf(base);
    const float product = q.unit * static_cast<float>(sum) + q.offset;
    const float distance = row.add + base + row.scale * product;
    const float off = row.error * root - row.scale * (q.slack + q.linear * root);
    return { distance, distance - off - 0x1p-19f * (fabsf(distance) + off + base) };
}

/* Stores the bounds of an entry, and offers the least estimate to its group. */
__device__ static void keep_bounds(const rabitq_call &call, const list_item &item,
                                   const list_entry &entry, const device_rabitq_row *rows,
                                   const product_sums &sums, product_place at, unsigned half)
{
    const device_rabitq_query terms = call.terms[entry.query];
    const float base = call.distances[entry.probe];
    const uint64_t first = entry.scores + item.first_row;
    float least = INFINITY;
    unsigned nearest = 0;
#pragma unroll
    for (unsigned i = 0; i < 2 * WARP_TILES; i++) {
        const unsigned row = at.row + i / 2 * 8 + i % 2;
        if (row >= item.rows)
            continue;
        const rabitq_estimate e = estimate_of(terms, rows[row], base, product_of(sums, half, i));
        call.scores[first + row] = e.lower;
        if (e.distance < least) {
            least = e.distance;
            nearest = row;
        }
    }
    if (!(least < INFINITY))
        return;
    const uint64_t number = first - call.query_starts[entry.query];
    const unsigned part = threadIdx.x / WARP / QUERY_WARPS * 4 + threadIdx.x % 4;
    const uint64_t group = (number / GROUP_ROWS + part) % GROUPS;
    atomicMin(call.winners + entry.query * size_t{ GROUPS } + group,
              static_cast<unsigned long long>(__float_as_uint(least > 0 ? least : 0)) << 32 |
                  static_cast<uint32_t>(number + nearest));
}

template <unsigned BITS>
__global__ static void __launch_bounds__(TENSOR_THREADS) compare_codes(rabitq_call call)
{
    __shared__ product_tile tile;
    __shared__ device_rabitq_row rows[TILE_ROWS];
    const list_item item = call.items[blockIdx.x];
    const product_place at = product_place_of();
    const uint32_t *const places = call.places + item.first;
    const size_t words = call.dim * BITS / 32;
    product_sums sums = {};
    for (unsigned i = threadIdx.x; i < item.rows; i += TENSOR_THREADS)
        rows[i] = call.rows[places[i]];
    const auto query_at = [=](const int8_t *weights) {
        return [=](unsigned i) {
            return i < item.entries ? weights + call.entries[item.first_entry + i].query * call.dim
                                    : nullptr;
        };
    };
    const auto code_at = [=](unsigned i) {
        return i < item.rows ? call.codes + places[i] * words : nullptr;
    };
    for (size_t first = 0; first < call.dim; first += 4 * DEPTH_WORDS) {
        load_part<TILE_QUERIES>(tile.high, query_at(call.high), call.dim, first);
        load_part<TILE_QUERIES>(tile.low, query_at(call.low), call.dim, first);
        load_codes<BITS>(tile.rows, code_at, call.dim, first);
        __syncthreads();
        multiply_part(tile, at, call.dim - first, sums);
        __syncthreads();
    }
#pragma unroll
    for (unsigned half = 0; half < 2; half++)
        if (at.query + 8 * half < item.entries)
            keep_bounds(call, item, call.entries[item.first_entry + at.query + 8 * half], rows,
                        sums, at, half);
}

/* The rows of a call's queries, and what is selected from them. */
struct rabitq_choice {
    const float *scores;
    const uint64_t *query_starts;
    const unsigned long long *winners;
    const uint32_t *probes, *positions;
    const uint64_t *probe_starts, *list_starts;
    size_t nprobe, dim, k, capacity;
    const float *queries, *rows;
    uint32_t *found;
    device_candidate *out;
};

/* By a warp. */
__device__ static float measure_row(const float *query, const float *row, size_t dim)
{
    float sum = 0;
    for (size_t i = threadIdx.x % WARP; i < dim; i += WARP) {
        const float difference = query[i] - row[i];
        sum = fmaf(difference, difference, sum);
    }
#pragma unroll
    for (int by = WARP / 2; by > 0; by /= 2)
        sum += __shfl_xor_sync(WHOLE_WARP, sum, by);
    return sum;
}

/* What the distances of the rows with these numbers are; `number(i)` UINT32_MAX: there is none.
   Ends with the k-th smallest, by all threads, in `sorted`. */
template <class Number>
__device__ static float kth_smallest(const rabitq_choice &c, Number number, unsigned n,
                                     float *measured, float *sorted, unsigned size)
{
    const size_t query = blockIdx.x;
    const list_names names = { c.probes + query * c.nprobe, c.probe_starts + query * c.nprobe,
                               c.nprobe, c.list_starts };
    for (unsigned i = threadIdx.x / WARP; i < size; i += SELECT_WARPS) {
        const uint32_t at = i < n ? number(i) : UINT32_MAX;
        float distance = INFINITY;
        if (at != UINT32_MAX)
            distance = measure_row(c.queries + query * c.dim,
                                   c.rows + c.positions[names.of(at)] * c.dim, c.dim);
        if (threadIdx.x % WARP == 0)
            measured[i] = sorted[i] = distance;
    }
    sort_shared(sorted, size);
    return sorted[c.k - 1];
}

/* A block per query. */
__global__ static void __launch_bounds__(SELECT_THREADS) choose_rows(rabitq_choice c)
{
    __shared__ float measured[ROOM], sorted[ROOM];
    __shared__ uint32_t numbers[ROOM];
    __shared__ unsigned n, kept;
    const size_t query = blockIdx.x;
    const float error = list_error(c.dim);
    const float *const scores = c.scores + c.query_starts[query];
    const uint64_t all = c.query_starts[query + 1] - c.query_starts[query];
    const unsigned long long *const winners = c.winners + query * GROUPS;
    if (threadIdx.x == 0)
        n = kept = 0;
    const float first = kth_smallest(
        c, [=](unsigned i) { return static_cast<uint32_t>(winners[i]); }, GROUPS, measured, sorted,
        GROUPS);
    const float limit = first * (1 + error) + 1e-37f;
    for (uint64_t i = threadIdx.x; i < all; i += SELECT_THREADS) {
        if (scores[i] > limit)
            continue;
        const unsigned at = atomicAdd(&n, 1u);
        if (at < ROOM)
            numbers[at] = static_cast<uint32_t>(i);
    }
    __syncthreads();
    if (n > ROOM) {
        if (threadIdx.x == 0)
            c.found[query] = UINT32_MAX;
        return;
    }
    unsigned size = SELECT_THREADS;
    while (size < n)
        size *= 2;
    const uint32_t *const chosen = numbers;
    const float kth = kth_smallest(
        c, [=](unsigned i) { return chosen[i]; }, n, measured, sorted, size);
    const float last = kth * ((1 + 2 * error) / (1 - 2 * error)) + 1e-37f;
    const list_names names = { c.probes + query * c.nprobe, c.probe_starts + query * c.nprobe,
                               c.nprobe, c.list_starts };
    for (unsigned i = threadIdx.x; i < n; i += SELECT_THREADS) {
        if (measured[i] > last)
            continue;
        const unsigned at = atomicAdd(&kept, 1u);
        if (at < c.capacity)
            c.out[query * c.capacity + at] = { c.positions[names.of(numbers[i])],
                                               measured[i] * (1 - error) };
    }
    __syncthreads();
    if (threadIdx.x == 0)
        c.found[query] = kept;
}

static void rabitq_create(device_session *session, size_t dim, unsigned bits, device_rabitq **out)
{
    auto made = make_in(session, out);
    if (dim == 0 || dim % 32 != 0 || dim > UINT32_MAX / 2 || bits == 0 || bits > 8)
        session->fail(DEVICE_REFUSED,
                      "CUDA: codes of %zu components of %u bits: expected a multiple of 32, "
                      "and 1 to 8 bits",
                      dim, bits);
    made->dim = dim;
    made->stored_bits = device_rabitq_stored_bits(bits);
    *out = made.release();
}

static void rabitq_put(device_rabitq *r, size_t first, const uint32_t *codes,
                       const device_rabitq_row *rows, size_t n)
{
    put_codes(*r, r->dim * r->stored_bits / 32, first, codes, rows, n);
}

static void start_call(device_rabitq *r, const device_rabitq_queries *q, size_t first, size_t n)
{
    device_session *session = r->session;
    const char *const what = "copying queries to the device", *const room = "room for the queries";
    session->fill(r->high, q->high + first * r->dim, n * r->dim, what);
    session->fill(r->low, q->low + first * r->dim, n * r->dim, what);
    session->fill(r->terms, q->terms + first, n, what);
    session->fill(r->distances, q->distances + first * q->nprobe, n * q->nprobe, what);
    session->reserve(r->winners, n * GROUPS, room);
    session->check(cudaMemset(r->winners.data, 0xff, n * GROUPS * sizeof(uint64_t)), room);
}

static void compare(const device_rabitq *r, const device_lists *l)
{
    const unsigned blocks = static_cast<unsigned>(l->items.size());
    const rabitq_call call = { l->device_items.data,
                               l->device_entries.data,
                               l->device_query_starts.data,
                               l->codes.data,
                               r->codes.data,
                               r->rows.data,
                               r->high.data,
                               r->low.data,
                               r->terms.data,
                               r->distances.data,
                               r->dim,
                               l->scores.data,
                               r->winners.data };
    if (blocks == 0)
        return;
    r->session->launch("comparing queries with codes",
                       r->stored_bits == 1   ? compare_codes<1>
                       : r->stored_bits == 4 ? compare_codes<4>
                                             : compare_codes<8>,
                       blocks, TENSOR_THREADS, call);
}

static void choose(const device_rabitq *r, const device_lists *l, const device_rows *rows, size_t n,
                   size_t nprobe, size_t k, size_t capacity)
{
    const rabitq_choice choice = { l->scores.data,
                                   l->device_query_starts.data,
                                   r->winners.data,
                                   l->probes.data,
                                   l->positions.data,
                                   l->device_probe_starts.data,
                                   l->list_starts.data,
                                   nprobe,
                                   rows->dim,
                                   k,
                                   capacity,
                                   l->queries.data,
                                   rows->rows.data,
                                   l->found.data,
                                   l->candidates.data };
    r->session->launch("measuring the nearest rows", choose_rows, static_cast<unsigned>(n),
                       SELECT_THREADS, choice);
}

static void rabitq_candidates(device_rabitq *r, device_lists *l, const device_rows *rows,
                              const device_rabitq_queries *q, size_t k, size_t capacity,
                              uint32_t *found, device_candidate *out)
{
    if (k == 0 || k > DEVICE_RABITQ_MAX_K || q->nprobe == 0 || rows->metric != DEVICE_L2SQ)
        r->session->fail(DEVICE_REFUSED,
                         "CUDA: the %zu nearest rows of %zu lists by codes: expected 1 to %d "
                         "nearest, at least one list, and squared distances",
                         k, q->nprobe, static_cast<int>(DEVICE_RABITQ_MAX_K));
    device_lists_check(l, q->probes, q->n, q->nprobe);
    for (size_t first = 0, now; first < q->n; first += now) {
        const uint32_t *const probes = q->probes + first * q->nprobe;
        now = device_lists_plan(l, probes, q->n - first, q->nprobe, TILE_ROWS);
        device_lists_start(l, rows->dim, q->rows + first * rows->dim, now, probes, q->nprobe,
                           capacity);
        start_call(r, q, first, now);
        compare(r, l);
        choose(r, l, rows, now, q->nprobe, k, capacity);
        device_lists_finish(l, now, capacity, found + first, out + first * capacity);
    }
}

static size_t rabitq_bytes(const device_rabitq *r)
{
    return bytes_of(r->codes, r->rows, r->high, r->low, r->terms, r->distances, r->winners);
}

extern "C" const device_rabitq_ops device_rabitq_table = { in_table<rabitq_create>, destroy,
                                                           in_table<rabitq_put>,
                                                           in_table<rabitq_candidates>,
                                                           rabitq_bytes };
