/* test_quote.c - quoting of strings for each output language: tables of cases, and properties that
   hold for any bytes. */
#include "src/base/quote.h"
#include "tests/support/testing.h"

static char *written(void (*quote)(FILE *, const char *), const char *text)
{
    char *out = NULL;
    size_t bytes;
    FILE *f = open_memstream(&out, &bytes);

    assert_non_null(f);
    quote(f, text);
    fclose(f);
    return out;
}

struct row {
    const char *text, *expected;
};

static void expect_rows(void (*quote)(FILE *, const char *), const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *out = written(quote, rows[i].text);
        assert_string_equal(out, rows[i].expected);
        free(out);
    }
}

#define EXPECT(quote, ...)                                    \
    do {                                                      \
        static const struct row rows[] = { __VA_ARGS__ };     \
        expect_rows(quote, rows, sizeof rows / sizeof *rows); \
    } while (0)

static void test_gnuplot(void **state)
{
    EXPECT(quote_gnuplot, { "", "\"\"" }, { "divf[nprobe=4], 1.5", "\"divf[nprobe=4], 1.5\"" },
           { "`id`", "\"\\0140id\\0140\"" }, { "a\"'\\", "\"a\\0042\\0047\\0134\"" },
           { "@m$%#{", "\"\\0100m\\0044\\0045\\0043\\0173\"" }, { "a\nb\x7f", "\"a b \"" },
           { "\xc3\xa9"
             "1",
             "\"\\0303\\02511\"" });
}

static void test_html(void **state)
{
    EXPECT(quote_html,
           { "<b a=\"x\" c='y'>&amp;", "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;" },
           { "a\n\tb\x1b\xc2\x9b"
             "c",
             "a\n\tb  c" },
           { "\xc3\xa9", "\xc3\xa9" });
}

static void test_csv(void **state)
{
    EXPECT(quote_csv, { "plain text", "plain text" }, { "a,b", "\"a,b\"" },
           { "say \"x\"", "\"say \"\"x\"\"\"" }, { "a\nb\r,c", "\"a b ,c\"" });
}

static void test_terminal(void **state)
{
    EXPECT(quote_terminal, { "\x1b]0;x\x07 two\nlines\t.", " ]0;x  two\nlines\t." },
           { "\xc2\x9b"
             "31m \xe2\x82\xac",
             " 31m \xe2\x82\xac" });
}

/* Bytes that are not UTF-8 and characters that XML cannot hold; the last of each row is valid. */
static void test_bytes_that_are_no_text(void **state)
{
    EXPECT(quote_terminal, { "\x80\xbf", "??" }, { "\xc0\xaf", "??" }, { "\xe0\x80\xaf", "???" },
           { "\xed\xa0\x80", "???" }, { "\xef\xbf\xbe", "???" }, { "\xef\xbf\xbd", "\xef\xbf\xbd" },
           { "\xf4\x90\x80\x80", "????" }, { "\xf8\x90\x80\x80", "????" }, { "\xe2\x82", "??" },
           { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" });
}

static void test_json(void **state)
{
    static const struct row rows[] = { { "a\"\n\x1b\x7f", "a\"\n  " },
                                       { "\xff\xc3\xa9", "?\xc3\xa9" },
                                       { "", "" } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *json = quote_json(rows[i].text);
        assert_non_null(json);
        assert_string_equal(json_string_value(json), rows[i].expected);
        json_decref(json);
    }
}

static void expect_only(const char *out, const char *allowed, const char *text)
{
    if (out[strspn(out, allowed)])
        fail_msg("of \"%s\" came %s", text, out);
}

/* Any bytes give one gnuplot literal, no markup, one line of CSV and a JSON string. */
static void test_any_bytes(void **state)
{
    static const char gnuplot[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  " .,:;=+-_()[]/<>*\\";
    struct rng r = rng_at(test_seed(), 1);

    for (int round = 0; round < 20000; round++) {
        char text[40];
        const size_t n = rng_below(&r, sizeof text);

        for (size_t i = 0; i < n; i++)
            text[i] = (char)(1 + rng_below(&r, rng_below(&r, 2) ? 255 : 127));
        text[n] = '\0';
        char *out = written(quote_gnuplot, text);
        assert_true(strlen(out) >= 2 && out[0] == '"' && out[strlen(out) - 1] == '"');
        out[strlen(out) - 1] = '\0';
        expect_only(out + 1, gnuplot, text);
        for (const char *at = out; (at = strchr(at, '\\')); at += 5)
            assert_true(at[1] == '0' && strspn(at + 1, "01234567") >= 4);
        free(out);
        out = written(quote_html, text);
        assert_null(strpbrk(out, "<>\"'"));
        free(out);
        out = written(quote_csv, text);
        assert_null(strpbrk(out, "\r\n"));
        free(out);
        json_t *json = quote_json(text);
        assert_non_null(json);
        json_decref(json);
    }
}

int main(void)
{
    return test_run_all("quote", test_gnuplot, test_html, test_csv, test_terminal,
                        test_bytes_that_are_no_text, test_json, test_any_bytes);
}
