/* internal.h - shared by the files that write and read a manifest. */
#ifndef DRIFTLINE_CHANNI_DURABLE_INTERNAL_H
#define DRIFTLINE_CHANNI_DURABLE_INTERNAL_H

#include "algorithms/channi/durable/manifest.h"

/* The sections but those of the routes; while they are read, the data of the next cluster. */
struct channi_sections {
    const struct channi_manifest_meta *meta;
    const struct channi_manifest_cluster *clusters;
    const unsigned char *roots, *rows;
    const uint32_t *aliases;
    const int64_t *attributes; /* records */
    const struct channi_manifest_death *deaths;
    const uint64_t *ids, *born, *dead;
};

struct channi_reading {
    struct channi *s;
    const struct store_reader *r;
    struct channi_sections x;
    struct channi_layout *layout;
    uint64_t *live; /* the live ids of one cluster */
    size_t capacity;
};

/* manifest_write.c: those after "meta" and "clusters". c: what is written. */
int channi_manifest_fields(struct store_fields *, const struct channi *,
                           const struct channi_capture *c, struct channi_sections *);

static inline int channi_reading_no_memory(const struct channi_reading *x)
{
    return fail(x->s->base.env.error, ERR_NO_MEMORY, "channi: load: out of memory");
}

/* manifest_clusters.c: reads all clusters into the layout, opens their files, and sets the
   places of ids. */
int channi_reading_clusters(struct channi_reading *);

#endif
