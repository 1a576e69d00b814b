/* raw.c - postings of whole vectors: entries one after another, unaligned. */
#include <string.h>

#include "algorithms/common/rows/rows.h"
#include "algorithms/spfresh/codec/internal.h"
#include "src/core/mem.h"

int spfresh_codec_raw_encode(const struct spfresh_codec *c, const struct spfresh_members *m,
                             size_t first, size_t n, void *out)
{
    unsigned char *at = out;

    for (size_t i = first; i < first + n; i++, at += c->stride) {
        memcpy(at, m->rows + i * c->row_bytes, c->row_bytes);
        memcpy(at + c->row_bytes, &m->slots[i], sizeof m->slots[i]);
        memcpy(at + c->row_bytes + sizeof m->slots[i], &m->versions[i], c->version_bytes);
    }
    return OK;
}

int spfresh_codec_raw_decode(const struct spfresh_codec *c, const void *bytes, size_t n,
                             struct spfresh_members *to)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < n; i++, at += c->stride)
        spfresh_members_add(to, spfresh_codec_slot_at(at + c->row_bytes),
                            spfresh_codec_version_at(c, at + c->row_bytes + sizeof(uint32_t)), at);
    return OK;
}

/* Finds the new entries by their slots alone, so that the vectors of known copies are not read. */
static size_t find_new(struct spfresh_scan *x, const struct spfresh_codec *c,
                       const unsigned char *bytes, size_t n)
{
    struct spfresh_codec_scratch *scratch = x->scratch;
    size_t fresh = 0;

    for (size_t i = 0; i < n; i++) {
        const unsigned char *tail = bytes + i * c->stride + c->row_bytes;

        scratch->places[fresh] = (uint32_t)i;
        fresh += spfresh_codec_meet(scratch, spfresh_codec_slot_at(tail),
                                    spfresh_codec_version_at(c, tail + sizeof(uint32_t)));
    }
    return fresh;
}

int spfresh_codec_raw_scan(struct spfresh_scan *x, const struct spfresh_codec *c,
                           const unsigned char *bytes, size_t n_bytes)
{
    const size_t n = n_bytes / c->stride;
    struct spfresh_codec_scratch *scratch = x->scratch;

    if (!mem_grow(scratch->mem, &scratch->places, &scratch->n_places, n, sizeof *scratch->places) ||
        !spfresh_candidate_set_reserve(&scratch->met, scratch->mem,
                                       scratch->met.n +
                                           2 * n)) /* one key with version, one without */
        return fail(c->env.error, ERR_NO_MEMORY, "out of memory, cannot scan a posting of %zu", n);
    const size_t fresh = find_new(x, c, bytes, n);
    for (size_t i = 0; i < fresh; i++) {
        const unsigned char *entry = bytes + scratch->places[i] * c->stride;
        /* No software prefetch: entries are contiguous, so the hardware prefetches them. */
        const float distance = rows_distance(&c->env, x->query, entry);
        const float limit = x->found ? x->radius : topk_limit(&x->top);
        int rc;

        if (distance > limit)
            continue;
        rc = spfresh_codec_offer(
            x, spfresh_codec_slot_at(entry + c->row_bytes),
            spfresh_codec_version_at(c, entry + c->row_bytes + sizeof(uint32_t)), distance);
        if (rc != OK)
            return rc;
    }
    x->entries += (double)n;
    x->distances += (double)fresh;
    x->duplicates += (double)(n - fresh);
    x->bytes += (double)n_bytes;
    return OK;
}
