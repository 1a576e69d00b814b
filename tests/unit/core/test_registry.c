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
    assert_int_equal(index_ops_check(NULL, &e), ERR_VERSION);
    registry_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_built_in),
                                        cmocka_unit_test(test_plugins),
                                        cmocka_unit_test(test_tables) };
    return test_run("core_registry", tests);
}
