/* test_store_failures.c - saving and loading without memory. */
#include "tests/unit/asteria/saved.h"

/* Each allocation fails in turn, in saving and in loading. */
static void test_no_memory(void **state)
{
    static struct small s;
    char dirs[2][PATH_MAX];
    int rc = ERR_NO_MEMORY;

    begin_saved(&s, &kinds[2], HALFWAY, dirs);
    for (size_t i = 1; rc != OK; i++) {
        s.bench.mem.fail_at = atomic_load(&s.bench.mem.calls) + i;
        rc = asteria_ops.save(&s.a->base, dirs[1]);
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &s.bench.error);
    }
    s.bench.mem.fail_at = 0;
    small_expect(&s, "saved");
    small_close(&s);
    rc = ERR_NO_MEMORY;
    for (size_t i = 1; rc != OK; i++) {
        s.bench.mem.fail_at = atomic_load(&s.bench.mem.calls) + i;
        rc = small_load(&s, dirs[1]);
        if (rc == OK)
            break;
        assert_code(rc, ERR_NO_MEMORY, &s.bench.error);
        assert_int_equal(mem_live(&s.bench.mem), 0);
    }
    s.bench.mem.fail_at = 0;
    small_expect(&s, "loaded");
    end_saved(&s, dirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria_store_failures", tests);
}
