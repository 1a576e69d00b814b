/* maintenance.h - for the tests of splits, merges and compactions: clusters and routes of an index
 * in one thread, now and earlier. */
#ifndef TEST_CHANNI_MAINTENANCE_H
#define TEST_CHANNI_MAINTENANCE_H

#include "tests/unit/channi/support.h"

/* Split past 200, merged below 6. */
static inline struct channi_params fifty(void)
{
    return book_defaults("target_cluster=50,split_max=0,merge_min=0,expected_n=500");
}

/* Split past 80, merged below 9: many jobs with few rows. */
static inline struct channi_params twenty(void)
{
    return book_with(fifty(), "target_cluster=20,expected_n=100,merge_min=9");
}

static inline const struct channi_cluster *cluster_of(const struct book *b, uint32_t cid)
{
    const struct channi_layout *l = layout_of(b);

    return cid < l->n_clusters ? l->clusters[cid] : NULL;
}

static inline uint32_t live_of(const struct channi_cluster *cl)
{
    return atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->live);
}

static inline size_t clusters_of(const struct book *b)
{
    const struct channi_layout *l = layout_of(b);
    size_t n = 0;

    for (uint32_t i = 0; i < l->n_clusters; i++)
        n += l->clusters[i] != NULL;
    return n;
}

/* The id's cluster. */
static inline uint32_t cid_of(const struct book *b, uint64_t id)
{
    struct channi_place at = { CID_NONE, 0 };

    assert_true(channi_place_of(book_channi(b), id, &at));
    return at.cid;
}

/* Whether the cluster's root is alive. */
static inline bool root_lives(const struct book *b, const struct channi_cluster *cl)
{
    struct channi_place at;

    return channi_place_of(book_channi(b), cl->root_id, &at) && at.cid == cl->cid &&
           at.row == cl->base->root;
}

static inline bool has_file(const struct book *b, const struct channi_base *base)
{
    char path[PATH_MAX + CLUSTER_NAME_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", b->dir, channi_base_name(base).text);
    return access(path, F_OK) == 0;
}

static inline void work_off(struct book *b, uint64_t budget)
{
    bool more = true;

    for (size_t calls = 0; more; calls++) {
        assert_true(calls < 100000);
        assert_ok(channi_ops.maintain(b->index, budget, &more), &b->bench.error);
    }
    assert_int_equal(channi_queued(book_channi(b)), 0);
}

/* Removes all rows of the cluster but `leave`, in one commit. */
static inline void starve(struct book *b, uint32_t cid, size_t leave)
{
    uint64_t *ids = calloc(b->capacity, sizeof *ids);
    size_t n = 0;

    for (size_t i = 0; i < b->capacity; i++)
        if (b->stored[i] && cid_of(b, i) == cid)
            ids[n++] = i;
    if (n > leave)
        assert_ok(book_remove_some(b, ids, n - leave), &b->bench.error);
    free(ids);
}

/* ------------------------------------------------------------------------- earlier state */

/* Clusters and routes at one moment. */
struct before {
    uint32_t n_clusters, n_routes;
    struct {
        bool there;
        uint64_t root_id, phash, file;
        uint32_t live;
    } * clusters;
    struct {
        uint32_t cid;
        uint64_t phash;
    } * routes;
};

static inline void before_take(struct before *was, const struct book *b)
{
    const struct channi_layout *l = layout_of(b);

    was->n_clusters = l->n_clusters;
    was->n_routes = l->routes->n;
    was->clusters = calloc(l->n_clusters, sizeof *was->clusters);
    was->routes = calloc(l->routes->n, sizeof *was->routes);
    for (uint32_t i = 0; i < l->n_clusters; i++) {
        const struct channi_cluster *cl = l->clusters[i];

        was->clusters[i].there = cl != NULL;
        if (!cl)
            continue;
        was->clusters[i].root_id = cl->root_id;
        was->clusters[i].live = live_of(cl);
        was->clusters[i].phash = cl->base ? cl->base->phash : 0;
        was->clusters[i].file = cl->base ? cl->base->version : 0;
    }
    for (uint32_t i = 0; i < l->routes->n; i++) {
        was->routes[i].cid = l->routes->cid[i];
        was->routes[i].phash = *(const uint64_t *)segmented_at(&book_channi(b)->route_phash, i);
    }
}

static inline void before_free(struct before *was)
{
    free(was->clusters);
    free(was->routes);
}

/* Nodes of the graph of routes stay: number, name, and that each leads to a cluster. */
static inline void expect_routes_stay(const struct before *was, const struct book *b)
{
    const struct channi_layout *l = layout_of(b);

    assert_true(l->routes->n >= was->n_routes);
    for (uint32_t i = 0; i < was->n_routes; i++) {
        assert_int_equal(*(const uint64_t *)segmented_at(&book_channi(b)->route_phash, i),
                         was->routes[i].phash);
        if (was->routes[i].cid != CID_NONE)
            assert_non_null(cluster_of(b, l->routes->cid[i]));
    }
}

#endif
