/* test_op_order.c - files of orders: what was written is read; damaged files, and orders of other
 * mixes, are refused with their place. */
#include "src/workload/op_order.h"
#include "tests/support/tiny_workload.h"

enum { LOADED = 300, ROWS = 500 };

/* A mix with a replay of `path`, or NULL. NULL: it is refused. */
static struct op_list *record(size_t threads, double search, const char *path, struct error *err)
{
    struct rng r = rng_at(test_seed(), 29);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, ROWS, 20, 4);
    workload_insert(&w, 0, LOADED, 0, 0, NULL);
    const struct op_options m = { .tag = "load \"x\"",
                                  .shares = (double[MIX_KINDS]){ search, .8 - search, .1, .1 },
                                  .threads = threads,
                                  .operations = 60,
                                  .k = 5,
                                  .replay = path };
    if (workload_mix(&w, m, LOADED, ROWS - LOADED, err) == OK)
        return workload_finish(&w);
    recorder_free(w.recorder);
    return NULL;
}

/* The operations of all threads in the order of their numbers, one each microsecond. */
static size_t operations(const struct op *op, struct op_begun *all)
{
    uint64_t *changes = malloc((op_changes(op) + 1) * sizeof *changes);
    size_t starts[4], n = 0;
    struct error err = { 0 };

    assert_ok(op_sequence_deal(op, changes, starts, &err), &err);
    for (size_t t = 0; t < op->threads; t++) {
        struct op_sequence s = op_sequence_begin(op, t);
        struct op_planned p;

        s.changes = changes + starts[t];
        s.n_changes = starts[t + 1] - starts[t];
        for (; op_sequence_next(&s, &p); n++)
            all[p.number] = (struct op_begun){ .ns = 1000 * p.number,
                                               .which = op_order_which(op, &p),
                                               .number = p.number,
                                               .kind = p.kind };
    }
    free(changes);
    return n;
}

static void test_round_trip(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct op_begun all[60];
    struct op_order o;
    struct error err = { 0 };
    struct op_list *list = record(2, .5, NULL, &err);

    test_dir_make(dir);
    (void)snprintf(path, sizeof path, "%s/orders", dir);
    assert_int_equal(operations(&list->ops[1], all), 60);
    assert_ok(op_order_write(path, &list->ops[1], all, 60, &err), &err);
    char other_tag[] = "other";
    struct op other = list->ops[1];
    other.tag = other_tag;
    assert_ok(op_order_write(path, &other, all, 3, &err), &err);
    assert_ok(op_order_write(path, &list->ops[1], all, 40, &err), &err);
    assert_ok(op_order_read(path, "load \"x\"", 0, &o, &err), &err);
    assert_int_equal(o.n, 60);
    assert_int_equal(o.threads, 2);
    assert_int_equal(o.line, 2);
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(o.begun[i].ns, all[i].ns);
        assert_int_equal(o.begun[i].number, i);
        assert_int_equal(o.begun[i].kind, all[i].kind);
        assert_int_equal(o.begun[i].which, all[i].which);
    }
    op_order_free(&o);
    assert_ok(op_order_read(path, "load \"x\"", 1, &o, &err), &err);
    assert_int_equal(o.n, 40);
    assert_int_equal(o.line, 67);
    op_order_free(&o);
    assert_int_equal(op_order_read(path, "load \"x\"", 2, &o, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "2 parts with the tag"));
    op_order_free(&o);
    assert_int_equal(op_order_read(dir, "x", 0, &o, &err), ERR_IO);
    op_list_free(list);

    /* The first mix of the tag takes the first part; another one has other keys. */
    struct op_list *replay = record(2, .5, path, &err);
    assert_non_null(replay);
    assert_int_equal(replay->ops[1].n_order, 60);
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(replay->ops[1].order[i], i);
    op_list_free(replay);
    err = (struct error){ 0 };
    assert_null(record(3, .5, path, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "orders:1: the order is of 2 threads, but threads = 3 here"));
    err = (struct error){ 0 };
    assert_null(record(2, .1, path, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, " here: an order is replayed with the rows, queries"));
    test_dir_remove(dir);
}

