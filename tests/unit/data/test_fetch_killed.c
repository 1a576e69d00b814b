/* test_fetch_killed.c - a fetch after one that failed. The failed fetch is killed at one of its file
 * operations, or finds the disk full from that operation on. The next fetch must get the rows. */
#include "tests/unit/data/fetch_world.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fault_disk.h"

/* A cache that no test used before. */
static void take_new_cache(struct world *w, size_t i)
{
    (void)snprintf(w->cache, sizeof w->cache, "%s/cache-%zu", w->scratch.dir, i);
    assert_int_equal(mkdir(w->cache, 0700), 0);
}

/* The exit status of a process that fetches on a disk of the plan: 0, 1 for an error with a text,
   DISK_KILLED. */
static int fetch_on(struct world *w, const struct disk_plan *plan)
{
    int status = -1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct source *s = NULL;
        disk_begin(w->cache, plan);
        const int rc = fetch_part(&w->entry, "base", &w->env, &s, &w->err);
        _exit(rc ? (w->err.text[0] ? 1 : 2) : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void killed_at_every_step(void **state)
{
    struct world *w = *state;
    size_t steps = 0;
    int status;
    move_to_recipe(w);
    do {
        take_new_cache(w, steps++);
        status = fetch_on(w, &(struct disk_plan){ .seed = 1, .end_at = steps, .killed = true });
        assert_true(status == 0 || status == DISK_KILLED);
        expect_tiny(w);
    } while (status == DISK_KILLED);
    assert_true(steps >
                10); /* the record, the rows and their meta file: opened, written, renamed */
}

static void full_from_every_step(void **state)
{
    struct world *w = *state;
    size_t steps = 0, failed = 0;
    int status;
    move_to_recipe(w);
    for (int without_fault = 0; without_fault < 3; without_fault = status ? 0 : without_fault + 1) {
        take_new_cache(w, 1000 + steps++);
        status =
            fetch_on(w, &(struct disk_plan){ .seed = 1, .full_from = steps, .full_calls = 1000 });
        assert_in_range(status, 0, 1);
        failed += (size_t)status;
        expect_tiny(w);
    }
    assert_true(failed > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(killed_at_every_step),
        IN_A_WORLD(full_from_every_step),
    };
    return test_run("fetch_killed", tests);
}
