/* world.h - a method under test beside the truth about it: a plain array of its live rows.
 *
 * The programs of this folder put every registered method, or the one of DRIFTLINE_TEST_METHOD,
 * through the same operations; DRIFTLINE_TEST_PLUGIN names a shared object whose method is tested
 * instead, at its defaults or at DRIFTLINE_TEST_SETTINGS (world_run.c). Whatever fails is named with method, space, dimension and step.
 */
#ifndef DRIFTLINE_CONTRACT_WORLD_H
#define DRIFTLINE_CONTRACT_WORLD_H

#include "tests/support/testing.h"

#include "src/core/ranks/shards.h"
#include "src/core/registry.h"
#include "tests/support/checked_calls.h"

enum setting_flags {
    EXHAUSTIVE = 1, /* at these knobs every answer must be the truth */
    /* What a setting of ours promises beyond index.h, which asks no exact method to scan: a search
       compares each row at least once; it compares each once, by exact distance. */
    COMPARES_ALL = 4,
    COMPARES_ONCE = 2048,
    BASELINE = 2,    /* a library's code: allocates on its own account, orders ties as it likes */
    CODES = 8,       /* the setting is for 64-bit codes alone */
    NO_REMOVE = 16,  /* with this setting the method refuses to delete, */
    NO_RANGE = 32,   /* to search by radius: as if it had no such operation */
    HAS_NOISE = 128, /* its clusters leave out rows */
    PYTHON = 256,    /* needs python3, and is skipped where there is none */
    PLUGIN = 512,    /* of a plugin, which may allocate on its own account, as C++'s new does */
    SOME_SPACES = 1024,  /* the setting refuses some of the method's spaces as unsupported */
    MAY_BE_SHORT = 4096, /* an option ends searches that have fewer than k answers */
    LEARNS = 8192,       /* what a search reads also depends on the searches before it */
    UNTRAINED = 64,      /* with this setting it needs training, which its flags do not say */
};

struct setting {
    const char *method, *params, *knobs; /* "clusters=8,soft_k=2" */
    unsigned flags;
};

struct subject {
    const struct index_ops *ops;
    const struct registry *registry;
    struct setting setting;
    char name[160];
};

struct world {
    const struct subject *subject;
    const struct index_ops *ops;
    struct index_ops limited; /* the ops where a flag says that they are others */
    unsigned flags;
    struct index_space space;
    size_t dim, row_bytes;
    struct test_bench bench;
    struct shard_env shards; /* of its env */
    struct checked index;
    void *params, *knobs;
    struct rng rng;
    char dir[PATH_MAX]; /* holds "state" for env.dir and "saved" */
    char state[PATH_MAX], saved[PATH_MAX];
    size_t step, folders;
    size_t calls_failed; /* allocations so far, when the last operation that lacked memory ended */

    unsigned char *rows; /* the truth: n live rows and their ids */
    uint64_t *ids;
    size_t n, capacity;
    uint64_t next_id;
    uint64_t retired[64]; /* deleted ids that may come back */
    size_t n_retired;
};

/* What one contract test does for one space and dimension of a method. */
typedef void world_test(struct world *);

/* Runs each test for each method and its settings; returns main()'s status. test_many_rows() is
   called "many rows". */
#define world_run(group, ...) world_run_those(group, NULL, __VA_ARGS__)
/* Only of those methods; NULL: all. */
#define world_run_those(group, these, ...)                                            \
    world_run_tests(group, these, #__VA_ARGS__, (world_test *const[]){ __VA_ARGS__ }, \
                    sizeof((world_test *const[]){ __VA_ARGS__ }) / sizeof(world_test *))
int world_run_tests(const char *group, bool (*these)(const struct index_ops *), const char *names,
                    world_test *const *tests, size_t n);

void world_begin(struct world *, const struct subject *, struct index_space, size_t dim);
/* For tests of what hardly depends on space and dimension, which test_history() runs at all of
   them: two of a space's four dimensions, the other two for its neighbour and for the other
   `half`. The long tier, and codes, take all. */
bool world_is_sampled(const struct world *, size_t half);
/* For tests of what does not depend on the metric: whether none of the method's spaces with this
   element comes before. */
