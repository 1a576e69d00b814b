/* store.c - the sections of a file: each vector once, also with soft_k > 1, and the code of each
 * copy.
 *
 * Sections: "meta"; "centroids", lists x dim; "lift", M^2 of lifted rows (rows.h); "lists"; "quantizer" and "sketch", if there are any;
 * "filed", the vectors of each list in turn, as ordinals; "codes", with a quantizer, the blocks of
 * each list in turn; "ids" and "rows" by ordinal. Ordinals number vectors in the order of their
 * first appearance in "filed", and are the slots after loading. So the vectors of a list are mostly
 * together, and with storage = mmap "rows" is mapped instead of read.
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
    uint64_t n_lists, n_vectors, n_filed;
    uint64_t provisional, retrain_at;
    uint64_t queries;
    uint64_t isa;           /* of the kernels that made the codes */
    uint64_t shared_sketch; /* the sketch of centroids is the quantizer of vectors */
    struct divf_counters counters;
    struct divf_stop stop;
};

struct stored_list {
    uint64_t rows;
    int64_t last_split_round;
    uint64_t uniform;
    uint64_t probes;
    double error; /* of its codes */
};

/* Calls each(to, slot, first appearance) for every copy of every list, all of them live. */
static void each_row(const struct divf *d, uint32_t *ordinals,
                     void (*each)(void *to, uint32_t slot, bool first), void *to)
{
    uint32_t next = 0;
    memset(ordinals, 0xff, d->slots.n * sizeof *ordinals);
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        for (size_t at = 0; at < l->rows; at++) {
            uint32_t place = divf_place(l, at);
            uint32_t slot = divf_place_slot(d->lists.chunks, place);
            bool first = ordinals[slot] == SLOT_NONE;
            if (first)
                ordinals[slot] = next++;
            each(to, slot, first);
        }
    }
}

struct saving {
    const struct divf *d;
    struct store_writer *writer;
    const uint32_t *ordinals;
};

static void save_filed(void *to, uint32_t slot, bool first)
{
    struct saving *s = to;
    (void)first;
    store_write(s->writer, &s->ordinals[slot], sizeof *s->ordinals);
}

static void save_id(void *to, uint32_t slot, bool first)
{
    struct saving *s = to;
    if (first)
        store_write(s->writer, &s->d->slots.id[slot], sizeof *s->d->slots.id);
}

static void save_vector(void *to, uint32_t slot, bool first)
{
    struct saving *s = to;
    const struct divf *d = s->d;
    if (first)
        store_write(s->writer, divf_row(&d->lists, slot), d->vectors.element_bytes);
}

static void save_meta(const struct divf *d, struct store_writer *w)
{
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
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
    store_section(w, "centroids");
    store_write(w, d->lists.centroids, d->lists.n * d->env.dim * sizeof(float));
    if (d->space.kind == DIVF_LIFTED) {
        store_section(w, "lift");
        store_write(w, &d->lists.space.lift, sizeof d->lists.space.lift);
    }
    store_section(w, "lists");
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        struct stored_list stored = { l->rows, l->last_split_round, l->uniform,
                                      atomic_load_explicit(&l->probes, memory_order_relaxed),
                                      (double)l->error };
        store_write(w, &stored, sizeof stored);
    }
}

/* ERR_NO_MEMORY, nothing written. */
static int save_quantizer(const struct divf *d, struct store_writer *w, const char *tag,
                          const struct quantizer *q)
{
    size_t n = quantizer_save(q, NULL);
    void *bytes = mem_zalloc(d->env.mem, n);
    if (!bytes)
        return fail(d->env.error, ERR_NO_MEMORY, "save: out of memory for a quantizer");
    (void)quantizer_save(q, bytes);
    store_section(w, tag);
    store_write(w, bytes, n);
    mem_free(d->env.mem, bytes);
    return OK;
}

static int save_quantizers(const struct divf *d, struct store_writer *w)
{
    const struct divf_lists *l = &d->lists;
    int rc = l->quantizer ? save_quantizer(d, w, "quantizer", l->quantizer) : OK;
    if (!rc && l->sketch && l->sketch != l->quantizer)
        rc = save_quantizer(d, w, "sketch", l->sketch);
    return rc;
}

