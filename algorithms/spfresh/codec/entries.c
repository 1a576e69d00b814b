/* entries.c - the bytes that entries take, and whether one counts. */
#include "algorithms/spfresh/codec/internal.h"

/* Reads the version first: it determines which id the slot has for this entry. An entry one version
   behind counts too. Its vector is the same, as reuse of a slot adds 3; and the search may have
   begun before a move to a posting that it will not read or has read already. An entry one version
   ahead counts for the same reason: the search may reach the old postings too late. */
bool spfresh_codec_is_current(const struct spfresh_scan *x, uint32_t slot, unsigned version,
                              uint64_t *id)
{
    if (slot >= atomic_load_explicit(&x->s->slots.n, memory_order_acquire))
        return false;
    const unsigned now = spfresh_version(x->s, slot);
    if (now & VERSION_DELETED || version + 1 - now > 2)
        return false;
    const uint64_t *ids =
        atomic_load_explicit(&((struct spfresh *)(uintptr_t)x->s)->slots.ids, memory_order_acquire);
    *id = ids[slot];
    return index_filter_allows(x->filter, *id);
}

/* Before training the size of a code is unknown, but there are no codes either. */
size_t spfresh_codec_entries(const struct spfresh_codec *c, size_t pages)
{
    const size_t bytes = pages * POSTING_PAGE;
    size_t n = 0;

    if (c->kind == CODEC_RAW)
        n = bytes / c->stride;
    else if (c->quantizer) /* a posting has at least one group */
        n = bytes / c->group_bytes > 0 ? bytes / c->group_bytes * QUANTIZER_BLOCK : QUANTIZER_BLOCK;
    return n > 2 ? n : 2;
}

size_t spfresh_codec_bytes(const struct spfresh_codec *c, size_t n)
{
    return c->kind == CODEC_RAW ? n * c->stride
                                : (n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK * c->group_bytes;
}

size_t spfresh_codec_kept(const struct spfresh_codec *c, size_t size)
{
    return c->kind == CODEC_RAW ? spfresh_codec_bytes(c, size)
                                : size / QUANTIZER_BLOCK * c->group_bytes;
}
