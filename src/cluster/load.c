#include "src/cluster/internal.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside the program, or in a folder above: build/ for build/release/driftline. RTLD_GLOBAL is for Open
   MPI's own plugins. */
const struct mpi_library *cluster_load(const char *who, struct error *err)
{
    char program[PATH_MAX - 64], path[PATH_MAX];
    void *handle = NULL;
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    for (char *slash = strrchr(program, '/'); slash && !handle; slash = strrchr(program, '/')) {
        *slash = 0;
        (void)snprintf(path, sizeof path, "%s/" MPI_LIBRARY, program);
        if (access(path, F_OK) == 0 && !(handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL))) {
            fail(err, ERR_UNSUPPORTED, "%s: %s", who, dlerror());
            return NULL;
        }
    }
    if (!handle) {
        fail(err, ERR_UNSUPPORTED,
             "%s: there is no " MPI_LIBRARY " beside the program or above it; install Open MPI "
             "(apt-get install libopenmpi-dev) and build again",
             who);
        return NULL;
    }
    const struct mpi_library *library = dlsym(handle, MPI_LIBRARY_SYMBOL);
    if (library && library->abi == MPI_LIBRARY_ABI)
        return library;
    fail(err, ERR_UNSUPPORTED, "%s: %s is of another version of the program; build again", who,
         path);
    return NULL;
}
