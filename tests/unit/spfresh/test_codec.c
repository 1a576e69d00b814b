/* test_codec.c - postings of every kind: written, extended, read, damaged, saved. */
#include "tests/unit/spfresh/codec.h"

static void expect_members(struct codec_table *t, const void *bytes, size_t n)
{
    struct spfresh_members got;
    spfresh_members_init(&got, t->s);
    assert_true(spfresh_members_reserve(&got, n + 1));
    assert_ok(
        spfresh_codec_decode(t->s->codec, bytes, spfresh_codec_bytes(t->s->codec, n), n, &got),
        &t->bench.error);
    assert_int_equal(got.n, n);
    assert_int_equal(spfresh_codec_count(t->s->codec, bytes, spfresh_codec_bytes(t->s->codec, n)),
                     n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got.slots[i], t->m.slots[i]);
        assert_int_equal(got.versions[i], t->m.versions[i]);
    }
    if (n && !spfresh_has_row_file(t->s))
        assert_memory_equal(got.rows, t->m.rows, n * t->row_bytes);
    spfresh_members_free(&got);
}

/* An extended posting equals one that is written at once, byte for byte. */
static void expect_extended(struct codec_table *t, const void *head, const unsigned char *whole,
                            size_t n)
{
    struct spfresh_codec *c = t->s->codec;
    const size_t size = rng_below(&t->rng, n + 1);
    const size_t kept = spfresh_codec_kept(c, size), tail = spfresh_codec_bytes(c, size) - kept;
    unsigned char *before = aligned_bytes(spfresh_codec_bytes(c, size)),
                  *out = aligned_bytes(spfresh_codec_bytes(c, n) - kept);
    const struct spfresh_members first = members_from(t, 0, size),
                                 others = members_from(t, size, n - size);
    float error = 0, of_whole = 0;
    assert_ok(spfresh_codec_extend(c, head, 0, NULL, &first, before, &error), &t->bench.error);
    assert_memory_equal(before, whole, kept);
    assert_ok(
        spfresh_codec_extend(c, head, size, tail ? before + kept : NULL, &others, out, &error),
        &t->bench.error);
    assert_memory_equal(out, whole + kept, spfresh_codec_bytes(c, n) - kept);
    unsigned char *again = aligned_bytes(spfresh_codec_bytes(c, n));
    assert_ok(spfresh_codec_extend(c, head, 0, NULL, &t->m, again, &of_whole), &t->bench.error);
    assert_memory_equal(again, whole, spfresh_codec_bytes(c, n));
    assert_true(error == of_whole);
    free(again);
    free(before);
    free(out);
}

static void test_round_trip(void **state)
{
    static const size_t dims[] = { 1, 2, 7, 31, 64, 128, 130 };
    for (size_t k = 0; k < KINDS; k++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            const enum element element = (k + d) % 2 ? INDEX_F32 : INDEX_U8;
            struct codec_table t;
            float error = 0;
            table_begin(&t, &kinds[k], element, dims[d], 1.9, k + d);
            struct spfresh_codec *c = t.s->codec;
            for (size_t n = 0; n <= SIZE_MOST; n += n < 70 ? 1 + n % 7 : 11) {
                unsigned char *bytes = aligned_bytes(spfresh_codec_bytes(c, n));
                draw_members(&t, n);
                assert_ok(spfresh_codec_extend(c, row_of(&t, 3), 0, NULL, &t.m, bytes, &error),
                          &t.bench.error);
                expect_members(&t, bytes, n);
                expect_extended(&t, row_of(&t, 3), bytes, n);
                free(bytes);
            }
            assert_true(spfresh_codec_entries(c, 3) >= 2);
            if (spfresh_codec_bytes(c, QUANTIZER_BLOCK) <= POSTING_PAGE * 3)
                assert_true(spfresh_codec_bytes(c, spfresh_codec_entries(c, 3)) <=
                            POSTING_PAGE * 3);
            table_end(&t);
        }
}

/* Bytes that cannot be a posting: cut, too long, an entry without a slot, one entry too many. */
static void test_damage(void **state)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct codec_table t;
        float error = 0;
        table_begin(&t, &kinds[k], INDEX_U8, 40, 1.9, 20 + k);
        struct spfresh_codec *c = t.s->codec;
        const size_t n = 150, n_bytes = spfresh_codec_bytes(c, n);
        unsigned char *bytes = aligned_bytes(n_bytes);
        draw_members(&t, n);
        assert_ok(spfresh_codec_extend(c, row_of(&t, 3), 0, NULL, &t.m, bytes, &error),
                  &t.bench.error);
        struct spfresh_members got;
        spfresh_members_init(&got, t.s);
        assert_true(spfresh_members_reserve(&got, n + 64));
        assert_code(spfresh_codec_decode(c, bytes, n_bytes - 1, n, &got), ERR_CORRUPT,
                    &t.bench.error);
        assert_code(spfresh_codec_decode(c, bytes, n_bytes, n + 64, &got), ERR_CORRUPT,
                    &t.bench.error);
        /* A page budget may cut anywhere. */
        for (size_t cut = 0; cut <= n_bytes; cut += 61)
            assert_true(spfresh_codec_count(c, bytes, cut) <= n);
        if (kinds[k].postings != CODEC_RAW) {
            assert_code(spfresh_codec_decode(c, bytes, n_bytes, n - 1, &got), ERR_CORRUPT,
                        &t.bench.error);
            assert_code(spfresh_codec_decode(c, bytes, n_bytes, n + 1, &got), ERR_CORRUPT,
                        &t.bench.error);
            for (size_t at = 5; at < n; at += 70) {
                const size_t group = n_bytes / 3;
                const size_t versions = 64u * (t.s->params.version_bits ? 2 : 1);
                unsigned char *slot =
                    bytes + at / 64 * group + group - versions - 256 + at % 64 * 4;
                uint32_t was;
                memcpy(&was, slot, 4);
                assert_int_equal(was, t.m.slots[at]);
                memset(slot, 0xff, 4);
                got.n = 0;
                assert_code(spfresh_codec_decode(c, bytes, n_bytes, n, &got), ERR_CORRUPT,
                            &t.bench.error);
                memcpy(slot, &was, 4);
            }
        }
        spfresh_members_free(&got);
        free(bytes);
        table_end(&t);
    }
}

int main(void)
{
    return test_run_all("spfresh codec", test_round_trip, test_damage);
}
