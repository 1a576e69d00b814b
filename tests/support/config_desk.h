/* config_desk.h - a config in a temporary folder: written, loaded with the toy methods, planned. */
#ifndef DRIFTLINE_TESTS_SUPPORT_CONFIG_DESK_H
#define DRIFTLINE_TESTS_SUPPORT_CONFIG_DESK_H

#include "tests/support/testing.h"

#include <sys/stat.h>

#include "src/config/experiment.h"
#include "src/plan/plan.h"
#include "tests/support/toy_methods.h"

struct desk {
    char dir[PATH_MAX], path[PATH_MAX + 16]; /* path: of test.lua there */
    struct registry registry;
    struct run_options options; /* limits of the config, which desk_open() makes small and a
                                   test may change */
    struct override sets[4];    /* options.n_sets of them count */
    struct experiment *experiment;
    struct plan plan;
    struct error error;
    char said[200]; /* the last line of print() */
};

static inline int desk_keep_line(void *to, const char *line)
{
    struct desk *d = to;
    (void)snprintf(d->said, sizeof d->said, "%s", line);
    return 0;
}

static inline void desk_open(struct desk *d)
{
    memset(d, 0, sizeof *d);
    test_dir_make(d->dir);
    (void)snprintf(d->path, sizeof d->path, "%s/test.lua", d->dir);
    d->registry = toy_registry();
    d->options = (struct run_options){ .root = d->dir,
                                       .cache = d->dir,
                                       .offline = true,
                                       .no_install = true,
                                       .script_instructions = 20000000,
                                       .script_bytes = 16 << 20,
                                       .sets = d->sets,
                                       .say = desk_keep_line,
                                       .say_to = d };
}

/* A file in the folder; its name may have a folder that is there. */
static inline void desk_write_bytes(const struct desk *d, const char *name, const void *bytes,
                                    size_t n)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", d->dir, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static inline void desk_write(const struct desk *d, const char *name, const char *text)
{
    desk_write_bytes(d, name, text, strlen(text));
}

static inline void desk_make_dir(const struct desk *d, const char *name)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", d->dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static inline void desk_clear(struct desk *d)
{
    plan_free(&d->plan);
    experiment_free(d->experiment);
    d->experiment = NULL;
    error_clear(&d->error);
}

/* Loads test.lua, which is `text` from now on; NULL: as it is. */
static inline int desk_load(struct desk *d, const char *text)
{
    desk_clear(d);
    if (text)
        desk_write(d, "test.lua", text);
    return experiment_load(&d->experiment, d->path, &d->options, &d->registry, &d->error);
}

static inline int desk_plan(struct desk *d, const char *text)
{
    const int rc = desk_load(d, text);
    return rc ? rc : plan_make(&d->plan, d->experiment, &d->options, &d->error);
}

static inline void desk_close(struct desk *d)
{
    desk_clear(d);
    test_dir_remove(d->dir);
}

/* A test whose state is an open desk. */
#define AT_A_DESK(test) cmocka_unit_test_setup_teardown(test, desk_set_up, desk_tear_down)

static inline int desk_set_up(void **state)
{
    desk_open(*state = malloc(sizeof(struct desk)));
    return 0;
}

static inline int desk_tear_down(void **state)
{
    desk_close(*state);
    free(*state);
    return 0;
}

#define desk_loads(d, text) assert_ok(desk_load(d, text), &(d)->error)
#define desk_plans(d, text) assert_ok(desk_plan(d, text), &(d)->error)

/* The config is refused, loaded or planned, with this in the message. */
static inline void desk_refuses(struct desk *d, const char *text, const char *expected)
{
    if (desk_plan(d, text) == OK || !strstr(d->error.text, expected))
        fail_msg("%s: expected \"%s\", not \"%s\"", text, expected, d->error.text);
}

static inline const struct op *desk_op(const struct desk *d, size_t i)
{
    assert_true(i < d->experiment->ops->n);
    return &d->experiment->ops->ops[i];
}

#endif
