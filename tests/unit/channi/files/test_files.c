/* test_files.c - cluster files: every combination of sections written and read, every kind of
   damage reported with its place. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/channi/cluster_files.h"

/* ---- round trips */

static void round_trip(struct files_fixture *f, unsigned with, uint32_t n)
{
    struct error *err = &f->bench.error;
    struct filed d;
    struct channi_cluster_block block;
    struct channi_base base = { 0 };
    struct channi_image image;
    struct channi_cache *cache;
    struct channi_whole_file whole;

    filed_make(&d, f, with, 100 + with, n);
    assert_ok(channi_cluster_block_make(&f->bench.env, &d.contents, &block), err);
    assert_int_equal(block.file_bytes % 4096, 0);
    assert_int_equal(block.hot_bytes % 4096, 0);
    assert_ok(channi_cluster_block_write(&f->bench.env, &d.contents, &block, with & 1, NULL), err);
    assert_ok(channi_cluster_file_head(&f->bench.env, d.contents.phash, d.contents.version, &base),
              err);
    assert_int_equal(base.n, n);
    assert_int_equal(base.root, d.contents.root);
    assert_true(base.cold_rows == d.contents.cold_rows);
    assert_true(base.cold_rows ? base.rows_at == base.hot_bytes
                               : base.hot_bytes == base.file_bytes);
    assert_ok(
        channi_image_open(&image, &f->bench.env, &base, block.bytes, block.hot_bytes, IMAGE_WHOLLY),
        err);
    assert_image(&image, &d, f, !base.cold_rows);
    assert_ok(channi_cache_create(&cache, &f->bench.env, &(struct channi_cache_options){ 0 }), err);
    assert_ok(channi_cache_join(cache, &base, NULL), err);
    assert_ok(channi_cache_whole(cache, &base, &whole), err);
    assert_image(&whole.image, &d, f, true);
    channi_cache_whole_done(cache, &whole);
    channi_cache_leave(cache, &base);
    assert_true(channi_cluster_file_remove(&f->bench.env, &base, NULL));
    channi_cache_destroy(cache);
    assert_code(
        channi_cluster_file_head(&f->bench.env, d.contents.phash, d.contents.version, &base),
        ERR_NOT_FOUND, err);
    mem_free(&f->bench.mem, block.bytes);
    filed_free(&d, f);
}

static void test_round_trip(void **state)
{
    static const struct {
        enum element element;
        size_t dim;
    } kinds[] = { { INDEX_F32, 7 }, { INDEX_U8, 128 }, { INDEX_F32, 300 } };

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct files_fixture f;

        files_begin(&f, kinds[k].element, kinds[k].dim);
        for (unsigned with = 0; with < WITH_ALL; with++)
            for (uint32_t n = 0; n < 200; n = 3 * n + 1)
                if (n > 0 || !(with & WITH_GRAPH))
                    round_trip(&f, with, n);
        files_end(&f);
    }
}

/* ---- names */

static void test_names(void **state)
{
    static const char *const wrong[] = { "",
                                         "x",
                                         "0000000000000001.0000000000000002.cl",
                                         "0000000000000001.0000000000000002.clu2",
                                         "000000000000000G.0000000000000002.clu",
                                         "0000000000000001-0000000000000002.clu",
                                         "000000000000001.00000000000000002.clu",
                                         "000000000000000A.0000000000000002.clu",
                                         "0000000000000001.0000000000000002.new" };
    struct rng r = rng_at(test_seed(), 9);

    for (size_t i = 0; i < 1000; i++) {
        const uint64_t phash = rng_u64(&r) >> rng_below(&r, 64), version = rng_u64(&r) >> (i % 64);
        char name[CLUSTER_NAME_MAX];
        uint64_t p, v;

        channi_cluster_file_name(phash, version, name);
        assert_int_equal(strlen(name), 37);
        assert_true(channi_cluster_file_parse(name, &p, &v) && p == phash && v == version);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t p, v;

        assert_false(channi_cluster_file_parse(wrong[i], &p, &v));
    }
}

/* ---- damage */

/* A file and its input. */
struct target {
    struct files_fixture f;
    struct filed filed;
    struct channi_cluster_block block;
    struct channi_base base;
    char path[PATH_MAX];
};

