/* test_channi.c - CHANNI's parts for rows and versions: deltas, places, views, options, changes and
 * their log records. */
#include <pthread.h>

#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/versions/view.h"
#include "tests/unit/channi/support.h"

/* --------------------------------------------------------------------------------- deltas */

enum { ROW_BYTES = 20 };

static void make_row(uint64_t i, unsigned char row[ROW_BYTES])
{
    for (size_t j = 0; j < ROW_BYTES; j++)
        row[j] = (unsigned char)rng_mix(i, j);
}

static void expect_row(const struct channi_delta *d, uint32_t i)
{
    const struct channi_delta_row at = channi_delta_at(d, i);
    unsigned char row[ROW_BYTES];

    make_row(i, row);
    assert_memory_equal(at.row, row, ROW_BYTES);
    assert_int_equal(at.id, 7 * (uint64_t)i);
    assert_int_equal(channi_record_at(at.record, 0), i % 5);
    assert_int_equal(channi_record_at(at.record, 1), -(int64_t)i);
    assert_int_equal(atomic_load(at.born), i + 1);
    assert_int_equal(atomic_load(at.dead), i % 3 ? 0 : i + 2);
}

static void append(struct channi_delta *d, uint32_t i)
{
    unsigned char row[ROW_BYTES];

    make_row(i, row);
    /* As in a file: field 1 is in another column. */
    const int64_t columns[3] = { i % 5, 0, -(int64_t)i };
    assert_int_equal(channi_delta_append(d, row, 7 * (uint64_t)i,
                                         (struct channi_record){ columns, 2 }, i + 1,
                                         i % 3 ? 0 : i + 2),
                     i);
}

/* Runs cover all rows from any number on, each once, in order, and agree with channi_delta_at(). */
static void expect_runs(const struct channi_delta *d, uint32_t from)
{
    uint32_t i = from, n, offset;

    for (; i < channi_delta_count(d); i += n) {
        const struct channi_delta_chunk *chunk = channi_delta_run(d, i, &offset, &n);

        assert_true(n > 0 && i + n <= channi_delta_count(d));
        assert_true(i == from || offset == 0);
        for (uint32_t j = 0; j < n; j++) {
            assert_ptr_equal(chunk->rows + (offset + j) * ROW_BYTES, channi_delta_at(d, i + j).row);
            assert_ptr_equal(&chunk->born[offset + j], channi_delta_at(d, i + j).born);
            assert_ptr_equal(&chunk->dead[offset + j], channi_delta_at(d, i + j).dead);
            assert_int_equal(chunk->ids[offset + j], channi_delta_at(d, i + j).id);
            assert_ptr_equal(chunk->attributes + 2 * (size_t)(offset + j),
                             channi_delta_at(d, i + j).record.numbers);
        }
    }
    assert_int_equal(i, channi_delta_count(d));
}

static void test_delta(void **state)
{
    /* Around the ends of chunks: 16, 48, 112, ... */
    static const uint32_t edges[] = { 1, 15, 16, 17, 47, 48, 49, 111, 112, 113, 2000 };
    struct mem mem = { 0 };
    struct channi_delta d;

    channi_delta_init(&d, &mem, ROW_BYTES, 2);
    assert_int_equal(mem_live(&mem), 0);
    for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
        const uint32_t n = channi_delta_count(&d);

        assert_true(channi_delta_reserve(&d, edges[e] - n));
        const size_t live = mem_live(&mem);
        for (uint32_t i = n; i < edges[e]; i++)
            append(&d, i);
        assert_int_equal(mem_live(&mem), live); /* appending allocates nothing */
        for (uint32_t i = 0; i < edges[e]; i++)
            expect_row(&d, i);
        for (uint32_t i = 0; i <= edges[e]; i++)
            expect_runs(&d, i);
    }
    assert_true(atomic_load(&d.bytes) >= (size_t)2000 * (ROW_BYTES + 40));
    channi_delta_free(&d);
    assert_int_equal(mem_live(&mem), 0);
}

static void test_delta_memory(void **state)
{
    struct mem mem = { .fail_at = 2 };
    struct channi_delta d;

    channi_delta_init(&d, &mem, ROW_BYTES, 2);
    assert_false(channi_delta_reserve(&d, 100)); /* three chunks */
    assert_int_equal(channi_delta_count(&d), 0);
    assert_true(channi_delta_reserve(&d, 100));
    for (uint32_t i = 0; i < 100; i++)
        append(&d, i);
    expect_row(&d, 99);
    assert_false(channi_delta_reserve(&d, (size_t)1 << 40));
    channi_delta_free(&d);
    assert_int_equal(mem_live(&mem), 0);
}

