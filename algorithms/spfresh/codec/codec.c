/* codec.c - the bytes of a posting: whole vectors, which lie one after another, unaligned; or codes
 * in groups of 64: a quantizer's block, then slots, then versions. Decoded entries. */
#include "algorithms/spfresh/codec/codec.h"

#include <string.h>

#include "algorithms/common/rows/rows.h"
#include "algorithms/spfresh/codec/internal.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { GROUP = QUANTIZER_BLOCK };

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

static void lay_out_groups(struct spfresh_codec *c)
{
    c->slots_at = c->quantizer->block_bytes;
    c->versions_at = c->slots_at + GROUP * sizeof(uint32_t);
    c->group_bytes = c->versions_at + GROUP * c->version_bytes;
}

/* Up to 4 bits, all bits are scanned at once; beyond, the sign bits alone exclude most entries. */
static struct quantizer_options options_of(const struct spfresh_codec *c)
{
    const struct spfresh_params *p = &c->s->params;
    struct quantizer_options o = { .seed = rng_mix(c->env.seed, 0x636f646563),
                                   .bits = (size_t)p->bits,
                                   .pq_groups = (size_t)p->pq_groups,
                                   .eps0 = p->eps0 };

    o.kind = c->kind == CODEC_SQ8  ? QUANTIZER_SQ8
             : c->kind == CODEC_PQ ? QUANTIZER_PQ
             : p->bits <= 4        ? QUANTIZER_PLANES
                                   : QUANTIZER_RABITQ;
    return o;
}

