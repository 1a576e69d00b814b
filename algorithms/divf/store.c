/* store.c - the sections of a file: each vector once, also with soft_k > 1, and the code of each
 * copy.
 *
 * "filed" has the vectors of each list in turn, as ordinals; "ids" and "rows" are by ordinal. Ordinals
 * number vectors in the order of their first appearance in "filed", and are the slots after loading.
 * So the vectors of a list are mostly together, and with storage = mmap "rows" is mapped instead of
 * read.
 *
 * Loading copies the codes. Another kernel table or compiler may round a code differently, and then
 * a code would not be what an insertion makes. All codes are made again under another kernel table,
 * and if the first code of any chunk is not what this program makes. */
#include <float.h>
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

struct stored_meta {
    uint64_t n_lists, n_vectors, n_filed, n_blocks;
    uint64_t provisional, retrain_at;
    uint64_t queries;
    uint64_t isa;           /* of the kernels that made the codes */
    uint64_t shared_sketch; /* the sketch of centroids is the quantizer of vectors */
    struct divf_counters counters;
    struct stop_learnt stop;
};

struct stored_list {
    uint64_t rows;
    int64_t last_split_round;
    uint64_t uniform;
    uint64_t probes;
    double error; /* of its codes */
};

struct values {
    const struct stored_meta *meta;
    const struct stored_list *lists;
    const float *centroids, *lift; /* lift: M^2 of lifted rows (rows.h) */
    const uint32_t *filed;
    const unsigned char *codes, *rows;
    const uint64_t *ids;
};

enum saved { SAVED_FILED, SAVED_IDS, SAVED_ROWS };

/* Writes one of these of every copy of every list, all of them live: its ordinal; or, where the vector appears
   first, its id or its row. */
static void save_copies(const struct divf *d, struct store_writer *w, uint32_t *ordinals,
                        enum saved what)
{
    uint32_t next = 0;
    memset(ordinals, 0xff, d->slots.n * sizeof *ordinals);
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        for (size_t at = 0; at < l->rows; at++) {
            const uint32_t slot = divf_place_slot(d->lists.chunks, divf_place(l, at));
            const bool first = ordinals[slot] == SLOT_NONE;
            if (first)
                ordinals[slot] = next++;
            if (what == SAVED_FILED)
                store_write(w, &ordinals[slot], sizeof *ordinals);
            else if (first && what == SAVED_IDS)
                store_write(w, &d->slots.id[slot], sizeof *d->slots.id);
            else if (first)
                store_write(w, divf_row(&d->lists, slot), d->vectors.element_bytes);
        }
    }
}

static size_t blocks_of(uint64_t rows)
{
    return (size_t)((rows + CHUNK_VECTORS - 1) / CHUNK_VECTORS);
}

static void save_lists(const struct divf_lists *lists, struct store_writer *w)
{
    for (size_t i = 0; i < lists->n; i++) {
        const struct divf_list *l = lists->list[i];
        const struct stored_list stored = { l->rows, l->last_split_round, l->uniform,
                                            divf_list_reads(l), (double)l->error };
        store_write(w, &stored, sizeof stored);
    }
}

static void save_codes(const struct divf_lists *lists, struct store_writer *w)
{
    for (size_t i = 0; i < lists->n; i++)
        for (size_t c = 0; c < blocks_of(lists->list[i]->rows); c++)
            store_write(w, divf_chunk_at(lists->chunks, lists->list[i]->chunks[c])->block,
                        lists->quantizer->block_bytes);
}

/* The quantizers are those of the index, or are read into them. ordinals: space to write. */
static int fields(struct store_fields *f, const struct divf *d, struct values *v,
                  struct quantizer **quantizer, struct quantizer **sketch, uint32_t *ordinals)
{
    const struct divf_space *space = &d->space;
    if (store_field(f, "meta", &v->meta, 1, sizeof *v->meta))
        return f->code;
    const struct stored_meta *m = v->meta;
    store_field(f, "centroids", &v->centroids, m->n_lists, space->dim * sizeof *v->centroids);
    if (space->kind == DIVF_LIFTED)
        store_field(f, "lift", &v->lift, 1, sizeof *v->lift);
    if (store_pieces(f, "lists", &v->lists, m->n_lists, sizeof *v->lists))
        save_lists(&d->lists, f->w);
    quantizer_field(f, "quantizer", &d->env, quantizer);
    if (!m->shared_sketch)
        quantizer_field(f, "sketch", &d->env, sketch);
    if (store_pieces(f, "filed", &v->filed, m->n_filed, sizeof *v->filed))
        save_copies(d, f->w, ordinals, SAVED_FILED);
    if (*quantizer && store_pieces(f, "codes", &v->codes, m->n_blocks, (*quantizer)->block_bytes))
        save_codes(&d->lists, f->w);
    if (store_pieces(f, "ids", &v->ids, m->n_vectors, sizeof *v->ids))
        save_copies(d, f->w, ordinals, SAVED_IDS);
    if (store_pieces(f, "rows", &v->rows, m->n_vectors, space->row_bytes))
        save_copies(d, f->w, ordinals, SAVED_ROWS);
    return f->code;
}

