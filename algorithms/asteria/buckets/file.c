/* file.c - a generation in a snapshot: model, buckets, residual codes. The tags of generation g
   end in g. */
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

/* Bytes of a bucket that are in the file as they are: its first members. */
enum { HEAD_BYTES = offsetof(struct asteria_bucket, capacity) };
_Static_assert(HEAD_BYTES == 48, "the file's layout");

/* Of kept slots whose row is in this generation. */
static bool has_code(const struct asteria *a, uint32_t slot, unsigned which)
{
    return asteria_keeps(a, slot) && a->places[slot].generation == which;
}

static int no_memory(const struct asteria *a)
{
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: load: out of memory for buckets");
}

static void write_heads(const struct asteria_generation *g, struct store_writer *w)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct asteria_bucket *b = &g->buckets[i];
        const uint32_t probed = atomic_load_explicit(&b->probed, memory_order_relaxed);

        store_write(w, b, offsetof(struct asteria_bucket, probed));
        store_write(w, &probed, sizeof probed);
        store_write(w, &b->gone, sizeof b->gone);
    }
}

/* Makes n buckets without rows, then space for as many as section "slots" has. */
static int read_heads(struct asteria *a, struct asteria_generation *g, const unsigned char *heads,
                      size_t n, const struct store_reader *r, char last)
{
    struct mem *mem = a->base.env.mem;
    const uint32_t *slots;
    uint64_t positions = 0;

    if (!mem_grow(mem, &g->buckets, &g->capacity, n, sizeof *g->buckets) ||
        !mem_grow(mem, &g->centres, &g->centres_capacity, n, g->model->dim * sizeof *g->centres) ||
        !segmented_grow(&g->codes, a->n_slots))
        return no_memory(a);
    for (size_t i = 0; i < n; i++) {
        struct asteria_bucket *b = &g->buckets[i];

        *b = (struct asteria_bucket){ 0 };
        if (!asteria_bucket_begin(b, g->model, mem))
            return no_memory(a);
        g->n++; /* from here on it is freed with the generation */
        memcpy(b, heads + i * HEAD_BYTES, HEAD_BYTES);
        if (b->address >> g->model->ecc.k != 0 ||
            asteria_generation_find(g, b->address) != UINT32_MAX)
            return store_corrupt(r, "a bucket's address is invalid, or used twice");
        b->codeword = asteria_ecc_codeword(&g->model->ecc, b->address);
        if (!idmap_put(&g->of_address, b->address, i))
            return no_memory(a);
        positions += b->n;
        g->live += b->live;
    }
    const int rc =
        store_need_array(r, store_tag("slots", last).text, positions, sizeof *slots, &slots);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (!asteria_bucket_grow(&g->buckets[i], g->model, mem, g->buckets[i].n))
            return no_memory(a);
    return rc;
}

/* The sections that have a piece of each bucket, and the piece. */
static const char *const parts[] = { "slots", "words", "alive", "blocks", "centres" };
enum { PARTS = sizeof parts / sizeof *parts };

static void *piece(const struct asteria_model *m, const struct asteria_bucket *b, size_t part,
                   size_t *bytes)
{
    const size_t blocks = bucket_blocks(b->n);

    *bytes = (const size_t[PARTS]){ b->n * sizeof *b->slots, b->n * sizeof *b->words,
                                    blocks * sizeof *b->alive, blocks * m->quantizer->block_bytes,
                                    bucket_floats(m) * sizeof *b->centre }[part];
    return (void *const[PARTS]){ b->slots, b->words, b->alive, b->blocks, b->centre }[part];
}

static void pieces(struct store_fields *f, const struct asteria_generation *g, size_t part,
                   char last)
{
    const unsigned char *from = NULL;
    size_t total = 0, bytes;

    for (size_t i = 0; i < g->n; i++, total += bytes)
        (void)piece(g->model, &g->buckets[i], part, &bytes);
    const bool writes = store_pieces(f, store_tag(parts[part], last).text, &from, total, 1);
    for (size_t i = 0; f->code == OK && i < g->n; i++) {
        void *own = piece(g->model, &g->buckets[i], part, &bytes);

        if (writes) {
            store_write(f->w, own, bytes);
        } else if (bytes > 0) {
            memcpy(own, from, bytes);
            from += bytes;
        }
    }
}

static int fields(struct store_fields *f, struct asteria *a, unsigned which)
{
    struct asteria_generation *g = a->generations[which];
    const size_t code_bytes = g->model->lrsq->code_bytes, dim = g->model->dim;
    const char last = (char)('0' + which);
    const unsigned char *heads = NULL, *codes = NULL;
    size_t n = 0;
    uint64_t n_codes = 0;

    if (f->w) {
        store_section(f->w, store_tag("buckets", last).text);
        write_heads(g, f->w);
    } else if (store_field_whole(f, store_tag("buckets", last).text, &heads, &n, HEAD_BYTES) ==
               OK) {
        f->code = read_heads(a, g, heads, n, f->r, last);
    }
    for (size_t part = 0; f->code == OK && part < PARTS; part++)
        pieces(f, g, part, last);
    for (size_t i = 0; f->r && f->code == OK && i < g->n; i++)
        memcpy(g->centres + i * dim, g->buckets[i].centre, dim * sizeof *g->centres);
    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        n_codes += has_code(a, slot, which);
    const bool writes = store_pieces(f, store_tag("codes", last).text, &codes, n_codes, code_bytes);
    for (uint32_t slot = 0; f->code == OK && slot < a->n_slots; slot++) {
        if (!has_code(a, slot, which))
            continue;
        if (writes) {
            store_write(f->w, segmented_at(&g->codes, slot), code_bytes);
        } else {
            memcpy(segmented_at(&g->codes, slot), codes, code_bytes);
            codes += code_bytes;
        }
    }
    return f->code;
}

void asteria_generation_write(struct asteria *a, unsigned which, struct store_writer *w)
{
    struct store_fields f = { .w = w };

    (void)asteria_model_field(&f, &a->base.env, (char)('0' + which), &a->generations[which]->model);
    (void)fields(&f, a, which);
}

int asteria_generation_read(struct asteria *a, unsigned which, const struct store_reader *r)
{
    const struct index_env *env = &a->base.env;
    struct asteria_model *model = NULL;
    struct store_fields f = { .r = r, .mem = env->mem };
    int rc = asteria_model_field(&f, env, (char)('0' + which), &model);

    if (rc == OK)
        rc = asteria_generation_create(&a->generations[which], env, model);
    return rc == OK ? fields(&f, a, which) : rc;
}