static void *read_delta(void *arg)
{
    const struct channi_delta *d = arg;
    uint32_t n = 0;

    while (n < 20000) {
        n = channi_delta_count(d);
        for (uint32_t i = n > 40 ? n - 40 : 0; i < n; i++)
            expect_row(d, i);
    }
    return NULL;
}

static void test_delta_readers(void **state)
{
    struct mem mem = { 0 };
    struct channi_delta d;
    pthread_t readers[2];

    channi_delta_init(&d, &mem, ROW_BYTES, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_delta, &d), 0);
    for (uint32_t i = 0; i < 20000; i++) {
        assert_true(channi_delta_reserve(&d, 1));
        append(&d, i);
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    channi_delta_free(&d);
}

static void test_sees(void **state)
{
    assert_true(channi_sees(5, 5, 0));
    assert_false(channi_sees(4, 5, 0));
    assert_true(channi_sees(5, 1, 6));
    assert_false(channi_sees(6, 1, 6));
}

/* --------------------------------------------------------------------------------- places */

static void test_places(void **state)
{
    enum { IDS = 600 };
    struct book b;
    struct channi_place known[IDS];
    bool there[IDS] = { false };
    size_t n = 0;

    book_open(&b, book_defaults(), INDEX_F32, 4, 1, 1);
    struct channi *s = book_channi(&b);
    for (size_t step = 0; step < 20000; step++) {
        const uint64_t i = rng_below(&b.rng, IDS), id = i * i * 31;
        const struct channi_place place = { (uint32_t)rng_below(&b.rng, 99),
                                            (uint32_t)rng_below(&b.rng, 999) };
        struct channi_place found;

        assert_true(channi_place_of(s, id, &found) == there[i]);
        assert_true(!there[i] || (found.cid == known[i].cid && found.row == known[i].row));
        if (!there[i]) {
            assert_ok(channi_places_reserve(s, &id, 1), &b.bench.error);
            channi_place_add(s, id, place);
            n++;
        } else if (rng_below(&b.rng, 2)) {
            channi_place_remove(s, id);
            n--;
        } else {
            channi_place_set(s, id, place);
        }
        there[i] = channi_place_of(s, id, NULL);
        known[i] = place;
        assert_int_equal(channi_live(s), n);
    }
    assert_true(s->n_slots <= IDS); /* slots are reused */
    assert_true(channi_places_bytes(s) > 0);
    for (size_t i = 0; i < IDS; i++)
        if (there[i])
            channi_place_remove(s, i * i * 31);
    book_close(&b);
}

/* ---------------------------------------------------------------------------------- views */

/* A cluster that only records its destruction. */
static struct channi_cluster *cluster_stub(struct channi *s, uint32_t cid,
                                           enum channi_cluster_kind kind)
{
    struct channi_cluster *cl = mem_zalloc(s->base.env.mem, sizeof *cl);

    assert_non_null(cl);
    cl->cid = cid;
    cl->kind = kind;
    channi_delta_init(&cl->delta, s->base.env.mem, s->row_bytes, 0);
    atomic_init(&cl->refs, 1);
    return cl;
}

