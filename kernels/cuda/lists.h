/* lists.h - rows and lists of rows on the device, and the plan of a call: which rows each block
 * compares with which queries. lists.cu has the functions; rabitq.cu compares codes by the same
 * plan. */
#ifndef DRIFTLINE_CUDA_LISTS_H
#define DRIFTLINE_CUDA_LISTS_H

#include <vector>

#include "kernels/cuda/session.h"

/* What rows.cu has on the device. */
struct device_rows {
    device_session *session;
    device_metric metric;
    size_t dim, n = 0;
    size_t tile_rows;                     /* a multiple of SELECT_MAX_GROUPS */
    size_t memory_bytes;                  /* of the device */
    device_array<float> rows, lengths_sq; /* n x dim, n */
    device_array<unsigned> longest_sq;    /* the bits of a float */
    device_array<uint8_t> bytes;
    device_array<float> queries, query_lengths_sq, scores, minima, limits;
    device_array<uint32_t> found, kept;
    device_array<float> refined;
    device_array<device_candidate> candidates, nearest; /* before and after they are refined */
};

/* Queries of an item at most. */
enum { ITEM_QUERIES = 64 };

/* A query that probes a list: where the scores of the list's rows go, and which of the call's
   probes it is. */
struct list_entry {
    uint64_t scores;
    uint32_t query, probe;
};

/* The work of a block: rows [first, first + rows) of the positions, the entries from first_entry
   on. */
struct list_item {
    uint64_t first;
    uint32_t rows, first_row; /* first_row: of the list */
    uint32_t first_entry, entries;
};

struct device_lists {
    device_session *session;
    size_t memory_bytes = 0, n = 0;
    std::vector<uint64_t> starts; /* n + 1 */
    device_array<uint32_t> positions, codes;
    device_array<uint64_t> list_starts;
    /* of a call */
    std::vector<list_entry> entries;
    std::vector<list_item> items;
    std::vector<uint64_t> query_starts, probe_starts;
    std::vector<uint32_t> probed; /* by list: where its entries begin */
    device_array<list_entry> device_entries;
    device_array<list_item> device_items;
    device_array<uint64_t> device_query_starts, device_probe_starts;
    device_array<uint32_t> probes, found;
    device_array<float> queries, scores, minima, limits;
    device_array<device_candidate> candidates;
};

/* Where a kernel finds the rows behind a query's scores. */
struct list_names {
    const uint32_t *probes; /* the query's, [nprobe] */
    const uint64_t *starts; /* the first score of each probe, [nprobe] */
    size_t nprobe;
    const uint64_t *list_starts;

    /* Score i of the query is that of this place among the positions. */
    __device__ uint64_t of(uint64_t i) const
    {
        size_t low = 0, high = nprobe; /* the last list that begins at i or before, and has rows */
        while (high - low > 1) {
            const size_t middle = low + (high - low) / 2;
            if (starts[middle] <= i)
                low = middle;
            else
                high = middle;
        }
        return list_starts[probes[low]] + (i - starts[low]);
    }
};

/* The factor between two squared distances in single precision of the same rows (lists.cu). */
__device__ inline float list_error(size_t dim)
{
    return (static_cast<float>(dim) + 16.0f) * 0x1p-22f;
}

/* Refuses a list that does not exist. */
void device_lists_check(device_lists *, const uint32_t *probes, size_t nq, size_t nprobe);
/* Plans a call for as many of the nq queries as fit, at least one, and returns their number; items
   of tile_rows rows at most. */
size_t device_lists_plan(device_lists *, const uint32_t *probes, size_t nq, size_t nprobe,
                         size_t tile_rows);
/* Copies the queries and the plan of nq queries, makes room for scores and candidates, and sets
   `found` to 0. */
void device_lists_start(device_lists *, size_t dim, const float *queries, size_t nq,
                        const uint32_t *probes, size_t nprobe, size_t capacity);
/* Copies found and the candidates of nq queries back. */
void device_lists_finish(device_lists *, size_t nq, size_t capacity, uint32_t *found,
                         device_candidate *out);

#endif
