/* test_fetch.c - fetching from folders and a local server, with good, bad and
 * missing files; the cache. */
#define _GNU_SOURCE
#include "tests/unit/data/fetch_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "src/base/process.h"
#include "src/data/fetch/cache.h"

static void sha256_is_sha256(void **state)
{
    struct world *w = *state;
    char hex[SHA256_HEX_BYTES];
    assert_ok(sha256_block("abc", 3, hex, &w->err), &w->err); /* FIPS 180-4's example */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_local_file_is_converted_once(void **state)
{
    struct world *w = *state;
    expect_tiny(w);
    assert_int_equal(unlink(w->file), 0); /* from here on only the cache has the data */
    expect_tiny(w);
    /* another version has another key */
    struct source *s = NULL;
    w->part.sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    assert_code(fetch_part(&w->entry, "base", &w->env, &s, &w->err), ERR_FETCH, &w->err);
}

static void a_local_file_may_be_packed_or_beside(void **state)
{
    struct world *w = *state;
    assert_int_equal(unlink(w->file), 0);
    scratch_write_gzip(&w->scratch, "data/base.u8bin.gz", two_rows, sizeof two_rows);
    char list[3 * PATH_MAX];
    snprintf(list, sizeof list, "%s/nowhere::%s:", w->data, w->data);
    w->env.data_path = list;
    expect_tiny(w);
}

static void a_damaged_local_file_is_an_error_and_stays(void **state)
{
    struct world *w = *state;
    write_file(w->file, two_rows, sizeof two_rows - 1);
    expect_unfetched(w, ERR_CORRUPT, "tiny/base.u8bin: expected sha256|found|(13 bytes)");
    expect_text("short", &w->err, w->sha);
    struct stat st;
    assert_int_equal(stat(w->file, &st), 0); /* the file is the user's */
    w->part.sha256 = NULL;
    w->part.unpinned = true; /* not pinned: the reader notices that the file is short */
    expect_unfetched(w, ERR_CORRUPT,
                     "base.u8bin: truncated: 2 rows of 3 u8 need 14 bytes, the file has 13");
}

static void the_catalogs_shape_is_held(void **state)
{
    struct world *w = *state;
    struct source *s = NULL;
    w->part.rows = 3;
    expect_unfetched(w, ERR_DIMENSION, "has 2 rows, the catalog says 3");
    w->part.rows = 2;
    w->part.dim = 4;
    expect_unfetched(w, ERR_DIMENSION, "has 3 columns, 4 were expected");
    error_clear(&w->err);
    assert_int_equal(fetch_part(&w->entry, "bass", &w->env, &s, &w->err), ERR_NOT_FOUND);
    expect_text("part", &w->err, "dataset \"tiny\" has no part \"bass\"; it has base");
}

static void missing_everywhere_lists_every_source(void **state)
{
    struct world *w = *state;
    assert_int_equal(unlink(w->file), 0);
    const struct dataset_origin origins[] = {
        { ORIGIN_URL, "http://127.0.0.1:9/base.u8bin", NULL, NULL, true },
        { ORIGIN_DEBIAN, "driftline-no-such-package", NULL, "usr/share/none", false },
        { ORIGIN_NPM, "driftline-no-such-package", "1.0.0", "package/none", false },
        { .kind = ORIGIN_RECIPE, .address = "none" },
    };
    w->part.origins = origins;
    w->part.n_origins = 1; /* only origins that need no network */
    expect_unfetched(w, ERR_FETCH,
                     "fetch tiny/base: no source provides base.u8bin|has no such "
                     "file|http://127.0.0.1:9/base.u8bin: |connect");
    w->part.n_origins = 4;
    w->env.offline = true;
    expect_unfetched(
        w, ERR_FETCH,
        "http://127.0.0.1:9/base.u8bin: offline|Debian package driftline-no-such-package: "
        "not installed|"
        "npm package driftline-no-such-package@1.0.0: offline|recipe none: offline");
    w->env.data_path = NULL;
    expect_unfetched(w, ERR_FETCH, "DRIFTLINE_DATA: names no folder");
}

static void a_recipe_makes_the_file(void **state)
{
    struct world *w = *state;
    move_to_recipe(w);
    w->part.sha256 = NULL;
    w->part.unpinned = true;
    expect_tiny(w);
    char hex[SHA256_HEX_BYTES];
    fetch_sha256(&w->entry, &w->part, &w->env, hex); /* as it was recorded */
    assert_string_equal(hex, w->sha);
    /* The file changed since it was recorded: it is set aside, reported, and made again. */
    write_file(in_downloads(w, "base.u8bin"), "spoilt", 6);
    w->part.format = "u8bin"; /* another key, so that the cache does not match */
    expect_tiny(w);
    assert_true(has_download(w, "base.u8bin.bad"));
}

/* What the cache has of x.npy under this key must be a miss, or these rows. */
static void expect_cached(struct world *w, const char *key, const struct source *rows)
{
    struct source *back = NULL;
    assert_ok(cache_open(scratch_path(&w->scratch, "x.npy"), key, "x", false, &back, &w->err),
              &w->err);
    assert_int_equal(back != NULL, rows != NULL);
    if (rows) {
        assert_true(back->hash == rows->hash);
        assert_string_equal(back->metric, rows->metric);
    }
    source_close(back);
}

static void the_cache_tells_a_miss_from_a_hit(void **state)
{
    struct world *w = *state;
    const char *npy = scratch_path(&w->scratch, "x.npy"),
               *meta = scratch_path(&w->scratch, "x.npy.meta");
    struct source *s = open_good(w->file, NULL);
    expect_cached(w, "key", NULL);
    assert_ok(cache_store(s, npy, "key", NULL, &w->err), &w->err);
    expect_cached(w, "key", s);
    snprintf(s->metric, sizeof s->metric, "angular");
    assert_ok(cache_store(s, npy, "key", NULL, &w->err), &w->err);
    expect_cached(w, "key", s);
    expect_cached(w, "other key", NULL);
    assert_int_equal(truncate(npy, 130), 0); /* a short npy is a cache miss, not a crash */
    expect_cached(w, "key", NULL);
    assert_ok(cache_store(s, npy, "key", NULL, &w->err), &w->err);
    assert_int_equal(truncate(meta, 40), 0);
    expect_cached(w, "key", NULL);
    source_close(s);
}

static void flip_bit(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    const int byte = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 4, f), byte ^ 4);
    assert_int_equal(fclose(f), 0);
}

