/* file.c - a generation in a snapshot: model, buckets, residual codes. The tags of generation g
   end in g. */
#include <string.h>

#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/rows/slots.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

struct stored_generation {
    uint64_t version;                                      /* of the model of codes and words */
    uint64_t n, n_vacant, live, positions, blocks, filled; /* filled: buckets that are not vacant */
    uint64_t emptied;
};

struct stored_bucket {
    uint32_t address, n, live, centred_n;
    float error, rest, angle_min, angle_max, near, far;
    uint32_t probed, gone;
};

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

static struct stored_bucket stored_of(const struct asteria_bucket *b)
{
    struct stored_bucket s;

    memset(&s, 0, sizeof s);
    s.address = b->address;
    if (is_vacant(b))
        return s;
    s.n = b->n;
    s.live = b->live;
    s.centred_n = b->centred_n;
    s.gone = b->gone;
    s.error = b->error;
    s.rest = b->rest;
    s.angle_min = b->angle_min;
    s.angle_max = b->angle_max;
    s.near = b->near;
    s.far = b->far;
    s.probed = atomic_load_explicit(&((struct asteria_bucket *)(uintptr_t)b)->probed,
                                    memory_order_relaxed);
    return s;
}

static void write_buckets(const struct asteria_generation *g, struct store_writer *w)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct stored_bucket s = stored_of(&g->buckets[i]);
        store_write(w, &s, sizeof s);
    }
}

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
        write_buckets(g, f->w);
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

static bool reserve(struct asteria_generation *g, struct mem *mem, size_t n, size_t n_slots)
{
    return mem_grow(mem, &g->buckets, &g->capacity, n, sizeof *g->buckets) &&
           mem_grow(mem, &g->vacant, &g->vacant_capacity, n, sizeof *g->vacant) &&
           mem_grow(mem, &g->centres, &g->centres_capacity, n,
                    g->model->dim * sizeof *g->centres) &&
           segmented_grow(&g->codes, n_slots);
}

/* Appends an empty bucket with its address. */
static int add_bucket(struct asteria *a, struct asteria_generation *g,
                      const struct stored_bucket *s)
{
    struct mem *mem = a->base.env.mem;
    struct asteria_bucket *b = &g->buckets[g->n];

    *b = (struct asteria_bucket){ .address = s->address,
                                  .codeword = asteria_ecc_codeword(g->model->ecc, s->address) };
    if (!asteria_bucket_begin(b, g->model, mem))
        return no_memory(a);
    g->n++; /* from here on it is freed with the generation */
    if (!idmap_put(&g->of_address, s->address, g->n - 1))
        return no_memory(a);
    return asteria_bucket_grow(b, g->model, mem, s->n) ? OK : no_memory(a);
}

static void fill_head(struct asteria_bucket *b, const struct stored_bucket *s)
{
    b->n = s->n;
    b->live = s->live;
    b->centred_n = s->centred_n;
    b->gone = s->gone;
    b->error = s->error;
    b->rest = s->rest;
    b->angle_min = s->angle_min;
    b->angle_max = s->angle_max;
    b->near = s->near;
    b->far = s->far;
    atomic_store_explicit(&b->probed, s->probed, memory_order_relaxed);
}

static void fill_positions(struct asteria_bucket *b, const struct asteria_model *m,
                           struct values *p)
{
    const size_t blocks = bucket_blocks(b->n);

    memcpy(b->centre, p->centres, bucket_floats(m) * sizeof *b->centre);
    p->centres += bucket_floats(m);
    if (b->n == 0)
        return;
    memcpy(b->slots, p->slots, b->n * sizeof *b->slots);
    memcpy(b->words, p->words, b->n * sizeof *b->words);
    memcpy(b->alive, p->alive, blocks * sizeof *b->alive);
    memcpy(b->blocks, p->blocks, blocks * m->quantizer->block_bytes);
    p->slots += b->n;
    p->words += b->n;
    p->alive += blocks;
    p->blocks += blocks * m->quantizer->block_bytes;
}

/* Each live position must be its slot's place, and their number must be b->live. A word must have
   no bits beyond the model's. */
