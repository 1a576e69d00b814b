/* test_imports.c - configs on the data of other benchmarks: runbooks whose searches have ranges or whose
 * max_pts is too small, i8 rows, offsets, and the metrics that files state. */
#include "src/plan/plan.h"
#include "tests/support/config_desk.h"
#include "tests/unit/config/snippets.h"

static void test_search_ranges(void **state)
{
    struct desk *d = *state;
    desk_write(d, "book.yaml",
               "drifting:\n  max_pts: 10\n  1:\n    operation: insert\n    start: 0\n    end: 100\n"
               "  2:\n    operation: search\n    start: 0\n    end: 10\n"
               "  3:\n    operation: search\n    start: 10\n    end: 40\n"
               "  4:\n    operation: search\n"
               "  5:\n    operation: delete\n    start: 0\n    end: 100\n");
    /* As many queries as the runbook has: each range is taken as it is. */
    desk_loads(d, RUN("w:runbook { 'book.yaml', data, queries = data:queries(40) }"));
    assert_non_null(strstr(d->said, "warning: "));
    assert_non_null(strstr(d->said, "book.yaml:3: drifting: step 1: 100 points are live, but "
                                    "max_pts is 10; it is raised"));
    assert_int_equal(desk_op(d, 1)->n, 10);
    assert_int_equal(desk_op(d, 2)->n, 30);
    assert_int_equal(desk_op(d, 2)->rows->segments[0].first, 10);
    assert_int_equal(desk_op(d, 3)->n, 40);
    assert_string_equal(desk_op(d, 2)->tag, "search");
    /* Fewer: ranges are scaled, and stay adjacent. */
    desk_loads(d, RUN("w:runbook { 'book.yaml', data, queries = data:queries(8) }"));
    assert_int_equal(desk_op(d, 1)->n, 2);
    assert_int_equal(desk_op(d, 2)->n, 6);
    assert_int_equal(desk_op(d, 2)->rows->segments[0].first, 2);
    desk_refuses(d, RUN("w:runbook { 'book.yaml', data, queries = data:queries(3) }"),
                 "book.yaml:7: step 2: 0 to 10 map to no row of the view, "
                 "which has 3; the runbook has 40");
}

#define STEP(n, rest)       "  " #n ":\n    operation: " rest "\n"
#define INSERT(n, from, to) STEP(n, "insert\n    start: " #from "\n    end: " #to)
#define DELETE(n, from, to) STEP(n, "delete\n    start: " #from "\n    end: " #to)
#define TOP                 "d:\n  max_pts: 10\n"

/* Points that are inserted twice, or changed while they are not live. */
static void test_refuses_dead_points(void **state)
{
    static const struct {
        const char *book, *expected;
    } bad[] = {
        { TOP INSERT(1, 0, 5) INSERT(2, 4, 6), "book.yaml:7: step 2: row 5 of " },
        { TOP INSERT(1, 0, 5) INSERT(2, 4, 6), "(id 4) is live already" },
        { TOP INSERT(1, 0, 5) DELETE(2, 4, 6), "step 2: row 6 of " },
        { TOP INSERT(1, 0, 5) DELETE(2, 4, 6), " was never inserted" },
        { TOP INSERT(1, 0, 5) DELETE(2, 1, 3) DELETE(3, 2, 4), "step 3: row 3 of " },
        { TOP INSERT(1, 0, 5) DELETE(2, 1, 3) DELETE(3, 2, 4), "(id 2) is not live here" },
        { TOP STEP(1, "replace\n    tags_start: 0\n    tags_end: 1\n    ids_start: 0\n    "
                      "ids_end: 1"),
          "step 1: row 1 of " },
        { TOP INSERT(1, 0, 5) STEP(2, "initial\n    start: 4\n    end: 6"),
          "book.yaml:7: step 2: row 5 of " },
        { TOP STEP(1, "batch_insert_delete\n    start: 0\n    end: 6\n    batchSize: 3\n"
                      "    deletion_percentage: 0.34") DELETE(2, 0, 2),
          "step 2: row 2 of " },
    };
    struct desk *d = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        desk_write(d, "book.yaml", bad[i].book);
        desk_refuses(d, RUN("w:runbook { 'book.yaml', data, searches = 0 }"), bad[i].expected);
    }
}

