/* codec.c - see codec.h: which form a posting has, and what all forms share. */
#include "algorithms/spfresh/codec.h"

#include <string.h>

#include "algorithms/spfresh/codec_state.h"
#include "src/core/mem.h"

/* 1. Making one */

int codec_create(struct codec **out, const struct spfresh *s)
{
    const struct index_env *env = &s->base.env;
    struct codec *c = mem_zalloc(env->mem, sizeof *c);

    if (!c)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory creating the index",
                    s->base.ops->name);
    c->kind = (enum codec_kind)s->params.postings;
    c->env = *env;
    c->row_bytes = spfresh_row_bytes(s);
    c->version_bytes = s->params.version_bits ? 2 : 1;
    c->stride = c->row_bytes + sizeof(uint32_t) + c->version_bytes;
    *out = c;
    if (c->kind != CODEC_RAW) {
        codec_destroy(c);
        *out = NULL;
        return fail(env->error, ERR_UNSUPPORTED, "%s: only postings = raw yet", s->base.ops->name);
    }
    return OK;
}

void codec_destroy(struct codec *c)
{
    if (c)
        mem_free(c->env.mem, c);
}

int codec_train(struct codec *c, struct vectors sample)
{
    (void)c;
    (void)sample;
    return OK;
}

int codec_save(const struct codec *c, struct store_writer *w)
{
    (void)c;
    (void)w;
    return OK;
}

int codec_load(struct codec *c, const struct store_reader *r)
{
    (void)c;
    (void)r;
    return OK;
}

size_t codec_entries(const struct codec *c, size_t pages)
{
    const size_t n = pages * POSTING_PAGE / c->stride;

    return n > 2 ? n : 2;
}

size_t codec_bytes(const struct codec *c, size_t n)
{
    return n * c->stride;
}

bool codec_has_rows(const struct codec *c)
{
    return c->kind != CODEC_RAW;
}

/* 2. Writing postings */

uint32_t codec_slot_at(const unsigned char *bytes)
{
    uint32_t slot;

    memcpy(&slot, bytes, sizeof slot);
    return slot;
}

unsigned codec_version_at(const struct codec *c, const unsigned char *bytes)
{
    uint16_t version = 0;

    memcpy(&version, bytes, c->version_bytes);
    return version;
}

int codec_encode(const struct codec *c, const void *head_row, const struct members *m, size_t first,
                 size_t n, void *out, float *error)
{
    (void)head_row;
    (void)error;
    return codec_raw_encode(c, m, first, n, out);
}

size_t codec_kept(const struct codec *c, size_t size)
{
    return codec_bytes(c, size);
}

int codec_extend(const struct codec *c, const void *head_row, size_t size, const void *tail,
                 const struct members *m, size_t first, size_t n, void *out, float *error)
{
    (void)head_row;
    (void)size;
    (void)tail;
    (void)error;
    return codec_raw_encode(c, m, first, n, out);
}

int codec_decode(const struct codec *c, const void *bytes, size_t n_bytes, size_t n,
                 struct members *to)
{
    if (n_bytes != codec_bytes(c, n))
        return fail(c->env.error, ERR_CORRUPT, "%zu bytes where %zu entries take %zu", n_bytes, n,
                    codec_bytes(c, n));
    return codec_raw_decode(c, bytes, n, to);
}

size_t codec_count(const struct codec *c, const void *bytes, size_t n_bytes)
{
    (void)bytes;
    return n_bytes / c->stride;
}

/* 3. Scanning */

struct codec_scratch *codec_scratch_create(const struct spfresh *s)
{
    struct codec_scratch *x = mem_zalloc(s->base.env.mem, sizeof *x);

    if (x) {
        x->mem = s->base.env.mem;
        seen_init(&x->seen, x->mem);
    }
    return x;
}

void codec_scratch_destroy(struct codec_scratch *x)
{
    if (!x)
        return;
    seen_free(&x->seen);
    mem_free(x->mem, x->places);
    mem_free(x->mem, x);
}

int codec_scan_begin(struct scan *x)
{
    return seen_begin(&x->scratch->seen, 0)
               ? OK
               : fail(x->s->base.env.error, ERR_NO_MEMORY, "no memory for a search");
}

/* The version first: it is what makes the slot's id the one of this entry. */
int codec_offer(struct scan *x, uint32_t slot, unsigned version, float distance)
{
    if (slot >= atomic_load_explicit(&x->s->slots.n, memory_order_acquire) ||
        spfresh_version(x->s, slot) != version)
        return OK;
    const uint64_t *ids =
        atomic_load_explicit(&((struct spfresh *)(uintptr_t)x->s)->slots.ids, memory_order_acquire);
    const uint64_t id = ids[slot];
    if (!id_filter_allows(x->filter, id))
        return OK;
    if (x->found)
        return x->found(x->to, id, distance);
    topk_push(&x->top, distance, id);
    return OK;
}

int codec_scan(struct scan *x, uint32_t head, float distance, const unsigned char *bytes,
               size_t n_bytes)
{
    (void)head;
    (void)distance;
    return codec_raw_scan(x, x->s->codec, bytes, n_bytes);
}

int codec_scan_end(struct scan *x)
{
    (void)x;
    return OK;
}

/* 4. Rows by slot */

int codec_rows_put(struct codec *c, const uint32_t *slots, const void *const *rows, size_t n)
{
    (void)c;
    (void)slots;
    (void)rows;
    (void)n;
    return OK;
}

int codec_rows_get(const struct codec *c, const uint32_t *slots, size_t n, void *out)
{
    (void)slots;
    (void)n;
    (void)out;
    return fail(c->env.error, ERR_UNSUPPORTED, "raw postings have their rows");
}

int codec_rows_sync(struct codec *c)
{
    (void)c;
    return OK;
}

uint64_t codec_resident(const struct codec *c)
{
    return sizeof *c;
}

uint64_t codec_disk(const struct codec *c)
{
    (void)c;
    return 0;
}
