/* lists.cu - lists of rows on the device, and the candidates for the nearest rows of the lists that
 * a query probes.
 *
 * The queries of a call are sorted by the lists they probe. A block compares 64 rows of a list with
 * 64 of its queries, so a row is read once for these. The distances of a query are adjacent, in the
 * order of its lists; a block per query selects from them (select.h).
 *
 * Differences are squared and added up, so a distance of d components is within a factor of
 * 1 +- g of the exact one, g = (d + 2) u / (1 - (d + 2) u), u = 2^-24; so is the one that the
 * processor computes. Between the two is a factor of at most 1 +- c, c = (d + 16) 2^-22. */
#include <algorithm>

#include "kernels/cuda/lists.h"
#include "kernels/cuda/select.h"
#include "kernels/cuda/tiles.h"

/* The distances of a call's queries take at most this share of the device's memory. */
static constexpr size_t SCORES_OF_MEMORY = 8;
static constexpr size_t LIST_QUERIES = 1024;

__global__ static void __launch_bounds__(TILE_THREADS)
    compare_lists(const list_item *items, const list_entry *entries, const uint32_t *positions,
                  const float *rows, const float *queries, size_t dim, float *scores)
{
    __shared__ tile_rows shared;
    const list_item item = items[blockIdx.x];
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    float sum[EACH][EACH];
    tile_distances(
        [=](unsigned i) {
            return i < item.entries ? queries + entries[item.first_entry + i].query * dim : nullptr;
        },
        [=](unsigned i) {
            return i < item.rows ? rows + positions[item.first + i] * dim : nullptr;
        },
        dim, shared, sum);
    const float lower = 1.0f - list_error(dim);
    for (unsigned i = 0; i < EACH; i++) {
        const unsigned entry = y * EACH + i;
        if (entry >= item.entries)
            break;
        float *const to = scores + entries[item.first_entry + entry].scores + item.first_row;
        for (unsigned j = 0; j < EACH; j++)
            if (x + j * SIDE < item.rows)
                to[x + j * SIDE] = sum[i][j] * lower;
    }
}

/* A block per query. Candidates are numbered by their place among the query's distances. */
__global__ static void __launch_bounds__(SELECT_THREADS)
    select_from_lists(const float *scores, const uint64_t *starts, size_t dim, size_t k,
                      unsigned groups, float *minima, float *limits, size_t capacity,
                      uint32_t *found, device_candidate *out)
{
    const size_t query = blockIdx.x;
    const float c = list_error(dim);
    const float *const its = scores + starts[query];
    select_scores({ starts[query + 1] - starts[query], 0, k, groups, minima + query * groups,
                    limits + query, (1.0f + 2 * c) / (1.0f - 2 * c), 1e-37f, capacity,
                    found + query, out + query * capacity },
                  [=](size_t i) { return its[i]; });
}

/* Replaces the numbers of candidates by the positions of their rows. */
__global__ static void __launch_bounds__(SELECT_THREADS)
    name_candidates(const uint32_t *probes, const uint64_t *probe_starts, size_t nprobe,
                    const uint64_t *list_starts, const uint32_t *positions, size_t capacity,
                    const uint32_t *found, device_candidate *candidates)
{
    const size_t query = blockIdx.x;
    const list_names names = { probes + query * nprobe, probe_starts + query * nprobe, nprobe,
                               list_starts };
    const size_t n = found[query] < capacity ? found[query] : capacity;
    for (size_t i = threadIdx.x; i < n; i += SELECT_THREADS) {
        device_candidate &candidate = candidates[query * capacity + i];
        candidate.position = positions[names.of(candidate.position)];
    }
}

static void lists_create(device_session *session, device_lists **out)
{
    size_t free_bytes;
    auto made = make_in(session, out);
    session->check(cudaMemGetInfo(&free_bytes, &made->memory_bytes),
                   "asking for the device's memory");
    *out = made.release();
}

static void lists_put(device_lists *l, const uint32_t *positions, const uint32_t *codes,
                      const uint64_t *starts, size_t n)
{
    const char *const what = "copying lists to the device";
    l->n = 0;
    l->starts.assign(starts, starts + n + 1);
    l->session->fill(l->positions, positions, starts[n], what);
    if (codes)
        l->session->fill(l->codes, codes, starts[n], what);
    l->session->fill(l->list_starts, starts, n + 1, what);
    l->n = n;
}

