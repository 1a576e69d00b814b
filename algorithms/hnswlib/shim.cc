// shim.cc - a C interface to hnswlib, declared in shim.h.
#include "algorithms/hnswlib/shim.h"

#include "algorithms/common/baseline/shim.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <iostream>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <queue>
#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <x86intrin.h> // like all of the above, before malloc is redefined for hnswlib's headers

// hnswlib reads one link past a full list, for a prefetch. On level 0 the row follows the list; on
// upper levels the list ends its allocation, so these are made one link longer.
static void *malloc_with_a_link_more(size_t bytes)
{
    return std::malloc(bytes + sizeof(unsigned));
}
#define malloc malloc_with_a_link_more
// gcc 12 warns of an uninitialised register wherever its own AVX-512 header is inlined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <hnswlib/hnswlib.h>
#undef malloc

namespace
{

using graph = hnswlib::HierarchicalNSW<float>;
using distance_function = hnswlib::DISTFUNC<float>;

// hnswlib's own counter covers the upper levels only, or counts neighbours visited instead of
// distances computed. So the distance function counts, per thread, because a shared counter would
// slow concurrent searches down.
thread_local uint64_t distances_computed;

template <distance_function of> float counted(const void *a, const void *b, const void *dim)
{
    distances_computed++;
    return of(a, b, dim); // a constant, so it is inlined and counting costs one addition
}

struct pair_of_functions {
    distance_function plain, counting;
};
#define COUNTED(f)                      \
    {                                   \
        hnswlib::f, counted<hnswlib::f> \
    }

// The functions that L2Space and InnerProductSpace may choose for this processor.
const pair_of_functions known_functions[] = {
    COUNTED(L2Sqr),
    COUNTED(InnerProductDistance),
#if defined(USE_SSE)
    COUNTED(L2SqrSIMD16ExtSSE),
    COUNTED(L2SqrSIMD4Ext),
    COUNTED(L2SqrSIMD4ExtResiduals),
    COUNTED(L2SqrSIMD16ExtResiduals),
    COUNTED(InnerProductDistanceSIMD4ExtSSE),
    COUNTED(InnerProductDistanceSIMD16ExtSSE),
    COUNTED(InnerProductDistanceSIMD4ExtResiduals),
    COUNTED(InnerProductDistanceSIMD16ExtResiduals),
#endif
#if defined(USE_AVX)
    COUNTED(L2SqrSIMD16ExtAVX),
    COUNTED(InnerProductDistanceSIMD4ExtAVX),
    COUNTED(InnerProductDistanceSIMD16ExtAVX),
#endif
#if defined(USE_AVX512)
    COUNTED(L2SqrSIMD16ExtAVX512),
    COUNTED(InnerProductDistanceSIMD16ExtAVX512),
#endif
};

// One of hnswlib's spaces, with a counting distance function.
class counting_space : public hnswlib::SpaceInterface<float>
{
public:
    counting_space(size_t dim, bool inner_product)
    {
        if (inner_product)
            inner = std::make_unique<hnswlib::InnerProductSpace>(dim);
        else
            inner = std::make_unique<hnswlib::L2Space>(dim);
        for (const auto &known : known_functions) {
            if (known.plain == inner->get_dist_func())
                function = known.counting;
        }
        if (!function)
            throw std::runtime_error(
                "hnswlib chose a distance function that the shim does not know");
    }
    size_t get_data_size() override
    {
        return inner->get_data_size();
    }
    distance_function get_dist_func() override
    {
        return function;
    }
    void *get_dist_func_param() override
    {
        return inner->get_dist_func_param();
    }

private:
    std::unique_ptr<hnswlib::SpaceInterface<float>> inner;
    distance_function function = nullptr;
};

struct allowed_ids : hnswlib::BaseFilterFunctor {
    const id_filter *filter;
    explicit allowed_ids(const id_filter *f) : filter(f) {}
    bool operator()(hnswlib::labeltype id) override
    {
        return index_filter_allows(filter, id);
    }
};

} // namespace

struct hnswlib_shim {
    counting_space space;
    bool replace_deleted;
    std::unique_ptr<graph> g;

