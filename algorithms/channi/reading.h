/* reading.h - inside manifest_read(): what its files tell one another. */
#ifndef DRIFTLINE_CHANNI_READING_H
#define DRIFTLINE_CHANNI_READING_H

#include "algorithms/channi/manifest.h"

/* Where what belongs to the next cluster begins. */
struct sections {
    const struct manifest_meta *meta;
    const struct manifest_cluster *clusters;
    const unsigned char *roots, *rows;
    const uint32_t *aliases, *attributes;
    const struct manifest_death *deaths;
    const uint64_t *ids, *born, *dead;
};

struct reading {
    struct channi *s;
    const struct store_reader *r;
    struct sections x;
    struct layout *layout;
    struct cluster **lost; /* whose files cannot be read, when the index does without */
    size_t n_lost;
    uint64_t *live; /* room for the live ids of one cluster */
    size_t capacity;
};

int reading_no_memory(const struct reading *);
/* reading_clusters.c: all clusters of the manifest into the layout, their files, and where ids are. */
int reading_clusters(struct reading *);

#endif
