// shim_internal.h - shared by the C++ files of the shim: FAISS's objects behind the C API's
// handles, traversal of an index's layers, threads.
#ifndef DRIFTLINE_FAISS_SHIM_INTERNAL_H
#define DRIFTLINE_FAISS_SHIM_INTERNAL_H

#include "algorithms/common/baseline/shim.h"
#include "algorithms/common/concurrency/blas_threads.h"
#include "algorithms/faiss/shim.h"

#include <cstdint>
#include <memory>
#include <typeinfo>
#include <vector>

#include <faiss/Index.h>
#include <faiss/IndexBinary.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>

namespace faiss_shim
{

// FAISS's type of ids: Index::idx_t in 1.7.3, faiss::idx_t from 1.7.4 on.
using idx = decltype(faiss::Index::ntotal);

// Bytes of a std::vector, or of what is one from FAISS 1.11 on: a MaybeOwnedVector, which has no
// capacity().
template <class V> auto held(const V &v, int) -> decltype(uint64_t(v.capacity()))
{
    return v.capacity() * sizeof *v.data();
}
template <class V> uint64_t held(const V &v, long)
{
    return v.size() * sizeof *v.data();
}
template <class V> uint64_t held(const V &v)
{
    return held(v, 0);
}

// The C API's handles are pointers to FAISS's objects.
inline faiss::Index *of(FaissIndex *index)
{
    return reinterpret_cast<faiss::Index *>(index);
}
inline const faiss::Index *of(const FaissIndex *index)
{
    return reinterpret_cast<const faiss::Index *>(index);
}

inline faiss::IndexBinary *of(FaissIndexBinary *index)
{
    return reinterpret_cast<faiss::IndexBinary *>(index);
}

inline const faiss::IndexBinary *of(const FaissIndexBinary *index)
{
    return reinterpret_cast<const faiss::IndexBinary *>(index);
}

// shim_binary.cc: what functions of shim.h do for codes.
void seed_codes(FaissIndexBinary *, int seed);
void shape_of_codes(const FaissIndexBinary *, faiss_shim_shape *);
const faiss::InvertedLists *lists_of_codes(const FaissIndexBinary *);
const std::vector<idx> *id_map_of_codes(const FaissIndexBinary *); // nullptr: none
void add_memory_of_codes(const FaissIndexBinary *, memory_use *);

// Whether the index is a T itself, not of a class derived from it.
template <class... T> bool is_exactly(const faiss::Index *index)
{
    return ((typeid(*index) == typeid(T)) || ...);
}

// Calls visit(layer) for the index and every index inside it, the outermost first.
template <class F> void for_each_layer(faiss::Index *index, F visit)
{
    visit(index);
    if (auto map = dynamic_cast<faiss::IndexIDMap *>(index)) {
        for_each_layer(map->index, visit);
    } else if (auto transform = dynamic_cast<faiss::IndexPreTransform *>(index)) {
        for_each_layer(transform->index, visit);
    } else if (auto refine = dynamic_cast<faiss::IndexRefine *>(index)) {
        for_each_layer(refine->base_index, visit);
        for_each_layer(refine->refine_index, visit);
    } else if (auto ivf = dynamic_cast<faiss::IndexIVF *>(index)) {
        for_each_layer(ivf->quantizer, visit);
    } else if (auto hnsw = dynamic_cast<faiss::IndexHNSW *>(index)) {
        for_each_layer(hnsw->storage, visit);
    }
}

// One thread of OpenBLAS in each of ours, while it lives.
struct blas_alone {
    blas_alone()
    {
        blas_threads_one();
    }
    ~blas_alone()
    {
        blas_threads_back();
    }
    blas_alone(const blas_alone &) = delete;
    blas_alone &operator=(const blas_alone &) = delete;
};

// While it lives, inverted files with a flat index of centroids find a row's centroid with several
// threads. `index` and the threads are borrowed.
class divided_centroids
{
    struct loan;
    std::vector<std::unique_ptr<loan>> loans;

public:
    divided_centroids(faiss::Index *index, const faiss_shim_threads &);
    ~divided_centroids();
};

} // namespace faiss_shim

#endif
