/* test_dense_rows.c - rows under ids: freed memory, a damaged file. */
#include "tests/support/testing.h"

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rows/dense_rows.h"

enum { IDS = 5000 };

struct world {
    struct mem mem;
    struct error err;
    struct dense_rows store;
    struct rng rng;
    bool in[IDS]; /* whether id i is stored, with code code_of(i) */
    size_t n;
};

static uint64_t code_of(size_t id)
{
    return rng_mix(id, 7);
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->rng = rng_at(test_seed(), 1);
    dense_rows_init(&w->store, &w->mem, sizeof(uint64_t));
}

static void end(struct world *w)
{
    dense_rows_free(&w->store);
    assert_int_equal(mem_live(&w->mem), 0);
}

static bool add(struct world *w, uint64_t id)
{
    if (!dense_rows_reserve(&w->store, &id, 1, 0))
        return false;
    const uint64_t code = code_of(id);
    const uint32_t row = dense_rows_add(&w->store, &code, id);
    assert_int_equal(row, w->n);
    w->in[id] = true;
    w->n++;
    return true;
}

static void take(struct world *w, uint64_t id)
{
    uint32_t row;
    assert_true(dense_rows_find(&w->store, id, &row));
    dense_rows_remove(&w->store, row);
    w->in[id] = false;
    w->n--;
}

static void expect_equal(struct world *w)
{
    assert_ok(dense_rows_check(&w->store, "store", &w->err), &w->err);
    assert_int_equal(w->store.n, w->n);
    for (uint64_t id = 0; id < IDS; id++) {
        uint32_t row;
        assert_int_equal(dense_rows_find(&w->store, id, &row), w->in[id]);
        if (w->in[id]) {
            assert_int_equal(w->store.ids[row], id);
            assert_true(w->store.codes[row] == code_of(id));
        }
    }
}

static size_t bytes(const struct dense_rows *s)
{
    return dense_rows_bytes(s) + dense_rows_ids_bytes(s);
}

/* While a full store is emptied, it takes less than twice the memory that it needs, and keeps
   to the size hint. */
static void test_memory_comes_back(void **state)
{
    struct world w;
    begin(&w);
    uint64_t ids[IDS];
    for (uint64_t id = 0; id < IDS; id++)
        ids[id] = id;
    assert_true(dense_rows_reserve(&w.store, ids, 1, IDS));
    assert_int_equal(w.store.rows_capacity, IDS);
    for (uint64_t id = 0; id < IDS; id++)
        assert_true(add(&w, id));
    assert_int_equal(w.store.rows_capacity, IDS);
    const size_t full = bytes(&w.store);
    for (uint64_t id = 0; id < IDS - IDS / 5; id++)
        take(&w, id);
    assert_true(bytes(&w.store) < full / 2);
    expect_equal(&w);
    end(&w);
}

static void test_saved(void **state)
{
    static struct store_writer writer;
    const struct store_identity identity = { "tester", 1, 64, INDEX_B64, INDEX_HAMMING };
    const uint64_t twice[] = { 3, 4, 3 }, none[] = { 3, UINT64_MAX };
    const struct {
        const uint64_t *ids;
        size_t n, codes;
        int code;
    } files[] = { { NULL, 0, 0, OK },
                  { twice, 2, 2, OK },
                  { twice, 3, 3, ERR_CORRUPT },
                  { none, 2, 2, ERR_CORRUPT },
                  { twice, 2, 3, ERR_CORRUPT } };
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct world w;
        begin(&w);
        if (!files[i].ids) {
            for (uint64_t id = 0; id < 100; id++)
                assert_true(add(&w, id));
        }
        (void)store_begin(&writer, dir, "x", &identity, NULL, &w.err);
        if (files[i].ids) {
            store_section(&writer, "ids");
            store_write(&writer, files[i].ids, files[i].n * 8);
            store_section(&writer, "codes");
            store_write(&writer, twice, files[i].codes * 8);
        } else {
            dense_rows_save(&w.store, &writer, "codes");
        }
        assert_ok(store_commit(&writer), &w.err);
        dense_rows_free(&w.store);
        struct store_reader r;
        assert_ok(store_open(&r, dir, "x", &identity, &w.err), &w.err);
        const int rc = dense_rows_load(&w.store, &r, "codes");
        if (files[i].code == OK)
            assert_ok(rc, &w.err);
        else
            assert_code(rc, files[i].code, &w.err);
        store_close(&r);
        if (!files[i].ids)
            expect_equal(&w);
        end(&w);
    }
    test_dir_remove(dir);
}

int main(void)
{
    return test_run_all("dense_rows", test_memory_comes_back, test_saved);
}
