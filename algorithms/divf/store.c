/* store.c - save and load, one file: each vector once, whatever soft_k, so about the size of the
 * raw data.
 *
 * Sections: "meta"; "centroids", lists x dim; "lists"; "filed", the vectors of each list in turn,
 * as ordinals; "ids" and "rows" by ordinal. Ordinals count vectors in the order in which "filed"
 * first names them.
 */
#include <string.h>

#include "algorithms/common/store_file.h"
#include "algorithms/divf/divf.h"
#include "src/core/mem.h"

enum { STORE_VERSION = 1 };
static const char STORE_NAME[] = "divf.index";

struct stored_meta {
    struct divf_params params;
    uint64_t n_lists, n_vectors, n_filed;
    uint64_t provisional, retrain_at;
    struct divf_counters counters;
};

struct stored_list {
    uint64_t rows;
    int64_t last_split_round;
    uint64_t uniform;
};

/* Calls each(to, slot, first time it is met) for every row of every list, all of them live. */
static void each_row(const struct divf *d, uint32_t *ordinals,
                     void (*each)(void *to, uint32_t slot, bool first), void *to)
{
    uint32_t next = 0;
    memset(ordinals, 0xff, d->slots.n * sizeof *ordinals);
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = &d->lists.list[i];
        for (size_t at = 0; at < l->rows; at++) {
            uint32_t slot = *row_slot(&d->lists.chunks, divf_list_row(&d->lists, l, at));
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
    uint32_t row = *divf_slot_rows(&d->lists, slot);
    if (first)
        store_write(s->writer, row_vector(&d->lists.chunks, row), d->base.env.dim * sizeof(float));
}

static void save_meta(const struct divf *d, struct store_writer *w)
{
    struct stored_meta meta = { .params = d->params,
                                .n_lists = d->lists.n,
                                .n_vectors = d->slots.ids.n,
                                .n_filed = d->lists.live,
                                .provisional = d->provisional,
                                .retrain_at = d->retrain_at,
                                .counters = d->counters };
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
    store_section(w, "centroids");
    store_write(w, d->lists.centroids, d->lists.n * d->base.env.dim * sizeof(float));
    store_section(w, "lists");
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = &d->lists.list[i];
        struct stored_list stored = { l->rows, l->last_split_round, l->uniform };
        store_write(w, &stored, sizeof stored);
    }
}

/* The lists are compacted first, so that the index goes on as one loaded from the file would. */
int divf_save(struct index *index, const char *dir)
{
    struct divf *d = divf_of(index);
    const struct index_env *env = &index->env;
    bool more;
    int rc = divf_maintain(index, 0, &more);
    if (!rc)
        rc = chunks_sync(&d->lists.chunks);
    if (rc)
        return rc;
    struct store_writer *w = mem_alloc(env->mem, sizeof *w);
    uint32_t *ordinals = mem_array(env->mem, d->slots.n, sizeof *ordinals);
    if (w && ordinals) {
        struct store_identity identity = store_identity_of(env, divf_ops.name, STORE_VERSION);
        struct saving s = { d, w, ordinals };
        rc = store_begin(w, dir, STORE_NAME, &identity, NULL, env->error);
        if (!rc) {
            save_meta(d, w);
            store_section(w, "filed");
            each_row(d, ordinals, save_filed, &s);
            store_section(w, "ids");
            each_row(d, ordinals, save_id, &s);
            store_section(w, "rows");
            each_row(d, ordinals, save_vector, &s);
            rc = store_commit(w);
        }
    } else {
        rc = fail(env->error, ERR_NO_MEMORY, "save: out of memory for the numbers of %zu vectors",
                  d->slots.ids.n);
    }
    mem_free(env->mem, ordinals);
    mem_free(env->mem, w);
    return rc;
}

struct loading {
    struct store_reader reader;
    const struct stored_meta *meta;
    const struct stored_list *lists;
    const float *centroids, *rows;
    const uint32_t *filed;
    const uint64_t *ids;
};

static int corrupt(const struct loading *l, const char *what)
{
    return fail(l->reader.error, ERR_CORRUPT, "%s: %s", l->reader.path, what);
}

static int need(struct loading *l, const char *tag, uint64_t n, size_t each, const void *out)
{
    if (n > SIZE_MAX / each)
        return corrupt(l, "a count is larger than memory");
    return store_need(&l->reader, tag, (size_t)n * each, (const void **)out, NULL);
}

