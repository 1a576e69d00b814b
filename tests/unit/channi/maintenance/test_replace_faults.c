/* test_replace_faults.c - a replacement in which an allocation or a system call fails
   changes nothing. */
#include <errno.h>

#include "src/core/idmap.h"
#include "tests/unit/channi/maintenance/replace.h"

struct trace {
    uint64_t version, layout;
    size_t files, routes, phashes, clusters, retained;
};

/* Dead rows that past versions may see, as the last compactions left them. */
static size_t count_retained(const struct book *b)
{
    size_t n = 0;

    for (uint32_t cid = 0; cid < book_channi(b)->latches.capacity; cid++) {
        struct channi_latch *latch = segmented_at(&book_channi(b)->latches, cid);

        n += atomic_load(&latch->retained_dead);
    }
    return n;
}

static struct trace trace_of(const struct book *b)
{
    const struct channi *c = book_channi(b);

    return (struct trace){ .version = book_version(b),
                           .layout = layout_of(b)->number,
                           .files = count_files(b),
                           .routes = c->n_routes,
                           .phashes = c->by_phash.n,
                           .clusters = count_clusters(b),
                           .retained = count_retained(b) };
}

static void expect_trace(const struct book *b, const struct trace *was)
{
    const struct trace is = trace_of(b);

    assert_memory_equal(&is, was, sizeof is);
}

/* Removes every fourth row of the cluster. */
static void remove_some_of(struct book *b, uint32_t cid)
{
    for (size_t i = 0; i < b->capacity; i += 4) {
        struct channi_place at;

        if (channi_place_of(book_channi(b), i, &at) && at.cid == cid)
            assert_ok(book_remove(b, i), &b->bench.error);
    }
}

/* Plans to replace the largest clusters, one of which has dead rows. */
static struct trace prepare(struct book *b, struct plan *plan)
{
    largest(b, plan->cids, plan->n);
    remove_some_of(b, plan->cids[0]);
    return trace_of(b);
}

/* Fails the i-th allocation, for every i, alone or with all later ones. */
static void fail_allocations(enum channi_inside inside, bool all_after, const struct plan *given)
{
    struct channi_params params = book_defaults();
    struct plan plan = *given;
    struct book b;
    bool hit = true;
    size_t at = 1;

    params.cluster_index = inside;
    params.eps0 = 12; /* so that no bound of a code fails */
    params.history = inside == INSIDE_SCAN ? 100 : 0;
    open_built(&b, params, INDEX_U8, 400);
    assert_ok(book_insert(&b, 400, 50), &b.bench.error);
    struct trace was = prepare(&b, &plan);
    struct mem *mem = &b.bench.mem;
    for (; hit; at++) {
        mem->fail_after = all_after;
        atomic_store(&mem->failed, false);
        mem->fail_at = atomic_load(&mem->calls) + at;
        const int rc = replace(&b, &plan);
        mem->fail_at = 0;
        hit = atomic_load(&mem->failed);
        if (rc == OK) { /* the allocation was optional, or there are not as many */
            was = prepare(&b, &plan);
            continue;
        }
        assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
        expect_trace(&b, &was);
        if (at % 7 == 0)
            book_check(&b);
        if (at % 16 == 0)
            book_expect(&b, 2, 10);
    }
    assert_true(at > 20);
    book_check(&b);
    book_expect(&b, 10, 10);
    book_close(&b);
}

static void test_out_of_memory(void **state)
{
    const struct plan split = { .n = 1, .n_parts = 3, .successor = true, .seed = test_seed() };
    const struct plan merge = { .n = 2, .n_parts = 1, .successor = true, .seed = test_seed() };
    const struct plan fold = {
        .n = 1, .n_parts = 1, .successor = true, .go_on = true, .seed = test_seed()
    };
    const struct plan anew = { .n = 2, .n_parts = 3, .seed = test_seed() };

    fail_allocations(INSIDE_GRAPH, true, &split);
    fail_allocations(INSIDE_GRAPH, false, &merge);
    fail_allocations(INSIDE_GRAPH, true, &fold);
    fail_allocations(INSIDE_SCAN, false, &anew);
    fail_allocations(INSIDE_CODES, true, &anew);
}

struct faults {
    size_t at, calls;
    char call[32];
};

static int fault(void *to, const char *call)
{
    struct faults *f = to;

    if (++f->calls != f->at)
        return 0;
    (void)snprintf(f->call, sizeof f->call, "%s", call);
    return EIO;
}

/* Fails each system call of writing the files in turn. */
static void test_files_fail(void **state)
{
    struct channi_params params = book_defaults();
    struct faults faults = { .at = 0 };
    const struct file_fault hook = { fault, &faults };
    const struct channi_opening opening = { .fault = &hook };
    struct plan plan = { .n = 1, .n_parts = 3, .seed = test_seed() };
    struct book b;
    size_t opens = 0, writes = 0, syncs = 0;

    params.maintenance = CHANNI_EXPLICIT;
    params.target_cluster = 40;
    params.expected_n = 400;
    book_begin(&b, params, INDEX_U8, DIM, ROWS, 1);
    struct channi *c;
    assert_ok(channi_create_with(&c, &b.bench.env, &params, &opening), &b.bench.error);
    b.index = &c->base;
    book_fill(&b, 0, ROWS, 12, .3);
    assert_ok(book_insert(&b, 0, 400), &b.bench.error);
    c->params.wal = CHANNI_SYNCED; /* affects only files: there is no log */
    largest(&b, plan.cids, 1);
    const struct trace was = trace_of(&b);
    for (size_t at = 1;; at++) {
        faults = (struct faults){ .at = at };
        const int rc = replace(&b, &plan);
        const bool hit = faults.calls >= at;

        faults.at = 0;
        if (rc == OK && (!hit || strcmp(faults.call, "unlink") == 0))
            break;
        assert_code(rc, ERR_IO, &b.bench.error);
        opens += strcmp(faults.call, "open") == 0;
        writes += strcmp(faults.call, "write") == 0;
        syncs += strcmp(faults.call, "fsync") == 0;
        expect_trace(&b, &was);
        book_check(&b);
    }
    assert_true(opens >= 3 && writes >= 3 && syncs >= 3);
    book_expect(&b, 10, 10);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_files_fail),
    };
    return test_run("channi_replace_faults", tests);
}
