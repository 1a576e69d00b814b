// shim_threads.cc - FAISS with several threads.
//
// FAISS 1.7.3 divides a flat scan's rows among OpenMP's threads but leaves its matrix product to
// OpenBLAS's. The two kinds of threads spin for work in turn, on the same processors: two threads
// were slower than one. So matrix products are divided as FAISS's documents advise, from outside:
// each thread of our pool scans for a slice of the rows, with one thread of OpenMP and of OpenBLAS.
#include "algorithms/faiss/shim_internal.h"

#include <algorithm>
#include <stdexcept>

#include <faiss/IndexFlat.h>

#include "src/core/parallel.h"

// Declared here because omp.h belongs to the compiler, and not every compiler has one.
extern "C" void omp_set_num_threads(int);

using faiss::Index;
using namespace faiss_shim;

namespace
{

// Rows of a slice: FAISS uses matrix products from the least on, and takes the most at a time.
constexpr size_t SLICE_LEAST = 20, SLICE_MOST = 4096;

bool is_flat(const Index *index)
{
    if (auto map = dynamic_cast<const faiss::IndexIDMap *>(index))
        index = map->index;
    return is_exactly<faiss::IndexFlat, faiss::IndexFlatL2, faiss::IndexFlatIP>(index);
}

struct slices {
    const Index *index;
    const float *rows;
    idx k;
    float *distances;
    idx *labels;
    error *err;
};

int search_slice(void *arg, size_t first, size_t end, size_t)
{
    auto s = static_cast<const slices *>(arg);
    omp_set_num_threads(1); // of this thread
    return baseline_guarded(s->err, "FAISS", "search", [&] {
        const size_t k = size_t(s->k);
        s->index->search(idx(end - first), s->rows + first * size_t(s->index->d), s->k,
                         s->distances + first * k, s->labels + first * k);
        return OK;
    });
}

// Searches a flat index, slice by slice.
int search_flat(const Index *index, const faiss_shim_threads &t, size_t n, const float *rows, idx k,
                float *distances, idx *labels)
{
    slices s = { index, rows, k, distances, labels, t.err };
    const size_t share = (n + t.threads - 1) / t.threads;
    const int code = parallel_for(
        t.pool, t.threads, n, std::min(std::max(share, SLICE_LEAST), SLICE_MOST), search_slice, &s);
    faiss_shim_set_threads(t.threads);
    return code;
}

// Stands for a flat index of centroids while rows are assigned to them.
struct divided : Index {
    Index *inner;
    const faiss_shim_threads &t;

    divided(Index *of, const faiss_shim_threads &with)
        : Index(of->d, of->metric_type), inner(of), t(with)
    {
        ntotal = of->ntotal;
    }
    void add(idx n, const float *x) override
    {
        inner->add(n, x);
        ntotal = inner->ntotal;
    }
    void reset() override
    {
        inner->reset();
        ntotal = 0;
    }
    void search(idx n, const float *x, idx k, float *distances, idx *labels,
                const faiss::SearchParameters * = nullptr) const override
    {
        if (search_flat(inner, t, size_t(n), x, k, distances, labels) != OK)
            throw std::runtime_error(t.err->text);
    }
    void reconstruct(idx key, float *row) const override
    {
        inner->reconstruct(key, row);
    }
};

} // namespace

struct faiss_shim::divided_centroids::loan {
    faiss::IndexIVF *ivf;
    divided stand_in;

    loan(faiss::IndexIVF *to, const faiss_shim_threads &t) : ivf(to), stand_in(to->quantizer, t)
    {
        ivf->quantizer = &stand_in;
    }
    ~loan()
    {
        ivf->quantizer = stand_in.inner;
    }
    loan(const loan &) = delete;
    loan &operator=(const loan &) = delete;
};

faiss_shim::divided_centroids::divided_centroids(Index *index, const faiss_shim_threads &t)
{
    if (t.threads > 1) {
        for_each_layer(index, [&](Index *layer) {
            auto ivf = dynamic_cast<faiss::IndexIVF *>(layer);
            if (ivf && is_flat(ivf->quantizer))
                loans.push_back(std::make_unique<loan>(ivf, t));
        });
    }
}

faiss_shim::divided_centroids::~divided_centroids() = default;

void faiss_shim_set_threads(size_t threads)
{
    omp_set_num_threads(int(std::min<size_t>(threads, 1024)));
}

int faiss_shim_search(const FaissIndex *index, const struct faiss_shim_threads *t, size_t n,
                      const float *queries, size_t k, float *distances, uint64_t *labels)
{
    auto out = reinterpret_cast<idx *>(labels);
    const blas_alone alone;
    faiss_shim_set_threads(t->threads);
    if (t->threads > 1 && is_flat(of(index)))
        return search_flat(of(index), *t, n, queries, idx(k), distances, out);
    return baseline_guarded(t->err, "FAISS", "search", [&] {
        of(index)->search(idx(n), queries, idx(k), distances, out);
        return OK;
    });
}

int faiss_shim_insert(FaissIndex *index, const struct faiss_shim_threads *t, size_t n,
                      const float *rows, const uint64_t *ids)
{
    const blas_alone alone;
    faiss_shim_set_threads(t->threads);
    return baseline_guarded(t->err, "FAISS", "insert", [&] {
        const divided_centroids lent(of(index), *t);
        of(index)->add_with_ids(idx(n), rows, reinterpret_cast<const idx *>(ids));
        return OK;
    });
}
