/* codec.c - chooses the form of a posting, and has the code that all forms share. */
#include "algorithms/spfresh/codec/codec.h"

#include <string.h>

#include "algorithms/spfresh/codec/internal.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* 1. Creating a codec */

int spfresh_codec_create(struct spfresh_codec **out, const struct spfresh *s)
{
    const struct index_env *env = &s->base.env;
    struct spfresh_codec *c = mem_zalloc(env->mem, sizeof *c);

    if (!c)
        return spfresh_no_memory(s, "out of memory creating the index");
    c->kind = (enum spfresh_codec_kind)s->params.postings;
    c->env = *env;
    c->row_bytes = spfresh_row_bytes(s);
    c->version_bytes = s->params.version_bits ? 2 : 1;
    c->stride = c->row_bytes + sizeof(uint32_t) + c->version_bytes;
    c->s = s;
    c->global = s->params.code_centre == CODEC_CENTRE_GLOBAL;
    *out = c;
    return OK;
}

void spfresh_codec_destroy(struct spfresh_codec *c)
{
    if (!c)
        return;
    quantizer_destroy(&c->env, c->quantizer);
    mem_free(c->env.mem, c);
}

int spfresh_codec_train(struct spfresh_codec *c, struct vectors sample)
{
    return c->kind == CODEC_RAW ? OK : spfresh_codec_groups_train(c, sample);
}

/* Raw postings and an index that was never trained have no such section. */
int spfresh_codec_field(struct spfresh_codec *c, struct store_fields *f)
{
    struct quantizer *q = f->w ? c->quantizer : NULL;

    if (c->kind == CODEC_RAW || quantizer_field(f, "codec.quantizer", &c->env, &q) != OK || f->w ||
        !q)
        return f->code;
    quantizer_destroy(&c->env, c->quantizer);
    c->quantizer = q;
    spfresh_codec_groups_lay_out(c);
    return OK;
}

/* 2. Writing postings */

int spfresh_codec_encode(const struct spfresh_codec *c, const void *head_row,
                         const struct spfresh_members *m, size_t first, size_t n, void *out,
                         float *error)
{
    return c->kind == CODEC_RAW ? spfresh_codec_raw_encode(c, m, first, n, out)
                                : spfresh_codec_groups_encode(c, head_row, m, first, n, out, error);
}

int spfresh_codec_extend(const struct spfresh_codec *c, const void *head_row, size_t size,
                         const void *tail, const struct spfresh_members *m, size_t first, size_t n,
                         void *out, float *error)
{
    return c->kind == CODEC_RAW
               ? spfresh_codec_raw_encode(c, m, first, n, out)
               : spfresh_codec_groups_extend(c, head_row, size, tail, m, first, n, out, error);
}

int spfresh_codec_decode(const struct spfresh_codec *c, const void *bytes, size_t n_bytes, size_t n,
                         struct spfresh_members *to)
{
    if (n_bytes != spfresh_codec_bytes(c, n))
        return fail(c->env.error, ERR_CORRUPT, "%zu bytes where %zu entries take %zu", n_bytes, n,
                    spfresh_codec_bytes(c, n));
    return c->kind == CODEC_RAW ? spfresh_codec_raw_decode(c, bytes, n, to)
                                : spfresh_codec_groups_decode(c, bytes, n, to);
}

size_t spfresh_codec_count(const struct spfresh_codec *c, const void *bytes, size_t n_bytes)
{
    return c->kind == CODEC_RAW ? n_bytes / c->stride
                                : spfresh_codec_groups_count(c, bytes, n_bytes);
}

/* 3. Scanning */

struct spfresh_codec_scratch *spfresh_codec_scratch_create(const struct spfresh *s)
{
    struct spfresh_codec_scratch *x = mem_zalloc(s->base.env.mem, sizeof *x);

    if (x)
        x->mem = s->base.env.mem;
    return x;
}

void spfresh_codec_scratch_destroy(struct spfresh_codec_scratch *x)
{
    if (!x)
        return;
    spfresh_candidate_set_free(&x->met, x->mem);
    mem_free(x->mem, x->places);
    spfresh_codec_codes_free(x);
    mem_free(x->mem, x);
}

int spfresh_codec_scan_begin(struct spfresh_scan *x)
{
    spfresh_candidate_set_clear(&x->scratch->met);
    return x->s->codec->kind == CODEC_RAW ? OK : spfresh_codec_codes_begin(x, x->s->codec);
}

int spfresh_codec_scan(struct spfresh_scan *x, uint32_t head, float distance,
                       const unsigned char *bytes, size_t n_bytes)
{
    return x->s->codec->kind == CODEC_RAW
               ? spfresh_codec_raw_scan(x, x->s->codec, bytes, n_bytes)
               : spfresh_codec_codes_scan(x, x->s->codec, head, distance, bytes, n_bytes);
}

size_t spfresh_codec_found(const struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? x->top.n : x->scratch->met.n;
}

int spfresh_codec_scan_end(struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? OK : spfresh_codec_codes_end(x, x->s->codec);
}

uint64_t spfresh_codec_memory(const struct spfresh_codec *c)
{
    return sizeof *c + (c->quantizer ? quantizer_bytes(c->quantizer) : 0);
}