/* Readers in the epoch keep their view; a referenced view keeps its layout's clusters. */
static void test_views(void **state)
{
    struct book b;
    unsigned ticket;

    book_open(&b, book_defaults(), INDEX_F32, 4, 1, 1);
    struct channi *s = book_channi(&b);
    const size_t before = mem_live(&b.bench.mem);
    const struct channi_view *first = channi_enter(s, &ticket);
    struct channi_layout *next = channi_layout_copy(s, first->layout);
    assert_non_null(next);
    assert_true(channi_layout_reserve(s, next, 9));
    channi_layout_set(s, next, 8, cluster_stub(s, 8, CLUSTER_OOD));
    channi_layout_set(s, next, 5, cluster_stub(s, 5, CLUSTER_OOD));
    assert_int_equal(next->n_clusters, 9);
    assert_true(next->clusters[0] == first->layout->clusters[0] && !next->clusters[4]);
    assert_true(channi_layout_find_ood(s, next));
    assert_int_equal(next->n_ood, 2);
    assert_int_equal(next->ood[0], 5);
    assert_int_equal(next->ood[1], 8);
    assert_ok(channi_publish(s, 1, next), &b.bench.error);
    assert_true(next->number > first->layout->number);
    epoch_collect(s->epoch);
    assert_int_equal(first->version, 0); /* still there: we are inside */
    assert_int_equal(atomic_load(&first->layout->clusters[0]->refs), 2);
    channi_leave(s, ticket);
    epoch_collect(s->epoch);
    assert_int_equal(atomic_load(&next->clusters[0]->refs), 1);

    struct channi_view *held = atomic_load(&s->now);
    (void)atomic_fetch_add(&held->refs, 1);
    struct channi_layout *last = channi_layout_copy(s, held->layout);
    assert_non_null(last);
    channi_layout_set(s, last, 8, NULL);
    channi_layout_set(s, last, 5, NULL);
    assert_true(channi_layout_find_ood(s, last));
    assert_int_equal(last->n_ood, 0);
    assert_ok(channi_publish(s, 2, last), &b.bench.error);
    epoch_collect(s->epoch);
    assert_int_equal(held->layout->clusters[8]->kind, CLUSTER_OOD); /* referenced */
    assert_ok(channi_publish(s, 3, NULL), &b.bench.error);
    assert_ptr_equal(atomic_load(&s->now)->layout, last);
    channi_view_unref(s, held);
    epoch_collect(s->epoch);
    assert_true(mem_live(&b.bench.mem) < before + 4096); /* the clusters are freed */
    book_close(&b);
}

/* ---------------------------------------------------------------------------------- changes */

static void test_changes(void **state)
{
    struct mem mem = { 0 };
    struct error error = { 0 };
    const struct channi s = { .base.env = { .mem = &mem, .error = &error },
                              .row_bytes = ROW_BYTES };
    struct channi_changes c = { 0 };
    unsigned char rows[3 * ROW_BYTES + 1], ids[3 * 8 + 1];

    for (unsigned i = 0; i < 3; i++) {
        const uint64_t id = 1000 + i;
        make_row(i, rows + 1 + (size_t)i * ROW_BYTES);
        memcpy(ids + 1 + 8 * (size_t)i, &id, 8);
    }
    assert_ok(channi_changes_add(&c, &s, 3, ids + 1, rows + 1, NULL), &error);
    assert_ok(channi_changes_add(&c, &s, 2, ids + 1, NULL, NULL), &error);
    mem.fail_at = atomic_load(&mem.calls) + 1;
    assert_code(channi_changes_add(&c, &s, 1, ids + 1, NULL, NULL), ERR_NO_MEMORY, &error);
    assert_int_equal(c.n, 2);
    memset(ids, 0, sizeof ids);
    assert_int_equal(c.list[0].op, CHANGE_PUT);
    assert_memory_equal(c.list[0].rows, rows + 1, 3 * ROW_BYTES);
    assert_int_equal(c.list[0].ids[2], 1002);
    assert_null(c.list[0].attributes);
    assert_int_equal(c.list[1].op, CHANGE_DEL);
    assert_int_equal(c.list[1].n, 2);
    assert_int_equal(c.list[1].ids[1], 1001);
    channi_changes_free(&c, &mem);
    assert_int_equal(mem_live(&mem), 0);
}

/* ---------------------------------------------------------------------------------- options */