static void target_begin(struct target *t, unsigned with, uint32_t n)
{
    struct index_env *env = &t->f.bench.env;

    files_begin(&t->f, INDEX_F32, 12);
    t->base = (struct channi_base){ 0 };
    filed_make(&t->filed, &t->f, with, 77, n);
    filed_write(&t->f, &t->filed, &t->base);
    assert_ok(channi_cluster_block_make(env, &t->filed.contents, &t->block), &t->f.bench.error);
    assert_int_equal(channi_cluster_file_path(env, t->base.phash, t->base.version, t->path), OK);
}

static void target_end(struct target *t)
{
    mem_free(&t->f.bench.mem, t->block.bytes);
    filed_free(&t->filed, &t->f);
    files_end(&t->f);
}

/* The error has one of the codes, and its message has the file's name and `part`. */
static void assert_named(struct target *t, int rc, int code, const char *part)
{
    struct error *err = &t->f.bench.error;
    char name[CLUSTER_NAME_MAX];

    channi_cluster_file_name(t->base.phash, t->base.version, name);
    if (rc != code || err->code != code || !strstr(err->text, name) || !strstr(err->text, part))
        fail_msg("%s: \"%s\" does not name %s and %s", error_name(rc), err->text, name, part);
    error_clear(err);
}

static void put(struct target *t, const unsigned char *bytes, size_t n)
{
    const int fd = open(t->path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    assert_int_equal(close(fd), 0);
}

static int head_of(struct target *t)
{
    struct channi_base out = { 0 };

    return channi_cluster_file_head(&t->f.bench.env, t->base.phash, t->base.version, &out);
}

/* Opens the block's first n bytes. */
static int opened(struct target *t, size_t n, enum channi_image_check check)
{
    struct channi_image image;

    return channi_image_open(&image, &t->f.bench.env, &t->base, t->block.bytes, n, check);
}

/* A flipped bit of any byte, also of the zeros between sections: the head is named by every check, a section by
   that of the hot part or, for rows, of the whole file. */
static void test_flips(void **state)
{
    static const unsigned kinds[] = { WITH_GRAPH | WITH_HISTORY | WITH_ATTRIBUTES,
                                      WITH_CODES | WITH_COLD };

    for (size_t k = 0; k < 2; k++) {
        struct target t;
        unsigned section = 0, tried = 0;

        target_begin(&t, kinds[k], 61);
        const struct channi_cluster_head *h = (const void *)t.block.bytes;
        for (size_t at = 0; at < t.block.file_bytes; at += at < 512 ? 1 : test_scale()) {
            const size_t n = at < t.block.hot_bytes ? t.block.hot_bytes : t.block.file_bytes;
            const bool head = at < CLUSTER_HEAD;
            const unsigned char flip = (unsigned char)(1 << at % 8);

            while (!head && at >= channi_cluster_section_end(h, section))
                section++;
            t.block.bytes[at] ^= flip;
            assert_named(&t, opened(&t, n, head ? at % 3 : IMAGE_HASH), ERR_CORRUPT,
                         head ? "head" : channi_cluster_section_name(section));
            if (head && (at < 400 || at % 64 == 0)) {
                put(&t, t.block.bytes, t.block.file_bytes);
                assert_named(&t, head_of(&t), ERR_CORRUPT, "head");
            }
            t.block.bytes[at] ^= flip;
            tried |= head ? 0 : 1U << section;
        }
        assert_true((tried & h->has) == h->has);
        assert_ok(opened(&t, t.block.hot_bytes, IMAGE_WHOLLY), &t.f.bench.error);
        target_end(&t);
    }
}

/* Random heads are refused, or read as the same content; for the address sanitizer. */
static void test_random_heads(void **state)
{
    struct target t;
    struct rng r = rng_at(test_seed(), 10);

    target_begin(&t, WITH_GRAPH | WITH_CODES | WITH_COLD, 50);
    struct channi_cluster_head *h = (void *)t.block.bytes, right = *h;
    for (size_t i = 0; i < 20000 / test_scale(); i++) {
        unsigned char *bytes = (unsigned char *)h + rng_below(&r, 88 + 24 * SECTIONS);

        *bytes = (unsigned char)rng_below(&r, 256);
        h->hash = channi_cluster_hash(h, offsetof(struct channi_cluster_head, hash));
        (void)opened(&t, t.block.hot_bytes, i % 3);
        error_clear(&t.f.bench.error);
        *h = right;
    }
    target_end(&t);
}

/* Heads with wrong numbers and a right checksum. */
static void test_lies(void **state)
{
    struct target t;

    target_begin(&t, WITH_GRAPH | WITH_CODES | WITH_COLD, 50);
    struct channi_cluster_head *h = (void *)t.block.bytes, right = *h;
#define LIE(change, code, part)                                                       \
    do {                                                                              \
        change;                                                                       \
        h->hash = channi_cluster_hash(h, offsetof(struct channi_cluster_head, hash)); \
        assert_named(&t, opened(&t, t.block.hot_bytes, IMAGE_WHOLLY), code, part);    \
        put(&t, t.block.bytes, t.block.file_bytes);                                   \
        const int rc = head_of(&t);                                                   \
        assert_true(rc == code || code == ERR_CORRUPT);                               \
        error_clear(&t.f.bench.error);                                                \
        *h = right;                                                                   \
    } while (0)
    LIE(h->format++, ERR_VERSION, "format 4");
    LIE(h->n_columns++, ERR_DIMENSION, "4 attributes a row, expected 3");
    LIE(h->dim++, ERR_DIMENSION, "dimension 13, expected 12");
    LIE(h->element = INDEX_U8, ERR_DIMENSION, "u8");
    LIE(h->metric = INDEX_IP, ERR_DIMENSION, "ip");
    LIE(h->phash++, ERR_CORRUPT, "renamed");
    LIE(h->version++, ERR_CORRUPT, "renamed");
    LIE(h->n++, ERR_CORRUPT, "ids");
    LIE(h->n = UINT32_MAX, ERR_CORRUPT, "ids");
    LIE(h->root = h->n, ERR_CORRUPT, "root");
    LIE(h->hot_bytes += 4096, ERR_CORRUPT, "head");
    LIE(h->file_bytes += 4096, ERR_CORRUPT, "head");
    LIE(h->file_bytes = UINT64_MAX, ERR_CORRUPT, "head");
    LIE(h->cold_rows = 0, ERR_CORRUPT, "head");
    LIE(h->has ^= 1U << SECTION_ROWS, ERR_CORRUPT, "rows");
    for (unsigned i = 0; i < SECTIONS; i++) {
        LIE(h->sections[i].at += 64, ERR_CORRUPT, "");
        LIE(h->sections[i].at = UINT64_MAX - 63, ERR_CORRUPT, "");
        LIE(h->sections[i].bytes += 64, ERR_CORRUPT, "");
        LIE(h->sections[i].bytes = UINT64_MAX - 8, ERR_CORRUPT, "");
        if (i != SECTION_ROWS)
            LIE(h->sections[i].hash++, ERR_CORRUPT, channi_cluster_section_name(i));
    }
#undef LIE
    target_end(&t);
}

/* Writes 8 bytes into a section, with its hash and the head's. */
static void set(struct target *t, enum channi_cluster_section section, size_t at, uint64_t value)
{
    struct channi_cluster_head *h = (void *)t->block.bytes;
    unsigned char *bytes = t->block.bytes + h->sections[section].at;

    memcpy(bytes + at, &value, 8);
    h->sections[section].hash = channi_cluster_hash(bytes, channi_cluster_section_end(h, section) -
                                                               h->sections[section].at);
    h->hash = channi_cluster_hash(h, offsetof(struct channi_cluster_head, hash));
}

/* Impossible numbers in sections with right hashes: detected by IMAGE_WHOLLY. */
static void test_wrong_numbers(void **state)
{
    static const struct {
        enum channi_cluster_section section;
        uint64_t value;
    } cases[] = { { SECTION_ATTRIBUTES, INT64_MAX }, /* above the greatest */
                  { SECTION_DEAD, 1 },               /* dead before born */
                  { SECTION_GRAPH, 1 } };            /* a link to itself */
    struct target t;

    target_begin(&t, WITH_GRAPH | WITH_HISTORY | WITH_ATTRIBUTES, 50);
    const struct channi_cluster_head *h = (const void *)t.block.bytes;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const enum channi_cluster_section section = cases[i].section;
        const size_t at = section == SECTION_GRAPH ? 128 : h->sections[section].bytes - 8;
        uint64_t kept;

        memcpy(&kept, t.block.bytes + h->sections[section].at + at, 8);
        set(&t, section, at, cases[i].value);
        assert_named(&t, opened(&t, t.block.hot_bytes, IMAGE_WHOLLY), ERR_CORRUPT, "");
        assert_ok(opened(&t, t.block.hot_bytes, IMAGE_HASH), &t.f.bench.error);
        set(&t, section, at, kept);
    }
    target_end(&t);
}

