/* test_replace.c - clusters replaced by others: ids, names and files, the gathered rows, and
 * system calls that fail, which change nothing. */
#include "tests/support/fault_injection.h"
#include "tests/support/index_folder.h"
#include "tests/unit/channi/maintenance/replace.h"

/* -------------------------------------------------------------------------- ids and names */

/* Mean, deviation and drift match the rows. */
static void test_measures(void **state)
{
    struct book b;
    struct plan plan = { .n = 1, .n_parts = 1, .successor = true, .seed = test_seed() + 1 };

    open_built(&b, book_defaults(""), INDEX_F32, 400);
    largest(&b, plan.cids, 1);
    const unsigned char *route =
        segmented_at(&book_channi(&b)->route_rows, cluster_of(&b, plan.cids[0])->routes[0]);
    assert_ok(replace(&b, &plan), &b.bench.error);
    const struct channi_cluster *cl = cluster_of(&b, plan.cids[0]);
    double sum = 0;
    for (size_t i = 0; i < 400; i++) {
        struct channi_place place;

        assert_true(channi_place_of(book_channi(&b), i, &place));
        if (place.cid != plan.cids[0])
            continue;
        sum += sqrt(book_distance(&b, book_row(&b, i), cl->site));
    }
    const double n = live_of(cluster_of(&b, plan.cids[0])), mean = sum / n;
    assert_float_equal(cl->mean_d, mean, 1e-4 * mean);
    assert_float_equal(cl->drift, book_distance(&b, route, cl->site), 1e-4);
    assert_memory_equal(cl->site, book_row(&b, cl->root_id), b.row_bytes);
    book_close(&b);
}

static struct bytes file_of(const struct book *b, uint32_t cid)
{
    char path[PATH_MAX];
    const struct channi_base *base = cluster_of(b, cid)->base;

    assert_int_equal(channi_cluster_file_path(&b->bench.env, base->phash, base->version, path), OK);
    return bytes_read(path);
}

/* Removes every second row of the file, more than an extended graph may lose. */
static void remove_half(struct book *b, uint32_t cid)
{
    const uint32_t base_n = cluster_of(b, cid)->base_n;
    struct channi_place at;

    for (size_t i = 0; i < 600; i++)
        if (channi_place_of(book_channi(b), i, &at) && at.cid == cid && at.row < base_n &&
            at.row % 2 == 0)
            assert_ok(book_remove(b, i), &b->bench.error);
}

/* The cluster's file after its delta is added; after a row is replaced; after half of it is
   removed. */
static void fold_one(bool go_on, struct bytes files[3])
{
    struct book b;
    struct plan plan = {
        .n = 1, .n_parts = 1, .successor = true, .go_on = go_on, .seed = test_seed()
    };
    struct channi_place before[ROWS], after;

    open_built(&b, book_defaults(""), INDEX_U8, 400);
    largest(&b, plan.cids, 1);
    const uint32_t base_n = cluster_of(&b, plan.cids[0])->base_n;
    for (size_t i = 0; i < 400; i++)
        assert_true(channi_place_of(book_channi(&b), i, &before[i]));
    assert_ok(book_insert(&b, 400, 200), &b.bench.error);
    const uint32_t delta = channi_delta_count(&cluster_of(&b, plan.cids[0])->delta);
    assert_true(delta > 0);
    assert_ok(replace(&b, &plan), &b.bench.error);
    assert_int_equal(cluster_of(&b, plan.cids[0])->base_n, base_n + delta);
    assert_int_equal(channi_delta_count(&cluster_of(&b, plan.cids[0])->delta), 0);
    for (size_t i = 0; i < 400; i++) {
        assert_true(channi_place_of(book_channi(&b), i, &after));
        assert_int_equal(after.cid, before[i].cid);
        assert_int_equal(after.row, before[i].row);
    }
    book_check(&b);
    book_expect(&b, 20, 10);
    files[0] = file_of(&b, plan.cids[0]);
    /* One row of the file is replaced by another. */
    const uint64_t root = cluster_of(&b, plan.cids[0])->root_id;
    assert_ok(book_remove(&b, root), &b.bench.error);
    assert_ok(book_insert(&b, root, 1), &b.bench.error);
    assert_ok(replace(&b, &plan), &b.bench.error);
    assert_int_equal(cluster_of(&b, plan.cids[0])->base_n, base_n + delta);
    files[1] = file_of(&b, plan.cids[0]);
    book_check(&b);
    book_expect(&b, 20, 10);
    remove_half(&b, plan.cids[0]);
    assert_ok(replace(&b, &plan), &b.bench.error);
    files[2] = file_of(&b, plan.cids[0]);
    book_end(&b, 20);
}

