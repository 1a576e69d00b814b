// shim.cc - functions that a fair comparison needs and FAISS's C API lacks: sections 1 to 4 of
// shim.h, except memory, which is in shim_memory.cc.
#include "algorithms/faiss/shim_internal.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include <faiss/Index2Layer.h>
#include <faiss/IndexFastScan.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexFlatCodes.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFastScan.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexIVFPQR.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/impl/ProductQuantizer.h>
#include <faiss/invlists/DirectMap.h>
#include <faiss/invlists/InvertedLists.h>

using faiss::Index;
using namespace faiss_shim;

namespace
{

// The layers around the index that holds the rows.
struct anatomy {
    const faiss::IndexIDMap *id_map = nullptr;
    const faiss::IndexRefine *refine = nullptr;
    const Index *core = nullptr;
    const faiss::IndexIVF *ivf = nullptr;
};

anatomy dissect(const Index *index)
{
    anatomy a;
    for (;;) {
        if (auto map = dynamic_cast<const faiss::IndexIDMap *>(index)) {
            a.id_map = a.id_map ? a.id_map : map;
            index = map->index;
        } else if (auto transform = dynamic_cast<const faiss::IndexPreTransform *>(index)) {
            index = transform->index;
        } else if (auto refine = dynamic_cast<const faiss::IndexRefine *>(index)) {
            a.refine = refine;
            index = refine->base_index;
        } else {
            break;
        }
    }
    a.core = index;
    a.ivf = dynamic_cast<const faiss::IndexIVF *>(index);
    return a;
}

bool is_flat(const Index *index)
{
    return is_exactly<faiss::IndexFlat, faiss::IndexFlatL2, faiss::IndexFlatIP>(index);
}

bool keeps_ids(const Index *index)
{
    if (auto transform = dynamic_cast<const faiss::IndexPreTransform *>(index))
        return keeps_ids(transform->index);
    return dynamic_cast<const faiss::IndexIDMap *>(index) ||
           dynamic_cast<const faiss::IndexIVF *>(index);
}

// FAISS would throw inside a parallel region in these cases, which ends the process: they are
// refused.
const char *why_no_remove(const anatomy &a)
{
    if (a.refine)
        return "FAISS's refined indexes (RFlat, Refine) have no remove";
    if (dynamic_cast<const faiss::IndexIVFFastScan *>(a.core))
        return "removing from IVF fast-scan lists (x4fs, RaBitQfs) kills the process in FAISS "
               "1.7.3";
    if (dynamic_cast<const faiss::IndexIVFPQR *>(a.core))
        return "FAISS's IVFPQ with refinement (PQx+y) has no remove";
    if (a.ivf || dynamic_cast<const faiss::IndexFlatCodes *>(a.core) ||
        dynamic_cast<const faiss::IndexFastScan *>(a.core))
        return nullptr;
    return "FAISS's graphs and composite quantisers have no remove";
}

const char *why_no_range(const anatomy &a)
{
    if (a.refine)
        return "FAISS's refined indexes (RFlat, Refine) have no range search";
    if (is_flat(a.core) ||
        is_exactly<faiss::IndexIVFFlat, faiss::IndexIVFPQ, faiss::IndexIVFScalarQuantizer>(a.core))
        return nullptr;
    return "range search is offered for FAISS's Flat, IVF Flat, IVF PQ and IVF SQ, which 1.7.3 has "
           "it for";
}

const char *why_no_filter(const anatomy &a)
{
    if (a.refine)
        return "FAISS 1.7.3's refined indexes (RFlat, Refine) take no filter";
    if (is_flat(a.core) || is_exactly<faiss::IndexScalarQuantizer, faiss::IndexIVFFlat,
                                      faiss::IndexIVFPQ, faiss::IndexIVFScalarQuantizer>(a.core))
        return nullptr;
    return "FAISS 1.7.3 takes filters for Flat, SQ, IVF Flat, IVF PQ and IVF SQ only (HNSW ignores "
           "them)";
}

void seed_clustering(faiss::ClusteringParameters &cp, int seed)
{
    cp.seed = seed;
    cp.min_points_per_centroid = 1; // only decides whether FAISS prints a warning
}

} // namespace