int spfresh_codec_train(struct spfresh_codec *c, struct vectors sample)
{
    enum { SAMPLE_MAX = 1 << 16 };
    const size_t n = sample.n < SAMPLE_MAX ? sample.n : SAMPLE_MAX;
    const struct quantizer_options options = options_of(c);
    struct quantizer *made = NULL;

    if (c->kind == CODEC_RAW)
        return OK;
    float *rows = mem_array(c->env.mem, n, c->env.dim * sizeof *rows);
    if (!rows)
        return spfresh_no_memory(c->s, "out of memory training its codes");
    for (size_t i = 0; i < n; i++)
        rows_to_floats(&c->env, (const char *)sample.rows + i * sample.n / n * c->row_bytes, 1,
                       rows + i * c->env.dim);
    const int rc = quantizer_train(&made, &c->env, &options, rows, n);
    mem_free(c->env.mem, rows);
    if (rc != OK)
        return rc;
    quantizer_destroy(&c->env, c->quantizer);
    c->quantizer = made;
    lay_out_groups(c);
    return OK;
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
    lay_out_groups(c);
    return OK;
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

uint64_t spfresh_codec_memory(const struct spfresh_codec *c)
{
    return sizeof *c + (c->quantizer ? quantizer_bytes(c->quantizer) : 0);
}

/* 2. Writing postings */

/* Clears the groups in `out`, except the first one if `from` > 0: that one has entries already. */
static void clear_groups(const struct spfresh_codec *c, unsigned char *out, size_t from,
                         size_t n_bytes)
{
    unsigned char *end = out + n_bytes;

    if (from > 0)
        out += c->group_bytes;
    for (; out < end; out += c->group_bytes) {
        memset(out, 0, c->group_bytes);
        memset(out + c->slots_at, 0xff, GROUP * sizeof(uint32_t)); /* SLOT_NONE */
    }
}

/* Writes members to the groups at `out`, from place `at` on. */
static int put_members(const struct spfresh_codec *c, const void *head_row,
                       const struct spfresh_members *m, unsigned char *out, size_t at, float *error)
{
    const struct quantizer *q = c->quantizer;
    const size_t width = (q->work_dim + 15) / 16 * 16;
    float *space = mem_array(c->env.mem, 2 * width + c->env.dim, sizeof *space);

    if (!space)
        return spfresh_no_memory(c->s, "out of memory coding a posting");
    float *centre = space, *rotated = space + width, *row = space + 2 * width;
    memset(centre, 0, width * sizeof *centre);
    if (q->per_list && !c->global) {
        rows_to_floats(&c->env, head_row, 1, row);
        quantizer_transform(q, row, 1, centre);
    }
    for (size_t i = 0; i < m->n; i++, at++) {
        unsigned char *group = out + at / GROUP * c->group_bytes;

        rows_to_floats(&c->env, m->rows + i * c->row_bytes, 1, row);
        quantizer_transform(q, row, 1, rotated);
        const float off = quantizer_put(q, rotated, centre, group, at % GROUP);
        *error = off > *error ? off : *error;
        memcpy(group + c->slots_at + at % GROUP * sizeof(uint32_t), &m->slots[i], sizeof(uint32_t));
        memcpy(group + c->versions_at + at % GROUP * c->version_bytes, &m->versions[i],
               c->version_bytes);
    }
    mem_free(c->env.mem, space);
    return OK;
}

int spfresh_codec_extend(const struct spfresh_codec *c, const void *head_row, size_t size,
                         const void *tail, const struct spfresh_members *m, void *out, float *error)
{
    const size_t used = size % GROUP;
    unsigned char *at = out;

    if (c->kind != CODEC_RAW) {
        if (used > 0)
            memcpy(out, tail, c->group_bytes);
        clear_groups(c, out, used,
                     spfresh_codec_bytes(c, size + m->n) - spfresh_codec_kept(c, size));
        return put_members(c, head_row, m, out, used, error);
    }
    for (size_t i = 0; i < m->n; i++, at += c->stride) {
        memcpy(at, m->rows + i * c->row_bytes, c->row_bytes);
        memcpy(at + c->row_bytes, &m->slots[i], sizeof m->slots[i]);
        memcpy(at + c->row_bytes + sizeof m->slots[i], &m->versions[i], c->version_bytes);
    }
    return OK;
}

/* 3. Reading them */

static uint32_t slot_of(const struct spfresh_codec *c, const unsigned char *bytes, size_t i)
{
    return spfresh_codec_slot_at(bytes + i / GROUP * c->group_bytes + c->slots_at +
                                 i % GROUP * sizeof(uint32_t));
}

/* Only the last group has free places, after the used ones: found by bisection. An incomplete
   group, cut off by a page budget, is not counted. */
size_t spfresh_codec_count(const struct spfresh_codec *c, const void *bytes, size_t n_bytes)
{
    if (c->kind == CODEC_RAW)
        return n_bytes / c->stride;
    const size_t groups = n_bytes / c->group_bytes;
    size_t first = groups > 0 ? (groups - 1) * GROUP : 0, end = groups * GROUP;

    while (first < end) {
        const size_t middle = (first + end) / 2;

        if (slot_of(c, bytes, middle) == SLOT_NONE)
            end = middle;
        else
            first = middle + 1;
    }
    return first;
}

int spfresh_codec_decode(const struct spfresh_codec *c, const void *bytes, size_t n_bytes, size_t n,
                         struct spfresh_members *to)
{
    const unsigned char *at = bytes;

    if (n_bytes != spfresh_codec_bytes(c, n))
        return fail(c->env.error, ERR_CORRUPT, "%zu bytes where %zu entries take %zu", n_bytes, n,
                    spfresh_codec_bytes(c, n));
    for (size_t i = 0; c->kind == CODEC_RAW && i < n; i++, at += c->stride)
        spfresh_members_add(to, spfresh_codec_slot_at(at + c->row_bytes),
                            spfresh_codec_version_at(c, at + c->row_bytes + sizeof(uint32_t)), at);
    if (c->kind == CODEC_RAW)
        return OK;
    if (spfresh_codec_count(c, bytes, n_bytes) != n)
        return fail(c->env.error, ERR_CORRUPT, "its bytes are not those of %zu entries", n);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *group = (const unsigned char *)bytes + i / GROUP * c->group_bytes;

        to->slots[to->n] = slot_of(c, bytes, i);
        to->versions[to->n] = (uint16_t)spfresh_codec_version_at(
            c, group + c->versions_at + i % GROUP * c->version_bytes);
        if (to->slots[to->n] == SLOT_NONE)
            return fail(c->env.error, ERR_CORRUPT, "entry %zu of %zu belongs to no slot", i, n);
        to->n++;
    }
    return OK;
}

/* 4. Members */

void spfresh_members_init(struct spfresh_members *m, const struct spfresh *s)
{
    *m = (struct spfresh_members){ .row_bytes = spfresh_row_bytes(s), .mem = s->base.env.mem };
}

void spfresh_members_free(struct spfresh_members *m)
{
    mem_free(m->mem, m->slots);
    mem_free(m->mem, m->versions);
    mem_free(m->mem, m->rows);
    m->slots = NULL;
    m->versions = NULL;
    m->rows = NULL;
    m->n = m->capacity = 0;
}

bool spfresh_members_reserve(struct spfresh_members *m, size_t n)
{
    if (n <= m->capacity)
        return true;
    const size_t more = n > 2 * m->capacity ? n : 2 * m->capacity;
    if (!mem_fit(m->mem, &m->slots, more, sizeof *m->slots) ||
        !mem_fit(m->mem, &m->versions, more, sizeof *m->versions) ||
        !mem_fit(m->mem, &m->rows, more, m->row_bytes))
        return false;
    m->capacity = more;
    return true;
}

void spfresh_members_add(struct spfresh_members *m, uint32_t slot, unsigned version,
                         const void *row)
{
    m->slots[m->n] = slot;
    m->versions[m->n] = (uint16_t)version;
    memcpy(m->rows + m->n * m->row_bytes, row, m->row_bytes);
    m->n++;
}