/* Cuts the file at the start and end of every section, and within it. */
static void test_cut(void **state)
{
    struct target t;
    struct channi_cache *cache;
    struct channi_whole_file whole;

    target_begin(&t, WITH_GRAPH | WITH_HISTORY | WITH_ATTRIBUTES, 50);
    const struct channi_cluster_head *h = (const void *)t.block.bytes;
    assert_ok(channi_cache_create(&cache, &t.f.bench.env, &(struct channi_cache_options){ 0 }),
              &t.f.bench.error);
    assert_ok(channi_cache_join(cache, &t.base, NULL), &t.f.bench.error);
    for (unsigned i = 0; i <= 3 * SECTIONS + 1; i++) {
        const size_t at = h->sections[i / 3 % SECTIONS].at,
                     bytes = h->sections[i / 3 % SECTIONS].bytes;
        const size_t n = i == 3 * SECTIONS  ? 0
                         : i > 3 * SECTIONS ? CLUSTER_HEAD - 1
                         : i % 3 == 0       ? at
                         : i % 3 == 1       ? at + bytes / 2
                                            : at + bytes;

        put(&t, t.block.bytes, n);
        assert_named(&t, head_of(&t), ERR_CORRUPT, n < CLUSTER_HEAD ? "head" : "bytes, expected");
        assert_named(&t, channi_cache_whole(cache, &t.base, &whole), ERR_CORRUPT, "ends at");
        assert_named(&t, opened(&t, n, IMAGE_HASH), ERR_CORRUPT, "head");
    }
    assert_int_equal(unlink(t.path), 0);
    channi_cache_leave(cache, &t.base); /* it was open */
    assert_ok(channi_cache_join(cache, &t.base, NULL), &t.f.bench.error);
    assert_named(&t, head_of(&t), ERR_NOT_FOUND, "cannot open");
    assert_named(&t, channi_cache_whole(cache, &t.base, &whole), ERR_IO, "cannot open");
    channi_cache_destroy(cache);
    target_end(&t);
}