void faiss_shim_set_seed(const struct faiss_library *library, int seed)
{
    if (library->codes) {
        seed_codes(library->codes, seed);
        return;
    }
    for_each_layer(of(library->rows), [seed](Index *layer) {
        if (auto ivf = dynamic_cast<faiss::IndexIVF *>(layer))
            seed_clustering(ivf->cp, seed);
        if (auto ivfpq = dynamic_cast<faiss::IndexIVFPQ *>(layer))
            seed_clustering(ivfpq->pq.cp, seed);
        if (auto ivfpqr = dynamic_cast<faiss::IndexIVFPQR *>(layer))
            seed_clustering(ivfpqr->refine_pq.cp, seed);
        if (auto fast = dynamic_cast<faiss::IndexIVFPQFastScan *>(layer))
            seed_clustering(fast->pq.cp, seed);
        if (auto pq = dynamic_cast<faiss::IndexPQ *>(layer))
            seed_clustering(pq->pq.cp, seed);
        if (auto fast = dynamic_cast<faiss::IndexPQFastScan *>(layer))
            seed_clustering(fast->pq.cp, seed);
    });
}

int faiss_shim_train(FaissIndex *index, const struct faiss_shim_threads *t, size_t n,
                     const float *rows, int seed)
{
    const blas_alone alone;
    faiss_shim_set_threads(t->threads);
    return baseline_guarded(t->err, "FAISS", "train", [&] {
        // OPQ creates product quantizers for its training; one passed to it can be seeded and
        // silenced as well.
        std::vector<std::unique_ptr<faiss::ProductQuantizer>> lent;
        std::vector<faiss::OPQMatrix *> borrowers;
        for_each_layer(of(index), [&](Index *layer) {
            auto transform = dynamic_cast<faiss::IndexPreTransform *>(layer);
            for (size_t i = 0; transform && i < transform->chain.size(); i++) {
                if (auto opq = dynamic_cast<faiss::OPQMatrix *>(transform->chain[i])) {
                    const size_t bits = 8; // as in OPQMatrix::train
                    lent.push_back(std::make_unique<faiss::ProductQuantizer>(size_t(opq->d_out),
                                                                             size_t(opq->M), bits));
                    seed_clustering(lent.back()->cp, seed);
                    opq->pq = lent.back().get();
                    borrowers.push_back(opq);
                }
            }
        });
        const auto give_back = [&] {
            for (faiss::OPQMatrix *opq : borrowers)
                opq->pq = nullptr;
        };
        try {
            const divided_centroids divided(of(index), *t);
            of(index)->train(idx(n), rows);
        } catch (...) {
            give_back();
            throw;
        }
        give_back();
        return OK;
    });
}

void faiss_shim_get_shape(const struct faiss_library *library, struct faiss_shim_shape *shape)
{
    *shape = {};
    if (library->codes) {
        shape_of_codes(library->codes, shape);
        return;
    }
    const anatomy a = dissect(of(library->rows));
    shape->own_ids = keeps_ids(of(library->rows));
    shape->is_refined = a.refine != nullptr;
    shape->no_remove = why_no_remove(a);
    shape->no_range = why_no_range(a);
    shape->no_filter = why_no_filter(a);
    shape->has_ef_search = dynamic_cast<const faiss::IndexHNSW *>(a.core) != nullptr;
    if (a.ivf) {
        shape->nlist = a.ivf->nlist;
        shape->has_quantizer_ef_search =
            dynamic_cast<const faiss::IndexHNSW *>(a.ivf->quantizer) != nullptr;
        shape->code_bytes = a.ivf->code_size;
        shape->centroid_bytes = size_t(a.ivf->d) * sizeof(float);
        shape->scan = !is_flat(a.ivf->quantizer)               ? FAISSX_SCAN_UNKNOWN
                      : is_exactly<faiss::IndexIVFFlat>(a.ivf) ? FAISSX_SCAN_EXACT
                                                               : FAISSX_SCAN_CODES;
    } else if (auto codes = dynamic_cast<const faiss::IndexFlatCodes *>(a.core)) {
        shape->code_bytes = codes->code_size;
        shape->scan = is_flat(a.core) ? FAISSX_SCAN_EXACT : FAISSX_SCAN_CODES;
    } else if (auto fast = dynamic_cast<const faiss::IndexFastScan *>(a.core)) {
        shape->code_bytes = size_t(fast->M2) / 2;
        shape->scan = FAISSX_SCAN_CODES;
    } else {
        shape->scan = FAISSX_SCAN_UNKNOWN;
    }
}

static const faiss::InvertedLists *lists_of(const struct faiss_library *library)
{
    return library->codes ? lists_of_codes(library->codes)
                          : dissect(of(library->rows)).ivf->invlists;
}

size_t faiss_shim_list_size(const struct faiss_library *library, size_t list)
{
    return lists_of(library)->list_size(list);
}

void faiss_shim_list_ids(const struct faiss_library *library, size_t list, uint64_t *ids)
{
    const faiss::InvertedLists *lists = lists_of(library);
    faiss::InvertedLists::ScopedIds held(lists, list);

    std::copy_n(reinterpret_cast<const uint64_t *>(held.get()), lists->list_size(list), ids);
}

