/* test_method_options.c - the options of all methods use one vocabulary, and names and choices of
 * earlier releases are still read. The paper's values are other values than the defaults. */
#include <stdlib.h>
#include <string.h>

#include "src/cli/methods.h"
#include "tests/support/testing.h"

/* Retired names of options, and the names that replace them. */
static const char *const retired[][2] = {
    { "probes", "nprobe" },         { "durability", "wal" },     { "journal", "wal" },
    { "in_M", "degree" },           { "upkeep", "maintenance" }, { "hot_mb", "cache_mb" },
    { "patience", "early_stop_*" }, { "idle", "early_stop_*" },
};

static struct param_value text(const char *value)
{
    return (struct param_value){ .kind = VALUE_TEXT, .text = value };
}

static void hold_to_vocabulary(const char *method, const struct param *row)
{
    for (size_t i = 0; i < sizeof retired / sizeof *retired; i++)
        if (!strcmp(row->name, retired[i][0]))
            fail_msg("%s: option \"%s\" is called \"%s\" elsewhere", method, retired[i][0],
                     retired[i][1]);
}

/* Each old choice sets the same value as its present name. */
static void read_old_choices(const char *method, const struct param *table, const struct param *row,
                             void *out)
{
    const char *at = row->old_choices;

    while (at && *at) {
        struct error e = { 0 };
        char old[64], new[64], scratch[PARAM_TEXT_BYTES];
        int used = 0;
        if (sscanf(at, "%63[^=]=%63[^|]%n", old, new, &used) != 2)
            fail_msg("%s: %s: old_choices \"%s\" is not old=new", method, row->name, at);
        assert_ok(param_set(table, out, row->name, text(old), method, &e), &e);
        assert_string_equal(param_get(row, out, scratch).text, new);
        at += used + (at[used] == '|');
    }
}

static void read_old_name(const char *method, const struct param *table, const struct param *row)
{
    if (!row->old_name)
        return;
    for (const struct param *other = table; other->name; other++)
        if (!strcmp(other->name, row->old_name))
            fail_msg("%s: \"%s\" is an option and an old name", method, row->old_name);
    assert_ptr_equal(param_find(table, row->old_name), row);
}

static void read_paper(const char *method, const struct param *table, const struct param *row,
                       void *out)
{
    struct error e = { 0 };
    char before[PARAM_TEXT_BYTES], after[PARAM_TEXT_BYTES];
    if (!row->paper)
        return;
    param_defaults(table, out);
    const struct param_value normal = param_get(row, out, before);
    assert_ok(param_set(table, out, row->name, text(row->paper), method, &e), &e);
    const struct param_value paper = param_get(row, out, after);
    if (normal.kind == VALUE_TEXT ? !strcmp(normal.text, paper.text)
        : normal.kind == VALUE_BOOL
            ? normal.boolean == paper.boolean
            : !(normal.number < paper.number || normal.number > paper.number))
        fail_msg("%s: %s: the default is the paper's value", method, row->name);
}

static void check_table(const char *method, const struct param *table, size_t bytes)
{
    if (!table)
        return;
    void *out = calloc(1, bytes);
    assert_non_null(out);
    param_defaults(table, out);
    for (const struct param *row = table; row->name; row++) {
        hold_to_vocabulary(method, row);
        read_old_name(method, table, row);
        read_old_choices(method, table, row, out);
        read_paper(method, table, row, out);
    }
    free(out);
}

static void test_all_methods(void **state)
{
    struct registry registry = { 0 };
    struct error e = { 0 };
    assert_ok(methods_open(&registry, &e), &e);
    for (size_t i = 0; i < registry.n; i++) {
        const struct index_ops *ops = registry.ops[i];
        check_table(ops->name, ops->params, ops->params_bytes);
        check_table(ops->name, ops->knobs, ops->knobs_bytes);
    }
    registry_close(&registry);
}

int main(void)
{
    return test_run_all("method_options", test_all_methods);
}
