/* test_identity.c - the key of a cell: it covers every field of an operation, every file of a
 * config, the program and its libraries; a difference is reported. */
#include "tests/support/config_desk.h"

#include <sys/stat.h>

#include "kernels/kernels.h"
#include "src/cli/methods.h"
#include "src/data/files/sha256.h"
#include "src/plan/plan.h"
#include "tests/support/tiny_workload.h"

/* ---- every field of struct op */

struct op_parts { /* data that the fields of an operation point to */
    char text[8];
    uint64_t words[MIX_KINDS]; /* the longest array: one item, or one for each kind of a mix */
    struct view *view;
};

/* All numbers are 1, so that arrays but op.shares have one item. */
static struct op op_of(struct op_parts *p)
{
    struct op op;
    memset(&op, 0, sizeof op);
#define SET_NUMBER(type, name)       op.name = (type)1;
#define SET_REAL(name)               op.name = 1;
#define SET_TEXT(name)               op.name = p->text;
#define SET_VIEW(name)               op.name = p->view;
#define SET_ARRAY(type, name, count) op.name = (type *)(void *)p->words;
    OP_FIELDS(SET_NUMBER, SET_REAL, SET_TEXT, SET_VIEW, SET_ARRAY)
    return op;
}

/* Of every field but the line and its file, which say where the operation stands, not what it is. */
static void expect_other_digest(const struct op *op, const char *before, const char *field)
{
    char after[65];
    plan_op_digest(op, after);
    assert_int_equal(strlen(after), 64);
    if ((strcmp(before, after) == 0) != (!strcmp(field, "line") || !strcmp(field, "file")))
        fail_msg("another op.%s has %s digest", field,
                 strcmp(before, after) == 0 ? "the same" : "another");
}