const uint64_t *faiss_shim_id_map(const struct faiss_library *library, size_t *n)
{
    const std::vector<idx> *ids = nullptr;

    if (library->codes)
        ids = id_map_of_codes(library->codes);
    else if (auto map = dissect(of(library->rows)).id_map)
        ids = &map->id_map;
    if (!ids)
        return nullptr;
    *n = ids->size();
    return reinterpret_cast<const uint64_t *>(ids->data());
}

// --------------------------------------------------------------------------------- filtered search

namespace
{

struct allowed_ids : faiss::IDSelector {
    const id_filter *filter;
    // Plain counting: exact on one thread, and free of undefined behaviour on several.
    mutable std::atomic<uint64_t> passed{ 0 };

    explicit allowed_ids(const id_filter *f) : filter(f) {}
    bool is_member(idx signed_id) const override
    {
        if (!index_filter_allows(filter, uint64_t(signed_id)))
            return false;
        passed.store(passed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return true;
    }
};

// The IDMap of FAISS 1.7.3 refuses search parameters, so rows are translated to ids here.
struct mapped_ids : faiss::IDSelector {
    const std::vector<idx> &ids;
    const faiss::IDSelector &inner;
    mapped_ids(const std::vector<idx> &i, const faiss::IDSelector &s) : ids(i), inner(s) {}
    bool is_member(idx row) const override
    {
        return inner.is_member(ids[size_t(row)]);
    }
};

// Calls run(innermost index that takes parameters, parameters) and translates rows to ids after it.
template <class Run, class Translate>
void with_selector(const Index *index, faiss::IDSelector &selector, Run run, Translate translate)
{
    if (auto map = dynamic_cast<const faiss::IndexIDMap *>(index)) {
        mapped_ids rows(map->id_map, selector);
        with_selector(map->index, rows, run, translate);
        translate(map->id_map);
    } else if (auto ivf = dissect(index).ivf) {
        faiss::SearchParametersIVF parameters;
        parameters.sel = &selector;
        parameters.nprobe = ivf->nprobe;
        parameters.max_codes = ivf->max_codes;
        run(index, &parameters);
    } else {
        faiss::SearchParameters parameters;
        parameters.sel = &selector;
        run(index, &parameters);
    }
}

void translate_rows(const std::vector<idx> &ids, idx *labels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        labels[i] = labels[i] == -1 ? -1 : ids[size_t(labels[i])];
}

} // namespace

int faiss_shim_search_filtered(const FaissIndex *index, size_t n, const float *queries, size_t k,
                               const struct id_filter *filter, float *distances, uint64_t *labels,
                               uint64_t *passed, struct error *err)
{
    const blas_alone alone;
    return baseline_guarded(err, "FAISS", "search", [&] {
        allowed_ids allowed(filter);
        auto out = reinterpret_cast<idx *>(labels);
        with_selector(
            of(index), allowed,
            [&](const Index *inner, const faiss::SearchParameters *parameters) {
                inner->search(idx(n), queries, idx(k), distances, out, parameters);
            },
            [&](const std::vector<idx> &ids) { translate_rows(ids, out, n * k); });
        *passed = allowed.passed;
        return OK;
    });
}

int faiss_shim_range_filtered(const FaissIndex *index, size_t n, const float *queries, float radius,
                              const struct id_filter *filter, FaissRangeSearchResult *result,
                              uint64_t *passed, struct error *err)
{
    const blas_alone alone;
    return baseline_guarded(err, "FAISS", "range", [&] {
        allowed_ids allowed(filter);
        auto out = reinterpret_cast<faiss::RangeSearchResult *>(result);
        with_selector(
            of(index), allowed,
            [&](const Index *inner, const faiss::SearchParameters *parameters) {
                inner->range_search(idx(n), queries, radius, out, parameters);
            },
            [&](const std::vector<idx> &ids) { translate_rows(ids, out->labels, out->lims[n]); });
        *passed = allowed.passed;
        return OK;
    });
}

// --------------------------------------------------------------------------------- removal

int faiss_shim_use_hashtable(FaissIndex *index, struct error *err)
{
    return baseline_guarded(err, "FAISS", "create", [&] {
        dynamic_cast<faiss::IndexIVF &>(*of(index))
            .set_direct_map_type(faiss::DirectMap::Hashtable);
        return OK;
    });
}

int faiss_shim_remove_by_hashtable(FaissIndex *index, const uint64_t *ids, size_t n,
                                   size_t *removed, struct error *err)
{
    *removed = 0;
    return baseline_guarded(err, "FAISS", "remove", [&] {
        faiss::IDSelectorArray selector(n, reinterpret_cast<const idx *>(ids));
        *removed = of(index)->remove_ids(selector);
        return OK;
    });
}
