/* codec.c - chooses the form of a posting; postings of whole vectors, which lie one after another,
 * unaligned; the code that all forms share; decoded entries. */
#include "algorithms/spfresh/codec/codec.h"

#include <string.h>

#include "algorithms/common/rows/rows.h"
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

int spfresh_codec_extend(const struct spfresh_codec *c, const void *head_row, size_t size,
                         const void *tail, const struct spfresh_members *m, void *out, float *error)
{
    unsigned char *at = out;

    if (c->kind != CODEC_RAW)
        return spfresh_codec_groups_extend(c, head_row, size, tail, m, out, error);
    for (size_t i = 0; i < m->n; i++, at += c->stride) {
        memcpy(at, m->rows + i * c->row_bytes, c->row_bytes);
        memcpy(at + c->row_bytes, &m->slots[i], sizeof m->slots[i]);
        memcpy(at + c->row_bytes + sizeof m->slots[i], &m->versions[i], c->version_bytes);
    }
    return OK;
}

int spfresh_codec_decode(const struct spfresh_codec *c, const void *bytes, size_t n_bytes, size_t n,
                         struct spfresh_members *to)
{
    if (n_bytes != spfresh_codec_bytes(c, n))
        return fail(c->env.error, ERR_CORRUPT, "%zu bytes where %zu entries take %zu", n_bytes, n,
                    spfresh_codec_bytes(c, n));
    if (c->kind != CODEC_RAW)
        return spfresh_codec_groups_decode(c, bytes, n, to);
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++, at += c->stride)
        spfresh_members_add(to, spfresh_codec_slot_at(at + c->row_bytes),
                            spfresh_codec_version_at(c, at + c->row_bytes + sizeof(uint32_t)), at);
    return OK;
}

size_t spfresh_codec_count(const struct spfresh_codec *c, const void *bytes, size_t n_bytes)
{
    return c->kind == CODEC_RAW ? n_bytes / c->stride
                                : spfresh_codec_groups_count(c, bytes, n_bytes);
}

/* 3. Scanning */

/* Adds an entry of a raw posting to `met`, in which space is reserved; false: it is there. The
   version is a part of the key because a stale entry must not hide a current one. */
static inline bool meet(struct spfresh_codec_scratch *x, uint32_t slot, unsigned version)
{
    const size_t n = x->met.n;

    return key_set_add(&x->met, (uint64_t)slot << 16 | version) == n;
}

/* Passes an entry that is current, allowed by the filter and new to top or, in a range search, to
   `found`. Returns the error of `found`. */
static int offer(struct spfresh_scan *x, uint32_t slot, unsigned version, float distance)
{
    uint64_t id;

    if (!spfresh_codec_is_current(x, slot, version, &id) ||
        !meet(x->scratch, slot, VERSION_DELETED)) /* key of the slot alone */
        return OK;
    if (x->found)
        return x->found(x->to, id, distance);
    topk_push(&x->top, distance, id);
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
        fresh += meet(scratch, spfresh_codec_slot_at(tail),
                      spfresh_codec_version_at(c, tail + sizeof(uint32_t)));
    }
    return fresh;
}

static int raw_scan(struct spfresh_scan *x, const struct spfresh_codec *c,
                    const unsigned char *bytes, size_t n_bytes)
{
    const size_t n = n_bytes / c->stride;
    struct spfresh_codec_scratch *scratch = x->scratch;

    if (!mem_grow(scratch->mem, &scratch->places, &scratch->n_places, n, sizeof *scratch->places) ||
        !key_set_reserve(&scratch->met, scratch->mem,
                         scratch->met.n + 2 * n)) /* one key with version, one without */
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
        rc = offer(x, spfresh_codec_slot_at(entry + c->row_bytes),
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
    key_set_free(&x->met, x->mem);
    mem_free(x->mem, x->places);
    spfresh_codec_codes_free(x);
    mem_free(x->mem, x);
}

int spfresh_codec_scan_begin(struct spfresh_scan *x)
{
    key_set_clear(&x->scratch->met);
    return x->s->codec->kind == CODEC_RAW ? OK : spfresh_codec_codes_begin(x, x->s->codec);
}

int spfresh_codec_scan(struct spfresh_scan *x, uint32_t head, float distance,
                       const unsigned char *bytes, size_t n_bytes)
{
    return x->s->codec->kind == CODEC_RAW
               ? raw_scan(x, x->s->codec, bytes, n_bytes)
               : spfresh_codec_codes_scan(x, x->s->codec, head, distance, bytes, n_bytes);
}

size_t spfresh_codec_found(const struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? x->top.n : x->scratch->met.n;
}

const struct topk *spfresh_codec_nearest(const struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? &x->top : &x->scratch->best;
}

int spfresh_codec_scan_end(struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? OK : spfresh_codec_codes_end(x, x->s->codec);
}

uint64_t spfresh_codec_memory(const struct spfresh_codec *c)
{
    return sizeof *c + (c->quantizer ? quantizer_bytes(c->quantizer) : 0);
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