/* Writes the text and reads the part "x" of it. */
static int read_text(const char *dir, const char *text, struct error *err)
{
    char path[PATH_MAX + 16];
    struct op_order o;

    (void)snprintf(path, sizeof path, "%s/bad", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    *err = (struct error){ 0 };
    const int rc = op_order_read(path, "x", 0, &o, err);
    op_order_free(&o);
    return rc;
}

#define HEAD "{\"tag\": \"x\", \"threads\": 2, \"operations\": 2}\n"

static void test_damaged(void **state)
{
    static const struct {
        const char *name, *text, *says;
    } cases[] = {
        { "no JSON", "0 0 0 search 1\n", "bad:1: expected the line that begins a part" },
        { "no tag", "{\"threads\": 2, \"operations\": 0}\n", "bad:1: expected the line" },
        { "no threads", "{\"tag\": \"x\", \"threads\": 0, \"operations\": 0}\n",
          "bad:1: expected" },
        { "many", "{\"tag\": \"x\", \"threads\": 2, \"operations\": 1000000000}\n",
          "bad:1: expected" },
        { "truncated", HEAD "0 0 0 search 1\n", "the file is truncated: 1 of 2 operations" },
        { "a cut line", HEAD "0 0 0 search 1\n7 1 1 search 2", "bad:3: expected nanoseconds" },
        { "sign", HEAD "0 0 0 search -1\n", "bad:2: expected nanoseconds" },
        { "spaces", HEAD "0  0 0 search 1\n", "bad:2: expected nanoseconds" },
        { "kind", HEAD "0 0 0 scan 1\n", "bad:2: expected nanoseconds" },
        { "overflow", HEAD "0 0 0 search 99999999999999999999\n", "bad:2: expected nanoseconds" },
        { "time", HEAD "5 0 0 search 1\n4 1 1 search 1\n", "bad:3: the operation began before" },
        { "thread", HEAD "0 1 0 search 1\n", "bad:2: operation 0 is not one of thread 1 of 2" },
        { "number", HEAD "0 0 100000000 search 1\n", "bad:2: operation 100000000 is not" },
        { "more behind", HEAD "0 0 0 search 1\n1 1 1 search 1\n2 0 2 search 1\n", NULL },
        { "empty", "", "bad: the file has 0 parts with the tag \"x\"" },
    };
    char dir[PATH_MAX];
    struct error err;

    test_dir_make(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int rc = read_text(dir, cases[i].text, &err);

        if ((rc == OK) != !cases[i].says || (cases[i].says && !strstr(err.text, cases[i].says)))
            fail_msg("%s: %d, %s", cases[i].name, rc, err.text);
    }
    test_dir_remove(dir);
}

/* Operations that are twice in the file, or that the mix has not. */
static void test_other_operations(void **state)
{
    struct op_begun all[60];
    struct error err = { 0 };
    struct op_list *list = record(2, .5, NULL, &err);
    struct op *op = &list->ops[1];
    struct op_order o = { .threads = 2, .line = 2, .begun = all, .n = operations(op, all) };

    all[7] = all[5];
    assert_int_equal(op_order_take(op, &o, "f", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "f:9: the file has operation 5 twice"));
    assert_int_equal(op->n_order, 0);
    free(op->order);
    (void)operations(op, all);
    all[59].number = 61;
    err = (struct error){ 0 };
    assert_int_equal(op_order_take(op, &o, "f", &err), ERR_CONFIG);
    assert_string_equal(err.text, "f:61: thread 1 has no operation 61 here");
    free(op->order);
    (void)operations(op, all);
    all[30].which++;
    err = (struct error){ 0 };
    assert_int_equal(op_order_take(op, &o, "f", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "f:32: operation 30 is \""));
    op_list_free(list);
}

int main(void)
{
    return test_run_all("op_order", test_round_trip, test_damaged, test_other_operations);
}
