/* test_registry.c - the list of methods, tables that are refused,
   suggestions for misspelt names. */
#include "tests/support/testing.h"

#include "src/cli/methods.h"
#include "src/core/checked.h"
#include "src/core/registry.h"

static void test_built_in(void **state)
{
    struct registry r;
    struct error e = { 0 };
    assert_ok(methods_open(&r, &e), &e);
    assert_true(r.n >= 3);
    assert_string_equal(r.ops[0]->name, "flat");
    for (size_t i = 0; i < r.n; i++)
        assert_ptr_equal(registry_find(&r, r.ops[i]->name, &e), r.ops[i]);
    assert_null(registry_find(&r, "skeletn", &e));
    assert_code(e.code, ERR_NOT_FOUND, NULL);
    assert_non_null(strstr(e.text, "did you mean \"skeleton\"?"));
    error_clear(&e);
    assert_null(registry_find(&r, "nothing like it", &e));
    assert_non_null(strstr(e.text, "list methods"));
    registry_close(&r);
    registry_close(&r);
}

/* The path of a file in the folder of the tests' programs. */
static void test_beside(char path[PATH_MAX], const char *file)
{
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 100);
    assert_true(n > 0);
    path[n] = '\0';
    strcpy(strrchr(path, '/') + 1, file);
}

