/* cluster_files.h - cluster files for tests: of random rows, with any of the sections. */
#ifndef DRIFTLINE_CLUSTER_FILES_H
#define DRIFTLINE_CLUSTER_FILES_H

#include "algorithms/channi/cache.h"
#include "algorithms/channi/cluster_layout.h"
#include "algorithms/common/epoch.h"
#include "tests/testing.h"

enum { WITH_GRAPH = 1, WITH_CODES = 2, WITH_COLD = 4, WITH_HISTORY = 8, WITH_ATTRIBUTES = 16 };
enum { WITH_ALL = 32 };

struct files_fixture {
    struct test_bench bench;
    struct epoch *epoch;
    char dir[PATH_MAX];
    char logged[8192]; /* lines of the log, the last */
    size_t n_logged;
};

/* A cluster's contents, and all they point to. */
struct filed {
    struct cluster_contents contents;
    unsigned char *rows, *codes;
    uint64_t *ids, *born, *dead;
    uint32_t *attributes;
    float *centre;
    struct graph *graph;
};

void files_begin(struct files_fixture *, enum element, size_t dim);
void files_end(struct files_fixture *); /* all memory is back */
/* Cluster number `phash` of n rows, with the sections of `with`: the same at every call. */
void filed_make(struct filed *, struct files_fixture *, unsigned with, uint64_t phash, uint32_t n);
void filed_free(struct filed *, struct files_fixture *);
/* Makes it and writes its file; base is filled. */
void filed_write(struct files_fixture *, unsigned with, uint64_t phash, uint32_t n, struct base *);
/* The image holds what was written; rows too, where it has them. */
void assert_image(const struct image *, const struct filed *, const struct files_fixture *,
                  bool rows);

/* Fails the n-th call of one kind. */
struct fault_plan {
    const char *call;
    int at, error; /* at: 1-based; 0: none */
    bool ever_after;
    atomic_int seen;
};
int fault_before(void *to, const char *call);

/* ---- a shelf: files 1 .. FILES of different sizes, and a cache they joined */

enum { FILES = 24, SHELF_DIM = 32, WAYS = 4 };

struct shelf {
    struct files_fixture f;
    struct filed filed[FILES];
    struct base bases[FILES], *list[FILES];
    struct cache *cache;
    struct fault_plan plan; /* of the cache's calls */
    struct store_fault fault;
    size_t hot_bytes, largest; /* of all; of one */
    unsigned with;
};

extern const struct cache_options ways[WAYS]; /* ring or threads, direct or not; no budget */
extern const size_t in_order[FILES];

void shelf_begin(struct shelf *, unsigned with, struct cache_options);
void shelf_end(struct shelf *);
/* The same files in a cache of other options. */
void shelf_open(struct shelf *, struct cache_options);
void shelf_close(struct shelf *);
void shelf_path(const struct shelf *, size_t file, char path[CLUSTER_PATH_MAX]);
void make_cold(struct shelf *); /* the page cache forgets the files */
struct cache_counts counts_of(const struct shelf *);
/* Takes all that was asked for; which[]: files by the order asked. Every one comes once, as it was written. */
void take_all(struct shelf *, struct fetch *, const size_t *which, size_t n);

#endif
