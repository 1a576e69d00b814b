/* file.c - a generation in a snapshot: model, buckets, residual codes. The tags of generation g
   end in g. */
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

/* The first members of a bucket. */
struct stored_bucket {
    uint32_t address, n, live, centred_n;
    float error, rest, angle_min, angle_max, near, far;
    uint32_t probed, gone;
};
enum { LIKE_A_BUCKET = offsetof(struct stored_bucket, probed) };
_Static_assert(offsetof(struct asteria_bucket, probed) == LIKE_A_BUCKET &&
                   offsetof(struct asteria_bucket, far) == offsetof(struct stored_bucket, far) &&
                   offsetof(struct asteria_bucket, error) == offsetof(struct stored_bucket, error),
               "a file has a bucket's first members");

/* Of kept slots whose row is in this generation. */
static bool has_code(const struct asteria *a, uint32_t slot, unsigned which)
{
    return asteria_keeps(a, slot) && a->places[slot].generation == which;
}

/* ------------------------------------------------------------------------------- writing */

struct values {
    const struct stored_bucket *buckets;
    size_t n; /* of them */
    const uint32_t *slots;
    const uint64_t *words, *alive;
    const unsigned char *blocks, *codes;
    const float *centres;
};

static int fields(struct store_fields *f, const struct asteria *a, unsigned which, struct values *v)
{
    const struct asteria_generation *g = a->generations[which];
    const struct asteria_model *m = g->model;
    const size_t centre = bucket_floats(m) * sizeof *v->centres, block = m->quantizer->block_bytes;
    const struct asteria_bucket *b = g->buckets, *end = b ? b + g->n : b;
    const char last = (char)('0' + which);
    uint64_t positions = 0, blocks = 0, n_codes = 0;

    if (f->r && store_field_whole(f, store_tag("buckets", last).text, &v->buckets, &v->n,
                                  sizeof *v->buckets) != OK)
        return f->code;
    if (f->w)
        store_section(f->w, store_tag("buckets", last).text);
    for (struct asteria_bucket *of = g->buckets; f->w && of < end; of++) {
        struct stored_bucket stored = { .probed =
                                            atomic_load_explicit(&of->probed, memory_order_relaxed),
                                        .gone = of->gone };
        memcpy(&stored, of, LIKE_A_BUCKET);
        store_write(f->w, &stored, sizeof stored);
    }
    for (size_t i = 0; i < v->n; i++) {
        const uint32_t n = f->w ? g->buckets[i].n : v->buckets[i].n;
        positions += n;
        blocks += bucket_blocks(n);
    }
    if (store_pieces(f, store_tag("slots", last).text, &v->slots, positions, sizeof *v->slots))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->slots, b->n * sizeof *v->slots);
    if (store_pieces(f, store_tag("words", last).text, &v->words, positions, sizeof *v->words))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->words, b->n * sizeof *v->words);
    if (store_pieces(f, store_tag("alive", last).text, &v->alive, blocks, sizeof *v->alive))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->alive, bucket_blocks(b->n) * sizeof *v->alive);
    if (store_pieces(f, store_tag("blocks", last).text, &v->blocks, blocks, block))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->blocks, bucket_blocks(b->n) * block);
    if (store_pieces(f, store_tag("centres", last).text, &v->centres, v->n, centre))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->centre, centre);
    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        n_codes += has_code(a, slot, which);
    if (store_pieces(f, store_tag("codes", last).text, &v->codes, n_codes, m->lrsq->code_bytes))
        for (uint32_t slot = 0; slot < a->n_slots; slot++)
            if (has_code(a, slot, which))
                store_write(f->w, segmented_at(&g->codes, slot), m->lrsq->code_bytes);
    return f->code;
}

void asteria_generation_write(const struct asteria *a, unsigned which, struct store_writer *w)
{
    const struct asteria_generation *g = a->generations[which];
    struct values v = { .n = g->n };

    asteria_model_write(g->model, w, (char)('0' + which));
    (void)fields(&(struct store_fields){ .w = w }, a, which, &v);
}

