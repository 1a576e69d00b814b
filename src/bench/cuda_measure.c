/* cuda_measure.c - measures a kernel of a CUDA device.
 *
 * Times are those of whole calls, of the median run: arguments are copied to the device and answers
 * back, but for the rows, which are there before. The limit of a call is what would take longest
 * alone: its memory traffic, its arithmetic, or its copies. configs/gpu compare whole methods on the
 * device and on the processor. */

#include <stdarg.h>

#include "src/base/clock.h"
#include "src/base/result_metrics.h"
#include "src/base/stats.h"
#include "src/bench/cuda_internal.h"

int bench_cuda_check(struct bench_cuda *b, int rc)
{
    return cuda_check(&b->cuda, rc, "bench cuda", b->error);
}

int bench_cuda_no_memory(struct bench_cuda *b)
{
    return fail(b->error, ERR_NO_MEMORY, "bench cuda: out of memory");
}

/* The least seconds of a call, and what limits it. */
struct limit {
    double seconds;
    const char *name;
};

static struct limit limit_of(const struct bench_cuda *b, const struct bench_cuda_work *work,
                             const struct device_traffic *copied)
{
    const struct device_limits *l = &b->limits;
    const struct limit all[] = {
        { work->memory_bytes / l->read_bytes_per_s, "memory" },
        { work->flops / l->sgemm_flops_per_s, "SGEMM" },
        { work->int8_ops / l->int8_ops_per_s, "int8 products" },
        { (double)copied->to_device_bytes / l->to_device_bytes_per_s +
              (double)copied->from_device_bytes / l->from_device_bytes_per_s,
          "copies" },
    };
    struct limit most = all[0];
    for (size_t i = 1; i < sizeof all / sizeof *all; i++)
        most = all[i].seconds > most.seconds ? all[i] : most;
    return most;
}

/* Warms up, and counts what a call copies. */
static int count_copies(struct bench_cuda *b, const struct bench_cuda_item *item,
                        struct device_traffic *copied)
{
    struct device_traffic before;
    b->ops->session_traffic(b->cuda.session, &before);
    const int rc = bench_cuda_check(b, item->run(b, item->with));
    b->ops->session_traffic(b->cuda.session, copied);
    copied->to_device_bytes -= before.to_device_bytes;
    copied->from_device_bytes -= before.from_device_bytes;
    return rc;
}

static void add_line(struct bench_cuda *b, const struct bench_cuda_item *item, const char *shape,
                     struct limit limit, double seconds)
{
    const struct bench_cuda_work *work = &item->work;
    char text[32];
    table_add(&b->table, "%s", item->name);
    table_add(&b->table, "%s", shape);
    result_metric_add(&b->table, UNIT_SECONDS, seconds);
    table_number((work->pairs + work->rows) / seconds, text, sizeof text);
    table_add(&b->table, "%s %s", text, work->rows > 0 ? "rows" : "pairs");
    table_add(&b->table, "%.0f", 100 * limit.seconds / seconds);
    table_add(&b->table, "%s", limit.name);
}

int bench_cuda_measure(struct bench_cuda *b, const struct bench_cuda_item *item, const char *shape,
                       ...)
{
    double seconds[BENCH_CUDA_REPEATS];
    char text[112];
    va_list args;
    struct device_traffic copied;
    int rc = count_copies(b, item, &copied);
    for (size_t i = 0; rc == OK && i < BENCH_CUDA_REPEATS; i++) {
        const uint64_t start = clock_ns();
        rc = bench_cuda_check(b, item->run(b, item->with));
        seconds[i] = clock_seconds(clock_ns() - start);
    }
    va_start(args, shape);
    (void)vsnprintf(text, sizeof text, shape, args);
    va_end(args);
    if (rc == OK)
        add_line(b, item, text, limit_of(b, &item->work, &copied),
                 stats_median(seconds, BENCH_CUDA_REPEATS));
    return rc;
}
