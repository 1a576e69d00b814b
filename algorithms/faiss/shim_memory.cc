// shim_memory.cc - the memory of a FAISS index: section 4 of shim.h.
#include "algorithms/faiss/shim_internal.h"

#include <faiss/IndexFastScan.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexFlatCodes.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/VectorTransform.h>
#include <faiss/impl/ProductQuantizer.h>
#include <faiss/invlists/BlockInvertedLists.h>
#include <faiss/invlists/InvertedLists.h>

using faiss::Index;
using namespace faiss_shim;

namespace
{

// A map of libstdc++: a pointer per bucket, and nodes with a link and the pair.
template <class M> uint64_t held_by_map(const M &map)
{
    return map.bucket_count() * sizeof(void *) +
           map.size() * (sizeof(void *) + sizeof(typename M::value_type));
}

void add_lists(const faiss::InvertedLists *lists, uint64_t *rows, uint64_t *ids)
{
    if (auto array = dynamic_cast<const faiss::ArrayInvertedLists *>(lists)) {
        for (size_t i = 0; i < array->nlist; i++) {
            *rows += held(array->codes[i]) + sizeof array->codes[i];
            *ids += held(array->ids[i]) + sizeof array->ids[i];
        }
    } else if (auto block = dynamic_cast<const faiss::BlockInvertedLists *>(lists)) {
        for (size_t i = 0; i < block->nlist; i++) {
            *rows += block->codes[i].size() + sizeof block->codes[i];
            *ids += held(block->ids[i]) + sizeof block->ids[i];
        }
    }
}

void add_graph(const faiss::HNSW &hnsw, struct memory_use *use)
{
    use->graph += held(hnsw.neighbors) + held(hnsw.levels) + held(hnsw.offsets);
}

void add_codebook(const faiss::ProductQuantizer &pq, struct memory_use *use)
{
    use->other += held(pq.centroids);
}

void add_layer(const Index *layer, bool is_quantizer, struct memory_use *use)
{
    if (auto map = dynamic_cast<const faiss::IndexIDMap *>(layer)) {
        use->ids += held(map->id_map);
        if (auto map2 = dynamic_cast<const faiss::IndexIDMap2 *>(map))
            use->ids += held_by_map(map2->rev_map);
    } else if (auto ivf = dynamic_cast<const faiss::IndexIVF *>(layer)) {
        add_lists(ivf->invlists, is_exactly<faiss::IndexIVFFlat>(ivf) ? &use->vectors : &use->codes,
                  &use->ids);
        use->ids += held_by_map(ivf->direct_map.hashtable);
        if (auto ivfpq = dynamic_cast<const faiss::IndexIVFPQ *>(layer)) {
            add_codebook(ivfpq->pq, use);
            use->other += ivfpq->precomputed_table.size() * sizeof(float);
        } else if (auto fast = dynamic_cast<const faiss::IndexIVFPQFastScan *>(layer)) {
            add_codebook(fast->pq, use);
            use->other += fast->precomputed_table.size() * sizeof(float);
        }
    } else if (auto codes = dynamic_cast<const faiss::IndexFlatCodes *>(layer)) {
        const bool full = dynamic_cast<const faiss::IndexFlat *>(layer) != nullptr;
        *(is_quantizer ? &use->other : full ? &use->vectors : &use->codes) += held(codes->codes);
        if (auto pq = dynamic_cast<const faiss::IndexPQ *>(layer))
            add_codebook(pq->pq, use);
    } else if (auto scan = dynamic_cast<const faiss::IndexFastScan *>(layer)) {
        use->codes += scan->codes.size();
        if (auto pq = dynamic_cast<const faiss::IndexPQFastScan *>(layer))
            add_codebook(pq->pq, use);
    } else if (auto hnsw = dynamic_cast<const faiss::IndexHNSW *>(layer)) {
        add_graph(hnsw->hnsw, use);
    } else if (auto transform = dynamic_cast<const faiss::IndexPreTransform *>(layer)) {
        for (const faiss::VectorTransform *step : transform->chain) {
            if (auto linear = dynamic_cast<const faiss::LinearTransform *>(step))
                use->other += held(linear->A) + held(linear->b);
        }
    }
}

} // namespace

void faiss_shim_memory(const struct faiss_library *library, struct memory_use *use)
{
    if (library->codes)
        add_memory_of_codes(library->codes, use);
    if (!library->rows)
        return;
    Index *root = of(library->rows);
    const Index *quantizer = nullptr;
    for_each_layer(root, [&](Index *layer) {
        add_layer(layer, layer == quantizer, use);
        if (auto ivf = dynamic_cast<const faiss::IndexIVF *>(layer))
            quantizer = ivf->quantizer;
    });
}
