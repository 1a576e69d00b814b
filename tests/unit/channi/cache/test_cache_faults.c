/* test_cache_faults.c - the cache with damaged files, failing system calls, and without
   descriptors. Without memory: contract/test_faults. */
#include <errno.h>
#include <sys/resource.h>

#include "tests/unit/channi/cluster_files.h"

/* Takes all n clusters. Those not in `bad` (bits) must have their content; those in it must fail
   with one of two codes and a message with the file and `part`. */
static void take_but(struct shelf *s, size_t n, uint64_t bad, int code, const char *part)
{
    struct error *err = &s->b.bench.error;
    const struct channi_image *image;
    size_t i, taken = 0;
    int rc;

    assert_int_equal(err->code, OK); /* no error is set before it is returned */
    for (; channi_fetch_next(s->fetch, &i, &image, &rc); taken++) {
        if (!(bad >> i & 1)) {
            assert_ok(rc, err);
            assert_true(is_as_written(s, image, i));
            continue;
        }
        assert_null(image);
        const struct channi_file_name name = channi_base_name(&s->bases[i]);
        assert_int_equal(rc, code);
        assert_int_equal(err->code, code);
        if (!strstr(err->text, name.text) || !strstr(err->text, part))
            fail_msg("\"%s\" does not name %s and %s", err->text, name.text, part);
        error_clear(err);
    }
    assert_int_equal(taken, n);
}

/* ---- damage */

