/* fetch_world.h - the setup of the tests of fetching: a file of two rows in data/, a catalog entry
 * that pins it, an empty cache/. */
#ifndef DRIFTLINE_TESTS_UNIT_DATA_FETCH_WORLD_H
#define DRIFTLINE_TESTS_UNIT_DATA_FETCH_WORLD_H

#include "tests/unit/data/data_files.h"

#include <sys/stat.h>

#include "src/data/fetch/fetch.h"
#include "src/data/files/sha256.h"

struct world {
    struct scratch scratch;
    char data[PATH_MAX + 32], cache[PATH_MAX + 32], file[PATH_MAX + 128];
    char sha[SHA256_HEX_BYTES], address[128];
    struct dataset_origin origin;
    struct dataset_part part;
    struct dataset_entry entry;
    struct fetch_env env;
    struct error err;
};

static const uint8_t two_rows[] = { 2, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6 };

static inline int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    test_dir_make(w->scratch.dir);
    snprintf(w->data, sizeof w->data, "%s/data", w->scratch.dir);
    snprintf(w->cache, sizeof w->cache, "%s/cache", w->scratch.dir);
    snprintf(w->file, sizeof w->file, "%s/tiny/base.u8bin", w->data);
    assert_int_equal(mkdir(w->data, 0755), 0);
    assert_int_equal(mkdir(scratch_path(&w->scratch, "data/tiny"), 0755), 0);
    write_file(w->file, two_rows, sizeof two_rows);
    assert_ok(sha256_file(w->file, w->sha, NULL, &w->err), &w->err);
    w->part = (struct dataset_part){
        .part = "base", .file = "base.u8bin", .sha256 = w->sha, .rows = 2, .dim = 3
    };
    w->entry = (struct dataset_entry){ .name = "tiny", .parts = &w->part, .n_parts = 1 };
    w->env = (struct fetch_env){ .cache_dir = w->cache, .data_path = w->data, .no_install = true };
    *state = w;
    return 0;
}

static inline int end_world(void **state)
{
    struct world *w = *state;
    test_dir_remove(w->scratch.dir);
    free(w);
    return 0;
}

/* A recipe makes the file, which is not in data/ any more. */
static inline void move_to_recipe(struct world *w)
{
    static const char script[] = "#!/bin/sh\nprintf "
                                 "'\\002\\000\\000\\000\\003\\000\\000\\000\\001\\002\\003\\004\\00"
                                 "5\\006' >\"$1/base.u8bin\"\n";
    const char *path = scratch_write(&w->scratch, "data/make-tiny", script, sizeof script - 1);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(unlink(w->file), 0);
    w->env.recipe_dir = w->data;
    w->origin = (struct dataset_origin){ .kind = ORIGIN_RECIPE, .address = "make-tiny" };
    w->part.origins = &w->origin;
    w->part.n_origins = 1;
}

/* Fetching must succeed and give the two rows, mapped. */
static inline void expect_tiny(struct world *w)
{
    struct source *s = NULL;
    uint8_t rows[6];
    assert_ok(fetch_part(&w->entry, "base", &w->env, &s, &w->err), &w->err);
    assert_string_equal(s->name, "tiny/base");
    assert_int_equal(s->n, 2);
    assert_int_equal(s->dim, 3);
    assert_non_null(s->rows);
    assert_int_equal((uintptr_t)s->rows % 64, 0);
    assert_ok(source_read(s, 0, 2, rows, &w->err), &w->err);
    assert_memory_equal(rows, two_rows + 8, 6);
    source_close(s);
}

/* Fetching must fail with this code, and an error that has every piece. */
static inline void expect_unfetched(struct world *w, int code, const char *pieces)
{
    struct source *s = NULL;
    error_clear(&w->err);
    const int rc = fetch_part(&w->entry, "base", &w->env, &s, &w->err);
    if (rc != code)
        fail_msg("expected %s, got %s: %s", error_name(code), error_name(rc), w->err.text);
    expect_text("fetch", &w->err, pieces);
}

/* The path of a file in the folder of downloads, as from scratch_path(). */
static inline const char *in_downloads(struct world *w, const char *name)
{
    char below[128];
    snprintf(below, sizeof below, "cache/downloads/tiny/%s", name);
    return scratch_path(&w->scratch, below);
}

static inline bool has_download(struct world *w, const char *name)
{
    struct stat st;
    return lstat(in_downloads(w, name), &st) == 0;
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

#endif
