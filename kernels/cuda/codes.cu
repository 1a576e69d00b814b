/* codes.cu - 64-bit codes on the device, compared with batches of queries by Hamming distance.
 *
 * A range search reads the codes once and appends those within the radius. The k nearest take a
 * sample first: the distance of its k-th nearest is not below that of the k-th nearest of all, so
 * one pass with it as the radius has them all; a block per query then keeps those up to the k-th of
 * what was found. Distances are whole numbers, so nothing here is approximate. */
#include <algorithm>

#include "kernels/cuda/session.h"

enum {
    CODE_THREADS = 256,
    CODE_WARPS = CODE_THREADS / WARP,
    CODES_A_THREAD = 8,
    CODES_A_BLOCK = CODES_A_THREAD * CODE_THREADS,
    CODE_QUERIES = 1024, /* at a time, in shared memory */
    DISTANCES = 65,      /* 0 to 64 bits */
    RUNS_A_BLOCK = 128,  /* of the sample; a run is a warp's load, 256 bytes */
};

/* Of many codes, one in SAMPLE_SHARE is in the sample, but not fewer than SAMPLE_LEAST. */
static constexpr size_t SAMPLE_SHARE = 64, SAMPLE_LEAST = 16384;
/* Room for what is within the sample's radius: eight times what is expected. */
static constexpr size_t FOUND_SHARE = 8 * SAMPLE_SHARE, FOUND_LEAST = 4096;
/* What is found by the queries of a launch takes at most this share of the device's memory. */
static constexpr size_t FOUND_OF_MEMORY = 16;

struct device_codes {
    device_session *session;
    size_t n = 0, memory_bytes = 0;
    device_array<uint64_t> codes, queries;
    device_array<unsigned> histograms; /* queries x DISTANCES */
    device_array<int> limits;
    device_array<uint32_t> found, kept;
    device_array<device_match> matches, nearest; /* within the limits; of these the nearest */
};

/* Adds the distances of sampled codes to the queries' histograms. Run i of `runs` is the 32 codes
   from i * n / runs on: no code is in two runs, as n >= 32 * runs, or runs is 1. Block (x, q). */
__global__ static void __launch_bounds__(CODE_THREADS)
    sample_codes(const uint64_t *codes, size_t n, size_t runs, const uint64_t *queries,
                 unsigned *histograms)
{
    __shared__ unsigned counts[CODE_WARPS][DISTANCES];
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const uint64_t query = queries[blockIdx.y];
    for (unsigned d = lane; d < DISTANCES; d += WARP)
        counts[warp][d] = 0;
    __syncwarp();
    const size_t first = static_cast<size_t>(blockIdx.x) * RUNS_A_BLOCK;
    const size_t end = first + RUNS_A_BLOCK < runs ? first + RUNS_A_BLOCK : runs;
    for (size_t run = first + warp; run < end; run += CODE_WARPS) {
        const size_t i = run * n / runs + lane;
        if (i < n)
            atomicAdd(&counts[warp][__popcll(codes[i] ^ query)], 1u);
    }
    __syncthreads();
    for (unsigned d = threadIdx.x; d < DISTANCES; d += CODE_THREADS) {
        unsigned sum = 0;
        for (unsigned w = 0; w < CODE_WARPS; w++)
            sum += counts[w][d];
        if (sum)
            atomicAdd(&histograms[static_cast<size_t>(blockIdx.y) * DISTANCES + d], sum);
    }
}

/* The least distance that k of a histogram's are within; 64 if it has fewer. */
__device__ static int kth_distance(const unsigned *histogram, size_t k)
{
    size_t sum = 0;
    for (int d = 0; d < DISTANCES - 1; d++) {
        sum += histogram[d];
        if (sum >= k)
            return d;
    }
    return DISTANCES - 1;
}

/* histograms NULL: all limits are `radius`. */
__global__ static void __launch_bounds__(CODE_THREADS)
    set_limits(const unsigned *histograms, size_t k, int radius, unsigned nq, int *limits)
{
    const unsigned q = blockIdx.x * CODE_THREADS + threadIdx.x;
    if (q < nq)
        limits[q] =
            histograms ? kth_distance(histograms + static_cast<size_t>(q) * DISTANCES, k) : radius;
}

/* Appends a warp's codes that are within the limit of query q: bit j of `within` is this thread's
   code j. By all threads of the warp. */
__device__ static void append(unsigned within, const uint64_t *code, size_t position,
                              uint64_t query, size_t capacity, uint32_t *found, device_match *out)
{
    const unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned j = 0; j < CODES_A_THREAD; j++) {
        const unsigned lanes = __ballot_sync(WHOLE_WARP, within >> j & 1);
        if (lanes == 0)
            continue;
        uint32_t at = 0;
        if (lane == 0)
            at = atomicAdd(found, static_cast<uint32_t>(__popc(lanes)));
        at = __shfl_sync(WHOLE_WARP, at, 0) +
             static_cast<uint32_t>(__popc(lanes & ((1u << lane) - 1)));
        if ((within >> j & 1) && at < capacity)
            out[at] = { static_cast<uint32_t>(position + j / 2 * 2 * CODE_THREADS + j % 2),
                        static_cast<uint32_t>(__popcll(code[j] ^ query)) };
    }
}

