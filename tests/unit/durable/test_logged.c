/* test_logged.c - an index with a log: it comes back as it was; changes that the log and the index do
 * not share are followed by a snapshot; and what is refused.
 *
 * The crash tier (contract/test_crash) has power cuts, full disks and failed syncs. */
#include "tests/support/testing.h"

#include <unistd.h>

#include "algorithms/common/durable/logged.h"
#include "algorithms/common/durable/wal.h"
#include "algorithms/hnsw/hnsw.h"
#include "src/core/param.h"

/* ---- a method of one float a row */

enum { ROWS = 64 };

struct toy_params {
    int64_t wal, checkpoint_mb;
};

struct toy {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct toy_params params;
    size_t n, calls, fails_at; /* fails_at: the row that the next change does not get to; 0: none */
    uint64_t trained, ids[ROWS];
    float rows[ROWS];
};

static struct toy *toy_of(const struct index *index)
{
    return (struct toy *)(uintptr_t)index;
}

static int toy_new(struct index **index, const struct index_ops *ops, const struct index_env *env,
                   const void *params)
{
    struct toy *t = mem_zalloc(env->mem, sizeof *t);

    t->base = (struct index){ .ops = ops, .env = *env };
    *index = &t->base;
    return OK;
}

static void toy_destroy(struct index *index)
{
    mem_free(index->env.mem, index);
}

static size_t toy_find(const struct toy *t, uint64_t id)
{
    size_t i = 0;

    while (i < t->n && t->ids[i] != id)
        i++;
    return i;
}

static bool toy_has(const struct index *index, uint64_t id)
{
    return toy_find(toy_of(index), id) < toy_of(index)->n;
}

static int toy_fails(struct toy *t, size_t done)
{
    if (t->fails_at == 0 || done < t->fails_at)
        return OK;
    t->fails_at = 0;
    return fail(t->base.env.error, ERR_NO_MEMORY, "toy: no memory");
}

static int toy_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct toy *t = toy_of(index);
    int rc = OK;

    t->calls++;
    for (*done = 0; *done < v.n && (rc = toy_fails(t, *done)) == OK; ++*done) {
        t->ids[t->n] = ids[*done];
        t->rows[t->n++] = ((const float *)v.rows)[*done];
    }
    return rc;
}

static int toy_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct toy *t = toy_of(index);
    int rc = OK;

    for (*done = 0; *done < n && (rc = toy_fails(t, *done)) == OK; ++*done) {
        const size_t at = toy_find(t, ids[*done]);
        t->ids[at] = t->ids[--t->n];
        t->rows[at] = t->rows[t->n];
    }
    return rc;
}

static int toy_train(struct index *index, struct vectors sample)
{
    toy_of(index)->trained = sample.n;
    return OK;
}

static int toy_write(struct index *index, struct store_writer *w)
{
    const struct toy *t = toy_of(index);

    store_section(w, "n");
    store_write(w, &t->n, sizeof t->n);
    store_section(w, "all");
    store_write(w, &t->trained, sizeof *t - offsetof(struct toy, trained));
    return OK;
}

static int toy_read(struct index *index, struct store_reader *r)
{
    const size_t bytes = sizeof(struct toy) - offsetof(struct toy, trained);
    const void *n, *all;

    assert_ok(store_need(r, "n", sizeof(size_t), &n, NULL), r->error);
    assert_ok(store_need(r, "all", bytes, &all, NULL), r->error);
    memcpy(&toy_of(index)->n, n, sizeof(size_t));
    memcpy(&toy_of(index)->trained, all, bytes);
    return OK;
}

static const struct param options[] = { LOGGED_OPTIONS(struct toy_params), PARAM_END };
static const struct index_ops toy_ops = { .name = "toy",
                                          .params = options,
                                          .params_bytes = sizeof(struct toy_params) };
static const struct logged_method toy = { .ops = &toy_ops,
                                          .version = 1,
                                          .params = offsetof(struct toy, params),
                                          .create = toy_new,
                                          .destroy = toy_destroy,
                                          .insert = toy_insert,
                                          .remove = toy_remove,
                                          .train = toy_train,
                                          .has = toy_has,
                                          .write = toy_write,
                                          .read = toy_read };

/* ---- an index of it */

static const struct toy_params written = { LOGGED_WRITTEN, 1 };

struct shelf {
    struct test_bench bench;
    char dir[PATH_MAX], away[PATH_MAX];
    struct index *index;
};

static void begin(struct shelf *s)
{
    test_bench_begin(&s->bench, INDEX_F32, INDEX_L2SQ, 1, 1);
    test_dir_make(s->dir);
    (void)snprintf(s->away, sizeof s->away, "%.4000s-away", s->dir);
    s->bench.env.dir = s->dir;
    assert_ok(logged_create(&s->index, &toy, &s->bench.env, &written), &s->bench.error);
}

