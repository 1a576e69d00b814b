/* faults.h - what a test may change of the emulated device: the symbol driftline_emulated of its
   library. */
#ifndef DRIFTLINE_EMULATED_FAULTS_H
#define DRIFTLINE_EMULATED_FAULTS_H

#include <stddef.h>

struct emulated_device {
    size_t memory_bytes;   /* of the device; 1 GiB */
    size_t used_bytes;     /* now */
    int devices, driver;   /* how many there are; the driver's version, 0: none */
    size_t calls, fail_at; /* calls that can fail, since a test set it to 0; the one that fails,
                                        0: none */
    int failure;           /* its cudaError_t; other than memory's (2), all later calls fail */
    unsigned seed;         /* of the order of threads */
    size_t grids, threads, barriers; /* executed so far */
};

#endif