#define CANDOR                                                                             \
    "some:\n  max_pts: 1000\n  1:\n    operation: initial\n    start: 0\n    end: 200\n"   \
    "  2:\n    operation: batch_insert\n    start: 200\n    end: 600\n    batchSize: 50\n" \
    "    eventRate: 1000\n  3:\n    operation: waitPending\n"                              \
    "  4:\n    operation: batch_insert_delete\n    start: 600\n    end: 1000\n"            \
    "    batchSize: 150\n    eventRate: 1000\n    deletion_percentage: 0.2\n"              \
    "  5:\n    operation: search\n"

static void expect_step(const struct desk *d, size_t i, const char *tag, size_t n)
{
    assert_string_equal(op_tag(desk_op(d, i)), tag);
    assert_int_equal(desk_op(d, i)->n, n);
}

/* A runbook of CANDOR-Bench: batches that arrive, searches and deletions in between. */
static void test_candor(void **state)
{
    struct desk *d = *state;
    desk_write(d, "book.yaml", CANDOR);
    desk_loads(d, "local data = synthetic { kind = 'mixture', rows = 1000, dim = 8 }\n"
                  "experiment { " FLAT "workload = function(w) w:runbook { 'book.yaml', "
                  "data, queries = data:queries(9), searches = 2 } end }");
    expect_step(d, 0, "initial", 200);
    assert_int_equal(desk_op(d, 0)->kind, OP_TRAIN);
    expect_step(d, 1, "initial", 200);
    for (size_t half = 0; half < 2; half++) {
        expect_step(d, 2 + 2 * half, "batch_insert", 200);
        assert_int_equal(desk_op(d, 2 + 2 * half)->batch, 50);
        assert_true(desk_op(d, 2 + 2 * half)->rate == 1000);
        expect_step(d, 3 + 2 * half, "continuous", 9);
    }
    static const size_t inserted[] = { 150, 150, 100 };
    size_t at = 6;
    for (size_t batch = 0; batch < 3; batch++) {
        expect_step(d, at++, "batch_insert_delete", inserted[batch]);
        expect_step(d, at, "delete", 30);
        assert_int_equal(desk_op(d, at)->ids[0], 600 + 150 * batch + inserted[batch] - 30);
        at++;
        if (batch == 1) /* 300 of 400 rows have come; then 150 more count, as in CANDOR-Bench */
            expect_step(d, at++, "continuous", 9);
    }
    expect_step(d, at++, "search", 9);
    assert_int_equal(d->experiment->ops->n, at);
    /* A tenth of the rows, at another rate, after a training of its own. */
    desk_loads(d, "local data = synthetic { kind = 'mixture', rows = 100, dim = 8 }\n"
                  "experiment { " FLAT "workload = function(w) w:train { data:rows(1, 50) }"
                  " w:runbook { 'book.yaml', data, queries = data:queries(9), searches = "
                  "0, event_rate = 0 } end }");
    expect_step(d, 1, "initial", 20);
    expect_step(d, 2, "batch_insert", 40);
    assert_int_equal(desk_op(d, 2)->batch, 5);
    assert_true(desk_op(d, 2)->rate == 0);
    expect_step(d, 3, "batch_insert_delete", 15);
    expect_step(d, 4, "delete", 3);
    assert_int_equal(d->experiment->ops->n, 10);
}

#define SMALL(file)                                    \
    "local data = " file "\nexperiment { k = 1, " FLAT \
    "workload = function(w) w:insert { data } w:search { data:queries(1) } end }"

static void expect_row(const struct desk *d, size_t op, enum element element, const void *expected,
                       size_t bytes)
{
    struct error err = { 0 };
    char row[64];
    assert_int_equal(desk_op(d, op)->rows->element, element);
    assert_ok(view_read(desk_op(d, op)->rows, 0, 1, element, row, &err), &err);
    assert_memory_equal(row, expected, bytes);
}

static const uint8_t i8_file[] = { 2, 0, 0, 0, 2, 0, 0, 0, 0x80, 1, 3, 0x7f },
                     i8_queries[] = { 1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0 };