    explicit hnswlib_shim(const hnswlib_shim_options &o)
        : space(o.dim, o.inner_product), replace_deleted(o.replace_deleted)
    {
    }
};

int hnswlib_shim_new(struct hnswlib_shim **out, const struct hnswlib_shim_options *o,
                     struct error *err)
{
    return baseline_guarded(err, "hnswlib", "create", [&] {
        auto made = std::make_unique<hnswlib_shim>(*o);
        made->g = std::make_unique<graph>(&made->space, o->capacity, o->M, o->ef_construction,
                                          o->seed, o->replace_deleted);
        *out = made.release();
        return OK;
    });
}

int hnswlib_shim_load(struct hnswlib_shim **out, const struct hnswlib_shim_options *o,
                      const char *path, struct error *err)
{
    return baseline_guarded(err, "hnswlib", "load", [&] {
        auto made = std::make_unique<hnswlib_shim>(*o);
        made->g =
            std::make_unique<graph>(&made->space, path, false, o->capacity, o->replace_deleted);
        if (made->g->label_offset_ != made->g->offsetData_ + o->dim * sizeof(float))
            return fail(err, ERR_CORRUPT, "load: %s holds rows of another dimension than %zu", path,
                        o->dim);
        // The file has no generator state: levels drawn from now on differ from those of a graph
        // that was not reloaded.
        const size_t rows = made->g->cur_element_count;
        made->g->level_generator_.seed(o->seed + rows);
        made->g->update_probability_generator_.seed(o->seed + rows + 1);
        *out = made.release();
        return int(OK);
    });
}

int hnswlib_shim_save(const struct hnswlib_shim *h, const char *path, struct error *err)
{
    return baseline_guarded(err, "hnswlib", "save", [&] {
        h->g->saveIndex(path);
        // saveIndex does not check whether its writes succeeded.
        std::ifstream written(path, std::ios::binary | std::ios::ate);
        const size_t expected = h->g->indexFileSize();
        if (!written || size_t(written.tellg()) != expected)
            return fail(err, ERR_IO,
                        "save: hnswlib could not write the %zu bytes of %s (is the disk full?)",
                        expected, path);
        return int(OK);
    });
}

void hnswlib_shim_free(struct hnswlib_shim *h)
{
    delete h;
}

int hnswlib_shim_reserve(struct hnswlib_shim *h, size_t n, struct error *err)
{
    return baseline_guarded(err, "hnswlib", "insert", [&] {
        const size_t vacant = h->replace_deleted ? h->g->getDeletedCount() : 0;
        const size_t need = h->g->getCurrentElementCount() + (n > vacant ? n - vacant : 0);
        if (need > h->g->getMaxElements())
            h->g->resizeIndex(std::max(need, 2 * h->g->getMaxElements()));
        return OK;
    });
}

bool hnswlib_shim_knows(const struct hnswlib_shim *h, uint64_t id)
{
    std::unique_lock<std::mutex> lock(h->g->label_lookup_lock);
    return h->g->label_lookup_.count(id) != 0;
}

int hnswlib_shim_add(struct hnswlib_shim *h, const float *row, uint64_t id, struct error *err)
{
    return baseline_guarded(err, "hnswlib", "insert", [&] {
        if (h->replace_deleted) {
            const bool was_here = hnswlib_shim_knows(h, id);
            // If another row took the id's old place later, hnswlib would also forget the id's new
            // place.
            if (was_here)
                h->g->unmarkDelete(id);
            h->g->addPoint(row, id, !was_here);
        } else {
            h->g->addPoint(row, id);
        }
        return OK;
    });
}

int hnswlib_shim_remove(struct hnswlib_shim *h, uint64_t id, struct error *err)
{
    return baseline_guarded(err, "hnswlib", "remove", [&] {
        h->g->markDelete(id);
        return OK;
    });
}

void hnswlib_shim_set_ef(struct hnswlib_shim *h, size_t ef)
{
    h->g->setEf(ef);
}

