/* test_param.c - option tables: defaults, values of each type, and the message of each refusal. */
#include "tests/support/testing.h"

#include "src/core/param.h"

struct options {
    int64_t lists;
    double share;
    bool fast;
    int64_t storage;
    char path[PARAM_TEXT_BYTES];
};

static const struct param table[] = {
    PARAM_INT(struct options, lists, 16, 1, 1000, "how many lists"),
    PARAM_REAL(struct options, share, 0.25, 0, 1, "of rows"),
    PARAM_BOOL(struct options, fast, true, "or slow"),
    PARAM_CHOICE(struct options, storage, 1, "ram|mmap|disk", "where"),
    PARAM_TEXT(struct options, path, "here", "a place"),
    PARAM_END,
};

static struct param_value number(double x)
{
    return (struct param_value){ .kind = VALUE_NUMBER, .number = x };
}

static struct param_value text(const char *t)
{
    return (struct param_value){ .kind = VALUE_TEXT, .text = t };
}

static struct param_value boolean(bool b)
{
    return (struct param_value){ .kind = VALUE_BOOL, .boolean = b };
}

static void test_defaults(void **state)
{
    struct options o;
    memset(&o, 0xff, sizeof o);
    param_defaults(table, &o);
    assert_int_equal(o.lists, 16);
    assert_true(o.share == 0.25 && o.fast);
    assert_int_equal(o.storage, 1);
    assert_string_equal(o.path, "here");
    assert_int_equal(param_count(table), 5);
    assert_int_equal(param_count(NULL), 0);
    param_defaults(NULL, NULL);
    assert_ptr_equal(param_find(table, "fast"), &table[2]);
    assert_null(param_find(table, "fas"));
    assert_null(param_find(NULL, "fast"));
}

struct setting {
    const char *name;
    struct param_value value;
    const char *error; /* NULL: accepted */
};

/* A value that is refused leaves the options as they were. */
static void try_set(size_t i, const struct setting *t)
{
    struct options o, before;
    struct error e = { 0 };
    param_defaults(table, &o);
    before = o;
    const int rc = param_set(table, &o, t->name, t->value, "method \"m\"", &e);
    if (!t->error) {
        if (rc != OK)
            fail_msg("row %zu: %s", i, e.text);
        return;
    }
    if (rc != ERR_CONFIG || e.code != rc || !strstr(e.text, t->error) ||
        !strstr(e.text, "method \"m\""))
        fail_msg("row %zu: expected \"%s\", got %s \"%s\"", i, t->error, error_name(rc), e.text);
    assert_memory_equal(&o, &before, sizeof o);
}

