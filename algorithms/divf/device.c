/* device.c - device = cuda: the nearest lists of an insert batch are computed on a GPU, as in the
 * paper's code, and the nearest centroids in training (searches: search/device.c). Centroids are
 * copied to the device when they have changed, and only list numbers are copied back. */
#include <math.h>

#include "algorithms/divf/device.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { TRAIN_ROWS = 1 << 15, TRAIN_CANDIDATES = 8, CHUNK = 64 };

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

/* ------------------------------------------------------------------------ training */

struct nearest_batch {
    const struct divf *d;
    const struct centroids *centroids;
    const float *rows;
    uint32_t *out, *found;               /* TRAIN_ROWS */
    struct device_candidate *candidates; /* TRAIN_ROWS x TRAIN_CANDIDATES */
};

/* The nearest of the candidates of rows [first, end), by their exact distances; ties to the smaller
   number. */
static int choose_nearest(void *arg, size_t first, size_t end, size_t worker)
{
    struct nearest_batch *b = arg;
    const size_t dim = b->centroids->dim;
    (void)worker;
    for (size_t i = first; i < end; i++) {
        float least = INFINITY;
        for (size_t j = 0; j < b->found[i] && b->found[i] <= TRAIN_CANDIDATES; j++) {
            const uint32_t c = b->candidates[i * TRAIN_CANDIDATES + j].position;
            float distance;
            b->d->env.kernels->l2sq_f32_1n(b->rows + i * dim, b->centroids->rows + c * dim, 1, dim,
                                           &distance);
            if (distance < least || (distance <= least && c < b->out[i])) {
                least = distance;
                b->out[i] = c;
            }
        }
    }
    return OK;
}

static int nearest_of_block(struct nearest_batch *b, struct device_rows *rows, size_t n)
{
    const struct divf *d = b->d;
    const struct index_env *env = &d->env;
    int rc = cuda_check(
        &d->device->cuda,
        d->device->cuda.library.ops->rows->candidates(rows, b->centroids->n, b->rows, n, 1, NULL,
                                                      TRAIN_CANDIDATES, b->found, b->candidates),
        "divf", env->error);
    if (rc == OK)
        rc = parallel_for(env->pool, pool_threads(env->pool), n, CHUNK, choose_nearest, b);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (b->found[i] > TRAIN_CANDIDATES) /* many centroids are about equally near */
            rc = nearest_all(env, b->centroids, b->rows + i * b->centroids->dim, 1, 1, b->out + i);
    return rc;
}

static int nearest_of_all(struct nearest_batch *b, size_t n)
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
        rc = nearest_of_block(b, rows, now);
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
    struct nearest_batch b = { .d = d, .centroids = centroids, .rows = rows, .out = out };
    b.found = mem_group_array(&g, most, sizeof *b.found);
    b.candidates = mem_group_array(&g, most * TRAIN_CANDIDATES, sizeof *b.candidates);
    const int rc = g.failed ? fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory training")
                            : nearest_of_all(&b, n);
    mem_group_free(&g);
    return rc;
}