int hnswlib_shim_search(const struct hnswlib_shim *h, const float *query, size_t k,
                        const struct id_filter *filter, uint64_t *ids, float *distances,
                        uint64_t *computed, struct error *err)
{
    return baseline_guarded(err, "hnswlib", "search", [&] {
        const uint64_t before = distances_computed;
        allowed_ids allowed(filter);
        auto found = h->g->searchKnn(query, k, filter ? &allowed : nullptr);
        for (size_t i = found.size(); i < k; i++) {
            ids[i] = INDEX_NO_ID;
            distances[i] = INFINITY;
        }
        // Farthest first, and among equals the greater id: the queue compares (distance, id) pairs.
        for (size_t i = found.size(); i-- > 0;) {
            ids[i] = found.top().second;
            distances[i] = found.top().first;
            found.pop();
        }
        *computed += distances_computed - before;
        return OK;
    });
}

void hnswlib_shim_get_facts(const struct hnswlib_shim *h, struct hnswlib_shim_facts *facts)
{
    const graph &g = *h->g;
    *facts = {};
    facts->rows = g.cur_element_count;
    facts->deleted = g.num_deleted_;
    facts->capacity = g.max_elements_;
    facts->max_level = g.maxlevel_;
    for (size_t i = 0; i < facts->rows; i++) {
        for (int level = 0; level <= g.element_levels_[i]; level++)
            facts->links += g.getListCount(g.get_linklist_at_level(hnswlib::tableint(i), level));
    }
}

void hnswlib_shim_memory(const struct hnswlib_shim *h, struct memory_use *use)
{
    const graph &g = *h->g;
    const uint64_t capacity = g.max_elements_;
    use->vectors += capacity * g.data_size_;
    use->graph += capacity * (g.size_links_level0_ + sizeof(char *) +
                              sizeof(int)); // lists, upper lists, levels
    for (size_t i = 0; i < g.cur_element_count; i++)
        use->graph += uint64_t(g.element_levels_[i]) * g.size_links_per_element_;
    use->ids += capacity * sizeof(hnswlib::labeltype) +
                g.label_lookup_.bucket_count() * sizeof(void *) +
                g.label_lookup_.size() *
                    (sizeof(void *) + sizeof(std::pair<hnswlib::labeltype, hnswlib::tableint>));
    use->other += (g.link_list_locks_.size() + g.label_op_locks_.size()) * sizeof(std::mutex) +
                  capacity * sizeof(hnswlib::vl_type);
}

namespace
{

int check_links(const graph &g, size_t row, int level, struct error *err)
{
    const auto *list = g.get_linklist_at_level(hnswlib::tableint(row), level);
    const size_t n = g.getListCount(const_cast<hnswlib::linklistsizeint *>(list));
    const size_t most = level == 0 ? g.maxM0_ : g.maxM_;
    if (n > most)
        return fail(err, ERR_INVARIANT, "row %zu has %zu links on level %d, at most %zu fit", row,
                    n, level, most);
    for (size_t i = 0; i < n; i++) {
        const hnswlib::tableint to = list[1 + i];
        if (to >= g.cur_element_count || to == row || g.element_levels_[to] < level)
            return fail(err, ERR_INVARIANT,
                        "row %zu has a link to %u on level %d, where that row is not", row, to,
                        level);
    }
    return OK;
}

} // namespace

int hnswlib_shim_check(const struct hnswlib_shim *h, struct error *err)
{
    const graph &g = *h->g;
    size_t deleted = 0;
    for (size_t row = 0; row < g.cur_element_count; row++) {
        const auto at = hnswlib::tableint(row);
        const auto place = g.label_lookup_.find(g.getExternalLabel(at));
        deleted += g.isMarkedDeleted(at);
        if (place == g.label_lookup_.end() || place->second != at)
            return fail(err, ERR_INVARIANT, "row %zu's id %zu does not lead back to it", row,
                        g.getExternalLabel(at));
        for (int level = 0; level <= g.element_levels_[row]; level++) {
            const int code = check_links(g, row, level, err);
            if (code != OK)
                return code;
        }
    }
    if (deleted != g.num_deleted_ ||
        (g.allow_replace_deleted_ && g.deleted_elements.size() != deleted))
        return fail(err, ERR_INVARIANT, "%zu rows are marked deleted, hnswlib counts %zu", deleted,
                    size_t(g.num_deleted_));
    return OK;
}
