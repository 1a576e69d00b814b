/* write_internal.h - what write.c writes and store.c reads. */
#ifndef DRIFTLINE_VAMANA_DISK_WRITE_INTERNAL_H
#define DRIFTLINE_VAMANA_DISK_WRITE_INTERNAL_H

#include "algorithms/vamana_disk/vamana_disk.h"

struct vamana_disk_head {
    uint64_t n, unseen;
    uint32_t entry;
    float norm_max_sq;
};

#endif
