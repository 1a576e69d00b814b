/* file.c - a generation in a snapshot: model, buckets, residual codes. The tags of generation g
   end in g. */
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

struct stored_generation {
    uint64_t version;                                      /* of the model of codes and words */
    uint64_t n, n_vacant, live, positions, blocks, filled; /* filled: buckets that are not vacant */
    uint64_t emptied;
};

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

static bool is_vacant(const struct asteria_bucket *b)
{
    return !b->centre;
}

/* Of kept slots whose row is in this generation. */
static bool has_code(const struct asteria *a, uint32_t slot, unsigned which)
{
    return asteria_keeps(a, slot) && a->places[slot].generation == which;
}

/* ------------------------------------------------------------------------------- writing */

struct values {
    const struct stored_generation *head;
    const struct stored_bucket *buckets;
    const uint32_t *vacant, *slots;
    const uint64_t *words, *alive;
    const unsigned char *blocks, *codes;
    const float *centres;
};

/* The codes are those of n_codes slots that are kept and whose row is in this generation. */
static int fields(struct store_fields *f, const struct asteria *a, unsigned which, size_t n_codes,
                  struct values *v)
{
    const struct asteria_generation *g = a->generations[which];
    const struct asteria_model *m = g->model;
    const size_t centre = bucket_floats(m) * sizeof *v->centres, block = m->quantizer->block_bytes;
    const struct asteria_bucket *b = g->buckets, *end = b ? b + g->n : b;
    const char last = (char)('0' + which);

    if (store_field(f, store_tag("gen", last).text, &v->head, 1, sizeof *v->head) != OK)
        return f->code;
    const struct stored_generation *h = v->head;
    if (h->version != m->fitted.version)
        return f->code = fail(
                   f->r->error, ERR_VERSION,
                   "asteria: load: %s: rows are encoded by version %llu of the model, which is of "
                   "version %u; build the index again",
                   f->r->path, (unsigned long long)h->version, (unsigned)m->fitted.version);
    if (store_pieces(f, store_tag("buckets", last).text, &v->buckets, h->n, sizeof *v->buckets))
        for (struct asteria_bucket *of = g->buckets; of < end; of++) {
            struct stored_bucket stored = {
                .probed = atomic_load_explicit(&of->probed, memory_order_relaxed), .gone = of->gone
            };
            memcpy(&stored, of, LIKE_A_BUCKET);
            store_write(f->w, &stored, sizeof stored);
        }
    /* An older generation has dropped its last buckets, vacant ones too. */
    if (store_pieces(f, store_tag("vacant", last).text, &v->vacant, h->n_vacant, sizeof *v->vacant))
        for (size_t i = 0; i < g->n_vacant; i++)
            if (g->vacant[i] < g->n)
                store_write(f->w, &g->vacant[i], sizeof *v->vacant);
    if (store_pieces(f, store_tag("slots", last).text, &v->slots, h->positions, sizeof *v->slots))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->slots, b->n * sizeof *v->slots);
    if (store_pieces(f, store_tag("words", last).text, &v->words, h->positions, sizeof *v->words))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->words, b->n * sizeof *v->words);
    if (store_pieces(f, store_tag("alive", last).text, &v->alive, h->blocks, sizeof *v->alive))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->alive, bucket_blocks(b->n) * sizeof *v->alive);
    if (store_pieces(f, store_tag("blocks", last).text, &v->blocks, h->blocks, block))
        for (b = g->buckets; b < end; b++)
            store_write(f->w, b->blocks, bucket_blocks(b->n) * block);
    if (store_pieces(f, store_tag("centres", last).text, &v->centres, h->filled, centre))
        for (b = g->buckets; b < end; b++)
            if (!is_vacant(b))
                store_write(f->w, b->centre, centre);
    if (store_pieces(f, store_tag("codes", last).text, &v->codes, n_codes, m->lrsq->code_bytes))
        for (uint32_t slot = 0; slot < a->n_slots; slot++)
            if (has_code(a, slot, which))
                store_write(f->w, segmented_at(&g->codes, slot), m->lrsq->code_bytes);
    return f->code;
}

static size_t count_codes(const struct asteria *a, unsigned which)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        n += has_code(a, slot, which);
    return n;
}

void asteria_generation_write(const struct asteria *a, unsigned which, struct store_writer *w)
{
    const struct asteria_generation *g = a->generations[which];
    struct stored_generation head = {
        .version = g->model->fitted.version, .n = g->n, .live = g->live, .emptied = g->emptied
    };
    struct values v = { .head = &head };

    for (size_t i = 0; i < g->n; i++) {
        head.positions += g->buckets[i].n;
        head.blocks += bucket_blocks(g->buckets[i].n);
        head.filled += !is_vacant(&g->buckets[i]);
    }
    for (size_t i = 0; i < g->n_vacant; i++)
        head.n_vacant += g->vacant[i] < g->n;
    asteria_model_write(g->model, w, (char)('0' + which));
    (void)fields(&(struct store_fields){ .w = w }, a, which, count_codes(a, which), &v);
}

/* ------------------------------------------------------------------------------- reading */

static int no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: load: out of memory for buckets");
}

/* Whether the buckets have as many positions and blocks as the head says, so that no more than the
   sections have is read. asteria_check_places() sees what else is wrong. */
static bool add_up(const struct values *v)
{
    const struct stored_generation *h = v->head;
    struct stored_generation sums = { 0 };

    for (size_t i = 0; i < h->n; i++) {
        const struct stored_bucket *s = &v->buckets[i];

        if (s->address == UINT32_MAX)
            continue;
        sums.filled++;
        sums.positions += s->n;
        sums.blocks += bucket_blocks(s->n);
    }
    return sums.filled == h->filled && sums.positions == h->positions && sums.blocks == h->blocks &&
           h->n - h->filled == h->n_vacant;
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
    const struct stored_generation *h = v->head;
    struct mem *mem = a->base.env.mem;
    struct values left = *v;
    int rc = OK;

    if (!add_up(v))
        return store_corrupt(r, "buckets' rows do not add up");
    if (!mem_grow(mem, &g->buckets, &g->capacity, h->n, sizeof *g->buckets) ||
        !mem_grow(mem, &g->vacant, &g->vacant_capacity, h->n, sizeof *g->vacant) ||
        !mem_grow(mem, &g->centres, &g->centres_capacity, h->n,
                  g->model->dim * sizeof *g->centres) ||
        !segmented_grow(&g->codes, a->n_slots))
        return no_memory(a);
    for (const struct stored_bucket *s = v->buckets; rc == OK && s < v->buckets + h->n; s++) {
        if (s->address == UINT32_MAX) {
            memset(g->centres + g->n * g->model->dim, 0, g->model->dim * sizeof *g->centres);
            g->buckets[g->n++] = (struct asteria_bucket){ .address = UINT32_MAX };
            continue;
        }
        if (s->address >> g->model->ecc.k != 0 ||
            asteria_generation_find(g, s->address) != UINT32_MAX)
            return store_corrupt(r, "a bucket's address is invalid, or used twice");
        rc = add_bucket(a, g, s, &left);
    }
    for (size_t i = 0; rc == OK && i < h->n_vacant; i++) {
        if (v->vacant[i] >= g->n || !is_vacant(&g->buckets[v->vacant[i]]))
            return store_corrupt(r, "a bucket is vacant that is not");
        g->vacant[g->n_vacant++] = v->vacant[i];
    }
    g->live = (size_t)h->live;
    g->emptied = h->emptied < g->n ? (size_t)h->emptied : g->n;
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
        rc = fields(&(struct store_fields){ .r = r }, a, which, count_codes(a, which), &v);
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
