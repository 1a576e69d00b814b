/* test_simulate.c - costs by rows, throughput and latency of made-up costs, the fit, and what is
 * read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/simulate/simulate.h"
#include "tests/support/results.h"

static const struct simulate_machine one_core = { 1, INFINITY, 0, INFINITY, NAN },
                                     two_cores = { 2, INFINITY, 0, INFINITY, NAN },
                                     many_cores = { 64, INFINITY, 0, INFINITY, NAN };

/* Searches in proportion to the rows, all queries alike. */
static struct simulate_cost cost(double rows, double batch_s, double single_s, double recall)
{
    struct simulate_cost c = { rows, batch_s, single_s, recall, 100 + 8 * rows, NAN, { 0 } };
    for (size_t i = 0; i < SIMULATE_SHAPE; i++)
        c.shape[i] = 1;
    return c;
}

static struct simulate_cost linear[2];

static struct simulate_method linear_method(const char *of)
{
    linear[0] = cost(1000, 1e-6, 2e-6, .9);
    linear[1] = cost(100000, 1e-4, 2e-4, .9);
    return (struct simulate_method){ .of = of, .name = of, .curve = { linear, 2 } };
}

static void assert_near(double value, double expected)
{
    assert_float_equal(value, expected, 1e-6 * fabs(expected) + 1e-15);
}

/* ---- costs by rows */

static void test_curve(void **state)
{
    struct simulate_cost at[] = { cost(100, 1e-6, 1e-5, .99), cost(400, 2e-6, 8e-5, .96),
                                  cost(1600, 32e-6, 8e-5, .96) };
    const struct simulate_curve c = { at, 3 };
    assert_near(simulate_batch_s(&c, 100), 1e-6);
    assert_near(simulate_batch_s(&c, 200), sqrt(2) * 1e-6);
    assert_near(simulate_batch_s(&c, 400), 2e-6);
    assert_near(simulate_batch_s(&c, 800), 8e-6);
    /* Beyond: the slope is 1/2 below, and 2 above, which becomes 1. */
    assert_near(simulate_batch_s(&c, 25), .5e-6);
    assert_near(simulate_batch_s(&c, 16000), 32e-5);
    assert_near(simulate_single_s(&c, 1e6), 8e-5);
    assert_near(simulate_recall(&c, 200), .98);
    assert_near(simulate_recall(&c, 1600), .96);
    assert_true(simulate_is_extrapolated(&c, 50) && simulate_is_extrapolated(&c, 3200));
    assert_false(simulate_is_extrapolated(&c, 99) || simulate_is_extrapolated(&c, 1601));
}

static void test_exact_recall(void **state)
{
    struct simulate_cost at[] = { cost(100, 1e-6, 1e-5, .98), cost(400, 2e-6, 8e-5, 1) };
    const struct simulate_curve c = { at, 2 };
    assert_near(simulate_recall(&c, 200), .99);
    assert_near(simulate_recall(&c, 1e9), 1);
    assert_near(simulate_recall(&c, 1), .98);
}

/* ---- throughput */

static double query_s(const struct simulate_method *m, const struct simulate_costs *c,
                      const struct simulate_machine *machine, double shards, double ranks,
                      double asked)
{
    const struct simulate_question q = { m, c, *machine, shards, ranks, 80000, asked, 1 };
    return simulate_batch_time_s(&q);
}

static void test_batches(void **state)
{
    struct simulate_method m = linear_method("scan");
    const struct simulate_costs none = { 0 }, sharing = { .sharing = .25 },
                                merging = { .merge_s = 1e-6 },
                                handoff = { .message_s = 1e-5, .handoff_s = 1e-3 };
    assert_near(query_s(&m, &none, &two_cores, 1, 1, 1), 8e-5);
    assert_near(query_s(&m, &none, &two_cores, 4, 1, 1), 8e-5);
    assert_near(query_s(&m, &none, &two_cores, 2, 2, 1), 4e-5);
    assert_near(query_s(&m, &none, &two_cores, 8, 8, 1), 4e-5); /* no more cores than two */
    assert_near(query_s(&m, &none, &many_cores, 8, 8, 1), 1e-5);
    assert_near(query_s(&m, &none, &many_cores, 8, 8, .5), .5e-5);
    assert_near(query_s(&m, &none, &many_cores, 3, 2, 1), 2 * 8e-5 / 3); /* one has two of three */
    assert_near(query_s(&m, &sharing, &two_cores, 2, 2, 1), 4e-5);
    assert_near(query_s(&m, &sharing, &two_cores, 8, 8, 1), 4e-5 * 1.5);
    assert_near(query_s(&m, &handoff, &two_cores, 2, 2, 1), 4e-5 + 1e-5);
    assert_near(query_s(&m, &handoff, &two_cores, 8, 8, 1), 4e-5 + 1e-5 + 6e-3);
    assert_near(query_s(&m, &merging, &two_cores, 1, 1, 1), 8e-5 + 1e-6);
    assert_near(query_s(&m, &merging, &many_cores, 8, 8, 1), 1e-5 + 8e-6); /* rank 0 merges all */
}