static void test_i8_rows(void **state)
{
    static const float wide[] = { -128, 1 }, asked[] = { -1, 0 };
    static const uint8_t shifted[] = { 0, 129 }, asked_shifted[] = { 127, 128 };
    struct desk *d = *state;
    desk_write_bytes(d, "base.i8bin", i8_file, sizeof i8_file);
    desk_write_bytes(d, "ask.i8bin", i8_queries, sizeof i8_queries);
    desk_loads(d, SMALL("file { 'base.i8bin', queries = 'ask.i8bin' }"));
    expect_row(d, 0, INDEX_F32, wide, sizeof wide);
    expect_row(d, 1, INDEX_F32, asked, sizeof asked);
    desk_loads(d, SMALL("file { 'base.i8bin', queries = 'ask.i8bin', element = 'u8', add = "
                        "128 }"));
    expect_row(d, 0, INDEX_U8, shifted, sizeof shifted);
    expect_row(d, 1, INDEX_U8, asked_shifted, sizeof asked_shifted);
    desk_refuses(d, SMALL("file { 'base.i8bin', add = 1.5 }"), "\"add\" must be a whole number");
}

#define CATALOG(field)                                                                             \
    "return { ['space'] = { about = 'i8 rows', metric = 'l2', element = 'u8', rows = 2, dim = 2, " \
    "licence = 'none', files = { { part = 'base', file = 'base.i8bin', element = 'u8', rows = 2, " \
    "dim = 2, sources = {}, " field " } } } }"

static void test_catalog(void **state)
{
    static const uint8_t shifted[] = { 0, 129 };
    struct desk *d = *state;
    d->options.data = d->dir;
    desk_make_dir(d, "datasets");
    desk_write_bytes(d, "base.i8bin", i8_file, sizeof i8_file);
    desk_write(d, "datasets/catalog.lua", CATALOG("add = 128"));
    const char *config =
        "local data = dataset 'space'\nexperiment { k = 1, " FLAT
        "workload = function(w) w:insert { data } w:search { data, repeated = true } "
        "end }";
    desk_loads(d, config);
    expect_row(d, 0, INDEX_U8, shifted, sizeof shifted);
    /* A catalog that was corrected is not answered from the rows converted before. */
    desk_write(d, "datasets/catalog.lua", CATALOG("add = 0"));
    desk_refuses(d, config, "row 1, column 1 does not fit u8");
    desk_write(d, "datasets/catalog.lua", CATALOG("add = 'one'"));
    desk_refuses(d, config,
                 "data set \"space\": \"add\" must be a number -1000 .. 1000, not \"one\"");
}

#ifdef HAVE_HDF5

#include <zlib.h>

#include "tests/unit/data/hdf5_files.h"

/* Two rows of two bytes under "train" and "test", compared by this metric. */
static void write_hdf5(const struct desk *d, const char *metric)
{
    static const char *const names[] = { "train", "test" };
    static const uint8_t rows[4] = { 1, 2, 3, 4 };
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/set.hdf5", d->dir);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_metric(file, metric);
    for (int i = 0; i < 2; i++)
        put_dataset(file, names[i], H5T_STD_U8LE, 2, 2, H5P_DEFAULT, H5T_NATIVE_UINT8, rows);
    assert_true(H5Fclose(file) >= 0);
}

/* Writes set.hdf5 again as set.hdf5.gz and set.bin. */
static void write_copies(const struct desk *d)
{
    char path[PATH_MAX + 64], bytes[20000];
    (void)snprintf(path, sizeof path, "%s/set.hdf5", d->dir);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    assert_int_equal(fclose(f), 0);
    assert_in_range(n, 1, sizeof bytes - 1);
    desk_write_bytes(d, "set.bin", bytes, n);
    (void)snprintf(path, sizeof path, "%s/set.hdf5.gz", d->dir);
    gzFile packed = gzopen(path, "wb");
    assert_non_null(packed);
    assert_int_equal(gzwrite(packed, bytes, (unsigned)n), n);
    assert_int_equal(gzclose(packed), Z_OK);
}

