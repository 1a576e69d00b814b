/* test_record.c - views and the recorder against plain arrays: the same rows, the same ids, the same live set. */
#include "tests/testing.h"

#include "src/harness/record_state.h" /* for a look at the operation just recorded */

enum { SOURCES = 3, ROWS = 60, DIM = 2, STEPS = 6, ROOM = ROWS << STEPS };

static int no_read(const struct source *s, size_t first, size_t n, void *out, struct error *err)
{
    (void)first, (void)n, (void)out;
    return fail(err, ERR_IO, "%s: its rows lie in memory", s->name);
}

static void free_rows(struct source *s)
{
    free(s->state);
}

/* Row r of source number i is (1000 i + r, -r), so that a vector says where it is from. */
static struct source *make_source(size_t number, size_t n, enum element element)
{
    struct error err = { 0 };
    char name[20];
    (void)snprintf(name, sizeof name, "set %zu", number);
    struct source *s = source_new(name, &err);
    assert_non_null(s);
    s->n = n;
    s->dim = DIM;
    s->element = element;
    s->read = no_read;
    s->close = free_rows;
    s->state = malloc(n * DIM * sizeof(float));
    assert_non_null(s->state);
    for (size_t r = 0; r < n; r++) {
        if (element == ELEMENT_U8) {
            ((uint8_t *)s->state)[r * DIM] = (uint8_t)number;
            ((uint8_t *)s->state)[r * DIM + 1] = (uint8_t)r;
        } else {
            ((float *)s->state)[r * DIM] = (float)(1000 * number + r);
            ((float *)s->state)[r * DIM + 1] = -(float)r;
        }
    }
    s->rows = s->state;
    s->hash = number;
    return s;
}

/* What a view should be: source and row of each position. */
struct plain {
    size_t n, source[ROOM], row[ROOM];
};

static void expect_view(const struct view *v, const struct plain *p, struct source *const *sources)
{
    static float got[ROOM * DIM];
    struct error err = { 0 };
    assert_int_equal(v->n, p->n);
    assert_ok(view_read(v, 0, v->n, ELEMENT_F32, got, &err), &err);
    for (size_t i = 0; i < p->n; i++) {
        size_t row;
        assert_ptr_equal(view_row(v, i, &row), sources[p->source[i]]);
        assert_int_equal(row, p->row[i]);
        assert_true(got[i * DIM] == (float)(1000 * p->source[i] + p->row[i]));
        const float *mapped = view_map(v, i, 1, ELEMENT_F32);
        assert_true(mapped && mapped[0] == got[i * DIM]);
    }
    if (v->n > 1 && view_map(v, 0, v->n, ELEMENT_F32))
        assert_memory_equal(view_map(v, 0, v->n, ELEMENT_F32), got, v->n * DIM * sizeof(float));
}

static void model_append(struct plain *p, size_t source, size_t row)
{
    assert_true(p->n < ROOM);
    p->source[p->n] = source;
    p->row[p->n++] = row;
}

static struct view *append_range(struct rng *rng, const struct view *v, struct plain *p,
                                 struct source *const *sources)
{
    const size_t s = (size_t)rng_below(rng, SOURCES), first = (size_t)rng_below(rng, ROWS);
    const size_t n = 1 + (size_t)rng_below(rng, ROWS - first);
    struct view *range = view_range(sources[s], METRIC_L2SQ, first, n),
                *out = view_concat(v, range);
    for (size_t i = 0; i < n; i++)
        model_append(p, s, first + i);
    view_drop(range);
    return out;
}

static struct view *append_itself(const struct view *v, struct plain *p)
{
    for (size_t i = 0; i < v->n; i++)
        model_append(p, p->source[i], p->row[i]);
    return view_concat(v, v);
}

static struct view *pick_rows(struct rng *rng, const struct view *v, struct plain *p)
{
    const struct plain old = *p;
    const size_t n = 1 + (size_t)rng_below(rng, v->n);
    uint64_t *positions = malloc(n * sizeof *positions);
    assert_non_null(positions);
    rng_sample(rng, v->n, n, positions);
    p->n = 0;
    for (size_t i = 0; i < n; i++)
        model_append(p, old.source[positions[i]], old.row[positions[i]]);
    return view_ordered(v, positions, n);
}