/* A flipped bit anywhere: an error that names the file, or the original rows. */
static void a_flipped_bit_in_converted_data_is_found(void **state)
{
    struct world *w = *state;
    const char *npy = scratch_path(&w->scratch, "cache/datasets/tiny/base.npy");
    struct stat st;
    expect_tiny(w);
    assert_int_equal(stat(npy, &st), 0);
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    size_t found = 0;
    for (long at = 0; at < st.st_size; at++) {
        struct source *s = NULL;
        flip_bit(npy, at);
        assert_int_equal(utimensat(AT_FDCWD, npy, times, 0), 0); /* its time shows no change */
        if (fetch_part(&w->entry, "base", &w->env, &s, &w->err)) {
            expect_text("flipped", &w->err, "tiny/base.npy|damaged; remove the file");
            found++;
        } else {
            assert_true(at < st.st_size - 6); /* one of the spaces of the header */
            assert_memory_equal(s->rows, two_rows + 8, 6);
            source_close(s);
        }
        error_clear(&w->err);
        flip_bit(npy, at);
    }
    assert_true(found > 30);
    flip_bit(npy, st.st_size - 1);
    assert_int_equal(unlink(npy), 0); /* as the message advises */
    expect_tiny(w);
}

/* The npy is new but its meta file could not be written, as when the machine stops in between: the
   old meta file must not validate the new rows. */
static void a_store_cut_in_two_is_a_miss(void **state)
{
    struct world *w = *state;
    const char *npy = scratch_path(&w->scratch, "x.npy");
    char key[3000];
    struct source *s = open_good(w->file, NULL);
    assert_ok(cache_store(s, npy, "key", NULL, &w->err), &w->err);
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;
    assert_code(cache_store(s, npy, key, NULL, &w->err), ERR_ARGUMENT, &w->err);
    expect_cached(w, "key", NULL);
    source_close(s);
}

static void a_lock_holds_other_processes_off(void **state)
{
    struct world *w = *state;
    const char *path = scratch_path(&w->scratch, "lock");
    int lock = -1, status = -1;
    assert_ok(cache_lock(path, &lock, &w->err), &w->err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        int own = -1;
        close(lock); /* else the child would keep its parent's lock */
        _exit(cache_lock(path, &own, NULL) != OK);
    }
    usleep(150000);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    cache_unlock(lock);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Processes that fetch the same data at once all get it, and leave no half-written file. */
static void processes_may_fetch_at_once(void **state)
{
    struct world *w = *state;
    pid_t children[6];
    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i])
            continue;
        struct source *s = NULL;
        _exit(fetch_part(&w->entry, "base", &w->env, &s, &w->err) != OK || s->n != 2);
    }
    for (int i = 0; i < 6; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    DIR *dir = opendir(scratch_path(&w->scratch, "cache/datasets/tiny"));
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && strcmp(e->d_name, "base.npy") &&
            strcmp(e->d_name, "base.npy.meta"))
            fail_msg("%s was left behind", e->d_name);
    closedir(dir);
}

static int stop_always(void *context, const char *what, size_t done, size_t total)
{
    return 1;
}

static void progress_can_stop_it(void **state)
{
    struct world *w = *state;
    struct source *s = NULL;
    w->env.progress.step = stop_always;
    assert_int_equal(fetch_part(&w->entry, "base", &w->env, &s, &w->err), ERR_INTERRUPTED);
    w->env.progress.step = NULL;
    expect_tiny(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(sha256_is_sha256),
        IN_A_WORLD(a_local_file_is_converted_once),
        IN_A_WORLD(a_local_file_may_be_packed_or_beside),
        IN_A_WORLD(a_damaged_local_file_is_an_error_and_stays),
        IN_A_WORLD(the_catalogs_shape_is_held),
        IN_A_WORLD(missing_everywhere_lists_every_source),
        IN_A_WORLD(a_recipe_makes_the_file),
        IN_A_WORLD(the_cache_tells_a_miss_from_a_hit),
        IN_A_WORLD(a_flipped_bit_in_converted_data_is_found),
        IN_A_WORLD(a_store_cut_in_two_is_a_miss),
        IN_A_WORLD(a_lock_holds_other_processes_off),
        IN_A_WORLD(processes_may_fetch_at_once),
        IN_A_WORLD(progress_can_stop_it),
    };
    return test_run("data_fetch", tests);
}
