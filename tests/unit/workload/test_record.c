/* test_record.c - the recorder against plain arrays: the same rows, the same ids,
   the same live set. */
#include "src/workload/internal.h" /* for the operation just recorded */
#include "src/workload/live_state.h"
#include "tests/support/vector_at.h"
#include "tests/unit/workload/rows.h"

/* The recorder as plain arrays: the id of each row, and when each id was inserted. */
struct model {
    struct source *sources[SOURCES];
    uint64_t id_of[SOURCES][ROWS], n_ids, now;
    uint64_t came[SOURCES * ROWS]; /* 0: not live */
    size_t live;
};

static uint64_t *model_id(struct model *m, const struct view *v, size_t i)
{
    size_t row, s = 0;
    const struct source *source = view_row(v, i, &row);
    while (m->sources[s] != source)
        s++;
    return &m->id_of[s][row];
}

static bool model_live(struct model *m, const struct view *v, size_t i)
{
    const uint64_t id = *model_id(m, v, i);
    return id != INDEX_NO_ID && m->came[id];
}

/* Some rows, in order or not, either all live or all not live; NULL if no such choice was drawn. */
static struct view *random_rows(struct rng *rng, struct model *m, bool live)
{
    const size_t s = (size_t)rng_below(rng, SOURCES), first = (size_t)rng_below(rng, ROWS);
    struct view *range =
        view_range(m->sources[s], INDEX_L2SQ, first, 1 + (size_t)rng_below(rng, ROWS - first));
    uint64_t *positions = malloc(range->n * sizeof *positions);
    assert_non_null(positions);
    size_t n = 0;
    for (size_t i = 0; i < range->n; i++)
        if (model_live(m, range, i) == live)
            positions[n++] = i;
    if (rng_below(rng, 2))
        rng_shuffle_u64(rng, positions, n);
    struct view *out = NULL;
    if (n)
        out = view_ordered(range, positions, n);
    else
        free(positions);
    view_drop(range);
    return out;
}

/* New ids are consecutive in row order within a run. The model takes them from the list, and checks
   that they are new and that a known row keeps its id. */
static void model_insert(struct model *m, const struct op *op)
{
    for (size_t i = 0; i < op->n; i++) {
        uint64_t *id = model_id(m, op->rows, i);
        if (*id == INDEX_NO_ID) {
            *id = op->ids[i];
            m->n_ids++;
        }
        assert_int_equal(op->ids[i], *id);
        assert_int_equal(m->came[*id], 0);
        m->came[*id] = ++m->now;
        m->live++;
    }
}

static void model_delete(struct model *m, const struct op *op, bool oldest)
{
    uint64_t newest_gone = 0;
    for (size_t i = 0; i < op->n; i++) {
        const uint64_t came = m->came[op->ids[i]];
        assert_true(came > 0);
        newest_gone = came > newest_gone ? came : newest_gone;
        m->came[op->ids[i]] = 0;
        m->live--;
    }
    for (size_t id = 0; oldest && id < m->n_ids; id++)
        assert_true(m->came[id] == 0 || m->came[id] > newest_gone);
}

static void random_step(struct rng *rng, struct recorder *r, struct model *m)
{
    struct error err = { 0 };
    const struct op_options note = { .line = 1 };
    const uint64_t what = rng_below(rng, 5);
    struct view *rows = what < 4 ? random_rows(rng, m, what >= 2) : NULL;
    struct id_selector choice = { .rows = rows };
    if (what == 4) {
        const size_t n = m->live ? 1 + (size_t)rng_below(rng, m->live < 9 ? m->live : 9) : 0;
        *(rng_below(rng, 2) ? &choice.random : &choice.oldest) = n;
    }
    if (rows && what < 2) {
        assert_ok(record_insert(r, &note, rows, &err), &err);
        model_insert(m, &r->list->ops[r->list->n - 1]);
    } else if (rows || choice.random || choice.oldest) {
        assert_ok(record_delete(r, &note, &choice, &err), &err);
        model_delete(m, &r->list->ops[r->list->n - 1], choice.oldest > 0);
    }
    view_drop(rows);
    assert_int_equal(recorder_live(r), m->live);
    assert_int_equal(r->list->n_ids, m->n_ids);
}