static void end(struct shelf *s)
{
    logged_destroy(s->index);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    test_bench_end(&s->bench);
    test_dir_remove(s->dir);
}

static int insert(struct shelf *s, uint64_t first, size_t n, size_t *done)
{
    uint64_t ids[ROWS];
    float rows[ROWS];

    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        rows[i] = (float)(first + i);
    }
    return logged_insert(s->index, (struct vectors){ rows, n, 1, INDEX_F32 }, ids, done);
}

static int remove_some(struct shelf *s, uint64_t first, size_t n, size_t *done)
{
    uint64_t ids[ROWS];

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    return logged_remove(s->index, ids, n, done);
}

static void reopen(struct shelf *s)
{
    logged_destroy(s->index);
    assert_ok(logged_load(&s->index, &toy, &s->bench.env, s->dir), &s->bench.error);
}

/* Exactly the ids from `first` to before `end`. */
static void expect(const struct shelf *s, uint64_t first, uint64_t end)
{
    assert_int_equal(toy_of(s->index)->n, end - first);
    for (uint64_t id = first; id < end; id++) {
        assert_true(toy_has(s->index, id));
        assert_true(toy_of(s->index)->rows[toy_find(toy_of(s->index), id)] == (float)id);
    }
}

/* Without its folder no snapshot is written; the log, which is open, is. */
static void take_folder_away(const struct shelf *s, bool away)
{
    assert_int_equal(rename(away ? s->dir : s->away, away ? s->away : s->dir), 0);
}

static void test_what_is_done_in_part(void **state)
{
    struct shelf s;
    size_t done;

    begin(&s);
    toy_of(s.index)->fails_at = 7;
    assert_code(insert(&s, 0, 10, &done), ERR_NO_MEMORY, &s.bench.error);
    assert_int_equal(done, 7);
    reopen(&s);
    expect(&s, 0, 7);

    /* logged as a whole, but made in part: a snapshot follows, or changes wait for one */
    toy_of(s.index)->fails_at = 1;
    assert_code(remove_some(&s, 0, 5, &done), ERR_NO_MEMORY, &s.bench.error);
    assert_int_equal(done, 1);
    reopen(&s);
    expect(&s, 1, 7);
    assert_ok(insert(&s, 7, 1, &done), &s.bench.error); /* opens the log's file */
    take_folder_away(&s, true);
    toy_of(s.index)->fails_at = 1;
    assert_code(remove_some(&s, 1, 5, &done), ERR_NO_MEMORY, &s.bench.error);
    assert_int_equal(done, 1);
    assert_code(insert(&s, 8, 2, &done), ERR_IO, &s.bench.error);
    assert_int_equal(done, 0);
    expect(&s, 2, 8);
    take_folder_away(&s, false);
    assert_ok(insert(&s, 8, 2, &done), &s.bench.error);
    reopen(&s);
    expect(&s, 2, 10);
    end(&s);
}

static void test_training(void **state)
{
    const float sample[3] = { 1, 2, 3 };
    const struct vectors rows = { sample, 3, 1, INDEX_F32 };
    struct shelf s;
    size_t done;

    begin(&s);
    take_folder_away(&s, true);
    assert_code(logged_train(s.index, rows), ERR_IO, &s.bench.error);
    assert_code(insert(&s, 0, 4, &done), ERR_IO, &s.bench.error);
    take_folder_away(&s, false);
    assert_ok(insert(&s, 0, 4, &done), &s.bench.error);
    reopen(&s);
    assert_int_equal(toy_of(s.index)->trained, 3);
    expect(&s, 0, 4);
    assert_ok(logged_train(s.index, (struct vectors){ sample, 2, 1, INDEX_F32 }), &s.bench.error);
    reopen(&s);
    assert_int_equal(toy_of(s.index)->trained, 2);
    assert_int_equal(toy_of(s.index)->calls, 0); /* the snapshot has the rows */
    end(&s);
}

static void copy_snapshot(const char *from, const char *to)
{
    char text[2 * PATH_MAX + 64];

    (void)snprintf(text, sizeof text, "cp %.4000s/toy.snapshot %.4000s/toy.snapshot", from, to);
    assert_int_equal(system(text), 0);
}

static void count_line(void *to, const char *line)
{
    size_t *lines = to;

    *lines += strstr(line, "cannot create") != NULL;
}

/* A snapshot that fails does not fail the change. It is made later, at the latest by the next
   opening. */