static void test_machines(void **state)
{
    struct simulate_method m = linear_method("scan");
    const struct simulate_costs none = { 0 };
    struct simulate_machine four = { 2, 4, 1e-3, INFINITY, NAN };
    assert_near(query_s(&m, &none, &four, 4, 4, 1), 4e-5);
    assert_near(query_s(&m, &none, &four, 8, 8, 1), 2e-5 + 1e-3); /* on two machines */
    m.asked_bytes = 1000;
    four.bytes_per_s = 1e7; /* the four ranks of the other machine */
    assert_near(query_s(&m, &none, &four, 8, 8, 1), 4000 / 1e7 + 1e-3);
    assert_near(query_s(&m, &none, &four, 8, 8, .5), 2000 / 1e7 + 1e-3);
}

/* A shard that fits a cache is not faster on a core with eight of them than their rows together. */
static void test_shared_caches(void **state)
{
    struct simulate_cost at[] = { cost(10000, 1e-6, 1e-6, 1), cost(80000, 8e-5, 8e-5, 1) };
    const struct simulate_method m = { .of = "", .curve = { at, 2 } };
    const struct simulate_costs none = { 0 };
    assert_near(query_s(&m, &none, &one_core, 8, 8, 1), 8e-5);
    assert_near(query_s(&m, &none, &many_cores, 8, 8, 1), 1e-6);
}

static void test_memory(void **state)
{
    struct simulate_method m = linear_method("scan");
    const struct simulate_costs none = { 0 };
    const struct simulate_machine four = { 2, 4, 0, INFINITY, 4 * 8 * 5000 - 1 };
    struct simulate_question q = { &m, &none, four, 8, 8, 40000, 1, 1 };
    linear[0].bytes = linear[1].bytes = 8 * 100000; /* 1000 rows in an index with space for all */
    struct simulate_answer a = simulate_predict(&q);
    assert_near(a.memory_bytes, 4 * 8 * 5000); /* of four of the eight shards */
    assert_true(a.is_too_large);
    q.machine.memory_bytes = a.memory_bytes;
    assert_false(simulate_predict(&q).is_too_large);
    linear[1].bytes = NAN;
    a = simulate_predict(&q);
    assert_true(isnan(a.memory_bytes) && !a.is_too_large);
}

/* ---- latency */

static void latency(const struct simulate_method *m, const struct simulate_costs *c,
                    const struct simulate_machine *machine, double ranks, double *p50, double *p99)
{
    const struct simulate_question q = { m, c, *machine, ranks, ranks, 80000, 1, 1 };
    simulate_latency(&q, p50, p99);
}

static void test_latency_of_equal_times(void **state)
{
    struct simulate_method m = linear_method("scan");
    const struct simulate_costs c = { .message_s = 1e-5, .turn_s = 3e-6 };
    struct simulate_machine apart = { 1, 1, 1e-3, INFINITY, NAN };
    double p50, p99;
    latency(&m, &c, &two_cores, 1, &p50, &p99);
    assert_near(p50, 16e-5);
    assert_near(p99, 16e-5);
    latency(&m, &c, &two_cores, 2, &p50, &p99);
    assert_near(p50, 8e-5 + 1e-5);
    /* Rank 0 keeps a core, so the three others are on the other one. */
    latency(&m, &c, &two_cores, 4, &p50, &p99);
    assert_near(p50, 3 * (4e-5 + 1e-5 + 3e-6));
    latency(&m, &c, &many_cores, 8, &p50, &p99);
    assert_near(p50, 2e-5 + 7 * .5e-5); /* rank 0 sends and receives one after another */
    latency(&m, &c, &apart, 2, &p50, &p99);
    assert_near(p50, 8e-5 + 1e-5 + 1e-3);
}

/* Of n uniform times in 0 .. 2 medians the median of the largest is 2 / 2^(1/n) (David and
   Nagaraja, Order Statistics, 2003, 2.1). */
static void test_slowest_of_many(void **state)
{
    struct simulate_method m = linear_method("scan");
    const struct simulate_costs none = { 0 };
    for (size_t i = 0; i < SIMULATE_SHAPE; i++)
        linear[0].shape[i] = linear[1].shape[i] = 2 * ((double)i + .5) / SIMULATE_SHAPE;
    assert_near(simulate_shape(&m.curve, 1000, .5), 1);
    for (double n = 1; n <= 64; n *= 4) {
        double p50, p99;
        latency(&m, &none, &many_cores, n, &p50, &p99);
        const double shard = 16e-5 / n;
        assert_float_equal(p50 / shard, 2 / pow(2, 1 / n), .05);
        assert_float_equal(p99 / shard, 2 * pow(.99, 1 / n), .05);
    }
}

