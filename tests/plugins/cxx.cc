/* cxx.cc - a method in C++17, as a plugin: it allocates with `new` and catches what is thrown, since
 * no exception may leave an operation. An exact scan. With -DCXX_BROKEN it loses every hundredth
 * row, which the contract tests must find. With -DCXX_PRUNES it reports work as an exact tree does:
 * fewer rows than there are, and what it does not count as NAN, as index.h allows. */
#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <unordered_map>
#include <vector>

#include "kernels/kernels.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/topk.h"

namespace
{

struct params {
    int64_t reserve;
};

struct knobs {
    int64_t block;
};

const param param_table[] = {
    PARAM_INT(params, reserve, 16, 0, 1 << 20, "rows to make space for at once"),
    PARAM_END,
};

const param knob_table[] = {
    PARAM_INT(knobs, block, 32, 1, 64, "rows compared per call of the kernel"),
    PARAM_END,
};

const index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };

extern const index_ops ops;

struct state {
    struct index base; /* first, so that a pointer to it is a pointer to the state */
    std::vector<float> rows;
    std::vector<uint64_t> ids;
    std::unordered_map<uint64_t, size_t> places;
};

state *of(struct index *index)
{
    return reinterpret_cast<state *>(index);
}

/* Runs what may throw. */
template <typename Work> int guarded(const index_env &env, Work work)
{
    try {
        work();
        return OK;
    } catch (const std::bad_alloc &) {
        return fail(env.error, ERR_NO_MEMORY, "cxx: out of memory");
    }
}

int create(struct index **made, const index_env *env, const void *given)
{
    return guarded(*env, [&] {
        auto s = std::make_unique<state>();

        s->base.ops = &ops;
        s->base.env = *env;
        s->ids.reserve(static_cast<size_t>(static_cast<const params *>(given)->reserve));
        *made = &s.release()->base;
    });
}

void destroy(struct index *index)
{
    delete of(index);
}

int insert(struct index *index, vectors v, const uint64_t *ids, size_t *done)
{
    state *s = of(index);
    const float *rows = static_cast<const float *>(v.rows);

    *done = 0;
    return guarded(index->env, [&] {
        s->rows.reserve(s->rows.size() + v.n * v.dim); /* so that what follows does not fail */
        s->ids.reserve(s->ids.size() + v.n);
        for (; *done < v.n; ++*done) {
#ifdef CXX_BROKEN
            if (ids[*done] % 100 == 99)
                continue;
#endif
            s->places.emplace(ids[*done], s->ids.size());
            s->ids.push_back(ids[*done]);
            s->rows.insert(s->rows.end(), rows + *done * v.dim, rows + (*done + 1) * v.dim);
        }
    });
}

int remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    state *s = of(index);
    const size_t dim = index->env.dim;

    for (*done = 0; *done < n; ++*done) {
        const auto place = s->places.find(ids[*done]);

        if (place == s->places.end())
            return fail(index->env.error, ERR_UNKNOWN_ID, "cxx: an id is not stored");
        const size_t at = place->second, last = s->ids.size() - 1;
        std::copy_n(s->rows.begin() + static_cast<ptrdiff_t>(last * dim), dim,
                    s->rows.begin() + static_cast<ptrdiff_t>(at * dim));
        s->ids[at] = s->ids[last];
        s->places[s->ids[at]] = at;
        s->places.erase(ids[*done]);
        s->ids.pop_back();
        s->rows.resize(last * dim);
    }
    return OK;
}

int search(struct index *index, const search_request *request, search_result *result)
{
    const state *s = of(index);
    const size_t k = request->k, dim = index->env.dim, n = s->ids.size();
    const size_t block = static_cast<size_t>(static_cast<const knobs *>(request->knobs)->block);
    float distances[64];

    for (size_t q = 0; q < request->queries.n; q++) {
        const float *query = static_cast<const float *>(request->queries.rows) + q * dim;
        topk nearest = topk_begin(k, result->distances + q * k, result->ids + q * k);

        for (size_t at = 0; at < n; at += block) {
            const size_t some = std::min(block, n - at);

            index->env.kernels->l2sq_f32_1n(query, s->rows.data() + at * dim, some, dim, distances);
            for (size_t i = 0; i < some; i++)
                if (index_filter_allows(request->filter, s->ids[at + i]))
                    topk_push(&nearest, distances[i], s->ids[at + i]);
        }
        topk_sort(&nearest);
#ifdef CXX_PRUNES
        result->work.distances += static_cast<double>(n) / 2;
        result->work.scanned += static_cast<double>(n) / 2;
        result->work.estimates = result->work.bytes_read = NAN;
#else
        result->work.distances += static_cast<double>(n);
        result->work.scanned += static_cast<double>(n);
        result->work.bytes_read += static_cast<double>(n * dim * sizeof(float));
#endif
    }
    return OK;
}

int check(const struct index *index, stat_sink *)
{
    const state *s = reinterpret_cast<const state *>(index);

    if (s->ids.size() * index->env.dim == s->rows.size() && s->places.size() == s->ids.size())
        return OK;
    return fail(index->env.error, ERR_INVARIANT, "cxx: %zu ids, %zu places, %zu components",
                s->ids.size(), s->places.size(), s->rows.size());
}

/* C++17 has no initialisers by name. */
index_ops make_ops()
{
    index_ops made{};

    made.abi = INDEX_ABI;
    made.name = "cxx";
    made.summary = "an exact scan in C++";
    made.source = "Driftline's tests";
    made.flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH;
    made.spaces = spaces;
    made.params = param_table;
    made.params_bytes = sizeof(params);
    made.knobs = knob_table;
    made.knobs_bytes = sizeof(knobs);
    made.create = create;
    made.destroy = destroy;
    made.insert = insert;
    made.remove = remove;
    made.search = search;
    made.check = check;
    return made;
}

const index_ops ops = make_ops();

} // namespace

const index_ops *driftline_plugin(void)
{
    return &ops;
}