static void test_long_log(void **state)
{
    enum { CHANGES = 2000, EACH = 60 }; /* of 700 and 500 bytes */
    struct shelf s;
    size_t done, lines = 0;

    begin(&s);
    logged_destroy(s.index);
    s.bench.env.log = count_line;
    s.bench.env.log_to = &lines;
    assert_ok(logged_load(&s.index, &toy, &s.bench.env, s.dir), &s.bench.error);
    for (size_t i = 0; i < CHANGES; i++) {
        if (i == 1)
            take_folder_away(&s, true);
        assert_ok(i % 2 ? remove_some(&s, 0, EACH, &done) : insert(&s, 0, EACH, &done),
                  &s.bench.error);
    }
    take_folder_away(&s, false);
    assert_int_equal(lines, 1);
    assert_true(logged_bytes(s.index) > 1 << 20);
    reopen(&s);
    assert_true(logged_bytes(s.index) < 10000);
    expect(&s, 0, 0);
    assert_ok(insert(&s, 0, EACH, &done), &s.bench.error);
    reopen(&s);
    expect(&s, 0, EACH);
    end(&s);
}

/* Well-formed records that no index wrote, behind those of an index with ids 0 to 3. */
static void test_records_of_others(void **state)
{
    static const struct {
        uint8_t op;
        size_t n; /* ids */
        uint64_t ids[2];
        float rows[2];
        size_t bytes; /* of rows, and of what follows */
        const char *why;
    } records[] = {
        { LOGGED_INSERT, 2, { 60, 60 }, { 1, 2 }, 8, "inserts an id that is there" },
        { LOGGED_INSERT, 2, { 60, 2 }, { 1, 2 }, 8, "inserts an id that is there" },
        { LOGGED_INSERT, 1, { INDEX_NO_ID, 0 }, { 1, 0 }, 4, "inserts an id that is there" },
        { LOGGED_INSERT, 1, { 60, 0 }, { NAN, 0 }, 4, "a row that no insertion has" },
        { LOGGED_INSERT, 1, { 60, 0 }, { 3e30F, 0 }, 4, "a row that no insertion has" },
        { LOGGED_INSERT, 1, { 60, 0 }, { 1, 0 }, 5, "does not belong to this index" },
        { LOGGED_INSERT, 0, { 0, 0 }, { 0, 0 }, 0, "does not belong to this index" },
        { LOGGED_REMOVE, 1, { 60, 0 }, { 0, 0 }, 0, "removes an id that is not there" },
        { LOGGED_REMOVE, 2, { 2, 2 }, { 0, 0 }, 0, "removes an id that is not there" },
        { LOGGED_REMOVE, 1, { 2, 0 }, { 0, 0 }, 3, "does not belong to this index" },
        { LOGGED_REMOVE, 0, { 0, 0 }, { 0, 0 }, 0, "does not belong to this index" },
        { 9, 0, { 0, 0 }, { 0, 0 }, 1, "is of an unknown kind" },
    };
    struct shelf s;
    size_t done;

    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        const struct wal_part parts[] = { { records[i].ids, records[i].n * sizeof(uint64_t) },
                                          { records[i].rows, records[i].bytes } };
        struct wal_batch batch = { 0 };
        struct wal *wal = NULL;

        begin(&s);
        assert_ok(insert(&s, 0, 4, &done), &s.bench.error);
        logged_destroy(s.index);
        assert_ok(wal_open(&wal, &s.bench.env, WAL_WRITTEN, 1, NULL), &s.bench.error);
        assert_ok(wal_append(wal, &batch, records[i].op, parts, 2), &s.bench.error);
        assert_ok(wal_commit(wal, &batch), &s.bench.error);
        wal_close(wal);
        const int rc = logged_load(&s.index, &toy, &s.bench.env, s.dir);
        if (!strstr(s.bench.error.text, records[i].why))
            fail_msg("record %zu: %s", i, s.bench.error.text);
        assert_code(rc, ERR_CORRUPT, &s.bench.error);
        test_dir_clear(s.dir);
        assert_ok(logged_create(&s.index, &toy, &s.bench.env, &written), &s.bench.error);
        end(&s);
    }
}

/* A log beside the snapshot of another index. */
static void test_another_index(void **state)
{
    struct shelf s, other;
    char copy[PATH_MAX];
    size_t done;

    begin(&s);
    begin(&other);
    test_dir_make(copy);
    assert_ok(insert(&other, 0, 4, &done), &other.bench.error);
    assert_ok(logged_save(other.index, copy), &other.bench.error);
    logged_destroy(other.index);
    test_dir_clear(other.dir);
    assert_ok(logged_load(&other.index, &toy, &other.bench.env, copy), &other.bench.error);
    expect(&other, 0, 4);

    assert_ok(insert(&s, 3, 2, &done), &s.bench.error);
    assert_ok(remove_some(&other, 2, 1, &done), &other.bench.error);
    logged_destroy(s.index);
    logged_destroy(other.index);
    copy_snapshot(s.dir, copy);
    copy_snapshot(other.dir, s.dir);
    copy_snapshot(copy, other.dir);
    assert_int_equal(logged_load(&s.index, &toy, &s.bench.env, s.dir), ERR_CORRUPT);
    assert_non_null(strstr(s.bench.error.text, "inserts an id that is there"));
    error_clear(&s.bench.error);
    assert_int_equal(logged_load(&other.index, &toy, &other.bench.env, other.dir), ERR_CORRUPT);
    assert_non_null(strstr(other.bench.error.text, "removes an id that is not there"));
    error_clear(&other.bench.error);
    assert_ok(logged_create(&s.index, &toy, &s.bench.env, &(struct toy_params){ 0, 1 }),
              &s.bench.error);
    assert_ok(logged_create(&other.index, &toy, &other.bench.env, &(struct toy_params){ 0, 1 }),
              &other.bench.error);
    test_dir_remove(copy);
    end(&s);
    end(&other);
}

