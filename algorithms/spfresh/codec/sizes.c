/* sizes.c - the number of bytes that the entries of a posting take. */
#include "algorithms/spfresh/codec/internal.h"

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
