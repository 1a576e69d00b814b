/* test_clusters.c - clusters by cluster(): before training, how many, and where vectors are. What levels
 * and medoids promise through histories is contract/test_clusters. */
#include "tests/unit/asteria/support.h"

static int ignore_medoid(void *to, uint64_t cluster, uint64_t id)
{
    return OK;
}

static struct cluster_result ask(struct book *w, struct cluster_request request, uint64_t *of_ids,
                                 uint64_t *of_vectors)
{
    struct cluster_result result = { .of_ids = of_ids,
                                     .of_vectors = of_vectors,
                                     .medoid = ignore_medoid };

    request.vectors.dim = w->dim;
    request.vectors.element = INDEX_F32;
    assert_ok(asteria_ops.cluster(w->index, &request, &result), &w->bench.error);
    return result;
}

static void test_clusters(void **state)
{
    enum { ROWS = 1500, LAST = 100 };
    const struct cluster_request none = { .level = 0 };
    struct cluster_result result = { .medoid = ignore_medoid };
    uint64_t ids[LAST], before[LAST], after[LAST];
    struct book w;

    book_open(&w, "leaf_cap=50,code=none,address_bits=8", INDEX_F32, 32, ROWS, 1);
    assert_code(asteria_ops.cluster(w.index, &none, &result), ERR_UNTRAINED, &w.bench.error);
    book_train(&w, 0, ROWS);
    book_add(&w, 0, ROWS - LAST);
    book_maintain_all(&w);
    const struct cluster_result fine = ask(&w, none, NULL, NULL);
    const struct cluster_result beyond =
        ask(&w, (struct cluster_request){ .level = 64 }, NULL, NULL);
    assert_true(fine.clusters >= 8 && fine.levels >= 4);
    assert_true(beyond.clusters == 1 && beyond.level == fine.levels - 1);
    /* A vector is in the cluster that it is in once it is inserted. */
    const struct vectors last = book_vectors(&w, ROWS - LAST, LAST);
    (void)ask(&w, (struct cluster_request){ .level = 1, .vectors = last }, NULL, before);
    book_add(&w, ROWS - LAST, LAST);
    for (size_t i = 0; i < LAST; i++)
        ids[i] = ROWS - LAST + i;
    (void)ask(&w, (struct cluster_request){ .level = 1, .ids = ids, .n = LAST }, after, NULL);
    assert_memory_equal(before, after, sizeof before);
    book_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_clusters) };
    return test_run("asteria clusters", tests);
}