static void flip(const struct shelf *s, size_t file, size_t at)
{
    char path[PATH_MAX];
    unsigned char byte;
    int fd;

    shelf_path(s, file, path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    assert_true(pwrite(fd, &byte, 1, (off_t)at) == 1);
    assert_int_equal(close(fd), 0);
}

enum damage { FLIPPED_HEAD, FLIPPED_IDS, FLIPPED_ROWS, CUT, CUT_TO_NOTHING, MISSING, ANOTHER };
static const struct {
    const char *name;
    int code;
    const char *part;
} damages[] = {
    [FLIPPED_HEAD] = { "flipped in the head", ERR_CORRUPT, "head" },
    [FLIPPED_IDS] = { "flipped in the ids", ERR_CORRUPT, "ids" },
    [FLIPPED_ROWS] = { "flipped in the rows", ERR_CORRUPT, "rows" },
    [CUT] = { "cut", ERR_CORRUPT, "ends at" },
    [CUT_TO_NOTHING] = { "empty", ERR_CORRUPT, "ends at" },
    [MISSING] = { "missing", ERR_IO, "cannot open" },
    [ANOTHER] = { "another's", ERR_CORRUPT, "renamed" },
};

static void damage(const struct shelf *s, size_t file, enum damage how)
{
    char path[PATH_MAX], other[PATH_MAX + 8];

    shelf_path(s, file, path);
    switch (how) {
        case FLIPPED_HEAD: flip(s, file, 30); break;
        case FLIPPED_IDS: flip(s, file, CLUSTER_HEAD + 5); break;
        case FLIPPED_ROWS: flip(s, file, s->bases[file].rows_at + 77); break;
        case CUT: assert_int_equal(truncate(path, (off_t)s->bases[file].rows_at + 10), 0); break;
        case CUT_TO_NOTHING: assert_int_equal(truncate(path, 0), 0); break;
        case MISSING: assert_int_equal(unlink(path), 0); break;
        case ANOTHER:
            shelf_path(s, file + 1, other);
            assert_int_equal(rename(other, path), 0);
            break;
    }
}

/* One of all files is damaged, before it was opened or after: only that one fails,
   with its name. */
static void test_damage(void **state)
{
    for (size_t way = 0; way < WAYS; way++)
        for (unsigned how = 0; how < sizeof damages / sizeof *damages; how++) {
            const size_t n = how == ANOTHER ? 5 : FILES; /* file 6 has the content of file 5 */
            struct shelf s;

            shelf_begin(&s, false, ways[way]);
            damage(&s, 4, how);
            for (size_t round = 0; round < 2; round++) {
                assert_ok(channi_fetch_ask(s.fetch, s.list, n), &s.b.bench.error);
                take_but(&s, n, 1U << 4, damages[how].code, damages[how].part);
                channi_fetch_done(s.fetch);
            }
            struct channi_whole_file whole;
            assert_code(channi_cache_whole(s.cache, s.list[4], &whole), damages[how].code,
                        &s.b.bench.error);
            shelf_end(&s);
        }
}

/* Cold rows: a flipped byte (the first, a middle or the last one) is detected by a read of its row,
   not by reads of adjacent rows, and by a read of the whole file. */
static void test_damaged_row(void **state)
{
    const uint32_t row = 40, others[] = { 39, 41, 100 };
    float out[3 * SHELF_DIM];
    const size_t row_bytes = SHELF_DIM * sizeof *out, at[] = { 0, 3, row_bytes - 1 };

    for (size_t way = 0; way < WAYS; way++) {
        struct shelf s;
        struct error *err = &s.b.bench.error;
        struct channi_whole_file whole;
        char path[PATH_MAX];

        shelf_begin(&s, true, ways[way]);
        flip(&s, 22, s.bases[22].rows_at + row * row_bytes + at[way % 3]);
        assert_ok(channi_fetch_ask(s.fetch, s.list, FILES), err);
        take_all(&s, in_order, FILES);
        assert_code(rows_of(&s, s.fetch, 22, &row, 1, out), ERR_CORRUPT, err);
        assert_ok(rows_of(&s, s.fetch, 22, others, 3, out), err);
        for (size_t i = 0; i < 3; i++)
            assert_true(is_row(&s, 22, others[i], out + i * SHELF_DIM));
        assert_ok(rows_of(&s, s.fetch, 21, &row, 1, out), err);
        assert_code(channi_cache_whole(s.cache, s.list[22], &whole), ERR_CORRUPT, err);
        assert_ok(channi_cache_whole(s.cache, s.list[21], &whole), err);
        assert_true(is_as_written(&s, &whole.image, 21));
        channi_cache_whole_done(s.cache, &whole);
        shelf_path(&s, 23, path);
        assert_int_equal(truncate(path, (off_t)s.bases[23].rows_at), 0);
        assert_code(rows_of(&s, s.fetch, 23, &row, 1, out), ERR_CORRUPT, err);
        shelf_end(&s);
    }
}

/* ---- failing calls */

static void test_faults(void **state)
{
    static const struct {
        const char *call;
        int error;
    } faults[] = { { "open", EACCES }, { "read", EIO }, { "close", EIO } };

    for (size_t way = 0; way < WAYS; way++)
        for (size_t k = 0; k < sizeof faults / sizeof *faults; k++)
            for (int at = 1; at <= 6; at++) {
                const bool fails = strcmp(faults[k].call, "close") != 0;
                struct channi_cache_options options = ways[way];
                struct shelf s;

                options.files_max = fails ? 0 : 2;
                shelf_begin(&s, false, options);
                s.plan = (struct fault_plan){ .call = faults[k].call,
                                              .at = at,
                                              .error = faults[k].error };
                assert_ok(channi_fetch_ask(s.fetch, s.list, 6), &s.b.bench.error);
                take_but(&s, 6, fails ? 1U << (at - 1) : 0, ERR_IO, "");
                channi_fetch_done(s.fetch);
                assert_true(atomic_load(&s.plan.seen) >= (fails ? 6 : 4));
                assert_ok(channi_fetch_ask(s.fetch, s.list, 6), &s.b.bench.error);
                take_all(&s, in_order, 6); /* later reads succeed */
                shelf_end(&s);
            }
}

static void test_rows_refused(void **state)
{
    const uint32_t rows[] = { 70, 140, 0, 141 }; /* in three pages that are not adjacent */
    float out[4 * SHELF_DIM];

    for (int at = 1; at <= 3; at++) {
        struct shelf s;

        shelf_begin(&s, true, ways[0]);
        assert_ok(channi_fetch_ask(s.fetch, s.list + 23, 1), &s.b.bench.error);
        s.plan = (struct fault_plan){ .call = "read", .at = at, .error = EIO };
        assert_code(rows_of(&s, s.fetch, 23, rows, 4, out), ERR_IO, &s.b.bench.error);
        assert_ok(rows_of(&s, s.fetch, 23, rows, 4, out), &s.b.bench.error);
        shelf_end(&s);
    }
}

/* ---- descriptors */

/* The process has only `spare` descriptors left. With one, all files can be read; with
   none, each read fails and names the limit. Afterwards all can be read again. */
static void test_descriptor_limit(void **state)
{
    struct rlimit before, few;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t way = 0; way < WAYS; way++)
        for (int spare = 3; spare >= 0; spare--) {
            struct channi_cache_options options = ways[way];
            struct shelf s;

            options.files_max = FILES;
            shelf_begin(&s, false, options);
            /* The descriptor of io_uring is open already. */
            take_run(&s, 23, 1);
            channi_cache_leave(s.cache, s.list[23]);
            const int next = open("/", O_RDONLY);
            assert_true(next >= 0);
            few =
                (struct rlimit){ .rlim_cur = (rlim_t)(next + spare), .rlim_max = before.rlim_max };
            (void)close(next);
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
            assert_ok(channi_fetch_ask(s.fetch, s.list, 20), &s.b.bench.error);
            if (spare > 0)
                take_all(&s, in_order, 20);
            else
                take_but(&s, 20, (1U << 20) - 1, ERR_IO, "RLIMIT_NOFILE");
            channi_fetch_done(s.fetch);
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
            assert_ok(channi_fetch_ask(s.fetch, s.list, 20), &s.b.bench.error);
            take_all(&s, in_order, 20);
            shelf_end(&s);
        }
}

int main(void)
{
    return test_run_all("channi_cache_faults", test_damage, test_damaged_row, test_faults,
                        test_rows_refused, test_descriptor_limit);
}