static bool is_in_place(const struct asteria *a, unsigned which, uint32_t bucket)
{
    const struct asteria_bucket *b = &a->generations[which]->buckets[bucket];
    const size_t m = a->generations[which]->model->m;
    size_t live = 0;

    for (uint32_t i = 0; i < bucket_blocks(b->n) * 64; i++) {
        const bool alive = b->alive[i / 64] >> i % 64 & 1;

        live += alive;
        if ((alive && i >= b->n) ||
            (i < b->n && (b->slots[i] >= a->n_slots || b->words[i] >> m != 0)))
            return false;
        if (!alive)
            continue;
        const struct asteria_place *at = &a->places[b->slots[i]];
        if (a->ids[b->slots[i]] == INDEX_NO_ID || at->generation != which || at->bucket != bucket ||
            at->position != i)
            return false;
    }
    return live == b->live;
}

/* Subtracts from the sums of the heads, so that no more than the sections have is read. */
static int add_filled(struct asteria *a, unsigned which, const struct stored_bucket *s,
                      struct values *left, struct stored_generation *sums,
                      const struct store_reader *r)
{
    struct asteria_generation *g = a->generations[which];
    const uint64_t blocks = bucket_blocks(s->n);

    if (s->address >> g->model->ecc->k != 0 || asteria_generation_find(g, s->address) != UINT32_MAX)
        return store_corrupt(r, "a bucket's address is invalid, or used twice");
    if (sums->filled == 0 || s->n > sums->positions || blocks > sums->blocks || s->live > s->n ||
        s->live > sums->live)
        return store_corrupt(r, "buckets' rows do not add up");
    sums->filled--;
    sums->positions -= s->n;
    sums->blocks -= blocks;
    sums->live -= s->live;
    const int rc = add_bucket(a, g, s);
    if (rc != OK)
        return rc;
    struct asteria_bucket *b = &g->buckets[g->n - 1];
    fill_head(b, s);
    fill_positions(b, g->model, left);
    memcpy(g->centres + (g->n - 1) * g->model->dim, b->centre, g->model->dim * sizeof *b->centre);
    return is_in_place(a, which, (uint32_t)g->n - 1)
               ? OK
               : store_corrupt(r, "a bucket's rows are not where their places say");
}

static int read_buckets(struct asteria *a, unsigned which, const struct values *p,
                        const struct store_reader *r)
{
    struct asteria_generation *g = a->generations[which];
    struct stored_generation sums = *p->head;
    struct values left = *p;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < p->head->n; i++) {
        if (p->buckets[i].address != UINT32_MAX) {
            rc = add_filled(a, which, &p->buckets[i], &left, &sums, r);
            continue;
        }
        memset(g->centres + g->n * g->model->dim, 0, g->model->dim * sizeof *g->centres);
        g->buckets[g->n++] = (struct asteria_bucket){ .address = UINT32_MAX };
    }
    if (rc == OK && (sums.filled > 0 || sums.positions > 0 || sums.blocks > 0 || sums.live > 0 ||
                     p->head->n - p->head->filled != p->head->n_vacant))
        rc = store_corrupt(r, "buckets' rows do not add up");
    for (size_t i = 0; rc == OK && i < p->head->n_vacant; i++) {
        if (p->vacant[i] >= g->n || !is_vacant(&g->buckets[p->vacant[i]]))
            return store_corrupt(r, "a bucket is vacant that is not");
        g->vacant[g->n_vacant++] = p->vacant[i];
    }
    g->live = (size_t)p->head->live;
    g->emptied = p->head->emptied < g->n ? (size_t)p->head->emptied : g->n;
    return rc;
}

static void read_codes(struct asteria *a, unsigned which, const struct values *p)
{
    const struct asteria_generation *g = a->generations[which];
    const size_t each = g->model->lrsq->code_bytes;
    const unsigned char *from = p->codes;

    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        if (has_code(a, slot, which)) {
            memcpy(segmented_at(&g->codes, slot), from, each);
            from += each;
        }
}

int asteria_generation_read(struct asteria *a, unsigned which, const struct store_reader *r)
{
    const struct index_env *env = &a->base.env;
    struct asteria_model *model = NULL;
    struct values p = { 0 };
    int rc = asteria_model_read(&model, env, r, (char)('0' + which));

    if (rc != OK)
        return rc;
    rc = asteria_generation_create(&a->generations[which], env, model);
    if (rc != OK) {
        asteria_model_destroy(env, model);
        return rc;
    }
    rc = fields(&(struct store_fields){ .r = r }, a, which, count_codes(a, which), &p);
    if (rc == OK && !reserve(a->generations[which], env->mem, (size_t)p.head->n, a->n_slots))
        rc = no_memory(a);
    if (rc == OK)
        rc = read_buckets(a, which, &p, r);
    if (rc == OK)
        read_codes(a, which, &p);
    return rc;
}
