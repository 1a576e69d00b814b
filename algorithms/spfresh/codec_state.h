/* codec_state.h - what codecs and scans are made of. Private to codec*.c. */
#ifndef DRIFTLINE_SPFRESH_CODEC_STATE_H
#define DRIFTLINE_SPFRESH_CODEC_STATE_H

#include <string.h>

#include "algorithms/spfresh/codec.h"
#include "algorithms/spfresh/codec_rows.h"
#include "algorithms/spfresh/ordinals.h"
#include "algorithms/spfresh/seen.h"
#include "algorithms/spfresh/spfresh.h"

struct codec {
    enum codec_kind kind;
    struct index_env env;
    size_t row_bytes, version_bytes;
    size_t stride; /* raw: of an entry */
    /* codes */
    const struct spfresh *s;
    struct quantizer *quantizer; /* NULL before training */
    bool global;                 /* codes are relative to the quantizer's own middle */
    size_t group_bytes, slots_at, versions_at;
    pthread_mutex_t lock; /* of opening rows: the folder is claimed after the codec is made */
    _Atomic(struct rows *) rows;
};

/* A vector that may be an answer. Its number is its slot's in `met`. */
struct candidate {
    float lower, upper, estimate;
    uint64_t id;
};

/* What a sort of candidates goes by, and whose it is. */
struct ranked {
    float key;
    uint32_t i;
};

struct codec_scratch {
    struct mem *mem;
    struct seen seen;
    uint32_t *places; /* entries of a posting that were new: room for n_places */
    size_t n_places;
    /* codes */
    unsigned char *prepared; /* query_bytes */
    float *turned, *floats;  /* the query: work_dim, dim */
    float global_distance;   /* code_centre = global: the query's from it, squared */
    struct ordinals met;
    struct candidate *candidates;
    size_t candidate_capacity;
    struct ranked *ranked;
    size_t ranked_capacity;
    float *limits; /* k smallest upper bounds: limits_capacity */
    uint64_t *limit_slots;
    size_t limits_capacity, limit_slots_capacity;
    struct topk uppers;
    struct rows_reader *reader;
};

/* An unaligned slot, a version of 1 or 2 bytes. */
static inline uint32_t codec_slot_at(const unsigned char *bytes)
{
    uint32_t slot;

    memcpy(&slot, bytes, sizeof slot);
    return slot;
}

static inline unsigned codec_version_at(const struct codec *c, const unsigned char *bytes)
{
    return c->version_bytes == 1 ? bytes[0] : bytes[0] | (unsigned)bytes[1] << 8;
}

/* Whether an entry counts, and its id. */
bool codec_is_current(const struct scan *, uint32_t slot, unsigned version, uint64_t *id);
/* A distance that may count: is the entry current and allowed, then to top, or to whom a range search
   reports. */
int codec_offer(struct scan *, uint32_t slot, unsigned version, float distance);
/* A reader of the rows, which are opened if they are not yet. */
int codec_reader(struct codec *, struct rows_reader **);
float codec_distance(const struct codec *, const void *query, const void *row);

/* codec_raw.c */
int codec_raw_encode(const struct codec *, const struct members *, size_t first, size_t n,
                     void *out);
int codec_raw_decode(const struct codec *, const void *bytes, size_t n, struct members *to);
int codec_raw_scan(struct scan *, const struct codec *, const unsigned char *bytes, size_t n_bytes);

/* codec_groups.c */
int codec_groups_train(struct codec *, struct vectors sample);
void codec_groups_lay_out(struct codec *); /* sizes that follow from the quantizer */
int codec_groups_encode(const struct codec *, const void *head_row, const struct members *,
                        size_t first, size_t n, void *out, float *error);
int codec_groups_extend(const struct codec *, const void *head_row, size_t size, const void *tail,
                        const struct members *, size_t first, size_t n, void *out, float *error);
int codec_groups_decode(const struct codec *, const void *bytes, size_t n, struct members *to);
size_t codec_groups_count(const struct codec *, const void *bytes, size_t n_bytes);

/* codec_scan.c */
void codec_codes_free(struct codec_scratch *);
int codec_codes_begin(struct scan *, const struct codec *);
int codec_codes_scan(struct scan *, const struct codec *, uint32_t head, float distance,
                     const unsigned char *bytes, size_t n_bytes);
int codec_codes_end(struct scan *, struct codec *);

#endif
