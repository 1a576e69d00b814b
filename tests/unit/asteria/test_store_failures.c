/* test_store_failures.c - a failed save leaves the old file, a failed load leaves nothing. */
#include "tests/unit/asteria/saved.h"

/* Each system call fails in turn: this is reported, and the old file stays valid. */
static void test_failing_writes(void **state)
{
    (void)state;
    static struct small s, t;
    atomic_size_t calls = 0;
    struct injected_faults m;
    char dirs[2][PATH_MAX], third[PATH_MAX];
    size_t failures = 0, done;

    begin_saved(&s, &kinds[3], WORN, dirs);
    test_dir_make_in_memory(third);
    small_begin(&t, kinds[3].element, &s.params, third);
    memcpy(t.stored, s.stored, sizeof s.stored);
    assert_ok(asteria_save(&s.a->base, dirs[1]), &s.bench.error);
    for (size_t i = 0; i < 9; i++)
        if (s.stored[30 * i])
            assert_ok(small_apply(&s, false, 30 * i, 1, &done), &s.bench.error);
    faults_begin(&m, &calls);
    s.a->durable.fault = &m.fault;
    int rc = ERR_IO;
    for (m.fail_at = 1; rc != OK; m.fail_at++) {
        atomic_store(&calls, 0);
        rc = asteria_save(&s.a->base, dirs[1]);
        if (rc == OK)
            break;
        failures++;
        const bool placed = strcmp(m.failed, "fsync-dir") == 0;
        assert_code(rc, ERR_IO, &s.bench.error);
        assert_ok(small_load(&t, dirs[1], NULL), &t.bench.error);
        if (placed)
            memcpy(t.stored, s.stored, sizeof s.stored);
        small_expect(&t, m.failed);
        small_close(&t);
    }
    assert_true(failures > 5);
    s.a->durable.fault = NULL;
    small_expect(&s, "saved at last");
    small_end(&t);
    end_saved(&s, dirs);
    test_dir_remove(third);
}

/* Each allocation fails in turn, in saving and in loading. */
static void test_no_memory(void **state)
{
    (void)state;
    static struct small s;
    char dirs[2][PATH_MAX];
    int rc = ERR_NO_MEMORY;

    begin_saved(&s, &kinds[2], HALFWAY, dirs);
    for (size_t i = 1; rc != OK; i++) {
        s.bench.mem.fail_at = atomic_load(&s.bench.mem.calls) + i;
        rc = asteria_save(&s.a->base, dirs[1]);
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &s.bench.error);
    }
    s.bench.mem.fail_at = 0;
    small_expect(&s, "saved");
    small_close(&s);
    rc = ERR_NO_MEMORY;
    for (size_t i = 1; rc != OK; i++) {
        s.bench.mem.fail_at = atomic_load(&s.bench.mem.calls) + i;
        rc = small_load(&s, dirs[1], NULL);
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
        cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria_store_failures", tests);
}
