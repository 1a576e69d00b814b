/* store.c - the sections of a file: the rows with their ids, and the trained lists with their codes. Places are made again from the lists. */
#include "algorithms/scann/scann.h"

#include <inttypes.h>
#include <string.h>

#include "src/core/mem.h"

struct state {
    uint64_t n, n_lists, copies, fixed, train_at, trainings;
};

static size_t code_bytes_of(const struct scann_lists *lists, size_t n)
{
    return (n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK * lists->quantizer->block_bytes;
}

static void write_lists(const struct scann *s, struct store_writer *w, const void *quantizer)
{
    const struct scann_lists *lists = &s->lists;
    store_section(w, "quantizer");
    store_write(w, quantizer, quantizer_save(lists->quantizer, NULL));
    store_section(w, "centroids");
    store_write(w, lists->centroids, lists->n * s->base.env.dim * sizeof *lists->centroids);
    store_section(w, "lengths");
    for (size_t i = 0; i < lists->n; i++)
        store_write(w, &(uint64_t){ lists->list[i].n }, sizeof(uint64_t));
    store_section(w, "slots");
    for (size_t i = 0; i < lists->n; i++)
        store_write(w, lists->list[i].slots, lists->list[i].n * sizeof *lists->list[i].slots);
    store_section(w, "second"); /* whether the copy is the row's second one */
    for (size_t i = 0; i < lists->n; i++)
        for (size_t j = 0; j < lists->list[i].n; j++)
            store_write(
                w, &(uint8_t){ lists->places[2 * (size_t)lists->list[i].slots[j]].list != i }, 1);
    store_section(w, "codes");
    for (size_t i = 0; i < lists->n; i++)
        store_write(w, lists->list[i].codes, code_bytes_of(lists, lists->list[i].n));
}

int scann_write(struct index *index, struct store_writer *w)
{
    const struct scann *s = scann_of(index);
    const struct state state = { s->n,     s->lists.n,  s->lists.copies,
                                 s->fixed, s->train_at, s->trainings };
    void *quantizer = NULL;
    if (s->lists.n > 0) {
        quantizer = mem_alloc(index->env.mem, quantizer_save(s->lists.quantizer, NULL));
        if (!quantizer)
            return fail(index->env.error, ERR_NO_MEMORY, "scann: out of memory, cannot save");
        (void)quantizer_save(s->lists.quantizer, quantizer);
    }
    store_section(w, "state");
    store_write(w, &state, sizeof state);
    store_section(w, "ids");
    store_write(w, s->ids, s->n * sizeof *s->ids);
    store_section(w, "rows");
    store_write(w, s->rows, s->n * index->env.dim * sizeof *s->rows);
    if (s->lists.n > 0)
        write_lists(s, w, quantizer);
    mem_free(index->env.mem, quantizer);
    return OK;
}

/* --------------------------------------------------------------------------------- load */

static int take_rows(struct scann *s, const struct store_reader *r, size_t n)
{
    const struct index_env *env = &s->base.env;
    const uint64_t *ids;
    const float *rows;
    int rc = store_need_array(r, "ids", n, sizeof *ids, &ids);
    if (!rc)
        rc = store_need_array(r, "rows", n, env->dim * sizeof *rows, &rows);
    if (rc || n == 0)
        return rc;
    rc = scann_reserve(s, ids, n);
    if (rc)
        return rc;
    memcpy(s->rows, rows, n * env->dim * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == INDEX_NO_ID || slot_table_get(&s->slots, s->ids, ids[i], NULL))
            return fail(env->error, ERR_CORRUPT,
                        "%s: id %" PRIu64 " at %zu is invalid or occurs "
                        "twice",
                        r->path, ids[i], i);
        s->ids[i] = ids[i];
        slot_table_put(&s->slots, ids[i], (uint32_t)i);
    }
    s->n = n;
    return OK;
}

/* What the file has of the lists. */
struct parts {
    const float *centroids;
    const uint64_t *lengths;
    const uint32_t *slots;
    const uint8_t *second, *codes;
    size_t codes_bytes;
};

