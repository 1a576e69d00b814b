/* codec_state.h - what codecs and scans are made of. Private to codec*.c. */
#ifndef DRIFTLINE_SPFRESH_CODEC_STATE_H
#define DRIFTLINE_SPFRESH_CODEC_STATE_H

#include "algorithms/spfresh/codec.h"
#include "algorithms/spfresh/seen.h"
#include "algorithms/spfresh/spfresh.h"

struct codec {
    enum codec_kind kind;
    struct index_env env;
    size_t row_bytes, version_bytes;
    size_t stride; /* raw: of an entry */
};

struct codec_scratch {
    struct mem *mem;
    struct seen seen;
    uint32_t *places; /* entries of a posting that were new: room for n_places */
    size_t n_places;
};

/* An unaligned slot, a version of 1 or 2 bytes. */
uint32_t codec_slot_at(const unsigned char *);
unsigned codec_version_at(const struct codec *, const unsigned char *);

/* A distance that may count: is the entry current and allowed, then to top, or to whom a range search
   reports. */
int codec_offer(struct scan *, uint32_t slot, unsigned version, float distance);

/* codec_raw.c */
int codec_raw_encode(const struct codec *, const struct members *, size_t first, size_t n,
                     void *out);
int codec_raw_decode(const struct codec *, const void *bytes, size_t n, struct members *to);
int codec_raw_scan(struct scan *, const struct codec *, const unsigned char *bytes, size_t n_bytes);

#endif
