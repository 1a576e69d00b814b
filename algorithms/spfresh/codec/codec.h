/* codec.h - the format of a posting's bytes: whole vectors, or codes with the vectors beside.
 *
 *     raw     entries one after another, stride = row bytes + 4 (slot) + 1 or 2 (version): the
 *             vector, then slot, then version, unaligned. An append adds bytes and reads none.
 *     codes   groups of QUANTIZER_BLOCK entries: a quantizer's block (quantizer.h), then slots
 *             (u32, SLOT_NONE if free), then versions, padded to a multiple of 64. An append
 *             rewrites the last group. Exact vectors lie by slot in the row file, for reranking
 *             and maintenance.
 *
 * Codes of per_list quantizers encode the residual to the posting's head. With code_centre = global
 * they encode the residual to one fixed point: a vector that moves is not encoded again, but the
 * error is larger.
 *
 *   1 creating a codec   2 writing postings   3 scanning   4 members
 */
#ifndef DRIFTLINE_SPFRESH_CODEC_CODEC_H
#define DRIFTLINE_SPFRESH_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "src/core/index.h"
#include "src/core/topk.h"

struct mem;
struct spfresh;
struct spfresh_members;

/* 1. Creating a codec */

struct spfresh_codec;

/* From s's options. Kinds with codes need spfresh_codec_train() or
   spfresh_codec_field() before use. */
int spfresh_codec_create(struct spfresh_codec **, const struct spfresh *);
void spfresh_codec_destroy(struct spfresh_codec *); /* NULL is allowed */
int spfresh_codec_train(struct spfresh_codec *, struct vectors sample);
/* Writes sections "codec.*". */
int spfresh_codec_field(struct spfresh_codec *, struct store_fields *);

/* Number of entries that fit in `pages` pages, at least 2. */
size_t spfresh_codec_entries(const struct spfresh_codec *, size_t pages);
/* Bytes of a posting of n entries. */
size_t spfresh_codec_bytes(const struct spfresh_codec *, size_t n);

/* 2. Writing postings. head_row: the head's vector, an element row. */

/* An append to a posting of `size` entries leaves its first spfresh_codec_kept(size) bytes as they
   are. The remaining bytes, `tail` (NULL if none), and the n members are encoded as
   spfresh_codec_bytes(size + n) - spfresh_codec_kept(size) bytes at `out`, which is aligned to 64.
   With size 0 that is a whole posting. Raises *error to the largest error of the codes.
   ERR_NO_MEMORY. */
size_t spfresh_codec_kept(const struct spfresh_codec *, size_t size);
int spfresh_codec_extend(const struct spfresh_codec *, const void *head_row, size_t size,
                         const void *tail, const struct spfresh_members *, void *out, float *error);
/* Decodes slots and versions of the n entries of a posting, and rows if the posting has them (else
   the caller reads the row file). ERR_CORRUPT: the bytes cannot hold n entries. */
int spfresh_codec_decode(const struct spfresh_codec *, const void *bytes, size_t n_bytes, size_t n,
                         struct spfresh_members *to);
/* Number of whole entries in the first n_bytes of a posting. */
size_t spfresh_codec_count(const struct spfresh_codec *, const void *bytes, size_t n_bytes);

/* 3. Scanning: one query over several postings, then the rerank */

struct spfresh_codec_scratch;
struct spfresh_codec_scratch *spfresh_codec_scratch_create(const struct spfresh *);
void spfresh_codec_scratch_destroy(struct spfresh_codec_scratch *);

struct spfresh_scan {
    const struct spfresh *s;
    struct spfresh_codec_scratch *scratch;
    const void *query; /* an element row */
    const struct id_filter *filter;
    struct topk top; /* nearest ids; each live one at most once */
    size_t rerank;   /* knob */
    bool stops;      /* a search with target_recall: spfresh_codec_nearest() is needed */
    bool sampled;    /* a search to learn from: it counts in no statistic */
    double entries, distances, estimates, duplicates, bytes, row_pages; /* counters, increased */
    /* Range search: each current entry within radius is passed to `found` once, instead
       of to top. */
    float radius;
    int (*found)(void *to, uint64_t id, float distance);
    void *to;
};
/* The caller has initialized top. */
int spfresh_codec_scan_begin(struct spfresh_scan *);
/* Scans the first n_bytes of a posting. distance: from the query to its head. Counts only current
   entries and those one version off (spfresh_codec_is_current()), each slot once. */
int spfresh_codec_scan(struct spfresh_scan *, uint32_t head, float distance,
                       const unsigned char *bytes, size_t n_bytes);
/* How many answers, or candidates for them, the scan has so far. */
size_t spfresh_codec_found(const struct spfresh_scan *);
/* The nearest so far: answers, or with codes and `stops` the best estimates of candidates. */
const struct topk *spfresh_codec_nearest(const struct spfresh_scan *);
/* Codes: computes exact distances of the remaining candidates. Then top has the
   answer, unsorted. */
int spfresh_codec_scan_end(struct spfresh_scan *);

uint64_t spfresh_codec_memory(const struct spfresh_codec *); /* bytes */

/* 4. Members: the decoded entries of a posting. Used by one thread at a time. */

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