static void check_list(struct model *m, const struct op_list *list)
{
    struct error err = { 0 };
    struct live_state now;
    assert_ok(live_state_init(&now, list, &err), &err);
    for (size_t k = 0; k < list->n; k++) {
        assert_ok(live_state_step(&now, k, &err), &err);
        size_t bits = 0;
        for (size_t i = 0; i <= list->n_ids / 64; i++)
            bits += (size_t)__builtin_popcountll(now.live.bits[i]);
        assert_int_equal(bits, list->ops[k].live_after);
    }
    for (size_t id = 0; id < list->n_ids; id++) {
        assert_int_equal(live_has(&now.live, id), m->came[id] != 0);
        const struct live_row *ref = &now.rows[id];
        size_t s = 0;
        while (m->sources[s] != list->datasets[ref->dataset].source)
            s++;
        assert_int_equal(m->id_of[s][ref->row], id);
    }
    live_state_free(&now);
}

static void test_recorder(void **state)
{
    struct rng rng = rng_at(test_seed(), 2);
    for (uint64_t round = 0; round < 100; round++) {
        struct error err = { 0 };
        struct recorder *r;
        static struct model m;
        memset(&m, 0, sizeof m);
        memset(m.id_of, 0xff, sizeof m.id_of);
        assert_ok(recorder_new(&r, &err), &err);
        for (size_t i = 0; i < SOURCES; i++) {
            m.sources[i] = make_source(i, ROWS, INDEX_F32);
            assert_ok(recorder_source_take(r, m.sources[i], m.sources[i]->name, "", &err), &err);
        }
        recorder_set_seed(r, round);
        while (r->list->n < 60)
            random_step(&rng, r, &m);
        struct op_list *list;
        assert_ok(recorder_finish(r, &list, &err), &err);
        check_list(&m, list);
        op_list_free(list);
    }
}

/* One long history: rows are inserted, deleted and inserted again under their ids; `oldest` counts
   from the latest insertion. */
static void test_ids_return(void **state)
{
    struct error err = { 0 };
    struct recorder *r;
    struct source *s = make_source(0, ROWS, INDEX_F32), *unused = make_source(1, 5, INDEX_F32);
    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, unused, "unused", "", &err), &err);
    assert_ok(recorder_source_take(r, s, "set", "abc", &err), &err);
    struct op_options note = { .line = 3, .tag = "t" };
    struct view *all = view_range(s, INDEX_L2SQ, 0, ROWS);
    struct view *a = view_slice(all, 20, 20), *b = view_slice(all, 10, 40),
                *c = view_slice(all, 22, 3);
    assert_ok(record_insert(r, &note, a, &err), &err);
    assert_ok(record_delete(r, &note, &(struct id_selector){ .rows = a }, &err), &err);
    assert_ok(record_insert(r, &note, b, &err), &err);
    assert_ok(record_delete(r, &note, &(struct id_selector){ .rows = c }, &err), &err);
    assert_ok(record_insert(r, &note, c, &err), &err);
    assert_ok(record_delete(r, &note, &(struct id_selector){ .oldest = 38 }, &err), &err);
    struct op_list *list;
    assert_ok(recorder_finish(r, &list, &err), &err);
    assert_int_equal(list->n_ids, 40);
    assert_int_equal(list->n_datasets, 1);
    assert_int_equal(list->n_opened, 2);
    assert_string_equal(list->datasets[0].sha256, "abc");
    /* b is rows 10..49: 20..39 have ids 0..19, the others get the next ids in order. */
    for (size_t i = 0; i < 40; i++) {
        const uint64_t id = i < 10 ? 20 + i : i < 30 ? i - 10 : i;
        assert_int_equal(list->ops[2].ids[i], id);
        float row[DIM];
        vector_at(list, id, 3, INDEX_F32, row);
        assert_true(row[1] == -(float)(10 + i));
    }
    /* The three rows inserted last are deleted last: two of them stay. */
    const struct op *last = &list->ops[5];
    assert_int_equal(last->ids[37], list->ops[4].ids[0]);
    assert_int_equal(last->live_after, 2);
    view_drop(all);
    view_drop(a);
    view_drop(b);
    view_drop(c);
    op_list_free(list);
}

