/* drift_data.c - fetches the drift data and computes their ground truth. */
#include "tests/recall/drift_data.h"

#include "src/config/data/catalog.h"

static const char *cache_dir(void)
{
    static char path[PATH_MAX];
    const char *given = getenv("DRIFTLINE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (given && *given)
        return given;
    if (xdg && *xdg)
        snprintf(path, sizeof path, "%s/driftline", xdg);
    else
        snprintf(path, sizeof path, "%s/.cache/driftline", home ? home : ".");
    return path;
}

static bool load_part(struct catalog *catalog, const struct run_options *options, const char *set,
                      const char *part, size_t n, float *to)
{
    struct error err = { 0 };
    struct source *source = NULL;
    char sha256[65];
    struct catalog_entry *entry = catalog_find(catalog, set);
    assert_non_null(entry);
    int rc = catalog_open_part(entry, part, options, &source, sha256, &err);
    if (rc == OK) {
        rc = source_read_f32(source, 0, n, to, &err);
        source_close(source);
    }
    if (rc == ERR_FETCH) {
        print_message("skipped, for want of data: %s\n", err.text);
        return false;
    }
    assert_ok(rc, &err);
    return true;
}

static bool load_all(struct drift *d)
{
    const char *root = getenv("DRIFTLINE_ROOT");
    const struct run_options options = { .root = root && *root ? root : ".",
                                         .cache = cache_dir(),
                                         .no_install = true };
    struct catalog *catalog;
    struct error err = { 0 };
    assert_ok(catalog_open(&catalog, &options, &err), &err);
    float *fashion = d->rows + (size_t)MNIST_ROWS * DIM;
    bool all = load_part(catalog, &options, "mnist", "base", MNIST_ROWS, d->rows) &&
               load_part(catalog, &options, "fashion-mnist", "base", FASHION_ROWS, fashion) &&
               load_part(catalog, &options, "fashion-mnist", "query", QUERIES, d->queries[0]) &&
               load_part(catalog, &options, "mnist", "query", QUERIES, d->queries[1]);
    catalog_close(catalog);
    return all;
}

/* Keeps the K smallest, ascending. */
static void keep(float nearest[K], float distance)
{
    size_t at = K;
    for (; at > 0 && distance < nearest[at - 1]; at--)
        if (at < K)
            nearest[at] = nearest[at - 1];
    if (at < K)
        nearest[at] = distance;
}

/* Pixels are integers and neighbours nearer than 2^24, so their distances are exact in a float. Rows
   are compared with all queries while they are in the cache. */
static void find_truth(struct drift *d)
{
    enum { BLOCK = 150 };
    const struct kernels *kernels = kernels_select(ISA_AVX512);
    static float nearest[2 * QUERIES][K];
    float distances[BLOCK];
    for (size_t i = 0; i < 2 * QUERIES; i++)
        for (size_t k = 0; k < K; k++)
            nearest[i][k] = INFINITY;
    for (size_t at = 0; at < ROWS; at += BLOCK)
        for (size_t i = 0; i < 2 * QUERIES; i++) {
            kernels->l2sq_f32_1n(d->queries[i / QUERIES] + i % QUERIES * DIM, d->rows + at * DIM,
                                 BLOCK, DIM, distances);
            for (size_t j = 0; j < BLOCK; j++)
                keep(nearest[i], distances[j]);
        }
    for (size_t i = 0; i < 2 * QUERIES; i++) {
        d->kth[i / QUERIES][i % QUERIES] = nearest[i][K - 1];
        assert_true(nearest[i][K - 1] < 1 << 24);
    }
}

int drift_set_up(void **state)
{
    struct drift *d = calloc(1, sizeof *d);
    assert_non_null(d);
    *state = d;
    d->rows = malloc(sizeof *d->rows * ROWS * DIM);
    d->ids = malloc(sizeof *d->ids * ROWS);
    assert_true(d->rows && d->ids);
    for (size_t i = 0; i < 2; i++) {
        d->queries[i] = malloc(sizeof **d->queries * QUERIES * DIM);
        d->kth[i] = malloc(sizeof **d->kth * QUERIES);
        assert_true(d->queries[i] && d->kth[i]);
    }
    for (size_t i = 0; i < ROWS; i++)
        d->ids[i] = i;
    d->is_there = load_all(d);
    if (d->is_there)
        find_truth(d);
    return 0;
}

int drift_tear_down(void **state)
{
    struct drift *d = *state;
    for (size_t i = 0; i < 2; i++) {
        free(d->queries[i]);
        free(d->kth[i]);
    }
    free(d->rows);
    free(d->ids);
    free(d);
    return 0;
}
