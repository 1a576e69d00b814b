// shim_hnsw.cc - FAISS's HNSW with counted distances, which FAISS 1.7.3 lacks: section 5 of shim.h.
#include "algorithms/faiss/shim_internal.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/utils/distances.h>

using faiss::Index;
using namespace faiss_shim;

namespace
{

// An IndexFlat that counts the distances computed by searches. The computers are copies of FAISS's
// FlatL2Dis and FlatIPDis, which FAISS does not export.
struct counting_flat : faiss::IndexFlat {
    mutable std::atomic<uint64_t> distances{ 0 };

    using faiss::IndexFlat::IndexFlat;
    faiss::FlatCodesDistanceComputer *get_FlatCodesDistanceComputer() const override;
};

template <float (*distance)(const float *, const float *, size_t)>
struct counting_computer final : faiss::FlatCodesDistanceComputer {
    const counting_flat &storage;
    const float *query = nullptr;
    uint64_t counted = 0;

    explicit counting_computer(const counting_flat &s)
        : faiss::FlatCodesDistanceComputer(s.codes.data(), s.code_size), storage(s)
    {
    }
    ~counting_computer() override
    {
        storage.distances.fetch_add(counted, std::memory_order_relaxed);
    }
    void set_query(const float *x) override
    {
        query = x;
    }
    float distance_to_code(const uint8_t *code) override
    {
        counted++;
        return distance(query, reinterpret_cast<const float *>(code), size_t(storage.d));
    }
    float symmetric_dis(idx i, idx j) override
    {
        const float *rows = storage.get_xb();
        return distance(rows + j * storage.d, rows + i * storage.d, size_t(storage.d));
    }
};

faiss::FlatCodesDistanceComputer *counting_flat::get_FlatCodesDistanceComputer() const
{
    if (metric_type == faiss::METRIC_INNER_PRODUCT)
        return new counting_computer<faiss::fvec_inner_product>(*this);
    return new counting_computer<faiss::fvec_L2sqr>(*this);
}

// The IndexHNSW, inside the IDMap if there is one.
const faiss::IndexHNSW *hnsw_of(const FaissIndex *index)
{
    auto outer = reinterpret_cast<const Index *>(index);
    auto map = dynamic_cast<const faiss::IndexIDMap *>(outer);
    return dynamic_cast<const faiss::IndexHNSW *>(map ? map->index : outer);
}

} // namespace

int faiss_shim_hnsw_new(FaissIndex **out, size_t dim, FaissMetricType metric, int M,
                        int ef_construction, uint64_t seed, struct error *err)
{
    return baseline_guarded(err, "FAISS", "create", [&] {
        const auto kind =
            metric == METRIC_INNER_PRODUCT ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2;
        auto made = std::make_unique<faiss::IndexHNSWFlat>(int(dim), M, kind);
        auto storage = std::make_unique<counting_flat>(idx(dim), kind);
        delete made->storage;
        made->storage = storage.release();
        made->hnsw.efConstruction = ef_construction;
        made->hnsw.rng = faiss::RandomGenerator(int64_t(seed));
        *out = reinterpret_cast<FaissIndex *>(static_cast<Index *>(made.release()));
        return OK;
    });
}

int faiss_shim_hnsw_adopt(FaissIndex *index, uint64_t seed, struct error *err)
{
    return baseline_guarded(err, "FAISS", "load", [&] {
        auto hnsw = const_cast<faiss::IndexHNSW *>(hnsw_of(index));
        auto flat = hnsw ? dynamic_cast<faiss::IndexFlat *>(hnsw->storage) : nullptr;
        if (!flat)
            return fail(err, ERR_CORRUPT,
                        "load: the file holds no FAISS HNSW index with full vectors");
        auto storage = std::make_unique<counting_flat>(flat->d, flat->metric_type);
        std::swap(storage->codes, flat->codes);
        storage->ntotal = flat->ntotal;
        delete flat;
        hnsw->storage = storage.release();
        hnsw->own_fields = true;
        hnsw->hnsw.rng = faiss::RandomGenerator(int64_t(seed));
        return int(OK);
    });
}

void faiss_shim_hnsw_set_ef(FaissIndex *index, int ef_search)
{
    const_cast<faiss::IndexHNSW *>(hnsw_of(index))->hnsw.efSearch = ef_search;
}

uint64_t faiss_shim_hnsw_take_distances(const FaissIndex *index)
{
    auto storage = dynamic_cast<const counting_flat *>(hnsw_of(index)->storage);
    return storage ? storage->distances.exchange(0) : 0;
}

void faiss_shim_hnsw_graph(const FaissIndex *index, size_t *links, int *max_level)
{
    const faiss::HNSW &hnsw = hnsw_of(index)->hnsw;
    const auto *neighbors = hnsw.neighbors.data();
    *links = size_t(std::count_if(neighbors, neighbors + hnsw.neighbors.size(),
                                  [](int to) { return to >= 0; }));
    *max_level = hnsw.max_level;
}
