/* exact_rows.c - exact vectors by slot, beside postings of codes. */
#include "algorithms/spfresh/codec/internal.h"

/* Rows use the same kind of storage as postings. */
static int open_rows(struct spfresh_codec *c, struct spfresh_rows **out)
{
    const struct spfresh_params *p = &c->s->params;
    const struct spfresh_rows_options options = { .kind = p->store == POSTING_MEMORY ? ROWS_MEMORY
                                                          : p->store == POSTING_MMAP ? ROWS_MAPPED
                                                                                     : ROWS_FILE,
                                                  .direct = p->direct,
                                                  .fault = c->s->durable.fault };
    int rc = OK;

    *out = atomic_load_explicit(&c->rows, memory_order_acquire);
    if (*out)
        return OK;
    pthread_mutex_lock(&c->lock);
    *out = atomic_load(&c->rows);
    if (!*out)
        rc = spfresh_rows_open(out, &c->env, c->s->epoch, &options);
    if (rc == OK)
        atomic_store_explicit(&c->rows, *out, memory_order_release);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int spfresh_codec_reader(struct spfresh_codec *c, struct spfresh_rows_reader **out)
{
    struct spfresh_rows *rows;
    int rc = open_rows(c, &rows);

    if (rc == OK && !(*out = spfresh_rows_reader_take(rows)))
        rc = ERR_NO_MEMORY;
    return rc;
}

int spfresh_codec_rows_put(struct spfresh_codec *c, const uint32_t *slots, const void *const *rows,
                           size_t n)
{
    struct spfresh_rows *to;
    const int rc = open_rows(c, &to);

    return rc == OK ? spfresh_rows_put(to, slots, rows, n) : rc;
}

int spfresh_codec_rows_get(const struct spfresh_codec *c, const uint32_t *slots, size_t n,
                           void *out)
{
    struct spfresh_rows *from;
    const int rc = open_rows((struct spfresh_codec *)(uintptr_t)c, &from);

    return rc == OK ? spfresh_rows_get(from, slots, n, out) : rc;
}

int spfresh_codec_rows_sync(struct spfresh_codec *c)
{
    struct spfresh_rows *rows = atomic_load(&c->rows);

    return rows ? spfresh_rows_sync(rows) : OK;
}

bool spfresh_codec_rows_unsure(const struct spfresh_codec *c)
{
    const struct spfresh_rows *rows = atomic_load(&((struct spfresh_codec *)(uintptr_t)c)->rows);

    return rows && spfresh_rows_unsure(rows);
}

uint64_t spfresh_codec_resident(const struct spfresh_codec *c)
{
    const struct spfresh_rows *rows = atomic_load(&((struct spfresh_codec *)(uintptr_t)c)->rows);

    return sizeof *c + (rows ? spfresh_rows_resident(rows) : 0) +
           (c->quantizer ? quantizer_bytes(c->quantizer) : 0);
}

uint64_t spfresh_codec_disk(const struct spfresh_codec *c)
{
    const struct spfresh_rows *rows = atomic_load(&((struct spfresh_codec *)(uintptr_t)c)->rows);

    return rows ? spfresh_rows_disk(rows) : 0;
}
