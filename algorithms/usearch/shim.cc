// shim.cc - functions that a fair comparison needs and usearch's C interface lacks; see shim.h.
//
// usearch's C interface, c/lib.cpp, is compiled here, so its handles are this file's index_dense_t.
#ifndef NDEBUG
#define NDEBUG // otherwise it checks arguments in inner loops; they are checked before
#endif
#include <usearch/c/lib.cpp>

#include "algorithms/usearch/shim.h"

#include "algorithms/common/baseline/shim.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>

namespace
{

const index_dense_t &of(usearch_index_t index)
{
    return *reinterpret_cast<const index_dense_t *>(index);
}

size_t places_of(const index_dense_t &dense)
{
    return size_t(get_slot(dense.cend()));
}

} // namespace

int usearch_shim_reserve(usearch_index_t index, size_t places, size_t threads, struct error *err)
{
    return baseline_guarded(err, "usearch", "insert", [&] {
        if (!reinterpret_cast<index_dense_t *>(index)->try_reserve(index_limits_t(places, threads)))
            return fail(err, ERR_NO_MEMORY, "insert: usearch is out of memory for %zu rows",
                        places);
        return int(OK);
    });
}

int usearch_shim_search(usearch_index_t index, const void *query, usearch_scalar_kind_t kind,
                        size_t k, const struct id_filter *filter, uint64_t *ids, float *distances,
                        uint64_t *computed, struct error *err)
{
    return baseline_guarded(err, "usearch", "search", [&] {
        auto handle = reinterpret_cast<index_dense_t *>(index);
        const scalar_kind_t scalar = scalar_kind_to_cpp(kind);
        search_result_t result =
            filter ? search_(handle, query, scalar, k,
                             [filter](usearch_key_t key) noexcept {
                                 return index_filter_allows(filter, usearch_shim_id_of(key));
                             })
                   : search_(handle, query, scalar, k);
        if (!result)
            return fail(err, ERR_BASELINE, "search: usearch: %s", result.error.release());
        const size_t found = result.dump_to(ids, distances, k);
        *computed += result.computed_distances;
        std::transform(ids, ids + found, ids, usearch_shim_id_of);
        std::fill(ids + found, ids + k, INDEX_NO_ID);
        std::fill(distances + found, distances + k, INFINITY);
        baseline_order_ties(ids, distances, found);
        return int(OK);
    });
}

void usearch_shim_get_facts(usearch_index_t index, struct usearch_shim_facts *facts)
{
    const index_dense_t &dense = of(index);
    *facts = {};
    facts->places = places_of(dense);
    facts->deleted = facts->places - dense.size();
    facts->capacity = dense.capacity();
    if (facts->places > 0) {
        facts->links = dense.stats().edges;
        facts->max_level = dense.max_level();
    }
}

void usearch_shim_memory(usearch_index_t index, struct memory_use *use)
{
    const index_dense_t &dense = of(index);
    const uint64_t capacity = dense.capacity();
    use->vectors += places_of(dense) * dense.bytes_per_vector();
    // usearch's memory_usage() includes memory that its arenas map ahead, which is not resident.
    use->graph +=
        capacity * sizeof(void *) + (places_of(dense) ? dense.stats().allocated_bytes : 0);
    // Buckets of 64 (id, place) pairs with two masks, and the pointers from places to rows.
    use->ids += capacity * (16 + sizeof(void *)) + capacity / 64 * 16;
}

namespace
{

int check_links(const index_dense_t &dense, uint64_t key, size_t slot, size_t level,
                struct error *err)
{
    const size_t places = places_of(dense);
    for (const auto to : dense.neighbors(key, level)) {
        if (size_t(to.slot) >= places || size_t(to.slot) == slot)
            return fail(err, ERR_INVARIANT, "row %zu has a link to %zu on level %zu, of %zu rows",
                        slot, size_t(to.slot), level, places);
        const uint64_t other = to.key;
        if (other != dense.free_key() && dense.level_of(other) < level)
            return fail(err, ERR_INVARIANT,
                        "row %zu has a link to %zu on level %zu, where that row is not", slot,
                        size_t(to.slot), level);
    }
    return OK;
}

} // namespace

int usearch_shim_check(usearch_index_t index, struct error *err)
{
    const index_dense_t &dense = of(index);
    size_t live = 0, slot = 0;
    for (auto at = dense.cbegin(); slot < places_of(dense); ++at, slot++) {
        const uint64_t key = get_key(at);
        if (key == dense.free_key())
            continue;
        live++;
        if (dense.count(key) != 1)
            return fail(err, ERR_INVARIANT, "row %zu's id %zu leads to %zu rows", slot,
                        size_t(usearch_shim_id_of(key)), dense.count(key));
        for (size_t level = 0; level <= dense.level_of(key); level++) {
            const int code = check_links(dense, key, slot, level, err);
            if (code != OK)
                return code;
        }
    }
    if (live != dense.size())
        return fail(err, ERR_INVARIANT, "%zu rows are not marked deleted, usearch counts %zu", live,
                    dense.size());
    return OK;
}
