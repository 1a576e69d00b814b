/* members.h - the decoded entries of a posting. Used by one thread at a time. */
#ifndef DRIFTLINE_SPFRESH_CODEC_MEMBERS_H
#define DRIFTLINE_SPFRESH_CODEC_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct spfresh;

struct spfresh_members {
    uint32_t *slots;
    uint16_t *versions;
    unsigned char *rows; /* n x row_bytes, exact vectors */
    size_t n, capacity;
    size_t row_bytes;
    struct mem *mem;
};

void spfresh_members_init(struct spfresh_members *, const struct spfresh *);
void spfresh_members_free(struct spfresh_members *);
/* false: out of memory, unchanged. */
bool spfresh_members_reserve(struct spfresh_members *, size_t n);
/* Adds a copy of the row; capacity must be reserved. */
void spfresh_members_add(struct spfresh_members *, uint32_t slot, unsigned version,
                         const void *row);

#endif