/* ------------------------------------------------------------------------------- reading */

static int no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: load: out of memory for buckets");
}

/* Appends a bucket; advances *from, whose arrays go on with the next one's. */
static int add_bucket(struct asteria *a, struct asteria_generation *g,
                      const struct stored_bucket *s, struct values *from)
{
    const struct asteria_model *m = g->model;
    const size_t blocks = bucket_blocks(s->n), block = m->quantizer->block_bytes;
    struct mem *mem = a->base.env.mem;
    struct asteria_bucket *b = &g->buckets[g->n];

    *b = (struct asteria_bucket){ .codeword = asteria_ecc_codeword(&m->ecc, s->address) };
    if (!asteria_bucket_begin(b, m, mem))
        return no_memory(a);
    g->n++; /* from here on it is freed with the generation */
    if (!asteria_bucket_grow(b, m, mem, s->n) || !idmap_put(&g->of_address, s->address, g->n - 1))
        return no_memory(a);
    memcpy(b, s, LIKE_A_BUCKET);
    atomic_store_explicit(&b->probed, s->probed, memory_order_relaxed);
    b->gone = s->gone;
    memcpy(b->centre, from->centres, bucket_floats(m) * sizeof *b->centre);
    memcpy(g->centres + (g->n - 1) * m->dim, b->centre, m->dim * sizeof *b->centre);
    from->centres += bucket_floats(m);
    if (b->n == 0)
        return OK;
    memcpy(b->slots, from->slots, b->n * sizeof *b->slots);
    memcpy(b->words, from->words, b->n * sizeof *b->words);
    memcpy(b->alive, from->alive, blocks * sizeof *b->alive);
    memcpy(b->blocks, from->blocks, blocks * block);
    from->slots += b->n;
    from->words += b->n;
    from->alive += blocks;
    from->blocks += blocks * block;
    return OK;
}

static int read_buckets(struct asteria *a, unsigned which, const struct values *v,
                        const struct store_reader *r)
{
    struct asteria_generation *g = a->generations[which];
    struct mem *mem = a->base.env.mem;
    struct values left = *v;
    int rc = OK;

    if (!mem_grow(mem, &g->buckets, &g->capacity, v->n, sizeof *g->buckets) ||
        !mem_grow(mem, &g->centres, &g->centres_capacity, v->n,
                  g->model->dim * sizeof *g->centres) ||
        !segmented_grow(&g->codes, a->n_slots))
        return no_memory(a);
    for (const struct stored_bucket *s = v->buckets; rc == OK && s < v->buckets + v->n; s++) {
        if (s->address >> g->model->ecc.k != 0 ||
            asteria_generation_find(g, s->address) != UINT32_MAX)
            return store_corrupt(r, "a bucket's address is invalid, or used twice");
        rc = add_bucket(a, g, s, &left);
        g->live += s->live;
    }
    return rc;
}

int asteria_generation_read(struct asteria *a, unsigned which, const struct store_reader *r)
{
    const struct index_env *env = &a->base.env;
    struct asteria_model *model = NULL;
    struct values v = { 0 };
    int rc = asteria_model_read(&model, env, r, (char)('0' + which));

    if (rc == OK)
        rc = asteria_generation_create(&a->generations[which], env, model);
    if (rc == OK)
        rc = fields(&(struct store_fields){ .r = r }, a, which, &v);
    if (rc == OK)
        rc = read_buckets(a, which, &v, r);
    for (uint32_t slot = 0; rc == OK && slot < a->n_slots; slot++)
        if (has_code(a, slot, which)) {
            memcpy(segmented_at(&a->generations[which]->codes, slot), v.codes,
                   model->lrsq->code_bytes);
            v.codes += model->lrsq->code_bytes;
        }
    return rc;
}
