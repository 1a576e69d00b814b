/* internal.h - what the form of a posting (codec.c) and scans of it (scan.c) share. */
#ifndef DRIFTLINE_SPFRESH_CODEC_INTERNAL_H
#define DRIFTLINE_SPFRESH_CODEC_INTERNAL_H

#include <string.h>

#include "algorithms/spfresh/codec/codec.h"
#include "algorithms/spfresh/spfresh.h"

struct spfresh_codec {
    enum spfresh_codec_kind kind;
    struct index_env env;
    size_t row_bytes, version_bytes;
    size_t stride; /* raw: bytes per entry */
    /* codes */
    const struct spfresh *s;
    struct quantizer *quantizer; /* NULL before training */
    bool global;                 /* codes are relative to the quantizer's mean */
    size_t group_bytes, slots_at, versions_at;
};

/* Reads an unaligned slot, and a version of 1 or 2 bytes. */
static inline uint32_t spfresh_codec_slot_at(const unsigned char *bytes)
{
    uint32_t slot;

    memcpy(&slot, bytes, sizeof slot);
    return slot;
}

static inline unsigned spfresh_codec_version_at(const struct spfresh_codec *c,
                                                const unsigned char *bytes)
{
    return c->version_bytes == 1 ? bytes[0] : bytes[0] | (unsigned)bytes[1] << 8;
}

#endif
