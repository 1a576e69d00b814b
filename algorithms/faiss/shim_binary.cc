// shim_binary.cc - FAISS's binary indexes, which its C API can use but not create: section 6 of
// shim.h.
#include "algorithms/faiss/shim_internal.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>

#include <faiss/IndexBinaryFlat.h>
#include <faiss/IndexBinaryHNSW.h>
#include <faiss/IndexBinaryHash.h>
#include <faiss/IndexBinaryIVF.h>
#include <faiss/IndexIDMap.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <faiss/invlists/InvertedLists.h>

using faiss::IndexBinary;
using namespace faiss_shim;

namespace
{

FaissIndexBinary *handle(IndexBinary *index)
{
    return reinterpret_cast<FaissIndexBinary *>(index);
}

// The index that holds the rows, inside the IDMap if there is one; nullptr if it is not a T.
template <class T> T *core(FaissIndexBinary *index)
{
    auto map = dynamic_cast<faiss::IndexBinaryIDMap *>(of(index));
    return dynamic_cast<T *>(map ? map->index : of(index));
}
template <class T> const T *core(const FaissIndexBinary *index)
{
    return core<T>(const_cast<FaissIndexBinary *>(index));
}

// Bytes of a small allocation: glibc's malloc adds 8 and rounds up to 16, at least 32.
uint64_t block(uint64_t bytes)
{
    return bytes == 0 ? 0 : std::max<uint64_t>(32, (bytes + 8 + 15) / 16 * 16);
}

// Bytes of a hash table without its values' own allocations: the array of buckets, and a node for
// each key, with a link and the pair.
template <class Map> uint64_t table_bytes(const Map &map)
{
    return map.bucket_count() * sizeof(void *) +
           map.size() * block(sizeof(void *) + sizeof(typename Map::value_type));
}

// Why FAISS would crash, leak, or ignore a part of the description; nullptr: it would not.
// Parses the description as index_binary_factory() does.
const char *fault_of(const char *description, int bits)
{
    int tables = 1, width = 1, lists = 1;
    if (std::sscanf(description, "BHash%dx%d", &tables, &width) < 2) {
        tables = 1;
        (void)std::sscanf(description, "BHash%d", &width);
    }
    (void)std::sscanf(description, "BIVF%d", &lists);
    // FAISS's mask is (1 << width) - 1: for 64 bits it is 0, and all codes share a bucket.
    if (width < 1 || width > 63)
        return "a hash has 1 to 63 bits";
    if (tables < 1 || tables > bits / width)
        return "there are at least one hash, and no more bits hashed than a code has";
    return lists < 1 ? "there is at least one list" : nullptr;
}

} // namespace

int faiss_shim_binary_factory(FaissIndexBinary **out, int bits, const char *description,
                              struct error *err)
{
    if (const char *fault = fault_of(description, bits))
        return fail(err, ERR_CONFIG, "FAISS's binary index \"%s\": %s", description, fault);
    try {
        *out = handle(faiss::index_binary_factory(bits, description));
        return OK;
    } catch (const std::exception &e) {
        return fail(err, ERR_CONFIG, "FAISS does not know the binary index \"%s\": %s", description,
                    e.what());
    }
}

int faiss_shim_binary_add_id_map(FaissIndexBinary **index, struct error *err)
{
    return baseline_guarded(err, "FAISS", "create", [&] {
        auto map = std::make_unique<faiss::IndexBinaryIDMap>(of(*index));
        map->own_fields = true;
        *index = handle(map.release());
        return OK;
    });
}

void faiss_shim::seed_codes(FaissIndexBinary *index, int seed)
{
    if (auto ivf = core<faiss::IndexBinaryIVF>(index)) {
        ivf->cp.seed = seed;
        ivf->cp.min_points_per_centroid = 1; // only decides whether FAISS prints a warning
    }
}

void faiss_shim::shape_of_codes(const FaissIndexBinary *index, faiss_shim_shape *shape)
{
    shape->code_bytes = shape->centroid_bytes = size_t(of(index)->code_size);
    shape->no_filter = "FAISS 1.7.3's binary indexes take no filter";
    shape->own_ids = dynamic_cast<const faiss::IndexBinaryIDMap *>(of(index)) != nullptr;
    if (auto ivf = core<faiss::IndexBinaryIVF>(index)) {
        shape->own_ids = true;
        shape->nlist = ivf->nlist;
        const bool flat = dynamic_cast<const faiss::IndexBinaryFlat *>(ivf->quantizer) != nullptr;
        shape->scan = flat ? FAISSX_SCAN_EXACT : FAISSX_SCAN_UNKNOWN;
    } else if (core<faiss::IndexBinaryHash>(index)) {
        shape->own_ids = true;
        shape->is_hash = true;
        shape->no_remove = "FAISS's binary hashes have no remove";
    } else if (core<faiss::IndexBinaryMultiHash>(index)) {
        shape->is_hash = shape->reads_past = true;
        shape->no_remove = "FAISS's binary hashes have no remove";
    } else if (core<faiss::IndexBinaryHNSW>(index)) {
        shape->has_ef_search = true;
        shape->scan = FAISSX_SCAN_UNKNOWN;
        shape->no_remove = "FAISS's graphs have no remove";
        shape->no_range = "FAISS's graphs have no range search";
    }
}

const faiss::InvertedLists *faiss_shim::lists_of_codes(const FaissIndexBinary *index)
{
    return core<faiss::IndexBinaryIVF>(index)->invlists;
}

const std::vector<faiss_shim::idx> *faiss_shim::id_map_of_codes(const FaissIndexBinary *index)
{
    auto map = dynamic_cast<const faiss::IndexBinaryIDMap *>(of(index));
    return map ? &map->id_map : nullptr;
}

