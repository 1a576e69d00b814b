/* test_clusters.c - every method that has clusters, through random histories: what its clusters,
 * levels and medoids promise. */
#include "tests/contract/world.h"

enum { VECTORS = 7 };

/* The clusters of all live rows at one level. */
struct clusters {
    const struct world *world;
    struct cluster_result result;
    uint64_t *of_ids, of_vectors[VECTORS];
    struct idmap medoids; /* cluster -> id */
};

static int take_medoid(void *to, uint64_t cluster, uint64_t id)
{
    struct clusters *c = to;
    world_expect(c->world, !idmap_get(&c->medoids, cluster, NULL), "a cluster has two medoids");
    world_expect(c->world, idmap_put(&c->medoids, cluster, id), "no memory");
    return OK;
}

static void ask(struct world *w, size_t level, size_t target, const void *vectors,
                struct clusters *c)
{
    *c = (struct clusters){ .world = w, .of_ids = calloc(w->n + 1, sizeof(uint64_t)) };
    world_expect(w, c->of_ids, "no memory");
    idmap_init(&c->medoids, NULL);
    const struct cluster_request request = { .level = level,
                                             .target = target,
                                             .ids = w->ids,
                                             .n = w->n,
                                             .vectors = world_vectors(w, vectors, VECTORS),
                                             .threads = 1 + rng_below(&w->rng, 2) };
    c->result = (struct cluster_result){
        .of_ids = c->of_ids, .of_vectors = c->of_vectors, .medoid = take_medoid, .to = c
    };
    world_ok(w, index_cluster(&w->index, &request, &c->result));
}

static void forget(struct clusters *c)
{
    free(c->of_ids);
    idmap_free(&c->medoids);
}

static void expect_number(struct world *w, const struct clusters *c, uint64_t cluster)
{
    const bool noise =
        cluster == INDEX_NO_CLUSTER && (w->flags & HAS_NOISE || c->result.clusters == 0);
    world_expect(w, noise || cluster < c->result.clusters, "cluster %" PRIu64 " of %zu", cluster,
                 c->result.clusters);
}

static void expect_valid(struct world *w, const struct clusters *c)
{
    size_t medoids = 0;
    world_expect(w, c->result.level < c->result.levels, "level %zu of %zu", c->result.level,
                 c->result.levels);
    for (size_t i = 0; i < VECTORS; i++)
        expect_number(w, c, c->of_vectors[i]);
    for (size_t i = 0; i < w->n; i++) {
        uint64_t medoid = INDEX_NO_ID;
        expect_number(w, c, c->of_ids[i]);
        if (c->of_ids[i] != INDEX_NO_CLUSTER && idmap_get(&c->medoids, c->of_ids[i], &medoid))
            medoids += medoid == w->ids[i];
    }
    world_expect(w, medoids == c->medoids.n, "%zu of %zu medoids are live rows of their clusters",
                 medoids, c->medoids.n);
}

static void expect_same(struct world *w, const struct clusters *a, const struct clusters *b)
{
    world_expect(w, a->result.level == b->result.level, "levels %zu, %zu", a->result.level,
                 b->result.level);
    world_expect(w, w->n == 0 || memcmp(a->of_ids, b->of_ids, w->n * sizeof *a->of_ids) == 0,
                 "the same request, other clusters");
}

/* Each cluster of `fine` is inside one of `coarse`. */
static void expect_nested(struct world *w, const struct clusters *fine,
                          const struct clusters *coarse)
{
    struct idmap up;
    idmap_init(&up, NULL);
    for (size_t i = 0; i < w->n; i++) {
        uint64_t above = coarse->of_ids[i];
        if (fine->of_ids[i] == INDEX_NO_CLUSTER)
            continue;
        if (idmap_get(&up, fine->of_ids[i], &above))
            world_expect(w, above == coarse->of_ids[i], "cluster %" PRIu64 " is divided above",
                         fine->of_ids[i]);
        else
            world_expect(w, idmap_put(&up, fine->of_ids[i], above), "no memory");
    }
    world_expect(w, coarse->result.clusters <= fine->result.clusters, "a coarser level has more");
    idmap_free(&up);
}

static size_t apart(const struct clusters *c, size_t target)
{
    const size_t n = c->result.clusters;
    return n > target ? n - target : target - n;
}

static void expect_levels(struct world *w)
{
    void *vectors = world_rows(w, VECTORS);
    const size_t target = 1 + rng_below(&w->rng, 40);
    struct clusters fine, coarse, aimed, last;
    ask(w, 0, target, vectors, &aimed);
    expect_valid(w, &aimed);
    ask(w, 0, 0, vectors, &fine);
    const size_t levels = fine.result.levels;
    for (size_t level = 0; level < levels; level++) {
        ask(w, level, 0, vectors, &coarse);
        expect_valid(w, &coarse);
        world_expect(w, coarse.result.level == level, "level %zu, not %zu", coarse.result.level,
                     level);
        expect_nested(w, &fine, &coarse);
        world_expect(w, apart(&aimed, target) <= apart(&coarse, target),
                     "target %zu: %zu clusters, but level %zu has %zu", target,
                     aimed.result.clusters, level, coarse.result.clusters);
        forget(&fine);
        fine = coarse;
    }
    ask(w, levels + 5, 0, vectors, &last);
    expect_same(w, &fine, &last);
    forget(&fine);
    forget(&aimed);
    forget(&last);
    free(vectors);
}

static void clustered_step(struct world *w)
{
    switch (rng_below(&w->rng, 7)) {
        case 0: world_insert(w, 1); break;
        case 1: world_remove(w, 1 + rng_below(&w->rng, 50)); break;
        case 2: world_maintain(w, 0); break;
        case 3: (void)world_reload(w); break;
        case 4: world_train_again(w); break;
        default: world_insert(w, 1 + rng_below(&w->rng, 100));
    }
}

static void test_clusters(struct world *w)
{
    if (!w->ops->cluster || !world_is_sampled(w, 0))
        return;
    const uint64_t unknown = UINT64_C(1) << 50;
    const struct cluster_request request = { .ids = &unknown,
                                             .n = 1,
                                             .vectors = world_vectors(w, NULL, 0) };
    struct cluster_result result = { .medoid = take_medoid };
    world_open_trained(w);
    world_refuses(w, ERR_UNKNOWN_ID, index_cluster(&w->index, &request, &result));
    for (w->step = 1; w->step <= 25; w->step++) {
        clustered_step(w);
        world_check(w);
        expect_levels(w);
    }
    world_remove(w, w->n);
    expect_levels(w);
}

static bool has_clusters(const struct index_ops *ops)
{
    return ops->cluster;
}

int main(void)
{
    return world_run_those("clusters", has_clusters, test_clusters);
}
