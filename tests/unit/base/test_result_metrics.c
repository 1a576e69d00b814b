/* test_result_metrics.c - the list of metrics, its agreement with the schema, and
   how values are shown. */
#include <jansson.h>

#include "src/base/result_metrics.h"
#include "src/base/table.h"
#include "src/core/index.h"
#include "tests/support/testing.h"

static void test_names(void **state)
{
    static const struct {
        const char *name, *expected;
    } table[] = {
        { "seconds", "seconds" },
        { "recall@10", "recall@" },
        { "throughput_recall@1", "throughput_recall@" },
        { "parts.graph", "parts." },
        { "scanned@recall=0.95", "scanned" },
        { "qps@recall=0.9", "qps" },
        { "qps@recall=0.9/q#2", "qps" },
        { "recall@10/q", "recall@" },
        { "seconds/a@recall=/b", "seconds" },
        { "recall", "" },
        { "second", "" },
        { "secondss", "" },
        { "stats.recall_of_codes", "" },
        { "", "" },
    };
    char name[16], tag[16];

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_string_equal(result_metric(table[i].name)->name, table[i].expected);
    assert_true(result_metric_is_at_recall("qps@recall=0.9"));
    assert_false(result_metric_is_at_recall("recall@10"));
    assert_false(result_metric_is_at_recall("recall@10/a@recall=0.9"));
    result_metric_split("recall@10/a#2", name, sizeof name, tag, sizeof tag);
    assert_string_equal(name, "recall@10");
    assert_string_equal(tag, "a#2");
}

/* A statistic has no description, but its name says its unit. */
static void test_units_of_statistics(void **state)
{
    static const struct {
        const char *name;
        enum result_unit unit;
    } table[] = {
        { "stats.insert.p99_ns", UNIT_NS },
        { "stats.insert.p99_ns/live#1", UNIT_NS },
        { "stats.write_latency_ns.p99/beside", UNIT_NS },
        { "stats.maintenance.seconds/live", UNIT_SECONDS },
        { "stats.load_seconds", UNIT_SECONDS },
        { "stats.client_bytes/a", UNIT_BYTES },
        { "stats.splits/drift_ns", UNIT_NONE },
        { "insert.p99_ns", UNIT_NONE },
        { "stats.seconds_left", UNIT_NONE },
        { "stats.", UNIT_NONE },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(result_metric(table[i].name)->unit, table[i].unit);
    assert_string_equal(result_metric("stats.load_seconds")->name, "");
    assert_true(result_metric_is_timed("stats.insert.p99_ns/live"));
}

/* Each name and each column number of a table occurs once. */
static void test_the_list_says_nothing_twice(void **state)
{
    const struct result_metric *a, *b;

    for (size_t i = 0; (a = result_metric_at(i)); i++)
        for (size_t j = 0; j < i && (b = result_metric_at(j)); j++) {
            assert_string_not_equal(a->name, b->name);
            assert_false(a->queries &&
                         a->queries % RESULT_METRIC_SCREEN == b->queries % RESULT_METRIC_SCREEN);
            assert_false(a->updates &&
                         a->updates % RESULT_METRIC_SCREEN == b->updates % RESULT_METRIC_SCREEN);
        }
}

static const json_t *property(const json_t *of, const char *name)
{
    return json_object_get(json_object_get(of, "properties"), name);
}

/* Each metric that a step stores directly must be a number in the schema. */
static void test_the_schema_knows_every_metric(void **state)
{
    json_error_t why;
    json_t *schema = json_load_file("results/schema.json", 0, &why);
    const json_t *cell = json_object_get(property(schema, "cells"), "items");
    const json_t *step = json_object_get(property(cell, "steps"), "items");
    const struct result_metric *m;
    size_t found = 0;

    assert_non_null(step);
    for (size_t i = 0; (m = result_metric_at(i)); i++) {
        if (!m->field)
            continue;
        if (!property(m->object ? property(step, m->object) : step, m->field))
            fail_msg("results/schema.json: a step has no %s.%s, which metrics.def names",
                     m->object ? m->object : "", m->field);
        found++;
    }
    assert_true(found > 20);
    json_decref(schema);
}

/* memory_parts.def has every field of struct memory_use, and the schema has exactly these names. */
static void test_the_schema_knows_every_part_of_memory(void **state)
{
#define MEMORY_PART(name, resident) { #name, sizeof(((struct memory_use *)NULL)->name) },
    static const struct {
        const char *name;
        size_t bytes;
    } listed[] = {
#include "src/base/memory_parts.def"
    };
#undef MEMORY_PART
    json_error_t why;
    json_t *schema = json_load_file("results/schema.json", 0, &why);
    const json_t *cell = json_object_get(property(schema, "cells"), "items");
    const json_t *step = json_object_get(property(cell, "steps"), "items");
    const json_t *parts = property(property(step, "memory"), "parts");
    size_t bytes = 0;

    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
        if (!property(parts, listed[i].name))
            fail_msg("results/schema.json: memory.parts has no %s, which memory_parts.def names",
                     listed[i].name);
        bytes += listed[i].bytes;
    }
    assert_int_equal(bytes, sizeof(struct memory_use));
    assert_int_equal(json_object_size(json_object_get(parts, "properties")),
                     sizeof listed / sizeof *listed);
    assert_int_equal(json_array_size(json_object_get(parts, "required")),
                     sizeof listed / sizeof *listed);
    json_decref(schema);
}

