/* codec.c - see codec.h: which form a posting has, and what all forms share. */
#include "algorithms/spfresh/codec.h"

#include <string.h>

#include "algorithms/spfresh/codec_state.h"
#include "kernels/kernels.h"
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
    c->s = s;
    c->global = s->params.code_centre == CODEC_CENTRE_GLOBAL;
    pthread_mutex_init(&c->lock, NULL);
    atomic_init(&c->rows, NULL);
    *out = c;
    return OK;
}

void codec_destroy(struct codec *c)
{
    if (!c)
        return;
    rows_close(atomic_load(&c->rows));
    quantizer_destroy(&c->env, c->quantizer);
    pthread_mutex_destroy(&c->lock);
    mem_free(c->env.mem, c);
}

int codec_train(struct codec *c, struct vectors sample)
{
    return c->kind == CODEC_RAW ? OK : codec_groups_train(c, sample);
}

int codec_save(const struct codec *c, struct store_writer *w)
{
    if (!c->quantizer)
        return OK;
    const size_t n = quantizer_save(c->quantizer, NULL);
    void *bytes = mem_alloc(c->env.mem, n);
    if (!bytes)
        return fail(c->env.error, ERR_NO_MEMORY, "%s: out of memory saving its codes' form",
                    c->s->base.ops->name);
    (void)quantizer_save(c->quantizer, bytes);
    store_section(w, "codec.quantizer");
    store_write(w, bytes, n);
    mem_free(c->env.mem, bytes);
    return OK;
}

/* Raw postings, and an index that was never trained, have no such section. */
int codec_load(struct codec *c, const struct store_reader *r)
{
    struct quantizer *loaded = NULL;
    size_t n = 0;
    const void *bytes = c->kind == CODEC_RAW ? NULL : store_find(r, "codec.quantizer", &n);

    if (!bytes)
        return OK;
    const int rc = quantizer_load(&loaded, &c->env, bytes, n);
    if (rc != OK)
        return fail_within(c->env.error, "%s", r->path);
    quantizer_destroy(&c->env, c->quantizer);
    c->quantizer = loaded;
    codec_groups_lay_out(c);
    return OK;
}

/* Before training nobody knows how large codes are, and there are none. */
size_t codec_entries(const struct codec *c, size_t pages)
{
    const size_t bytes = pages * POSTING_PAGE;
    size_t n = 0;

    if (c->kind == CODEC_RAW)
        n = bytes / c->stride;
    else if (c->quantizer) /* no posting is smaller than a group */
        n = bytes / c->group_bytes > 0 ? bytes / c->group_bytes * QUANTIZER_BLOCK : QUANTIZER_BLOCK;
    return n > 2 ? n : 2;
}