static uint64_t list_rows(const device_lists *l, uint32_t list)
{
    return list == DEVICE_NO_LIST ? 0 : l->starts[list + 1] - l->starts[list];
}

/* How many of the queries fit into a call: at least one. Sets query_starts and probe_starts. */
static size_t queries_of_call(device_lists *l, const uint32_t *probes, size_t nq, size_t nprobe)
{
    const uint64_t most = l->memory_bytes / SCORES_OF_MEMORY / sizeof(float);
    uint64_t scores = 0;
    l->query_starts.assign(1, 0);
    l->probe_starts.clear();
    for (size_t q = 0; q < nq && q < LIST_QUERIES; q++) {
        uint64_t rows = 0;
        for (size_t p = 0; p < nprobe; p++)
            rows += list_rows(l, probes[q * nprobe + p]);
        if (q > 0 && scores + rows > most)
            return q;
        uint64_t start = 0;
        for (size_t p = 0; p < nprobe; p++) {
            l->probe_starts.push_back(start);
            start += list_rows(l, probes[q * nprobe + p]);
        }
        l->query_starts.push_back(scores += rows);
    }
    return nq < LIST_QUERIES ? nq : LIST_QUERIES;
}

/* Sorts the probes of nq queries by list, and cuts each list with its queries into items. */
static void plan_items(device_lists *l, const uint32_t *probes, size_t nq, size_t nprobe,
                       size_t tile_rows)
{
    l->probed.assign(l->n + 1, 0);
    for (size_t i = 0; i < nq * nprobe; i++)
        if (probes[i] != DEVICE_NO_LIST)
            l->probed[probes[i] + 1]++;
    for (size_t list = 0; list < l->n; list++)
        l->probed[list + 1] += l->probed[list];
    l->entries.resize(l->probed[l->n]);
    std::vector<uint32_t> next(l->probed.begin(), l->probed.end() - 1);
    for (size_t i = 0; i < nq * nprobe; i++)
        if (probes[i] != DEVICE_NO_LIST)
            l->entries[next[probes[i]]++] = { l->query_starts[i / nprobe] + l->probe_starts[i],
                                              static_cast<uint32_t>(i / nprobe),
                                              static_cast<uint32_t>(i) };
    l->items.clear();
    for (size_t list = 0; list < l->n; list++) {
        const uint64_t rows = list_rows(l, static_cast<uint32_t>(list));
        for (uint32_t entry = l->probed[list]; entry < l->probed[list + 1]; entry += ITEM_QUERIES)
            for (uint64_t row = 0; row < rows; row += tile_rows)
                l->items.push_back(
                    { l->starts[list] + row,
                      static_cast<uint32_t>(std::min<uint64_t>(tile_rows, rows - row)),
                      static_cast<uint32_t>(row), entry,
                      std::min<uint32_t>(ITEM_QUERIES, l->probed[list + 1] - entry) });
    }
}

void device_lists_check(device_lists *l, const uint32_t *probes, size_t nq, size_t nprobe)
{
    for (size_t i = 0; i < nq * nprobe; i++)
        if (probes[i] != DEVICE_NO_LIST && probes[i] >= l->n)
            l->session->fail(DEVICE_REFUSED, "CUDA: list %u of %zu", probes[i], l->n);
}

size_t device_lists_plan(device_lists *l, const uint32_t *probes, size_t nq, size_t nprobe,
                         size_t tile_rows)
{
    const size_t now = queries_of_call(l, probes, nq, nprobe);
    plan_items(l, probes, now, nprobe, tile_rows);
    return now;
}

