/* test_gather.c - which file the rows of a call are in: gathered in place or copied, in any order. */
#include "src/workload/gather.h"
#include "tests/unit/workload/rows.h"

/* Sources with a file; row r is (1000 i + r, -r). */
struct files {
    struct source *sources[SOURCES];
    struct row_origin origins[SOURCES];
};

static void files_open(struct files *f)
{
    *f = (struct files){ 0 };
    for (size_t i = 0; i < SOURCES; i++) {
        f->sources[i] = make_source(i, ROWS, INDEX_F32);
        (void)snprintf(f->origins[i].path, sizeof f->origins[i].path, "/file %zu", i);
        f->sources[i]->origin = &f->origins[i];
    }
}

static void files_close(struct files *f)
{
    for (size_t i = 0; i < SOURCES; i++)
        source_close(f->sources[i]);
}

/* The source whose file has rows first .. first + n - 1 of what was gathered, with the right numbers; -1:
   none has. */
static int file_of(const struct files *f, struct gathered_rows *g, size_t first, size_t n)
{
    const float *rows = (const float *)g->rows.rows + first * DIM;
    const struct vectors v = { rows, n, DIM, INDEX_F32 };
    struct row_origin origin;
    uint64_t numbers[POSITIONS];
    if (!gather_origin(g, v, &origin, numbers))
        return -1;
    const size_t source = (size_t)rows[0] / 1000;
    assert_string_equal(origin.path, f->origins[source].path);
    for (size_t i = 0; i < n; i++)
        assert_true(rows[i * DIM] == (float)(1000 * source + numbers[i]));
    return (int)source;
}

static struct gathered_rows gather(const struct view *v, const uint64_t *positions, size_t n,
                                   struct buffer *buffer)
{
    struct error err = { 0 };
    struct gathered_rows g = { .view = v, .positions = positions };
    if (positions)
        assert_ok(gather_view(v, positions, n, INDEX_F32, false, buffer, &g.rows, &err), &err);
    else
        assert_ok(gather_view(v, NULL, n, INDEX_F32, false, buffer, &g.rows, &err), &err);
    return g;
}

static void finds_the_file_of_rows(void **state)
{
    struct files f;
    struct buffer buffer = { 0 };
    struct rng rng = rng_at(test_seed(), 1);
    files_open(&f);
    struct view *range = view_range(f.sources[1], INDEX_L2SQ, 5, 40);
    struct gathered_rows g = gather(range, NULL, 40, &buffer);
    assert_ptr_equal(g.rows.rows, (const float *)f.sources[1]->rows + (size_t)5 * DIM);
    assert_int_equal(file_of(&f, &g, 0, 40), 1);
    assert_int_equal(file_of(&f, &g, 39, 1), 1);
    assert_int_equal(file_of(&f, &g, 7, 20), 1);
    uint64_t *positions = malloc(40 * sizeof *positions);
    for (size_t i = 0; i < 40; i++)
        positions[i] = i;
    rng_shuffle_u64(&rng, positions, 40);
    g = gather(range, positions, 30, &buffer);
    assert_int_equal(file_of(&f, &g, 0, 30), 1);
    assert_int_equal(file_of(&f, &g, 11, 19), 1);
    struct view *shuffled = view_ordered(range, positions, 40);
    g = gather(shuffled, NULL, 40, &buffer);
    assert_int_equal(file_of(&f, &g, 0, 40), 1);
    const uint64_t some[] = { 39, 0, 3 };
    g = gather(shuffled, some, 3, &buffer);
    assert_int_equal(file_of(&f, &g, 0, 3), 1);
    view_drop(shuffled);
    view_drop(range);
    buffer_free(&buffer);
    files_close(&f);
}

/* A call has one file, but a view may have several. */
static void keeps_files_apart(void **state)
{
    struct files f;
    struct buffer buffer = { 0 };
    files_open(&f);
    f.sources[2]->origin = NULL;
    struct view *parts[SOURCES];
    for (size_t i = 0; i < SOURCES; i++)
        parts[i] = view_range(f.sources[i], INDEX_L2SQ, i, 10);
    struct view *all = view_concat((const struct view *const *)parts, SOURCES);
    struct gathered_rows g = gather(all, NULL, 30, &buffer);
    assert_int_equal(file_of(&f, &g, 0, 10), 0);
    assert_int_equal(file_of(&f, &g, 10, 10), 1);
    assert_int_equal(file_of(&f, &g, 9, 2), -1);
    assert_int_equal(file_of(&f, &g, 20, 10), -1);
    assert_int_equal(file_of(&f, &g, 0, 30), -1);
    for (size_t i = 0; i < SOURCES; i++)
        view_drop(parts[i]);
    view_drop(all);
    buffer_free(&buffer);
    files_close(&f);
}

static void knows_only_what_was_gathered(void **state)
{
    struct files f;
    struct buffer buffer = { 0 };
    struct row_origin origin;
    uint64_t numbers[ROWS + 1];
    files_open(&f);
    struct view *range = view_range(f.sources[1], INDEX_L2SQ, 5, 40);
    struct gathered_rows g = gather(range, NULL, 40, &buffer);
    const float *rows = g.rows.rows;
    const struct vectors others[] = {
        { rows - DIM, 2, DIM, INDEX_F32 },      { rows, 41, DIM, INDEX_F32 },
        { rows + 39 * DIM, 2, DIM, INDEX_F32 }, { rows + 40 * DIM, 1, DIM, INDEX_F32 },
        { rows, 1, DIM / 2, INDEX_F32 },        { rows, 1, DIM, INDEX_U8 },
        { numbers, 1, DIM, INDEX_F32 },         { rows, 0, DIM, INDEX_F32 },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(gather_origin(&g, others[i], &origin, numbers));
    g = (struct gathered_rows){ 0 };
    assert_false(gather_origin(&g, (struct vectors){ rows, 1, DIM, INDEX_F32 }, &origin, numbers));
    /* Bytes that became floats on the way. */
    struct source *bytes = make_source(3, ROWS, INDEX_U8);
    bytes->origin = &f.origins[0];
    struct view *wide = view_range(bytes, INDEX_L2SQ, 0, 10);
    g = gather(wide, NULL, 10, &buffer);
    assert_false(gather_origin(&g, g.rows, &origin, numbers));
    view_drop(wide);
    source_close(bytes);
    view_drop(range);
    buffer_free(&buffer);
    files_close(&f);
}

int main(void)
{
    return test_run_all("workload_gather", finds_the_file_of_rows, keeps_files_apart,
                        knows_only_what_was_gathered);
}