static void test_numbers_are_readable(void **state)
{
    static const struct {
        double value;
        const char *number, *bytes, *seconds;
    } table[] = {
        { 0.98765, "0.9877", "0.99 B", "988 ms" },
        { 12, "12", "12.0 B", "12.0 s" },
        { 12345, "12.3k", "12.1 KiB", "12345 s" },
        { 1048576, "1.05M", "1.00 MiB", "1048576 s" },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[64];
        table_number(table[i].value, text, sizeof text);
        assert_string_equal(text, table[i].number);
        table_bytes(table[i].value, text, sizeof text);
        assert_string_equal(text, table[i].bytes);
        table_seconds(table[i].value, text, sizeof text);
        assert_string_equal(text, table[i].seconds);
    }
}

static void test_values_by_unit(void **state)
{
    static const struct {
        const char *metric;
        double value;
        const char *text;
    } table[] = {
        { "seconds", 0.5, "500 ms" },
        { "p50_ns", 1500, "1.50 us" },
        { "index_bytes", 2048, "2.00 KiB" },
        { "recall@10", 0.98765, "0.9877" },
        { "range_precision", 1, "1.0000" },
        { "qps", 12345, "12.3k" },
        { "scanned", NAN, "-" },
        { "unknown", 12, "12" },
    };
    char text[64];

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        result_metric_text(result_metric(table[i].metric), table[i].value, text, sizeof text);
        assert_string_equal(text, table[i].text);
    }
}

/* If memory for a cell runs out, a message replaces the table, as a table
   without it would mislead. */
static void test_a_table_without_memory(void **state)
{
    size_t failures = 0;
    bool again = true;

    for (size_t i = 1; again; i++) {
        struct mem mem = { .fail_at = i };
        struct table table;
        char shown[100] = "";
        FILE *out = fmemopen(shown, sizeof shown, "w");

        table_init(&table, 2);
        table.mem = &mem;
        for (int cell = 0; cell < 4; cell++)
            table_add(&table, "%d", cell);
        table_print(&table, out);
        fclose(out);
        again = mem.failed;
        assert_string_equal(shown,
                            again ? "out of memory: this table is not shown\n" : "0  1\n2  3\n");
        failures += again;
        table_free(&table);
        assert_int_equal(mem_live(&mem), 0);
    }
    assert_true(failures > 4);
}

int main(void)
{
    return test_run_all("result_metrics", test_names, test_units_of_statistics,
                        test_the_list_says_nothing_twice, test_the_schema_knows_every_metric,
                        test_the_schema_knows_every_part_of_memory, test_numbers_are_readable,
                        test_a_table_without_memory, test_values_by_unit);
}
