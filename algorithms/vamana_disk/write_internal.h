/* write_internal.h - what write.c writes and store.c reads. */
#ifndef DRIFTLINE_VAMANA_DISK_WRITE_INTERNAL_H
#define DRIFTLINE_VAMANA_DISK_WRITE_INTERNAL_H

#include "algorithms/vamana_disk/vamana_disk.h"

struct vamana_disk_head {
    uint64_t n, unseen;
    uint32_t entry;
    float norm_max_sq;
};

struct vamana_disk_file {
    const struct vamana_disk_head *head;
    const uint64_t *ids;
    const uint8_t *codes; /* of the quantizer, if there is one */
};

/* The sections "disk.head", "disk.ids", "disk.pq" and "disk.codes". env: of rows, as the quantizer
   takes them. */
int vamana_disk_fields(struct store_fields *, const struct index_env *env, struct quantizer **,
                       struct vamana_disk_file *);

#endif
