/* loader.c - opens the CUDA library, or reports why there is no usable device. */
#include "kernels/cuda/device.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAY(...) (void)(why_bytes && snprintf(why, why_bytes, __VA_ARGS__))

static int refuse(struct device_library *library)
{
    device_unload(library);
    return -1;
}

int device_find(char *path, size_t path_bytes)
{
    char folder[PATH_MAX];
    const char *chosen = getenv("DRIFTLINE_CUDA_LIBRARY");
    if (chosen && *chosen)
        return snprintf(path, path_bytes, "%s", chosen) < (int)path_bytes;
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (n < 0)
        return 0;
    folder[n] = '\0';
    for (char *slash = strrchr(folder, '/'); slash; slash = strrchr(folder, '/')) {
        *slash = '\0';
        int length = snprintf(path, path_bytes, "%s/%s", folder, DEVICE_LIBRARY);
        if (length > 0 && (size_t)length < path_bytes && access(path, R_OK) == 0)
            return 1;
    }
    return 0;
}

int device_load(const char *path, struct device_library *library, char *why, size_t why_bytes)
{
    *library = (struct device_library){ .handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) };
    if (!library->handle) {
        SAY("CUDA kernels: cannot load them: %s (make builds them where nvcc is installed)",
            dlerror());
        return -1;
    }
    library->ops = dlsym(library->handle, "driftline_device_ops");
    if (!library->ops) {
        SAY("CUDA kernels: %s is another library: it has no driftline_device_ops", path);
        return refuse(library);
    }
    if (library->ops->abi != DEVICE_ABI) {
        SAY("CUDA kernels: %s has version %u, this program needs %d: run make again", path,
            (unsigned)library->ops->abi, (int)DEVICE_ABI);
        return refuse(library);
    }
    int devices = 0;
    if (library->ops->count(&devices, why, why_bytes))
        return refuse(library);
    return 0;
}

void device_unload(struct device_library *library)
{
    if (library->handle)
        dlclose(library->handle);
    *library = (struct device_library){ 0 };
}