static void test_refusals(void **state)
{
    struct shelf s;
    struct index *other;
    char text[2 * PATH_MAX + 64];

    begin(&s);
    assert_code(logged_load(&other, &toy, &s.bench.env, s.dir), ERR_IO, &s.bench.error);
    assert_code(logged_create(&other, &toy, &s.bench.env, &written), ERR_IO, &s.bench.error);
    logged_destroy(s.index);
    assert_int_equal(logged_create(&other, &toy, &s.bench.env, &written), ERR_ARGUMENT);
    assert_non_null(strstr(s.bench.error.text, "holds an index already (toy.snapshot)"));
    error_clear(&s.bench.error);
    s.bench.env.dir = NULL;
    assert_int_equal(logged_create(&other, &toy, &s.bench.env, &written), ERR_ARGUMENT);
    assert_non_null(strstr(s.bench.error.text, "wal needs a folder"));
    error_clear(&s.bench.error);
    s.bench.env.dir = s.dir;
    assert_ok(logged_load(&s.index, &toy, &s.bench.env, s.dir), &s.bench.error);
    logged_destroy(s.index);

    /* the copy of an index without a log, as the snapshot of a running one */
    test_dir_clear(s.dir);
    assert_ok(logged_create(&s.index, &toy, &s.bench.env, &(struct toy_params){ LOGGED_NONE, 1 }),
              &s.bench.error);
    assert_ok(logged_save(s.index, s.dir), &s.bench.error);
    (void)snprintf(text, sizeof text, "mv %.4000s/toy.index %.4000s/toy.snapshot", s.dir, s.dir);
    assert_int_equal(system(text), 0);
    assert_int_equal(logged_load(&other, &toy, &s.bench.env, s.dir), ERR_CORRUPT);
    assert_non_null(strstr(s.bench.error.text, "without section \"log\""));
    error_clear(&s.bench.error);
    end(&s);
}

/* ---- a change of many records is made at once again */

static void test_many_records(void **state)
{
    enum { N = 6000, DIM = 64, K = 10, QUERIES = 50 };
    struct hnsw_params params;
    const struct hnsw_knobs knobs = { K };
    struct rng rng = rng_at(test_seed(), 1);
    float *rows = malloc(N * DIM * sizeof *rows);
    uint64_t *ids = malloc(N * sizeof *ids), found[2][QUERIES * K];
    float distances[2][QUERIES * K];
    struct test_bench b;
    struct index *index;
    char dir[PATH_MAX];
    size_t done;

    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, DIM, 2);
    test_dir_make(dir);
    b.env.dir = dir;
    test_fill_f32(&rng, rows, N, DIM, 0, 1);
    for (uint64_t i = 0; i < N; i++)
        ids[i] = 7 * i;
    param_defaults(hnsw_ops.params, &params);
    params.wal = LOGGED_WRITTEN;
    assert_ok(hnsw_ops.create(&index, &b.env, &params), &b.error);
    const struct vectors all = { rows, N, DIM, INDEX_F32 };
    assert_ok(hnsw_ops.insert(index, all, ids, &done), &b.error);
    assert_ok(hnsw_ops.remove(index, ids, 100, &done), &b.error);
    for (size_t i = 0; i < 2; i++) {
        const struct search_request request = {
            { rows, QUERIES, DIM, INDEX_F32 }, K, &knobs, NULL, 1
        };
        struct search_result result = { .ids = found[i], .distances = distances[i] };
        assert_ok(hnsw_ops.search(index, &request, &result), &b.error);
        hnsw_ops.destroy(index);
        if (i == 0)
            assert_ok(hnsw_ops.load(&index, &b.env, dir), &b.error);
    }
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    test_dir_remove(dir);
    free(rows);
    free(ids);
}

int main(void)
{
    return test_run_all("logged", test_what_is_done_in_part, test_training, test_another_index,
                        test_long_log, test_records_of_others, test_refusals, test_many_records);
}