static size_t blocks_of(uint64_t rows)
{
    return (size_t)((rows + CHUNK_VECTORS - 1) / CHUNK_VECTORS);
}

static void save_codes(const struct divf_lists *lists, struct store_writer *w)
{
    if (!lists->quantizer)
        return;
    store_section(w, "codes");
    for (size_t i = 0; i < lists->n; i++)
        for (size_t c = 0; c < blocks_of(lists->list[i]->rows); c++)
            store_write(w, divf_chunk_at(lists->chunks, lists->list[i]->chunks[c])->block,
                        lists->quantizer->block_bytes);
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
    struct saving s = { d, w, ordinals };
    save_meta(d, w);
    rc = save_quantizers(d, w);
    store_section(w, "filed");
    each_row(d, ordinals, save_filed, &s);
    save_codes(&d->lists, w);
    store_section(w, "ids");
    each_row(d, ordinals, save_id, &s);
    store_section(w, "rows");
    each_row(d, ordinals, save_vector, &s);
    mem_free(env->mem, ordinals);
    return rc;
}

struct loading {
    struct store_reader *reader;
    const struct stored_meta *meta;
    const struct stored_list *lists;
    const float *centroids, *lift;
    const unsigned char *rows;
    const uint32_t *filed;
    const uint64_t *ids;
    const unsigned char *codes;
    uint64_t mapped; /* vectors, the first ones, that stay in the file */
};

static int find_sections(struct loading *l, const struct index_env *env)
{
    const size_t dim = divf_space_of(env).dim;
    int rc = store_need_array(l->reader, "meta", 1, sizeof *l->meta, &l->meta);
    if (rc)
        return rc;
    const struct stored_meta *m = l->meta;
    if (!rc)
        rc = store_need_array(l->reader, "centroids", m->n_lists, dim * sizeof *l->centroids,
                              &l->centroids);
    if (!rc && env->metric == INDEX_IP)
        rc = store_need_array(l->reader, "lift", 1, sizeof *l->lift, &l->lift);
    if (!rc)
        rc = store_need_array(l->reader, "lists", m->n_lists, sizeof *l->lists, &l->lists);
    if (!rc)
        rc = store_need_array(l->reader, "filed", m->n_filed, sizeof *l->filed, &l->filed);
    if (!rc)
        rc = store_need_array(l->reader, "ids", m->n_vectors, sizeof *l->ids, &l->ids);
    if (!rc)
        rc = store_need_array(l->reader, "rows", m->n_vectors, divf_space_of(env).row_bytes,
                              &l->rows);
    if (rc)
        return rc;
    uint64_t filed = 0;
    for (uint64_t i = 0; i < m->n_lists; i++) {
        filed += l->lists[i].rows;
        if (!(l->lists[i].error >= 0 && l->lists[i].error <= FLT_MAX))
            return store_corrupt(l->reader, "a list's error is invalid");
    }
    if (!divf_stop_rule_valid(&m->stop.rule))
        return store_corrupt(l->reader, "the rule of target_recall is invalid");
    if (l->lift && !(*l->lift >= 0 && *l->lift <= FLT_MAX))
        return store_corrupt(l->reader, "the greatest norm is invalid");
    if (filed != m->n_filed || m->n_lists == 0)
        return store_corrupt(l->reader, "the lists and their rows do not add up");
    return OK;
}

static int load_quantizer(const struct loading *l, const struct index_env *env, const char *tag,
                          struct quantizer **out)
{
    size_t n = 0;
    const void *bytes = store_find(l->reader, tag, &n);
    *out = NULL;
    return bytes ? quantizer_load(out, env, bytes, n) : OK;
}

/* Replaces the index's lists by the stored ones, without copies. */
static int load_codebook(struct divf *d, const struct loading *l)
{
    const struct index_env *env = &d->env;
    struct quantizer *quantizer = NULL, *sketch = NULL;
    int rc = load_quantizer(l, env, "quantizer", &quantizer);
    if (!rc && l->meta->shared_sketch)
        sketch = quantizer;
    else if (!rc)
        rc = load_quantizer(l, env, "sketch", &sketch);
    if (rc) {
        quantizer_destroy(env, quantizer);
        return rc;
    }
    divf_lists_close(&d->lists);
    rc = divf_lists_open(&d->lists, d, quantizer, sketch);
    d->lists.space.lift = l->lift ? *l->lift : 0;
    for (size_t i = 0; !rc && i < l->meta->n_lists; i++)
        rc = divf_list_add(&d->lists, l->centroids + i * env->dim, l->lists[i].last_split_round);
    return rc;
}

