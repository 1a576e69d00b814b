/* cuda.c - `bench cuda`: opens the device, prints its limits, and measures its kernels in turn. */
#include "src/bench/bench.h"

#include <limits.h>

#include "src/bench/cuda_internal.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

static const struct bench_cuda_sizes sizes[] = {
    { .rows = 1000000,
      .dim = 768,
      .queries = 1024,
      .k = 100,
      .assigned = 1000000,
      .assigned_dim = 128,
      .centroids = 4096,
      .listed = 500000,
      .listed_dim = 128,
      .lists = 1024,
      .nprobe = 64,
      .codes = (size_t)1 << 28,
      .code_queries = 1024,
      .code_k = 10,
      .bounded = 1 << 24,
      .outputs = 1 << 24,
      .again = 16,
      .train_batch = 1024 },
    { .rows = 2000,
      .dim = 64,
      .queries = 32,
      .k = 10,
      .assigned = 500,
      .assigned_dim = 32,
      .centroids = 64,
      .listed = 2000,
      .listed_dim = 32,
      .lists = 16,
      .nprobe = 4,
      .codes = 20000,
      .code_queries = 32,
      .code_k = 10,
      .bounded = 2000,
      .outputs = 1 << 13,
      .again = 2,
      .train_batch = 32 },
};

static void print_device(struct bench_cuda *b)
{
    const struct device_description *d = &b->device;
    char text[32];
    table_bytes((double)d->memory_bytes, text, sizeof text);
    fprintf(b->out, "%s, %s, compute capability %d.%d, %d multiprocessors", d->name, text, d->major,
            d->minor, d->multiprocessors);
    if (d->clock_khz > 0)
        fprintf(b->out, " at %.2f GHz", d->clock_khz / 1e6);
    fprintf(b->out, "\ndriver for CUDA %d.%d, kernels built by CUDA %d.%d\n", d->driver / 1000,
            d->driver % 1000 / 10, d->runtime / 1000, d->runtime % 1000 / 10);
    if (d->emulated)
        fprintf(b->out, "warning: the kernels run on the processor, so the figures are not those "
                        "of a GPU, and sizes are small.\n");
    fprintf(b->out, "  reading its memory    %8.1f GB/s\n", b->limits.read_bytes_per_s / 1e9);
    fprintf(b->out, "  SGEMM by cuBLAS       %8.1f GFLOP/s\n", b->limits.sgemm_flops_per_s / 1e9);
    fprintf(b->out, "  int8 products         %8.1f Gop/s\n", b->limits.int8_ops_per_s / 1e9);
    fprintf(b->out, "  copying to it         %8.1f GB/s\n", b->limits.to_device_bytes_per_s / 1e9);
    fprintf(b->out, "  copying from it       %8.1f GB/s\n\n",
            b->limits.from_device_bytes_per_s / 1e9);
}

static int print_all(struct bench_cuda *b)
{
    static int (*const kernels[])(struct bench_cuda *) = { bench_cuda_rows,   bench_cuda_assign,
                                                           bench_cuda_lists,  bench_cuda_hamming,
                                                           bench_cuda_bounds, bench_cuda_encode,
                                                           bench_cuda_train };
    int rc = OK;
    table_begin(&b->table, "kernel|work|per call|per second|% of limit|limit");
    for (size_t i = 0; rc == OK && i < sizeof kernels / sizeof *kernels; i++)
        rc = kernels[i](b);
    table_end(&b->table, b->out); /* what was measured before an error, too */
    if (rc == OK)
        fprintf(b->out,
                "\nMedians of %d calls, with copies of the arguments and answers. The limit is "
                "what a call\n"
                "would take longest alone. A Hamming scan of many queries shares its reading, and "
                "can pass\n"
                "that limit.\n",
                BENCH_CUDA_REPEATS);
    return rc;
}

static int allocate(struct bench_cuda *b)
{
    enum { ROWS_LEAST = 4096 };
    const struct bench_cuda_sizes *s = b->sizes;
    const size_t candidates = s->queries * (8 * s->k + 64) * sizeof(struct device_candidate);
    const size_t matches = s->code_queries * BENCH_CODE_CAPACITY * sizeof(struct device_match);
    struct rng r = rng_at(1, 1);
    const size_t nearest = s->assigned * sizeof(uint32_t);
    b->n_floats = (s->queries > ROWS_LEAST ? s->queries : ROWS_LEAST) * 16 * s->dim;
    b->n_codes = 1 << 20;
    b->floats = mem_group_array(&b->memory, b->n_floats, sizeof *b->floats);
    b->terms = mem_group_array(&b->memory, s->queries, sizeof *b->terms);
    b->codes = mem_group_array(&b->memory, b->n_codes, sizeof *b->codes);
    b->answers =
        mem_group_array(&b->memory, (candidates > matches ? candidates : matches) + nearest, 1);
    b->found = mem_group_array(&b->memory, s->queries + s->code_queries, sizeof *b->found);
    if (b->memory.failed)
        return bench_cuda_no_memory(b);
    for (size_t i = 0; i < b->n_floats; i++)
        b->floats[i] = (float)(rng_u64(&r) >> 40) * 0x1p-24f;
    for (size_t i = 0; i < b->n_codes; i++)
        b->codes[i] = rng_u64(&r);
    return OK;
}

static int open_device(struct bench_cuda *b)
{
    char path[PATH_MAX], why[512] = "";
    if (!device_find(path, sizeof path))
        return fail(b->error, ERR_UNSUPPORTED,
                    "bench cuda: there is no %s beside the program or above it; run make where "
                    "nvcc is installed, which builds it",
                    DEVICE_LIBRARY);
    if (device_load(path, &b->cuda.library, why, sizeof why) ||
        b->cuda.library.ops->session_create(&b->cuda.session, why, sizeof why))
        return fail(b->error, ERR_UNSUPPORTED, "bench cuda: %s", why);
    b->ops = b->cuda.library.ops;
    int rc = bench_cuda_check(b, b->ops->describe(b->cuda.session, &b->device));
    if (rc == OK)
        rc = bench_cuda_check(b, b->ops->limits(b->cuda.session, &b->limits));
    b->sizes = &sizes[b->device.emulated];
    return rc;
}

int bench_cuda(FILE *out, struct error *error)
{
    struct bench_cuda b = { .out = out, .error = error };
    int rc = open_device(&b);
    if (rc == OK)
        rc = allocate(&b);
    if (rc == OK) {
        print_device(&b);
        rc = print_all(&b);
    }
    mem_group_free(&b.memory);
    cuda_close(&b.cuda);
    return rc;
}