/* Compacts the lists first, so that this index continues exactly as one loaded from the file. */
int divf_write(struct index *index, struct store_writer *w)
{
    struct divf *d = divf_of(index);
    const struct index_env *env = &index->env;
    bool more;
    int rc = divf_maintenance_run(d, 0, &more);
    if (!rc)
        rc = divf_segments_sync(&d->vectors);
    if (rc)
        return rc;
    uint32_t *ordinals = mem_array(env->mem, d->slots.n, sizeof *ordinals);
    if (!ordinals)
        return fail(env->error, ERR_NO_MEMORY, "save: out of memory for the numbers of %zu vectors",
                    d->slots.ids.n);
    struct stored_meta meta = { .n_lists = d->lists.n,
                                .n_vectors = d->slots.ids.n,
                                .n_filed = d->lists.live,
                                .provisional = d->provisional,
                                .retrain_at = d->retrain_at,
                                .queries = atomic_load(&d->queries),
                                .isa = d->env.kernels->isa,
                                .shared_sketch = d->lists.sketch == d->lists.quantizer,
                                .counters = d->counters,
                                .stop = d->stop };
    for (size_t i = 0; i < d->lists.n; i++)
        meta.n_blocks += blocks_of(d->lists.list[i]->rows);
    struct values v = { .meta = &meta,
                        .centroids = d->lists.centroids,
                        .lift = &d->lists.space.lift };
    rc = fields(&(struct store_fields){ .w = w }, d, &v, &d->lists.quantizer, &d->lists.sketch,
                ordinals);
    mem_free(env->mem, ordinals);
    return rc;
}

/* ---------------------------------------------------------------------------------- reading */

struct loading {
    struct store_reader *reader;
    struct values v;
    uint64_t mapped; /* vectors, the first ones, that stay in the file */
};

static int check_counts(const struct store_reader *r, const struct values *v)
{
    const struct stored_meta *m = v->meta;
    uint64_t filed = 0, blocks = 0;
    for (uint64_t i = 0; i < m->n_lists; i++) {
        filed += v->lists[i].rows;
        blocks += blocks_of(v->lists[i].rows);
        if (!(v->lists[i].error >= 0 && v->lists[i].error <= FLT_MAX))
            return store_corrupt(r, "a list's error is invalid");
    }
    if (!stop_rule_valid(&m->stop.rule))
        return store_corrupt(r, "the rule of target_recall is invalid");
    if (v->lift && !(*v->lift >= 0 && *v->lift <= FLT_MAX))
        return store_corrupt(r, "the greatest norm is invalid");
    if (filed != m->n_filed || blocks != m->n_blocks || m->n_lists == 0)
        return store_corrupt(r, "the lists and their rows do not add up");
    return OK;
}

/* Finds the sections, and replaces the index's lists by the stored ones, without copies. */
static int load_codebook(struct divf *d, struct loading *l)
{
    struct quantizer *quantizer = NULL, *sketch = NULL;
    int rc = fields(&(struct store_fields){ .r = l->reader }, d, &l->v, &quantizer, &sketch, NULL);
    if (!rc)
        rc = check_counts(l->reader, &l->v);
    if (rc) {
        quantizer_destroy(&d->env, quantizer);
        quantizer_destroy(&d->env, sketch);
        return rc;
    }
    divf_lists_close(&d->lists);
    rc = divf_lists_open(&d->lists, d, quantizer, l->v.meta->shared_sketch ? quantizer : sketch);
    d->lists.space.lift = l->v.lift ? *l->v.lift : 0;
    for (size_t i = 0; !rc && i < l->v.meta->n_lists; i++)
        rc = divf_list_add(&d->lists, l->v.centroids + i * d->env.dim,
                           l->v.lists[i].last_split_round);
    return rc;
}

/* Adds the next copy of a list; *next: vectors met so far. */
static int load_copy(struct divf *d, const struct loading *l, size_t list, uint32_t ordinal,
                     uint32_t *next)
{
    const size_t row_bytes = d->vectors.element_bytes;
    if (ordinal > *next || ordinal >= l->v.meta->n_vectors)
        return store_corrupt(l->reader, "a list names a vector out of order");
    if (ordinal == *next) { /* slots are taken in order, from 0 */
        if (l->v.ids[ordinal] == INDEX_NO_ID ||
            slot_table_get(&d->slots.ids, d->slots.id, l->v.ids[ordinal], NULL))
            return store_corrupt(l->reader, "an id occurs twice, or is invalid");
        ++*next;
        divf_slot_take(d, l->v.ids[ordinal]);
        if (ordinal >= l->mapped)
            memcpy(divf_row(&d->lists, ordinal), l->v.rows + ordinal * row_bytes, row_bytes);
    }
    if (divf_slot_in_list(&d->lists, ordinal, list))
        return store_corrupt(l->reader, "a vector is in one list twice");
    size_t at = 0;
    while (at < d->lists.soft_k && divf_slot_places(&d->lists, ordinal)[at] != PLACE_NONE)
        at++;
    if (at == DIVF_SOFT_K_MAX)
        return store_corrupt(l->reader, "a vector is in more lists than soft_k allows");
    /* soft_k was once larger */
    int rc = at == d->lists.soft_k ? divf_slots_widen(d, at + 1) : OK;
    if (!rc)
        divf_slot_places(&d->lists, ordinal)[at] = divf_list_append(&d->lists, list, ordinal, NULL);
    return rc;
}