static void test_updates(void **state)
{
    struct error err = { 0 };
    struct recorder *r;
    struct source *s = make_source(0, ROWS, INDEX_F32);
    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, s, "set", "", &err), &err);
    struct op_options note = { .line = 3 };
    struct view *all = view_range(s, INDEX_L2SQ, 0, ROWS);
    struct view *old = view_slice(all, 0, 4), *first = view_slice(all, 40, 2),
                *second = view_slice(all, 50, 1);
    const uint64_t two[] = { 1, 2 }, one[] = { 2 };
    assert_ok(record_insert(r, &note, old, &err), &err);
    assert_ok(record_update(r, &note, &(struct id_selector){ .ids = two, .n_ids = 2 }, first, &err),
              &err);
    assert_ok(
        record_update(r, &note, &(struct id_selector){ .ids = one, .n_ids = 1 }, second, &err),
        &err);
    struct op_list *list;
    assert_ok(recorder_finish(r, &list, &err), &err);
    static const struct {
        uint64_t id;
        size_t at;
        float row;
    } expected[] = {
        { 0, 3, 0 }, { 1, 1, 1 },  { 1, 2, 40 }, { 1, 3, 40 },
        { 2, 1, 2 }, { 2, 2, 41 }, { 2, 3, 50 }, { 3, 3, 3 },
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        float row[DIM];
        vector_at(list, expected[i].id, expected[i].at, INDEX_F32, row);
        assert_true(row[0] == expected[i].row);
    }
    view_drop(all);
    view_drop(old);
    view_drop(first);
    view_drop(second);
    op_list_free(list);
}

static void test_elements_mix(void **state)
{
    struct error err = { 0 };
    struct recorder *r;
    struct source *bytes = make_source(0, ROWS, INDEX_U8),
                  *floats = make_source(1, ROWS, INDEX_F32);
    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, bytes, "bytes", "", &err), &err);
    assert_ok(recorder_source_take(r, floats, "floats", "", &err), &err);
    struct op_options note = { .line = 3 };
    struct view *a = view_range(bytes, INDEX_L2SQ, 0, 9), *b = view_range(floats, INDEX_L2SQ, 0, 9);
    struct view *c = view_range(floats, INDEX_COS, 0, 9);
    assert_ok(record_insert(r, &note, a, &err), &err);
    note.k = 3;
    note.rows = b;
    assert_ok(record_operation(r, OP_SEARCH, &note, &err), &err);
    note.rows = c;
    assert_code(record_operation(r, OP_SEARCH, &note, &err), ERR_DIMENSION, &err);
    /* It is refused again. */
    note.rows = b;
    assert_code(record_operation(r, OP_SEARCH, &note, &err), ERR_CONFIG, &err);
    struct op_list *list;
    assert_code(recorder_finish(r, &list, &err), ERR_CONFIG, &err);
    view_drop(a);
    view_drop(b);
    view_drop(c);
}

/* Writers that replace rows: the deleted ids are fixed, one per row, all of them live before. */
static void test_replacements(void **state)
{
    struct error err = { 0 };
    struct recorder *r;
    struct op_list *list;
    struct live_state now;
    struct source *s = make_source(0, 40, INDEX_F32);
    const struct op_options note = { 0 };

    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, s, "set", "", &err), &err);
    struct view *first = view_range(s, INDEX_L2SQ, 0, 20), *more = view_range(s, INDEX_L2SQ, 20, 5);
    assert_ok(record_insert(r, &note, first, &err), &err);
    const struct op_options churn = {
        .rows = first, .writes = more, .writers = 1, .k = 3, .which = { .oldest = 5 }
    };
    assert_ok(record_operation(r, OP_CONCURRENT, &churn, &err), &err);
    assert_int_equal(recorder_live(r), 20);
    assert_ok(recorder_finish(r, &list, &err), &err);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(list->ops[1].removes[i], i);
        assert_int_equal(list->ops[1].ids[i], 20 + i);
    }
    assert_int_equal(list->max_live, 20);
    assert_ok(live_state_init(&now, list, &err), &err);
    assert_ok(live_state_step(&now, 0, &err), &err);
    assert_ok(live_state_step(&now, 1, &err), &err);
    assert_int_equal(now.live.n, 20);
    for (uint64_t id = 0; id < 25; id++)
        assert_int_equal(live_has(&now.live, id), id >= 5);
    live_state_free(&now);
    op_list_free(list);
    view_drop(first);
    view_drop(more);
}

int main(void)
{
    return test_run_all("record", test_recorder, test_ids_return, test_updates, test_elements_mix,
                        test_replacements);
}