static struct view *cut(struct rng *rng, const struct view *v, struct plain *p)
{
    const struct plain old = *p;
    const size_t first = (size_t)rng_below(rng, v->n), n = 1 + (size_t)rng_below(rng, v->n - first);
    p->n = 0;
    for (size_t i = 0; i < n; i++)
        model_append(p, old.source[first + i], old.row[first + i]);
    return view_slice(v, first, n);
}

/* Replaces a view by one made of it. */
static struct view *compose(struct rng *rng, struct view *v, struct plain *p,
                            struct source *const *sources)
{
    const uint64_t what = rng_below(rng, 4);
    struct view *out = what == 0   ? append_range(rng, v, p, sources)
                       : what == 1 ? append_itself(v, p)
                       : what == 2 ? pick_rows(rng, v, p)
                                   : cut(rng, v, p);
    assert_non_null(out);
    view_drop(v);
    return out;
}

static void test_views(void **state)
{
    (void)state;
    struct source *sources[SOURCES];
    static struct plain p;
    struct rng rng = rng_at(test_seed(), 1);
    for (size_t i = 0; i < SOURCES; i++)
        sources[i] = make_source(i, ROWS, ELEMENT_F32);
    for (int round = 0; round < 200; round++) {
        struct view *v = view_range(sources[0], METRIC_L2SQ, 0, ROWS);
        p.n = ROWS;
        for (size_t i = 0; i < ROWS; i++) {
            p.source[i] = 0;
            p.row[i] = i;
        }
        for (int step = 0; step < STEPS; step++) {
            v = compose(&rng, v, &p, sources);
            expect_view(v, &p, sources);
        }
        view_drop(v);
    }
    for (size_t i = 0; i < SOURCES; i++)
        source_close(sources[i]);
}

static void test_adjoining(void **state)
{
    (void)state;
    struct source *s = make_source(0, ROWS, ELEMENT_U8);
    struct error err = { 0 };
    struct view *all = view_range(s, METRIC_L2SQ, 0, 1);
    for (size_t i = 1; i < 50; i++) {
        struct view *next = view_range(s, METRIC_L2SQ, i, 1), *both = view_concat(all, next);
        view_drop(all);
        view_drop(next);
        all = both;
    }
    assert_int_equal(all->n_segments, 1);
    float row[DIM];
    uint64_t code[DIM];
    assert_ok(view_read(all, 7, 1, ELEMENT_F32, row, &err), &err);
    assert_true(row[1] == 7);
    assert_code(view_read(all, 7, 1, ELEMENT_B64, code, &err), ERR_DIMENSION, &err);
    assert_code(view_read(all, 49, 2, ELEMENT_F32, row, &err), ERR_ARGUMENT, &err);
    assert_null(view_map(all, 0, 1, ELEMENT_F32));
    view_drop(all);
    source_close(s);
}

/* The recorder as plain arrays: the id of each row, and when an id came. */
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
    return id != ID_NONE && m->came[id];
}