void faiss_shim_binary_set_knob(FaissIndexBinary *index, int64_t value)
{
    if (auto ivf = core<faiss::IndexBinaryIVF>(index))
        ivf->nprobe = size_t(value);
    else if (auto hnsw = core<faiss::IndexBinaryHNSW>(index))
        hnsw->hnsw.efSearch = int(value);
    else if (auto hash = core<faiss::IndexBinaryHash>(index))
        hash->nflip = std::min(int(value), hash->b);
    else if (auto multi = core<faiss::IndexBinaryMultiHash>(index))
        multi->nflip = std::min(int(value), multi->b);
}

uint64_t faiss_shim_binary_take_hash_distances(void)
{
    const uint64_t counted = faiss::indexBinaryHash_stats.ndis;
    faiss::indexBinaryHash_stats.reset();
    return counted;
}

void faiss_shim::add_memory_of_codes(const FaissIndexBinary *index, memory_use *use)
{
    if (auto map = dynamic_cast<const faiss::IndexBinaryIDMap *>(of(index)))
        use->ids += held(map->id_map);
    if (auto ivf = core<faiss::IndexBinaryIVF>(index)) {
        if (auto lists = dynamic_cast<const faiss::ArrayInvertedLists *>(ivf->invlists)) {
            for (size_t i = 0; i < lists->nlist; i++) {
                use->vectors += held(lists->codes[i]) + sizeof lists->codes[i];
                use->ids += held(lists->ids[i]) + sizeof lists->ids[i];
            }
        }
        use->other += uint64_t(ivf->quantizer->ntotal) * uint64_t(ivf->code_size);
    } else if (auto hash = core<faiss::IndexBinaryHash>(index)) {
        use->other += table_bytes(hash->invlists);
        for (const auto &entry : hash->invlists) {
            use->vectors += block(held(entry.second.vecs));
            use->ids += block(held(entry.second.ids));
        }
    } else if (auto multi = core<faiss::IndexBinaryMultiHash>(index)) {
        use->vectors += held(multi->storage->xb);
        for (const auto &map : multi->maps) {
            use->other += table_bytes(map);
            for (const auto &entry : map)
                use->other += block(held(entry.second));
        }
    } else if (auto hnsw = core<faiss::IndexBinaryHNSW>(index)) {
        use->graph +=
            held(hnsw->hnsw.neighbors) + held(hnsw->hnsw.levels) + held(hnsw->hnsw.offsets);
        if (auto storage = dynamic_cast<const faiss::IndexBinaryFlat *>(hnsw->storage))
            use->vectors += held(storage->xb);
    } else if (auto flat = core<faiss::IndexBinaryFlat>(index)) {
        use->vectors += held(flat->xb);
    }
}

void faiss_shim_binary_buckets(const FaissIndexBinary *index, struct faiss_shim_buckets *to)
{
    *to = {};
    if (auto hash = core<faiss::IndexBinaryHash>(index)) {
        to->tables = 1;
        to->buckets = hash->invlists.size();
        for (const auto &entry : hash->invlists) {
            to->entries += entry.second.ids.size();
            to->largest = std::max(to->largest, entry.second.ids.size());
        }
    } else if (auto multi = core<faiss::IndexBinaryMultiHash>(index)) {
        to->tables = multi->maps.size();
        for (const auto &map : multi->maps) {
            to->buckets += map.size();
            for (const auto &entry : map) {
                to->entries += entry.second.size();
                to->largest = std::max(to->largest, entry.second.size());
            }
        }
    }
}

void faiss_shim_binary_hash_ids(const FaissIndexBinary *index, uint64_t *ids)
{
    for (const auto &entry : core<faiss::IndexBinaryHash>(index)->invlists)
        ids = std::copy(entry.second.ids.begin(), entry.second.ids.end(), ids);
}

// FAISS writes the sizes of a MultiHash's buckets with as many bits as row numbers need. With 2^k
// rows in one bucket that is one bit too few, and the file cannot be read. Counting one more row,
// which is in no bucket, adds a bit.
static bool is_unwritable(const FaissIndexBinary *index)
{
    const auto multi = core<faiss::IndexBinaryMultiHash>(index);
    struct faiss_shim_buckets buckets;
    faiss_shim_binary_buckets(index, &buckets);
    const auto n = multi ? size_t(multi->ntotal) : 0;
    return n > 0 && (n & (n - 1)) == 0 && buckets.largest == n;
}

static void set_rows(faiss::IndexBinaryMultiHash *multi, size_t n)
{
    multi->storage->xb.resize(n * size_t(multi->code_size));
    multi->storage->ntotal = multi->ntotal = int64_t(n);
}

int faiss_shim_binary_write(const FaissIndexBinary *index, const char *path, struct error *err)
{
    const bool one_more = is_unwritable(index);
    auto multi = core<faiss::IndexBinaryMultiHash>(const_cast<FaissIndexBinary *>(index));
    const int code = baseline_guarded(err, "FAISS", "save", [&] {
        if (one_more)
            set_rows(multi, size_t(multi->ntotal) + 1);
        faiss::write_index_binary(of(index), path);
        return OK;
    });

    if (one_more && multi->ntotal > of(index)->ntotal)
        set_rows(multi, size_t(of(index)->ntotal));
    return code;
}

int faiss_shim_binary_read(FaissIndexBinary **index, const char *path, struct error *err)
{
    *index = nullptr;
    return baseline_guarded(err, "FAISS", "load", [&] {
        *index = handle(faiss::read_index_binary(path));
        auto multi = core<faiss::IndexBinaryMultiHash>(*index);
        if (multi && multi->ntotal == of(*index)->ntotal + 1)
            set_rows(multi, size_t(of(*index)->ntotal));
        return OK;
    });
}
