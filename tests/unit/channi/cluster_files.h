/* cluster_files.h - cluster files of random rows for tests, with any of the sections. */
#ifndef DRIFTLINE_TESTS_UNIT_CHANNI_CLUSTER_FILES_H
#define DRIFTLINE_TESTS_UNIT_CHANNI_CLUSTER_FILES_H

#include <limits.h>

#include "algorithms/channi/cache/internal.h"
#include "algorithms/common/concurrency/epoch.h"
#include "tests/support/testing.h"

enum { WITH_GRAPH = 1, WITH_CODES = 2, WITH_COLD = 4, WITH_HISTORY = 8, WITH_ATTRIBUTES = 16 };
enum { WITH_ALL = 32, FILE_FIELDS = 3 };

struct files_fixture {
    struct test_bench bench;
    struct epoch *epoch;
    char dir[PATH_MAX];
    char logged[8192]; /* the last lines of the log */
    size_t n_logged;
};

/* A cluster's contents, and the memory they point to. */
struct filed {
    struct channi_cluster_contents contents;
    unsigned char *rows, *codes;
    uint64_t *ids, *born, *dead;
    int64_t *attributes;
    float *centre;
    struct graph *graph;
};

void files_begin(struct files_fixture *, enum element, size_t dim);
void files_end(struct files_fixture *); /* checks that all memory was freed */
/* Makes cluster number `phash` of n rows, with the sections of `with`; equal at every call. */
void filed_make(struct filed *, struct files_fixture *, unsigned with, uint64_t phash, uint32_t n);
void filed_free(struct filed *, struct files_fixture *);
/* Writes its file; fills base. */
void filed_write(struct files_fixture *, const struct filed *, struct channi_base *);
/* Asserts that the image has the content that was written, with the rows if `rows`. */
void assert_image(const struct channi_image *, const struct filed *, const struct files_fixture *,
                  bool rows);

/* Fails the n-th call of one kind. */
struct fault_plan {
    const char *call;
    int at, error; /* at: 1-based; 0: none */
    atomic_int seen;
};
int fault_before(void *to, const char *call);

/* ---- a shelf: files 1 .. FILES of different sizes, in a cache */

enum { FILES = 24, SHELF_DIM = 32, WAYS = 4 };

struct shelf {
    struct files_fixture f;
    struct filed filed[FILES];
    struct channi_base bases[FILES], *list[FILES];
    struct channi_cache *cache;
    struct channi_fetch *fetch; /* of the cache */
    struct fault_plan plan;     /* for the cache's calls */
    struct file_fault fault;
    size_t hot_bytes, largest; /* of all files; of one file */
    unsigned with;
};

extern const struct channi_cache_options ways[WAYS]; /* io_uring or threads; direct or not */
extern const size_t in_order[FILES];

void shelf_begin(struct shelf *, unsigned with, struct channi_cache_options);
void shelf_end(struct shelf *);
void shelf_path(const struct shelf *, size_t file, char path[PATH_MAX]);
void make_cold(struct shelf *); /* drops the files from the page cache */
struct channi_cache_counts counts_of(const struct shelf *);
/* Takes all requested clusters. which[]: files in the order of requests. Each must arrive once,
   with its content. */
void take_all(struct shelf *, const size_t *which, size_t n);
/* Requests files first .. first + n - 1, takes them, and lets them go. */
void take_run(struct shelf *, size_t first, size_t n);

#endif
