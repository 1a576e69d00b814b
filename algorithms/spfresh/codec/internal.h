/* internal.h - the types and functions that codecs and scans share. */
#ifndef DRIFTLINE_SPFRESH_CODEC_INTERNAL_H
#define DRIFTLINE_SPFRESH_CODEC_INTERNAL_H

#include <string.h>

#include "algorithms/common/rows/key_set.h"
#include "algorithms/common/rows/row_store.h"
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

/* A vector that may be in the answer. Its index equals its slot's index in `met`. */
struct spfresh_candidate {
    float lower, upper, estimate;
    uint64_t id;
};

/* A sort key, and the index of its candidate. */
struct spfresh_ranked {
    float key;
    uint32_t i;
};

struct spfresh_codec_scratch {
    struct mem *mem;
    /* Codes: the slots of candidates. Raw: entries, and slots that were offered. */
    struct key_set met;
    uint32_t *places; /* indexes of a posting's new entries */
    size_t n_places;
    /* codes */
    unsigned char *prepared; /* query_bytes */
    float *rotated, *floats; /* the query: work_dim, dim */
    float global_distance;   /* code_centre = global: squared, query to centre */
    struct spfresh_candidate *candidates;
    size_t candidate_capacity;
    struct spfresh_ranked *ranked;
    size_t ranked_capacity;
    float *limits; /* the k smallest upper bounds */
    uint64_t *limit_slots;
    size_t limits_capacity, limit_slots_capacity;
    struct topk uppers;
    float *estimates; /* the k smallest estimates, of scans with `stops` */
    uint64_t *estimate_ids;
    size_t estimates_capacity, estimate_ids_capacity;
    struct topk best;
    struct row_reader *reader;
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

/* Whether an entry counts for this search; *id gets its id. */
bool spfresh_codec_is_current(const struct spfresh_scan *, uint32_t slot, unsigned version,
                              uint64_t *id);

/* groups.c */
int spfresh_codec_groups_train(struct spfresh_codec *, struct vectors sample);
/* Sets the sizes that follow from the quantizer. */
void spfresh_codec_groups_lay_out(struct spfresh_codec *);
int spfresh_codec_groups_extend(const struct spfresh_codec *, const void *head_row, size_t size,
                                const void *tail, const struct spfresh_members *, void *out,
                                float *error);
int spfresh_codec_groups_decode(const struct spfresh_codec *, const void *bytes, size_t n,
                                struct spfresh_members *to);
size_t spfresh_codec_groups_count(const struct spfresh_codec *, const void *bytes, size_t n_bytes);

/* scan.c */
void spfresh_codec_codes_free(struct spfresh_codec_scratch *);
int spfresh_codec_codes_begin(struct spfresh_scan *, const struct spfresh_codec *);
int spfresh_codec_codes_scan(struct spfresh_scan *, const struct spfresh_codec *, uint32_t head,
                             float distance, const unsigned char *bytes, size_t n_bytes);
int spfresh_codec_codes_end(struct spfresh_scan *, const struct spfresh_codec *);

#endif