/* A block keeps its codes in registers, two adjacent ones a load, and compares them with all
   queries. Codes are allocated in whole blocks, so that loads need no guard. */
__global__ static void __launch_bounds__(CODE_THREADS)
    codes_within(const uint64_t *codes, size_t n, const uint64_t *queries, const int *limits,
                 unsigned nq, size_t capacity, uint32_t *found, device_match *out)
{
    __shared__ uint64_t query[CODE_QUERIES];
    __shared__ int limit[CODE_QUERIES];
    const size_t position =
        static_cast<size_t>(blockIdx.x) * CODES_A_BLOCK + static_cast<size_t>(threadIdx.x) * 2;
    uint64_t code[CODES_A_THREAD];
    unsigned present = 0;
#pragma unroll
    for (unsigned j = 0; j < CODES_A_THREAD; j += 2) {
        const size_t at = position + j * CODE_THREADS;
        const ulonglong2 two = *reinterpret_cast<const ulonglong2 *>(codes + at);
        code[j] = two.x;
        code[j + 1] = two.y;
        present |= static_cast<unsigned>(at < n) << j | static_cast<unsigned>(at + 1 < n)
                                                            << (j + 1);
    }
    for (unsigned q = threadIdx.x; q < nq; q += CODE_THREADS) {
        query[q] = queries[q];
        limit[q] = limits[q];
    }
    __syncthreads();
    for (unsigned q = 0; q < nq; q++) {
        unsigned within = 0;
#pragma unroll
        for (unsigned j = 0; j < CODES_A_THREAD; j++)
            within |= static_cast<unsigned>(__popcll(code[j] ^ query[q]) <= limit[q]) << j;
        within &= present;
        if (__any_sync(WHOLE_WARP, within != 0))
            append(within, code, position, query[q], capacity, found + q, out + q * capacity);
    }
}

/* A block keeps a query's matches up to the k-th smallest distance among them. If there were more
   than fit, kept is as many. */
__global__ static void __launch_bounds__(CODE_THREADS)
    keep_nearest(const device_match *matches, const uint32_t *found, size_t room, size_t k,
                 size_t capacity, uint32_t *kept, device_match *out)
{
    __shared__ unsigned counts[DISTANCES];
    __shared__ int limit;
    const unsigned query = blockIdx.x;
    const uint32_t n = found[query];
    matches += query * room;
    out += query * capacity;
    if (n > room) {
        if (threadIdx.x == 0)
            kept[query] = n;
        return;
    }
    for (unsigned d = threadIdx.x; d < DISTANCES; d += CODE_THREADS)
        counts[d] = 0;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < n; i += CODE_THREADS)
        atomicAdd(&counts[matches[i].distance], 1u);
    __syncthreads();
    if (threadIdx.x == 0)
        limit = kth_distance(counts, k);
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < n; i += CODE_THREADS) {
        const device_match match = matches[i];
        if (static_cast<int>(match.distance) > limit)
            continue;
        const uint32_t at = atomicAdd(&kept[query], 1u);
        if (at < capacity)
            out[at] = match;
    }
}

static void codes_create(device_session *session, device_codes **out)
{
    size_t free_bytes;
    auto made = make_in(session, out);
    session->check(cudaMemGetInfo(&free_bytes, &made->memory_bytes),
                   "asking for the device's memory");
    *out = made.release();
}

static void codes_put(device_codes *c, size_t first, const uint64_t *codes, size_t n)
{
    device_session *session = c->session;
    if (first > c->n || n > UINT32_MAX - first)
        session->fail(DEVICE_REFUSED,
                      "CUDA: %zu codes at %zu: expected at most %zu before them, and fewer "
                      "than 2^32 in all",
                      n, first, c->n);
    const size_t blocks = (first + n + CODES_A_BLOCK - 1) / CODES_A_BLOCK;
    session->extend(c->codes, c->n, blocks * CODES_A_BLOCK, "room for the codes");
    session->copy_in(c->codes.data + first, codes, n, "copying codes to the device");
    c->n = std::max(c->n, first + n);
}