static int find_sections(struct loading *l, size_t dim)
{
    int rc = need(l, "meta", 1, sizeof *l->meta, &l->meta);
    if (rc)
        return rc;
    const struct stored_meta *m = l->meta;
    if (!rc)
        rc = need(l, "centroids", m->n_lists, dim * sizeof *l->centroids, &l->centroids);
    if (!rc)
        rc = need(l, "lists", m->n_lists, sizeof *l->lists, &l->lists);
    if (!rc)
        rc = need(l, "filed", m->n_filed, sizeof *l->filed, &l->filed);
    if (!rc)
        rc = need(l, "ids", m->n_vectors, sizeof *l->ids, &l->ids);
    if (!rc)
        rc = need(l, "rows", m->n_vectors, dim * sizeof *l->rows, &l->rows);
    if (rc)
        return rc;
    uint64_t filed = 0;
    for (uint64_t i = 0; i < m->n_lists; i++)
        filed += l->lists[i].rows;
    if (filed != m->n_filed || m->n_lists == 0)
        return corrupt(l, "the lists and their rows do not add up");
    return OK;
}

/* Files the next row of list `list`; *next is how many vectors have been met. */
static int load_row(struct divf *d, const struct loading *l, size_t list, uint32_t ordinal,
                    uint32_t *next)
{
    size_t stride = d->lists.soft_k;
    if (ordinal > *next || ordinal >= l->meta->n_vectors)
        return corrupt(l, "a list names a vector out of turn");
    if (ordinal == *next) {
        if (l->ids[ordinal] == ID_NONE || idmap_get(&d->slots.ids, l->ids[ordinal], NULL))
            return corrupt(l, "an id is there twice, or is none");
        ++*next;
        divf_slot_take(d, l->ids[ordinal]);
    }
    uint32_t *rows = divf_slot_rows(&d->lists, ordinal); /* slots are taken in order, from 0 */
    size_t at = 0;
    while (at < stride && rows[at] != ROW_NONE) {
        if (chunk_state(&d->lists.chunks, rows[at] >> d->lists.chunks.row_shift)->list == list)
            return corrupt(l, "a vector is in one list twice");
        at++;
    }
    if (at == stride)
        return corrupt(l, "a vector is in more lists than soft_k allows");
    rows[at] = divf_list_append(&d->lists, list, l->rows + ordinal * d->base.env.dim, ordinal);
    return OK;
}

static int load_lists(struct divf *d, const struct loading *l)
{
    const struct index_env *env = &d->base.env;
    const uint32_t *filed = l->filed;
    uint32_t next = 0;
    int rc = divf_slots_reserve(d, l->meta->n_vectors);
    for (size_t i = 0; !rc && i < l->meta->n_lists; i++) {
        rc = divf_list_add(&d->lists, env, l->centroids + i * env->dim,
                           l->lists[i].last_split_round);
        if (!rc)
            rc = divf_list_reserve(&d->lists, env, i, l->lists[i].rows);
        for (uint64_t r = 0; !rc && r < l->lists[i].rows; r++)
            rc = load_row(d, l, i, *filed++, &next);
        if (!rc)
            d->lists.list[i].uniform = l->lists[i].uniform != 0;
    }
    if (!rc && next != l->meta->n_vectors)
        rc = corrupt(l, "a vector is in no list");
    return rc;
}

int divf_load(struct index **out, const struct index_env *env, const char *dir)
{
    struct loading *l = mem_alloc(env->mem, sizeof *l);
    if (!l)
        return fail(env->error, ERR_NO_MEMORY, "load: out of memory");
    struct store_identity identity = store_identity_of(env, divf_ops.name, STORE_VERSION);
    int rc = store_open(&l->reader, dir, STORE_NAME, &identity, env->error);
    if (rc) {
        mem_free(env->mem, l);
        return rc;
    }
    struct index *index = NULL;
    rc = find_sections(l, env->dim);
    if (!rc)
        rc = divf_open(&index, env, &l->meta->params);
    if (!rc) {
        struct divf *d = divf_of(index);
        rc = load_lists(d, l);
        d->provisional = l->meta->provisional != 0;
        d->retrain_at = l->meta->retrain_at;
        d->counters = l->meta->counters;
        d->largest_list = UINT32_MAX;
    }
    store_close(&l->reader);
    mem_free(env->mem, l);
    if (rc) {
        divf_destroy(index);
    } else {
        *out = index;
    }
    return rc;
}