size_t codec_bytes(const struct codec *c, size_t n)
{
    return c->kind == CODEC_RAW ? n * c->stride
                                : (n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK * c->group_bytes;
}

bool codec_has_rows(const struct codec *c)
{
    return c->kind != CODEC_RAW;
}

/* 2. Writing postings */

int codec_encode(const struct codec *c, const void *head_row, const struct members *m, size_t first,
                 size_t n, void *out, float *error)
{
    return c->kind == CODEC_RAW ? codec_raw_encode(c, m, first, n, out)
                                : codec_groups_encode(c, head_row, m, first, n, out, error);
}

size_t codec_kept(const struct codec *c, size_t size)
{
    return c->kind == CODEC_RAW ? codec_bytes(c, size) : size / QUANTIZER_BLOCK * c->group_bytes;
}

int codec_extend(const struct codec *c, const void *head_row, size_t size, const void *tail,
                 const struct members *m, size_t first, size_t n, void *out, float *error)
{
    return c->kind == CODEC_RAW
               ? codec_raw_encode(c, m, first, n, out)
               : codec_groups_extend(c, head_row, size, tail, m, first, n, out, error);
}

int codec_decode(const struct codec *c, const void *bytes, size_t n_bytes, size_t n,
                 struct members *to)
{
    if (n_bytes != codec_bytes(c, n))
        return fail(c->env.error, ERR_CORRUPT, "%zu bytes where %zu entries take %zu", n_bytes, n,
                    codec_bytes(c, n));
    return c->kind == CODEC_RAW ? codec_raw_decode(c, bytes, n, to)
                                : codec_groups_decode(c, bytes, n, to);
}

size_t codec_count(const struct codec *c, const void *bytes, size_t n_bytes)
{
    return c->kind == CODEC_RAW ? n_bytes / c->stride : codec_groups_count(c, bytes, n_bytes);
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
    codec_codes_free(x);
    mem_free(x->mem, x);
}

int codec_scan_begin(struct scan *x)
{
    if (x->s->codec->kind != CODEC_RAW)
        return codec_codes_begin(x, x->s->codec);
    return seen_begin(&x->scratch->seen, 0)
               ? OK
               : fail(x->s->base.env.error, ERR_NO_MEMORY, "no memory for a search");
}

/* The version first: it is what makes the slot's id the one of this entry. An entry one behind counts
   too: its vector is the same, for reuse of a slot adds three, and a search that came before a move to a
   posting it will not read, or has read already, would miss the vector. So does one that is coming: it
   may not find the old ones any more when it gets there. */
bool codec_is_current(const struct scan *x, uint32_t slot, unsigned version, uint64_t *id)
{
    if (slot >= atomic_load_explicit(&x->s->slots.n, memory_order_acquire))
        return false;
    const unsigned now = spfresh_version(x->s, slot);
    if (now & VERSION_DELETED || version + 1 - now > 2)
        return false;
    const uint64_t *ids =
        atomic_load_explicit(&((struct spfresh *)(uintptr_t)x->s)->slots.ids, memory_order_acquire);
    *id = ids[slot];
    return id_filter_allows(x->filter, *id);
}

int codec_offer(struct scan *x, uint32_t slot, unsigned version, float distance)
{
    uint64_t id;

    if (!codec_is_current(x, slot, version, &id) ||
        !seen_add(&x->scratch->seen, slot, VERSION_DELETED)) /* under the version before */
        return OK;
    if (x->found)
        return x->found(x->to, id, distance);
    topk_push(&x->top, distance, id);
    return OK;
}

float codec_distance(const struct codec *c, const void *query, const void *row)
{
    const struct kernels *k = c->env.kernels;

    return c->env.element == ELEMENT_U8 ? (float)k->l2sq_u8(query, row, c->env.dim)
                                        : k->l2sq_f32(query, row, c->env.dim);
}

int codec_scan(struct scan *x, uint32_t head, float distance, const unsigned char *bytes,
               size_t n_bytes)
{
    return x->s->codec->kind == CODEC_RAW
               ? codec_raw_scan(x, x->s->codec, bytes, n_bytes)
               : codec_codes_scan(x, x->s->codec, head, distance, bytes, n_bytes);
}

int codec_scan_end(struct scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? OK : codec_codes_end(x, x->s->codec);
}

/* 4. Rows by slot */

/* Where postings lie, rows do. */
static int open_rows(struct codec *c, struct rows **out)
{
    const struct spfresh_params *p = &c->s->params;
    const struct rows_options options = { .kind = p->store == POSTING_MEMORY ? ROWS_MEMORY
                                                  : p->store == POSTING_MMAP ? ROWS_MAPPED
                                                                             : ROWS_FILE,
                                          .direct = p->direct,
                                          .fault = c->s->fault };
    int rc = OK;

    *out = atomic_load_explicit(&c->rows, memory_order_acquire);
    if (*out)
        return OK;
    pthread_mutex_lock(&c->lock);
    *out = atomic_load(&c->rows);
    if (!*out)
        rc = rows_open(out, &c->env, c->s->epoch, &options);
    if (rc == OK)
        atomic_store_explicit(&c->rows, *out, memory_order_release);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int codec_reader(struct codec *c, struct rows_reader **out)
{
    struct rows *rows;
    const int rc = open_rows(c, &rows);

    return rc == OK ? rows_reader_create(out, rows) : rc;
}

int codec_rows_put(struct codec *c, const uint32_t *slots, const void *const *rows, size_t n)
{
    struct rows *to;
    const int rc = open_rows(c, &to);

    return rc == OK ? rows_put(to, slots, rows, n) : rc;
}

int codec_rows_get(const struct codec *c, const uint32_t *slots, size_t n, void *out)
{
    struct rows *from;
    const int rc = open_rows((struct codec *)(uintptr_t)c, &from);

    return rc == OK ? rows_get(from, slots, n, out) : rc;
}

int codec_rows_sync(struct codec *c)
{
    struct rows *rows = atomic_load(&c->rows);

    return rows ? rows_sync(rows) : OK;
}

bool codec_rows_unsure(const struct codec *c)
{
    const struct rows *rows = atomic_load(&((struct codec *)(uintptr_t)c)->rows);

    return rows && rows_unsure(rows);
}

uint64_t codec_resident(const struct codec *c)
{
    const struct rows *rows = atomic_load(&((struct codec *)(uintptr_t)c)->rows);

    return sizeof *c + (rows ? rows_resident(rows) : 0) +
           (c->quantizer ? quantizer_bytes(c->quantizer) : 0);
}

uint64_t codec_disk(const struct codec *c)
{
    const struct rows *rows = atomic_load(&((struct codec *)(uintptr_t)c)->rows);

    return rows ? rows_disk(rows) : 0;
}
