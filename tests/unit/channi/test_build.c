/* test_build.c - CHANNI's build: when it runs, where rows go, equal results with any number of
 * threads, its memory, and the codes of deltas. */
#include "tests/support/index_folder.h"
#include "tests/unit/channi/build.h"

/* -------------------------------------------------------------------------------- builds */

/* The build comes when it is due, and makes the right number of clusters. With an exhaustive graph
   search every row is assigned to its nearest primary. */
static void test_build(void **state)
{
    struct channi_params params = build_params();
    struct book b;

    params.assign_ef = ROWS;
    book_open(&b, params, INDEX_F32, DIM, ROWS, 2);
    book_start(&b, 30, .4, 959);
    assert_null(layout_of(&b)->routes);
    book_expect(&b, 10, 10);
    assert_ok(book_insert(&b, 959, 1), &b.bench.error);
    const struct channi_layout *layout = layout_of(&b);
    assert_non_null(layout->routes);
    assert_int_equal(layout->routes->n, 20);
    assert_int_equal(layout->n_clusters, 20);
    assert_true(book_counter(&b, build_assigning) > 0);
    for (size_t i = 0; i < 960; i++) {
        struct channi_place place;
        double least = INFINITY;

        assert_true(channi_place_of(book_channi(&b), i, &place));
        for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
            least = fmin(least, book_distance(&b, book_row(&b, i), layout->clusters[cid]->site));
        const double is = book_distance(&b, book_row(&b, i), layout->clusters[place.cid]->site);
        assert_true(is <= least * (1 + 1e-5) + 1e-9);
    }
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        const struct channi_cluster *cl = layout->clusters[cid];

        assert_true(cl->drift == 0);
        assert_int_equal(cl->n_routes, 1);
        assert_memory_equal(cl->site, book_row(&b, cl->root_id), b.row_bytes);
    }
    book_check(&b);
    book_expect(&b, 20, 10);
    assert_ok(book_insert(&b, 960, ROWS - 960), &b.bench.error);
    book_end(&b, 20);
}

enum { SITES = 400, OF_EACH = 25 };

/* The coefficient of variation of the sizes, by the root of the mean square over some builds. */
static double size_cv(size_t dim, size_t builds)
{
    struct rng rng = rng_at(test_seed(), dim);
    double squares = 0;

    for (size_t i = 0; i < builds; i++) {
        struct channi_params params =
            book_with(build_params(), "defer_fraction=1,sampling=uniform,cluster_index=scan");
        struct book b;

        params.target_cluster = OF_EACH;
        params.expected_n = SITES * OF_EACH;
        params.assign_ef = SITES;
        book_open(&b, params, INDEX_F32, dim, SITES * OF_EACH, 2);
        for (size_t j = 0; j < SITES * OF_EACH * dim; j++)
            ((float *)b.rows)[j] = (float)rng_normal(&rng);
        assert_ok(book_insert(&b, 0, SITES * OF_EACH), &b.bench.error);
        assert_int_equal(layout_of(&b)->n_clusters, SITES);
        const double cv = test_stat(b.index, "size_cv");
        squares += cv * cv / (double)builds;
        book_close(&b);
    }
    return sqrt(squares);
}

/* docs/theory.md, "Sizes of clusters": those of the cells of random points in few dimensions, and
   below those of the limit of many. */
static void test_sizes(void **state)
{
    static const struct {
        size_t dim;
        double squared; /* the cells' squared coefficient of variation */
    } cells[] = { { 1, .5 }, { 2, .280 }, { 3, .179 } };
    const double limit = 3.36; /* of 400 clusters */

    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        const double expected = sqrt(cells[i].squared + 1. / OF_EACH);
        const double cv = size_cv(cells[i].dim, 4);

        if (fabs(cv - expected) > .12 * expected)
            print_error("%zu dimensions: %.3f, expected %.3f\n", cells[i].dim, cv, expected);
        assert_true(fabs(cv - expected) <= .12 * expected);
    }
    const double many = size_cv(256, 4);
    if (many < .5 * limit || many > limit)
        print_error("256 dimensions: %.3f, expected %.3f at most\n", many, limit);
    assert_true(many > .5 * limit && many <= limit);
}

/* Equal rows are never separated: there are as many clusters as distinct rows. */
static void test_build_of_equal_rows(void **state)
{
    struct book b;

    book_open(&b, build_params(), INDEX_U8, DIM, ROWS, 2);
    book_fill(&b, 0, 3, 0, 1);
    for (size_t i = 3; i < ROWS; i++)
        memcpy(book_row(&b, i), book_row(&b, i % 3), b.row_bytes);
    assert_ok(book_insert(&b, 0, ROWS), &b.bench.error);
    assert_int_equal(layout_of(&b)->routes->n, 3);
    book_end(&b, 5);
}

/* A hash of the names and bytes of all cluster files, and of the routes. */
static uint64_t hash_of(const struct book *b)
{
    const struct channi_routes *r = layout_of(b)->routes;
    uint64_t hash = rng_mix(channi_cluster_hash(r->block, r->block_bytes),
                            channi_cluster_hash(r->cid, r->n * sizeof *r->cid));
    const struct channi_cluster *cl;

    for (uint32_t next = 0; (cl = channi_layout_next(layout_of(b), &next));) {
        char path[PATH_MAX];

        assert_int_equal(
            channi_cluster_file_path(&b->bench.env, cl->base->phash, cl->base->version, path), OK);
        const struct bytes file = bytes_read(path);
        hash = rng_mix(rng_mix(hash, cl->base->phash), channi_cluster_hash(file.at, file.n));
        free(file.at);
    }
    return hash;
}

