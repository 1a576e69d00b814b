/* cluster_files.h - the cluster files of an index, in a cache of the test's own: one that a test
 * damages, starves and shares among threads. */
#ifndef TEST_CHANNI_CLUSTER_FILES_H
#define TEST_CHANNI_CLUSTER_FILES_H

#include "tests/unit/channi/support.h"

enum { FILES = 24, SHELF_DIM = 32, SHELF_ROWS = FILES * 100, WAYS = 4 };

/* Fails the n-th call of one kind. */
struct fault_plan {
    const char *call;
    int at, error; /* at: 1-based; 0: none */
    atomic_int seen;
};

struct shelf {
    struct book b;                                 /* the index that wrote the files */
    uint64_t ids[SHELF_ROWS];                      /* of the files' rows, file by file */
    size_t first[FILES];                           /* of each file */
    struct channi_base bases[FILES], *list[FILES]; /* of ascending sizes */
    struct channi_cache *cache;
    struct channi_fetch *fetch; /* of the cache */
    struct fault_plan plan;     /* for the cache's calls */
    struct file_fault fault;
    size_t hot_bytes, largest; /* of all files; of one file */
};

/* io_uring or threads; direct or not */
static const struct channi_cache_options ways[WAYS] = {
    { .budget_bytes = SIZE_MAX },
    { .budget_bytes = SIZE_MAX, .io = CACHE_IO_PREAD },
    { .budget_bytes = SIZE_MAX, .direct = true },
    { .budget_bytes = SIZE_MAX, .io = CACHE_IO_PREAD, .direct = true },
};

static inline int shelf_fault(void *to, const char *call)
{
    struct fault_plan *p = to;

    if (!p->call || strcmp(call, p->call) != 0)
        return 0;
    const int seen = atomic_fetch_add(&p->seen, 1) + 1;
    return seen == p->at ? p->error : 0;
}

static inline int by_rows(const void *a, const void *b)
{
    const struct channi_cluster *const *x = a, *const *y = b;

    return (*x)->base_n < (*y)->base_n ? -1 : (*x)->base_n > (*y)->base_n;
}

/* cold: codes, with the rows read one by one; else clusters are scanned. */
static inline void shelf_begin(struct shelf *s, bool cold, struct channi_cache_options options)
{
    struct channi_params p = book_defaults(
        "target_cluster=100,split_max=0,merge_min=0,defer_fraction=1,maintenance=explicit");
    struct channi_cluster *clusters[FILES];
    struct index_env *env = &s->b.bench.env;
    struct error *err = &s->b.bench.error;

    memset(s, 0, sizeof *s);
    p.expected_n = SHELF_ROWS;
    p.cluster_index = cold ? INSIDE_CODES : INSIDE_SCAN;
    p.cold_rows = cold;
    book_open(&s->b, p, INDEX_F32, SHELF_DIM, SHELF_ROWS, 1);
    book_fill(&s->b, 0, SHELF_ROWS, 8, .5);
    assert_ok(book_insert(&s->b, 0, SHELF_ROWS), err);
    assert_int_equal(layout_of(&s->b)->n_clusters, FILES);
    memcpy(clusters, layout_of(&s->b)->clusters, sizeof clusters);
    qsort(clusters, FILES, sizeof *clusters, by_rows);
    s->fault = (struct file_fault){ .before = shelf_fault, .to = &s->plan };
    options.fault = &s->fault;
    assert_ok(channi_cache_create(&s->cache, env, &options), err);
    s->fetch = channi_fetch_create(s->cache);
    assert_non_null(s->fetch);
    for (size_t i = 0, n = 0; i < FILES; n += s->bases[i++].n) {
        struct channi_base *base = s->list[i] = s->bases + i;
        struct channi_place at;

        s->first[i] = n;
        for (uint64_t id = 0; id < SHELF_ROWS; id++)
            if (channi_place_of(book_channi(&s->b), id, &at) && at.cid == clusters[i]->cid)
                s->ids[n + at.row] = id;
        assert_ok(channi_cluster_file_head(env, clusters[i]->base->phash,
                                           clusters[i]->base->version, base),
                  err);
        assert_ok(channi_cache_join(s->cache, base, NULL), err);
        s->hot_bytes += base->hot_bytes;
        s->largest = base->hot_bytes > s->largest ? base->hot_bytes : s->largest;
    }
}

static inline void shelf_end(struct shelf *s)
{
    channi_fetch_destroy(s->fetch);
    assert_ok(channi_cache_check(s->cache), &s->b.bench.error);
    channi_cache_destroy(s->cache);
    book_close(&s->b);
}

static inline void shelf_path(const struct shelf *s, size_t file, char path[PATH_MAX])
{
    const struct channi_base *b = s->bases + file;

    assert_int_equal(channi_cluster_file_path(&s->b.bench.env, b->phash, b->version, path), OK);
}

/* Drops the files from the page cache. */
static inline void make_cold(struct shelf *s)
{
    for (size_t i = 0; i < FILES; i++) {
        char path[PATH_MAX];

        shelf_path(s, i, path);
        const int fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        (void)fsync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}

static inline struct channi_cache_counts counts_of(const struct shelf *s)
{
    struct channi_cache_counts c;

    channi_cache_counts(s->cache, &c);
    return c;
}

/* Whether that is the file's row. */
static inline bool is_row(const struct shelf *s, size_t file, uint32_t row, const void *bytes)
{
    return memcmp(bytes, book_row(&s->b, s->ids[s->first[file] + row]), s->b.row_bytes) == 0;
}

/* Reads rows of the file, with their checksums. */
static inline int rows_of(const struct shelf *s, struct channi_fetch *f, size_t file,
                          const uint32_t *rows, size_t n, void *out)
{
    uint32_t sums[64];

    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        sums[i] = channi_cluster_row_sum(book_row(&s->b, s->ids[s->first[file] + rows[i]]),
                                         s->b.row_bytes);
    return channi_cache_rows(s->cache, f, s->list[file], rows, sums, n, out);
}

/* Whether the image is the file's. */
static inline bool is_as_written(const struct shelf *s, const struct channi_image *image,
                                 size_t file)
{
    bool right = image->n == s->bases[file].n && (image->codes || image->rows) &&
                 memcmp(image->ids, s->ids + s->first[file], image->n * sizeof *s->ids) == 0;

    for (uint32_t i = 0; right && image->rows && i < image->n; i++)
        right = is_row(s, file, i, image->rows + i * s->b.row_bytes);
    return right;
}

/* Takes all requested clusters; which[]: files in the order of requests. Each must arrive once,
   with its content. */
static inline void take_all(struct shelf *s, const size_t *which, size_t n)
{
    bool came[FILES * 2] = { false };
    const struct channi_image *image;
    size_t i, taken = 0;
    int rc;

    for (; channi_fetch_next(s->fetch, &i, &image, &rc); taken++) {
        assert_ok(rc, &s->b.bench.error);
        assert_true(i < n && !came[i]);
        came[i] = true;
        assert_true(is_as_written(s, image, which[i]));
    }
    assert_int_equal(taken, n);
}

static const size_t in_order[FILES] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                        12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 };

/* Requests files first .. first + n - 1, takes them, and lets them go. */
static inline void take_run(struct shelf *s, size_t first, size_t n)
{
    assert_ok(channi_fetch_ask(s->fetch, s->list + first, n), &s->b.bench.error);
    take_all(s, in_order + first, n);
    channi_fetch_done(s->fetch);
}

#endif