static void test_plugins(void **state)
{
    struct registry r;
    struct error e = { 0 };
    char dir[PATH_MAX], path[PATH_MAX];
    assert_ok(methods_open(&r, &e), &e);
    const size_t n = r.n;
    assert_code(registry_load_plugin(&r, "/no/such/file.so", &e), ERR_NOT_FOUND, &e);
    test_dir_make(dir);
    (void)snprintf(path, sizeof path, "%.4000s/not-elf.so", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("this is not a shared object\n", f);
    fclose(f);
    assert_code(registry_load_plugin(&r, path, &e), ERR_NOT_FOUND, &e);
    /* A shared object that is not a plugin. */
    assert_code(registry_load_plugin(&r, "libm.so.6", &e), ERR_NOT_FOUND, &e);
    test_beside(path, "plugins/same_name.so");
    assert_int_equal(registry_load_plugin(&r, path, &e), ERR_VERSION);
    if (!strstr(e.text, "\"skeleton_ops\"") || !strstr(e.text, "-Wl,-Bsymbolic"))
        fail_msg("\"%s\" does not name the symbol, and what to do", e.text);
    error_clear(&e);
    test_beside(path, "plugins/empty.so"); /* it has functions of many names, but static ones */
    assert_ok(registry_load_plugin(&r, path, &e), &e);
    assert_int_equal(r.n, n + 1);
    r.n--;
    assert_int_equal(r.n, n);
    registry_close(&r);
    test_dir_remove(dir);
}

static void test_tables(void **state)
{
    struct registry r;
    struct error e = { 0 };
    assert_ok(methods_open(&r, &e), &e);
    const struct index_ops good = *r.ops[0];
    static const struct index_space none[] = { INDEX_SPACES_END };
    static const struct param options[] = { { .name = "x" }, PARAM_END };
    assert_ok(index_ops_check(&good, &e), &e);
#define REFUSED(change, word)                                               \
    do {                                                                    \
        struct index_ops bad = good;                                        \
        bad.change;                                                         \
        assert_int_equal(index_ops_check(&bad, &e), ERR_VERSION);           \
        if (!strstr(e.text, word))                                          \
            fail_msg("%s: \"%s\" does not name %s", #change, e.text, word); \
        error_clear(&e);                                                    \
    } while (0)
    REFUSED(abi = INDEX_ABI + 1, "this program (Driftline ");
    REFUSED(name = NULL, "name");
    REFUSED(name = "", "name");
    REFUSED(summary = NULL, "summary");
    REFUSED(source = NULL, "source");
    REFUSED(spaces = NULL, "spaces");
    REFUSED(spaces = none, "spaces");
    REFUSED(create = NULL, "create");
    REFUSED(destroy = NULL, "destroy");
    REFUSED(insert = NULL, "insert");
    REFUSED(search = NULL, "search");
    REFUSED(params_bytes = 0, "params_bytes");
    REFUSED(knobs = options, "knobs_bytes");
    REFUSED(flags |= INDEX_NEEDS_TRAIN, "train");
    REFUSED(name = "a b", "letters");
    REFUSED(name = "../x", "letters");
    REFUSED(name = "a\033[31m", "letters");
    REFUSED(name = "a-name-of-thirty-two-charactersx", "letters");
    static const struct index_space unknown[] = { { (enum element)9, INDEX_L2SQ },
                                                  INDEX_SPACES_END };
    REFUSED(spaces = unknown, "element 9");
    REFUSED(params_bytes = (size_t)1 << 50, "params_bytes");
    assert_int_equal(index_ops_check(NULL, &e), ERR_VERSION);
    registry_close(&r);
}

/* Each row would make param_defaults() or `describe` read or write what is not theirs. */
static void test_option_tables(void **state)
{
    struct fields {
        int64_t whole;
        char text[PARAM_TEXT_BYTES];
        bool last;
    };
    static const struct {
        struct param row;
        const char *word; /* NULL: it is right */
    } cases[] = {
        { PARAM_INT(struct fields, whole, 1, 1, 2, "help"), NULL },
        { PARAM_TEXT(struct fields, text, NULL, "help"), NULL },
        { PARAM_BOOL(struct fields, last, true, "help"), NULL },
        { PARAM_CHOICE(struct fields, whole, 1, "a|b", "help"), NULL },
        { PARAM_CHOICE(struct fields, whole, 2, "a|b", "help"), "choices" },
        { PARAM_CHOICE(struct fields, whole, 0, NULL, "help"), "choices" },
        { PARAM_CHOICE(struct fields, whole, -1, "a|b", "help"), "choices" },
        { PARAM_INT(struct fields, whole, 3, 1, 2, "help"), "out of its range" },
        { PARAM_REAL(struct fields, whole, NAN, 1, 2, "help"), "out of its range" },
        { PARAM_INT(struct fields, whole, 1, 1, 2, NULL), "help" },
        { { .name = "x", .type = (enum param_type)9, .help = "help" }, "type" },
        { { .name = "x", .offset = sizeof(struct fields) - 4, .help = "help" }, "field" },
        { { .name = "x", .offset = SIZE_MAX - 3, .help = "help" }, "field" },
        { { .name = "x", .type = PARAM_TYPE_TEXT, .offset = 17, .help = "help" }, "field" },
        { { .name = "", .help = "help" }, "name" },
        { { .name = "before", .help = "help" }, "same name" },
        /* After a table without its end comes a struct index_ops. Its first field is no address. */
        { { .name = (const char *)(uintptr_t)INDEX_ABI, .help = "help" }, "PARAM_END" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct param table[] = { PARAM_INT(struct fields, whole, 0, 0, 1, "h"), cases[i].row,
                                       PARAM_END };
        struct param named[3];
        struct error e = { 0 };
        memcpy(named, table, sizeof table);
        named[0].name = "before";
        const int rc = param_check(named, sizeof(struct fields), "method \"x\"", &e);
        assert_int_equal(rc, cases[i].word ? ERR_VERSION : OK);
        if (cases[i].word && !strstr(e.text, cases[i].word))
            fail_msg("case %zu: \"%s\" does not name %s", i, e.text, cases[i].word);
        error_clear(&e);
    }
}

static int create_nothing(struct index **index, const struct index_env *env, const void *params)
{
    (void)env;
    (void)params;
    *index = NULL;
    return OK;
}

static int create_without_env(struct index **index, const struct index_env *env, const void *params)
{
    static struct index empty;

    *index = &empty;
    return OK;
}

static void test_no_index(void **state)
{
    struct test_bench bench;
    struct checked c;
    struct registry r;
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, 4, 1);
    assert_ok(methods_open(&r, &bench.error), &bench.error);
    struct index_ops ops = *registry_find(&r, "skeleton", &bench.error);
    ops.create = create_nothing;
    assert_code(index_open(&c, &ops, &bench.env, NULL), ERR_INVARIANT, &bench.error);
    assert_null(c.index);
    index_close(&c);
    ops.create = create_without_env;
    assert_int_equal(index_open(&c, &ops, &bench.env, NULL), ERR_INVARIANT);
    assert_non_null(strstr(bench.error.text, ".env = *env"));
    assert_null(c.index);
    index_close(&c);
    registry_close(&r);
    test_bench_end(&bench);
}

int main(void)
{
    return test_run_all("core_registry", test_built_in, test_plugins, test_tables,
                        test_option_tables, test_no_index);
}
