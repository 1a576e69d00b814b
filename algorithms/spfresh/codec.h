/* codec.h - what the bytes of a posting mean: whole vectors, or codes with the vectors beside.
 *
 *     raw       entries one after another, stride = row bytes + 4 (slot) + 1 or 2 (version): the vector,
 *               then slot, then version, unaligned. An append adds bytes and reads none.
 *     codes     groups of QUANTIZER_BLOCK entries: a quantizer's block (quantizer.h), then slots (u32, free
 *               places SLOT_NONE), then versions, padded to a multiple of 64. An append writes the last
 *               group anew. Exact vectors lie by slot in the row file, for reranking and upkeep.
 *
 * Codes of kinds that are per_list are of the residual to the posting's head (or, code_centre = global,
 * to one frozen point: nothing is encoded anew when a vector moves, and the error is larger).
 *
 *   1 making one   2 writing postings   3 scanning   4 rows
 */
#ifndef DRIFTLINE_SPFRESH_CODEC_H
#define DRIFTLINE_SPFRESH_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/posting_store.h"
#include "algorithms/common/quantizer.h"
#include "algorithms/common/store_file.h"
#include "src/core/index.h"
#include "src/core/topk.h"

struct spfresh;
struct members;

/* 1. Making one */

enum codec_kind { CODEC_RAW, CODEC_SQ8, CODEC_PQ, CODEC_RABITQ };
enum codec_centre { CODEC_CENTRE_POSTING, CODEC_CENTRE_GLOBAL };

struct codec;

/* Of s's options. Kinds with codes are of no use before codec_train() or codec_load(). */
int codec_create(struct codec **, const struct spfresh *);
void codec_destroy(struct codec *); /* NULL is allowed */
int codec_train(struct codec *, struct vectors sample);
int codec_save(const struct codec *, struct store_writer *); /* sections "codec.*" */
int codec_load(struct codec *, const struct store_reader *);

/* Entries that `pages` pages hold, at least 2. */
size_t codec_entries(const struct codec *, size_t pages);
/* Bytes of a posting of n entries. */
size_t codec_bytes(const struct codec *, size_t n);
bool codec_has_rows(const struct codec *); /* exact vectors are in the row file */

/* 2. Writing postings. head_row: an element row, the posting's centre. */

/* n members from `first` on as a posting of its own: codec_bytes(n) to `out`, at a multiple of 64. Raises
   *error to the largest error of the codes. ERR_NO_MEMORY. */
int codec_encode(const struct codec *, const void *head_row, const struct members *, size_t first,
                 size_t n, void *out, float *error);
/* An append to a posting of `size` entries keeps its first codec_kept(size) bytes; the rest of them,
   at `tail` (NULL where there is none), and n members from `first` on make codec_bytes(size + n) -
   codec_kept(size) bytes at `out`. */
size_t codec_kept(const struct codec *, size_t size);
int codec_extend(const struct codec *, const void *head_row, size_t size, const void *tail,
                 const struct members *, size_t first, size_t n, void *out, float *error);
/* Slots and versions of the n entries of a posting, and rows where the posting has them (else the caller
   asks the row file); ERR_CORRUPT where the bytes cannot be of n entries. */
int codec_decode(const struct codec *, const void *bytes, size_t n_bytes, size_t n,
                 struct members *to);
/* Entries in so many bytes of a posting: what a reader knows. */
size_t codec_count(const struct codec *, const void *bytes, size_t n_bytes);

/* 3. Scanning: one query over some postings, then what is left to do */

struct codec_scratch;
struct codec_scratch *codec_scratch_create(const struct spfresh *);
void codec_scratch_destroy(struct codec_scratch *);

struct scan {
    const struct spfresh *s;
    struct codec_scratch *scratch;
    const void *query; /* an element row */
    const struct id_filter *filter;
    struct topk top; /* of slots, not yet ids; every live one at most once */
    size_t rerank;   /* knob */
    double entries, distances, estimates, duplicates, bytes, row_pages; /* work, added to */
    /* range search: every current entry within radius goes to `found` instead of top, a slot once. */
    float radius;
    int (*found)(void *to, uint64_t id, float distance);
    void *to;
};
/* top is begun by the caller. */
int codec_scan_begin(struct scan *);
/* A posting's bytes: distance is the query's from its head. Only current entries count, each slot
   once; so do those one version behind, see codec_is_current(). */
int codec_scan(struct scan *, uint32_t head, float distance, const unsigned char *bytes,
               size_t n_bytes);
/* Codes: exact distances of what is left. Afterwards top holds the answer, unsorted. */
int codec_scan_end(struct scan *);

/* 4. Rows by slot, where codec_has_rows() */

int codec_rows_put(struct codec *, const uint32_t *slots, const void *const *rows, size_t n);
/* Copies n rows, row_bytes each. ERR_CORRUPT naming file and slot. */
int codec_rows_get(const struct codec *, const uint32_t *slots, size_t n, void *out);
int codec_rows_sync(struct codec *);
/* See rows_unsure(). */
bool codec_rows_unsure(const struct codec *);
uint64_t codec_resident(const struct codec *);
uint64_t codec_disk(const struct codec *);

#endif