/* ---- the fit */

enum { RANKS = 4, BATCHES = 3 };

static struct simulate_run run_of(size_t method, double ranks, double batch)
{
    return (struct simulate_run){ .label = "s",
                                  .tag = "t",
                                  .method = method,
                                  .shards = ranks,
                                  .ranks = ranks,
                                  .rows = 80000,
                                  .batch = batch,
                                  .asked = 1,
                                  .repeats = 1,
                                  .p50_s = 1e-4,
                                  .p99_s = 1e-4,
                                  .recall = .9,
                                  .round_trip_s = ranks > 1 ? 1e-5 + 3e-6 * (ranks - 2) / 2 : NAN };
}

/* Runs of two methods whose throughput follows from the costs; valid until the next call. */
static struct simulate made_up(const struct simulate_costs costs[2])
{
    static struct simulate_method methods[2];
    static struct simulate_run runs[2 * RANKS * BATCHES];
    struct simulate s = { methods, runs, 2, 0, 2, NAN, 0 };
    methods[0] = linear_method("a");
    methods[1] = linear_method("b");
    for (size_t m = 0; m < 2; m++)
        for (double ranks = 1; ranks <= 8; ranks *= 2)
            for (double batch = 100; batch <= 10000; batch *= 10) {
                struct simulate_run *r = &runs[s.n_runs++];
                *r = run_of(m, ranks, batch);
                const struct simulate_question q = { &methods[m], &costs[m], two_cores, ranks,
                                                     ranks,       r->rows,   1,         batch };
                r->qps = r->qps_low = r->qps_high = batch / simulate_batch_time_s(&q);
            }
    return s;
}

static void test_fit(void **state)
{
    const struct simulate_costs costs[2] = {
        { .message_s = 1e-5, .merge_s = 3e-7, .sharing = .3, .handoff_s = 2e-3 },
        { .message_s = 1e-5, .merge_s = 3e-7, .sharing = .1, .handoff_s = 0 },
    };
    struct simulate s = made_up(costs);
    struct simulate_costs c = simulate_costs_of(&s, "b"); /* by the runs of a */
    assert_int_equal(c.fitted, 2 * BATCHES);
    assert_float_equal(c.message_s, 1e-5, 1e-9);
    assert_float_equal(c.turn_s, 3e-6, 1e-9);
    assert_float_equal(c.merge_s, 3e-7, 1e-10);
    assert_float_equal(c.sharing, .3, 1e-6);
    assert_float_equal(c.handoff_s, 2e-3, 1e-8);
    c = simulate_costs_of(&s, "a");
    assert_float_equal(c.sharing, .1, 1e-6);
    assert_float_equal(c.handoff_s, 0, 1e-8);
    /* No run is compared with costs that were fitted to it: those of b do not foresee a. */
    assert_true(fabs(simulate_run_answer(&s, &s.runs[9]).qps / s.runs[9].qps - 1) > .1);
    assert_near(simulate_run_answer(&s, &s.runs[3]).qps, s.runs[3].qps);
}

static void test_no_fit(void **state)
{
    const struct simulate_costs costs[2] = { { .sharing = .3 }, { .sharing = .3 } };
    struct simulate s = made_up(costs);
    s.n_runs /= 2; /* one method */
    const struct simulate_costs c = simulate_costs_of(&s, "a");
    assert_int_equal(c.fitted, 0);
    assert_true(c.sharing > 0 && c.handoff_s > 0);
    s.cores = 8; /* no rank is beyond the cores */
    assert_int_equal(simulate_costs_of(&s, NULL).fitted, 0);
}

/* A run that is faster than the cores allow is no negative cost. */
static void test_fit_is_not_negative(void **state)
{
    const struct simulate_costs costs[2] = { { .sharing = -.2, .handoff_s = 2e-3 },
                                             { .sharing = .2, .handoff_s = -2e-3 } };
    struct simulate s = made_up(costs);
    for (int i = 0; i < 2; i++) {
        const struct simulate_costs c = simulate_costs_of(&s, i ? "a" : "b");
        assert_true(c.sharing >= 0 && c.handoff_s >= 0);
    }
}

/* ---- reading */

static json_t *search(double rows, double qps, double asked)
{
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:{s:f, s:f}, s:[[i,i],[i,i]], s:{s:f}, s:f, "
                     "s:{s:i}}",
                     "op", "search", "tag", "t", "status", "ok", "live", rows, "per_second", qps,
                     "seconds", 500 / qps, "latency_ns", "p50", 2000., "p99", 9000.,
                     "latency_counts", 1000, 50, 3000, 50, "recall", "mean", .9, "shards_asked",
                     asked, "stats", "round_trip_ns", 7000);
}

