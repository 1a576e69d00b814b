/* test_files.c - cluster files: their names, and every kind of damage reported with its place. */
#include "tests/support/index_folder.h"
#include "tests/unit/channi/support.h"

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
        const struct channi_file_name name = channi_cluster_file_name(phash, version);
        uint64_t p, v;

        assert_int_equal(strlen(name.text), 37);
        assert_true(channi_cluster_file_parse(name.text, &p, &v) && p == phash && v == version);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t p, v;

        assert_false(channi_cluster_file_parse(wrong[i], &p, &v));
    }
}

/* ---- damage */

enum { ROWS = 61 };
enum kind { GRAPH, COLD }; /* with history and attributes; with codes and cold rows */

/* The file of an index of one cluster. */
struct target {
    struct book b;
    struct channi_base base;
    struct channi_cluster_head *head;
    unsigned char *bytes; /* begins with the head */
    char path[PATH_MAX];
};

static void target_begin(struct target *t, enum kind kind)
{
    struct channi_params p =
        book_defaults("target_cluster=100,split_max=0,merge_min=0,defer_fraction=1");
    int64_t attributes[ROWS];
    uint64_t ids[ROWS];
    size_t done;

    p.cluster_index = kind == GRAPH ? INSIDE_GRAPH : INSIDE_CODES;
    p.cold_rows = kind == COLD;
    p.history = kind == GRAPH ? 5 : 0;
    p.expected_n = ROWS;
    book_open(&t->b, p, INDEX_F32, 12, ROWS, 1);
    book_fill(&t->b, 0, ROWS, 3, .5);
    for (size_t i = 0; i < ROWS; i++) {
        ids[i] = i;
        attributes[i] = kind == GRAPH && i % 5 ? (int64_t)i : INDEX_ATTRIBUTE_NONE;
    }
    for (size_t i = 0, n = 10; i < ROWS; i += n, n = ROWS - i) /* two commits */
        assert_ok(channi_insert_with(t->b.index, book_vectors(&t->b, i, n), ids + i, attributes + i,
                                     &done),
                  &t->b.bench.error);
    const struct channi_base *base = layout_of(&t->b)->clusters[0]->base;
    t->base = *base;
    t->base.slot = NULL;
    assert_int_equal(channi_cluster_file_path(&t->b.bench.env, base->phash, base->version, t->path),
                     OK);
    const struct bytes file = bytes_read(t->path);
    assert_int_equal(file.n, base->file_bytes);
    t->bytes = aligned_alloc(CLUSTER_ALIGN, file.n);
    memcpy(t->bytes, file.at, file.n);
    t->head = (void *)t->bytes;
    free(file.at);
}

static void target_end(struct target *t)
{
    free(t->bytes);
    book_close(&t->b);
}

/* The error has one of the codes, and its message has the file's name and `part`. */
static void assert_named(struct target *t, int rc, int code, const char *part)
{
    struct error *err = &t->b.bench.error;
    const struct channi_file_name name = channi_base_name(&t->base);

    if (rc != code || err->code != code || !strstr(err->text, name.text) ||
        !strstr(err->text, part))
        fail_msg("%s: \"%s\" does not name %s and %s", error_name(rc), err->text, name.text, part);
    error_clear(err);
}

static int head_of(struct target *t)
{
    struct channi_base out = { 0 };

    return channi_cluster_file_head(&t->b.bench.env, t->base.phash, t->base.version, &out);
}

/* Opens the block's first n bytes. */
static int opened(struct target *t, size_t n, enum channi_image_check check)
{
    struct channi_image image;

    return channi_image_open(&image, &t->b.bench.env, &t->base, t->bytes, n, check);
}

/* A flipped bit of any byte, also of the zeros between sections: the head is named by every check,
   a section by that of the hot part or, for rows, of the whole file. */
static void test_flips(void **state)
{
    for (enum kind kind = GRAPH; kind <= COLD; kind++) {
        struct target t;
        unsigned section = 0, tried = 0;

        target_begin(&t, kind);
        const struct channi_cluster_head *h = t.head;
        for (size_t at = 0; at < t.base.file_bytes; at += at < 512 ? 1 : test_scale()) {
            const size_t n = at < t.base.hot_bytes ? t.base.hot_bytes : t.base.file_bytes;
            const bool head = at < CLUSTER_HEAD;
            const unsigned char flip = (unsigned char)(1 << at % 8);

            while (!head && at >= channi_cluster_section_end(h, section))
                section++;
            t.bytes[at] ^= flip;
            assert_named(&t, opened(&t, n, head ? at % 3 : IMAGE_HASH), ERR_CORRUPT,
                         head ? "head" : channi_cluster_section_name(section));
            if (head && (at < 400 || at % 64 == 0)) {
                bytes_write(t.path, t.bytes, t.base.file_bytes);
                assert_named(&t, head_of(&t), ERR_CORRUPT, "head");
            }
            t.bytes[at] ^= flip;
            tried |= head ? 0 : 1U << section;
        }
        for (unsigned i = 0; i < SECTIONS; i++)
            assert_true(tried >> i & 1 || h->sections[i].bytes == 0);
        assert_ok(opened(&t, t.base.hot_bytes, IMAGE_WHOLLY), &t.b.bench.error);
        target_end(&t);
    }
}

