/* recode.c - the codes of a merge's part. When a quarter of its rows have come since the quantizer was
 * trained, it is trained anew and all rows are coded again: a quantizer fits rows of long ago, and
 * searches go by its distances. FreshDiskANN keeps the first. The same if the greatest norm has changed, because
 * all rows then have another added component. */
#include <string.h>

#include "algorithms/vamana_disk/stream_internal.h"
#include "src/core/mem.h"

enum { UNSEEN_SHARE = 4 };

struct recoding {
    struct vamana_disk_stream *s;
    float *sample, *floats;
    size_t n_sample, taken;
};

/* Of the row with this number, if it is the next of the sample: rows at equal steps. */
static void sample_row(struct recoding *r, uint32_t number, const unsigned char *row)
{
    const struct vamana_disk_part *p = r->s->part;
    const size_t dim = vamana_disk_row_env(r->s->h).dim;

    if (r->taken < r->n_sample && number == r->taken * p->n / r->n_sample)
        vamana_disk_floats(p, row, r->sample + r->taken++ * dim);
}

static int sample_record(void *to, uint32_t node, const unsigned char *record)
{
    struct recoding *r = to;

    if (vamana_disk_id(r->s->old, node) != INDEX_NO_ID)
        sample_row(r, r->s->map[node], record);
    return OK;
}

static int code_record(void *to, uint32_t node, const unsigned char *record)
{
    const struct recoding *r = to;

    if (vamana_disk_id(r->s->old, node) != INDEX_NO_ID)
        vamana_disk_part_code(r->s->part, r->s->map[node], record, r->floats);
    return OK;
}

static const unsigned char *recent_row(const struct vamana_disk_stream *s, size_t i)
{
    return s->rows + i * s->part->layout.row_bytes;
}

static int code_recent(struct vamana_disk_stream *s)
{
    struct mem *mem = s->h->base.env.mem;
    float *floats = mem_array(mem, 2, s->part->quantizer->dim * sizeof *floats);

    if (!floats)
        return fail(s->h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for codes");
    for (size_t i = 0; i < s->n_recent; i++)
        vamana_disk_part_code(s->part, (uint32_t)(s->kept + i), recent_row(s, i), floats);
    mem_free(mem, floats);
    return OK;
}

/* ------------------------------------------------------------------------------------- anew */

static int train(struct recoding *r)
{
    struct vamana_disk_stream *s = r->s;
    int rc = vamana_disk_read_all(s->old, sample_record, r);

    for (size_t i = 0; i < s->n_recent && rc == OK; i++)
        sample_row(r, (uint32_t)(s->kept + i), recent_row(s, i));
    return rc == OK ? vamana_disk_part_train(s->part, r->sample, r->taken) : rc;
}

static int code_kept(struct recoding *r)
{
    struct vamana_disk_stream *s = r->s;
    struct mem *mem = s->h->base.env.mem;

    r->floats = mem_array(mem, 2, s->part->quantizer->dim * sizeof *r->floats);
    const int rc = r->floats ? vamana_disk_read_all(s->old, code_record, r)
                             : fail(s->h->base.env.error, ERR_NO_MEMORY,
                                    "vamana-disk: out of memory for codes");
    mem_free(mem, r->floats);
    return rc;
}

static int renew(struct vamana_disk_stream *s)
{
    struct mem *mem = s->h->base.env.mem;
    struct recoding r = { .s = s, .n_sample = s->part->n };

    if (r.n_sample > VAMANA_DISK_TRAIN_ROWS)
        r.n_sample = VAMANA_DISK_TRAIN_ROWS;
    r.sample = mem_array(mem, r.n_sample, vamana_disk_row_env(s->h).dim * sizeof *r.sample);
    const int rc = r.sample ? train(&r)
                            : fail(s->h->base.env.error, ERR_NO_MEMORY,
                                   "vamana-disk: out of memory for a sample");
    mem_free(mem, r.sample);
    s->part->unseen = 0;
    return rc == OK ? code_kept(&r) : rc;
}

/* -------------------------------------------------------------------------------------- copied */

static void copy_codes(const struct vamana_disk_stream *s)
{
    const size_t bytes = pq_codes_bytes(s->part->quantizer);

    for (uint32_t i = 0; i < s->old->n; i++) {
        if (vamana_disk_id(s->old, i) != INDEX_NO_ID)
            memcpy(s->part->codes + s->map[i] * bytes, s->old->codes + i * bytes, bytes);
    }
}

static int copy(struct vamana_disk_stream *s)
{
    const struct index_env env = vamana_disk_row_env(s->h);
    const size_t n = quantizer_save(s->old->quantizer, NULL);
    void *bytes = mem_alloc(env.mem, n);
    int rc = OK;

    s->part->codes = mem_array(env.mem, s->part->n, vamana_disk_groups(s->h));
    if (!bytes || !s->part->codes)
        rc = fail(env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu codes", s->part->n);
    if (rc == OK) {
        (void)quantizer_save(s->old->quantizer, bytes);
        rc = quantizer_load(&s->part->quantizer, &env, bytes, n);
    }
    mem_free(env.mem, bytes);
    if (rc == OK)
        copy_codes(s);
    return rc;
}

int vamana_disk_recode(struct vamana_disk_stream *s)
{
    s->part->unseen = s->old->unseen + s->n_recent;
    const bool anew =
        s->part->unseen >= s->part->n / UNSEEN_SHARE || s->part->norm_max_sq != s->old->norm_max_sq;
    const int rc = anew ? renew(s) : copy(s);

    return rc == OK ? code_recent(s) : rc;
}