/* A graph that extends the file's is as good as a new one but different, and its rows keep their
   positions; also if a row of the file is gone. If too many are gone, a new graph is built. */
static void test_go_on(void **state)
{
    struct bytes on[3], anew[3];

    fold_one(true, on);
    fold_one(false, anew);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(on[i].n, anew[i].n);
        assert_int_equal(
            memcmp(on[i].at + CLUSTER_HEAD, anew[i].at + CLUSTER_HEAD, on[i].n - CLUSTER_HEAD) == 0,
            i == 2);
        free(on[i].at);
        free(anew[i].at);
    }
}

/* ------------------------------------------------------------------------------ gathering */

/* Marks of a commit under way do not count yet. */
static void test_gather_committed(void **state)
{
    struct book b;
    struct channi_taken w;
    uint32_t cid;

    open_built(&b, book_defaults(""), INDEX_U8, 400);
    assert_ok(book_insert(&b, 400, 100), &b.bench.error);
    struct channi *c = book_channi(&b);
    largest(&b, &cid, 1);
    const struct channi_cluster *cl = cluster_of(&b, cid);
    const uint32_t live = live_of(cluster_of(&b, cid));
    assert_true(channi_delta_count(&cl->delta) > 1);
    atomic_store(channi_delta_at(&cl->delta, 0).dead, book_version(&b) + 1);
    atomic_store(channi_delta_at(&cl->delta, 1).dead, book_version(&b));
    assert_true(channi_take(c, &cid, 1, &w));
    assert_ok(channi_gather(c, &w), &b.bench.error);
    const struct channi_members m = w.members;
    assert_int_equal(m.n, live - 1);
    assert_int_equal(m.n_live, live - 1);
    for (size_t i = 0; i < m.n; i++) {
        const uint32_t row = m.rows[i].number;

        assert_int_equal(m.rows[i].dead, 0);
        assert_true(row != cl->base_n + 1);
        assert_memory_equal(m.rows[i].bytes, book_row(&b, m.rows[i].id), b.row_bytes);
    }
    channi_give(c, &w);
    atomic_store(channi_delta_at(&cl->delta, 0).dead, 0);
    atomic_store(channi_delta_at(&cl->delta, 1).dead, 0);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- failures */

/* Fails each system call of writing the files in turn: nothing has changed, and no file is left. */
static void test_files_fail(void **state)
{
    struct channi_params params =
        book_defaults("maintenance=explicit,target_cluster=40,expected_n=400");
    struct injected_faults faults;
    atomic_size_t calls = 0;
    struct plan plan = { .n = 1, .n_parts = 3, .seed = test_seed() };
    struct book b;
    size_t opens = 0, writes = 0, syncs = 0;

    faults_begin(&faults, &calls);
    book_begin(&b, params, INDEX_U8, DIM, ROWS, 1);
    assert_ok(channi_create_with(&b.index, &b.bench.env, &params, &faults.fault), &b.bench.error);
    struct channi *c = book_channi(&b);
    book_fill(&b, 0, ROWS, 12, .3);
    assert_ok(book_insert(&b, 0, 400), &b.bench.error);
    c->params.wal = CHANNI_SYNCED; /* affects only files: there is no log */
    largest(&b, plan.cids, 1);
    const struct channi_layout *was = layout_of(&b);
    const uint64_t version = book_version(&b);
    for (size_t at = 1;; at++) {
        faults.fail_at = atomic_load(&calls) + at;
        const int rc = replace(&b, &plan);
        const bool hit = atomic_load(&calls) >= atomic_load(&faults.fail_at);
        const char *failed = faults.failed;

        faults.fail_at = 0;
        if (rc == OK && (!hit || strcmp(failed, "unlink") == 0))
            break;
        assert_code(rc, ERR_IO, &b.bench.error);
        opens += strcmp(failed, "open") == 0;
        writes += strcmp(failed, "write") == 0;
        syncs += strcmp(failed, "fsync") == 0;
        assert_ptr_equal(layout_of(&b), was);
        assert_int_equal(book_version(&b), version);
        book_check(&b);
    }
    assert_true(opens >= 3 && writes >= 3 && syncs >= 3);
    book_end(&b, 10);
}

int main(void)
{
    return test_run_all("channi_replace", test_measures, test_go_on, test_gather_committed,
                        test_files_fail);
}