/* Some rows, in order or not, of which all are live or none is; NULL if chance finds none. */
static struct view *random_rows(struct rng *rng, struct model *m, bool live)
{
    const size_t s = (size_t)rng_below(rng, SOURCES), first = (size_t)rng_below(rng, ROWS);
    struct view *range =
        view_range(m->sources[s], METRIC_L2SQ, first, 1 + (size_t)rng_below(rng, ROWS - first));
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

/* New ids follow on each other in row order within a run, so the model takes them from the list, and checks that they
   are new, and that a known row keeps its own. */
static void model_insert(struct model *m, const struct op *op)
{
    for (size_t i = 0; i < op->n; i++) {
        uint64_t *id = model_id(m, op->rows, i);
        if (*id == ID_NONE) {
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
    const struct step_note note = { .line = 1 };
    const uint64_t what = rng_below(rng, 5);
    struct view *rows = what < 4 ? random_rows(rng, m, what >= 2) : NULL;
    struct choice choice = { .rows = rows };
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
    struct live_set live;
    assert_ok(live_init(&live, list, &err), &err);
    for (size_t k = 0; k < list->n; k++) {
        live_step(&live, &list->ops[k]);
        size_t bits = 0;
        for (size_t i = 0; i <= list->n_ids / 64; i++)
            bits += (size_t)__builtin_popcountll(live.bits[i]);
        assert_int_equal(bits, list->ops[k].live_after);
    }
    for (size_t id = 0; id < list->n_ids; id++) {
        assert_int_equal(live_has(&live, id), m->came[id] != 0);
        const struct row_ref *ref = &list->rows[id];
        size_t s = 0;
        while (m->sources[s] != list->datasets[ref->dataset].source)
            s++;
        assert_int_equal(m->id_of[s][ref->row], id);
    }
    live_free(&live);
}

static void test_recorder(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 2);
    for (uint64_t round = 0; round < 100; round++) {
        struct error err = { 0 };
        struct recorder *r;
        static struct model m;
        memset(&m, 0, sizeof m);
        memset(m.id_of, 0xff, sizeof m.id_of);
        assert_ok(recorder_new(&r, &err), &err);
        for (size_t i = 0; i < SOURCES; i++) {
            m.sources[i] = make_source(i, ROWS, ELEMENT_F32);
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

/* One long history: rows come, go and come again under the ids they had; `oldest` goes by the latest coming. */
static void test_ids_return(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct recorder *r;
    struct source *s = make_source(0, ROWS, ELEMENT_F32), *unused = make_source(1, 5, ELEMENT_F32);
    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, unused, "unused", "", &err), &err);
    assert_ok(recorder_source_take(r, s, "set", "abc", &err), &err);
    struct step_note note = { .line = 3, .tag = "t" };
    struct view *all = view_range(s, METRIC_L2SQ, 0, ROWS);
    struct view *a = view_slice(all, 20, 20), *b = view_slice(all, 10, 40),
                *c = view_slice(all, 22, 3);
    assert_ok(record_insert(r, &note, a, &err), &err);
    assert_ok(record_delete(r, &note, &(struct choice){ .rows = a }, &err), &err);
    assert_ok(record_insert(r, &note, b, &err), &err);
    assert_ok(record_delete(r, &note, &(struct choice){ .rows = c }, &err), &err);
    assert_ok(record_insert(r, &note, c, &err), &err);
    assert_ok(record_delete(r, &note, &(struct choice){ .oldest = 38 }, &err), &err);
    struct op_list *list;
    assert_ok(recorder_finish(r, &list, &err), &err);
    assert_int_equal(list->n_ids, 40);
    assert_int_equal(list->n_datasets, 1);
    assert_int_equal(list->n_opened, 2);
    assert_string_equal(list->datasets[0].sha256, "abc");
    /* b is rows 10..49: 20..39 have ids 0..19, the others the next ones in order. */
    for (size_t i = 0; i < 40; i++) {
        const uint64_t id = i < 10 ? 20 + i : i < 30 ? i - 10 : i;
        assert_int_equal(list->ops[2].ids[i], id);
        assert_int_equal(list->rows[id].row, 10 + i);
    }
    /* The three that came last are the last to be chosen: two of them stay. */
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
    (void)state;
    struct error err = { 0 };
    struct recorder *r;
    struct source *s = make_source(0, ROWS, ELEMENT_F32);
    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, s, "set", "", &err), &err);
    struct step_note note = { .line = 3 };
    struct view *all = view_range(s, METRIC_L2SQ, 0, ROWS);
    struct view *old = view_slice(all, 0, 4), *first = view_slice(all, 40, 2),
                *second = view_slice(all, 50, 1);
    const uint64_t two[] = { 1, 2 }, one[] = { 2 };
    assert_ok(record_insert(r, &note, old, &err), &err);
    assert_ok(record_update(r, &note, &(struct choice){ .ids = two, .n_ids = 2 }, first, &err),
              &err);
    assert_ok(record_update(r, &note, &(struct choice){ .ids = one, .n_ids = 1 }, second, &err),
              &err);
    struct op_list *list;
    assert_ok(recorder_finish(r, &list, &err), &err);
    assert_true(list->has_updates);
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
        assert_ok(op_list_vector(list, expected[i].id, expected[i].at, ELEMENT_F32, row, &err),
                  &err);
        assert_true(row[0] == expected[i].row);
    }
    float row[DIM];
    assert_code(op_list_vector(list, 4, 3, ELEMENT_F32, row, &err), ERR_UNKNOWN_ID, &err);
    view_drop(all);
    view_drop(old);
    view_drop(first);
    view_drop(second);
    op_list_free(list);
}