bool world_is_first_metric(const struct world *);
/* The allocation to fail after number `at`: each of the first, then fewer and fewer. Of a second
   element sooner, and others, as most of what is allocated does not depend on it. */
size_t world_next_fault(const struct world *, size_t at);
void world_end(struct world *); /* closes; the account must be empty then */
/* Leaves the test unless `holds`, saying where it was. */
#define world_expect(w, holds, ...)                           \
    do {                                                      \
        if (!(holds))                                         \
            world_fail((w), __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)
void world_fail(const struct world *, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));
/* As above, with the error's sentence. */
#define world_ok(w, rc) \
    world_expect(w, (rc) == OK, "%s: %s", error_name((w)->bench.error.code), (w)->bench.error.text)
/* The call must give this code and a sentence; clears the error. */
#define world_refuses(w, code, call) world_refused((w), (code), (call), #call, __FILE__, __LINE__)
void world_refused(struct world *, int code, int rc, const char *call, const char *file, int line);

/* Opens the index on the bench's env; trains it where the method can. */
int world_open(struct world *);
void world_train(struct world *);
void world_open_trained(struct world *);
void world_begin_with(struct world *, size_t n); /* opened, trained, with n rows */
void world_train_again(struct world *);          /* a method may refuse it */
struct vectors world_vectors(const struct world *, const void *rows, size_t n);
/* n random rows of the space, near one another, some equal to live ones. The caller frees. */
void *world_rows(struct world *, size_t n);
/* An id that was never used, or now and then one that was deleted. */
uint64_t world_new_id(struct world *);

/* Keeping the truth. */
void world_note_inserted(struct world *, const void *rows, const uint64_t *ids, size_t n);
void world_note_removed(struct world *, uint64_t id);

/* The truth at a moment, to be put back: after a rollback, or while a search is asked of
   the past. */
struct past {
    unsigned char *rows;
    uint64_t *ids;
    size_t n, n_retired;
    uint64_t retired[64];
};
struct past world_past(const struct world *);
/* The truth is the past's, and the past holds what the truth was. */
void world_swap(struct world *, struct past *);
void world_forget(struct past *);

/* Random rows in, random rows out, by the checked calls; they must succeed. Nothing is removed or
   maintained where the method cannot. */
void world_insert(struct world *, size_t n);
void world_remove(struct world *, size_t n);
bool world_maintain(struct world *, uint64_t budget); /* whether there is more to do */
/* check(), and the live set is as large as the truth. */
void world_check(struct world *);

/* Searches for nq random queries and holds the answers to the truth. */
void world_search(struct world *, size_t nq, size_t k, const struct id_filter *, size_t threads);
/* Answers for given queries, which must be right; arrays of nq * k. */
void world_answers(struct world *, const void *queries, size_t nq, size_t k,
                   const struct id_filter *, size_t threads, uint64_t *ids, float *distances);
/* Holds answers to the truth, however they were asked for. */
void world_expect_answers(struct world *, const void *queries, size_t nq, size_t k,
                          const struct id_filter *, const uint64_t *ids, const float *distances);
void world_range(struct world *, size_t nq, const struct id_filter *);
/* The radius, or the nearest that the metric has. */
double world_radius(const struct world *, double radius);
/* A radius that the metric has not must be refused; then the nearest that it has is asked for. */
void world_range_at(struct world *, const void *queries, size_t nq, const struct id_filter *,
                    double radius);
/* The next index that is made or loaded lives in a folder of its own, beside the one there is, as
   when the harness compares them. */
void world_other_folder(struct world *);
/* Searches for random queries and holds the answers to `before`, the truth when the transaction
   began: what it has changed since is not visible. */
void world_search_past(struct world *, struct past *before, size_t k);
/* Rolls the transaction back. The truth is `before` again, which then holds what was undone. Some
   of the ids that are gone may come again. */
void world_rollback(struct world *, struct past *before);
/* Saves, closes, loads, and goes on with what was loaded; false where the method cannot. */
bool world_reload(struct world *);

/* Distance of two rows in double precision, as index.h defines it. */
double world_distance(const struct world *, const void *a, const void *b);
/* How far a method's distance may be from it. */
double world_tolerance(const struct world *, const void *a, const void *b);

#endif