static json_t *cell(const char *label, const char *method, json_t *params, double qps)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:{s:i, s:s}, s:[o,o]}", "label", label, "point",
                     "p", "method", method, "status", "ok", "params", params, "knobs", "nprobe", 4,
                     "of_knobs", "nprobe=4", "steps", search(1000, qps, 3),
                     search(2000, qps / 2, 3));
}

static json_t *alone(double qps)
{
    return cell("alone", "ivf", json_pack("{s:i, s:s, s:b}", "lists", 64, "init", "x", "soft", 1),
                qps);
}

static json_t *in_shards(const char *of_params, int ranks)
{
    return cell("shards", "sharded",
                json_pack("{s:s, s:s, s:i, s:i}", "of", "ivf", "of_params", of_params, "shards", 4,
                          "ranks", ranks),
                1000);
}

static int read_cells(struct simulate *s, json_t *cells, struct result *result, struct error *err)
{
    *result = result_taken(json_pack("{s:o, s:{s:i}, s:[{s:i}], s:{s:{s:i}}}", "cells", cells,
                                     "experiment", "k", 10, "datasets", "dim", 32, "environment",
                                     "cpu", "online", 2));
    *err = (struct error){ 0 };
    return simulate_read(s, result, "R", err);
}

static void test_read(void **state)
{
    struct simulate s;
    struct error err;
    struct result result;
    json_t *failed = alone(1);
    json_object_set_new(failed, "status", json_string("failed"));
    assert_ok(read_cells(&s,
                         json_pack("[o,o,o,o,o,o]", failed, alone(100),
                                   in_shards("lists=64,init=x,soft=true", 2), alone(400),
                                   alone(200), in_shards("lists=64,init=x,soft=true", 2)),
                         &result, &err),
              &err);
    assert_int_equal(s.n_methods, 1);
    assert_string_equal(s.methods[0].name, "alone[p]");
    assert_int_equal(s.methods[0].curve.n, 2);
    assert_near(s.methods[0].curve.at[0].batch_s, 1. / 200);
    assert_near(s.methods[0].curve.at[1].batch_s, 1. / 100);
    assert_near(s.methods[0].curve.at[0].single_s, 2e-6);
    assert_near(simulate_shape(&s.methods[0].curve, 1000, .1), .5);
    assert_near(simulate_shape(&s.methods[0].curve, 1000, .9), 1.5);
    assert_near(s.methods[0].asked_bytes, 32 * 4 + 10 * 12);
    assert_int_equal(s.n_runs, 2);
    assert_int_equal(s.runs[0].repeats, 2);
    assert_near(s.runs[0].rows, 1000);
    assert_near(s.runs[1].qps, 500);
    assert_near(s.runs[0].batch, 500);
    assert_near(s.runs[0].asked, .75);
    assert_near(s.runs[0].round_trip_s, 7e-6);
    assert_true(isnan(simulate_run_answer(&s, &s.runs[0]).recall)); /* a part of the shards */
    simulate_free(&s);
    result_close(&result);
}

static void refused(json_t *cells, const char *why)
{
    struct simulate s;
    struct error err;
    struct result result;
    assert_int_equal(read_cells(&s, cells, &result, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, why));
    simulate_free(&s);
    result_close(&result);
}

static void test_refusals(void **state)
{
    json_t *one_size = alone(100), *huge = in_shards("lists=64", 2),
           *failed = in_shards("lists=64", 2);
    json_array_remove(json_object_get(one_size, "steps"), 1);
    json_object_set_new(failed, "status", json_string("failed"));
    json_object_set_new(json_object_get(huge, "params"), "shards", json_real(1e300));
    refused(json_pack("[o]", alone(100)), "R: no cell of the method sharded");
    refused(json_pack("[o,o]", alone(100), huge), "no cell of the method sharded");
    refused(json_pack("[o,o]", alone(100), failed), "no cell of the method sharded");
    refused(json_pack("[o]", in_shards("lists=64", 2)), "no method is measured both in shards");
    refused(json_pack("[o,o]", alone(100), in_shards("lists=32", 2)), "same parameters");
    refused(json_pack("[o,o]", alone(100), in_shards("soft=false", 2)), "same parameters");
    refused(json_pack("[o,o]", alone(100), in_shards("no_such=1", 2)), "same parameters");
    refused(json_pack("[o,o]", one_size, in_shards("lists=64", 2)), "one number of rows only");
}

int main(void)
{
    return test_run_all("simulate", test_curve, test_exact_recall, test_batches, test_machines,
                        test_shared_caches, test_memory, test_latency_of_equal_times,
                        test_slowest_of_many, test_fit, test_no_fit, test_fit_is_not_negative,
                        test_read, test_refusals);
}
