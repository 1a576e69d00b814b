/* codec_raw.c - postings of whole vectors: entries one after another, unaligned. */
#include <string.h>

#include "algorithms/spfresh/codec_state.h"
#include "src/core/mem.h"

int codec_raw_encode(const struct codec *c, const struct members *m, size_t first, size_t n,
                     void *out)
{
    unsigned char *at = out;

    for (size_t i = first; i < first + n; i++, at += c->stride) {
        memcpy(at, m->rows + i * c->row_bytes, c->row_bytes);
        memcpy(at + c->row_bytes, &m->slots[i], sizeof m->slots[i]);
        memcpy(at + c->row_bytes + sizeof m->slots[i], &m->versions[i], c->version_bytes);
    }
    return OK;
}

int codec_raw_decode(const struct codec *c, const void *bytes, size_t n, struct members *to)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < n; i++, at += c->stride)
        members_add(to, codec_slot_at(at + c->row_bytes),
                    codec_version_at(c, at + c->row_bytes + sizeof(uint32_t)), at);
    return OK;
}

/* First which entries are new, from their slots alone; a copy's vector is then not touched. */
static size_t find_new(struct scan *x, const struct codec *c, const unsigned char *bytes, size_t n)
{
    struct codec_scratch *scratch = x->scratch;
    size_t fresh = 0;

    for (size_t i = 0; i < n; i++) {
        const unsigned char *tail = bytes + i * c->stride + c->row_bytes;

        scratch->places[fresh] = (uint32_t)i;
        fresh += seen_add(&scratch->seen, codec_slot_at(tail),
                          codec_version_at(c, tail + sizeof(uint32_t)));
    }
    return fresh;
}

int codec_raw_scan(struct scan *x, const struct codec *c, const unsigned char *bytes,
                   size_t n_bytes)
{
    const size_t n = n_bytes / c->stride;
    struct codec_scratch *scratch = x->scratch;

    if (!mem_grow(scratch->mem, &scratch->places, &scratch->n_places, n, sizeof *scratch->places) ||
        !seen_reserve(&scratch->seen, 2 * n)) /* of a slot and version, and of a slot */
        return fail(c->env.error, ERR_NO_MEMORY, "no memory to scan a posting of %zu", n);
    const size_t fresh = find_new(x, c, bytes, n);
    for (size_t i = 0; i < fresh; i++) {
        const unsigned char *entry = bytes + scratch->places[i] * c->stride;
        /* What is ahead is fetched by the hardware: entries lie in a row. */
        const float distance = codec_distance(c, x->query, entry);
        const float limit = x->found ? x->radius : topk_limit(&x->top);
        int rc;

        if (distance > limit)
            continue;
        rc = codec_offer(x, codec_slot_at(entry + c->row_bytes),
                         codec_version_at(c, entry + c->row_bytes + sizeof(uint32_t)), distance);
        if (rc != OK)
            return rc;
    }
    x->entries += (double)n;
    x->distances += (double)fresh;
    x->duplicates += (double)(n - fresh);
    x->bytes += (double)n_bytes;
    return OK;
}