void device_lists_start(device_lists *l, size_t dim, const float *queries, size_t nq,
                        const uint32_t *probes, size_t nprobe, size_t capacity)
{
    device_session *session = l->session;
    const char *const what = "copying queries to the device", *const room = "room for the queries";
    session->fill(l->queries, queries, nq * dim, what);
    session->fill(l->probes, probes, nq * nprobe, what);
    session->fill(l->device_entries, l->entries.data(), l->entries.size(), what);
    session->fill(l->device_items, l->items.data(), l->items.size(), what);
    session->fill(l->device_query_starts, l->query_starts.data(), nq + 1, what);
    session->fill(l->device_probe_starts, l->probe_starts.data(), nq * nprobe, what);
    session->reserve(l->scores, l->query_starts[nq], "room for the distances");
    session->reserve(l->found, nq, room);
    session->reserve(l->candidates, nq * capacity, "room for the candidates");
    session->check(cudaMemset(l->found.data, 0, nq * sizeof *l->found.data), room);
}

void device_lists_finish(device_lists *l, size_t nq, size_t capacity, uint32_t *found,
                         device_candidate *out)
{
    l->session->copy_out(found, l->found.data, nq, "selecting the nearest rows");
    l->session->copy_out(out, l->candidates.data, nq * capacity, "copying the candidates back");
}

static void start_limits(device_lists *l, size_t nq, unsigned groups)
{
    device_session *session = l->session;
    session->reserve(l->minima, nq * groups, "room for the queries");
    session->reserve(l->limits, nq, "room for the queries");
    launch(fill_floats, blocks_for(nq * groups, SELECT_THREADS), SELECT_THREADS, l->minima.data,
           nq * groups, INFINITY);
    session->launch("preparing the queries", fill_floats, blocks_for(nq, SELECT_THREADS),
                    SELECT_THREADS, l->limits.data, nq, INFINITY);
}

static void run_call(device_lists *l, const device_rows *rows, size_t nq, size_t nprobe, size_t k,
                     unsigned groups, size_t capacity)
{
    device_session *session = l->session;
    const unsigned blocks = static_cast<unsigned>(nq);
    if (!l->items.empty()) {
        session->launch("comparing queries with lists", compare_lists,
                        static_cast<unsigned>(l->items.size()), TILE_THREADS, l->device_items.data,
                        l->device_entries.data, l->positions.data, rows->rows.data, l->queries.data,
                        rows->dim, l->scores.data);
    }
    session->launch("selecting the nearest rows", select_from_lists, blocks, SELECT_THREADS,
                    l->scores.data, l->device_query_starts.data, rows->dim, k, groups,
                    l->minima.data, l->limits.data, capacity, l->found.data, l->candidates.data);
    session->launch("naming the candidates", name_candidates, blocks, SELECT_THREADS,
                    l->probes.data, l->device_probe_starts.data, nprobe, l->list_starts.data,
                    l->positions.data, capacity, l->found.data, l->candidates.data);
}

static void lists_candidates(device_lists *l, const device_rows *rows, const float *queries,
                             size_t nq, const uint32_t *probes, size_t nprobe, size_t k,
                             size_t capacity, uint32_t *found, device_candidate *out)
{
    if (k == 0 || k > DEVICE_MAX_K || nprobe == 0 || rows->metric != DEVICE_L2SQ)
        l->session->fail(DEVICE_REFUSED,
                         "CUDA: the %zu nearest rows of %zu lists: expected 1 to %d nearest, "
                         "at least one list, and squared distances",
                         k, nprobe, static_cast<int>(DEVICE_MAX_K));
    device_lists_check(l, probes, nq, nprobe);
    const unsigned groups = select_groups(k);
    for (size_t first = 0, now; first < nq; first += now) {
        const uint32_t *const its = probes + first * nprobe;
        now = device_lists_plan(l, its, nq - first, nprobe, TILE);
        device_lists_start(l, rows->dim, queries + first * rows->dim, now, its, nprobe, capacity);
        start_limits(l, now, groups);
        run_call(l, rows, now, nprobe, k, groups, capacity);
        device_lists_finish(l, now, capacity, found + first, out + first * capacity);
    }
}

static size_t lists_bytes(const device_lists *l)
{
    return bytes_of(l->positions, l->codes, l->list_starts, l->device_entries, l->device_items,
                    l->device_query_starts, l->device_probe_starts, l->probes, l->found, l->queries,
                    l->scores, l->minima, l->limits, l->candidates);
}

extern "C" const device_list_ops device_list_table = { in_table<lists_create>, destroy,
                                                       in_table<lists_put>,
                                                       in_table<lists_candidates>, lists_bytes };