/* Adds the next copy of a list; *next: vectors met so far. */
static int load_copy(struct divf *d, const struct loading *l, size_t list, uint32_t ordinal,
                     uint32_t *next)
{
    const size_t row_bytes = d->vectors.element_bytes;
    if (ordinal > *next || ordinal >= l->meta->n_vectors)
        return store_corrupt(l->reader, "a list names a vector out of order");
    if (ordinal == *next) { /* slots are taken in order, from 0 */
        if (l->ids[ordinal] == INDEX_NO_ID ||
            slot_table_get(&d->slots.ids, d->slots.id, l->ids[ordinal], NULL))
            return store_corrupt(l->reader, "an id occurs twice, or is invalid");
        ++*next;
        divf_slot_take(d, l->ids[ordinal]);
        if (ordinal >= l->mapped)
            memcpy(divf_row(&d->lists, ordinal), l->rows + ordinal * row_bytes, row_bytes);
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

/* l->codes stays NULL without a quantizer. */
static int find_codes(const struct divf_lists *lists, struct loading *l)
{
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < l->meta->n_lists; i++)
        blocks += blocks_of(l->lists[i].rows);
    return lists->quantizer ? store_need_array(l->reader, "codes", blocks,
                                               lists->quantizer->block_bytes, &l->codes)
                            : OK;
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
    lists->list[list]->error = (float)l->lists[list].error;
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

/* With storage = mmap, the vectors stay in the saved file. */
static int map_vectors(struct divf *d, struct loading *l)
{
    size_t bytes = 0;
    if (d->params.storage == DIVF_RAM)
        return OK;
    const void *saved = store_take(l->reader, &bytes);
    return divf_segments_map(&d->vectors, saved, bytes, l->rows, l->meta->n_vectors, &l->mapped);
}

static int load_lists(struct divf *d, struct loading *l)
{
    const uint32_t *filed = l->filed;
    uint32_t next = 0;
    int rc = load_codebook(d, l);
    if (!rc)
        rc = find_codes(&d->lists, l);
    if (!rc)
        rc = map_vectors(d, l);
    const unsigned char *codes = l->codes;
    if (!rc)
        rc = divf_slots_reserve(d, l->ids, l->meta->n_vectors);
    for (size_t i = 0; !rc && i < l->meta->n_lists; i++) {
        rc = divf_list_reserve(&d->lists, i, l->lists[i].rows);
        for (uint64_t r = 0; !rc && r < l->lists[i].rows; r++)
            rc = load_copy(d, l, i, *filed++, &next);
        if (!rc && codes)
            load_codes(&d->lists, l, i, &codes);
        if (!rc) {
            d->lists.list[i]->uniform = l->lists[i].uniform != 0;
            atomic_store(&d->lists.list[i]->probes, (unsigned)l->lists[i].probes);
        }
    }
    if (!rc && next != l->meta->n_vectors)
        rc = store_corrupt(l->reader, "a vector is in no list");
    return !rc && codes ? make_codes_if_due(&d->lists, l->meta->isa) : rc;
}

int divf_read(struct index *index, struct store_reader *r)
{
    struct divf *d = divf_of(index);
    struct loading l = { .reader = r };
    int rc = find_sections(&l, &index->env);
    if (!rc)
        rc = load_lists(d, &l);
    if (rc)
        return rc;
    d->provisional = l.meta->provisional != 0;
    d->retrain_at = l.meta->retrain_at;
    atomic_store(&d->queries, l.meta->queries);
    d->counters = l.meta->counters;
    d->stop = l.meta->stop;
    d->largest_list = UINT32_MAX;
    divf_segments_drop_pages(&d->vectors);
    divf_lists_publish(d);
    return OK;
}
