/* device.c - device = cuda: the nearest lists of an insert batch are computed on a GPU, as in the
 * paper's code, and the nearest centroids in training (searches: search/device.c). Centroids are
 * copied to the device when they have changed, and only list numbers are copied back. */
#include "algorithms/divf/device.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { TRAIN_ROWS = 1 << 15, TRAIN_CANDIDATES = 8 };

int divf_device_open(struct divf *d)
{
    if (d->params.device == CUDA_CPU)
        return OK;
    struct divf_device *device = mem_zalloc(d->env.mem, sizeof *device);
    if (!device)
        return fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory creating the index");
    int rc = cuda_open(&device->cuda, "divf", "device", d->env.error);
    if (rc == OK)
        d->device = device;
    else
        mem_free(d->env.mem, device);
    return rc;
}

static void drop_centroids(struct divf_device *device)
{
    if (device->centroids)
        device->cuda.library.ops->centroids->destroy(device->centroids);
    device->centroids = NULL;
}

void divf_device_close(struct divf *d)
{
    if (!d->device)
        return;
    divf_device_drop(d);
    drop_centroids(d->device);
    cuda_close(&d->device->cuda);
    mem_free(d->env.mem, d->device);
}

void divf_device_stats(const struct divf *d, struct stat_sink *sink)
{
    const struct divf_device *g = d->device;
    const struct device_ops *ops = g->cuda.library.ops;
    cuda_stats(&g->cuda, sink);
    if (g->rows && g->lists)
        sink->value(sink->to, "device_bytes",
                    (double)(ops->rows->bytes(g->rows) + ops->lists->bytes(g->lists) +
                             (g->codes ? ops->rabitq->bytes(g->codes) : 0)));
}

int divf_device_assign(struct divf *d, const float *rows, size_t n, size_t s, uint32_t *lists)
{
    struct divf_device *device = d->device;
    const struct device_centroid_ops *ops = device->cuda.library.ops->centroids;
    int rc = 0;
    if (device->centroids && device->codebook != d->lists.codebook)
        drop_centroids(device);
    if (!device->centroids)
        rc = ops->create(device->cuda.session, d->lists.centroids, d->lists.n, d->env.dim,
                         &device->centroids);
    device->codebook = d->lists.codebook;
    if (!rc)
        rc = ops->assign(device->centroids, rows, n, s, lists, NULL);
    return cuda_check(&device->cuda, rc, "divf", d->env.error);
}

/* ------------------------------------------------------------------------------- training */

static int nearest_of_all(struct divf_nearest *b, size_t n)
{
    const struct cuda *cuda = &b->d->device->cuda;
    const struct device_row_ops *ops = cuda->library.ops->rows;
    struct device_rows *rows = NULL;
    int failed = ops->create(cuda->session, DEVICE_L2SQ, b->centroids->dim, &rows);
    if (failed == 0)
        failed = ops->put_f32(rows, 0, b->centroids->rows, b->centroids->n);
    int rc = cuda_check(cuda, failed, "divf", b->d->env.error);
    for (size_t first = 0; rc == OK && first < n; first += TRAIN_ROWS) {
        const size_t now = n - first < TRAIN_ROWS ? n - first : TRAIN_ROWS;
        rc = divf_nearest_find(b, rows, now);
        if (rc == OK)
            rc = divf_nearest_choose(b, now, pool_threads(b->d->env.pool));
        b->rows += now * b->centroids->dim;
        b->out += now;
    }
    if (rows)
        ops->destroy(rows);
    return rc;
}

int divf_device_nearest(void *to, const struct centroids *centroids, const float *rows, size_t n,
                        uint32_t *out)
{
    const struct divf *d = to;
    struct mem_group g = { .mem = d->env.mem };
    const size_t most = n < TRAIN_ROWS ? n : TRAIN_ROWS;
    struct divf_nearest b = { .d = d,
                              .centroids = centroids,
                              .rows = rows,
                              .s = 1,
                              .capacity = TRAIN_CANDIDATES,
                              .out = out };
    b.found = mem_group_array(&g, most, sizeof *b.found);
    b.candidates = mem_group_array(&g, most * TRAIN_CANDIDATES, sizeof *b.candidates);
    b.numbers = mem_group_array(&g, most, sizeof *b.numbers);
    b.distances = mem_group_array(&g, most, sizeof *b.distances);
    const int rc = g.failed ? fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory training")
                            : nearest_of_all(&b, n);
    mem_group_free(&g);
    return rc;
}