/* Copies the codes of a list, which begin at *codes, and moves *codes to those of the next. */
static void load_codes(struct divf_lists *lists, const struct loading *l, size_t list,
                       const unsigned char **codes)
{
    const size_t bytes = lists->quantizer->block_bytes;
    for (size_t c = 0; c < blocks_of(lists->list[list]->rows); c++) {
        memcpy(divf_chunk_at(lists->chunks, lists->list[list]->chunks[c])->block, *codes, bytes);
        *codes += bytes;
    }
    lists->list[list]->error = (float)l->v.lists[list].error;
}

/* Whether the first code of each of the list's chunks is the one that an insertion makes here.
   blocks: space for two. */
static bool same_codes(struct divf_lists *lists, size_t list, unsigned char *blocks)
{
    const struct quantizer *q = lists->quantizer;
    float *transformed = lists->work + CHUNK_VECTORS * lists->env->dim;
    for (size_t c = 0; c < blocks_of(lists->list[list]->rows); c++) {
        const struct divf_chunk *chunk = divf_chunk_at(lists->chunks, lists->list[list]->chunks[c]);
        memset(blocks, 0, 2 * q->block_bytes);
        const void *row = divf_row(lists, chunk->slots[0]);
        quantizer_transform(q, divf_floats(&lists->space, row, 1, lists->work), 1, transformed);
        const float error =
            quantizer_put(q, transformed, divf_work_centroid(lists, list), blocks, 0);
        quantizer_copy(q, chunk->block, 0, blocks + q->block_bytes, 0);
        if (error > lists->list[list]->error ||
            memcmp(blocks, blocks + q->block_bytes, q->block_bytes) != 0)
            return false;
    }
    return true;
}

static int make_codes_if_due(struct divf_lists *lists, uint64_t isa)
{
    const struct index_env *env = lists->env;
    unsigned char *blocks = mem_array(env->mem, 2, lists->quantizer->block_bytes);
    if (!blocks)
        return fail(env->error, ERR_NO_MEMORY, "load: out of memory");
    bool same = isa == env->kernels->isa;
    for (size_t i = 0; same && i < lists->n; i++)
        same = same_codes(lists, i, blocks);
    for (size_t i = 0; !same && i < lists->n; i++)
        divf_list_encode(lists, i);
    mem_free(env->mem, blocks);
    return OK;
}

static int load_lists(struct divf *d, struct loading *l)
{
    const uint32_t *filed = l->v.filed;
    uint32_t next = 0;
    const unsigned char *codes = l->v.codes;
    int rc = OK;
    if (d->params.storage == DIVF_MMAP) { /* the vectors stay in the saved file */
        size_t bytes = 0;
        const void *saved = store_take(l->reader, &bytes);
        rc = divf_segments_map(&d->vectors, saved, bytes, l->v.rows, l->v.meta->n_vectors,
                               &l->mapped);
    }
    if (!rc)
        rc = divf_slots_reserve(d, l->v.ids, l->v.meta->n_vectors);
    for (size_t i = 0; !rc && i < l->v.meta->n_lists; i++) {
        rc = divf_list_reserve(&d->lists, i, l->v.lists[i].rows);
        for (uint64_t r = 0; !rc && r < l->v.lists[i].rows; r++)
            rc = load_copy(d, l, i, *filed++, &next);
        if (!rc && codes)
            load_codes(&d->lists, l, i, &codes);
        if (!rc) {
            d->lists.list[i]->uniform = l->v.lists[i].uniform != 0;
            atomic_store(&d->lists.list[i]->probes, (unsigned)l->v.lists[i].probes);
        }
    }
    if (!rc && next != l->v.meta->n_vectors)
        rc = store_corrupt(l->reader, "a vector is in no list");
    return !rc && codes ? make_codes_if_due(&d->lists, l->v.meta->isa) : rc;
}

int divf_read(struct index *index, struct store_reader *r)
{
    struct divf *d = divf_of(index);
    struct loading l = { .reader = r };
    int rc = load_codebook(d, &l);
    if (!rc)
        rc = load_lists(d, &l);
    if (rc)
        return rc;
    d->provisional = l.v.meta->provisional != 0;
    d->retrain_at = l.v.meta->retrain_at;
    atomic_store(&d->queries, l.v.meta->queries);
    d->counters = l.v.meta->counters;
    d->stop = l.v.meta->stop;
    divf_segments_drop_pages(&d->vectors);
    divf_lists_publish(d);
    return OK;
}
