/* device.c - device = cuda: the nearest lists of a batch of rows are computed on a GPU, as in the
 * paper's code; everything else stays on the CPU. Centroids are copied to the device when they have
 * changed, and only list numbers are copied back. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/divf/divf.h"

int divf_device_open(struct divf *d)
{
    char path[PATH_MAX], why[512] = "";
    if (d->params.device == DIVF_CPU)
        return OK;
    if (!device_find(path, sizeof path))
        return fail(d->env.error, ERR_UNSUPPORTED,
                    "divf: device = cuda: there is no %s beside the program or above it; run make "
                    "where nvcc is installed, which builds it, or use device = cpu",
                    DEVICE_LIBRARY);
    if (device_load(path, &d->device.library, why, sizeof why))
        return fail(d->env.error, ERR_UNSUPPORTED, "divf: device = cuda: %s; or use device = cpu",
                    why);
    return OK;
}

static void drop_centroids(struct divf_gpu *device)
{
    if (device->centroids)
        device->library.ops->centroids_destroy(device->centroids);
    device->centroids = NULL;
}

void divf_device_close(struct divf *d)
{
    drop_centroids(&d->device);
    device_unload(&d->device.library);
}

int divf_device_assign(struct divf *d, const float *rows, size_t n, size_t s, uint32_t *lists)
{
    struct divf_gpu *device = &d->device;
    const struct device_ops *ops = device->library.ops;
    char why[512] = "";
    int refused = 0;
    if (device->centroids && device->codebook != d->lists.codebook)
        drop_centroids(device);
    if (!device->centroids)
        refused = ops->centroids_create(d->lists.centroids, d->lists.n, d->env.dim,
                                        &device->centroids, why, sizeof why);
    device->codebook = d->lists.codebook;
    if (!refused)
        refused =
            ops->centroids_assign(device->centroids, rows, n, s, lists, NULL, why, sizeof why);
    return refused ? fail(d->env.error, ERR_BASELINE, "insert: device = cuda: %s", why) : OK;
}