/* The list that declares the struct also gives the change of each field here. */
static void every_field_of_an_operation_counts(void **state)
{
    struct rng r = rng_at(test_seed(), 1);
    struct source *rows = workload_source(&r, INDEX_F32, 20, 4, 0);
    struct op_parts parts = { "a", { 3, 4 }, view_range(rows, INDEX_L2SQ, 0, 10) };
    struct op_parts others = { "b", { 9, 4 }, view_range(rows, INDEX_L2SQ, 1, 10) };
    const struct op plain = op_of(&parts), other = op_of(&others);
    struct op op;
    size_t fields = 0;
    char before[65];
    plan_op_digest(&plain, before);
#define TRY(field, value)                     \
    op = plain;                               \
    op.field = value;                         \
    expect_other_digest(&op, before, #field); \
    fields++;
#define TRY_NUMBER(type, name)       TRY(name, (type)0)
#define TRY_REAL(name)               TRY(name, 2)
#define TRY_POINTED(name)            TRY(name, other.name) TRY(name, NULL)
#define TRY_ARRAY(type, name, count) TRY_POINTED(name)
    OP_FIELDS(TRY_NUMBER, TRY_REAL, TRY_POINTED, TRY_POINTED, TRY_ARRAY)
    assert_true(fields > 30);
    view_drop(parts.view);
    view_drop(others.view);
    source_close(rows);
}

/* ---- configs */

#define CONFIG                                                                                 \
    "local lib = require 'shared'\n"                                                           \
    "local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }\n"                       \
    "experiment { methods = { method { 'flat' }, method { 'divf' } }, workload = function(w) " \
    "w:runbook { 'book.yaml', data } w:search { file { 'rows.csv', time = 'times.csv' }"       \
    ":sort_by 'time', k = 1 } end }"
#define BOOK(rows) \
    "set:\n  max_pts: 300\n  1:\n    operation: insert\n    start: 0\n    end: " rows "\n"

/* With one file the hash is the hash of that file; with several it changes with each of them,
   whatever the file is used for. */
static void every_file_of_a_config_counts(void **state)
{
    static const struct {
        const char *name, *text;
    } changes[] = { { "test.lua", CONFIG " " },
                    { "lib/shared.lua", "return 2\n" },
                    { "book.yaml", BOOK("100") "# a comment\n" },
                    { "times.csv", "3\n2\n1\n" } };
    struct desk *d = *state;
    char alone[65], hashes[5][65];
    desk_make_dir(d, "lib");
    desk_write(d, "lib/shared.lua", "return 1\n");
    desk_write(d, "book.yaml", BOOK("100"));
    desk_write(d, "rows.csv", "4,1,1,1,1,1,1,1\n2,2,2,2,2,2,2,2\n3,3,3,3,3,3,3,3\n");
    desk_write(d, "times.csv", "1\n2\n3\n");
    desk_write(d, "test.lua", CONFIG);
    for (size_t i = 0; i < 5; i++) {
        if (i)
            desk_write(d, changes[i - 1].name, changes[i - 1].text);
        desk_plans(d, NULL);
        assert_int_equal(json_array_size(d->experiment->config_files), 4);
        memcpy(hashes[i], d->experiment->config_sha256, 65);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(hashes[i], hashes[j]);
    }
    desk_write(d, "test.lua",
               "experiment { methods = { method { 'flat' } }, workload = function(w) w:insert { "
               "synthetic { kind = 'gaussian', rows = 9, dim = 2 } } end }");
    desk_plans(d, NULL);
    assert_ok(sha256_file(d->path, alone, NULL, &d->error), &d->error);
    assert_string_equal(d->experiment->config_sha256, alone);
}

/* ---- the program, its libraries and its environment */

static struct identity toy_identity(void)
{
    return (struct identity){
        json_pack("{s:s, s:n, s:{s:s, s:s}, s:s, s:s, s:{s:s}}", "program_sha256", "p1",
                  "plugin_sha256", "libraries", "liba.so", "a1", "libb.so", "b1", "kernels",
                  "avx512", "cpu", "c1", "tunables", "OMP_DYNAMIC", "false"),
        json_pack("{s:s}", "divf", "x1"),
    };
}

static const struct cell *cell_of(const struct desk *d, const char *method)
{
    for (size_t i = 0; i < d->plan.n; i++)
        if (strcmp(d->plan.cells[i].method->name, method) == 0)
            return &d->plan.cells[i];
    fail_msg("no cell of %s", method);
    return NULL;
}

/* A cell's file as result_store_cell() writes it. */
static json_t *stored_of(const struct cell *c)
{
    return json_pack("{s:s, s:O, s:O, s:[{s:I}]}", "key", c->key, "key_parts", c->key_parts,
                     "identity", c->identity, "cells", "seed", (json_int_t)c->seed);
}

static void expect_difference(struct desk *d, const struct identity *now, const char *method,
                              const char *expected)
{
    struct identity before = toy_identity();
    char text[400];
    assert_ok(plan_identify(&d->plan, d->experiment, &before, &d->error), &d->error);
    json_t *stored = stored_of(cell_of(d, method));
    assert_ok(plan_identify(&d->plan, d->experiment, now, &d->error), &d->error);
    plan_key_difference(cell_of(d, method), stored, text, sizeof text);
    assert_string_equal(text, expected);
    json_decref(stored);
    identity_close(&before);
}

static void what_differs_is_said(void **state)
{
    static const char config[] =
        "local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }\n"
        "experiment { methods = { method { 'flat' }, method { 'divf' } }, "
        "workload = function(w) w:insert { data } end }";
    struct desk *d = *state;
    desk_write(d, "test.lua", config);
    desk_plans(d, NULL);
    struct identity now = toy_identity();
    expect_difference(d, &now, "flat", "");
    expect_difference(d, &now, "divf", "");
    json_object_set_new(now.plugins, "divf", json_string("x2"));
    expect_difference(d, &now, "flat", ""); /* not a plugin's method */
    expect_difference(d, &now, "divf", "plugin rebuilt");
    json_object_set_new(now.program, "program_sha256", json_string("p2"));
    expect_difference(d, &now, "divf", "program rebuilt, plugin rebuilt");
    identity_close(&now);

    now = toy_identity();
    json_object_set_new(now.program, "kernels", json_string("scalar"));
    json_t *libraries = json_object_get(now.program, "libraries");
    json_object_set_new(libraries, "liba.so", json_string("a2"));
    json_object_del(libraries, "libb.so");
    expect_difference(d, &now, "flat", "liba.so, libb.so (gone), kernels avx512 -> scalar");
    identity_close(&now);

    now = toy_identity();
    json_object_del(json_object_get(now.program, "tunables"), "OMP_DYNAMIC");
    json_object_set_new(json_object_get(now.program, "tunables"), "MALLOC_ARENA_MAX",
                        json_string("1"));
    expect_difference(d, &now, "flat",
                      "OMP_DYNAMIC \"false\" -> not set, MALLOC_ARENA_MAX not set -> \"1\"");
    identity_close(&now);
}

/* A stored cell of another config: the differing part of the measurement is named. */
static void what_is_measured_differs(void **state)
{
    static const char config[] =
        "local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }\n"
        "experiment { methods = { method { 'divf' } }, workload = function(w) w:insert { "
        "data:rows(1, "
        "option('n', 200, 'rows')) } end }";
    struct identity id = toy_identity();
    struct desk *d = *state;
    char text[400];
    desk_write(d, "test.lua", config);
    desk_plans(d, NULL);
    assert_ok(plan_identify(&d->plan, d->experiment, &id, &d->error), &d->error);
    json_t *stored = stored_of(&d->plan.cells[0]);
    static const struct {
        const char *key, *value, *expected;
    } cases[] = {
        { "n", "100", "workload" },
        { "divf.clusters", "9", "method" },
        { "seed", "2", "seed 1 -> 2" },
        { "warmup", "false", "settings" },
        { "threads", "2", "threads 1 -> 2" },
        { "memory_limit", "4000000", "memory_limit_bytes 0 -> 4000000" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct override set = { (char *)(uintptr_t)cases[i].key, (char *)(uintptr_t)cases[i].value,
                                false };
        d->options.sets = &set;
        d->options.n_sets = 1;
        desk_plans(d, NULL);
        assert_ok(plan_identify(&d->plan, d->experiment, &id, &d->error), &d->error);
        plan_key_difference(&d->plan.cells[0], stored, text, sizeof text);
        assert_string_equal(text, cases[i].expected);
        plan_key_difference(&d->plan.cells[0], stored, text, 6); /* cut to the buffer */
        assert_int_equal(strlen(text), 5);
    }
    json_object_del(stored, "identity");
    plan_key_difference(&d->plan.cells[0], stored, text, sizeof text);
    assert_string_equal(text, "stored without saying by what program");
    json_decref(stored);
    identity_close(&id);
}

/* The test program itself: its hash, its libraries, and the environment variables that are set. */
static void a_program_knows_itself(void **state)
{
    struct registry r;
    struct identity id;
    struct error err = { 0 };
    char own[SHA256_HEX_BYTES], file[SHA256_HEX_BYTES];
    assert_ok(methods_open(&r, &err), &err);
    assert_int_equal(setenv("OMP_FROM_A_TEST", "7", 1), 0);
    assert_int_equal(setenv("OMPI_IS_ANOTHER", "7", 1), 0);
    assert_ok(identity_open(&id, &r, kernels_select(ISA_SCALAR), &err), &err);
    assert_ok(identity_hash_loaded("/proc/self/exe", own, &err), &err);
    assert_ok(sha256_file("/proc/self/exe", file, NULL, &err), &err);
    assert_string_not_equal(own, file); /* its sections are read */
    const json_t *tunables = json_object_get(id.program, "tunables");
    assert_string_equal(json_string_value(json_object_get(id.program, "program_sha256")), own);
    assert_string_equal(json_string_value(json_object_get(id.program, "kernels")), "scalar");
    assert_string_equal(json_string_value(json_object_get(tunables, "OMP_FROM_A_TEST")), "7");
    assert_null(json_object_get(tunables, "OMPI_IS_ANOTHER"));
    assert_non_null(json_object_get(tunables, "openblas_core"));
    size_t found = 0;
    const char *name;
    json_t *hash;
    json_object_foreach(json_object_get(id.program, "libraries"), name, hash) {
        const char *hex = json_string_value(hash);
        found += strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libcmocka.so", 12) == 0;
        assert_true(strlen(hex) >= 16); /* a build ID, mostly of 40 digits, or a SHA-256 */
        assert_int_equal(strspn(hex, "0123456789abcdef"), strlen(hex));
    }
    assert_int_equal(found, 2);
    identity_close(&id);
    registry_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_an_operation_counts),
        AT_A_DESK(every_file_of_a_config_counts),
        AT_A_DESK(what_differs_is_said),
        AT_A_DESK(what_is_measured_differs),
        cmocka_unit_test(a_program_knows_itself),
    };
    return test_run("identity", tests);
}