static void test_elements_mix(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct recorder *r;
    struct source *bytes = make_source(0, ROWS, ELEMENT_U8),
                  *floats = make_source(1, ROWS, ELEMENT_F32);
    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, bytes, "bytes", "", &err), &err);
    assert_ok(recorder_source_take(r, floats, "floats", "", &err), &err);
    struct step_note note = { .line = 3 };
    struct view *a = view_range(bytes, METRIC_L2SQ, 0, 9),
                *b = view_range(floats, METRIC_L2SQ, 0, 9);
    struct view *c = view_range(floats, METRIC_COS, 0, 9);
    assert_ok(record_insert(r, &note, a, &err), &err);
    assert_ok(record_search(r, &note, b, 3, NULL, &err), &err);
    assert_code(record_search(r, &note, c, 3, NULL, &err), ERR_DIMENSION, &err);
    /* It stays refused. */
    assert_code(record_search(r, &note, b, 3, NULL, &err), ERR_CONFIG, &err);
    struct op_list *list;
    assert_code(recorder_finish(r, &list, &err), ERR_CONFIG, &err);
    view_drop(a);
    view_drop(b);
    view_drop(c);
}

/* Writers that replace: which ids go is fixed, one for each row, all of them live before. */
static void test_replacements(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct recorder *r;
    struct op_list *list;
    struct live_set live;
    struct source *s = make_source(0, 40, ELEMENT_F32);
    const struct step_note note = { 0 };

    assert_ok(recorder_new(&r, &err), &err);
    assert_ok(recorder_source_take(r, s, "set", "", &err), &err);
    struct view *first = view_range(s, METRIC_L2SQ, 0, 20),
                *more = view_range(s, METRIC_L2SQ, 20, 5),
                *again = view_range(s, METRIC_L2SQ, 0, 5);
    assert_ok(record_insert(r, &note, first, &err), &err);
    const struct choice oldest = { .oldest = 5 }, too_few = { .oldest = 4 };
    struct concurrent_request c = {
        .queries = first, .writes = more, .removes = &oldest, .writers = 1, .k = 3, .seconds = 0
    };
    assert_ok(record_concurrent(r, &note, &c, &err), &err);
    assert_int_equal(recorder_live(r), 20);
    assert_ok(recorder_finish(r, &list, &err), &err);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(list->ops[1].removes[i], i);
        assert_int_equal(list->ops[1].ids[i], 20 + i);
    }
    assert_int_equal(list->max_live, 20);
    assert_ok(live_init(&live, list, &err), &err);
    live_step(&live, &list->ops[0]);
    live_step(&live, &list->ops[1]);
    assert_int_equal(live.n, 20);
    for (uint64_t id = 0; id < 25; id++)
        assert_int_equal(live_has(&live, id), id >= 5);
    live_free(&live);
    op_list_free(list);

    /* A row cannot be removed and written at once; nor fewer be removed than are written. */
    for (int i = 0; i < 2; i++) {
        assert_ok(recorder_new(&r, &err), &err);
        s = make_source(0, 40, ELEMENT_F32);
        assert_ok(recorder_source_take(r, s, "set", "", &err), &err);
        view_drop(first);
        view_drop(again);
        view_drop(more);
        first = view_range(s, METRIC_L2SQ, 0, 20);
        again = view_range(s, METRIC_L2SQ, 0, 5);
        more = view_range(s, METRIC_L2SQ, 20, 5);
        assert_ok(record_insert(r, &note, first, &err), &err);
        c.queries = first;
        c.writes = i ? more : again;
        c.removes = i ? &too_few : &oldest;
        assert_code(record_concurrent(r, &note, &c, &err), ERR_CONFIG, &err);
        recorder_free(r);
    }
    view_drop(first);
    view_drop(again);
    view_drop(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),        cmocka_unit_test(test_adjoining),
        cmocka_unit_test(test_recorder),     cmocka_unit_test(test_ids_return),
        cmocka_unit_test(test_updates),      cmocka_unit_test(test_elements_mix),
        cmocka_unit_test(test_replacements),
    };
    return test_run("record", tests);
}