static void test_set(void **state)
{
    char longest[400];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    const struct setting rows[] = {
        { "lists", number(1), NULL },
        { "lists", number(1000), NULL },
        { "lists", text(" 12 "), NULL },
        { "lists", text("1e2"), NULL },
        { "lists", number(0), "\"lists\" must be 1 .. 1000, not 0" },
        { "lists", number(1001), "not 1001" },
        { "lists", number(1e300), "must be 1 .. 1000" },
        { "lists", number(2.5), "a whole number, not 2.5" },
        { "lists", number((double)NAN), "a whole number" },
        { "lists", number((double)INFINITY), "must be 1 .. 1000" },
        { "lists", text("many"), "a whole number, not \"many\"" },
        { "lists", text(""), "a whole number" },
        { "lists", text("3x"), "a whole number" },
        { "lists", boolean(true), "a whole number, not true" },
        { "share", number(0.5), NULL },
        { "share", text("0.125"), NULL },
        { "share", number(-0.1), "must be 0 .. 1" },
        { "share", number((double)NAN), "a number" },
        { "share", boolean(false), "a number, not false" },
        { "fast", boolean(false), NULL },
        { "fast", text("no"), NULL },
        { "fast", text("maybe"), "true or false, not \"maybe\"" },
        { "fast", number(1), "true or false, not 1" },
        { "storage", text("disk"), NULL },
        { "storage", text("mmpa"), "did you mean \"mmap\"?" },
        { "storage", text("tape"), "one of \"ram\", \"mmap\", \"disk\", not \"tape\"" },
        { "storage", number(1), "one of \"ram\", \"mmap\", \"disk\", not 1" },
        { "path", text("there"), NULL },
        { "path", text(""), NULL },
        { "path", text(longest), "is 399 bytes long; at most 255 fit" },
        { "path", number(3), "a string, not 3" },
        { "listss", number(3),
          "method \"m\" has no parameter \"listss\"; did you mean \"lists\"?" },
        { "unheard", number(3), "it has: lists, share, fast, storage, path" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        try_set(i, &rows[i]);
}

/* Each option is read back as it was set, and no other field changed. */
static void test_get(void **state)
{
    struct options o;
    struct error e = { 0 };
    char scratch[PARAM_TEXT_BYTES];
    param_defaults(table, &o);
    assert_ok(param_set(table, &o, "lists", number(77), "m", &e), &e);
    assert_ok(param_set(table, &o, "share", number(0.5), "m", &e), &e);
    assert_ok(param_set(table, &o, "fast", boolean(false), "m", &e), &e);
    assert_ok(param_set(table, &o, "storage", text("disk"), "m", &e), &e);
    assert_ok(param_set(table, &o, "path", text("there"), "m", &e), &e);
    assert_true(param_get(&table[0], &o, scratch).number == 77);
    assert_true(param_get(&table[1], &o, scratch).number == 0.5);
    const struct param_value fast = param_get(&table[2], &o, scratch);
    assert_true(fast.kind == VALUE_BOOL && !fast.boolean);
    assert_string_equal(param_get(&table[3], &o, scratch).text, "disk");
    assert_string_equal(param_get(&table[4], &o, scratch).text, "there");
    assert_int_equal(o.storage, 2);
}

static void test_describe(void **state)
{
    static const char *const expected[] = {
        "lists  int  16  1 .. 1000  how many lists",
        "share  real  0.25  0 .. 1  of rows",
        "fast  bool  true  true, false  or slow",
        "storage  choice  mmap  ram|mmap|disk  where",
        "path  text  \"here\"  at most 255 bytes  a place",
    };
    char line[200];
    for (size_t i = 0; i < 5; i++) {
        param_describe(&table[i], line, sizeof line);
        assert_string_equal(line, expected[i]);
    }
    static const struct param published =
        PARAM_INT(struct options, lists, 16, 1, 1000, "how many lists", .paper = "32");
    param_describe(&published, line, sizeof line);
    assert_string_equal(line, "lists  int  16  1 .. 1000  how many lists; the paper: 32");
    param_describe(&table[0], line, 8);
    assert_string_equal(line, "lists  ");
    struct param live = table[2];
    live.live = true;
    param_describe(&live, line, sizeof line);
    assert_string_equal(line, "fast  bool  true  true, false  or slow (live)");
}

/* Option names of an earlier release set the present field; no listing shows them. */
static void test_old_names(void **state)
{
    static const struct param renamed[] = {
        PARAM_INT(struct options, lists, 16, 1, 1000, "how many", .old_name = "parts"),
        PARAM_CHOICE(struct options, storage, 0, "ram|mmap|disk", "where", .old_name = "place",
                     .old_choices = "memory=ram|file=disk"),
        PARAM_END,
    };
    struct options o;
    struct error e = { 0 };
    char line[200];
    param_defaults(renamed, &o);
    assert_int_equal(param_count(renamed), 2);
    assert_ptr_equal(param_find(renamed, "parts"), &renamed[0]);
    assert_ok(param_set(renamed, &o, "parts", number(5), "m", &e), &e);
    assert_ok(param_set(renamed, &o, "place", text("file"), "m", &e), &e);
    assert_true(o.lists == 5 && o.storage == 2);
    assert_ok(param_set(renamed, &o, "storage", text("memory"), "m", &e), &e);
    assert_int_equal(o.storage, 0);
    assert_ok(param_set(renamed, &o, "storage", text("mmap"), "m", &e), &e);
    assert_int_equal(o.storage, 1);
    assert_int_equal(param_set(renamed, &o, "parts", number(0), "m", &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "\"lists\" must be 1 .. 1000"));
    error_clear(&e);
    assert_int_equal(param_set(renamed, &o, "storage", text("memory=ram"), "m", &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "one of \"ram\", \"mmap\", \"disk\", not"));
    error_clear(&e);
    assert_int_equal(param_set(renamed, &o, "part", number(1), "m", &e), ERR_CONFIG);
    assert_null(strstr(e.text, "parts"));
    param_describe(&renamed[0], line, sizeof line);
    assert_string_equal(line, "lists  int  16  1 .. 1000  how many");
}

/* Options that are gone say what to do, and no other name is taken for one of them. */
static void test_gone(void **state)
{
    static const struct param shorter[] = {
        PARAM_INT(struct options, lists, 16, 1, 1000, "how many"),
        PARAM_END_GONE("parts=take it out: 4 was best|place=set storage"),
    };
    static const char *const others[] = { "part", "partss", "4", "place=set", "" };
    struct options o;
    struct error e = { 0 };
    char text_of[PARAM_TEXT_BYTES];
    param_defaults(shorter, &o);
    assert_int_equal(param_count(shorter), 1);
    assert_null(param_find(shorter, "parts"));
    assert_int_equal(param_set(shorter, &o, "parts", number(5), "method \"m\"", &e), ERR_CONFIG);
    assert_string_equal(e.text, "method \"m\" no longer has \"parts\": take it out: 4 was best");
    assert_true(param_gone(shorter, "place", text_of));
    assert_string_equal(text_of, "set storage");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(param_gone(shorter, others[i], text_of));
    assert_false(param_gone(table, "parts", text_of) || param_gone(NULL, "parts", text_of));
}

/* Values that a damaged file may hold but param_set() would have refused. */
static void test_possible(void **state)
{
    struct options o;
    param_defaults(table, &o);
    assert_true(param_possible(table, &o));
    assert_true(param_possible(NULL, NULL));
    const struct options good = o;
    o.lists = 0;
    assert_false(param_possible(table, &o));
    o = good;
    o.share = NAN;
    assert_false(param_possible(table, &o));
    o = good;
    o.storage = 3;
    assert_false(param_possible(table, &o));
    o.storage = -1;
    assert_false(param_possible(table, &o));
    o = good;
    memset(&o.fast, 2, sizeof o.fast);
    assert_false(param_possible(table, &o));
    o = good;
    memset(o.path, 'x', sizeof o.path);
    assert_false(param_possible(table, &o));
}

int main(void)
{
    return test_run_all("core_param", test_defaults, test_set, test_get, test_describe,
                        test_old_names, test_gone, test_possible);
}
