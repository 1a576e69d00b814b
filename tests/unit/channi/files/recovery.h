/* recovery.h - compares an index's answers before and after it is reopened. */
#ifndef TEST_CHANNI_RECOVERY_H
#define TEST_CHANNI_RECOVERY_H

#include "tests/support/index_folder.h"
#include "tests/unit/channi/files/crash.h"

/* ------------------------------------------------------------------------------- answers */

enum { K = 10, QUERIES = 60 };

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

/* With default knobs the answers depend on graphs, routes and the order of rows. */
static inline void ask(struct crash *c, struct answers *a)
{
    struct channi_knobs knobs;
    const struct search_request request = { book_vectors(&c->b, 0, QUERIES), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = a->ids, .distances = a->distances };

    param_defaults(channi_ops.knobs, &knobs);
    knobs.nprobe = 3;
    knobs.in_ef = 4;
    knobs.top_ef = 6;
    assert_ok(channi_search(c->b.index, &request, &result), &c->b.bench.error);
}

static inline void expect_same(struct crash *c, const struct answers *before, const char *when)
{
    struct answers now;

    ask(c, &now);
    if (memcmp(before, &now, sizeof now) != 0)
        fail_msg("%s: answers differ (seed %" PRIu64 ")", when, c->seed);
}

static inline struct channi_params params_of(size_t kind)
{
    struct channi_params p = crash_params();

    p.cluster_index = kind % 3 == 0 ? INSIDE_GRAPH : kind % 3 == 1 ? INSIDE_SCAN : INSIDE_CODES;
    p.cold_rows = kind % 3 == 2;
    p.history = kind % 2 ? 30 : 0;
    p.wal = kind % 2 ? CHANNI_SYNCED : CHANNI_WRITTEN;
    return p;
}

enum { KINDS = 6 };

#endif