/* Random heads are refused, or read as the same content; for the address sanitizer. */
static void test_random_heads(void **state)
{
    struct target t;
    struct rng r = rng_at(test_seed(), 10);

    target_begin(&t, COLD);
    struct channi_cluster_head *h = t.head, right = *h;
    for (size_t i = 0; i < 20000 / test_scale(); i++) {
        unsigned char *bytes = (unsigned char *)h + rng_below(&r, 80 + 24 * SECTIONS);

        *bytes = (unsigned char)rng_below(&r, 256);
        h->hash = channi_cluster_hash(h, offsetof(struct channi_cluster_head, hash));
        (void)opened(&t, t.base.hot_bytes, i % 3);
        error_clear(&t.b.bench.error);
        *h = right;
    }
    target_end(&t);
}

/* Heads with wrong numbers and a right checksum. */
static void test_lies(void **state)
{
    struct target t;

    target_begin(&t, COLD);
    struct channi_cluster_head *h = t.head, right = *h;
#define LIE(change, code, part)                                                       \
    do {                                                                              \
        change;                                                                       \
        h->hash = channi_cluster_hash(h, offsetof(struct channi_cluster_head, hash)); \
        assert_named(&t, opened(&t, t.base.hot_bytes, IMAGE_WHOLLY), code, part);     \
        bytes_write(t.path, t.bytes, t.base.file_bytes);                              \
        const int rc = head_of(&t);                                                   \
        assert_true(rc == code || code == ERR_CORRUPT);                               \
        error_clear(&t.b.bench.error);                                                \
        *h = right;                                                                   \
    } while (0)
    LIE(h->format++, ERR_VERSION, "format 5");
    LIE(h->n_columns++, ERR_DIMENSION, "2 attributes a row, expected 1");
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
    LIE(h->sections[SECTION_SUMS].bytes = 0, ERR_CORRUPT, "head");
    LIE(h->sections[SECTION_ROWS].bytes = 0, ERR_CORRUPT, "head");
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
    struct channi_cluster_head *h = t->head;
    unsigned char *bytes = t->bytes + h->sections[section].at;

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

    target_begin(&t, GRAPH);
    const struct channi_cluster_head *h = t.head;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const enum channi_cluster_section section = cases[i].section;
        const size_t at = section == SECTION_GRAPH ? 128 : h->sections[section].bytes - 8;
        uint64_t kept;

        memcpy(&kept, t.bytes + h->sections[section].at + at, 8);
        set(&t, section, at, cases[i].value);
        assert_named(&t, opened(&t, t.base.hot_bytes, IMAGE_WHOLLY), ERR_CORRUPT, "");
        assert_ok(opened(&t, t.base.hot_bytes, IMAGE_HASH), &t.b.bench.error);
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

    target_begin(&t, GRAPH);
    const struct channi_cluster_head *h = t.head;
    assert_ok(channi_cache_create(&cache, &t.b.bench.env, &(struct channi_cache_options){ 0 }),
              &t.b.bench.error);
    assert_ok(channi_cache_join(cache, &t.base, NULL), &t.b.bench.error);
    for (unsigned i = 0; i <= 3 * SECTIONS + 1; i++) {
        const size_t at = h->sections[i / 3 % SECTIONS].at,
                     bytes = h->sections[i / 3 % SECTIONS].bytes;
        const size_t n = i == 3 * SECTIONS  ? 0
                         : i > 3 * SECTIONS ? CLUSTER_HEAD - 1
                         : i % 3 == 0       ? at
                         : i % 3 == 1       ? at + bytes / 2
                                            : at + bytes;

        bytes_write(t.path, t.bytes, n);
        assert_named(&t, head_of(&t), ERR_CORRUPT, n < CLUSTER_HEAD ? "head" : "bytes, expected");
        assert_named(&t, channi_cache_whole(cache, &t.base, &whole), ERR_CORRUPT, "ends at");
        assert_named(&t, opened(&t, n, IMAGE_HASH), ERR_CORRUPT, "head");
    }
    assert_int_equal(unlink(t.path), 0);
    channi_cache_leave(cache, &t.base); /* it was open */
    assert_ok(channi_cache_join(cache, &t.base, NULL), &t.b.bench.error);
    assert_named(&t, head_of(&t), ERR_NOT_FOUND, "cannot open");
    assert_named(&t, channi_cache_whole(cache, &t.base, &whole), ERR_IO, "cannot open");
    channi_cache_destroy(cache);
    target_end(&t);
}

int main(void)
{
    return test_run_all("channi_files", test_names, test_flips, test_random_heads, test_lies,
                        test_cut, test_wrong_numbers);
}