static void test_options(void **state)
{
    static const struct {
        const char *name, *first, *second, *third;
        int code;
    } cases[] = {
        { "defaults", NULL, NULL, NULL, OK },
        { "a top layer wider than the lowest", "top_M=16", "top_M0=8", NULL, ERR_ARGUMENT },
        { "merged would be split", "split_max=32", "merge_min=4", NULL, ERR_ARGUMENT },
        { "merged just not", "split_max=33", "merge_min=4", NULL, OK },
        { "found merge_min fits a small split_max", "split_max=10", "target_cluster=1000", NULL,
          OK },
        { "outliers past the limit", "split_max=20", "ood_cap=21", NULL, ERR_ARGUMENT },
        { "one part", "parts=1", NULL, NULL, ERR_ARGUMENT },
        { "cold rows of graphs", "cold_rows=true", "cluster_index=graph", NULL, ERR_ARGUMENT },
        { "cold rows of codes", "cold_rows=true", "cluster_index=codes", NULL, OK },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const given[] = { cases[i].first, cases[i].second, cases[i].third };
        struct channi_params params;
        struct book b;
        char text[64];

        print_message("           %s\n", cases[i].name);
        memset(&params, 0, sizeof params);
        param_defaults(channi_ops.params, &params);
        params.wal = CHANNI_NO_WAL;
        book_begin(&b, params, INDEX_U8, 4, 1, 1);
        for (size_t j = 0; j < 3 && given[j]; j++) {
            (void)snprintf(text, sizeof text, "%s", given[j]);
            char *value = strchr(text, '=');
            *value++ = '\0';
            assert_ok(param_set(channi_ops.params, &b.params, text,
                                (struct param_value){ .kind = VALUE_TEXT, .text = value }, "channi",
                                &b.bench.error),
                      &b.bench.error);
        }
        assert_code(channi_ops.create(&b.index, &b.bench.env, &b.params), cases[i].code,
                    &b.bench.error);
        book_close(&b);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        int64_t expected;
        double fraction;
        size_t hint, build_at;
    } cases[] = { { 1000, .8, 5000, 800 },
                  { 0, .8, 5001, 4001 },
                  { 0, .8, 0, 32 },
                  { 0, 0, 5000, 1 },
                  { 0, 0, 0, 1 } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params params = book_defaults();
        struct book b;

        params.expected_n = cases[i].expected;
        params.defer_fraction = cases[i].fraction;
        book_begin(&b, params, INDEX_U8, 4, 1, 1);
        b.bench.env.expected_n = cases[i].hint;
        assert_ok(channi_ops.create(&b.index, &b.bench.env, &b.params), &b.bench.error);
        assert_int_equal(book_channi(&b)->build_at, cases[i].build_at);
        assert_int_equal(book_channi(&b)->split_max, 20);
        assert_int_equal(book_channi(&b)->merge_min, 2);
        assert_int_equal(book_channi(&b)->ood_cap, 5);
        book_close(&b);
    }
}

/* Two indexes in one folder would overwrite each other. */
static void test_folder(void **state)
{
    struct book b;
    struct index *second = NULL;
    struct index_env nowhere;

    book_open(&b, book_defaults(), INDEX_U8, 4, 1, 1);
    assert_code(channi_ops.create(&second, &b.bench.env, &b.params), ERR_IO, &b.bench.error);
    nowhere = b.bench.env;
    nowhere.dir = NULL;
    assert_code(channi_ops.create(&second, &nowhere, &b.params), ERR_ARGUMENT, &b.bench.error);
    book_close(&b);
}

/* auto: a background thread only where the method may use more than one thread. Clusters with codes
   are rewritten later than those with graphs. */
static void test_derived(void **state)
{
    static const struct {
        int64_t maintenance, inside;
        size_t threads;
        double compact_share;
        enum channi_maintenance found;
        double share;
    } cases[] = {
        { CHANNI_AUTO, INSIDE_CODES, 1, 0, CHANNI_INLINE, .25 },
        { CHANNI_AUTO, INSIDE_GRAPH, 2, 0, CHANNI_BACKGROUND, .04 },
        { CHANNI_INLINE, INSIDE_SCAN, 2, 0, CHANNI_INLINE, .25 },
        { CHANNI_EXPLICIT, INSIDE_GRAPH, 2, .5, CHANNI_EXPLICIT, .5 },
        { CHANNI_BACKGROUND, INSIDE_CODES, 1, .01, CHANNI_BACKGROUND, .01 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params params = book_defaults();
        struct book b;

        params.maintenance = cases[i].maintenance;
        params.cluster_index = cases[i].inside;
        params.compact_share = cases[i].compact_share;
        book_open(&b, params, INDEX_U8, 4, 1, cases[i].threads);
        const struct channi *c = book_channi(&b);
        assert_int_equal(c->maintenance, cases[i].found);
        assert_int_equal(c->jobs.queue.n_threads, cases[i].found == CHANNI_BACKGROUND);
        assert_float_equal(c->compact_share, cases[i].share, 0);
        book_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta),         cmocka_unit_test(test_delta_memory),
        cmocka_unit_test(test_delta_readers), cmocka_unit_test(test_sees),
        cmocka_unit_test(test_places),        cmocka_unit_test(test_views),
        cmocka_unit_test(test_changes),       cmocka_unit_test(test_options),
        cmocka_unit_test(test_derived),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_folder),
    };
    return test_run("channi", tests);
}
