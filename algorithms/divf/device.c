/* device.c - device = cuda: the nearest lists of an insert batch are computed on a GPU, as in the
 * paper's code (searches: search/device.c). Centroids are copied to the device when they have
 * changed, and only list numbers are copied back. */
#include "algorithms/divf/divf.h"

int divf_device_open(struct divf *d)
{
    return d->params.device == CUDA_CPU
               ? OK
               : cuda_open(&d->device.cuda, "divf", "device", d->env.error);
}

static void drop_centroids(struct divf_gpu *device)
{
    if (device->centroids)
        device->cuda.library.ops->centroids->destroy(device->centroids);
    device->centroids = NULL;
}

void divf_device_close(struct divf *d)
{
    divf_device_drop(d);
    drop_centroids(&d->device);
    cuda_close(&d->device.cuda);
}

int divf_device_assign(struct divf *d, const float *rows, size_t n, size_t s, uint32_t *lists)
{
    struct divf_gpu *device = &d->device;
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