static void test_same_at_any_threads(void **state)
{
    for (int inside = INSIDE_GRAPH; inside <= INSIDE_CODES; inside++) {
        for (int sampling = 0; sampling <= SAMPLE_KMEANS;
             sampling += inside == INSIDE_GRAPH ? 1 : 3) {
            uint64_t hash[2];

            for (size_t i = 0; i < 2; i++) {
                struct channi_params params = build_params();
                struct book b;

                params.cluster_index = inside;
                params.sampling = sampling;
                book_open(&b, params, INDEX_U8, DIM, ROWS, i + 1);
                book_start(&b, 30, .4, ROWS);
                assert_int_equal(layout_of(&b)->n_clusters, 24);
                hash[i] = hash_of(&b);
                book_check_and_close(&b);
            }
            assert_true(hash[0] == hash[1]);
        }
    }
}

/* ------------------------------------------------------------------------------- memory */

/* Peak memory while files are written: during the build, and during the splits after it. */
struct watch {
    struct channi *c;
    size_t build, upkeep, writes;
};

static int watch_write(void *to, const char *call)
{
    struct watch *w = to;

    if (w->c && strcmp(call, "write") == 0) {
        size_t *most = atomic_load(&w->c->now)->layout->routes ? &w->upkeep : &w->build;
        const size_t live = mem_live(w->c->base.env.mem);

        *most = live > *most ? live : *most;
        w->writes++;
    }
    return 0;
}

/* The list of rows is freed before the splits begin that the build makes due. The memory used for
   all of that is returned to the system, but not at every later commit. */
static void test_list_goes_before_splits(void **state)
{
    enum { MANY = 12000, MORE = 100, WIDE = 128 };
    struct channi_params params =
        book_with(build_params(), "cluster_index=scan,maintenance=inline,target_cluster=100,"
                                  "split_max=150,defer_fraction=1,cache_mb=1");
    struct watch w = { 0 };
    const struct file_fault fault = { watch_write, &w };
    struct book b;

    params.expected_n = MANY;
    book_begin(&b, params, INDEX_F32, WIDE, MANY + MORE, 1);
    assert_ok(channi_create_with(&b.index, &b.bench.env, &b.params, &fault), &b.bench.error);
    w.c = book_channi(&b);
    book_fill(&b, 0, MANY, 30, .4);
    book_fill(&b, MANY, MORE, 1, .1);
    assert_ok(book_insert(&b, 0, MANY), &b.bench.error);
    assert_true(w.writes > 100 && w.upkeep > 0);
    assert_true(book_counter(&b, splits) > 0);
    assert_true(w.upkeep + MANY * b.row_bytes / 2 < w.build);
    const uint64_t trimmed_at = atomic_load(&w.c->trimmed_at);
    const uint64_t written = book_counter(&b, bytes_written);
    assert_true(trimmed_at >= MANY * b.row_bytes && trimmed_at <= written);
    assert_ok(book_insert(&b, MANY, MORE), &b.bench.error);
    assert_true(book_counter(&b, bytes_written) > written);
    assert_int_equal(atomic_load(&w.c->trimmed_at), trimmed_at);
    book_check_and_close(&b);
}

/* --------------------------------------------------------------------------------- codes */

/* With codes a search compares few rows of a delta exactly, one at a time as in one commit, in an
   index that was saved and read as in the one that was. Deleted rows are no answers, and where few are left
   they are not compared. */
static void test_coded_deltas(void **state)
{
    enum { N = 600, WIDE = 64, QUERIES = 40, LEFT = 5 };
    struct channi_params p =
        book_defaults("cluster_index=codes,target_cluster=50,split_max=0,merge_min=0,"
                      "compact_share=16,maintenance=explicit,defer_fraction=.5");
    struct channi_knobs knobs = book_knobs();
    struct book b;
    char saved[PATH_MAX];

    p.expected_n = N;
    book_open(&b, p, INDEX_F32, WIDE, N, 1);
    book_start(&b, 8, .3, N / 2);
    for (size_t i = N / 2; i < 3 * N / 4; i++)
        assert_ok(book_insert(&b, i, 1), &b.bench.error);
    assert_ok(book_insert(&b, 3 * N / 4, N / 4), &b.bench.error);
    for (size_t i = 0; i < N; i += 5)
        assert_ok(book_remove(&b, i), &b.bench.error);
    book_check(&b);
    test_dir_make(saved);
    assert_ok(channi_ops.save(b.index, saved), &b.bench.error);
    for (int loaded = 0; loaded < 2; loaded++) {
        const uint64_t before = book_counter(&b, delta_distances);
        assert_true(book_recall(&b, QUERIES, 10, &knobs) > .98);
        const uint64_t distances = book_counter(&b, delta_distances) - before;
        assert_true(distances < DELTA_CODED_LEAST * QUERIES);
        if (loaded)
            break;
        b.ops->destroy(b.index);
        assert_ok(channi_ops.load(&b.index, &b.bench.env, saved), &b.bench.error);
        book_check(&b);
    }
    for (size_t i = N / 2 + LEFT; i < N; i++)
        if (i % 5 != 0)
            assert_ok(book_remove(&b, i), &b.bench.error);
    const uint64_t before = book_counter(&b, delta_distances);
    assert_true(book_recall(&b, QUERIES, 10, &knobs) > .98);
    assert_true(book_counter(&b, delta_distances) - before < N / 10 * QUERIES); /* of N / 2 */
    book_close(&b);
    test_dir_remove(saved);
}

int main(void)
{
    return test_run_all("channi_build", test_build, test_sizes, test_build_of_equal_rows,
                        test_same_at_any_threads, test_list_goes_before_splits, test_coded_deltas);
}