static int find_parts(const struct scann *s, const struct store_reader *r,
                      const struct state *state, struct scann_lists *to, struct parts *p)
{
    const struct index_env *env = &s->base.env;
    const void *bytes, *codes;
    size_t n_bytes;
    int rc = store_need(r, "quantizer", SIZE_MAX, &bytes, &n_bytes);
    if (!rc)
        rc = quantizer_load(&to->quantizer, env, bytes, n_bytes);
    if (!rc && (to->quantizer->kind != QUANTIZER_ANISOTROPIC || state->copies > 2 * state->n))
        rc = store_corrupt(r, "the quantizer or the number of copies is invalid");
    if (!rc)
        rc = store_need_array(r, "centroids", state->n_lists, env->dim * sizeof(float),
                              &p->centroids);
    if (!rc)
        rc = store_need_array(r, "lengths", state->n_lists, sizeof *p->lengths, &p->lengths);
    if (!rc)
        rc = store_need_array(r, "slots", state->copies, sizeof *p->slots, &p->slots);
    if (!rc)
        rc = store_need_array(r, "second", state->copies, 1, &p->second);
    if (!rc)
        rc = store_need(r, "codes", SIZE_MAX, &codes, &p->codes_bytes);
    if (!rc)
        p->codes = codes;
    uint64_t copies = 0, code_bytes = 0;
    for (size_t i = 0; !rc && i < state->n_lists; i++) {
        if (p->lengths[i] > state->n)
            return store_corrupt(r, "a list is longer than the index");
        copies += p->lengths[i];
        code_bytes += code_bytes_of(to, p->lengths[i]);
    }
    if (!rc && (copies != state->copies || code_bytes != p->codes_bytes))
        rc = store_corrupt(r, "the lengths of the lists do not fit their copies and codes");
    return rc;
}

/* Each row has a first copy, at most one second, in two lists. */
static int take_copy(const struct store_reader *r, const struct scann *s, struct scann_lists *to,
                     uint32_t slot, unsigned second, struct scann_place place)
{
    if (slot >= s->n || second > 1)
        return store_corrupt(r, "a copy has no row");
    struct scann_place *places = to->places + 2 * (size_t)slot;
    if (places[second].list != NO_LIST || places[1 - second].list == place.list)
        return store_corrupt(r, "a row is in a list twice, or in three");
    places[second] = place;
    to->copies++;
    return OK;
}

static int take_list(const struct store_reader *r, const struct scann *s, struct scann_lists *to,
                     size_t i, struct parts *p)
{
    struct scann_list *l = &to->list[i];
    const size_t n = p->lengths[i], bytes = code_bytes_of(to, n);
    struct mem *mem = s->base.env.mem;
    int rc = OK;
    if (n == 0) {
        to->empty++;
        return OK;
    }
    if (!mem_grow(mem, &l->slots, &l->slots_capacity, n, sizeof *l->slots) ||
        !mem_grow(mem, &l->codes, &l->codes_capacity, bytes, 1))
        return fail(s->base.env.error, ERR_NO_MEMORY, "scann: out of memory for a list");
    memcpy(l->slots, p->slots, n * sizeof *l->slots);
    memcpy(l->codes, p->codes, bytes);
    memset(l->codes + bytes, 0, l->codes_capacity - bytes);
    for (size_t j = 0; !rc && j < n; j++)
        rc = take_copy(r, s, to, p->slots[j], p->second[j],
                       (struct scann_place){ (uint32_t)i, (uint32_t)j });
    l->n = n;
    p->slots += n;
    p->second += n;
    p->codes += bytes;
    return rc;
}

static int take_lists(struct scann *s, const struct store_reader *r, const struct state *state)
{
    const struct index_env *env = &s->base.env;
    struct scann_lists *to = &s->lists;
    struct parts p = { 0 };
    int rc = find_parts(s, r, state, to, &p);
    if (rc)
        return rc;
    to->centroids = mem_array(env->mem, state->n_lists * env->dim, sizeof *to->centroids);
    to->list = mem_zalloc(env->mem, state->n_lists * sizeof *to->list);
    if (!to->centroids || !to->list || !scann_places_reserve(env, to, s->ids_capacity))
        return fail(env->error, ERR_NO_MEMORY,
                    "scann: out of memory, cannot load %" PRIu64 " lists", state->n_lists);
    to->n = state->n_lists;
    memcpy(to->centroids, p.centroids, to->n * env->dim * sizeof *to->centroids);
    for (size_t i = 0; i < 2 * s->n; i++)
        to->places[i] = (struct scann_place){ NO_LIST, 0 };
    for (size_t i = 0; !rc && i < to->n; i++)
        rc = take_list(r, s, to, i, &p);
    for (size_t i = 0; !rc && i < s->n; i++)
        if (to->places[2 * i].list == NO_LIST)
            rc = store_corrupt(r, "a row is in no list");
    return rc;
}

int scann_read(struct index *index, struct store_reader *r)
{
    struct scann *s = scann_of(index);
    const struct state *state;
    int rc = store_need_array(r, "state", 1, sizeof *state, &state);
    if (!rc && (state->n >= UINT32_MAX || state->n_lists >= UINT32_MAX))
        rc = store_corrupt(r, "a count is out of range");
    if (!rc)
        rc = take_rows(s, r, state->n);
    if (!rc && state->n_lists > 0)
        rc = take_lists(s, r, state);
    if (rc)
        return rc;
    s->fixed = state->fixed != 0;
    s->train_at = state->train_at;
    s->trainings = state->trainings;
    return OK;
}