/* ---- writing */

static void test_write_faults(void **state)
{
    static const struct {
        const char *call, *said;
        int error;
    } faults[] = { { "open", "create", EACCES },
                   { "write", "write", EIO },
                   { "write", "disk is full", ENOSPC },
                   { "write", "disk is full", EDQUOT },
                   { "fsync", "sync", EIO },
                   { "close", "close", EIO } };
    struct target t;

    target_begin(&t, WITH_GRAPH, 50);
    assert_int_equal(unlink(t.path), 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct fault_plan plan = { .call = faults[i].call, .at = 1, .error = faults[i].error };
        const struct file_fault fault = { .before = fault_before, .to = &plan };

        assert_named(
            &t,
            channi_cluster_block_write(&t.f.bench.env, &t.filed.contents, &t.block, true, &fault),
            ERR_IO, faults[i].said);
        assert_int_equal(access(t.path, F_OK), -1); /* no file is left */
        assert_named(&t, head_of(&t), ERR_NOT_FOUND, "cannot open");
    }
    assert_ok(channi_cluster_block_write(&t.f.bench.env, &t.filed.contents, &t.block, true, NULL),
              &t.f.bench.error);
    assert_ok(head_of(&t), &t.f.bench.error);
    target_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_flips),        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_random_heads), cmocka_unit_test(test_lies),
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_write_faults),
    };

    return test_run("channi_files", tests);
}