/* Copies the queries, and sets their limits: by a sample for k > 0, else to the radius. */
static void start_queries(device_codes *c, size_t n, const uint64_t *queries, unsigned nq,
                          int radius, size_t k)
{
    device_session *session = c->session;
    const char *const room = "room for the queries";
    const size_t sample = std::max(n / SAMPLE_SHARE, std::min(n, SAMPLE_LEAST));
    const size_t runs = std::max(sample / WARP, size_t{ 1 });
    session->fill(c->queries, queries, nq, "copying queries to the device");
    session->reserve(c->limits, CODE_QUERIES, room);
    session->reserve(c->found, CODE_QUERIES, room);
    session->check(cudaMemset(c->found.data, 0, nq * sizeof *c->found.data), room);
    if (k > 0) {
        session->reserve(c->histograms, size_t{ CODE_QUERIES } * DISTANCES, room);
        session->check(
            cudaMemset(c->histograms.data, 0, nq * DISTANCES * sizeof *c->histograms.data), room);
        session->launch("comparing queries with a sample of the codes", sample_codes,
                        dim3(blocks_for(runs, RUNS_A_BLOCK), nq), CODE_THREADS, c->codes.data, n,
                        runs, c->queries.data, c->histograms.data);
    }
    session->launch("preparing the queries", set_limits, blocks_for(nq, CODE_THREADS), CODE_THREADS,
                    k > 0 ? c->histograms.data : nullptr, k, radius, nq, c->limits.data);
}

static void find_within(device_codes *c, size_t n, unsigned nq, size_t capacity)
{
    c->session->reserve(c->matches, nq * capacity, "room for what is found");
    c->session->launch("comparing queries with the codes", codes_within,
                       blocks_for(n, CODES_A_BLOCK), CODE_THREADS, c->codes.data, n,
                       c->queries.data, c->limits.data, nq, capacity, c->found.data,
                       c->matches.data);
}

/* How many queries at a time. */
static size_t queries_at_once(const device_codes *c, size_t room)
{
    const size_t most = c->memory_bytes / FOUND_OF_MEMORY / (room * sizeof(device_match));
    return std::min(std::max(most, size_t{ 1 }), size_t{ CODE_QUERIES });
}

static void copy_found(device_codes *c, const uint32_t *found, const device_match *matches,
                       size_t nq, size_t capacity, uint32_t *to, device_match *out)
{
    c->session->copy_out(to, found, nq, "comparing queries with the codes");
    c->session->copy_out(out, matches, nq * capacity, "copying what was found back");
}

static void check_n(device_codes *c, size_t n)
{
    if (n == 0 || n > c->n)
        c->session->fail(DEVICE_REFUSED, "CUDA: a search of %zu codes: expected 1 to %zu", n, c->n);
}

static void codes_range(device_codes *c, size_t n, const uint64_t *queries, size_t nq,
                        unsigned radius, size_t capacity, uint32_t *found, device_match *out)
{
    check_n(c, n);
    const size_t most = queries_at_once(c, capacity);
    for (size_t first = 0; first < nq; first += most) {
        const unsigned now = static_cast<unsigned>(std::min(most, nq - first));
        start_queries(c, n, queries + first, now, static_cast<int>(radius), 0);
        find_within(c, n, now, capacity);
        copy_found(c, c->found.data, c->matches.data, now, capacity, found + first,
                   out + first * capacity);
    }
}

static void codes_nearest(device_codes *c, size_t n, const uint64_t *queries, size_t nq, size_t k,
                          size_t capacity, uint32_t *found, device_match *out)
{
    device_session *session = c->session;
    if (k == 0 || k > DEVICE_MAX_K)
        session->fail(DEVICE_REFUSED, "CUDA: the %zu nearest codes: expected 1 to %d", k,
                      static_cast<int>(DEVICE_MAX_K));
    const size_t room = std::max(std::min(FOUND_SHARE * k + FOUND_LEAST, n), capacity);
    const size_t most = queries_at_once(c, room);
    check_n(c, n);
    for (size_t first = 0; first < nq; first += most) {
        const unsigned now = static_cast<unsigned>(std::min(most, nq - first));
        start_queries(c, n, queries + first, now, 0, k);
        find_within(c, n, now, room);
        session->reserve(c->kept, CODE_QUERIES, "room for the nearest");
        session->reserve(c->nearest, now * capacity, "room for the nearest");
        session->check(cudaMemset(c->kept.data, 0, now * sizeof *c->kept.data),
                       "room for the nearest");
        session->launch("keeping the nearest codes", keep_nearest, now, CODE_THREADS,
                        c->matches.data, c->found.data, room, k, capacity, c->kept.data,
                        c->nearest.data);
        copy_found(c, c->kept.data, c->nearest.data, now, capacity, found + first,
                   out + first * capacity);
    }
}

static size_t codes_bytes(const device_codes *c)
{
    return bytes_of(c->codes, c->queries, c->histograms, c->limits, c->found, c->kept, c->matches,
                    c->nearest);
}

extern "C" const device_code_ops device_code_table = {
    in_table<codes_create>,  destroy,    in_table<codes_put>, in_table<codes_range>,
    in_table<codes_nearest>, codes_bytes
};