static void test_stated_metrics(void **state)
{
    static const struct {
        const char *name;
        enum metric metric;
    } known[] = { { "normalized", INDEX_COS }, { "angular", INDEX_COS }, { "cosine", INDEX_COS },
                  { "euclidean", INDEX_L2SQ }, { "ip", INDEX_IP },       { "dot", INDEX_IP } };
    struct desk *d = *state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        write_hdf5(d, known[i].name);
        desk_loads(d, SMALL("file 'set.hdf5'"));
        assert_int_equal(desk_op(d, 0)->rows->metric, known[i].metric);
    }
    /* The queries of a file in gzip, and of one whose format is given, are "test" too. */
    write_hdf5(d, "euclidean");
    write_copies(d);
    desk_loads(d, SMALL("file 'set.hdf5.gz'"));
    expect_row(d, 1, INDEX_U8, "\1\2", 2);
    desk_loads(d, SMALL("file { 'set.bin', format = 'hdf5' }"));
    expect_row(d, 1, INDEX_U8, "\1\2", 2);
    write_hdf5(d, "hamming");
    desk_refuses(d, SMALL("file 'set.hdf5'"),
                 "set.hdf5[train]: compares 2 columns of u8 by \"hamming\", "
                 "which needs codes: 8 columns of u8 for");
    write_hdf5(d, "jaccard");
    desk_refuses(d, SMALL("file 'set.hdf5'"), "its metric is \"jaccard\", which is not supported");
    desk_loads(d, SMALL("file { 'set.hdf5', metric = 'l2' }"));
}

#endif

#define MIX(file) LOADED("w:mix { data:queries(5), search = 1, arrivals = '" file "' }")

/* A file of arrivals has a time on each line; a line that has none is named. */
static void test_arrivals(void **state)
{
    static const struct {
        const char *text, *expected;
    } wrong[] = {
        { "0\n1.5\nsoon\n", "times.txt:3: a time in seconds from the start is expected" },
        { "0\n1.5\n1.4\n", "times.txt:3: a time in seconds from the start is expected" },
        { "-1\n", "times.txt:1: a time" },
        { "0 s\n", "times.txt:1: a time" },
        { "nan\n", "times.txt:1: a time" },
        { "", "times.txt has no times" },
    };
    struct desk *d = *state;
    desk_write(d, "times.txt", "0\n.25\r\n.25\n1e1");
    desk_loads(d, MIX("./times.txt"));
    const struct op *op = desk_op(d, 1);
    assert_int_equal(op->arrivals, MIX_RECORDED);
    assert_int_equal(op->n_due, 4);
    assert_int_equal(op->due_ns[1], 250000000);
    assert_int_equal(op->due_ns[2], 250000000);
    assert_int_equal(op->due_ns[3], UINT64_C(10000000000));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        desk_write(d, "times.txt", wrong[i].text);
        desk_refuses(d, MIX("times.txt"), wrong[i].expected);
    }
}

#define REPLAY LOADED("w:mix { data:queries(5), search = 1, operations = 2, replay = 'a.orders' }")

/* Another order of the same operations is another operation, whose cells are measured anew. */
static void test_orders(void **state)
{
    struct desk *d = *state;
    char before[65], after[65];
    desk_loads(d, LOADED("w:mix { data:queries(5), search = 1, operations = 2 }"));
    const size_t first = desk_op(d, 1)->n_order;
    assert_int_equal(first, 0);
    plan_op_digest(desk_op(d, 1), before);
    desk_write(d, "a.orders", "{\"tag\": \"mix\", \"threads\": 1, \"operations\": 0}\n");
    desk_loads(d, REPLAY);
    plan_op_digest(desk_op(d, 1), after);
    assert_string_not_equal(before, after);
    desk_write(d, "a.orders",
               "{\"tag\": \"mix\", \"threads\": 1, \"operations\": 1}\n5 0 0 search 900\n");
    desk_refuses(d, REPLAY, "a.orders:2: operation 0 is \"search 900\", but \"search ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_DESK(test_search_ranges),
        AT_A_DESK(test_i8_rows),
        AT_A_DESK(test_catalog),
        AT_A_DESK(test_candor),
        AT_A_DESK(test_refuses_dead_points),

#ifdef HAVE_HDF5
        AT_A_DESK(test_stated_metrics),
#endif
        AT_A_DESK(test_arrivals),
        AT_A_DESK(test_orders),
    };
    return test_run("config_imports", tests);
}
